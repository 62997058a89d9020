//! TLS of the node listener: TLS 1.3, a certificate that is replaced while it serves, and callers' certificates, verified when
//! there is one. Whether one is needed, and which, is the gate's business.

use std::sync::Arc;
use std::time::Duration;

use holdfast_common::certificate::{Subject, Validity};
use parking_lot::RwLock;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::default_provider;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use tokio_rustls::TlsAcceptor;

use crate::limits::RENEW_GRACE;

/// Why TLS cannot be served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    #[error("the certificate or key for nodes is not usable: {0}")]
    Pair(rustls::Error),
    #[error("the authorities of nodes' certificates are not usable: {0}")]
    Authorities(String),
    #[error("TLS cannot be set up: {0}")]
    Setup(rustls::Error),
}

/// What callers are shown; those that are connected keep what they saw.
#[derive(Debug)]
pub(crate) struct Shown {
    provider: Arc<CryptoProvider>,
    current: RwLock<Arc<CertifiedKey>>,
}

impl Shown {
    /// # Errors
    /// Chain and key do not go together.
    pub(crate) fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, TlsError> {
        let provider = Arc::new(default_provider());
        let pair = CertifiedKey::from_der(chain, key, &provider).map_err(TlsError::Pair)?;
        Ok(Self { provider, current: RwLock::new(Arc::new(pair)) })
    }

    /// Shows another from now on.
    ///
    /// # Errors
    /// As [`Self::new`]; what was shown before is shown on.
    pub(crate) fn replace(
        &self,
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<(), TlsError> {
        let pair = CertifiedKey::from_der(chain, key, &self.provider).map_err(TlsError::Pair)?;
        *self.current.write() = Arc::new(pair);
        Ok(())
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current.read()))
    }
}

/// An acceptor that believes callers' certificates of these authorities.
///
/// # Errors
/// [`TlsError`].
pub(crate) fn acceptor(
    shown: Arc<Shown>,
    authorities: &[CertificateDer<'static>],
) -> Result<TlsAcceptor, TlsError> {
    let provider = shown.provider.clone();
    let callers = Callers::new(authorities, provider.clone())?;
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(TlsError::Setup)?
        .with_client_cert_verifier(Arc::new(callers))
        .with_cert_resolver(shown);
    config.alpn_protocols = vec![b"h2".to_vec()];
    // A resumed session would not be asked for its certificate again.
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Verifies callers' certificates. One that has ended is let in for a while, so that a node that was switched off can renew
/// it; the gate tells those apart.
#[derive(Debug)]
struct Callers(Arc<dyn ClientCertVerifier>);

impl Callers {
    fn new(authorities: &[CertificateDer<'static>], provider: Arc<CryptoProvider>) -> Result<Self, TlsError> {
        let mut roots = RootCertStore::empty();
        for authority in authorities {
            roots.add(authority.clone()).map_err(|error| TlsError::Authorities(error.to_string()))?;
        }
        let inner = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
            .allow_unauthenticated()
            .build()
            .map_err(|error| TlsError::Authorities(error.to_string()))?;
        Ok(Self(inner))
    }
}

impl ClientCertVerifier for Callers {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.0.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let found = self.0.verify_client_cert(end_entity, intermediates, now);
        let found = match found {
            Err(error) if has_ended(&error) => {
                let ended = Validity::of(end_entity).map_or(0, |validity| validity.not_after);
                if ended + RENEW_GRACE.as_secs() < now.as_secs() {
                    Err(error)
                } else {
                    let then = UnixTime::since_unix_epoch(Duration::from_secs(ended));
                    self.0.verify_client_cert(end_entity, intermediates, then)
                }
            }
            other => other,
        };
        if let Err(error) = &found {
            let name =
                Subject::of(end_entity).map_or_else(|why| why.to_string(), |subject| subject.to_string());
            tracing::warn!(name, %error, "a caller's certificate was refused");
        }
        found
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

fn has_ended(error: &rustls::Error) -> bool {
    use CertificateError::{Expired, ExpiredContext};
    matches!(error, rustls::Error::InvalidCertificate(Expired | ExpiredContext { .. }))
}
