//! Who this node is to others: both sides of TLS made of its certificate, key and the cluster's CA.
//!
//! TLS checks the chain, the dates and the usage; whom a certificate names is read after the handshake and before anything is
//! sent ([`trust`]), so that a refusal has a type. Host names are not looked at: a node is its id. Sessions are not resumed,
//! because resuming looks at no certificate.

use std::sync::Arc;

use holdfast_common::certificate::{Role, Subject};
use holdfast_protocol::peer::Denial;
use parking_lot::RwLock;
use rustls::client::Resumption;
use rustls::crypto::ring::default_provider;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use uuid::Uuid;

use crate::enrol;
use crate::enrol::verify::{Believes, Credentials, Verifier};

/// Both sides of TLS between nodes, 1.3 only.
#[derive(Clone, Debug)]
pub struct Sides {
    pub server: Arc<ServerConfig>,
    pub client: Arc<ClientConfig>,
}

/// This node's certificate and what it believes in; new connections get the latest.
#[derive(Debug)]
pub struct PeerIdentity {
    pub cluster: Uuid,
    pub node: Uuid,
    current: RwLock<Sides>,
}

impl PeerIdentity {
    /// # Errors
    /// A sentence of rustls: it can do nothing with the authorities.
    pub fn new(identity: &enrol::Identity) -> Result<Self, String> {
        let current = RwLock::new(sides_of(identity)?);
        Ok(Self { cluster: identity.cluster, node: identity.node_id, current })
    }

    #[must_use]
    pub fn sides(&self) -> Sides {
        self.current.read().clone()
    }

    /// New connections get this from now on; with an error, what was there stays in use.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn renew(&self, identity: &enrol::Identity) -> Result<(), String> {
        *self.current.write() = sides_of(identity)?;
        Ok(())
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

fn sides_of(identity: &enrol::Identity) -> Result<Sides, String> {
    sides(Arc::clone(&identity.pair), Arc::clone(&identity.roots))
}

pub(super) fn sides(pair: Arc<CertifiedKey>, roots: Arc<RootCertStore>) -> Result<Sides, String> {
    let provider = Arc::new(default_provider());
    let shown = Arc::new(SingleCertAndKey::from(pair));
    let versions = &[&rustls::version::TLS13];
    let clients = WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider))
        .build()
        .map_err(|error| error.to_string())?;
    let mut server = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)
        .map_err(|error| error.to_string())?
        .with_client_cert_verifier(clients)
        .with_cert_resolver(Arc::<SingleCertAndKey>::clone(&shown));
    server.session_storage = Arc::new(NoServerSessionStorage {});
    server.send_tls13_tickets = 0;
    let mut client = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(Verifier::new(OfTheCluster { roots }))
        .with_client_cert_resolver(shown);
    client.resumption = Resumption::disabled();
    client.enable_sni = false;
    Ok(Sides { server: Arc::new(server), client: Arc::new(client) })
}

/// Believes whoever the cluster's authority has signed: [`trust`] asks later who that is.
#[derive(Debug)]
struct OfTheCluster {
    roots: Arc<RootCertStore>,
}

impl Believes for OfTheCluster {
    fn believes(&self, shown: &Credentials<'_>) -> Result<(), rustls::Error> {
        shown.signed_by(&self.roots)
    }
}
