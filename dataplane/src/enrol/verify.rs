//! Servers that are believed for whom their certificate names and who has signed it, never for a host name: rustls checks the
//! chain, the dates, the usage and the handshake, and a [`Believes`] the rest.
//!
//! The role decides, not the host's name: nodes have certificates of the same authority that are good for serving too, and none
//! of them may pass for the control plane; and a control plane may be reached under any name or address.

use std::fmt::Debug;
use std::sync::Arc;

use holdfast_common::certificate::{Role, Subject};
use parking_lot::Mutex;
use ring::digest::{SHA256, digest};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::ring::default_provider;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::server::ParsedCertificate;
use rustls::{DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use uuid::Uuid;

/// What a server shows of itself in the handshake.
pub(crate) struct Credentials<'a> {
    certificate: &'a CertificateDer<'a>,
    others: &'a [CertificateDer<'a>],
    now: UnixTime,
    algorithms: &'a WebPkiSupportedAlgorithms,
}

impl Credentials<'_> {
    /// Chain, dates and usage are right, and end in one of these authorities.
    pub(crate) fn signed_by(&self, roots: &RootCertStore) -> Result<(), Error> {
        let certificate = ParsedCertificate::try_from(self.certificate)?;
        let algorithms = self.algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&certificate, roots, self.others, self.now, algorithms)
    }

    /// It names the control plane of this cluster.
    fn names_control_plane(&self, cluster: Uuid) -> Result<(), Error> {
        let subject = Subject::of(self.certificate).map_err(|error| Error::General(error.to_string()))?;
        if subject == (Subject { cluster, role: Role::ControlPlane }) {
            return Ok(());
        }
        let why = format!("its certificate names {subject}, not the control plane of cluster {cluster}");
        Err(Error::General(why))
    }
}

/// Decides whether a server is whom one wants to talk to.
pub(crate) trait Believes: Debug + Send + Sync + 'static {
    /// # Errors
    /// Why not.
    fn believes(&self, shown: &Credentials<'_>) -> Result<(), Error>;
}

/// The verifier of a [`Believes`].
#[derive(Debug)]
pub(crate) struct Verifier<B> {
    believer: B,
    algorithms: WebPkiSupportedAlgorithms,
}

impl<B: Believes> Verifier<B> {
    pub(crate) fn new(believer: B) -> Arc<Self> {
        Arc::new(Self { believer, algorithms: default_provider().signature_verification_algorithms })
    }
}

impl<B: Believes> ServerCertVerifier for Verifier<B> {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let algorithms = &self.algorithms;
        let shown = Credentials { certificate: end_entity, others: intermediates, now, algorithms };
        self.believer.believes(&shown).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Believes the control plane of one cluster.
#[derive(Debug)]
pub(super) struct ControlPlane {
    pub(super) cluster: Uuid,
    pub(super) roots: Arc<RootCertStore>,
}

impl Believes for ControlPlane {
    fn believes(&self, shown: &Credentials<'_>) -> Result<(), Error> {
        shown.signed_by(&self.roots)?;
        shown.names_control_plane(self.cluster)
    }
}

/// Believes, of all that a server shows, the one authority whose hash a token carries, and the control plane it has signed.
#[derive(Clone, Debug)]
pub(super) struct Pinned {
    cluster: Uuid,
    ca_sha256: [u8; 32],
    /// The authority, once it was shown.
    found: Arc<Mutex<Option<CertificateDer<'static>>>>,
}

impl Pinned {
    pub(super) fn new(cluster: Uuid, ca_sha256: [u8; 32]) -> Self {
        Self { cluster, ca_sha256, found: Arc::default() }
    }

    /// The authority whose word was taken.
    pub(super) fn authority(&self) -> Option<CertificateDer<'static>> {
        self.found.lock().clone()
    }
}

impl Believes for Pinned {
    fn believes(&self, shown: &Credentials<'_>) -> Result<(), Error> {
        let is_pinned = |der: &&CertificateDer<'_>| digest(&SHA256, der).as_ref() == self.ca_sha256;
        let authority = shown.others.iter().find(is_pinned).ok_or_else(|| {
            Error::General("it does not show the authority that the token names: it is another cluster's, or an impostor".into())
        })?;
        let authority = authority.clone().into_owned();
        let mut roots = RootCertStore::empty();
        roots.add(authority.clone())?;
        shown.signed_by(&roots)?;
        shown.names_control_plane(self.cluster)?;
        *self.found.lock() = Some(authority);
        Ok(())
    }
}
