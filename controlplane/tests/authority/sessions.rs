//! What nodes are told, in which order, and that nothing shows a commit before they know.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use holdfast_common::wire::{self, Precondition, Refusal, query::Query as Ask, session_down::Message};

use crate::node::{Node, delete, hello, lookup, outcome, put, put_when};
use crate::rig::Db;

const SOON: Duration = Duration::from_millis(300);

#[tokio::test]
async fn a_commit_waits_for_whoever_caches() {
    let db = Db::fresh().await;
    let running = db.start().await;
    let (writer, reader) = (Node::join(running.grpc_addr).await, Node::join(running.grpc_addr).await);
    let third = Node::join(running.grpc_addr).await;
    let bucket = writer.bucket("b").await;
    writer.put(bucket, "k", "old").await.expect("put");
    reader.interest(bucket).await;
    reader.until_invalidated("k").await;
    reader.acknowledging.store(false, Ordering::SeqCst);
    reader.heard.lock().clear();
    let mut answer = writer.send(vec![put(bucket, "k", "new")]).remove(0);
    reader.until_invalidated("k").await;
    // Neither the writer, nor a lookup, nor a listing, nor another writer's 412 shows it.
    let mut looked = third.ask(lookup(bucket, "k"));
    let listing = wire::ListQuery { bucket_id: bucket, max_keys: 10, ..Default::default() };
    let mut listed = third.ask(Ask::List(listing));
    let mut refused = third
        .send(vec![put_when(bucket, "k", "x", Precondition { if_match: "old".into(), ..Default::default() })])
        .remove(0);
    tokio::time::sleep(SOON).await;
    assert!(answer.try_recv().is_err() && looked.try_recv().is_err());
    assert!(listed.try_recv().is_err() && refused.try_recv().is_err());
    // What does not touch the key is answered.
    assert!(third.lookup(bucket, "elsewhere").await.is_none());
    reader.acknowledge();
    outcome(answer.await.expect("an answer")).expect("committed");
    let looked = looked.await.expect("an answer");
    let Some(wire::answer::Answer::Lookup(found)) = looked.answer else { panic!("{looked:?}") };
    assert_eq!(found.record.expect("a record").etag, "new");
    assert_eq!(outcome(refused.await.expect("an answer")), Err(Refusal::PreconditionFailed));
    listed.await.expect("an answer");
}

#[tokio::test]
async fn a_silent_session_holds_a_commit_no_longer_than_its_lease() {
    let db = Db::fresh().await;
    let running = db.start().await;
    let (writer, reader) = (Node::join(running.grpc_addr).await, Node::join(running.grpc_addr).await);
    let bucket = writer.bucket("b").await;
    reader.interest(bucket).await;
    reader.acknowledging.store(false, Ordering::SeqCst);
    reader.renewing.store(false, Ordering::SeqCst);
    let began = Instant::now();
    writer.put(bucket, "k", "e").await.expect("put");
    let waited = began.elapsed();
    assert!(waited > Duration::from_millis(1200) && waited < Duration::from_secs(4), "{waited:?}");
    // Now that its lease is gone it holds nobody.
    let began = Instant::now();
    writer.put(bucket, "k", "e2").await.expect("put");
    assert!(began.elapsed() < Duration::from_secs(1));
}

#[tokio::test]
async fn a_late_acknowledger_gets_no_record_lease_and_asks() {
    let db = Db::fresh().await;
    let running = db.start().await;
    let (writer, reader) = (Node::join(running.grpc_addr).await, Node::join(running.grpc_addr).await);
    let bucket = writer.bucket("b").await;
    reader.interest(bucket).await;
    reader.acknowledging.store(false, Ordering::SeqCst);
    // It goes on renewing; still the writer is free within ack limit + lease.
    let began = Instant::now();
    writer.put(bucket, "k", "e").await.expect("put");
    assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
    let leases = |node: &Node| {
        let granted = |down: &&wire::SessionDown| matches!(&down.message, Some(Message::Lease(lease)) if lease.lease_ms > 0);
        node.heard.lock().iter().filter(granted).count()
    };
    let before = leases(&reader);
    let late = |down: &wire::SessionDown| matches!(&down.message, Some(Message::Lease(lease)) if lease.lease_ms == 0 && lease.access_ms > Some(0));
    reader.until(late).await;
    assert_eq!(reader.lookup(bucket, "k").await.expect("it is answered all the same").etag, "e");
    reader.acknowledging.store(true, Ordering::SeqCst);
    reader.acknowledge();
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert!(leases(&reader) > before, "caught up, it is renewed again");
}

#[tokio::test]
async fn the_writers_own_node_is_told_by_its_answer() {
    let db = Db::fresh().await;
    let running = db.start().await;
    let (writer, other) = (Node::join(running.grpc_addr).await, Node::join(running.grpc_addr).await);
    let bucket = writer.bucket("b").await;
    writer.interest(bucket).await;
    writer.acknowledging.store(false, Ordering::SeqCst);
    let began = Instant::now();
    writer.put(bucket, "k", "e").await.expect("put");
    assert!(began.elapsed() < Duration::from_secs(1), "its answer does not wait for its acknowledgement");
    // Everyone else's does.
    writer.until_invalidated("k").await;
    let mut looked = other.ask(lookup(bucket, "k"));
    tokio::time::sleep(SOON).await;
    assert!(looked.try_recv().is_err());
    writer.acknowledge();
    looked.await.expect("an answer");
}

