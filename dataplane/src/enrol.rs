//! The node's identity: a certificate that names it, the key to it, and the cluster's authority.
//!
//! `join` spends a token for them and lays them into `DATA_DIR/identity`; an operator's own PKI puts them where
//! `node_cert_file`, `node_key_file` and `cluster_ca_file` say. Either way they are read again when they change, and those
//! of the cluster's authority are renewed by the link thread ([`renew`]).

pub(crate) mod files;
pub mod join;
pub(crate) mod renew;
pub(crate) mod verify;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use holdfast_common::certificate::{Role, Subject, Validity};
use holdfast_common::secret::Secret;
use parking_lot::{Mutex, RwLock};
use rustls::RootCertStore;
use rustls::crypto::ring::default_provider;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tonic::transport::{ClientTlsConfig, Endpoint};
use uuid::Uuid;

use crate::config::{Config, read_secret};
use crate::server::tls::{Stamp, stamp};
use verify::{ControlPlane, Verifier};

/// Where an identity lies.
#[derive(Clone, Debug)]
pub struct Files {
    pub cert: PathBuf,
    pub key: PathBuf,
    pub ca: PathBuf,
    /// Of the operator's own PKI, which renews them.
    pub own: bool,
}

impl Files {
    /// What the configuration names, or what `join` has laid down; `None`: the node has no certificate.
    #[must_use]
    pub fn of(config: &Config) -> Option<Self> {
        if let (Some(cert), Some(key), Some(ca)) =
            (&config.node_cert_file, &config.node_key_file, &config.cluster_ca_file)
        {
            let (cert, key, ca) = (config.path(cert), config.path(key), config.path(ca));
            return Some(Self { cert, key, ca, own: true });
        }
        let joined = Self::joined(&config.data_dir);
        joined.cert.exists().then_some(joined)
    }

    /// Where `join` lays them.
    #[must_use]
    pub fn joined(data_dir: &Path) -> Self {
        let at = |name: &str| data_dir.join("identity").join(name);
        Self { cert: at("node.pem"), key: at("node.key"), ca: at("ca.pem"), own: false }
    }
}

/// An identity that fits together.
pub struct Identity {
    pub node_id: Uuid,
    pub cluster: Uuid,
    pub validity: Validity,
    /// The node's certificate, those that lead from it to the authority, and the key.
    pub(crate) pair: Arc<CertifiedKey>,
    /// The cluster's authorities.
    pub(crate) roots: Arc<RootCertStore>,
    cert_pem: Vec<u8>,
    key_pem: Secret,
}

impl Identity {
    /// Reads and checks the three files.
    ///
    /// # Errors
    /// A sentence that names the file.
    pub fn read(files: &Files) -> Result<Self, String> {
        let cert_pem = std::fs::read(&files.cert).map_err(|error| {
            format!("the node's certificate {} cannot be read: {error}", files.cert.display())
        })?;
        let chain = certificates(&files.cert, &cert_pem)?;
        let ca_pem = std::fs::read(&files.ca).map_err(|error| {
            format!("the cluster's authority {} cannot be read: {error}", files.ca.display())
        })?;
        let mut roots = RootCertStore::empty();
        for authority in certificates(&files.ca, &ca_pem)? {
            roots.add(authority).map_err(|error| {
                format!("the cluster's authority {} cannot be used: {error}", files.ca.display())
            })?;
        }
        let key_pem = read_secret("node_key_file", &files.key).map_err(|error| error.to_string())?;
        let key = PrivateKeyDer::from_pem_slice(key_pem.expose())
            .map_err(|error| format!("{} holds no private key: {error}", files.key.display()))?;
        let pair = CertifiedKey::from_der(chain, key, &default_provider()).map_err(|error| {
            format!("{} and {} do not go together: {error}", files.cert.display(), files.key.display())
        })?;
        let nameless = |why: String| {
            format!(
                "{} does not name a node of a cluster: {why}; it needs the URI holdfast://CLUSTER/node/NODE among its \
                 alternative names",
                files.cert.display()
            )
        };
        let subject = Subject::of(&pair.cert[0]).map_err(|error| nameless(error.to_string()))?;
        let Role::Node(node_id) = subject.role else { return Err(nameless(format!("it names {subject}"))) };
        let validity = Validity::of(&pair.cert[0]).map_err(|error| nameless(error.to_string()))?;
        let (pair, roots) = (Arc::new(pair), Arc::new(roots));
        Ok(Self { node_id, cluster: subject.cluster, validity, pair, roots, cert_pem, key_pem })
    }

