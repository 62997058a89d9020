//! The reaper: what came to nothing is abandoned once and for all, and what is committed never is.

use bytes::Bytes;
use holdfast_common::id::OpId;
use holdfast_common::wire::settled_ops::Verdict;
use holdfast_common::wire::work_answer::What as Answer;
use holdfast_common::wire::work_request::What;
use holdfast_common::wire::{self, Hello, Refusal, SettleOps, session_down::Message};

use crate::node::{Node, hello, now_ms, outcome, put, put_as, random};
use crate::rig::Db;
use crate::work::deficit;

const HOUR: u64 = 3_600_000;

pub(crate) async fn settle_to(node: &Node, op_ids: Vec<Bytes>, settled_to: Bytes) -> Vec<Verdict> {
    match node.work(What::Settle(SettleOps { op_ids, settled_to })).await {
        Answer::Settled(settled) => settled.verdicts().collect(),
        other => panic!("not settled: {other:?}"),
    }
}

pub(crate) async fn settle(node: &Node, op_ids: Vec<Bytes>) -> Vec<Verdict> {
    settle_to(node, op_ids, Bytes::new()).await
}

fn op_at(ms: u64) -> OpId {
    OpId::of_node(ms, random(), 1)
}

#[tokio::test]
async fn the_first_of_commit_and_reaper_wins() {
    let db = Db::fresh().await;
    let running = db.start().await;
    let node = Node::join(running.grpc_addr).await;
    let bucket = node.bucket("b").await;
    let (first, second) = (put(bucket, "k1", "e"), put(bucket, "k2", "e"));
    node.commit(first.clone()).await.expect("put");
    let asked = vec![second.op_id.clone(), first.op_id.clone(), Bytes::from_static(b"no op id")];
    let verdicts = [Verdict::Abandoned, Verdict::Committed, Verdict::Keep];
    assert_eq!(settle(&node, asked.clone()).await, verdicts);
    assert_eq!(settle(&node, asked).await, verdicts, "asking again changes nothing");
    // The 5-hour upload ends: refused, marked as a retry or not, alone or among others.
    assert_eq!(node.commit(second.clone()).await, Err(Refusal::Abandoned));
    assert_eq!(node.commit(wire::Mutation { retry: true, ..second.clone() }).await, Err(Refusal::Abandoned));
    let waits = node.send(vec![put(bucket, "k3", "e"), second, put(bucket, "k4", "e")]);
    let mut outcomes = Vec::new();
    for wait in waits {
        outcomes.push(outcome(wait.await.expect("an answer")).map(|_| ()));
    }
    assert_eq!(outcomes, [Ok(()), Err(Refusal::Abandoned), Ok(())]);
    assert!(node.lookup(bucket, "k2").await.is_none());
    assert_eq!(node.result(first.clone()).await.seq, node.result(first).await.seq, "still the outcome");
}

#[tokio::test]
async fn commits_and_reapers_in_a_race_agree() {
    let db = Db::fresh().await;
    let running = db.start().await;
    let (node, other) = (Node::join(running.grpc_addr).await, Node::join(running.grpc_addr).await);
    // Each says that it has closed all of them.
    for node in [&node, &other] {
        node.say_open(op_at(now_ms() + HOUR));
    }
    db.until_count("node WHERE oldest_op IS NOT NULL", 2).await;
    let bucket = node.bucket("b").await;
    let (mut committed, mut abandoned) = (0, 0);
    for round in 0..30 {
        let puts: Vec<_> = (0..40).map(|n| put(bucket, &format!("{round}-{n}"), "e")).collect();
        let mut op_ids: Vec<Bytes> = puts.iter().map(|put| put.op_id.clone()).collect();
        // Another order than the commits', and two reapers at once.
        op_ids.reverse();
        let mut pieces = puts.clone();
        let waits: Vec<_> = std::iter::from_fn(|| {
            let rest = pieces.split_off(pieces.len().min(7));
            let piece = std::mem::replace(&mut pieces, rest);
            (!piece.is_empty()).then(|| node.send(piece))
        })
        .flatten()
        .collect();
        let (verdicts, again) =
            tokio::join!(settle(&node, op_ids.clone()), settle(&other, op_ids[..20].to_vec()));
        assert_eq!(verdicts[..20], again);
        for (n, wait) in waits.into_iter().enumerate() {
            let verdict = verdicts[op_ids.len() - 1 - n];
            match outcome(wait.await.expect("an answer")) {
                Ok(_) => assert_eq!(verdict, Verdict::Committed),
                Err(reason) => assert_eq!((reason, verdict), (Refusal::Abandoned, Verdict::Abandoned)),
            }
            let there = node.lookup(bucket, &format!("{round}-{n}")).await.is_some();
            assert_eq!(there, verdict == Verdict::Committed);
            committed += u32::from(there);
            abandoned += u32::from(!there);
        }
    }
    eprintln!("{committed} were committed first, {abandoned} abandoned");
    assert_eq!(committed + abandoned, 1200);
}

