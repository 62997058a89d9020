//! An operator's own PKI: an authority that signs whatever it is asked to.

use std::time::Duration;

use holdfast_common::certificate::Subject;
use holdfast_common::secret::Secret;
use holdfast_controlplane::server::{GrpcTls, OwnPki, Running, Settings};
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, SanType};

use super::machine::{Machine, pem};
use crate::rig::Db;

pub(super) struct Operator {
    ca: Vec<u8>,
    issuer: Issuer<'static, KeyPair>,
}

impl Operator {
    pub(super) fn new() -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = params.self_signed(&key).expect("an authority").der().to_vec();
        Self { ca, issuer: Issuer::new(params, key) }
    }

    /// Good for serving and for calling.
    pub(super) fn sign(&self, subject: Subject, key: &KeyPair) -> Vec<u8> {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
        params.subject_alt_names.push(SanType::URI(subject.to_string().try_into().expect("ASCII")));
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
        params.signed_by(key, &self.issuer).expect("a certificate").der().to_vec()
    }

    pub(super) fn settings(&self, db: &Db, control: Subject) -> Settings {
        let key = KeyPair::generate().expect("a key");
        let own = OwnPki {
            certificate_pem: pem(&self.sign(control, &key)).into_bytes(),
            key_pem: Secret::from(key.serialize_pem()),
            client_ca_pem: pem(&self.ca).into_bytes(),
        };
        let tls = GrpcTls { own: Some(own), names: vec![], node_certificate: Duration::from_secs(3600) };
        Settings { grpc_tls: Some(tls), ..db.settings(true) }
    }

    /// A machine that believes this authority.
    pub(super) fn machine(&self, running: &Running) -> Machine {
        Machine::believing(&self.ca, running)
    }
}
