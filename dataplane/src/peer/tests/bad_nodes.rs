//! Who is no node of ours, or says what no node of ours would.

use std::io::Write as _;
use std::time::Duration;

use holdfast_common::certificate::{Role, Subject};
use holdfast_common::ticket::{Leave, Ticket};
use holdfast_protocol::limits::{PEER_META_BYTES_MAX, RECORD_PAYLOAD_BYTES_MAX};
use holdfast_protocol::peer::{Answer, Denial, Request, Spot, encode};
use holdfast_protocol::record::{PieceCoding, PieceScheme};
use uuid::Uuid;

use super::super::frames::MOST_WAITING;
use super::raw::{answers, beside, connect, frame, hello, sides_of, talk};
use super::rig::{CLUSTER, Ca, NOW_MS, Rig, backend, blob_of, fragment, node_id, piece, ticket_key};
use crate::drives::Drives as _;
use crate::limits::{PEER_GREETING_BYTES_MAX, PEER_REQUESTS_MAX};
use crate::rt::Rt;

const GOOD_YEARS: i32 = 2100;

/// What node 2 answers, one by one, to whoever shows a certificate that names `subject`.
async fn says<R: Rt>(rig: &Rig<R>, subject: Subject, sends: Vec<Vec<u8>>) -> Vec<Answer> {
    let sides = sides_of(&rig.ca.write(rig.dir.path(), subject, GOOD_YEARS));
    let addr = rig.node(2).addr;
    beside::<R, _>(move || talk(addr, &sides, sends)).await
}

fn of_node(n: u32) -> Subject {
    Subject { cluster: CLUSTER, role: Role::Node(node_id(n)) }
}

fn denied(denial: Denial) -> Vec<Answer> {
    vec![Answer::Denied(denial)]
}

pub(super) async fn certificates_that_name_no_node_of_ours_are_refused<R: Rt>() {
    let rig = Rig::<R>::new(2);
    let elsewhere = Subject { cluster: Uuid::from_u128(0xbad), role: Role::Node(node_id(1)) };
    let control = Subject { cluster: CLUSTER, role: Role::ControlPlane };
    let twice = || vec![hello(), frame(3, &Request::Writable, &[])];
    assert_eq!(says(&rig, elsewhere, twice()).await, denied(Denial::OtherCluster));
    assert_eq!(says(&rig, control, twice()).await, denied(Denial::WrongRole));
    assert_eq!(says(&rig, of_node(9), twice()).await, denied(Denial::UnknownNode));
    rig.set_state(2, 1, "revoked");
    assert_eq!(says(&rig, of_node(1), twice()).await, denied(Denial::RevokedNode));
    rig.set_state(2, 1, "active");
    let said = says(&rig, of_node(1), twice()).await;
    assert!(matches!(said[..], [Answer::Welcome { .. }, Answer::Writable { .. }]), "{said:?}");
    // A greeting comes first, once, and of this cluster.
    assert_eq!(
        says(&rig, of_node(1), vec![frame(3, &Request::Writable, &[])]).await,
        denied(Denial::OutOfPlace)
    );
    let other = frame(2, &Request::Hello { cluster: [7; 16] }, &[]);
    assert_eq!(says(&rig, of_node(1), vec![other]).await, denied(Denial::OtherCluster));
    let said = says(&rig, of_node(1), vec![hello(), hello(), hello()]).await;
    assert!(matches!(said[..], [Answer::Welcome { .. }, Answer::Denied(Denial::OutOfPlace)]), "{said:?}");
    rig.stop();
}

pub(super) async fn a_certificate_that_tls_does_not_believe_comes_to_no_greeting<R: Rt>() {
    let rig = Rig::<R>::new(2);
    let (dir, addr) = (rig.dir.path(), rig.node(2).addr);
    let over = sides_of(&rig.ca.write(dir, of_node(1), 2020));
    let mut files = Ca::new().write(dir, of_node(1), GOOD_YEARS);
    // It believes in our CA, and shows a certificate of its own.
    files.ca = rig.ca.write(dir, of_node(1), GOOD_YEARS).ca;
    for sides in [over, sides_of(&files)] {
        let said = beside::<R, _>(move || talk(addr, &sides, vec![hello()])).await;
        assert!(said.is_empty(), "{said:?}");
    }
    // A node that does so itself is told so, and one with a good certificate is served as ever.
    let id = fragment(blob_of(1, 1), 0);
    rig.node(1).fleet.append(backend(2, 0), piece(id, 0, &[1; 10])).await.unwrap();
    rig.stop();
}

