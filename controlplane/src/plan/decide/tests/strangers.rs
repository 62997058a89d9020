//! Who is of another tenant than the bucket's, or of none, and comes in by what the bucket itself says.

use bytes::Bytes;
use holdfast_common::wire::{self, Mutation, Refusal, mutation::Op};
use uuid::Uuid;

use super::{bucket, copy_of, decided, delete, delete_version, facts, mutation, put, row};
use crate::plan::decide::Facts;
use crate::store::bucket::{BucketRow, Versioning::Enabled};
use crate::store::upload::UploadRow;

/// Every operation in a bucket that is not about the bucket's own life, on a key that has the version `a`.
fn operations() -> Vec<Op> {
    let versioning = wire::configure_bucket::Change::Versioning(2);
    vec![
        put(),
        delete(),
        delete_version('a'),
        copy_of('a'),
        Op::SetTags(wire::SetTags::default()),
        Op::SetAcl(wire::SetAcl::default()),
        Op::CreateUpload(wire::CreateUpload::default()),
        Op::ConfigureBucket(wire::ConfigureBucket { change: Some(versioning) }),
    ]
}

/// The bucket is tenant 1's and has revision 1.
#[track_caller]
fn check((tenant_id, by_bucket, bucket_revision): (u64, bool, u64), expected: Option<Refusal>) {
    for op in operations() {
        let mut facts = facts(Enabled, &op, "a");
        // Copies read where they write; what they may read is checked below.
        facts.buckets.insert(2, BucketRow { id: 2, tenant_id, ..bucket(Enabled) });
        let object = super::HeadRow { bucket_id: 2, ..row('a', 1).object };
        facts.heads.insert((2, object.key.clone()), object);
        let op = match op {
            Op::Copy(copy) => Op::Copy(wire::CopyObject { source_bucket_id: 2, ..copy }),
            op => op,
        };
        let said = Mutation { tenant_id, by_bucket, bucket_revision, ..mutation(op.clone()) };
        let done = decided(&said, &facts);
        assert_eq!(done.as_ref().err(), expected.as_ref(), "{said:?}");
        // Whoever wrote it, it is the bucket's; an upload is remembered as its beginner's, or nobody's as the bucket's.
        let Ok((_, writes)) = done else { continue };
        let mut rows = writes.heads.iter().chain(writes.versions.iter().map(|row| &row.object));
        assert!(rows.all(|row| row.tenant_id == 1), "{op:?}");
        assert!(writes.uploads.iter().all(|row| row.tenant_id == tenant_id.max(1)), "{op:?}");
    }
}

#[test]
fn the_bucket_lets_whom_it_says_at_the_revision_that_says_so() {
    use Refusal::{AccessDenied, StaleRevision};
    check((1, false, 0), None);
    check((1, false, 1), None);
    check((1, false, 2), Some(StaleRevision));
    check((2, false, 0), Some(AccessDenied));
    check((2, false, 1), Some(AccessDenied));
    check((0, false, 1), Some(AccessDenied));
    check((2, true, 1), None);
    check((0, true, 1), None);
    check((1, true, 1), None);
    check((2, true, 0), Some(StaleRevision));
    check((2, true, 2), Some(StaleRevision));
    check((0, true, 0), Some(StaleRevision));
    check((1, true, 0), Some(StaleRevision));
}

#[test]
fn a_key_that_is_named_lives_and_is_the_tenants() {
    let mut facts = facts(Enabled, &put(), "");
    facts.keys.insert("K2".into(), 2);
    for (tenant_id, key, expected) in [
        (2, "K2", None),
        (2, "", None),
        (0, "", None),
        (1, "K2", Some(Refusal::AccessDenied)),
        (0, "K2", Some(Refusal::AccessDenied)),
        (2, "revoked", Some(Refusal::AccessDenied)),
        (0, "revoked", Some(Refusal::AccessDenied)),
    ] {
        let said = Mutation { tenant_id, by_bucket: true, bucket_revision: 1, ..mutation(put()) };
        let said = Mutation { access_key_id: key.to_owned(), ..said };
        assert_eq!(decided(&said, &facts).err(), expected, "{tenant_id} {key}");
    }
}

