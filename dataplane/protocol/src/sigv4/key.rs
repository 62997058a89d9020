//! Day signing keys and where they come from.

use crate::access::KeyIdentity;
use ring::hmac;
use std::sync::{Arc, LazyLock};
use zeroize::Zeroizing;

/// The key of one access key for one day and region, ready to sign: the end of the chain
/// secret -> date -> region -> "s3" -> "aws4_request". Made once per snapshot, because making it costs two SHA-256 blocks.
#[derive(Clone)]
pub struct SigningKey(hmac::Key);

impl SigningKey {
    #[must_use]
    pub fn new(day_key: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, day_key))
    }

    /// The key that unknown access keys are checked with, so that they cost what known ones do.
    pub(super) fn nobody() -> &'static Self {
        static NOBODY: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::new(&[0x5a; 32]));
        &NOBODY
    }

    /// The HMAC that a claim of `keys` is held against; there is no other way to one, so a source that counts counts all.
    pub(super) fn sign_for(&self, keys: &impl KeySource, message: &[u8]) -> [u8; 32] {
        keys.signs();
        self.sign(message)
    }

    /// For the chunks of a body whose head was proven.
    pub(super) fn sign_chunk(&self, message: &[u8]) -> [u8; 32] {
        self.sign(message)
    }

    fn sign(&self, message: &[u8]) -> [u8; 32] {
        let tag = hmac::sign(&self.0, message);
        tag.as_ref().try_into().expect("HMAC-SHA256 has 32 bytes")
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SigningKey(..)")
    }
}

/// A node's snapshot of keys.
pub trait KeySource {
    /// The signing key of an access key for a day (yyyymmdd, UTC) and region. Must not take longer for a known key.
    fn signing_key(&self, access_key_id: &str, day: u32, region: &str) -> KeyLookup<'_>;

    /// Told of every HMAC that is computed to hold a claim against: for whoever counts them.
    fn signs(&self) {}
}

/// What a [`KeySource`] knows.
#[derive(Clone, Copy, Debug)]
pub enum KeyLookup<'a> {
    Found {
        key: &'a SigningKey,
        identity: &'a Arc<KeyIdentity>,
    },
    /// The access key is known, but this node has no key for the day: too old, or the authority has not sent it yet.
    NoKeyForDay {
        identity: &'a Arc<KeyIdentity>,
    },
    NoSuchKey,
}

/// Derives a day signing key from a secret. For whoever holds secrets: the control plane, clients, tests; never a node.
#[must_use]
pub fn derive_day_key(secret: &[u8], day: u32, region: &str) -> Zeroizing<[u8; 32]> {
    let mut first = Zeroizing::new(Vec::with_capacity(4 + secret.len()));
    first.extend_from_slice(b"AWS4");
    first.extend_from_slice(secret);
    let mut key = step(&first, format!("{day:08}").as_bytes());
    for message in [region.as_bytes(), b"s3", b"aws4_request"] {
        key = step(&*key, message);
    }
    key
}

fn step(key: &[u8], message: &[u8]) -> Zeroizing<[u8; 32]> {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message);
    Zeroizing::new(tag.as_ref().try_into().expect("HMAC-SHA256 has 32 bytes"))
}
