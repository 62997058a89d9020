use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use holdfast_common::certificate::{Role, Subject};
use holdfast_common::join_token::JoinToken;
use holdfast_common::secret::Secret;
use holdfast_common::wire::enrolment_server::{Enrolment, EnrolmentServer};
use holdfast_common::wire::{JoinRequest, NodeCertificate, RenewRequest};
use rcgen::{
    CertificateParams, CertificateSigningRequestParams, IsCa, Issuer, KeyPair, PublicKeyData, SanType,
};
use ring::digest::{SHA256, digest};
use rustls_pki_types::CertificateSigningRequestDer;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Identity as Shown, Server, ServerTlsConfig};
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::join::join;
use super::{Current, Files, Identity, renew};
use crate::config::Config;

/// A cluster of one control plane that gives to whoever asks.
struct Cluster {
    id: Uuid,
    ca: Vec<u8>,
    issuer: Issuer<'static, KeyPair>,
    /// Seconds of the certificates that nodes get.
    life: u64,
}

const NODE: Uuid = Uuid::from_u128(9);

impl Cluster {
    fn new(life: u64) -> Arc<Self> {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let ca = params.self_signed(&key).expect("an authority").der().to_vec();
        Arc::new(Self { id: Uuid::from_u128(5), ca, issuer: Issuer::new(params, key), life })
    }

    fn sign(&self, role: Role, public: &impl PublicKeyData) -> Vec<u8> {
        let now = crate::rt::unix_ms() / 1000;
        let mut params = CertificateParams::default();
        params.not_before = rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(now - 60);
        let life = if role == Role::ControlPlane { 3600 } else { self.life };
        params.not_after = rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(now + life);
        let subject = Subject { cluster: self.id, role };
        params.subject_alt_names = vec![SanType::URI(subject.to_string().try_into().expect("ASCII"))];
        params.signed_by(public, &self.issuer).expect("a certificate").der().to_vec()
    }

    fn give(&self, request: &[u8]) -> NodeCertificate {
        let request = CertificateSigningRequestParams::from_der(&CertificateSigningRequestDer::from(request));
        let certificate = self.sign(Role::Node(NODE), &request.expect("a request").public_key);
        NodeCertificate {
            node_id: NODE.to_string(),
            cluster_id: Bytes::copy_from_slice(self.id.as_bytes()),
            certificate_der: certificate.into(),
            ca_der: self.ca.clone().into(),
            not_after_ms: 0,
        }
    }

    /// Serves with a certificate of this role, and shows the authority behind it.
    async fn serve(self: &Arc<Self>, role: Role) -> SocketAddr {
        let key = KeyPair::generate().expect("a key");
        let chain =
            [self.sign(role, &key), self.ca.clone()].map(|der| super::files::certificate_pem(&der)).concat();
        let tls = ServerTlsConfig::new().identity(Shown::from_pem(chain, key.serialize_pem()));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let addr = listener.local_addr().expect("an address");
        let router = Server::builder()
            .tls_config(tls)
            .expect("TLS")
            .add_service(EnrolmentServer::new(Gives(self.clone())));
        tokio::spawn(router.serve_with_incoming(TcpIncoming::from(listener)));
        addr
    }

    fn token(&self, addr: SocketAddr) -> String {
        let token = JoinToken {
            cluster: self.id,
            token_id: [1; 16],
            secret: Secret::new(vec![2; 32]),
            ca_sha256: digest(&SHA256, &self.ca).as_ref().try_into().expect("32 bytes"),
            expires_unix: 0,
            control: vec!["https://127.0.0.1:1".to_owned(), format!("https://{addr}")],
        };
        token.to_text().expose_str().expect("text").to_owned()
    }
}

struct Gives(Arc<Cluster>);

#[tonic::async_trait]
impl Enrolment for Gives {
    async fn join(&self, request: Request<JoinRequest>) -> Result<Response<NodeCertificate>, Status> {
        let asked = request.into_inner();
        if asked.node_name == "unwelcome" {
            return Err(Status::permission_denied("the join token was used"));
        }
        Ok(Response::new(self.0.give(&asked.csr_der)))
    }

    async fn renew(&self, request: Request<RenewRequest>) -> Result<Response<NodeCertificate>, Status> {
        Ok(Response::new(self.0.give(&request.into_inner().csr_der)))
    }
}

async fn join_in(dir: &Path, token: &str, name: &'static str) -> Result<super::join::Joined, String> {
    let (dir, token) = (dir.to_owned(), token.to_owned());
    tokio::task::spawn_blocking(move || join(&token, &dir, name)).await.expect("no panic")
}

fn on_many_threads() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

