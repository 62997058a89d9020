//! The cluster's own certificate authority: ECDSA P-256, made once, its key sealed in the database by the master key.
//!
//! It signs two kinds of certificates, both short-lived and both named by a URI (`holdfast_common::certificate`): a node's,
//! from the public key of its request and nothing else of it, and this process's own, whose key never leaves memory. Nobody
//! is revoked by a list: a certificate ends soon, and whoever holds a database row against it refuses it before.

use std::net::IpAddr;
use std::time::Duration;

use holdfast_common::certificate::{Role, Subject};
use holdfast_common::secret::Secret;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PublicKeyData,
    SanType, SerialNumber,
};
use ring::digest;
use ring::rand::{SecureRandom, SystemRandom};
use rustls_pki_types::{CertificateDer, CertificateSigningRequestDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use uuid::Uuid;

use crate::app::vault::Vault;
use crate::limits::{CA_LIFE, CERTIFICATE_BACKDATE, CSR_BYTES_MAX};
use crate::store::cluster_ca::{self, ClusterCaRow};
use crate::store::{Client, StoreError};

/// What the authority's key is sealed for; no access key id has a `/`.
pub(crate) const CA_SEALED_AS: &str = "cluster/ca";
/// An uncompressed point of P-256.
const P256_POINT_BYTES: usize = 65;

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    #[error(
        "the cluster's authority does not open: the master key is not the one it was sealed with; restore `master_key_file`"
    )]
    DoesNotOpen,
    #[error("the cluster's authority cannot be read from the database: {0}")]
    Store(#[from] StoreError),
    #[error("the certificate request is refused: {0}")]
    Request(&'static str),
    #[error("a certificate cannot be made: {0}")]
    Made(#[from] rcgen::Error),
}

/// The authority, its key in memory.
pub struct Pki {
    cluster: Uuid,
    ca: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and when it ends, unix seconds.
#[derive(Clone, Debug)]
pub struct Issued {
    pub certificate: CertificateDer<'static>,
    pub not_after: u64,
}

impl Pki {
    /// Reads the authority, and makes it on the first start. Two processes that start at once get the same.
    pub async fn ensure(client: &Client, vault: &Vault, cluster: Uuid, now: u64) -> Result<Self, PkiError> {
        let row = match cluster_ca::read(client).await? {
            Some(row) => row,
            None => {
                let fresh = Self::fresh(cluster, now)?;
                let key = Secret::new(fresh.issuer.key().serialize_der());
                let key = vault.seal(CA_SEALED_AS, &key);
                cluster_ca::insert(client, &ClusterCaRow { certificate: fresh.ca.to_vec(), key }).await?;
                cluster_ca::read(client).await?.ok_or(PkiError::DoesNotOpen)?
            }
        };
        let key = vault.open(CA_SEALED_AS, &row.key).map_err(|_| PkiError::DoesNotOpen)?;
        let key = PrivatePkcs8KeyDer::from(key.expose());
        let key = KeyPair::from_pkcs8_der_and_sign_algo(&key, &PKCS_ECDSA_P256_SHA256)?;
        let ca = CertificateDer::from(row.certificate);
        Ok(Self { cluster, ca, issuer: Issuer::new(ca_params(cluster, now), key) })
    }

    /// A new authority, in memory only.
    pub fn fresh(cluster: Uuid, now: u64) -> Result<Self, PkiError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let params = ca_params(cluster, now);
        let ca = params.self_signed(&key)?.der().clone();
        Ok(Self { cluster, ca, issuer: Issuer::new(params, key) })
    }

    /// Certificate of the authority.
    #[must_use]
    pub fn ca(&self) -> &CertificateDer<'static> {
        &self.ca
    }

    /// SHA-256 of [`Self::ca`]: what a join token pins.
    #[must_use]
    pub fn ca_sha256(&self) -> [u8; 32] {
        let digest = digest::digest(&digest::SHA256, &self.ca);
        digest.as_ref().try_into().unwrap_or([0; 32])
    }

    /// A node's certificate. Of the request (PKCS #10, DER) counts the public key, and that whoever asks has the private one.
    pub fn node(&self, node_id: Uuid, request: &[u8], now: u64, life: Duration) -> Result<Issued, PkiError> {
        let public = public_key(request)?;
        let subject = Subject { cluster: self.cluster, role: Role::Node(node_id) };
        let names = vec![SanType::URI(subject.to_string().try_into()?)];
        let usages = vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
        self.sign(&format!("node {node_id}"), names, usages, &public, now, life)
    }

    /// A certificate of the control plane under these names and addresses, its chain with the authority behind it, and its key.
    pub fn control(
        &self,
        names: &[String],
        now: u64,
        life: Duration,
    ) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), PkiError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let subject = Subject { cluster: self.cluster, role: Role::ControlPlane };
        let mut all = vec![SanType::URI(subject.to_string().try_into()?)];
        for name in names {
            all.push(match name.parse::<IpAddr>() {
                Ok(address) => SanType::IpAddress(address),
                Err(_) => SanType::DnsName(name.as_str().try_into()?),
            });
        }
        let usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let issued = self.sign("control plane", all, usages, &key, now, life)?;
        let private = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        Ok((vec![issued.certificate, self.ca.clone()], private))
    }

    fn sign(
        &self,
        common_name: &str,
        names: Vec<SanType>,
        usages: Vec<ExtendedKeyUsagePurpose>,
        public: &impl PublicKeyData,
        now: u64,
        life: Duration,
    ) -> Result<Issued, PkiError> {
        let not_after = now + life.as_secs();
        let mut params = CertificateParams::default();
        params.not_before = rcgen::date_time_ymd(1970, 1, 1) + since_1970(now, CERTIFICATE_BACKDATE);
        params.not_after = rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(not_after);
        params.serial_number = Some(serial_number());
        params.distinguished_name = name(common_name);
        params.subject_alt_names = names;
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = usages;
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(public, &self.issuer)?.der().clone();
        Ok(Issued { certificate, not_after })
    }
}

