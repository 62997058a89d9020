//! Digests of bodies: what S3 wants proven (MD5, SHA-256 of the payload, the checksums a client names), one pass over the bytes.
//!
//! A body is digested as it streams by, in any split. MD5 and SHA-256 may be left out and given at the end, because a core
//! hashes the bodies of several requests together, with instructions that this crate does not use.

mod algorithm;
mod body;
pub mod combine;
mod value;

pub use algorithm::{ChecksumAlgorithm, ChecksumSet, UnknownChecksum};
pub use body::{BodyDigests, DigestPlan, Digests, Elsewhere};
pub use value::ChecksumValue;

/// SHA-256 of a complete message in memory (control bodies, canonical requests).
#[must_use]
pub fn sha256(message: &[u8]) -> [u8; 32] {
    let digest = ring::digest::digest(&ring::digest::SHA256, message);
    fixed(digest.as_ref())
}

/// MD5 of a complete message in memory (Content-MD5 of control bodies).
#[must_use]
pub fn md5(message: &[u8]) -> [u8; 16] {
    md5_many::md5(message)
}

/// A digest's bytes as an array; its length is fixed by the algorithm, so another one is our bug.
fn fixed<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().expect("a digest has its algorithm's length")
}

#[cfg(test)]
mod tests;