pub(super) async fn a_node_that_is_revoked_is_refused_on_its_open_connection<R: Rt>() {
    let rig = Rig::<R>::new(2);
    let (fleet, there) = (&rig.node(1).fleet, backend(2, 0));
    let receipt = fleet.append(there, piece(fragment(blob_of(1, 1), 0), 0, &[1; 10])).await.unwrap();
    rig.set_state(2, 1, "revoked");
    let refused = fleet.append(there, piece(fragment(blob_of(1, 2), 0), 0, &[1; 10])).await.unwrap_err();
    assert!(refused.to_string().contains(&Denial::RevokedNode.to_string()), "{refused}");
    assert_eq!(rig.node(2).drives.stored(None), 1);
    // The connection is closed: nothing of before can be flushed, and no new one is greeted.
    while fleet.flush(there, receipt).await.is_ok() {
        R::sleep(Duration::from_millis(10)).await;
    }
    assert!(fleet.append(there, piece(fragment(blob_of(1, 3), 0), 0, &[1; 10])).await.is_err());
    assert_eq!(rig.node(2).drives.stored(None), 1);
    rig.stop();
}

/// A header that says so many bytes follow.
fn announcing(meta: usize, payload: usize) -> Vec<u8> {
    let mut bytes = encode(12, 3, &[], &[]);
    bytes[8..12].copy_from_slice(&(meta as u32).to_le_bytes());
    bytes[12..16].copy_from_slice(&(payload as u32).to_le_bytes());
    bytes
}

pub(super) async fn frames_that_are_none_are_refused_and_harm_nothing<R: Rt>() {
    let rig = Rig::<R>::new(2);
    let spot = Spot { backend: backend(2, 0).0, id: fragment(blob_of(1, 1), 0), row: 0 };
    let coding = PieceCoding { scheme: PieceScheme::Copies, data: 1, parity: 1, piece_bytes: 4096 };
    let append = |coding| Request::Append {
        spot,
        coding,
        class_id: 0,
        blob_size: 5,
        fields: Vec::new(),
        ticket: Vec::new(),
    };
    let mut changed = frame(3, &append(coding), b"piece");
    *changed.last_mut().unwrap() ^= 1;
    let mut header = frame(3, &append(coding), b"piece");
    header[30] ^= 1;
    let mut newer = frame(3, &Request::Writable, &[]);
    newer[2] = 2;
    for (bytes, denial, goes_on) in [
        (announcing(PEER_META_BYTES_MAX + 1, 0), Denial::TooLong, false),
        (announcing(0, RECORD_PAYLOAD_BYTES_MAX + 1), Denial::TooLong, false),
        (vec![0xee; 24], Denial::Malformed, false),
        (newer, Denial::OtherVersion, false),
        (header, Denial::Checksum, false),
        (changed, Denial::Checksum, true),
        (frame(3, &append(coding), &[]), Denial::Malformed, true),
        (encode(77, 3, &[], &[]), Denial::Malformed, true),
        (encode(4, 3, b"too short", &[]), Denial::Malformed, true),
        (frame(3, &append(PieceCoding { data: 0, ..coding }), b"piece"), Denial::Malformed, true),
        (frame(3, &append(PieceCoding { parity: 99, ..coding }), b"piece"), Denial::Malformed, true),
    ] {
        let said = says(&rig, of_node(1), vec![hello(), bytes, frame(4, &Request::Writable, &[])]).await;
        assert_eq!(said[1], Answer::Denied(denial), "{said:?}");
        assert_eq!(said.len() == 3, goes_on, "{denial}: {said:?}");
    }
    assert_eq!(rig.node(2).drives.stored(None), 0);
    // The same, as it should be.
    let said = says(&rig, of_node(1), vec![hello(), frame(3, &append(coding), b"piece")]).await;
    assert_eq!(said[1], Answer::Appended { failures: 0 });
    let ticket = Ticket {
        peer: node_id(2),
        asker: node_id(1),
        leave: Leave::Read,
        expires_ms: NOW_MS + 3_600_000,
        blobs: vec![spot.id.blob],
    };
    let ticket = ticket.seal(&ticket_key(2));
    let backwards = Request::Read { spot, start: 9, end: 3, ticket };
    let said = says(&rig, of_node(1), vec![hello(), frame(3, &backwards, &[])]).await;
    assert_eq!(said[1], Answer::Denied(Denial::Malformed), "a range that ends before it begins");
    rig.stop();
}

