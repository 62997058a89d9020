//! TLS with a certificate of our own.

use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::client::{Client, start_with};
use crate::rt::Rt;
use crate::server::tls;

pub(super) struct Identity {
    pub(super) server: Arc<rustls::ServerConfig>,
    pub(super) client: Arc<ClientConfig>,
}

pub(super) fn identity() -> Identity {
    let dir = tempfile::tempdir().unwrap();
    let client = replace(dir.path());
    let (server, _) = tls::load(&dir.path().join("cert.pem"), &dir.path().join("key.pem")).unwrap();
    Identity { server, client }
}

/// Writes a new certificate and key to a directory, and gives the client that believes in no other.
fn replace(dir: &Path) -> Arc<ClientConfig> {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    for (name, pem) in [("cert.pem", made.cert.pem()), ("key.pem", made.signing_key.serialize_pem())] {
        // As renewal tools do it: nobody ever reads half a file.
        std::fs::write(dir.join("new"), pem).unwrap();
        std::fs::rename(dir.join("new"), dir.join(name)).unwrap();
    }
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let client = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(client)
}

type TlsClient = Client<StreamOwned<ClientConnection, TcpStream>>;

fn talk(addr: SocketAddr, client: &Arc<ClientConfig>) -> TlsClient {
    talk_over(TcpStream::connect(addr).unwrap(), client)
}

pub(super) fn talk_over(stream: TcpStream, client: &Arc<ClientConfig>) -> TlsClient {
    let name = ServerName::try_from("localhost").unwrap();
    let session = ClientConnection::new(Arc::clone(client), name).unwrap();
    Client::over(StreamOwned::new(session, stream))
}

fn greets(client: &mut TlsClient) {
    client.send("GET /hello HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(client.answer().body, b"hello");
}

fn believes(addr: SocketAddr, client: &ClientConfig) -> bool {
    let mut stream = TcpStream::connect(addr).unwrap();
    // Who resumes a session looks at no certificate.
    let mut client = client.clone();
    client.resumption = rustls::client::Resumption::disabled();
    let mut session =
        ClientConnection::new(Arc::new(client), ServerName::try_from("localhost").unwrap()).unwrap();
    session.complete_io(&mut stream).is_ok()
}

pub(super) fn certificates_are_replaced_while_serving<R: Rt>() {
    let dir = tempfile::tempdir().unwrap();
    let old = replace(dir.path());
    let (config, certificates) =
        tls::load(&dir.path().join("cert.pem"), &dir.path().join("key.pem")).unwrap();
    let server = start_with::<R>(Some(config), 10);
    let mut open = talk(server.addr(), &old);
    greets(&mut open);
    assert!(certificates.reload_if_changed().is_none());

    let new = replace(dir.path());
    certificates.reload_if_changed().expect("both files are others").unwrap();
    greets(&mut talk(server.addr(), &new));
    assert!(!believes(server.addr(), &old));
    greets(&mut open);

    let unused = replace(dir.path());
    std::fs::write(dir.path().join("key.pem"), "no key").unwrap();
    let why = certificates.reload_if_changed().expect("changed").unwrap_err().to_string();
    assert!(why.contains("openssl pkey"), "{why}");
    assert!(certificates.reload_if_changed().is_none(), "said once");
    assert!(!believes(server.addr(), &unused));
    greets(&mut talk(server.addr(), &new));
}

pub(super) fn tls_carries_requests_both_ways<R: Rt>() {
    let identity = identity();
    let server = start_with::<R>(Some(identity.server), 10);
    let mut client = talk(server.addr(), &identity.client);
    let body: Vec<u8> = (0..3_000_000u32).map(|at| (at % 251) as u8).collect();
    for _ in 0..3 {
        client.send(format!("PUT /echo HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n", body.len()));
        client.send(&body);
        assert!(client.answer().body == body);
        client.send("GET /hello HTTP/1.1\r\nHost: h\r\n\r\nGET /stream/2000000 HTTP/1.1\r\nHost: h\r\n\r\n");
        assert_eq!(client.answer().body, b"hello");
        assert!(client.answer().body == body[..2_000_000]);
        // Long enough that the server waits without a buffer.
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    client.send("GET /hello HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    assert_eq!(client.answer().body, b"hello");
    client.expect_end();
}

pub(super) fn a_clear_text_client_on_tls_is_dropped<R: Rt>() {
    let server = start_with::<R>(Some(identity().server), 10);
    let mut client = Client::connect(server.addr());
    client.send("GET /hello HTTP/1.1\r\nHost: h\r\n\r\n");
    let rest = client.rest();
    assert!(!rest.starts_with(b"HTTP"), "{rest:?}");
}

#[test]
fn unusable_files_are_said_so() {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    std::fs::write(path("cert"), made.cert.pem()).unwrap();
    std::fs::write(path("key"), made.signing_key.serialize_pem()).unwrap();
    std::fs::write(path("other"), rcgen::KeyPair::generate().unwrap().serialize_pem()).unwrap();
    std::fs::write(path("empty"), "").unwrap();
    let sentence = |cert: &str, key: &str| tls::load(&path(cert), &path(key)).unwrap_err().to_string();
    assert!(sentence("missing", "key").contains("openssl x509"));
    assert!(sentence("empty", "key").contains("no certificate"));
    assert!(sentence("cert", "empty").contains("openssl pkey"));
    assert!(sentence("cert", "other").contains("do not go together"));
    assert!(tls::load(&path("cert"), &path("key")).is_ok());
}