#[tokio::test]
async fn clocks_and_long_uploads_do_no_harm() {
    let db = Db::fresh().await;
    let running = db.start().await;
    let node = Node::join(running.grpc_addr).await;
    let bucket = node.bucket("b").await;
    // Begun five hours ago, on nodes whose clocks are hours and days wrong; some are committed at last, some never.
    let now = now_ms();
    for (key, ms) in [
        ("long", now - 5 * HOUR),
        ("behind", now - 9 * HOUR),
        ("ahead", now + 9 * HOUR),
        ("far", now + 30 * 24 * HOUR),
        ("last week", now - 6 * 24 * HOUR),
    ] {
        let (open, dead) = (op_at(ms), op_at(ms));
        node.commit(put_as(open, bucket, key, "e")).await.expect("put");
        assert_eq!(
            settle(&node, vec![open.to_wire(), dead.to_wire()]).await,
            [Verdict::Committed, Verdict::Abandoned],
            "{key}"
        );
        assert_eq!(node.commit(put_as(dead, bucket, key, "late")).await, Err(Refusal::Abandoned));
        assert_eq!(node.lookup(bucket, key).await.expect("a record").etag, "e");
    }
    // Beyond the horizon nothing can be told.
    let old = op_at(now - 8 * 24 * HOUR);
    assert_eq!(settle(&node, vec![old.to_wire()]).await, [Verdict::Keep]);
}

#[tokio::test]
async fn what_was_trimmed_is_kept_whatever_the_clock_says() {
    let db = Db::fresh().await;
    let running = db.start().await;
    let node = Node::join(running.grpc_addr).await;
    let bucket = node.bucket("b").await;
    let put = put(bucket, "k", "e");
    node.commit(put.clone()).await.expect("put");
    // A leader whose clock was three weeks ahead has trimmed today.
    let store = holdfast_controlplane::store::Store::connect(&db.address()).await.expect("connects");
    let client = store.client().await.expect("a connection");
    let later = now_ms() + 21 * 24 * HOUR;
    holdfast_controlplane::store::changelog::upkeep(&client, later).await.expect("upkeep");
    assert_eq!(db.count("changelog").await, 0);
    assert_eq!(settle(&node, vec![put.op_id]).await, [Verdict::Keep]);
}

#[tokio::test]
async fn how_far_a_node_is_settled_is_remembered() {
    let db = Db::fresh().await;
    let running = db.start().await;
    let mine = hello();
    let node = Node::join_as(running.grpc_addr, mine.clone()).await.expect("a welcome");
    assert!(node.welcome.settled_to.is_empty());
    let (low, high) = (op_at(now_ms() - HOUR).to_wire(), op_at(now_ms()).to_wire());
    settle_to(&node, vec![], high.clone()).await;
    settle_to(&node, vec![op_at(now_ms() - 2 * HOUR).to_wire()], low).await;
    let again = Node::join_as(running.grpc_addr, mine.clone()).await.expect("a welcome");
    assert_eq!(again.welcome.settled_to, high, "it never goes back");
    assert!(Node::join(running.grpc_addr).await.welcome.settled_to.is_empty(), "another's is its own");
}

