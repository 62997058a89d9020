//! A bucket's life.

use holdfast_common::wire::{self, Refusal, mutation::Op, session_down::Message};

use crate::node::{Node, delete, mutation};
use crate::rig::Db;

#[tokio::test]
async fn made_once_known_everywhere_deleted_when_empty() {
    let db = Db::fresh().await;
    let running = db.start().await;
    let (node, other) = (Node::join(running.grpc_addr).await, Node::join(running.grpc_addr).await);
    let create = || {
        Op::CreateBucket(wire::CreateBucket {
            name: "b".into(),
            region: "us-east-1".into(),
            ..Default::default()
        })
    };
    let bucket = node.commit(mutation(0, "", create())).await.expect("made").bucket_id;
    // The answer came after everyone's acknowledgement, the maker's too.
    for node in [&node, &other] {
        let knows = |down: &wire::SessionDown| {
            matches!(&down.message, Some(Message::Config(change)) if change.upsert.as_ref()
                .is_some_and(|upsert| upsert.buckets.iter().any(|row| row.bucket_id == bucket && row.name == "b")))
        };
        assert!(node.heard.lock().iter().any(knows));
    }
    assert_eq!(node.commit(mutation(0, "", create())).await, Err(Refusal::BucketAlreadyOwnedByYou));
    let tenant = running.authority.create_tenant("t2").await.expect("a tenant").tenant_id;
    let stranger = wire::Mutation { tenant_id: tenant, ..mutation(0, "", create()) };
    assert_eq!(node.commit(stranger).await, Err(Refusal::BucketAlreadyExists));
    node.put(bucket, "k", "e").await.expect("put");
    let remove = || mutation(bucket, "", Op::DeleteBucket(wire::DeleteBucket {}));
    assert_eq!(node.commit(remove()).await, Err(Refusal::BucketNotEmpty));
    node.commit(delete(bucket, "k")).await.expect("delete");
    node.commit(mutation(bucket, "u", Op::CreateUpload(wire::CreateUpload::default())))
        .await
        .expect("an upload");
    node.commit(remove()).await.expect("uploads do not block");
    assert_eq!(db.count("upload").await, 0);
    assert_eq!(node.commit(remove()).await, Err(Refusal::NoSuchBucket));
    assert_eq!(node.put(bucket, "k", "e").await, Err(Refusal::NoSuchBucket));
    let again = node.commit(mutation(0, "", create())).await.expect("made again").bucket_id;
    assert_ne!(bucket, again);
    let names: Vec<_> =
        running.authority.list_buckets().await.expect("buckets").into_iter().map(|row| row.name).collect();
    assert_eq!(names, ["b"]);
}

#[tokio::test]
async fn deletion_is_not_starved_by_writers() {
    let db = Db::fresh().await;
    let running = db.start().await;
    let node = Node::join(running.grpc_addr).await;
    let bucket = node.bucket("b").await;
    let mut items: Vec<_> = (0..200).map(|n| delete(bucket, &format!("k{n}"))).collect();
    items.push(mutation(bucket, "", Op::DeleteBucket(wire::DeleteBucket {})));
    items.extend((0..200).map(|n| crate::node::put(bucket, &format!("k{n}"), "e")));
    let mut outcomes = Vec::new();
    for wait in node.send(items) {
        outcomes.push(crate::node::outcome(wait.await.expect("an answer")));
    }
    assert!(outcomes[..201].iter().all(Result::is_ok));
    assert!(outcomes[201..].iter().all(|outcome| *outcome == Err(Refusal::NoSuchBucket)));
}
