//! Commits that nodes remember and the database lacks are noticed, whatever became of epochs, and nothing else is.

use holdfast_common::wire;
use holdfast_controlplane::app::AdminError;
use holdfast_controlplane::server;

use crate::node::{Node, hello, put};
use crate::rig::Db;

const EPOCH: u64 = 1 << 40;

#[tokio::test]
async fn an_epoch_that_was_used_before_is_left_for_one_that_nobody_remembers() {
    let db = Db::fresh().await;
    let running = db.start().await;
    let bystander = Node::join(running.grpc_addr).await;
    let bucket = bystander.bucket("b").await;
    let early = bystander.result(put(bucket, "k", "e")).await.seq;
    // Of this epoch, and no higher than what was given out; but it was told that by somebody else.
    let mine = wire::Hello { acknowledged_seq_max: early, applied_watermark: early, ..hello() };
    let node = Node::join_at_last(running.grpc_addr, mine).await;
    assert!(node.welcome.history_lost && node.welcome.cache_reset);
    assert!(node.welcome.epoch > bystander.welcome.epoch);
    // One that is ahead by epochs.
    let ahead = node.welcome.epoch + 40;
    let mine = wire::Hello { acknowledged_seq_max: ahead * EPOCH + 7, ..hello() };
    let node = Node::join_at_last(running.grpc_addr, mine.clone()).await;
    assert!(node.welcome.epoch > ahead, "{}", node.welcome.epoch);
    // Now that it is of the past, it is lost, and the epoch stays.
    let again = Node::join_as(running.grpc_addr, mine).await.expect("a welcome");
    assert!(again.welcome.history_lost);
    assert_eq!(again.welcome.epoch, node.welcome.epoch);
}

#[tokio::test]
async fn a_node_of_this_epoch_may_say_hello_again() {
    let db = Db::fresh().await;
    let running = db.start().await;
    let mine = hello();
    let node = Node::join_as(running.grpc_addr, mine.clone()).await.expect("a welcome");
    let bucket = node.bucket("b").await;
    let seen = node.result(put(bucket, "k", "e")).await.seq;
    let back = wire::Hello { acknowledged_seq_max: seen, applied_watermark: seen, ..mine };
    let back = Node::join_as(running.grpc_addr, back).await.expect("a welcome");
    assert!(!back.welcome.history_lost && !back.welcome.cache_reset);
    assert_eq!(back.welcome.epoch, node.welcome.epoch);
}

