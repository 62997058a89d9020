//! Recovery manifests: what the authority was told of an object, sealed into the object's own fragments, so that a row which
//! the database lost can come back.
//!
//! ```text
//!  0 version u8 (1)    1 node id [16]    17 nonce [12]
//! 29 AES-256-GCM of the protobuf `RecoveryManifest`, its tag behind it; authenticated with it: all before it, and the op id
//! ```
//!
//! A drive that is stolen tells no bucket and no key, and whoever has only drives can put no object into the database. Each
//! node has a key of its own, made from the cluster's root: what a node sealed opens as that node's and no other's. Each
//! blob has a key made from its node's, so that no two manifests share one, however many a node writes.

use prost::Message as _;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hmac;
use uuid::Uuid;

use crate::id::OpId;
use crate::wire::{ObjectMeta, RecoveryManifest};

/// The longest sealed manifest, bytes: a key of 1 KiB, 2 KiB of user metadata, tags and every checksum, and still room in a
/// record's header of 8 KiB for the checksums of the largest piece and an encryption envelope.
pub const MANIFEST_SEALED_BYTES_MAX: usize = 6 << 10;

const VERSION: u8 = 1;
const NODE_AT: usize = 1;
const NONCE_AT: usize = NODE_AT + 16;
const TEXT_AT: usize = NONCE_AT + NONCE_LEN;
const TAG_BYTES: usize = 16;

/// Why a manifest says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    #[error("the recovery manifest is malformed")]
    Malformed,
    #[error("the recovery manifest was not sealed by a node of this cluster for this blob")]
    Forged,
}

/// Seals and opens the manifests of one node; the authority and that node alone have it.
#[derive(Clone)]
pub struct ManifestKey {
    node: Uuid,
    key: hmac::Key,
}

impl std::fmt::Debug for ManifestKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ManifestKey({})", self.node)
    }
}

/// The 32 bytes that a node is given, from the cluster's root.
#[must_use]
pub fn key_of_node(root: &[u8], node: Uuid) -> [u8; 32] {
    let mut name = b"manifest".to_vec();
    name.extend_from_slice(node.as_bytes());
    mac(&hmac::Key::new(hmac::HMAC_SHA256, root), &name)
}

fn mac(key: &hmac::Key, text: &[u8]) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(hmac::sign(key, text).as_ref());
    bytes
}

/// The node that says it sealed this; only [`ManifestKey::open`] proves it. `None`: no version that is known.
#[must_use]
pub fn sealed_by(sealed: &[u8]) -> Option<Uuid> {
    let known = sealed.first() == Some(&VERSION) && sealed.len() >= TEXT_AT + TAG_BYTES;
    known.then(|| Uuid::from_slice(&sealed[NODE_AT..NONCE_AT]).ok()).flatten()
}

impl ManifestKey {
    /// `None` unless the key has 32 bytes.
    #[must_use]
    pub fn new(node: Uuid, key: &[u8]) -> Option<Self> {
        (key.len() == 32).then(|| Self { node, key: hmac::Key::new(hmac::HMAC_SHA256, key) })
    }

    /// Seals it for the blob `op_id`, without what does not fit; at most [`MANIFEST_SEALED_BYTES_MAX`] bytes. `None`: not even
    /// that fits, which no key and bucket name of S3 can bring about.
    #[must_use]
    pub fn seal(&self, op_id: OpId, nonce: [u8; NONCE_LEN], manifest: RecoveryManifest) -> Option<Vec<u8>> {
        let mut text = fitted(manifest)?.encode_to_vec();
        let mut sealed = Vec::with_capacity(TEXT_AT + text.len() + TAG_BYTES);
        sealed.push(VERSION);
        sealed.extend_from_slice(self.node.as_bytes());
        sealed.extend_from_slice(&nonce);
        let aad = Aad::from(authenticated(&sealed, op_id));
        let nonce = Nonce::assume_unique_for_key(nonce);
        self.cipher(op_id).seal_in_place_append_tag(nonce, aad, &mut text).ok()?;
        sealed.extend_from_slice(&text);
        Some(sealed)
    }

