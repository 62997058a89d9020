//! A machine outside: a key of its own, the certificate it was given (or that a test forged), and connections with it.

use bytes::Bytes;
use holdfast_common::join_token::JoinToken;
use holdfast_common::secret::Secret;
use holdfast_common::wire::enrolment_client::EnrolmentClient;
use holdfast_common::wire::node_client::NodeClient;
use holdfast_common::wire::{JoinRequest, NodeCertificate, RenewRequest};
use holdfast_controlplane::app::pki::Pki;
use holdfast_controlplane::app::vault::Vault;
use holdfast_controlplane::server::Running;
use holdfast_controlplane::store::Store;
use rcgen::{CertificateParams, KeyPair};
use rustls_pki_types::PrivateKeyDer;
use tonic::Status;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use uuid::Uuid;

use super::unix;
use crate::rig::Db;

pub(super) struct Machine {
    pub(super) node_id: Uuid,
    addr: std::net::SocketAddr,
    ca_pem: String,
    key: KeyPair,
    cert_pem: Option<String>,
}

impl Machine {
    /// It believes the authority that the database holds.
    pub(super) async fn new(db: &Db, running: &Running) -> Self {
        let ca: Vec<u8> = db
            .client()
            .await
            .query_one("SELECT certificate FROM cluster_ca", &[])
            .await
            .expect("an authority")
            .get(0);
        Self::believing(&ca, running)
    }

    pub(super) fn believing(ca: &[u8], running: &Running) -> Self {
        let key = KeyPair::generate().expect("a key");
        Self { node_id: Uuid::nil(), addr: running.grpc_addr, ca_pem: pem(ca), key, cert_pem: None }
    }

    pub(super) fn key(&self) -> &KeyPair {
        &self.key
    }

    /// Shows another's certificate, and has its key.
    pub(super) fn show_pair(&mut self, certificate: &[u8], key: PrivateKeyDer<'static>) {
        self.key = KeyPair::try_from(key.secret_der()).expect("a key");
        self.show(certificate);
    }

    /// Shows this certificate from now on.
    pub(super) fn show(&mut self, certificate: &[u8]) {
        self.cert_pem = Some(pem(certificate));
    }

    pub(super) fn request(&self) -> Bytes {
        let request = CertificateParams::default().serialize_request(&self.key).expect("a request");
        Bytes::copy_from_slice(request.der())
    }

    pub(super) async fn channel(&self) -> Result<Channel, tonic::transport::Error> {
        let mut tls = ClientTlsConfig::new()
            .domain_name("localhost")
            .ca_certificate(Certificate::from_pem(&self.ca_pem));
        if let Some(cert) = &self.cert_pem {
            tls = tls.identity(Identity::from_pem(cert, self.key.serialize_pem()));
        }
        let endpoint =
            Endpoint::from_shared(format!("https://localhost:{}", self.addr.port())).expect("a URL");
        endpoint.tls_config(tls).expect("TLS").connect().await
    }

    pub(super) async fn client(&self) -> Result<NodeClient<Channel>, tonic::transport::Error> {
        self.channel().await.map(NodeClient::new)
    }

    /// Asks to be let in.
    pub(super) async fn ask(&self, token: &JoinToken) -> Result<NodeCertificate, Status> {
        let asked = JoinRequest {
            token_id: Bytes::copy_from_slice(&token.token_id),
            token_secret: Bytes::copy_from_slice(token.secret.expose()),
            csr_der: self.request(),
            node_name: "machine".into(),
        };
        let channel = self.channel().await.expect("a connection");
        EnrolmentClient::new(channel).join(asked).await.map(tonic::Response::into_inner)
    }

    /// Asks, and shows what it was given from then on.
    pub(super) async fn join(&mut self, token: &JoinToken) -> Result<NodeCertificate, Status> {
        let given = self.ask(token).await?;
        self.node_id = given.node_id.parse().expect("a UUID");
        self.show(&given.certificate_der);
        Ok(given)
    }

    /// Asks for the next certificate.
    pub(super) async fn renew(&self) -> Result<NodeCertificate, Status> {
        let channel = self.channel().await.map_err(|error| Status::unknown(format!("{error:?}")))?;
        let asked = RenewRequest { csr_der: self.request() };
        EnrolmentClient::new(channel).renew(asked).await.map(tonic::Response::into_inner)
    }

    /// Why it gets no session: at the handshake, or in words.
    pub(super) async fn refused(&self, hello: holdfast_common::wire::Hello) -> Status {
        let client = match self.client().await {
            Ok(client) => client,
            Err(error) => return Status::unknown(format!("{error:?}")),
        };
        match crate::node::Node::join_by(client, hello).await {
            Err(status) => status,
            Ok(Err(bye)) => Status::aborted(bye.reason),
            Ok(Ok(_)) => panic!("it got a session"),
        }
    }
}

/// The authority of the cluster as whoever has the database and the master key can open it, to forge what it must refuse.
pub(super) async fn forger(db: &Db, cluster: Uuid) -> Pki {
    let store = Store::connect(&db.address()).await.expect("connects");
    let client = store.client().await.expect("a connection");
    let vault = Vault::new(&Secret::new(vec![42; 32])).expect("32 bytes");
    Pki::ensure(&client, &vault, cluster, unix()).await.expect("an authority")
}

pub(super) fn pem(der: &[u8]) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
}
