//! Proxies in front: what requests are taken to come from, and who is shown the door.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use holdfast_protocol::proxy::TrustedProxies;

use super::client::{Client, Running, start_behind};
use super::tls::{identity, talk_over};
use crate::rt::Rt;
use crate::server::Proxies;

const ORIGIN: &str = "GET /origin HTTP/1.1\r\nHost: h\r\n";

/// From 192.0.2.7:1025 to 10.0.0.9:443, with these records.
fn header(records: &[u8]) -> Vec<u8> {
    let length = u8::try_from(12 + records.len()).unwrap();
    let addresses = [192, 0, 2, 7, 10, 0, 0, 9, 4, 1, 1, 0xbb];
    [b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0", &[length][..], &addresses, records].concat()
}

/// The proxy's own connection: a health check.
const LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";

fn behind(trusted: &str, header_required: bool) -> Proxies {
    Proxies { trusted: TrustedProxies::parse(&[trusted]).unwrap(), header_required }
}

fn with_header<R: Rt>(trusted: &str) -> Running {
    start_behind::<R>(behind(trusted, true), None, 10)
}

pub(super) fn forwarded_headers_count_from_trusted_proxies_alone<R: Rt>() {
    for (trusted, believed) in [("127.0.0.1", true), ("127.0.0.77", false)] {
        let server = start_behind::<R>(behind(trusted, false), None, 10);
        let mut client = Client::connect(server.addr());
        for (lines, expected) in [
            ("", "127.0.0.1 false"),
            ("X-Forwarded-For: 203.0.113.9, 192.0.2.7\r\nX-Forwarded-Proto: https\r\n", "192.0.2.7 true"),
            // What one request said, the next one on its connection does not inherit.
            ("X-Forwarded-For: 192.0.2.8\r\n", "192.0.2.8 false"),
            ("", "127.0.0.1 false"),
        ] {
            client.send(format!("{ORIGIN}{lines}\r\n"));
            let expected = if believed { expected } else { "127.0.0.1 false" };
            assert_eq!(String::from_utf8(client.answer().body).unwrap(), expected, "{lines:?}");
        }
    }
}

pub(super) fn a_proxy_header_names_the_client<R: Rt>() {
    let server = with_header::<R>("127.0.0.0/8");
    for (header, expected) in [
        (header(&[]), "192.0.2.7 false"),
        (header(&[0x20, 0, 5, 1, 0, 0, 0, 0]), "192.0.2.7 true"),
        (LOCAL.to_vec(), "127.0.0.1 false"),
    ] {
        let mut client = Client::connect(server.addr());
        for byte in &header {
            client.send([*byte]);
        }
        for _ in 0..2 {
            client.send(format!("{ORIGIN}\r\n"));
            assert_eq!(String::from_utf8(client.answer().body).unwrap(), expected);
        }
        // The client that the header names is no proxy, and whoever it does not name is not the proxy.
        let mut whole = Client::connect(server.addr());
        let head = format!("{ORIGIN}X-Forwarded-For: 10.1.1.1\r\nConnection: close\r\n\r\n");
        whole.send([&header, head.as_bytes()].concat());
        assert_eq!(String::from_utf8(whole.answer().body).unwrap(), expected);
        whole.expect_end();
    }
}

pub(super) fn a_proxy_header_comes_before_the_handshake<R: Rt>() {
    let identity = identity();
    let server = start_behind::<R>(behind("127.0.0.1", true), Some(identity.server), 10);
    let mut stream = TcpStream::connect(server.addr()).unwrap();
    stream.write_all(&header(&[])).unwrap();
    let mut client = talk_over(stream, &identity.client);
    client.send(format!("{ORIGIN}\r\n"));
    assert_eq!(client.answer().body, b"192.0.2.7 true");
}

pub(super) fn a_connection_without_its_header_is_closed_without_a_word<R: Rt>() {
    let request = format!("{ORIGIN}\r\n");
    let old = [b"PROXY TCP4 192.0.2.7 10.0.0.9 1025 443\r\n", request.as_bytes()].concat();
    let good = [&header(&[]), request.as_bytes()].concat();
    let bad_records = [&header(&[1]), request.as_bytes()].concat();
    for (trusted, sent) in [
        ("127.0.0.1", request.as_bytes()),
        ("127.0.0.1", &old),
        ("127.0.0.1", &bad_records),
        ("127.0.0.1", b""),
        ("127.0.0.1", &good[..20]),
        ("127.0.0.77", &good),
    ] {
        let server = with_header::<R>(trusted);
        let mut stream = TcpStream::connect(server.addr()).unwrap();
        // The server may have closed, with a reset for what it did not read.
        let _ = stream.write_all(sent);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(answer.is_empty(), "{}", answer.escape_ascii());
    }
    let server = with_header::<R>("127.0.0.1");
    let mut client = Client::connect(server.addr());
    client.send(&good);
    assert_eq!(client.answer().body, b"192.0.2.7 false", "the same is answered when all is well");
}
