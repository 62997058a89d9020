//! Puts, deletes, preconditions, retries, bad items.

use holdfast_common::id::OpId;
use holdfast_common::wire::{self, Precondition, Refusal, mutation::Op};

use crate::node::{Node, delete, mutation, now_ms, outcome, put, put_when};
use crate::rig::Db;

#[tokio::test]
async fn put_get_overwrite_delete() {
    let db = Db::fresh().await;
    let running = db.start().await;
    let node = Node::join(running.grpc_addr).await;
    let bucket = node.bucket("b").await;
    assert!(node.lookup(bucket, "k").await.is_none());
    let first = node.put(bucket, "k", "e1").await.expect("put");
    let record = node.lookup(bucket, "k").await.expect("a record");
    assert_eq!((record.etag.as_str(), record.size, record.modified_ms), ("e1", 100, first.modified_ms));
    assert_eq!(record.meta.expect("meta").content_type, "text/plain");
    let second = node.put(bucket, "k", "e2").await.expect("put");
    assert!(second.modified_ms >= first.modified_ms);
    assert_eq!(db.count("freed").await, 1);
    assert!(node.commit(delete(bucket, "k")).await.expect("delete").existed);
    assert!(!node.commit(delete(bucket, "k")).await.expect("delete again").existed);
    assert!(node.lookup(bucket, "k").await.is_none());
    assert_eq!(db.count("freed").await, 2);
    // bucket, two puts, two deletes
    assert_eq!(db.count("changelog").await, 5);
    assert_eq!(db.count("changelog_default").await, 0);
    running.stop().await;
}

#[tokio::test]
async fn of_many_creators_of_a_key_one_wins() {
    let db = Db::fresh().await;
    let running = db.start().await;
    let node = Node::join(running.grpc_addr).await;
    let bucket = node.bucket("b").await;
    let absent = || Precondition { absent: true, ..Default::default() };
    for round in 0..5 {
        let key = format!("k{round}");
        let items = (0..20).map(|n| put_when(bucket, &key, &format!("e{n}"), absent())).collect();
        let mut won = 0;
        for wait in node.send(items) {
            match outcome(wait.await.expect("an answer")) {
                Ok(_) => won += 1,
                Err(reason) => assert_eq!(reason, Refusal::PreconditionFailed),
            }
        }
        assert_eq!(won, 1);
    }
}

#[tokio::test]
async fn preconditions_are_aws() {
    let db = Db::fresh().await;
    let running = db.start().await;
    let node = Node::join(running.grpc_addr).await;
    let bucket = node.bucket("b").await;
    let matching = |etag: &str| Precondition { if_match: etag.into(), ..Default::default() };
    assert_eq!(node.commit(put_when(bucket, "k", "e", matching("e0"))).await, Err(Refusal::NoSuchKey));
    node.put(bucket, "k", "e1").await.expect("put");
    assert_eq!(
        node.commit(put_when(bucket, "k", "e", matching("e0"))).await,
        Err(Refusal::PreconditionFailed)
    );
    node.commit(put_when(bucket, "k", "e2", matching("e1"))).await.expect("the etag is right");
    node.commit(put_when(bucket, "k", "e3", matching("*"))).await.expect("it exists");
    // Compare and swap by many: each etag is replaced once.
    let items = (0..16).map(|n| put_when(bucket, "k", &format!("n{n}"), matching("e3"))).collect();
    let mut won = 0;
    for wait in node.send(items) {
        won += u32::from(outcome(wait.await.expect("an answer")).is_ok());
    }
    assert_eq!(won, 1);
}

#[tokio::test]
async fn a_retry_gets_the_recorded_outcome_and_replays_nothing() {
    let db = Db::fresh().await;
    let running = db.start().await;
    let node = Node::join(running.grpc_addr).await;
    let bucket = node.bucket("b").await;
    let old = put(bucket, "k", "old");
    let first = node.result(old.clone()).await;
    node.put(bucket, "k", "new").await.expect("put");
    let again = node.result(wire::Mutation { retry: true, ..old.clone() }).await;
    assert_eq!(first, again);
    // Even unmarked: the op id is unique.
    assert_eq!(first, node.result(old).await);
    assert_eq!(node.lookup(bucket, "k").await.expect("a record").etag, "new");
    // Nothing on record: a retry is the first delivery.
    let fresh = wire::Mutation { retry: true, ..put(bucket, "k2", "e") };
    node.commit(fresh).await.expect("commits");
    // Abandoned by the reaper: never again.
    let late = put(bucket, "k3", "e");
    let id = OpId::from_wire(&late.op_id).expect("an op id").uuid();
    db.client()
        .await
        .execute("INSERT INTO changelog VALUES ($1, 0, 0, 0, '', 100, '')", &[&id])
        .await
        .expect("abandons");
    assert_eq!(node.commit(late).await, Err(Refusal::Abandoned));
    assert!(node.lookup(bucket, "k3").await.is_none());
}

