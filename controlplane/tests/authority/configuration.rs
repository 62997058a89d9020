//! What buckets are told: kept, known everywhere before the answer, bounded.

use bytes::Bytes;
use holdfast_common::wire::bucket_document::Kind;
use holdfast_common::wire::configure_bucket::Change;
use holdfast_common::wire::{self, Refusal, mutation::Op, session_down::Message};

use crate::node::{Node, configure, delete, delete_version, mutation, put};
use crate::rig::Db;

fn document(kind: Kind, body: &'static [u8]) -> wire::BucketDocument {
    wire::BucketDocument { kind: kind.into(), body: Bytes::from_static(body) }
}

/// The bucket as the node was last told of it, by the stream or at its welcome.
fn known(node: &Node, bucket: u64) -> wire::Bucket {
    let heard = node.heard.lock();
    let told = heard.iter().rev().find_map(|down| match &down.message {
        Some(Message::Config(change)) => {
            change.upsert.as_ref()?.buckets.iter().find(|row| row.bucket_id == bucket).cloned()
        }
        _ => None,
    });
    let welcome = || node.welcome.config.as_ref().expect("a snapshot").buckets.clone();
    told.or_else(|| welcome().into_iter().find(|row| row.bucket_id == bucket)).expect("the bucket is known")
}

#[tokio::test]
async fn everyone_knows_before_the_answer_and_it_stays() {
    let db = Db::fresh().await;
    let running = db.start().await;
    let (node, other) = (Node::join(running.grpc_addr).await, Node::join(running.grpc_addr).await);
    let bucket = node.bucket("b").await;
    node.commit(configure(bucket, Change::Document(document(Kind::Policy, b"{}")))).await.expect("told");
    node.versioning(bucket, 1).await;
    for node in [&node, &other] {
        let row = known(node, bucket);
        assert_eq!((row.revision, row.versioning), (3, 1));
        assert_eq!(row.configuration.expect("documents").documents, [document(Kind::Policy, b"{}")]);
    }
    // Who acts on an older revision is told to look again.
    let stale = wire::Mutation { bucket_revision: 2, ..put(bucket, "k", "e") };
    assert_eq!(node.commit(stale).await, Err(Refusal::StaleRevision));
    running.stop().await;
    let running = db.start().await;
    let node = Node::join(running.grpc_addr).await;
    let row = known(&node, bucket);
    assert_eq!((row.revision, row.versioning), (3, 1));
    node.commit(configure(bucket, Change::Document(document(Kind::Policy, b"")))).await.expect("removed");
    assert_eq!(known(&node, bucket).configuration, Some(wire::BucketConfiguration::default()));
}

#[tokio::test]
async fn a_bucket_is_made_with_documents() {
    let db = Db::fresh().await;
    let running = db.start().await;
    let node = Node::join(running.grpc_addr).await;
    let documents =
        vec![document(Kind::PublicAccessBlock, b"all"), document(Kind::OwnershipControls, b"writer")];
    let create = wire::CreateBucket {
        name: "b".into(),
        region: "us-east-1".into(),
        configuration: Some(wire::BucketConfiguration { documents: documents.clone() }),
    };
    let bucket = node.commit(mutation(0, "", Op::CreateBucket(create))).await.expect("made").bucket_id;
    let said = known(&node, bucket).configuration.expect("documents").documents;
    assert_eq!(said, [documents[1].clone(), documents[0].clone()], "in order of kind");
}

#[tokio::test]
async fn nonsense_and_too_much_are_refused() {
    let db = Db::fresh().await;
    let running = db.start().await;
    let node = Node::join(running.grpc_addr).await;
    let bucket = node.bucket("b").await;
    let large = Change::Document(wire::BucketDocument { kind: 1, body: vec![7; (64 << 10) + 1].into() });
    for change in [
        Change::Versioning(0),
        Change::Versioning(3),
        Change::Document(document(Kind::Unspecified, b"x")),
        Change::Document(wire::BucketDocument { kind: 77, body: Bytes::from_static(b"x") }),
        large,
    ] {
        assert_eq!(
            node.commit(configure(bucket, change.clone())).await,
            Err(Refusal::Malformed),
            "{change:?}"
        );
    }
    let nothing = mutation(bucket, "", Op::ConfigureBucket(wire::ConfigureBucket { change: None }));
    assert_eq!(node.commit(nothing).await, Err(Refusal::Malformed));
    let fill = "INSERT INTO bucket (id, name, tenant_id, created_ms, revision, region, configuration)
        VALUES (7, 'full', 1, 0, 1, '', decode(repeat('00', 8 << 20), 'hex'))";
    db.client().await.batch_execute(fill).await.expect("a large neighbour");
    let one_more = Change::Document(document(Kind::Cors, b"rules"));
    assert_eq!(node.commit(configure(bucket, one_more)).await, Err(Refusal::Unavailable));
    node.versioning(bucket, 2).await;
}

#[tokio::test]
async fn a_bucket_with_versions_or_markers_is_not_empty() {
    let db = Db::fresh().await;
    let running = db.start().await;
    let node = Node::join(running.grpc_addr).await;
    let bucket = node.bucket("b").await;
    node.versioning(bucket, 1).await;
    let object = node.put(bucket, "k", "e").await.expect("put").version_id;
    let marker = node.commit(delete(bucket, "k")).await.expect("marked").version_id;
    let remove = || mutation(bucket, "", Op::DeleteBucket(wire::DeleteBucket {}));
    for version in [object, marker] {
        assert_eq!(node.commit(remove()).await, Err(Refusal::BucketNotEmpty));
        node.commit(delete_version(bucket, "k", &version)).await.expect("deleted");
    }
    node.commit(remove()).await.expect("empty");
}
