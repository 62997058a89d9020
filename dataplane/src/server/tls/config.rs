//! Certificate and key from PEM files, with errors that say what to do.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use parking_lot::{Mutex, RwLock};
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::default_provider;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// Why TLS cannot start.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error(
        "the certificate {path} cannot be read: {why}; it must be PEM, the server's certificate first; \
         try `openssl x509 -in {path} -noout -text`"
    )]
    Certificate { path: PathBuf, why: String },
    #[error(
        "the private key {path} cannot be read: {why}; it must be PEM (PKCS#8, PKCS#1 or SEC1) and readable by this \
         user; try `openssl pkey -in {path} -noout -text`"
    )]
    Key { path: PathBuf, why: String },
    #[error(
        "certificate {cert} and private key {key} do not go together: {why}; compare \
         `openssl x509 -in {cert} -noout -pubkey` with `openssl pkey -in {key} -pubout`"
    )]
    Pair { cert: PathBuf, key: PathBuf, why: String },
}

/// The TLS side of the S3 port (TLS 1.2 and 1.3, HTTP/1.1), and the certificates it shows, which can be loaded again.
///
/// # Errors
/// [`TlsError`], naming the file.
pub fn load(cert: &Path, key: &Path) -> Result<(Arc<ServerConfig>, Arc<Certificates>), TlsError> {
    let certificates = Arc::new(Certificates::load(cert, key)?);
    let provider = Arc::clone(&certificates.provider);
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| certificates.pair(&error))?
        .with_no_client_auth()
        .with_cert_resolver(Arc::<Certificates>::clone(&certificates));
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok((Arc::new(config), certificates))
}

/// The certificate and key that new connections get. Those that are open keep theirs.
#[derive(Debug)]
pub struct Certificates {
    cert: PathBuf,
    key: PathBuf,
    provider: Arc<CryptoProvider>,
    current: RwLock<Arc<CertifiedKey>>,
    /// The files as they were when they were read last, with success or without.
    seen: Mutex<[Option<Stamp>; 2]>,
}

/// What changes when a file is written or replaced: when, how long, and which file it is.
pub(crate) type Stamp = (SystemTime, u64, u64);

impl Certificates {
    fn load(cert: &Path, key: &Path) -> Result<Self, TlsError> {
        let provider = Arc::new(default_provider());
        // Before reading: what is written meanwhile is a change.
        let seen = Mutex::new([cert, key].map(stamp));
        let current = RwLock::new(Arc::new(read_pair(cert, key, &provider)?));
        Ok(Self { cert: cert.to_owned(), key: key.to_owned(), provider, current, seen })
    }

    /// Reads both files again; with an error, what was there stays in use.
    ///
    /// # Errors
    /// [`TlsError`], naming the file.
    pub fn reload(&self) -> Result<(), TlsError> {
        *self.seen.lock() = self.stamps();
        let pair = read_pair(&self.cert, &self.key, &self.provider)?;
        *self.current.write() = Arc::new(pair);
        Ok(())
    }

    /// Reads them again if one has changed since it was read last. `None`: none has. A pair that is being replaced file by
    /// file is broken for a moment and tried again at its next change.
    pub fn reload_if_changed(&self) -> Option<Result<(), TlsError>> {
        let changed = *self.seen.lock() != self.stamps();
        changed.then(|| self.reload())
    }

    fn stamps(&self) -> [Option<Stamp>; 2] {
        [&self.cert, &self.key].map(|path| stamp(path))
    }

    fn pair(&self, error: &rustls::Error) -> TlsError {
        unfit(&self.cert, &self.key, error)
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current.read()))
    }
}

pub(crate) fn stamp(path: &Path) -> Option<Stamp> {
    let file = std::fs::metadata(path).ok()?;
    Some((file.modified().ok()?, file.len(), file.ino()))
}

fn read_pair(cert: &Path, key: &Path, provider: &CryptoProvider) -> Result<CertifiedKey, TlsError> {
    let chain = read_chain(cert)?;
    let private = PrivateKeyDer::from_pem_file(key)
        .map_err(|error| TlsError::Key { path: key.to_owned(), why: error.to_string() })?;
    CertifiedKey::from_der(chain, private, provider).map_err(|error| unfit(cert, key, &error))
}

fn unfit(cert: &Path, key: &Path, error: &rustls::Error) -> TlsError {
    TlsError::Pair { cert: cert.to_owned(), key: key.to_owned(), why: error.to_string() }
}

fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let broken = |why: String| TlsError::Certificate { path: path.to_owned(), why };
    let chain = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| broken(error.to_string()))?;
    if chain.is_empty() { Err(broken("it holds no certificate".to_owned())) } else { Ok(chain) }
}
