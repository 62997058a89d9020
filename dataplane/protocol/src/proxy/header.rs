//! The PROXY protocol's header, version 2: what a proxy says of a connection before the client's first byte.
//!
//! ```text
//! signature 12 │ version 4 bits, command 4 │ family 4, transport 4 │ length 2 │ addresses and ports │ type 1, length 2, value ...
//! ```
//! Numbers are big-endian. (haproxy.org/download/2.6/doc/proxy-protocol.txt, 2.2.)

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::limits::PROXY_HEADER_BYTES_MAX;

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
const FIXED_BYTES: usize = 16;
/// Two addresses and two ports.
const IPV4_BYTES: usize = 2 * 4 + 2 * 2;
const IPV6_BYTES: usize = 2 * 16 + 2 * 2;
/// Two paths.
const UNIX_BYTES: usize = 2 * 108;

/// The record that tells of TLS (2.2.5): a byte of flags, four of the certificate's verification, records of its own.
const TYPE_SSL: u8 = 0x20;
const SSL_BYTES_MIN: usize = 5;
const SSL_FLAG_CLIENT: u8 = 0x01;

/// What a proxy says of a connection. No source: it is the proxy's own, or its client has no address on a network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProxyHeader {
    /// The client's address; an IPv4 address is never written as IPv6.
    pub source: Option<IpAddr>,
    /// The client's connection to the proxy is TLS; said only with an SSL record.
    pub secure: Option<bool>,
}

/// How far a header has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// At least so many bytes are missing, and all of them belong to the header.
    Missing(usize),
    /// A header of `bytes` bytes; what follows is the client's.
    Whole { header: ProxyHeader, bytes: usize },
}

/// Why a connection is closed without a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProxyHeaderError {
    #[error("no PROXY header comes first; make the proxy send one, or set `proxy_protocol` to `off`")]
    Signature,
    #[error("the PROXY header is of version 1; make the proxy send version 2 (HAProxy: `send-proxy-v2`)")]
    Version1,
    #[error("the PROXY header is of an unknown version")]
    Version,
    #[error("the PROXY header has an unknown command")]
    Command,
    #[error("the PROXY header has an unknown family of addresses or transport")]
    Family,
    #[error("the PROXY header has more than {PROXY_HEADER_BYTES_MAX} bytes")]
    TooLong,
    #[error("the PROXY header is too short for its addresses")]
    Addresses,
    #[error("the records behind the addresses of the PROXY header are malformed")]
    Records,
}

impl ProxyHeader {
    /// Reads a header from the front of `buf`, of which any part may have come.
    ///
    /// # Errors
    /// [`ProxyHeaderError`], as soon as no more bytes could mend it.
    pub fn parse(buf: &[u8]) -> Result<Progress, ProxyHeaderError> {
        let come = buf.len().min(SIGNATURE.len());
        if buf[..come] != SIGNATURE[..come] {
            let old = buf.starts_with(b"PROXY ");
            return Err(if old { ProxyHeaderError::Version1 } else { ProxyHeaderError::Signature });
        }
        let Some(fixed) = buf.first_chunk::<FIXED_BYTES>() else {
            return Ok(Progress::Missing(FIXED_BYTES - buf.len()));
        };
        let [.., command, family, high, low] = *fixed;
        let bytes = FIXED_BYTES + usize::from(u16::from_be_bytes([high, low]));
        let command = Command::of(command)?;
        let family = Family::of(family)?;
        if bytes > PROXY_HEADER_BYTES_MAX {
            return Err(ProxyHeaderError::TooLong);
        }
        let Some(rest) = buf.get(FIXED_BYTES..bytes) else {
            return Ok(Progress::Missing(bytes - buf.len()));
        };
        let header = match command {
            Command::Local => Self::default(),
            Command::Proxy => Self::of(family, rest)?,
        };
        Ok(Progress::Whole { header, bytes })
    }

    fn of(family: Family, rest: &[u8]) -> Result<Self, ProxyHeaderError> {
        let (addresses, records) =
            rest.split_at_checked(family.bytes()).ok_or(ProxyHeaderError::Addresses)?;
        let source = match family {
            // What follows has no meaning that could be known.
            Family::Unspecified => return Ok(Self::default()),
            Family::Unix => None,
            Family::Ipv4 => addresses.first_chunk().map(|&octets: &[u8; 4]| Ipv4Addr::from(octets).into()),
            Family::Ipv6 => addresses.first_chunk().map(|&octets: &[u8; 16]| Ipv6Addr::from(octets).into()),
        };
        Ok(Self { source: source.map(|address: IpAddr| address.to_canonical()), secure: secure(records)? })
    }
}

enum Command {
    /// The connection is the proxy's own: a health check.
    Local,
    Proxy,
}

impl Command {
    fn of(byte: u8) -> Result<Self, ProxyHeaderError> {
        match (byte >> 4, byte & 15) {
            (2, 0) => Ok(Self::Local),
            (2, 1) => Ok(Self::Proxy),
            (2, _) => Err(ProxyHeaderError::Command),
            _ => Err(ProxyHeaderError::Version),
        }
    }
}

#[derive(Clone, Copy)]
enum Family {
    Unspecified,
    Ipv4,
    Ipv6,
    Unix,
}

impl Family {
    /// The low half names stream or datagram, which changes nothing here.
    fn of(byte: u8) -> Result<Self, ProxyHeaderError> {
        match byte {
            0x00 => Ok(Self::Unspecified),
            0x11 | 0x12 => Ok(Self::Ipv4),
            0x21 | 0x22 => Ok(Self::Ipv6),
            0x31 | 0x32 => Ok(Self::Unix),
            _ => Err(ProxyHeaderError::Family),
        }
    }

    fn bytes(self) -> usize {
        match self {
            Self::Unspecified => 0,
            Self::Ipv4 => IPV4_BYTES,
            Self::Ipv6 => IPV6_BYTES,
            Self::Unix => UNIX_BYTES,
        }
    }
}

/// Steps over the records for the one that tells of TLS; two of them are refused even when equal.
fn secure(mut records: &[u8]) -> Result<Option<bool>, ProxyHeaderError> {
    let mut secure = None;
    while let Some((&[kind, high, low], rest)) = records.split_first_chunk() {
        let length = usize::from(u16::from_be_bytes([high, low]));
        let (value, next) = rest.split_at_checked(length).ok_or(ProxyHeaderError::Records)?;
        records = next;
        if kind == TYPE_SSL {
            let flags = value.first().filter(|_| value.len() >= SSL_BYTES_MIN && secure.is_none());
            secure = Some(flags.ok_or(ProxyHeaderError::Records)? & SSL_FLAG_CLIENT != 0);
        }
    }
    if records.is_empty() { Ok(secure) } else { Err(ProxyHeaderError::Records) }
}
