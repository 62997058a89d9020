//! Certificate and key from PEM files, with errors that say what to do.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring::default_provider;
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

/// The TLS side of the S3 port: TLS 1.2 and 1.3, HTTP/1.1.
///
/// # Errors
/// [`TlsError`], naming the file.
pub fn load(cert: &Path, key: &Path) -> Result<Arc<ServerConfig>, TlsError> {
    let chain = read_chain(cert)?;
    let private = PrivateKeyDer::from_pem_file(key)
        .map_err(|error| TlsError::Key { path: key.to_owned(), why: error.to_string() })?;
    let pair = |error: rustls::Error| TlsError::Pair {
        cert: cert.to_owned(),
        key: key.to_owned(),
        why: error.to_string(),
    };
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(pair)?
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .map_err(pair)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let broken = |why: String| TlsError::Certificate { path: path.to_owned(), why };
    let chain = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| broken(error.to_string()))?;
    if chain.is_empty() { Err(broken("it holds no certificate".to_owned())) } else { Ok(chain) }
}
