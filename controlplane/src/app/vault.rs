//! Seals secrets for the database and opens them again; derives the day signing keys that nodes may have.
//!
//! The master key is outside the database. Whoever has only one of the two has no secret.

use holdfast_common::secret::Secret;
use holdfast_common::wire;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use uuid::Uuid;

use crate::store::access_key::SealedSecret;

/// Version of how secrets are sealed. A rotation of the master key seals all of them anew at once and needs no other.
const KEY_VERSION: i32 = 1;

/// The name that the root of recovery manifests' keys is sealed for: no access key has it, it has too many characters.
pub const MANIFEST_ROOT: &str = "the root of recovery manifests";

/// Letters of access key ids, AWS's: base 32.
const ID_LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
/// Letters of secrets, 64 of them: 40 letters are 240 bits.
const SECRET_LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

pub struct Vault {
    key: LessSafeKey,
    /// Ticket keys of nodes come from it.
    tickets: hmac::Key,
    random: SystemRandom,
}

/// The master key does not fit, or what was sealed was changed.
#[derive(Debug, thiserror::Error)]
#[error("the secret of {0} does not open: the master key is not the one it was sealed with")]
pub struct DoesNotOpen(String);

impl Vault {
    /// `None`: the master key has not 32 bytes.
    #[must_use]
    pub fn new(master_key: &Secret) -> Option<Self> {
        let key = UnboundKey::new(&AES_256_GCM, master_key.expose()).ok()?;
        let tickets = step(master_key.expose(), b"holdfast ticket keys");
        Some(Self {
            key: LessSafeKey::new(key),
            tickets: hmac::Key::new(hmac::HMAC_SHA256, tickets.expose()),
            random: SystemRandom::new(),
        })
    }

    /// What tickets for the fragments of this node are made with: 32 bytes, known to the node and to nobody else, the same
    /// from every control plane of the cluster.
    #[must_use]
    pub fn ticket_key(&self, node_id: Uuid) -> Secret {
        let mut name = b"ticket".to_vec();
        name.extend_from_slice(node_id.as_bytes());
        Secret::new(hmac::sign(&self.tickets, &name).as_ref().to_vec())
    }

    /// Random bytes.
    #[must_use]
    pub fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.random.fill(&mut bytes).expect("the system has random bytes");
        bytes
    }

    /// A fresh access key id: 20 characters, as AWS's.
    #[must_use]
    pub fn fresh_access_key_id(&self) -> String {
        let letters = self.random::<18>().map(|byte| char::from(ID_LETTERS[usize::from(byte & 31)]));
        format!("HF{}", letters.iter().collect::<String>())
    }

    /// A fresh secret: 40 characters, as AWS's.
    #[must_use]
    pub fn fresh_secret(&self) -> Secret {
        Secret::new(self.random::<40>().map(|byte| SECRET_LETTERS[usize::from(byte & 63)]).to_vec())
    }

    /// Sealed for this name and no other: an access key id, or what no access key id can be.
    #[must_use]
    pub fn seal(&self, name: &str, secret: &Secret) -> SealedSecret {
        let nonce = self.random::<NONCE_LEN>();
        let mut text = secret.expose().to_vec();
        self.key
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(name), &mut text)
            .expect("a secret is far shorter than AES-GCM's limit");
        SealedSecret { ciphertext: text, nonce: nonce.to_vec(), version: KEY_VERSION }
    }

    /// # Errors
    /// When it was sealed with another master key or for another name, or was changed since.
    pub fn open(&self, name: &str, sealed: &SealedSecret) -> Result<Secret, DoesNotOpen> {
        let fails = || DoesNotOpen(name.to_owned());
        let nonce = Nonce::try_assume_unique_for_key(&sealed.nonce).map_err(|_| fails())?;
        let mut text = sealed.ciphertext.clone();
        let length = self.key.open_in_place(nonce, Aad::from(name), &mut text).map_err(|_| fails())?.len();
        text.truncate(length);
        Ok(Secret::new(text))
    }
}

/// Signing keys of these days and regions: secret -> date -> region -> "s3" -> "aws4_request" (SigV4).
#[must_use]
pub fn day_keys(secret: &Secret, days: &[u32], regions: &[String]) -> Vec<wire::DayKey> {
    let mut first = b"AWS4".to_vec();
    first.extend_from_slice(secret.expose());
    let first = Secret::new(first);
    let mut keys = Vec::with_capacity(days.len() * regions.len());
    for date in days {
        let of_date = step(first.expose(), date.to_string().as_bytes());
        for region in regions {
            let key = [region.as_str(), "s3", "aws4_request"]
                .iter()
                .fold(of_date.clone(), |key, word| step(key.expose(), word.as_bytes()));
            let key = bytes::Bytes::copy_from_slice(key.expose());
            keys.push(wire::DayKey { date: *date, region: region.clone(), key });
        }
    }
    keys
}

fn step(key: &[u8], word: &[u8]) -> Secret {
    Secret::new(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), word).as_ref().to_vec())
}

#[cfg(test)]
mod tests {
    use super::{Vault, day_keys};
    use holdfast_common::secret::Secret;

    #[test]
    fn sealed_secrets_open_under_their_own_id_and_key_only() {
        let vault = Vault::new(&Secret::new(vec![7; 32])).expect("32 bytes");
        let secret = vault.fresh_secret();
        let sealed = vault.seal("HFA", &secret);
        assert_eq!(vault.open("HFA", &sealed).expect("opens").expose(), secret.expose());
        assert!(vault.open("HFB", &sealed).is_err());
        let other = Vault::new(&Secret::new(vec![8; 32])).expect("32 bytes");
        assert!(other.open("HFA", &sealed).is_err());
        assert!(!sealed.ciphertext.windows(8).any(|window| secret.expose().starts_with(window)));
        assert!(Vault::new(&Secret::new(vec![7; 31])).is_none());
        assert_eq!(vault.fresh_access_key_id().len(), 20);
    }

    #[test]
    fn every_node_has_its_own_ticket_key_and_every_control_plane_the_same() {
        let vault = |byte| Vault::new(&Secret::new(vec![byte; 32])).expect("32 bytes");
        let key = |byte, node| vault(byte).ticket_key(uuid::Uuid::from_u128(node)).expose().to_vec();
        assert_eq!((key(7, 1), key(7, 1).len()), (key(7, 1), 32));
        assert!(key(7, 1) != key(7, 2) && key(7, 1) != key(8, 1));
    }

    /// AWS's published example: docs.aws.amazon.com, "Examples of how to derive a signing key" (region us-east-1, iam)
    /// is for another service; this is the chain of the S3 examples, whose signature is known to need it.
    #[test]
    fn the_chain_signs_aws_s3_example() {
        let secret = Secret::from("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".to_owned());
        let keys = day_keys(&secret, &[20130524], &["us-east-1".to_owned()]);
        let string = "AWS4-HMAC-SHA256\n20130524T000000Z\n20130524/us-east-1/s3/aws4_request\n7344ae5b7ee6c3e7e6b0fe0640412a37625d1fbfff95c48bbb2dc43964946972";
        let tag =
            ring::hmac::sign(&ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &keys[0].key), string.as_bytes());
        assert_eq!(hex::encode(tag), "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
    }
}