fn ca_params(cluster: Uuid, now: u64) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.not_before = rcgen::date_time_ymd(1970, 1, 1) + since_1970(now, CERTIFICATE_BACKDATE);
    params.not_after = rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(now) + CA_LIFE;
    params.serial_number = Some(serial_number());
    params.distinguished_name = name(&format!("Holdfast cluster {cluster}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

/// The key of a request that proves its possession. One kind is enough: nodes make their keys themselves.
fn public_key(request: &[u8]) -> Result<rcgen::PublicKey, PkiError> {
    if request.len() > CSR_BYTES_MAX {
        return Err(PkiError::Request("it is too long"));
    }
    let request = CertificateSigningRequestParams::from_der(&CertificateSigningRequestDer::from(request))
        .map_err(|_| PkiError::Request("it cannot be read, or its signature is not of its key"))?;
    let key = request.public_key;
    if *key.algorithm() != PKCS_ECDSA_P256_SHA256 || key.der_bytes().len() != P256_POINT_BYTES {
        return Err(PkiError::Request("its key is not ECDSA P-256"));
    }
    Ok(key)
}

fn name(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    name
}

/// A little before now, for clocks that are behind.
fn since_1970(now: u64, less: Duration) -> Duration {
    Duration::from_secs(now).saturating_sub(less)
}

/// 16 random bytes, positive as RFC 5280 (4.1.2.2) wants it.
fn serial_number() -> SerialNumber {
    let mut bytes = [0; 16];
    SystemRandom::new().fill(&mut bytes).expect("the system has random bytes");
    bytes[0] = bytes[0] & 0x7f | 0x40;
    SerialNumber::from_slice(&bytes)
}

#[cfg(test)]
mod tests {
    use super::{Pki, PkiError};
    use holdfast_common::certificate::{Role, Subject, Validity};
    use rcgen::{CertificateParams, KeyPair};
    use std::time::Duration;

    const NOW: u64 = 1_800_000_000;
    const DAY: Duration = Duration::from_secs(86_400);

    fn request() -> Vec<u8> {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(vec!["evil.example".to_owned()]).expect("params");
        params.is_ca = rcgen::IsCa::NoCa;
        params.serialize_request(&key).expect("a request").der().to_vec()
    }

    #[test]
    fn a_certificate_says_what_the_authority_says_and_nothing_of_the_request() {
        let cluster = uuid::Uuid::from_u128(1);
        let pki = Pki::fresh(cluster, NOW).expect("an authority");
        let node = uuid::Uuid::from_u128(2);
        let issued = pki.node(node, &request(), NOW, DAY).expect("a certificate");
        let subject = Subject::of(&issued.certificate).expect("a name");
        assert_eq!(subject, Subject { cluster, role: Role::Node(node) });
        assert!(!issued.certificate.windows(4).any(|four| four == b"evil"));
        assert_eq!(
            (Validity::of(&issued.certificate).expect("dates").not_after, issued.not_after),
            (NOW + 86_400, NOW + 86_400)
        );
        let names = ["10.0.0.1".to_owned(), "control.example".to_owned()];
        let (chain, _) = pki.control(&names, NOW, DAY).expect("a certificate");
        assert_eq!(Subject::of(&chain[0]).expect("a name").role, Role::ControlPlane);
        assert_eq!(&chain[1], pki.ca());
    }

    #[test]
    fn a_request_that_does_not_prove_its_key_is_refused() {
        let pki = Pki::fresh(uuid::Uuid::from_u128(1), NOW).expect("an authority");
        let good = request();
        let mut forged = good.clone();
        let last = forged.len() - 1;
        forged[last] ^= 1;
        for bad in [forged, good[..last].to_vec(), Vec::new(), vec![0x30; 100_000]] {
            let refused = pki.node(uuid::Uuid::nil(), &bad, NOW, DAY);
            assert!(matches!(refused, Err(PkiError::Request(_))), "{refused:?}");
        }
        let other = KeyPair::generate_for(&rcgen::PKCS_ED25519).expect("a key");
        let other = CertificateParams::default().serialize_request(&other).expect("a request");
        let refused = pki.node(uuid::Uuid::nil(), other.der(), NOW, DAY);
        assert!(matches!(refused, Err(PkiError::Request(why)) if why.contains("P-256")));
    }
}
