//! Who this node is to others: certificate, key and the cluster's CA from PEM files, both sides of TLS made from them.
//!
//! TLS checks the chain, the dates and the usage; whom a certificate names is read after the handshake and before anything is
//! sent ([`trust`]), so that a refusal has a type. Host names are not looked at: a node is its id. Sessions are not resumed,
//! because resuming looks at no certificate.

use std::path::PathBuf;
use std::sync::Arc;

use holdfast_common::certificate::{Role, Subject};
use holdfast_protocol::peer::Denial;
use parking_lot::{Mutex, RwLock};
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring::default_provider;
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::{NoServerSessionStorage, ParsedCertificate, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme};
use uuid::Uuid;

use crate::config::Config;
use crate::server::tls::{Stamp, TlsError, read_chain, read_pair, stamp};

/// Why a node cannot talk to others, for the operator.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    #[error(transparent)]
    File(#[from] TlsError),
    #[error(
        "the certificate of this node, {path}, cannot be used: {why}; get a new one with `holdfast-dataplane join`"
    )]
    Certificate { path: PathBuf, why: String },
    #[error(
        "the cluster's CA {path} cannot be used: {why}; it comes with the node's certificate, from `holdfast-dataplane join`"
    )]
    Ca { path: PathBuf, why: String },
}

/// The three files, PEM.
#[derive(Clone, Debug)]
pub struct IdentityFiles {
    pub cert: PathBuf,
    pub key: PathBuf,
    pub ca: PathBuf,
}

impl IdentityFiles {
    /// Those that the configuration names, and where it names none those in `identity/` of the data directory. `None`: it
    /// names none, and there are none.
    #[must_use]
    pub fn of(config: &Config) -> Option<Self> {
        let named = [&config.node_cert_file, &config.node_key_file, &config.cluster_ca_file];
        let home = config.data_dir.join("identity");
        let all = named
            .iter()
            .zip(["node.pem", "node.key", "ca.pem"])
            .map(|(named, name)| named.as_ref().map_or_else(|| home.join(name), |path| config.path(path)));
        let [cert, key, ca]: [PathBuf; 3] = all.collect::<Vec<_>>().try_into().ok()?;
        let wanted = named.iter().any(|named| named.is_some()) || cert.exists();
        wanted.then_some(Self { cert, key, ca })
    }

    fn stamps(&self) -> [Option<Stamp>; 3] {
        [&self.cert, &self.key, &self.ca].map(|path| stamp(path))
    }
}

/// Both sides of TLS between nodes, 1.3 only.
#[derive(Clone, Debug)]
pub struct Sides {
    pub server: Arc<ServerConfig>,
    pub client: Arc<ClientConfig>,
}

/// This node's certificate and what it believes in; new connections get the latest.
#[derive(Debug)]
pub struct PeerIdentity {
    files: IdentityFiles,
    pub cluster: Uuid,
    pub node: Uuid,
    current: RwLock<Sides>,
    /// The files as they were when they were read last, with success or without.
    seen: Mutex<[Option<Stamp>; 3]>,
}

impl PeerIdentity {
    /// Reads the files, which must name `node` of `cluster`.
    ///
    /// # Errors
    /// [`IdentityError`].
    pub fn load(files: IdentityFiles, cluster: Uuid, node: Uuid) -> Result<Self, IdentityError> {
        let seen = Mutex::new(files.stamps());
        let current = RwLock::new(read(&files, cluster, node)?);
        Ok(Self { files, cluster, node, current, seen })
    }

    #[must_use]
    pub fn sides(&self) -> Sides {
        self.current.read().clone()
    }

    /// Reads the files again if one has changed since; `None`: none has. With an error, what was there stays in use.
    pub fn reload_if_changed(&self) -> Option<Result<(), IdentityError>> {
        let stamps = self.files.stamps();
        if std::mem::replace(&mut *self.seen.lock(), stamps) == stamps {
            return None;
        }
        Some(read(&self.files, self.cluster, self.node).map(|sides| *self.current.write() = sides))
    }
}

/// Whom the certificate of the other side names, if it is a node of `cluster`.
///
/// # Errors
/// `OtherCluster`, `WrongRole`.
pub fn trust(certificate: Option<&[u8]>, cluster: Uuid) -> Result<Uuid, Denial> {
    let subject = certificate.and_then(|der| Subject::of(der).ok()).ok_or(Denial::WrongRole)?;
    match subject.role {
        _ if subject.cluster != cluster => Err(Denial::OtherCluster),
        Role::Node(node) => Ok(node),
        Role::ControlPlane => Err(Denial::WrongRole),
    }
}

fn read(files: &IdentityFiles, cluster: Uuid, node: Uuid) -> Result<Sides, IdentityError> {
    let provider = Arc::new(default_provider());
    let pair = read_pair(&files.cert, &files.key, &provider)?;
    let unfit = |why: String| IdentityError::Certificate { path: files.cert.clone(), why };
    let subject = pair.cert.first().map(|der| Subject::of(der)).transpose();
    let subject = subject.map_err(|error| unfit(error.to_string()))?;
    let wanted = Subject { cluster, role: Role::Node(node) };
    if subject != Some(wanted) {
        let named = subject.map_or_else(|| "nobody".to_owned(), |subject| subject.to_string());
        return Err(unfit(format!("it names {named}, and this node is {wanted}")));
    }
    let ca = |why: String| IdentityError::Ca { path: files.ca.clone(), why };
    let mut roots = RootCertStore::empty();
    for certificate in read_chain(&files.ca)? {
        roots.add(certificate).map_err(|error| ca(error.to_string()))?;
    }
    sides(Arc::new(pair), Arc::new(roots), &provider).map_err(ca)
}

pub(super) fn sides(
    pair: Arc<CertifiedKey>,
    roots: Arc<RootCertStore>,
    provider: &Arc<CryptoProvider>,
) -> Result<Sides, String> {
    let shown = Arc::new(SingleCertAndKey::from(pair));
    let versions = &[&rustls::version::TLS13];
    let clients = WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(provider))
        .build()
        .map_err(|error| error.to_string())?;
    let mut server = ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(versions)
        .map_err(|error| error.to_string())?
        .with_client_cert_verifier(clients)
        .with_cert_resolver(Arc::<SingleCertAndKey>::clone(&shown));
    server.session_storage = Arc::new(NoServerSessionStorage {});
    server.send_tls13_tickets = 0;
    let algorithms = provider.signature_verification_algorithms;
    let mut client = ClientConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(versions)
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(ChainOnly { roots, algorithms }))
        .with_client_cert_resolver(shown);
    client.resumption = Resumption::disabled();
    client.enable_sni = false;
    Ok(Sides { server: Arc::new(server), client: Arc::new(client) })
}

/// Chain, dates and usage of a server's certificate, as rustls checks them, without its host name.
#[derive(Debug)]
struct ChainOnly {
    roots: Arc<RootCertStore>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for ChainOnly {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let certificate = ParsedCertificate::try_from(end_entity)?;
        rustls::client::verify_server_cert_signed_by_trust_anchor(
            &certificate,
            &self.roots,
            intermediates,
            now,
            self.algorithms.all,
        )?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, cert, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
