//! TLS to PostgreSQL: the server's certificate is checked against a CA and the host name, always.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, pem::PemObject};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::server::StartError;

/// Where Debian keeps the certificates that the system believes.
const SYSTEM_CA_FILE: &str = "/etc/ssl/certs/ca-certificates.crt";

pub(crate) fn connector(ca_file: Option<&Path>) -> Result<MakeRustlsConnect, StartError> {
    let path = ca_file.unwrap_or(Path::new(SYSTEM_CA_FILE));
    let sentence = |cause: String| {
        StartError::Database(format!(
            "the certificates to check PostgreSQL against cannot be read from {}: {cause}; name them with \
             `database_ca_file`",
            path.display()
        ))
    };
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| sentence(error.to_string()))? {
        let certificate = certificate.map_err(|error| sentence(error.to_string()))?;
        // A system bundle may hold one that rustls cannot use; the rest still count.
        if let Err(error) = roots.add(certificate) {
            tracing::debug!(%error, "a CA certificate was skipped");
        }
    }
    if roots.is_empty() {
        return Err(sentence("no certificate in it".into()));
    }
    let config =
        rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| sentence(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}