#[tokio::test]
async fn one_bad_item_fails_no_strangers() {
    let db = Db::fresh().await;
    let running = db.start().await;
    let node = Node::join(running.grpc_addr).await;
    let bucket = node.bucket("b").await;
    db.client().await.batch_execute("ALTER TABLE head ADD CHECK (etag <> 'poison')").await.expect("a trap");
    let items: Vec<_> = (0..100)
        .map(|n| put(bucket, &format!("k{n}"), if n % 37 == 5 { "poison" } else { "fine" }))
        .collect();
    for (n, wait) in node.send(items).into_iter().enumerate() {
        let outcome = outcome(wait.await.expect("an answer"));
        assert_eq!(outcome.is_ok(), n % 37 != 5, "item {n}: {outcome:?}");
    }
    assert_eq!(db.count("head").await, 97);
    // The watermark has passed all of it: nothing hangs.
    let status = running.authority.status().await.expect("status");
    assert_eq!(status.watermark, status.seq_assigned);
}

#[tokio::test]
async fn malformed_and_old_are_refused_before_a_batch() {
    let db = Db::fresh().await;
    let running = db.start().await;
    let node = Node::join(running.grpc_addr).await;
    let bucket = node.bucket("b").await;
    let mut old = put(bucket, "k", "e");
    old.op_id = OpId::new(now_ms() - 8 * 86_400_000, [3; 10]).to_wire();
    assert_eq!(node.commit(old).await, Err(Refusal::OpTooOld));
    assert_eq!(node.put(bucket, "", "e").await, Err(Refusal::Malformed));
    assert_eq!(node.put(bucket, "a\0b", "e").await, Err(Refusal::Malformed));
    assert_eq!(node.put(bucket, "k", "e\0").await, Err(Refusal::Malformed));
    assert_eq!(node.put(bucket, &"k".repeat(1025), "e").await, Err(Refusal::Malformed));
    assert_eq!(node.put(bucket + 1, "k", "e").await, Err(Refusal::NoSuchBucket));
    assert_eq!(
        node.commit(wire::Mutation { tenant_id: 2, ..put(bucket, "k", "e") }).await,
        Err(Refusal::AccessDenied)
    );
    assert_eq!(
        node.commit(wire::Mutation { bucket_revision: 9, ..put(bucket, "k", "e") }).await,
        Err(Refusal::StaleRevision)
    );
    assert_eq!(
        node.commit(wire::Mutation { access_key_id: "HFX".into(), ..put(bucket, "k", "e") }).await,
        Err(Refusal::AccessDenied)
    );
}

#[tokio::test]
async fn thin_blobs_get_a_repair_job() {
    let db = Db::fresh().await;
    let running = db.start().await;
    let node = Node::join(running.grpc_addr).await;
    let bucket = node.bucket("b").await;
    let mut thin = put(bucket, "k", "e");
    if let Some(Op::Put(put)) = &mut thin.op {
        let manifest = put.manifest.as_mut().expect("a manifest");
        manifest.parts[0].blob.as_mut().expect("a blob").proven = 0b0111;
    }
    node.commit(thin).await.expect("commits");
    node.put(bucket, "full", "e").await.expect("commits");
    assert_eq!(db.count("job").await, 1);
}

#[tokio::test]
async fn copies_share_bytes_and_count_them() {
    let db = Db::fresh().await;
    let running = db.start().await;
    let node = Node::join(running.grpc_addr).await;
    let bucket = node.bucket("b").await;
    let other = node.bucket("c").await;
    node.put(bucket, "a", "e").await.expect("put");
    let copy = |from: (u64, &str), to: (u64, &str)| {
        let copy = wire::CopyObject {
            source_bucket_id: from.0,
            source_key: from.1.to_owned().into(),
            ..Default::default()
        };
        mutation(to.0, to.1, Op::Copy(copy))
    };
    assert_eq!(node.commit(copy((bucket, "none"), (bucket, "b"))).await, Err(Refusal::NoSuchKey));
    let record =
        node.commit(copy((bucket, "a"), (bucket, "b"))).await.expect("copies").record.expect("a record");
    assert_eq!((record.etag.as_str(), record.size), ("e", 100));
    node.commit(copy((bucket, "b"), (other, "c"))).await.expect("copies");
    node.commit(copy((bucket, "a"), (bucket, "a"))).await.expect("onto itself");
    assert_eq!(
        db.client().await.query_one("SELECT refs FROM blob", &[]).await.expect("one").get::<_, i64>(0),
        3
    );
    node.commit(delete(bucket, "a")).await.expect("deletes");
    node.put(bucket, "b", "e2").await.expect("overwrites");
    assert_eq!((db.count("freed").await, db.count("blob").await), (0, 1));
    node.commit(delete(other, "c")).await.expect("deletes");
    assert_eq!((db.count("freed").await, db.count("blob").await), (1, 0));
    // Many copies of one source in one go.
    let items = (0..50).map(|n| copy((bucket, "b"), (other, &format!("n{n}")))).collect();
    for wait in node.send(items) {
        outcome(wait.await.expect("an answer")).expect("copies");
    }
    assert_eq!(
        db.client().await.query_one("SELECT refs FROM blob", &[]).await.expect("one").get::<_, i64>(0),
        51
    );
}
