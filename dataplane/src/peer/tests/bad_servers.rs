//! Who answers as no node of ours would, or not at all.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use holdfast_common::certificate::{Role, Subject};
use holdfast_protocol::peer::{Answer, encode};
use uuid::Uuid;

use super::raw::{serve_raw, sides_of};
use super::rig::{CLUSTER, Rig, backend, blob_of, fragment, node_id, piece};
use crate::drives::{DriveError, Drives as _};
use crate::rt::Rt;

const NODE: u32 = 3;

/// Puts a server that says what `say` says where node 3 should be.
fn replace<R: Rt>(
    rig: &mut Rig<R>,
    subject: Subject,
    say: impl Fn(u32) -> Option<Vec<u8>> + Send + Sync + 'static,
) -> Arc<std::sync::atomic::AtomicUsize> {
    let sides = sides_of(&rig.ca.write(rig.dir.path(), subject, 2100));
    let (addr, connections) = serve_raw(sides, *node_id(NODE).as_bytes(), say);
    rig.move_node(NODE, addr);
    connections
}

fn right() -> Subject {
    Subject { cluster: CLUSTER, role: Role::Node(node_id(NODE)) }
}

/// A frame of an answer, with a payload that may be another than its checksum is of.
fn said(id: u32, answer: &Answer, summed: &[u8], sent: &[u8]) -> Option<Vec<u8>> {
    let (kind, meta) = answer.encode();
    Some([&encode(kind, id, &meta, summed), sent].concat())
}

pub(super) async fn a_server_that_lies_is_not_believed<R: Rt>() {
    type Say = fn(u32) -> Option<Vec<u8>>;
    const PIECE: Answer = Answer::Piece { payload_len: 10 };
    let lies: [(&str, Say); 5] = [
        ("a false checksum", |id| said(id, &PIECE, b"0123456789", b"0123456780")),
        ("another length", |id| said(id, &PIECE, b"012345678", b"012345678")),
        ("something else", |id| said(id, &Answer::Done, &[], &[])),
        ("garbage", |_| Some(vec![0xee; 1000])),
        ("an answer that makes no sense", |id| Some(encode(200, id, b"x", &[]))),
    ];
    for (what, say) in lies {
        let mut rig = Rig::<R>::new(1);
        replace(&mut rig, right(), say);
        let id = fragment(blob_of(1, 1), 0);
        let read = rig.node(1).fleet.read_here(backend(NODE, 0), id, 0).await;
        assert!(matches!(read, Err(DriveError::Rotten(_))), "{what}: {read:?}");
        rig.stop();
    }
}

pub(super) async fn a_server_that_is_another_is_told_nothing<R: Rt>() {
    for subject in [
        Subject { cluster: CLUSTER, role: Role::Node(node_id(2)) },
        Subject { cluster: CLUSTER, role: Role::ControlPlane },
        Subject { cluster: Uuid::from_u128(0xbad), role: Role::Node(node_id(NODE)) },
    ] {
        let mut rig = Rig::<R>::new(1);
        let told = Arc::new(AtomicBool::new(false));
        let tell = Arc::clone(&told);
        replace(&mut rig, subject, move |_| {
            tell.store(true, Ordering::SeqCst);
            None
        });
        let id = fragment(blob_of(1, 1), 0);
        let refused = rig.node(1).fleet.append(backend(NODE, 0), piece(id, 0, &[1; 10])).await.unwrap_err();
        assert!(refused.to_string().contains("not who it should be"), "{refused}");
        assert!(!told.load(Ordering::SeqCst));
        rig.stop();
    }
}

pub(super) async fn a_server_that_says_nothing_costs_its_askers_once<R: Rt>() {
    let mut rig = Rig::<R>::new(1);
    // The kernel accepts for it; nobody shakes hands.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    rig.move_node(NODE, silent.local_addr().unwrap());
    let (fleet, id) = (&rig.node(1).fleet, fragment(blob_of(1, 1), 0));
    for _ in 0..50 {
        assert!(fleet.append(backend(NODE, 0), piece(id, 0, &[1; 10])).await.is_err());
    }
    silent.set_nonblocking(true).unwrap();
    let mut connections = 0;
    while silent.accept().is_ok() {
        connections += 1;
    }
    // The others failed at once; on a machine that is very slow a pause may be over meanwhile.
    assert!((1..10).contains(&connections), "{connections} of 50 waited");
    rig.stop();
}

pub(super) async fn a_server_that_stops_answering_fails_what_waits<R: Rt>() {
    let mut rig = Rig::<R>::new(1);
    let connections = replace(&mut rig, right(), |_| None);
    let (fleet, there) = (&rig.node(1).fleet, backend(NODE, 0));
    let append = |n| fleet.append(there, piece(fragment(blob_of(1, n), 0), 0, &[1; 10]));
    // All of them end with the connection, long before a write's own patience does.
    let outcomes = futures_util::future::join_all((1..50).map(append)).await;
    assert!(outcomes.iter().all(Result::is_err));
    assert_eq!(connections.load(Ordering::SeqCst), 1);
    rig.stop();
}