pub(super) async fn what_comes_before_the_greeting_is_refused_once_and_never_received<R: Rt>() {
    let rig = Rig::<R>::new(2);
    // What these announce is not sent: who waited for it would say nothing.
    for announced in [announcing(0, RECORD_PAYLOAD_BYTES_MAX), announcing(PEER_GREETING_BYTES_MAX + 1, 0)] {
        assert_eq!(says(&rig, of_node(1), vec![announced]).await, denied(Denial::OutOfPlace));
    }
    let nonsense = encode(77, 3, &[], &[]);
    assert_eq!(says(&rig, of_node(1), vec![nonsense.clone(), hello()]).await, denied(Denial::Malformed));
    rig.set_state(2, 1, "revoked");
    assert_eq!(says(&rig, of_node(1), vec![nonsense.clone(), hello()]).await, denied(Denial::RevokedNode));
    let sides = sides_of(&rig.ca.write(rig.dir.path(), of_node(1), GOOD_YEARS));
    let addr = rig.node(2).addr;
    let said = beside::<R, _>(move || {
        let mut tls = connect(addr, &sides);
        // It may be closed before all is sent.
        let _ = tls.write_all(&nonsense.repeat(1000)).and_then(|()| tls.flush());
        answers(&mut tls, 1000)
    });
    assert!(said.await.len() <= 1, "what came before the connection was closed, and no more");
    rig.stop();
}

pub(super) async fn a_greeting_that_trickles_is_too_late<R: Rt>() {
    let rig = Rig::<R>::new(2);
    let sides = sides_of(&rig.ca.write(rig.dir.path(), of_node(1), GOOD_YEARS));
    let addr = rig.node(2).addr;
    let said = beside::<R, _>(move || {
        let mut tls = connect(addr, &sides);
        for byte in hello().chunks(4) {
            std::thread::sleep(Duration::from_millis(400));
            if tls.write_all(byte).and_then(|()| tls.flush()).is_err() {
                break;
            }
        }
        answers(&mut tls, 1)
    });
    assert_eq!(said.await, []);
    rig.stop();
}

pub(super) async fn who_reads_no_answers_is_not_received_from<R: Rt>() {
    const READS: usize = 60;
    const NONSENSE: usize = 2000;
    let rig = Rig::<R>::new(2);
    let id = fragment(blob_of(1, 1), 0);
    rig.node(1).fleet.append(backend(2, 0), piece(id, 0, &[1; 256 << 10])).await.unwrap();
    let expires_ms = NOW_MS + 3_600_000;
    let ticket =
        Ticket { peer: node_id(2), asker: node_id(1), leave: Leave::Read, expires_ms, blobs: vec![id.blob] };
    let spot = Spot { backend: backend(2, 0).0, id, row: 0 };
    let ticket = ticket.seal(&ticket_key(2));
    // Answers that no socket has room for, and refusals behind them.
    let read = frame(3, &Request::Read { spot, start: 0, end: 256 << 10, ticket }, &[]);
    let all = [read.repeat(READS), encode(77, 3, &[], &[]).repeat(NONSENSE)].concat();
    let sides = sides_of(&rig.ca.write(rig.dir.path(), of_node(1), GOOD_YEARS));
    let addr = rig.node(2).addr;
    let (go, wait) = flume::bounded::<()>(1);
    let filled = async {
        while MOST_WAITING.get() < PEER_REQUESTS_MAX - 1 {
            R::sleep(Duration::from_millis(5)).await;
        }
        // Whoever received on would do so now.
        R::sleep(Duration::from_millis(200)).await;
        go.send(()).unwrap();
    };
    let talk = beside::<R, _>(move || {
        let mut tls = connect(addr, &sides);
        tls.write_all(&hello()).and_then(|()| tls.flush()).unwrap();
        let welcome = answers(&mut tls, 1);
        tls.write_all(&all).and_then(|()| tls.flush()).unwrap();
        wait.recv().unwrap();
        [welcome, answers(&mut tls, READS + NONSENSE)].concat()
    });
    let (said, ()) = futures_util::future::join(talk, filled).await;
    assert!(MOST_WAITING.get() <= PEER_REQUESTS_MAX, "{} wait", MOST_WAITING.get());
    let count = |what: fn(&Answer) -> bool| said.iter().filter(|answer| what(answer)).count();
    assert_eq!(
        count(|answer| matches!(answer, Answer::Piece { .. })),
        READS,
        "it goes on once they are read"
    );
    assert_eq!(count(|answer| *answer == Answer::Denied(Denial::Malformed)), NONSENSE);
    rig.stop();
}
