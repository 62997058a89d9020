//! Nodes that are to be emptied: what is told of them, when they are empty, and whose the jobs are that name them afterwards.

use bytes::Bytes;
use holdfast_common::wire::job_report::Outcome;
use holdfast_common::wire::{self, DrainWant, DriveWork, Hello, job::Kind, session_down::Message};
use holdfast_controlplane::app::nodes::{DrainNodeRequest, NodeInfo};
use holdfast_controlplane::server::Running;

use crate::node::{Node, delete, random};
use crate::rig::Db;
use crate::work::{blob_of, deficit, lease, put_on, report, time_passes, with_drives};

const DRAIN: DrainNodeRequest = DrainNodeRequest { cancel: false };
const CANCEL: DrainNodeRequest = DrainNodeRequest { cancel: true };

/// A report of all drives; waits until `known` holds of the node.
async fn say(
    running: &Running,
    node: &Node,
    hello: &Hello,
    work: DriveWork,
    known: impl Fn(&NodeInfo) -> bool,
) -> NodeInfo {
    let mut drives = hello.drives.clone();
    drives.iter_mut().for_each(|drive| drive.work = Some(work));
    node.say_drives(drives);
    for _ in 0..3000 {
        let shown = running.authority.node_info(&hello.node_id).await.expect("a node");
        if known(&shown) {
            return shown;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("it is not known: {:?}", running.authority.node_info(&hello.node_id).await);
}

/// What a node was told last of another.
fn told_of(node: &Node, other: &Hello) -> Option<wire::Peer> {
    let heard = node.heard.lock();
    let changes = heard.iter().rev().filter_map(|down| match &down.message {
        Some(Message::Config(change)) => change.upsert.clone(),
        _ => None,
    });
    let mut peers = changes.flat_map(|upsert| upsert.peers);
    peers.find(|peer| peer.node_id == other.node_id)
}

#[tokio::test]
async fn a_node_is_emptied_drive_by_drive_and_says_what_is_stuck() {
    let db = Db::fresh().await;
    let running = db.start().await;
    let (node, hello, _) = with_drives(running.grpc_addr).await;
    let (other, _, _) = with_drives(running.grpc_addr).await;
    let shown = running.authority.drain_node(&hello.node_id, DRAIN).await.expect("drains");
    assert_eq!(shown.state, "draining");
    assert!(shown.drain.is_some_and(|drain| drain.left_pieces > 0), "nobody has looked yet");
    let told = told_of(&other, &hello).expect("told");
    assert_eq!((told.state.as_str(), told.scattered), ("draining", true));
    let stuck = DriveWork {
        pieces: 5,
        drain_left_pieces: 5,
        drain_left_bytes: 500,
        drain_stuck_pieces: 2,
        drain_wants: DrainWant::Nodes.into(),
        drain_wanted: 4,
        drain_there: 3,
        ..Default::default()
    };
    let looked = |shown: &NodeInfo| shown.drain.as_ref().is_some_and(|drain| drain.stuck_pieces == 8);
    let drain = say(&running, &node, &hello, stuck, looked).await.drain.expect("it is being emptied");
    assert_eq!((drain.left_pieces, drain.left_bytes), (20, 2000));
    let why = drain.stuck_why.expect("why");
    assert!(why.contains("needs 4 nodes") && why.contains("3 are there"), "{why}");
    // A drive that is added to it meanwhile gets nothing either.
    let mut more = hello.clone();
    let new = wire::Drive { drive_id: Bytes::copy_from_slice(&random::<16>()), ..hello.drives[0].clone() };
    more.drives.push(new);
    let five = |shown: &NodeInfo| shown.backends.len() == 5;
    let backends = say(&running, &node, &more, stuck, five).await.backends;
    let last = backends[4].to_string();
    while running.authority.drive_status(&last).await.expect("a status").drive.state != "draining" {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    // Empty at last, long enough after the beginning.
    db.client().await.batch_execute("UPDATE backend SET intent_at = '-infinity'").await.expect("time passes");
    say(&running, &node, &more, DriveWork::default(), |shown| shown.state == "drained").await;
    // Taken back, it is as ever; but where its blobs are is not certain any more.
    let back = running.authority.drain_node(&hello.node_id, CANCEL).await.expect("taken back");
    assert_eq!((back.state.as_str(), back.drain), ("active", None));
    let told = told_of(&other, &hello).expect("told");
    assert_eq!((told.state.as_str(), told.scattered), ("active", true));
    let again = Node::join_as(running.grpc_addr, hello.clone()).await.expect("a welcome");
    let peers = again.welcome.config.expect("a snapshot").peers;
    assert_eq!(peers.iter().map(|peer| peer.scattered).collect::<Vec<_>>(), [true, false]);
}

#[tokio::test]
async fn what_a_revoked_node_held_is_deleted_and_repaired_by_any_other() {
    let db = Db::fresh().await;
    let running = db.start().await;
    let (node, hello, backends) = with_drives(running.grpc_addr).await;
    let (other, _, _) = with_drives(running.grpc_addr).await;
    let placement = node.placement(backends).await;
    let bucket = other.bucket("b").await;
    let (gone, thin, found) = (
        put_on(placement, bucket, "gone", 0b1111),
        put_on(placement, bucket, "thin", 0b0111),
        put_on(placement, bucket, "found", 0b1111),
    );
    for put in [&gone, &thin, &found] {
        node.commit(put.clone()).await.expect("put");
    }
    node.commit(delete(bucket, "gone")).await.expect("delete");
    deficit(&node, &wire::Blob { placement_id: 0, ..blob_of(&found) }, 0b0001).await;
    time_passes(&db).await;
    assert!(lease(&other, 10, 10).await.is_empty(), "while the node may come back they are its own");
    running.authority.revoke_node(&hello.node_id).await.expect("revoked");
    let mut jobs = lease(&other, 10, 10).await;
    jobs.sort_by_key(|job| (job.kind, job.missing));
    let kinds: Vec<(Kind, u64)> = jobs.iter().map(|job| (job.kind(), job.missing)).collect();
    assert_eq!(kinds, [(Kind::Delete, 0), (Kind::Repair, 0b0001), (Kind::Repair, 0b1000)]);
    report(&other, Kind::Delete, &gone.op_id, Outcome::Done, 0).await;
    report(&other, Kind::Repair, &thin.op_id, Outcome::Done, 0).await;
    report(&other, Kind::Repair, &found.op_id, Outcome::Done, 0).await;
    assert_eq!((db.count("freed").await, db.count("job").await), (0, 0));
}
