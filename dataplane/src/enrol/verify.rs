//! Whom a node believes: a certificate that an authority of its cluster has signed and that names the control plane.
//!
//! The role decides, not the host's name: nodes have certificates of the same authority that are good for serving too, and none
//! of them may pass for the control plane; and a control plane may be reached under any name or address.

use std::sync::Arc;

use holdfast_common::certificate::{Role, Subject};
use parking_lot::Mutex;
use ring::digest::{SHA256, digest};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::ring::default_provider;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::server::ParsedCertificate;
use rustls::{DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use uuid::Uuid;

/// Believes the control plane of one cluster.
#[derive(Debug)]
pub(super) struct ControlPlane {
    cluster: Uuid,
    roots: RootCertStore,
    provider: CryptoProvider,
}

impl ControlPlane {
    /// An authority that cannot be used is left out: what it signed is not believed.
    pub(super) fn new(cluster: Uuid, authorities: &[CertificateDer<'static>]) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(authorities.iter().cloned());
        Self { cluster, roots, provider: default_provider() }
    }
}

impl ServerCertVerifier for ControlPlane {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let parsed = ParsedCertificate::try_from(end_entity)?;
        let algorithms = self.provider.signature_verification_algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&parsed, &self.roots, intermediates, now, algorithms)?;
        let subject = Subject::of(end_entity).map_err(|error| Error::General(error.to_string()))?;
        if subject != (Subject { cluster: self.cluster, role: Role::ControlPlane }) {
            let wanted = self.cluster;
            let why = format!("its certificate names {subject}, not the control plane of cluster {wanted}");
            return Err(Error::General(why));
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Believes, of all that a server shows, the one authority whose hash a token carries, and the control plane it has signed.
#[derive(Debug)]
pub(super) struct Pinned {
    cluster: Uuid,
    ca_sha256: [u8; 32],
    provider: CryptoProvider,
    /// The authority, once it was shown.
    found: Mutex<Option<CertificateDer<'static>>>,
}

impl Pinned {
    pub(super) fn new(cluster: Uuid, ca_sha256: [u8; 32]) -> Arc<Self> {
        Arc::new(Self { cluster, ca_sha256, provider: default_provider(), found: Mutex::default() })
    }

    /// The authority whose word was taken.
    pub(super) fn authority(&self) -> Option<CertificateDer<'static>> {
        self.found.lock().clone()
    }
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let is_pinned = |der: &&CertificateDer<'_>| digest(&SHA256, der).as_ref() == self.ca_sha256;
        let authority = intermediates.iter().find(is_pinned).ok_or_else(|| {
            Error::General("it does not show the authority that the token names: it is another cluster's, or an impostor".into())
        })?;
        let authority = authority.clone().into_owned();
        let believes = ControlPlane::new(self.cluster, std::slice::from_ref(&authority));
        let verified =
            believes.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)?;
        *self.found.lock() = Some(authority);
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
