//! Hundreds of creators of one key, from many nodes at once: exactly one wins, and everyone sees the same one.

use holdfast_common::wire::{Precondition, Refusal};

use crate::node::{Node, delete, outcome, put_when};
use crate::rig::Db;

const CREATORS: usize = 200;
const NODES: usize = 8;

/// Each creator in a message of its own, in turn over the nodes' connections; returns what the winner wrote.
async fn race(nodes: &[Node], bucket: u64, key: &str, round: usize) -> String {
    let absent = || Precondition { absent: true, ..Default::default() };
    let etag = |n: usize| format!("{round}.{n}");
    let mut waits = Vec::with_capacity(CREATORS);
    for n in 0..CREATORS {
        let node = &nodes[n % nodes.len()];
        waits.extend(node.send(vec![put_when(bucket, key, &etag(n), absent())]));
        if n % 32 == 31 {
            tokio::task::yield_now().await;
        }
    }
    let mut won = Vec::new();
    for (n, wait) in waits.into_iter().enumerate() {
        match outcome(wait.await.expect("an answer")) {
            Ok(_) => won.push(etag(n)),
            Err(reason) => assert_eq!(reason, Refusal::PreconditionFailed, "creator {n}"),
        }
    }
    assert_eq!(won.len(), 1, "{won:?}");
    won.remove(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_hundreds_of_creators_on_many_connections_one_wins() {
    let db = Db::fresh().await;
    let running = db.start().await;
    let mut nodes = Vec::new();
    for _ in 0..NODES {
        nodes.push(Node::join(running.grpc_addr).await);
    }
    for versioning in [0, 1, 2] {
        let bucket = nodes[0].bucket(&format!("b{versioning}")).await;
        if versioning > 0 {
            nodes[0].versioning(bucket, versioning).await;
        }
        for round in 0..3 {
            let winner = race(&nodes, bucket, "k", round).await;
            for node in &nodes {
                assert_eq!(node.lookup(bucket, "k").await.expect("a record").etag, winner);
            }
            // Gone or behind a delete marker, it is absent.
            nodes[round].commit(delete(bucket, "k")).await.expect("deleted");
        }
        let puts = format!("changelog WHERE bucket_id = {bucket} AND kind = 1");
        assert_eq!(db.count(&puts).await, 3, "what was refused has written nothing");
    }
    // Of the versioned bucket three objects and their markers, of the suspended one the last null marker.
    assert_eq!((db.count("head").await, db.count("version").await), (0, 7));
}
