//! The wire by hand: blocking TLS on a thread of its own, so that a check can say what no node of ours would.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use holdfast_protocol::peer::{Answer, FRAME_HEADER_BYTES, Header, Request, encode};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::CertifiedKey;
use rustls::{ClientConnection, RootCertStore, ServerConnection, StreamOwned};

use super::super::Sides;
use super::super::identity::sides;
use super::rig::CLUSTER;
use crate::enrol::Files;
use crate::rt::Rt;

/// Both sides of TLS with any certificate, whomever it names.
pub(super) fn sides_of(files: &Files) -> Sides {
    let certificate = |path| CertificateDer::from_pem_file(path).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(certificate(&files.ca)).unwrap();
    let key = PrivateKeyDer::from_pem_file(&files.key).unwrap();
    let pair = CertifiedKey::from_der(vec![certificate(&files.cert)], key, &default_provider()).unwrap();
    sides(Arc::new(pair), Arc::new(roots)).unwrap()
}

/// Runs a blocking call beside the core.
pub(super) async fn beside<R: Rt, T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, result) = flume::bounded(1);
    std::thread::spawn(move || done.send(call()));
    loop {
        if let Ok(value) = result.try_recv() {
            return value;
        }
        assert!(!result.is_disconnected(), "the call panicked");
        R::sleep(Duration::from_millis(2)).await;
    }
}

/// A frame of a request.
pub(super) fn frame(id: u32, request: &Request, payload: &[u8]) -> Vec<u8> {
    let (kind, meta) = request.encode();
    [&encode(kind, id, &meta, payload), payload].concat()
}

pub(super) fn hello() -> Vec<u8> {
    frame(2, &Request::Hello { cluster: *CLUSTER.as_bytes() }, &[])
}

/// Connects, sends each of `sends` and waits for one answer after each; fewer answers when the connection is closed.
pub(super) fn talk(addr: SocketAddr, sides: &Sides, sends: Vec<Vec<u8>>) -> Vec<Answer> {
    let stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let name = ServerName::try_from("node").unwrap();
    let session = ClientConnection::new(Arc::clone(&sides.client), name).unwrap();
    let mut tls = StreamOwned::new(session, stream);
    let mut answers = Vec::new();
    for bytes in sends {
        if tls.write_all(&bytes).and_then(|()| tls.flush()).is_err() {
            break;
        }
        match read_frame(&mut tls) {
            Some((header, meta, payload)) => {
                answers.push(Answer::decode(header.kind, &meta, payload.len()).expect("an answer"));
            }
            None => break,
        }
    }
    answers
}

/// The next frame; `None` at the end, however it came.
pub(super) fn read_frame(from: &mut impl Read) -> Option<(Header, Vec<u8>, Vec<u8>)> {
    let mut head = [0; FRAME_HEADER_BYTES];
    from.read_exact(&mut head).ok()?;
    let header = Header::parse(&head).ok()?;
    let mut rest = vec![0; (header.meta_len + header.payload_len) as usize];
    from.read_exact(&mut rest).ok()?;
    let payload = rest.split_off(header.meta_len as usize);
    header.check_meta(&rest).ok()?;
    Some((header, rest, payload))
}

/// A server of one's own making. It answers the greeting, and then each request with what `say` says, until that is `None`:
/// from then on it is silent. It tells how many connections came.
pub(super) fn serve_raw(
    sides: Sides,
    node: [u8; 16],
    say: impl Fn(u32) -> Option<Vec<u8>> + Send + Sync + 'static,
) -> (SocketAddr, Arc<std::sync::atomic::AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let (count, say) = (Arc::new(std::sync::atomic::AtomicUsize::new(0)), Arc::new(say));
    let counted = Arc::clone(&count);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            counted.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            let (sides, say) = (sides.clone(), Arc::clone(&say));
            std::thread::spawn(move || answer(stream.unwrap(), &sides, node, &*say));
        }
    });
    (addr, count)
}

fn answer(stream: TcpStream, sides: &Sides, node: [u8; 16], say: &dyn Fn(u32) -> Option<Vec<u8>>) {
    let session = ServerConnection::new(Arc::clone(&sides.server)).unwrap();
    let mut tls = StreamOwned::new(session, stream);
    while let Some((header, meta, payload)) = read_frame(&mut tls) {
        let said = match Request::decode(header.kind, &meta, payload.len()) {
            Ok(Request::Hello { cluster }) => {
                let (kind, meta) = Answer::Welcome { cluster, node }.encode();
                Some(encode(kind, header.id, &meta, &[]))
            }
            _ => say(header.id),
        };
        if let Some(said) = said
            && tls.write_all(&said).and_then(|()| tls.flush()).is_err()
        {
            return;
        }
    }
}
