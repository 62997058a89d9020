//! TLS with a certificate of our own.

use std::net::TcpStream;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::client::{Client, start_with};
use crate::rt::Rt;
use crate::server::tls;

struct Identity {
    server: Arc<rustls::ServerConfig>,
    client: Arc<ClientConfig>,
}

fn identity() -> Identity {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let (cert, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let client = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Identity { server: tls::load(&cert, &key).unwrap(), client: Arc::new(client) }
}

pub(super) fn tls_carries_requests_both_ways<R: Rt>() {
    let identity = identity();
    let server = start_with::<R>(Some(identity.server), 10);
    let stream = TcpStream::connect(server.addr()).unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let session = ClientConnection::new(identity.client, name).unwrap();
    let mut client = Client::over(StreamOwned::new(session, stream));
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
