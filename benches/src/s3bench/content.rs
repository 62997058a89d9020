//! What objects hold: windows of one random buffer, with every digest that a PUT may have to name, made before the run.

use super::sign::{hex64, text};
use super::sizes::Sizes;
use crate::limits::{
    AWS_CHUNK_BYTES, CONTENT_STRIDE_BYTES, CONTENTS_LARGE, CONTENTS_SMALL, SMALL_BODY_BYTES_MAX,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use holdfast_protocol::digest::sha256;

/// All contents of a run: for each size, some.
pub(super) struct Contents {
    buffer: Vec<u8>,
    kinds: Vec<Kind>,
    /// Sum of the kinds' weights.
    weight: u64,
}

/// The contents of one size.
struct Kind {
    size: usize,
    weight: u64,
    /// Where the window of the first one starts in the buffer.
    start: usize,
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
    pub(super) fn new(sizes: &Sizes, with_chunks: bool) -> Self {
        let shares = sizes.shares();
        let counts: Vec<usize> = shares.iter().map(|(size, _)| contents_of(*size, shares.len())).collect();
        let windows: usize = counts.iter().sum();
        let max = usize::try_from(sizes.max()).expect("a body fits in memory");
        let buffer = random_bytes(max + windows * CONTENT_STRIDE_BYTES);
        let mut start = 0;
        let mut kinds = Vec::with_capacity(shares.len());
        for ((size, weight), count) in shares.into_iter().zip(counts) {
            let size = size as usize;
            let windows = (0..count).map(|at| &buffer[start + at * CONTENT_STRIDE_BYTES..][..size]);
            let digests = windows.map(|bytes| Digests::of(bytes, with_chunks));
            kinds.push(Kind { size, weight: weight.into(), start, digests: digests.collect() });
            start += count * CONTENT_STRIDE_BYTES;
        }
        Self { buffer, weight: kinds.iter().map(|kind| kind.weight).sum(), kinds }
    }

    /// What the key with this number holds.
    pub(super) fn of(&self, number: u64) -> Content<'_> {
        let kind = self.kind(number);
        let at = (number % kind.digests.len() as u64) as usize;
        let digests = &kind.digests[at];
        Content {
            bytes: &self.buffer[kind.start + at * CONTENT_STRIDE_BYTES..][..kind.size],
            sha256: &digests.sha256,
            crc32: &digests.crc32,
            chunks: &digests.chunks,
        }
    }

    /// Multiples of the golden ratio fall evenly into the weights, however few numbers there are.
    fn kind(&self, number: u64) -> &Kind {
        let even = number.wrapping_mul(GOLDEN);
        let mut left = ((u128::from(even) * u128::from(self.weight)) >> 64) as u64;
        for kind in &self.kinds {
            match left.checked_sub(kind.weight) {
                Some(rest) => left = rest,
                None => return kind,
            }
        }
        unreachable!("a number below the sum of the weights falls into one")
    }
}

/// Different contents of one size, of which there are so many: each is hashed before the run.
fn contents_of(size: u64, sizes: usize) -> usize {
    if size <= SMALL_BODY_BYTES_MAX { (CONTENTS_SMALL / sizes).max(CONTENTS_LARGE) } else { CONTENTS_LARGE }
}

impl Digests {
    fn of(bytes: &[u8], with_chunks: bool) -> Self {
        let chunks =
            if with_chunks { bytes.chunks(AWS_CHUNK_BYTES).map(hex_sha256).collect() } else { Vec::new() };
        let crc32 = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32IsoHdlc, bytes) as u32;
        Self { sha256: hex_sha256(bytes), crc32: STANDARD.encode(crc32.to_be_bytes()), chunks }
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

/// 2^64 divided by the golden ratio.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// xorshift64*: incompressible bytes and an even choice of keys; the same in every run.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(GOLDEN) | 1)
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

    /// At least 0, below 1.
    pub(super) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_get_their_shares_whatever_the_number_of_keys() {
        let sizes = Sizes::parse("4KiB:70,64KiB:25,1MiB:5").expect("sizes");
        let contents = Contents::new(&sizes, false);
        for keys in [100u64, 1000, 20_000] {
            for (size, weight) in sizes.shares() {
                let seen = (0..keys).filter(|n| contents.of(*n).bytes.len() as u64 == size).count();
                let expected = keys as f64 * f64::from(weight) / 100.0;
                assert!((seen as f64 - expected).abs() <= 2.0 + expected * 0.02, "{size}: {seen} of {keys}");
            }
        }
    }

    #[test]
    fn a_number_has_the_same_content_always_and_neighbours_differ() {
        let contents = Contents::new(&Sizes::parse("4KiB:1,8KiB:1").expect("sizes"), true);
        let (seven, again) = (contents.of(7), contents.of(7));
        assert_eq!((seven.bytes, seven.sha256), (again.bytes, again.sha256));
        assert_eq!(seven.sha256, hex_sha256(seven.bytes));
        assert!((0..100).all(|n| contents.of(n).sha256 != contents.of(n + 1).sha256));
    }
}
