//! Two authorities on one database: only the one whose epoch stands commits.

use std::time::Duration;

use holdfast_common::wire::{self, Refusal};
use holdfast_controlplane::server;

use crate::node::{Node, put};
use crate::rig::Db;

#[tokio::test]
async fn a_leader_that_was_replaced_commits_nothing() {
    let db = Db::fresh().await;
    let first = db.start().await;
    let node = Node::join(first.grpc_addr).await;
    let bucket = node.bucket("b").await;
    node.put(bucket, "k", "old").await.expect("put");
    // `dev` takes over at once, as after a crash: the first one does not know yet.
    let second = db.start().await;
    assert!(second.authority.is_leading());
    let refused = node.put(bucket, "k", "from the past").await;
    assert!(matches!(refused, Err(Refusal::NotLeader | Refusal::Unavailable)), "{refused:?}");
    let successor = Node::join(second.grpc_addr).await;
    assert_eq!(successor.lookup(bucket, "k").await.expect("a record").etag, "old");
    assert!(successor.welcome.epoch > node.welcome.epoch);
    let committed = successor.result(put(bucket, "k", "new")).await;
    assert!(committed.seq >> 40 == successor.welcome.epoch);
    for _ in 0..100 {
        if !first.authority.is_leading() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the first still thinks that it leads");
}

#[tokio::test]
async fn a_second_one_waits_for_the_term_and_takes_over_when_it_is_given_back() {
    let db = Db::fresh().await;
    let first = server::start(db.settings(false)).await.expect("starts");
    let second = server::start(db.settings(false)).await.expect("starts");
    assert!(first.authority.is_leading() && !second.authority.is_leading());
    let Err(bye) = Node::join_as(second.grpc_addr, crate::node::hello()).await else { panic!("admitted") };
    assert_eq!((bye.permanent, bye.leader), (false, format!("http://{}", first.grpc_addr)));
    let node = Node::join(first.grpc_addr).await;
    let bucket = node.bucket("b").await;
    let last = node.result(put(bucket, "k", "e")).await.seq;
    first.stop().await;
    for _ in 0..100 {
        if second.authority.is_leading() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // What the node remembers of the epoch before is known here; one commit more is not.
    let knows = wire::Hello { acknowledged_seq_max: last, ..crate::node::hello() };
    assert!(!Node::join_as(second.grpc_addr, knows).await.expect("a welcome").welcome.history_lost);
    let more = wire::Hello { acknowledged_seq_max: last + 1, ..crate::node::hello() };
    assert!(Node::join_as(second.grpc_addr, more).await.expect("a welcome").welcome.history_lost);
}

#[tokio::test]
async fn everything_is_there_after_a_restart() {
    let db = Db::fresh().await;
    let first = db.start().await;
    let node = Node::join(first.grpc_addr).await;
    let bucket = node.bucket("b").await;
    let old = put(bucket, "k", "e");
    let result = node.result(old.clone()).await;
    let cluster = node.welcome.cluster_id.clone();
    drop(first);
    let second = db.start().await;
    let node = Node::join(second.grpc_addr).await;
    assert_eq!(node.welcome.cluster_id, cluster);
    assert_eq!(node.lookup(bucket, "k").await.expect("a record").etag, "e");
    // The answer was lost with the first: the second knows it.
    assert_eq!(node.result(wire::Mutation { retry: true, ..old }).await, result);
}

#[tokio::test]
async fn a_leader_that_no_node_reaches_lets_the_one_lead_that_a_node_asks() {
    let db = Db::fresh().await;
    let first = server::start(db.settings(false)).await.expect("starts");
    let second = server::start(db.settings(false)).await.expect("starts");
    assert!(first.authority.is_leading());
    let node = Node::join_at_last(second.grpc_addr, crate::node::hello()).await;
    assert!(second.authority.is_leading() && !first.authority.is_leading());
    node.bucket("b").await;
}

#[tokio::test]
async fn a_leader_that_hears_a_node_stays_though_another_is_asked() {
    let db = Db::fresh().await;
    let first = server::start(db.settings(false)).await.expect("starts");
    let second = server::start(db.settings(false)).await.expect("starts");
    let node = Node::join(first.grpc_addr).await;
    // Longer than a leader is patient with silence.
    for _ in 0..40 {
        assert!(Node::join_as(second.grpc_addr, crate::node::hello()).await.is_err());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert!(first.authority.is_leading());
    node.bucket("b").await;
}

#[tokio::test]
async fn leadership_that_is_given_back_is_taken_when_the_last_lease_has_run_out() {
    let db = Db::fresh().await;
    let first = server::start(db.settings(false)).await.expect("starts");
    let second = server::start(db.settings(false)).await.expect("starts");
    let node = Node::join(first.grpc_addr).await;
    let leases = || {
        let heard = node.heard.lock();
        heard
            .iter()
            .filter(|down| matches!(down.message, Some(wire::session_down::Message::Lease(_))))
            .count()
    };
    let mut granted = (0, std::time::Instant::now());
    let stopping = tokio::spawn(first.stop());
    while !second.authority.is_leading() {
        // No later than it was heard here, so the bound below is on the safe side.
        if leases() > granted.0 {
            granted = (leases(), std::time::Instant::now() - Duration::from_millis(20));
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let apart = granted.1.elapsed();
    assert!(granted.0 > 0 && apart >= Duration::from_millis(1800), "{apart:?} after a lease of 2 s");
    stopping.await.expect("stopped");
}

#[tokio::test]
async fn a_follower_names_the_leaders_address_for_administrators() {
    let db = Db::fresh().await;
    let first = server::start(db.settings(false)).await.expect("starts");
    let second = server::start(db.settings(false)).await.expect("starts");
    first.authority.announce("http://127.0.0.1:9001".into()).await;
    let refused = second.authority.create_tenant("t").await.expect_err("it follows");
    assert!(refused.to_string().ends_with("ask http://127.0.0.1:9001"), "{refused}");
}

#[tokio::test]
async fn a_leader_paused_in_a_transaction_does_not_hold_up_its_successor_for_ever() {
    let db = Db::fresh().await;
    server::start(db.settings(false)).await.expect("starts").stop().await;
    // Its connection, in the middle of a commit: the row is held, and nothing more is heard.
    let held = db.client().await;
    held.batch_execute(
        "SET idle_in_transaction_session_timeout = '8s'; BEGIN; SELECT 1 FROM authority FOR SHARE",
    )
    .await
    .expect("held");
    let second = server::start(db.settings(false)).await.expect("starts");
    for _ in 0..600 {
        if second.authority.is_leading() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("nobody leads");
}