#[tokio::test]
async fn waiting_answers_hold_no_connection() {
    let db = Db::fresh().await;
    let running = db.start().await;
    let (writer, reader) = (Node::join(running.grpc_addr).await, Node::join(running.grpc_addr).await);
    let (bucket, other) = (writer.bucket("b").await, writer.bucket("c").await);
    reader.interest(bucket).await;
    reader.acknowledging.store(false, Ordering::SeqCst);
    let mut answer = writer.send(vec![put(bucket, "k", "e")]).remove(0);
    reader.until_invalidated("k").await;
    // More of them than there are connections.
    let listing = wire::ListQuery { bucket_id: bucket, max_keys: 10, ..Default::default() };
    let mut waiting: Vec<_> = (0..40).map(|_| writer.ask(Ask::List(listing.clone()))).collect();
    tokio::time::sleep(SOON).await;
    assert!(waiting.iter_mut().all(|wait| wait.try_recv().is_err()) && answer.try_recv().is_err());
    assert!(writer.lookup(bucket, "elsewhere").await.is_none());
    writer.put(other, "k", "e").await.expect("put");
    reader.acknowledge();
    for wait in waiting {
        wait.await.expect("an answer");
    }
}

#[tokio::test]
async fn ordinals_and_watermarks_are_in_order() {
    let db = Db::fresh().await;
    let running = db.start().await;
    let node = Node::join(running.grpc_addr).await;
    let bucket = node.bucket("b").await;
    for round in 0..5 {
        for wait in node.send((0..50).map(|n| put(bucket, &format!("{round}-{n}"), "e")).collect()) {
            outcome(wait.await.expect("an answer")).expect("put");
        }
    }
    node.until_invalidated("4-49").await;
    let heard = node.heard.lock();
    let ordinals: Vec<u64> = heard.iter().map(|down| down.ordinal).filter(|ordinal| *ordinal > 0).collect();
    assert_eq!(ordinals, (1..=ordinals.len() as u64).collect::<Vec<_>>());
    let mut told = 0;
    for down in heard.iter() {
        let watermark = match &down.message {
            Some(Message::Invalidate(all)) => {
                told = told.max(all.keys.iter().map(|key| key.seq).max().unwrap_or(0));
                all.watermark
            }
            Some(Message::Lease(lease)) => lease.watermark,
            _ => continue,
        };
        // What the watermark covers was told before, or holds nothing of a key (the bucket itself).
        assert!(watermark <= told.max(bucket).max(node.welcome.watermark), "{watermark} {told}");
    }
}

#[tokio::test]
async fn a_node_that_was_away_is_told_what_it_missed() {
    let db = Db::fresh().await;
    let running = db.start().await;
    let writer = Node::join(running.grpc_addr).await;
    let bucket = writer.bucket("b").await;
    writer.put(bucket, "before", "e").await.expect("put");
    let since = running.authority.status().await.expect("status").watermark;
    writer.put(bucket, "k1", "e").await.expect("put");
    writer.commit(delete(bucket, "before")).await.expect("delete");
    let back = wire::Hello { applied_watermark: since, interest: vec![bucket], ..hello() };
    let reader = Node::join_as(running.grpc_addr, back).await.expect("a welcome");
    assert!(!reader.welcome.cache_reset && !reader.welcome.history_lost);
    let first = reader.heard.lock()[0].clone();
    let Some(Message::Invalidate(replay)) = first.message else { panic!("{first:?}") };
    assert_eq!(first.ordinal, 1);
    let keys: Vec<_> = replay.keys.iter().map(|key| key.key.as_ref()).collect();
    assert_eq!(keys, [&b"k1"[..], &b"before"[..]]);
    // A cache of nothing, or of before the changelog: start over.
    assert!(writer.welcome.cache_reset);
    // One who remembers more than there is: rows were lost.
    let ahead = wire::Hello { acknowledged_seq_max: since + 1000, applied_watermark: since, ..hello() };
    let ahead = Node::join_at_last(running.grpc_addr, ahead).await;
    assert!(ahead.welcome.history_lost && ahead.welcome.cache_reset);
    assert!(running.authority.status().await.expect("status").history_lost);
}

#[tokio::test]
async fn a_new_hello_voids_the_old_session() {
    let db = Db::fresh().await;
    let running = db.start().await;
    let writer = Node::join(running.grpc_addr).await;
    let bucket = writer.bucket("b").await;
    let mine = wire::Hello { interest: vec![bucket], ..hello() };
    let old = Node::join_as(running.grpc_addr, mine.clone()).await.expect("a welcome");
    old.acknowledging.store(false, Ordering::SeqCst);
    let _new = Node::join_as(running.grpc_addr, mine).await.expect("a welcome");
    let began = Instant::now();
    writer.put(bucket, "k", "e").await.expect("put");
    assert!(began.elapsed() < Duration::from_secs(1));
    old.until(|down| matches!(down.message, Some(Message::Goodbye(_)))).await;
}

#[tokio::test]
async fn strangers_are_turned_away() {
    let db = Db::fresh().await;
    let running = db.start().await;
    for (hello, word) in [
        (wire::Hello { cluster_id: vec![9; 16].into(), ..hello() }, "cluster"),
        (wire::Hello { protocol_version: 99, ..hello() }, "protocol"),
        (wire::Hello { node_id: "me".into(), ..hello() }, "UUID"),
    ] {
        let Err(bye) = Node::join_as(running.grpc_addr, hello).await else { panic!("admitted") };
        assert!(bye.permanent && bye.reason.contains(word), "{bye:?}");
    }
}
