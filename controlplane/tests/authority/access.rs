//! Access leases that are longer than a term: who leads next waits for them, and so does whoever revokes a node.

use std::sync::atomic::Ordering;

use holdfast_common::wire::{self, bucket_document::Kind, session_down::Message};
use holdfast_controlplane::app::buckets::StaleReadsRequest;
use holdfast_controlplane::app::{AdminError, NewKey};
use holdfast_controlplane::server::{self, Lengths, Settings};

use crate::node::{Node, configure, hello, outcome};
use crate::rig::Db;

/// Nothing here waits for the end of an access lease.
fn settings(db: &Db, dev: bool) -> Settings {
    let lengths = Lengths { lease_ms: 1000, access_ms: 3_600_000 };
    Settings { lengths, ..db.settings(dev) }
}

fn silence(node: &Node) {
    node.acknowledging.store(false, Ordering::SeqCst);
    node.renewing.store(false, Ordering::SeqCst);
}

async fn until_told(node: &Node, wanted: impl Fn(&wire::ConfigChange) -> bool) {
    node.until(|down| matches!(&down.message, Some(Message::Config(change)) if wanted(change))).await;
}

#[tokio::test]
async fn a_change_of_a_bucket_waits_for_the_access_lease_while_others_write_there() {
    let db = Db::fresh().await;
    let running = db.start_as(settings(&db, true)).await;
    let (writer, cut_off) = (Node::join(running.grpc_addr).await, Node::join(running.grpc_addr).await);
    let bucket = writer.bucket("b").await;
    cut_off.interest(bucket).await;
    silence(&cut_off);
    let policy = wire::BucketDocument { kind: Kind::Policy.into(), body: "{}".into() };
    let change = wire::configure_bucket::Change::Document(policy);
    let mut changed = writer.send(vec![configure(bucket, change)]).remove(0);
    until_told(&cut_off, |change| change.upsert.as_ref().is_some_and(|upsert| !upsert.buckets.is_empty()))
        .await;
    // Its record lease is waited for; its access lease is not, though that runs on.
    writer.put(bucket, "k", "e").await.expect("put");
    assert_eq!(writer.lookup(bucket, "k").await.expect("a record").etag, "e");
    assert!(changed.try_recv().is_err());
    cut_off.acknowledge();
    outcome(changed.await.expect("an answer")).expect("configured");
}

#[tokio::test]
async fn a_new_leader_waits_for_nodes_that_believe_what_an_earlier_one_told_them() {
    let db = Db::fresh().await;
    let first = server::start(settings(&db, false)).await.expect("starts");
    let (who, cut_off) = (hello(), hello());
    let node = Node::join_as(first.grpc_addr, who.clone()).await.expect("a welcome");
    let silent = Node::join_as(first.grpc_addr, cut_off.clone()).await.expect("a welcome");
    let (bucket, other) = (node.bucket("b").await, node.bucket("c").await);
    db.place().await;
    let key =
        first.authority.create_key(NewKey { name: "n".into(), ..Default::default() }).await.expect("a key");
    silence(&silent);
    first.stop().await;
    // Its own access leases would end with its term: what is owed stands in the row.
    let second = server::start(db.settings(false)).await.expect("starts");
    let node = Node::join_at_last(second.grpc_addr, who).await;
    let revocation = tokio::spawn({
        let (authority, id) = (second.authority.clone(), key.key.access_key_id.clone());
        async move { authority.revoke_key(&id).await }
    });
    until_told(&node, |change| !change.removed_keys.is_empty()).await;
    node.put(bucket, "k", "e").await.expect("commits do not wait");
    node.put(other, "k", "e").await.expect("commits do not wait");
    assert!(!revocation.is_finished());
    let _silent = Node::join_at_last(second.grpc_addr, cut_off).await;
    revocation.await.expect("joins").expect("revoked");
}