#[test]
fn buckets_are_made_and_deleted_by_their_tenant() {
    let create = wire::CreateBucket { name: "new".into(), ..Default::default() };
    for op in [Op::CreateBucket(create), Op::DeleteBucket(wire::DeleteBucket {})] {
        for (by_bucket, expected) in [(true, Some(Refusal::AccessDenied)), (false, None)] {
            let said = Mutation { by_bucket, bucket_revision: 1, ..mutation(op.clone()) };
            assert_eq!(decided(&said, &facts(Enabled, &op, "")).err(), expected, "{op:?}");
        }
    }
}

/// Tenant 1 writes to its own bucket and reads from bucket 2, which is tenant 2's and has revision 7.
fn with_a_source() -> (Facts, Uuid) {
    let mut facts = facts(Enabled, &put(), "");
    facts.buckets.insert(2, BucketRow { id: 2, tenant_id: 2, revision: 7, ..bucket(Enabled) });
    let object = super::HeadRow { bucket_id: 2, tenant_id: 2, ..row('a', 1).object };
    facts.heads.insert((2, object.key.clone()), object);
    let upload_id = super::op_of('u').uuid();
    let upload = UploadRow {
        upload_id,
        bucket_id: 1,
        key: Bytes::from_static(b"k"),
        tenant_id: 1,
        initiated_ms: 1,
        open: true,
        checksum_algorithm: 0,
        checksum_kind: 0,
        meta: wire::ObjectMeta::default(),
        outcome: None,
    };
    facts.uploads.insert(upload_id, upload);
    (facts, upload_id)
}

#[test]
fn a_source_lets_whom_its_bucket_says() {
    let (facts, upload_id) = with_a_source();
    for (source_by_bucket, source_bucket_revision, expected) in [
        (false, 0, Some(Refusal::AccessDenied)),
        (false, 7, Some(Refusal::AccessDenied)),
        (true, 7, None),
        (true, 0, Some(Refusal::StaleRevision)),
        (true, 6, Some(Refusal::StaleRevision)),
    ] {
        let source_key = Bytes::from_static(b"k");
        let object = wire::CopyObject {
            source_bucket_id: 2,
            source_key: source_key.clone(),
            source_by_bucket,
            source_bucket_revision,
            ..Default::default()
        };
        let part = wire::CopyPart {
            upload_id: upload_id.simple().to_string(),
            number: 1,
            source_bucket_id: 2,
            source_key,
            source_by_bucket,
            source_bucket_revision,
            ..Default::default()
        };
        for op in [Op::Copy(object), Op::CopyPart(part)] {
            let done = decided(&mutation(op.clone()), &facts);
            assert_eq!(done.as_ref().err(), expected.as_ref(), "{op:?}");
            let heads = done.iter().flat_map(|(_, writes)| &writes.heads);
            assert!(heads.into_iter().all(|head| head.tenant_id == 1));
        }
    }
}

#[test]
fn a_part_by_reference_has_the_checksums_of_all_of_its_source() {
    let (mut facts, upload_id) = with_a_source();
    let sum = |algorithm: wire::checksum::Algorithm, kind: wire::checksum::Kind| wire::Checksum {
        algorithm: algorithm.into(),
        kind: kind.into(),
        value: Bytes::from_static(&[7; 8]),
    };
    use wire::checksum::{Algorithm, Kind};
    let whole = sum(Algorithm::Crc64nvme, Kind::FullObject);
    let source = facts.heads.get_mut(&(2, Bytes::from_static(b"k"))).expect("the source");
    source.meta.checksums = vec![whole.clone(), sum(Algorithm::Sha256, Kind::Composite)];
    let part = wire::CopyPart {
        upload_id: upload_id.simple().to_string(),
        number: 3,
        source_bucket_id: 2,
        source_key: Bytes::from_static(b"k"),
        source_by_bucket: true,
        source_bucket_revision: 7,
        ..Default::default()
    };
    let (committed, _) = decided(&mutation(Op::CopyPart(part)), &facts).expect("committed");
    let part = committed.part.expect("a part");
    assert_eq!((part.number, part.checksums), (3, vec![whole]));
}
