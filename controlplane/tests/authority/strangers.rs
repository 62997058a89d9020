//! Requests of other tenants and of nobody, let in by the bucket's policy or ACL, over real rows.

use bytes::Bytes;
use holdfast_common::wire::bucket_document::Kind;
use holdfast_common::wire::configure_bucket::Change;
use holdfast_common::wire::{self, Mutation, Refusal, mutation::Op, query::Query as Ask};
use holdfast_controlplane::app::NewKey;

use crate::node::{Node, configure, mutation, put};
use crate::rig::Db;

fn by_bucket(tenant_id: u64, bucket_revision: u64, mutation: Mutation) -> Mutation {
    Mutation { tenant_id, by_bucket: true, bucket_revision, ..mutation }
}

fn policy(body: &'static [u8]) -> Change {
    let body = Bytes::from_static(body);
    Change::Document(wire::BucketDocument { kind: Kind::Policy.into(), body })
}

#[tokio::test]
async fn nobody_and_others_write_what_is_the_buckets() {
    let db = Db::fresh().await;
    let running = db.start().await;
    let node = Node::join(running.grpc_addr).await;
    let bucket = node.bucket("b").await;
    let tenant = running.authority.create_tenant("t2").await.expect("a tenant").tenant_id;
    let new = NewKey { name: "n".into(), tenant: Some("t2".into()), ..Default::default() };
    let key = running.authority.create_key(new).await.expect("a key").key.access_key_id;
    assert_eq!(node.commit(by_bucket(0, 0, put(bucket, "k", "e"))).await, Err(Refusal::StaleRevision));
    node.commit(by_bucket(0, 1, put(bucket, "k", "anonymous"))).await.expect("put");
    let other = Mutation { access_key_id: key.clone(), ..put(bucket, "k2", "other") };
    node.commit(by_bucket(tenant, 1, other.clone())).await.expect("put");
    for (name, etag) in [("k", "anonymous"), ("k2", "other")] {
        let record = node.lookup(bucket, name).await.expect("a record");
        assert_eq!((record.etag.as_str(), record.tenant_id), (etag, 1), "the bucket's owner owns it");
    }
    let create = mutation(bucket, "k3", Op::CreateUpload(wire::CreateUpload::default()));
    node.commit(by_bucket(tenant, 1, create)).await.expect("an upload");
    let uploads = Ask::Uploads(wire::UploadsQuery { bucket_id: bucket, ..Default::default() });
    let wire::answer::Answer::Uploads(page) = node.query(uploads).await else { panic!("no uploads") };
    assert_eq!(page.uploads[0].tenant_id, tenant, "who began it");
    // Where the bucket says so, an object is its writer's; nobody's is the bucket owner's all the same.
    let owned = |name: &'static str| {
        let mut owned = put(bucket, name, "owned");
        if let Some(Op::Put(put)) = &mut owned.op {
            put.meta = Some(wire::ObjectMeta { writer_owns: true, ..Default::default() });
        }
        owned
    };
    for (writer, name, owner) in [(tenant, "theirs", tenant), (0, "nobodys", 1), (1, "own", 1)] {
        node.commit(by_bucket(writer, 1, owned(name))).await.expect("put");
        assert_eq!(node.lookup(bucket, name).await.expect("a record").tenant_id, owner, "{name}");
    }
    // The bucket thinks better of it: whoever acts on what it said before is refused.
    node.commit(configure(bucket, policy(b"deny"))).await.expect("told");
    assert_eq!(node.commit(by_bucket(0, 1, put(bucket, "k", "late"))).await, Err(Refusal::StaleRevision));
    node.commit(by_bucket(0, 2, put(bucket, "k", "again"))).await.expect("decided anew");
    // Whom it lets may tell it things, too.
    node.commit(by_bucket(tenant, 2, configure(bucket, policy(b"allow")))).await.expect("told");
    running.authority.revoke_key(&key).await.expect("revokes");
    let revoked = Mutation { access_key_id: key, ..put(bucket, "k2", "revoked") };
    assert_eq!(node.commit(by_bucket(tenant, 3, revoked)).await, Err(Refusal::AccessDenied));
}

#[tokio::test]
async fn a_source_is_read_at_the_revision_that_lets_it() {
    let db = Db::fresh().await;
    let running = db.start().await;
    let node = Node::join(running.grpc_addr).await;
    let theirs = node.bucket("theirs").await;
    node.put(theirs, "k", "e").await.expect("put");
    let tenant = running.authority.create_tenant("t2").await.expect("a tenant").tenant_id;
    let create = Op::CreateBucket(wire::CreateBucket { name: "mine".into(), ..Default::default() });
    let create = Mutation { tenant_id: tenant, ..mutation(0, "", create) };
    let mine = node.commit(create).await.expect("made").bucket_id;
    let copy = |source_by_bucket, source_bucket_revision| {
        let copy = wire::CopyObject {
            source_bucket_id: theirs,
            source_key: Bytes::from_static(b"k"),
            source_by_bucket,
            source_bucket_revision,
            ..Default::default()
        };
        Mutation { tenant_id: tenant, ..mutation(mine, "copy", Op::Copy(copy)) }
    };
    assert_eq!(node.commit(copy(false, 1)).await, Err(Refusal::AccessDenied));
    let record = node.commit(copy(true, 1)).await.expect("copied").record.expect("a record");
    assert_eq!((record.tenant_id, record.etag.as_str()), (tenant, "e"));
    node.commit(configure(theirs, policy(b"deny"))).await.expect("told");
    assert_eq!(node.commit(copy(true, 1)).await, Err(Refusal::StaleRevision));
    node.commit(copy(true, 2)).await.expect("copied");
}