#[tokio::test]
async fn a_revoked_node_is_waited_for_by_its_revocation_and_by_the_next_leader_too() {
    let db = Db::fresh().await;
    let first = server::start(settings(&db, false)).await.expect("starts");
    let (who, thrown_out) = (hello(), hello());
    let node = Node::join_as(first.grpc_addr, who.clone()).await.expect("a welcome");
    let silent = Node::join_as(first.grpc_addr, thrown_out.clone()).await.expect("a welcome");
    let bucket = node.bucket("b").await;
    db.place().await;
    silence(&silent);
    let revoke = |authority: &holdfast_controlplane::app::Authority| {
        let (authority, id) = (authority.clone(), thrown_out.node_id.clone());
        tokio::spawn(async move { authority.revoke_node(&id).await })
    };
    let of = |state: &'static str| {
        let id = thrown_out.node_id.clone();
        move |change: &wire::ConfigChange| {
            let peers = change.upsert.iter().flat_map(|upsert| &upsert.peers);
            peers.into_iter().any(|peer| peer.node_id == id && peer.state == state)
        }
    };
    let revocation = revoke(&first.authority);
    until_told(&node, of("revoked")).await;
    node.put(bucket, "k", "e").await.expect("commits do not wait");
    assert!(!revocation.is_finished());
    revocation.abort();
    first.stop().await;
    let second = server::start(settings(&db, false)).await.expect("starts");
    let node = Node::join_at_last(second.grpc_addr, who.clone()).await;
    let again = revoke(&second.authority);
    until_told(&node, of("revoked")).await;
    node.put(bucket, "k", "e2").await.expect("commits do not wait");
    assert!(!again.is_finished(), "it still believes what it was told by the first");
    again.abort();
    // Once that has run out nobody waits for it.
    let over = "UPDATE node SET access_until = now() WHERE revoked_at IS NOT NULL";
    db.client().await.batch_execute(over).await.expect("set");
    second.stop().await;
    let third = server::start(settings(&db, false)).await.expect("starts");
    let _node = Node::join_at_last(third.grpc_addr, who).await;
    third
        .authority
        .create_key(NewKey { name: "n".into(), ..Default::default() })
        .await
        .expect("known to all");
}

#[tokio::test]
async fn a_hello_that_is_refused_by_a_follower_leaves_the_leases_as_they_are() {
    let db = Db::fresh().await;
    let first = server::start(db.settings(false)).await.expect("starts");
    let second = server::start(db.settings(false)).await.expect("starts");
    let Err(bye) = Node::join_as(second.grpc_addr, hello()).await else { panic!("admitted") };
    assert!(bye.lease_untouched && !bye.permanent);
    let strange = wire::Hello { node_id: "me".into(), ..hello() };
    let Err(bye) = Node::join_as(first.grpc_addr, strange).await else { panic!("admitted") };
    assert!(!bye.lease_untouched);
    // The same though the database does not answer who leads.
    let held = db.client().await;
    held.batch_execute("BEGIN; LOCK TABLE candidate IN ACCESS EXCLUSIVE MODE").await.expect("locked");
    let Err(bye) = Node::join_as(second.grpc_addr, hello()).await else { panic!("admitted") };
    assert!(bye.lease_untouched);
}

#[tokio::test]
async fn stale_reads_are_an_administrators_word_and_every_node_has_it_when_it_is_answered() {
    let db = Db::fresh().await;
    let running = db.start().await;
    let authority = &running.authority;
    let node = Node::join(running.grpc_addr).await;
    let bucket = node.bucket("b").await;
    let set = authority.stale_reads("b", StaleReadsRequest { seconds: 60 }).await.expect("set");
    assert_eq!((set.bucket_id, set.stale_reads_seconds), (bucket, 60));
    let told = |ms: u64| {
        let heard = node.heard.lock();
        let changes = heard.iter().filter_map(|down| match &down.message {
            Some(Message::Config(change)) => change.upsert.as_ref()?.buckets.last().cloned(),
            _ => None,
        });
        changes.last().is_some_and(|bucket| bucket.stale_reads_ms == ms && bucket.revision > 1)
    };
    assert!(told(60_000));
    // What else is told to the bucket leaves it as it is.
    let policy = wire::BucketDocument { kind: Kind::Policy.into(), body: "{}".into() };
    let policy = configure(bucket, wire::configure_bucket::Change::Document(policy));
    node.commit(policy).await.expect("configured");
    assert!(told(60_000));
    assert_eq!(authority.list_buckets().await.expect("buckets")[0].stale_reads_seconds, 60);
    let joined = Node::join(running.grpc_addr).await.welcome.config.expect("a snapshot");
    assert_eq!(joined.buckets[0].stale_reads_ms, 60_000);
    authority.stale_reads("b", StaleReadsRequest { seconds: 0 }).await.expect("off");
    assert!(told(0));
    let own = configure(bucket, wire::configure_bucket::Change::StaleReadsMs(60_000));
    assert_eq!(node.commit(own).await, Err(wire::Refusal::Malformed), "not a node's");
    let long = authority.stale_reads("b", StaleReadsRequest { seconds: 86_401 }).await;
    assert!(matches!(long, Err(AdminError::Invalid(_))), "{long:?}");
    let nowhere = authority.stale_reads("none", StaleReadsRequest { seconds: 1 }).await;
    assert!(matches!(nowhere, Err(AdminError::NotFound(_))), "{nowhere:?}");
}