#[test]
fn a_token_becomes_an_identity_in_the_data_directory() {
    let dir = tempfile::tempdir().expect("a directory");
    on_many_threads().block_on(async {
        let cluster = Cluster::new(3600);
        let token = cluster.token(cluster.serve(Role::ControlPlane).await);
        let refused = join_in(dir.path(), &token, "unwelcome").await.expect_err("refused");
        assert!(refused.contains("refuses: the join token was used"), "{refused}");
        // The key that was made then is used now.
        let at = Files::joined(dir.path());
        let key = std::fs::read(&at.key).expect("a key");
        let joined = join_in(dir.path(), &token, "n").await.expect("joined");
        assert_eq!((joined.node_id, joined.cluster), (NODE, cluster.id));
        assert_eq!(std::fs::read(&at.key).expect("a key"), key);
        for file in [&at.key, &at.cert, &at.ca] {
            let mode = std::fs::metadata(file).expect("a file").permissions().mode();
            assert_eq!(mode & 0o077, 0, "{}", file.display());
        }
        let identity = Identity::read(&at).expect("an identity");
        assert_eq!((identity.node_id, identity.cluster), (NODE, cluster.id));
        let again = join_in(dir.path(), &token, "n").await.expect_err("refused");
        assert!(again.contains("already") && again.contains("/identity"), "{again}");
    });
}

#[test]
fn an_impostor_gets_no_secret() {
    let dir = tempfile::tempdir().expect("a directory");
    on_many_threads().block_on(async {
        let (cluster, impostor) = (Cluster::new(3600), Cluster::new(3600));
        let addr = impostor.serve(Role::ControlPlane).await;
        let refused = join_in(dir.path(), &cluster.token(addr), "n").await.expect_err("refused");
        assert!(refused.contains("does not show the authority that the token names"), "{refused}");
        assert!(refused.contains("not spent"), "{refused}");
        // A node of the very cluster is no control plane either.
        let addr = cluster.serve(Role::Node(NODE)).await;
        let refused = join_in(dir.path(), &cluster.token(addr), "n").await.expect_err("refused");
        assert!(refused.contains("not the control plane of cluster"), "{refused}");
    });
    assert!(!Files::joined(dir.path()).cert.exists());
}

#[test]
fn a_certificate_is_renewed_in_its_place_and_who_listens_hears_of_it() {
    let dir = tempfile::tempdir().expect("a directory");
    on_many_threads().block_on(async {
        // Of 62 seconds 60 are over: it is time.
        let short = Cluster::new(2);
        let addr = short.serve(Role::ControlPlane).await;
        join_in(dir.path(), &short.token(addr), "n").await.expect("joined");
        let config = Config { data_dir: dir.path().to_owned(), ..Config::default() };
        let current = Current::open(&config).expect("fits").expect("an identity");
        let before = std::fs::read(&current.files.cert).expect("a certificate");
        let (heard, hears) = std::sync::mpsc::channel();
        current.on_change(Box::new(move |identity| {
            let _ = heard.send(identity.validity);
        }));
        let renewing = tokio::spawn(renew::run(current.clone(), vec![format!("https://{addr}")]));
        let validity = tokio::task::spawn_blocking(move || hears.recv_timeout(Duration::from_secs(60)));
        validity.await.expect("no panic").expect("a new certificate");
        renewing.abort();
        assert_ne!(std::fs::read(&current.files.cert).expect("a certificate"), before);
        assert_eq!(current.get().node_id, NODE);
    });
}

#[test]
fn a_pair_that_does_not_fit_and_another_nodes_certificate_are_not_taken() {
    let dir = tempfile::tempdir().expect("a directory");
    let cluster = Cluster::new(3600);
    let at = Files::joined(dir.path());
    std::fs::create_dir_all(at.cert.parent().expect("a directory")).expect("made");
    let key = KeyPair::generate().expect("a key");
    let lay = |role, public: &KeyPair| {
        let certificate = cluster.sign(role, public);
        super::files::write(&at.cert, super::files::certificate_pem(&certificate).as_bytes())
            .expect("written");
    };
    super::files::write(&at.key, key.serialize_pem().as_bytes()).expect("written");
    super::files::write(&at.ca, super::files::certificate_pem(&cluster.ca).as_bytes()).expect("written");
    lay(Role::ControlPlane, &key);
    assert!(Identity::read(&at).err().expect("refused").contains("does not name a node"));
    lay(Role::Node(NODE), &key);
    let config = Config { data_dir: dir.path().to_owned(), ..Config::default() };
    let current = Current::open(&config).expect("fits").expect("an identity");
    let first = current.get().pair.cert[0].clone();
    lay(Role::Node(NODE), &KeyPair::generate().expect("a key"));
    current.reload_if_changed();
    assert_eq!(current.get().pair.cert[0], first);
    lay(Role::Node(Uuid::from_u128(10)), &key);
    current.reload_if_changed();
    assert_eq!(current.get().pair.cert[0], first);
    lay(Role::Node(NODE), &key);
    current.reload_if_changed();
    assert_ne!(current.get().pair.cert[0], first);
    let secured = Config {
        data_dir: dir.path().join("empty"),
        control_url: vec!["https://10.0.0.1:9100".into()],
        ..Config::default()
    };
    assert!(Current::open(&secured).err().expect("refused").contains("holdfast-dataplane join"));
}