    /// What this node sealed for the blob `op_id`.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn open(&self, op_id: OpId, sealed: &[u8]) -> Result<RecoveryManifest, ManifestError> {
        let node = sealed_by(sealed).ok_or(ManifestError::Malformed)?;
        if node != self.node {
            return Err(ManifestError::Forged);
        }
        let (head, text) = sealed.split_at(TEXT_AT);
        let nonce = Nonce::try_assume_unique_for_key(&head[NONCE_AT..]);
        let nonce = nonce.map_err(|_| ManifestError::Malformed)?;
        let mut text = text.to_vec();
        let aad = Aad::from(authenticated(head, op_id));
        let opened = self.cipher(op_id).open_in_place(nonce, aad, &mut text);
        let opened = opened.map_err(|_| ManifestError::Forged)?;
        RecoveryManifest::decode(&*opened).map_err(|_| ManifestError::Malformed)
    }

    fn cipher(&self, op_id: OpId) -> LessSafeKey {
        let key = UnboundKey::new(&AES_256_GCM, &mac(&self.key, &op_id.0));
        LessSafeKey::new(key.expect("a MAC of SHA-256 has the 32 bytes of a key"))
    }
}

fn authenticated(head: &[u8], op_id: OpId) -> Vec<u8> {
    [head, &op_id.0[..]].concat()
}

