//! What objects hold: windows of one random buffer, with every digest that a PUT may have to name, made before the run.

use super::sign::{hex64, text};
use crate::limits::{
    AWS_CHUNK_BYTES, CONTENT_STRIDE_BYTES, CONTENTS_LARGE, CONTENTS_SMALL, SMALL_BODY_BYTES_MAX,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use holdfast_protocol::digest::sha256;

/// All contents of one size.
pub(super) struct Contents {
    buffer: Vec<u8>,
    size: usize,
    digests: Vec<Digests>,
}

struct Digests {
    sha256: String,
    crc32: String,
    /// SHA-256 of each aws-chunk, only where they are sent.
    chunks: Vec<String>,
}

/// One object's bytes and digests.
#[derive(Clone, Copy)]
pub(super) struct Content<'a> {
    pub(super) bytes: &'a [u8],
    /// Hex.
    pub(super) sha256: &'a str,
    /// Base64 of the big-endian CRC32.
    pub(super) crc32: &'a str,
    /// Hex of each chunk's SHA-256.
    pub(super) chunks: &'a [String],
}

impl Contents {
    pub(super) fn new(size: u64, with_chunks: bool) -> Self {
        let count = if size <= SMALL_BODY_BYTES_MAX { CONTENTS_SMALL } else { CONTENTS_LARGE };
        let size = usize::try_from(size).expect("a body fits in memory");
        let buffer = random_bytes(size + count * CONTENT_STRIDE_BYTES);
        let digests = (0..count)
            .map(|at| {
                let bytes = &buffer[at * CONTENT_STRIDE_BYTES..][..size];
                let chunks = if with_chunks {
                    bytes.chunks(AWS_CHUNK_BYTES).map(hex_sha256).collect()
                } else {
                    Vec::new()
                };
                let crc32 = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32IsoHdlc, bytes) as u32;
                Digests { sha256: hex_sha256(bytes), crc32: STANDARD.encode(crc32.to_be_bytes()), chunks }
            })
            .collect();
        Self { buffer, size, digests }
    }

    /// What the key with this number holds.
    pub(super) fn of(&self, number: u64) -> Content<'_> {
        let at = (number % self.digests.len() as u64) as usize;
        let digests = &self.digests[at];
        Content {
            bytes: &self.buffer[at * CONTENT_STRIDE_BYTES..][..self.size],
            sha256: &digests.sha256,
            crc32: &digests.crc32,
            chunks: &digests.chunks,
        }
    }
}

fn hex_sha256(bytes: &[u8]) -> String {
    text(&hex64(&sha256(bytes))).to_owned()
}

fn random_bytes(count: usize) -> Vec<u8> {
    let mut random = Random::new(0x5eed);
    let mut out = Vec::with_capacity(count + 8);
    while out.len() < count {
        out.extend_from_slice(&random.next().to_le_bytes());
    }
    out.truncate(count);
    out
}

/// xorshift64*: incompressible bytes and an even choice of keys; the same in every run.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        (self.next() >> 11) % bound.max(1)
    }
}
