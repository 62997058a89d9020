//! Where a request comes from when a proxy stands in front: from whom it may be said, and what is believed of it.
//!
//! ```text
//! connection ── PROXY header, if the port wants one ──► Origin of the connection
//!                 request ── X-Forwarded-For, -Proto ──► Origin of the request
//! ```
//! Two facts and no others come this way: the source address and whether the client's transport is secure. Policies, the
//! access log and the scheme of a `Location` read them. `Host` is verified as received, so a proxy passes it on unchanged.

mod forwarded;
mod header;

use core::net::IpAddr;

pub use header::{Progress, ProxyHeader, ProxyHeaderError};

use crate::http::head::RequestHead;
use crate::limits::TRUSTED_PROXIES_MAX;
use crate::network::Network;

/// Whose word counts. Empty: nobody's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies(Box<[Network]>);

/// Why something cannot be trusted; a clause that goes on after the name of the setting.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrustError {
    #[error("holds {0:?}, which is neither an address nor a range of addresses")]
    Malformed(String),
    #[error("holds {0:?}: so broad a range has strangers in it, who could then claim any address")]
    Broad(String),
    #[error("holds {0} ranges; {TRUSTED_PROXIES_MAX} are the most")]
    TooMany(usize),
}

impl TrustedProxies {
    /// From addresses and ranges: `10.0.0.7`, `10.1.0.0/16`, `2001:db8::/48`.
    ///
    /// # Errors
    /// [`TrustError`]: one is malformed or broader than `/8` of IPv4 or `/32` of IPv6, or there are too many.
    pub fn parse<T: AsRef<str>>(texts: &[T]) -> Result<Self, TrustError> {
        if texts.len() > TRUSTED_PROXIES_MAX {
            return Err(TrustError::TooMany(texts.len()));
        }
        let one = |text: &T| {
            let text = text.as_ref();
            match Network::parse(text) {
                None => Err(TrustError::Malformed(text.to_owned())),
                Some(network) if network.is_broad() => Err(TrustError::Broad(text.to_owned())),
                Some(network) => Ok(network),
            }
        };
        texts.iter().map(one).collect::<Result<_, _>>().map(Self)
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    #[must_use]
    pub fn holds(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.holds(address))
    }
}

/// Where something comes from, as far as it can be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Of the client; an IPv4 address is never written as IPv6.
    pub address: IpAddr,
    /// What the client sends travels in TLS.
    pub secure: bool,
    /// Whose the address is is known, so that requests may say more if it is trusted.
    known: bool,
}

impl Origin {
    /// Of a connection that says nothing but itself.
    #[must_use]
    pub fn new(address: IpAddr, secure: bool) -> Self {
        Self { address: address.to_canonical(), secure, known: true }
    }

    /// The same as a trusted proxy's PROXY header tells it; what that leaves out stays the connection's own. Without a source
    /// the address is the proxy's, and the client is somebody else: what its requests say of themselves is not the proxy's word.
    #[must_use]
    pub fn proxied(self, header: &ProxyHeader) -> Self {
        Self {
            address: header.source.unwrap_or(self.address),
            secure: header.secure.unwrap_or(self.secure),
            known: header.source.is_some(),
        }
    }

    /// The origin of a request on a connection of this origin. From an address that is not trusted, or is not the client's,
    /// headers say nothing.
    #[must_use]
    pub fn forwarded(self, head: &RequestHead, trusted: &TrustedProxies) -> Self {
        if !self.known || !trusted.holds(self.address) {
            return self;
        }
        Self {
            address: forwarded::address(head, self.address, trusted),
            secure: forwarded::secure(head).unwrap_or(self.secure),
            known: true,
        }
    }
}

#[cfg(test)]
mod tests;
