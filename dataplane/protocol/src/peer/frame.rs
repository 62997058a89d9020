//! A frame to bytes and back: lengths bounded, checksums held.

use super::PEER_VERSION;
use crate::limits::{PEER_META_BYTES_MAX, RECORD_PAYLOAD_BYTES_MAX};
use crate::record::block_crc;

/// Bytes of a frame's header.
pub const FRAME_HEADER_BYTES: usize = 24;

const MAGIC: [u8; 2] = *b"HP";
/// What of the header its own checksum covers.
const COVERED: usize = 20;

/// Why bytes are no frame. After each but `Payload` it is not known where the next frame begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    #[error("no frame begins here")]
    Magic,
    #[error("a frame of version {0}, and we speak {PEER_VERSION}")]
    Version(u8),
    #[error("a frame of {meta} bytes of fields and {payload} of payload, beyond the limit")]
    TooLong { meta: u32, payload: u32 },
    #[error("the checksum of a frame's header does not hold")]
    Checksum,
    #[error("the checksum of a payload does not hold")]
    Payload,
}

/// A frame's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub kind: u8,
    pub id: u32,
    pub meta_len: u32,
    pub payload_len: u32,
    payload_crc: u32,
    bytes: [u8; FRAME_HEADER_BYTES],
}

impl Header {
    /// Reads a header; nothing of it is to be believed before [`Header::check_meta`] but that its lengths are bounded.
    ///
    /// # Errors
    /// `Magic`, `Version`, `TooLong`.
    pub fn parse(bytes: &[u8; FRAME_HEADER_BYTES]) -> Result<Self, FrameError> {
        let number = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        if bytes[..2] != MAGIC {
            return Err(FrameError::Magic);
        }
        if bytes[2] != PEER_VERSION {
            return Err(FrameError::Version(bytes[2]));
        }
        let (meta, payload) = (number(8), number(12));
        if meta as usize > PEER_META_BYTES_MAX || payload as usize > RECORD_PAYLOAD_BYTES_MAX {
            return Err(FrameError::TooLong { meta, payload });
        }
        Ok(Self {
            kind: bytes[3],
            id: number(4),
            meta_len: meta,
            payload_len: payload,
            payload_crc: number(16),
            bytes: *bytes,
        })
    }

    /// Whether header and fields are what was sent.
    ///
    /// # Errors
    /// `Checksum`.
    pub fn check_meta(&self, meta: &[u8]) -> Result<(), FrameError> {
        let sent = &self.bytes[COVERED..];
        let whole = meta.len() == self.meta_len as usize && *sent == crc(&self.bytes[..COVERED], meta);
        if whole { Ok(()) } else { Err(FrameError::Checksum) }
    }

    /// Whether the payload is what was sent.
    ///
    /// # Errors
    /// `Payload`.
    pub fn check_payload(&self, payload: &[u8]) -> Result<(), FrameError> {
        let whole = payload.len() == self.payload_len as usize && block_crc(payload) == self.payload_crc;
        if whole { Ok(()) } else { Err(FrameError::Payload) }
    }
}

/// Header and fields of a frame; its payload is sent behind them as it is.
#[must_use]
pub fn encode(kind: u8, id: u32, meta: &[u8], payload: &[u8]) -> Vec<u8> {
    let length = |bytes: &[u8], most: usize| {
        assert!(bytes.len() <= most, "{} bytes in a frame, at most {most}", bytes.len());
        (bytes.len() as u32).to_le_bytes()
    };
    let mut out = Vec::with_capacity(FRAME_HEADER_BYTES + meta.len());
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&[PEER_VERSION, kind]);
    out.extend_from_slice(&id.to_le_bytes());
    out.extend_from_slice(&length(meta, PEER_META_BYTES_MAX));
    out.extend_from_slice(&length(payload, RECORD_PAYLOAD_BYTES_MAX));
    out.extend_from_slice(&block_crc(payload).to_le_bytes());
    let covered = crc(&out, meta);
    out.extend_from_slice(&covered);
    out.extend_from_slice(meta);
    out
}

fn crc(header: &[u8], meta: &[u8]) -> [u8; 4] {
    let mut digest = crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc32Iscsi);
    digest.update(header);
    digest.update(meta);
    (digest.finalize() as u32).to_le_bytes()
}