/// The manifest as far as it fits: first user metadata and tags go, then everything a client said but who may read it.
fn fitted(mut manifest: RecoveryManifest) -> Option<RecoveryManifest> {
    let fits = |manifest: &RecoveryManifest| {
        TEXT_AT + manifest.encoded_len() + TAG_BYTES <= MANIFEST_SEALED_BYTES_MAX
    };
    if fits(&manifest) {
        return Some(manifest);
    }
    manifest.meta_cut = true;
    if let Some(meta) = &mut manifest.meta {
        meta.user.clear();
        meta.tags.clear();
    }
    if !fits(&manifest) {
        let meta = manifest.meta.take().unwrap_or_default();
        let ObjectMeta { checksums, acl, writer_owns, .. } = meta;
        manifest.meta = Some(ObjectMeta { checksums, acl, writer_owns, ..ObjectMeta::default() });
    }
    fits(&manifest).then_some(manifest)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::wire::{Blob, Checksum, Manifest, Pair, Part};

    fn op() -> OpId {
        OpId::of_node(1_700_000_000_000, [3; 10], 7)
    }

    fn key(node: u128) -> ManifestKey {
        let node = Uuid::from_u128(node);
        ManifestKey::new(node, &key_of_node(&[5; 32], node)).expect("32 bytes")
    }

    fn manifest() -> RecoveryManifest {
        let blob = Blob { op_id: op().to_wire(), size: 9, ..Blob::default() };
        let part = Part { blob: Some(blob), md5: Bytes::from_static(&[1; 16]), ..Part::default() };
        RecoveryManifest {
            bucket_id: 4,
            bucket_name: "photos".into(),
            bucket_tenant_id: 1,
            key: Bytes::from_static(b"a/b"),
            tenant_id: 2,
            size: 9,
            etag: "01".repeat(16),
            meta: Some(ObjectMeta { content_type: "text/plain".into(), ..ObjectMeta::default() }),
            manifest: Some(Manifest { parts: vec![part], ..Manifest::default() }),
            backends: vec![1, 2, 3],
            meta_cut: false,
        }
    }

    #[test]
    fn what_a_node_sealed_opens_for_its_blob_under_its_key_and_not_otherwise() {
        let sealed = key(1).seal(op(), [9; 12], manifest()).expect("it fits");
        assert_eq!(sealed_by(&sealed), Some(Uuid::from_u128(1)));
        assert_eq!(key(1).open(op(), &sealed), Ok(manifest()));
        let other = OpId::of_node(1_700_000_000_001, [3; 10], 7);
        assert_eq!(key(1).open(other, &sealed), Err(ManifestError::Forged), "another blob");
        assert_eq!(key(2).open(op(), &sealed), Err(ManifestError::Forged), "another node's key");
        let foreign = ManifestKey::new(Uuid::from_u128(1), &key_of_node(&[6; 32], Uuid::from_u128(1)));
        assert_eq!(foreign.expect("32 bytes").open(op(), &sealed), Err(ManifestError::Forged));
        assert!(!sealed.windows(6).any(|window| window == b"photos"));
    }

    #[test]
    fn no_byte_of_it_may_change_and_none_may_be_missing() {
        let sealed = key(1).seal(op(), [9; 12], manifest()).expect("it fits");
        for at in 0..sealed.len() {
            assert!(key(1).open(op(), &sealed[..at]).is_err(), "cut at {at}");
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(key(1).open(op(), &changed).is_err(), "changed at {at}");
        }
    }

    #[test]
    fn what_does_not_fit_is_left_out_and_said_so() {
        let pair = |n: usize| Pair { name: format!("n{n}"), value: "v".repeat(300) };
        let checksums = vec![Checksum { value: Bytes::from_static(&[7; 4]), ..Checksum::default() }];
        let meta = ObjectMeta {
            user: (0..30).map(pair).collect(),
            tags: (0..10).map(pair).collect(),
            content_type: "text/plain".into(),
            acl: "public-read".into(),
            checksums: checksums.clone(),
            ..ObjectMeta::default()
        };
        let large = RecoveryManifest { meta: Some(meta.clone()), ..manifest() };
        let sealed = key(1).seal(op(), [9; 12], large).expect("cut to fit");
        assert!(sealed.len() <= MANIFEST_SEALED_BYTES_MAX);
        let opened = key(1).open(op(), &sealed).expect("it opens");
        let kept = opened.meta.expect("metadata");
        assert!(opened.meta_cut && kept.user.is_empty() && kept.tags.is_empty());
        assert_eq!((kept.content_type.as_str(), &kept.checksums), ("text/plain", &checksums));

        let meta = ObjectMeta { cache_control: "x".repeat(7000), ..meta };
        let larger = RecoveryManifest { meta: Some(meta), ..manifest() };
        let sealed = key(1).seal(op(), [9; 12], larger).expect("cut to fit");
        let kept = key(1).open(op(), &sealed).expect("it opens").meta.expect("metadata");
        assert_eq!((kept.acl.as_str(), kept.cache_control.as_str()), ("public-read", ""));
    }

    /// Manifests stay readable for ever: such bytes are on drives. Made with another implementation of AES-GCM, by hand.
    #[test]
    fn golden_bytes_of_version_1_open() {
        let sealed = key(1).seal(op(), [9; 12], manifest()).expect("it fits");
        assert_eq!(hex(&sealed), GOLDEN);
        let bytes: Vec<u8> = (0..GOLDEN.len() / 2)
            .map(|at| u8::from_str_radix(&GOLDEN[2 * at..2 * at + 2], 16).expect("hex digits"))
            .collect();
        assert_eq!(key(1).open(op(), &bytes), Ok(manifest()));
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    const GOLDEN: &str = concat!(
        "0100000000000000000000000000000001090909090909090909090909377e22f1cbec473190b34e5fd42dd3c8f71c828d07",
        "bd09dac9b99e3c4f17ff168afcefde53b10541d2e7349c15eb8da1a4bf2f6abeb942a60ec95f85776ab646c4d95fbaee6ba6",
        "a2259ca69ea8c038266175977b2cb7435e781c68793518d187d4683dcca5fd2bf7c0a3ea025058293ef8684eb4917109fbb1",
        "c34a9dd65e3f2c0c25aa5fe1ff",
    );
}