#[tokio::test]
async fn commits_that_a_leader_was_confirmed_are_missed_by_itself() {
    let db = Db::fresh().await;
    let running = db.start().await;
    let node = Node::join(running.grpc_addr).await;
    let bucket = node.bucket("b").await;
    node.put(bucket, "k", "e").await.expect("put");
    // As on a standby that lagged: the rows are gone, and the epoch ends.
    db.client()
        .await
        .batch_execute("DELETE FROM changelog; UPDATE authority SET epoch = epoch + 1, expires_at = now()")
        .await
        .expect("gone");
    // The leader notices when it prolongs its term.
    for _ in 0..300 {
        let fresh = Node::join_at_last(running.grpc_addr, hello()).await;
        if fresh.welcome.epoch > node.welcome.epoch {
            assert!(fresh.welcome.history_lost);
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("the epoch has not ended");
}

#[tokio::test]
async fn the_alarm_outlives_the_leader_and_every_node_hears_it_until_an_administrator_ends_it() {
    let db = Db::fresh().await;
    let first = db.start().await;
    let remembers = wire::Hello { acknowledged_seq_max: 9 * EPOCH, ..hello() };
    let _ = Node::join_at_last(first.grpc_addr, remembers.clone()).await;
    let second = db.start().await;
    let bystander = hello();
    let told = Node::join_at_last(second.grpc_addr, bystander.clone()).await;
    assert!(told.welcome.history_lost);
    assert!(matches!(
        first.authority.accept_history().await,
        Err(AdminError::NotLeader { .. } | AdminError::Unavailable(_))
    ));
    second.authority.accept_history().await.expect("accepted");
    assert!(!second.authority.status().await.expect("status").history_lost);
    let seen = told.welcome.watermark;
    let told =
        Node::join_at_last(second.grpc_addr, wire::Hello { applied_watermark: seen, ..bystander }).await;
    assert!(!told.welcome.history_lost && told.welcome.cache_reset);
    assert!(!Node::join_at_last(second.grpc_addr, remembers).await.welcome.history_lost, "it is accepted");
    let third = db.start().await;
    assert!(!Node::join_at_last(third.grpc_addr, hello()).await.welcome.history_lost);
}

#[tokio::test]
async fn takeovers_in_a_row_raise_no_alarm() {
    let db = Db::fresh().await;
    let mine = hello();
    let mut seen = 0;
    for round in 0..4u64 {
        // Each is dropped without a word, as by a crash; the second does nothing in its epoch.
        let running = server::start(db.settings(true)).await.expect("starts");
        let knows = wire::Hello { acknowledged_seq_max: seen, applied_watermark: seen, ..mine.clone() };
        let node = Node::join_as(running.grpc_addr, knows).await.expect("a welcome");
        assert!(!node.welcome.history_lost, "round {round}");
        if round != 1 {
            let bucket = node.bucket(&format!("b{round}")).await;
            seen = node.result(put(bucket, "k", "e")).await.seq;
        }
    }
}

#[tokio::test]
async fn who_remembers_what_cannot_have_been_is_turned_away_and_changes_nothing() {
    let db = Db::fresh().await;
    let running = db.start().await;
    let node = Node::join(running.grpc_addr).await;
    let bucket = node.bucket("b").await;
    for seen in [u64::MAX, (1 << 63) - 1, ((1 << 23) - 1) << 40, (node.welcome.epoch + 70_000) << 40 | 1] {
        let liar = wire::Hello { acknowledged_seq_max: seen, ..hello() };
        let bye = Node::join_as(running.grpc_addr, liar).await.err().expect("turned away");
        assert!(bye.permanent && bye.reason.contains("cannot have been"), "{}", bye.reason);
    }
    let status = running.authority.status().await.expect("status");
    assert_eq!((status.epoch, status.history_lost), (node.welcome.epoch, false));
    node.put(bucket, "k", "e").await.expect("put");
}

#[tokio::test]
async fn a_node_that_is_ahead_again_and_again_is_believed_once() {
    let db = Db::fresh().await;
    let running = db.start().await;
    let first = Node::join(running.grpc_addr).await;
    let mine = hello();
    let ahead =
        |by: u64| wire::Hello { acknowledged_seq_max: (first.welcome.epoch + by) << 40 | 1, ..mine.clone() };
    let node = Node::join_at_last(running.grpc_addr, ahead(3)).await;
    assert!(node.welcome.epoch > first.welcome.epoch + 3);
    let bye = Node::join_as(running.grpc_addr, ahead(9)).await.err().expect("turned away");
    assert!(bye.permanent, "{}", bye.reason);
    assert_eq!(running.authority.status().await.expect("status").epoch, node.welcome.epoch);
}

#[tokio::test]
async fn a_cache_with_commits_that_an_ended_epoch_does_not_have_is_dropped() {
    let db = Db::fresh().await;
    let first = db.start().await;
    let writer = Node::join(first.grpc_addr).await;
    let bucket = writer.bucket("b").await;
    let seen = writer.result(put(bucket, "k", "e")).await.seq;
    let second = db.start().await;
    // Neither was told of a commit by itself: only what they have applied speaks.
    let knows = |applied| wire::Hello { applied_watermark: applied, ..hello() };
    let node = Node::join_at_last(second.grpc_addr, knows(seen)).await;
    assert!(!node.welcome.cache_reset && node.welcome.epoch > writer.welcome.epoch);
    let node = Node::join_at_last(second.grpc_addr, knows(seen + 50)).await;
    assert!(node.welcome.cache_reset);
}

#[tokio::test]
async fn numbers_of_epochs_are_not_used_twice_even_if_the_database_forgets_them() {
    let db = Db::fresh().await;
    let first = db.start().await;
    let epoch = Node::join(first.grpc_addr).await.welcome.epoch;
    drop(first);
    // As in a dump of long ago.
    let forget = "DELETE FROM term; UPDATE authority SET epoch = 1, expires_at = now() - interval '1 s'";
    db.client().await.batch_execute(forget).await.expect("forgotten");
    let second = db.start().await;
    assert!(Node::join_at_last(second.grpc_addr, hello()).await.welcome.epoch >= epoch);
}

#[tokio::test]
async fn a_leader_of_before_accepts_no_history() {
    let db = Db::fresh().await;
    let running = db.start().await;
    let remembers = wire::Hello { acknowledged_seq_max: 9 * EPOCH, ..hello() };
    let node = Node::join_at_last(running.grpc_addr, remembers).await;
    assert!(node.welcome.history_lost);
    db.client()
        .await
        .batch_execute("UPDATE authority SET epoch = epoch + 1, expires_at = now() + interval '1 h'")
        .await
        .expect("taken");
    let refused = running.authority.accept_history().await;
    assert!(matches!(refused, Err(AdminError::NotLeader { .. })), "{refused:?}");
    assert_eq!(db.count("cluster WHERE history_lost_at IS NOT NULL").await, 1);
}
