use holdfast_common::wire::{self, Hello, session_down::Message};
use holdfast_controlplane::app::AdminError;
use holdfast_controlplane::app::nodes::DrainNodeRequest;
use tonic::Code;

use super::{joined, session, start};
use crate::node::{Node, hello, put};
use crate::rig::Db;

fn told(down: &wire::SessionDown, node: &str, state: &str) -> bool {
    let Some(Message::Config(change)) = &down.message else { return false };
    let peers = change.upsert.iter().flat_map(|upsert| &upsert.peers);
    peers.into_iter().any(|peer| peer.node_id == node && peer.state == state)
}

#[tokio::test]
async fn a_revoked_nodes_session_ends_at_once_and_it_does_not_come_back() {
    let db = Db::fresh().await;
    let running = start(&db).await;
    let (bad, good) = (joined(&db, &running).await, joined(&db, &running).await);
    let (thrown_out, other) = (session(&bad).await, session(&good).await);
    let bucket = thrown_out.bucket("b").await;
    let id = bad.node_id.to_string();
    let revoked = running.authority.revoke_node(&id).await.expect("revoked");
    assert_eq!((revoked.acknowledged, revoked.expired), (1, 1));
    let bye = thrown_out.until(|down| matches!(down.message, Some(Message::Goodbye(_)))).await;
    assert!(
        matches!(bye.message, Some(Message::Goodbye(bye)) if bye.permanent && bye.reason.contains("revoked"))
    );
    // The others knew before the revocation was answered.
    assert!(other.heard.lock().iter().any(|down| told(down, &id, "revoked")));
    // Nothing of it is committed, renewed or admitted any more; its certificate is still young.
    assert_eq!(thrown_out.put(bucket, "k", "e").await, Err(wire::Refusal::Unavailable));
    assert!(other.lookup(bucket, "k").await.is_none());
    assert_eq!(bad.renew().await.expect_err("refused").code(), Code::PermissionDenied);
    let refused = bad.refused(Hello { node_id: id.clone(), ..hello() }).await;
    assert!(refused.message().contains("revoked"), "{refused}");
    assert_eq!(running.authority.node_info(&id).await.expect("a node").state, "revoked");
    other.put(bucket, "k", "e").await.expect("the others go on");
    // Twice is harmless.
    running.authority.revoke_node(&id).await.expect("revoked again");
}

#[tokio::test]
async fn a_machine_revoked_before_its_first_hello_is_never_admitted() {
    let db = Db::fresh().await;
    let running = start(&db).await;
    let machine = joined(&db, &running).await;
    running.authority.revoke_node(&machine.node_id.to_string()).await.expect("revoked");
    let refused = machine.refused(Hello { node_id: machine.node_id.to_string(), ..hello() }).await;
    assert!(refused.message().contains("revoked"), "{refused}");
    assert_eq!(machine.renew().await.expect_err("refused").code(), Code::PermissionDenied);
}

/// What a node had sent when it was thrown out is decided before the revocation is answered, and nothing after.
#[tokio::test]
async fn no_commit_of_a_revoked_node_lands_after_its_revocation_was_answered() {
    let db = Db::fresh().await;
    let running = start(&db).await;
    let (bad, good) = (joined(&db, &running).await, joined(&db, &running).await);
    let (thrown_out, other) = (session(&bad).await, session(&good).await);
    let bucket = thrown_out.bucket("b").await;
    let mut waits = Vec::new();
    for batch in 0..40 {
        let items = (0..50).map(|item| put(bucket, &format!("k{batch}-{item}"), "e")).collect();
        waits.extend(thrown_out.send(items));
    }
    running.authority.revoke_node(&bad.node_id.to_string()).await.expect("revoked");
    let then = db.count("head").await;
    other.put(bucket, "other", "e").await.expect("the others go on");
    running.authority.revoke_node(&bad.node_id.to_string()).await.expect("revoked again");
    assert_eq!(db.count("head").await, then + 1);
    drop(waits);
}

#[tokio::test]
async fn a_node_is_drained_with_all_its_drives_and_taken_back() {
    let db = Db::fresh().await;
    let running = db.start().await;
    let drive = |number: u8| wire::Drive {
        drive_id: bytes::Bytes::from(vec![number; 16]),
        state: "active".into(),
        ..Default::default()
    };
    let said = Hello { drives: vec![drive(1), drive(2)], ..hello() };
    let id = said.node_id.clone();
    let node = Node::join_as(running.grpc_addr, said).await.expect("a welcome");
    let other = Node::join(running.grpc_addr).await;
    let states = || async {
        let status = running.authority.status().await.expect("a status");
        status.backends.into_iter().map(|backend| backend.state).collect::<Vec<_>>()
    };
    let drained = running.authority.drain_node(&id, DrainNodeRequest::default()).await.expect("drained");
    assert_eq!((drained.state.as_str(), drained.backends.len()), ("draining", 2));
    assert_eq!(states().await, ["draining", "draining"]);
    other.until(|down| told(down, &id, "draining")).await;
    node.until(|down| matches!(&down.message, Some(Message::Config(change))
        if change.upsert.iter().flat_map(|upsert| &upsert.backends).any(|backend| backend.state == "draining"))).await;
    let back =
        running.authority.drain_node(&id, DrainNodeRequest { cancel: true }).await.expect("taken back");
    assert_eq!(back.state, "active");
    assert_eq!(states().await, ["active", "active"]);
    assert!(matches!(
        running.authority.drain_node("nobody", DrainNodeRequest::default()).await,
        Err(AdminError::NotFound(_))
    ));
    let shared = running.authority.revoke_node("test").await;
    assert!(matches!(&shared, Err(AdminError::Conflict(why)) if why.contains("several nodes")), "{shared:?}");
}

#[tokio::test]
async fn a_node_that_the_database_has_forgotten_can_be_revoked() {
    let db = Db::fresh().await;
    let running = db.start().await;
    let mine = hello();
    let revoked = running.authority.revoke_node(&mine.node_id).await.expect("revoked");
    assert_eq!(revoked.node_id, mine.node_id);
    let bye = Node::join_as(running.grpc_addr, mine).await.err().expect("turned away");
    assert!(bye.permanent && bye.reason.contains("revoked"), "{}", bye.reason);
    assert!(running.authority.revoke_node("nobody").await.is_err(), "a name has to be known");
}