#[tokio::test]
async fn nothing_is_abandoned_while_history_is_lost() {
    let db = Db::fresh().await;
    let running = db.start().await;
    // Of an epoch that is not on record.
    let mine = Hello { acknowledged_seq_max: 1, ..hello() };
    let node = Node::join_at_last(running.grpc_addr, mine.clone()).await;
    assert!(node.welcome.history_lost);
    let op_id = op_at(now_ms()).to_wire();
    assert_eq!(settle_to(&node, vec![op_id.clone()], op_id).await, [Verdict::Unknown]);
    let old = op_at(now_ms() - 8 * 24 * HOUR).to_wire();
    assert_eq!(settle(&node, vec![old]).await, [Verdict::Keep], "of that nothing can be told");
    assert_eq!(db.count("changelog").await, 0);
    assert!(Node::join_as(running.grpc_addr, mine).await.expect("a welcome").welcome.settled_to.is_empty());
}

#[tokio::test]
async fn abandoned_rows_are_no_commits_to_a_node_that_was_away() {
    let db = Db::fresh().await;
    let running = db.start().await;
    let node = Node::join(running.grpc_addr).await;
    let bucket = node.bucket("b").await;
    node.put(bucket, "before", "e").await.expect("put");
    let since = running.authority.status().await.expect("status").watermark;
    let dead = op_at(now_ms());
    let blob = crate::node::blob(&dead.to_wire(), 7);
    deficit(&node, &blob, 1).await;
    assert_eq!(db.count("job").await, 1);
    assert_eq!(settle(&node, vec![dead.to_wire()]).await, [Verdict::Abandoned]);
    deficit(&node, &blob, 1).await;
    assert_eq!(db.count("job").await, 0, "what came to nothing needs no repair");
    node.put(bucket, "after", "e").await.expect("put");
    let back = Hello { applied_watermark: since, interest: vec![bucket], ..hello() };
    let reader = Node::join_as(running.grpc_addr, back).await.expect("a welcome");
    assert!(!reader.welcome.cache_reset);
    let first = reader.heard.lock()[0].clone();
    let Some(Message::Invalidate(replay)) = first.message else { panic!("{first:?}") };
    assert_eq!(replay.keys.iter().map(|key| key.key.as_ref()).collect::<Vec<_>>(), [&b"after"[..]]);
    // A restart's idea of the last commit is not moved by them either.
    drop(running);
    let again = db.start().await;
    let node = Node::join(again.grpc_addr).await;
    assert!(!node.welcome.history_lost);
    assert_eq!(node.commit(put_as(dead, bucket, "k", "late")).await, Err(Refusal::Abandoned));
}

#[tokio::test]
async fn a_leader_that_was_replaced_abandons_nothing() {
    let db = Db::fresh().await;
    let first = db.start().await;
    let node = Node::join(first.grpc_addr).await;
    let second = db.start().await;
    assert!(second.authority.is_leading());
    let op_ids = vec![op_at(now_ms()).to_wire()];
    match node.work(What::Settle(SettleOps { op_ids, settled_to: Bytes::new() })).await {
        Answer::Refused(refused) => {
            assert!(matches!(refused.reason(), Refusal::NotLeader | Refusal::Unavailable), "{refused:?}")
        }
        other => panic!("not refused: {other:?}"),
    }
    assert_eq!(db.count("changelog").await, 0);
}

#[tokio::test]
async fn what_a_node_that_is_not_on_record_made_is_nobodys_garbage() {
    let db = Db::fresh().await;
    let running = db.start().await;
    let (node, other) = (Node::join(running.grpc_addr).await, Node::join(running.grpc_addr).await);
    for node in [&node, &other] {
        node.say_open(op_at(now_ms() + HOUR));
    }
    db.until_count("node WHERE oldest_op IS NOT NULL", 2).await;
    // Number 3 was given, and the row that says so went with a restored database.
    let lost = OpId::of_node(now_ms() - HOUR, random(), 3).to_wire();
    for node in [&node, &other] {
        assert_eq!(settle(node, vec![lost.clone()]).await, [Verdict::Open]);
    }
    assert_eq!(db.count("changelog").await, 0);
}