    /// The endpoint with this identity, believing only a control plane of this node's cluster.
    ///
    /// # Errors
    /// The key is of a kind that TLS does not know.
    pub fn secure(&self, endpoint: Endpoint) -> Result<Endpoint, tonic::transport::Error> {
        let identity = tonic::transport::Identity::from_pem(&self.cert_pem, self.key_pem.expose());
        let believer = ControlPlane { cluster: self.cluster, roots: Arc::clone(&self.roots) };
        let tls = ClientTlsConfig::new().domain_name(host(&endpoint)).identity(identity);
        endpoint.tls_config_with_verifier(tls, Verifier::new(believer))
    }
}

/// The name that TLS is asked for; an address in brackets is none.
fn host(endpoint: &Endpoint) -> String {
    endpoint.uri().host().unwrap_or_default().trim_matches(['[', ']']).to_owned()
}

/// At least one.
fn certificates(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match all {
        Ok(all) if !all.is_empty() => Ok(all),
        Ok(_) => Err(format!("{} holds no certificate", path.display())),
        Err(error) => Err(format!("{} holds no usable certificate: {error}", path.display())),
    }
}

type Listener = Box<dyn Fn(&Arc<Identity>) + Send>;

/// The identity as it is now, for whoever connects.
pub struct Current {
    pub files: Files,
    identity: RwLock<Arc<Identity>>,
    /// The files as they were when they were read last, with success or without.
    seen: Mutex<[Option<Stamp>; 3]>,
    listeners: Mutex<Vec<Listener>>,
}

impl Current {
    /// Reads what the configuration names; `None`: the node has no certificate.
    ///
    /// # Errors
    /// A sentence for the operator.
    pub fn open(config: &Config) -> Result<Option<Arc<Self>>, String> {
        let Some(files) = Files::of(config) else {
            let secured = config.control_url.iter().find(|url| url.starts_with("https://"));
            return match secured {
                None => Ok(None),
                Some(url) => Err(format!(
                    "`control_url` {url} wants a certificate and this node has none; get one with `holdfast-dataplane join \
                     --token-file FILE --data-dir {}` and a token of `holdfast admin node invite`",
                    config.data_dir.display()
                )),
            };
        };
        let seen = Mutex::new(stamps(&files));
        let identity = Identity::read(&files)?;
        let listeners = Mutex::default();
        Ok(Some(Arc::new(Self { files, identity: RwLock::new(Arc::new(identity)), seen, listeners })))
    }

    #[must_use]
    pub fn get(&self) -> Arc<Identity> {
        self.identity.read().clone()
    }

    /// Is told of each later identity.
    pub fn on_change(&self, listener: Listener) {
        self.listeners.lock().push(listener);
    }

    /// Reads the files again if one has changed; what was there stays in use while they do not fit together, as in the
    /// moment in which they are replaced one by one, and while they name another node.
    pub(crate) fn reload_if_changed(&self) {
        let now = stamps(&self.files);
        if *self.seen.lock() == now {
            return;
        }
        *self.seen.lock() = now;
        match Identity::read(&self.files) {
            Ok(next) if next.node_id == self.get().node_id && next.cluster == self.get().cluster => {
                self.replace(next);
            }
            Ok(next) => tracing::error!(
                node = %next.node_id, cluster = %next.cluster,
                "the new certificate names another node; the one before stays in use"
            ),
            Err(error) => {
                tracing::warn!(%error, "the certificate was not loaded again; the one before stays in use")
            }
        }
    }

    fn replace(&self, next: Identity) {
        let next = Arc::new(next);
        *self.identity.write() = next.clone();
        tracing::info!(not_after = next.validity.not_after, "the node has a new certificate");
        for listener in &*self.listeners.lock() {
            listener(&next);
        }
    }
}

fn stamps(files: &Files) -> [Option<Stamp>; 3] {
    [&files.cert, &files.key, &files.ca].map(|path| stamp(path))
}

#[cfg(test)]
mod tests;
