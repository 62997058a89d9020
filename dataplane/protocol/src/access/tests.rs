//! The table of who may do what, case by case.

use super::{
    AccountAsk, Action, BucketAsk, BucketFacts, CreateBucket, DeleteBucket, DeleteObject, GetObject,
    IdentityError, KeyIdentity, ListBuckets, ListObjects, NewBucketAsk, ObjectAsk, Permission, Permissions,
    PutObject, ReadBucket, Scope, authorize,
};
use crate::error::Code;
use crate::name::{BucketName, ObjectKey};
use crate::sigv4::Authenticated;
use bytes::Bytes;
use holdfast_common::id::{BucketId, TenantId};
use holdfast_common::wire;
use std::sync::Arc;

fn who(scope: Scope, permissions: Permissions) -> Authenticated {
    Authenticated::for_tests(Arc::new(KeyIdentity {
        access_key_id: "AK".into(),
        name: "test".into(),
        tenant_id: TenantId(1),
        scope,
        permissions,
        signed_not_before: 0,
        revision: 1,
    }))
}

fn name(text: &str) -> BucketName {
    BucketName::parse(text).expect("a bucket name")
}

fn bucket(id: u64, tenant: u64) -> Arc<BucketFacts> {
    let row = wire::Bucket {
        bucket_id: id,
        tenant_id: tenant,
        name: "bucket".to_owned(),
        ..wire::Bucket::default()
    };
    Arc::new(BucketFacts::from_wire(&row).expect("a bucket"))
}

fn on_bucket<A>(who: &Authenticated, found: Option<&Arc<BucketFacts>>) -> Option<Code>
where
    A: for<'a> Action<Ask<'a> = BucketAsk<'a>>,
{
    authorize::<A>(who, BucketAsk { name: &name("bucket"), found }).err().map(|error| {
        assert!(error.code != Code::AccessDenied || error.extra.is_empty(), "a denial tells nothing more");
        error.code
    })
}

fn on_object<A>(who: &Authenticated, found: Option<&Arc<BucketFacts>>) -> Option<Code>
where
    A: for<'a> Action<Ask<'a> = ObjectAsk<'a>>,
{
    let name = name("bucket");
    let key = ObjectKey::parse(Bytes::from_static(b"key")).expect("a key");
    authorize::<A>(who, ObjectAsk { bucket: BucketAsk { name: &name, found }, key })
        .err()
        .map(|error| error.code)
}

const DENIED: Option<Code> = Some(Code::AccessDenied);

#[test]
fn the_whole_tenant_sees_its_own_and_learns_what_is_missing() {
    let key = who(Scope::WholeTenant, Permissions::ALL);
    assert_eq!(on_bucket::<ReadBucket>(&key, Some(&bucket(5, 1))), None);
    assert_eq!(on_object::<PutObject>(&key, Some(&bucket(5, 1))), None);
    assert_eq!(on_bucket::<ReadBucket>(&key, None), Some(Code::NoSuchBucket));
    assert_eq!(on_object::<GetObject>(&key, None), Some(Code::NoSuchBucket));
    assert_eq!(on_bucket::<DeleteBucket>(&key, Some(&bucket(5, 2))), DENIED);
    assert_eq!(on_object::<GetObject>(&key, Some(&bucket(5, 2))), DENIED);
    assert!(authorize::<CreateBucket>(&key, NewBucketAsk { name: &name("new-one") }).is_ok());
}

#[test]
fn outside_its_scope_a_key_cannot_tell_what_exists() {
    let key = who(Scope::buckets([BucketId(5), BucketId(3)]), Permissions::ALL);
    assert_eq!(on_object::<GetObject>(&key, Some(&bucket(3, 1))), None);
    assert_eq!(on_bucket::<ListObjects>(&key, Some(&bucket(5, 1))), None);
    for found in [Some(&bucket(6, 1)), Some(&bucket(5, 2)), None] {
        assert_eq!(on_bucket::<ReadBucket>(&key, found), DENIED);
        assert_eq!(on_bucket::<DeleteBucket>(&key, found), DENIED);
        assert_eq!(on_object::<PutObject>(&key, found), DENIED);
    }
    assert!(authorize::<CreateBucket>(&key, NewBucketAsk { name: &name("bucket") }).is_err());
    let nothing = who(Scope::buckets([]), Permissions::ALL);
    assert_eq!(on_object::<GetObject>(&nothing, Some(&bucket(5, 1))), DENIED);
}

#[test]
fn permissions_do_not_contain_each_other() {
    let only = |permission| who(Scope::WholeTenant, Permissions::default().with(permission));
    let there = bucket(5, 1);
    for (permission, read, write, admin) in [
        (Permission::Read, None, DENIED, DENIED),
        (Permission::Write, DENIED, None, DENIED),
        (Permission::Admin, DENIED, DENIED, None),
    ] {
        let key = only(permission);
        assert_eq!(on_object::<GetObject>(&key, Some(&there)), read);
        assert_eq!(on_bucket::<ListObjects>(&key, Some(&there)), read);
        assert_eq!(on_object::<DeleteObject>(&key, Some(&there)), write);
        assert_eq!(on_bucket::<DeleteBucket>(&key, Some(&there)), admin);
    }
    assert_eq!(on_bucket::<ReadBucket>(&only(Permission::Write), None), DENIED);
}

#[test]
fn a_listing_of_buckets_shows_the_scope() {
    let grant = |scope| authorize::<ListBuckets>(&who(scope, Permissions::ALL), AccountAsk).expect("granted");
    let all = grant(Scope::WholeTenant);
    assert!(all.resource().shows(&bucket(5, 1)) && !all.resource().shows(&bucket(5, 2)));
    let scoped = grant(Scope::buckets([BucketId(5)]));
    assert!(scoped.resource().shows(&bucket(5, 1)) && !scoped.resource().shows(&bucket(6, 1)));
    assert!(!scoped.resource().shows(&bucket(5, 2)));
    assert_eq!(scoped.principal().tenant_id, TenantId(1));
}

#[test]
fn nobody_gets_nothing() {
    assert_eq!(on_object::<GetObject>(&Authenticated::Anonymous, Some(&bucket(5, 1))), DENIED);
    assert_eq!(on_bucket::<ReadBucket>(&Authenticated::Anonymous, None), DENIED);
}

#[test]
fn keys_of_the_wire_are_read_strictly() {
    let key = wire::AccessKey { access_key_id: "AK".to_owned(), tenant_id: 1, ..wire::AccessKey::default() };
    let read = KeyIdentity::from_wire(&key).expect("readable");
    assert_eq!(
        (read.scope, read.permissions),
        (Scope::buckets([]), Permissions::default()),
        "empty means nothing"
    );
    let all =
        wire::AccessKey { all_buckets: true, bucket_ids: vec![4], permissions: vec![1, 3], ..key.clone() };
    let read = KeyIdentity::from_wire(&all).expect("readable");
    assert_eq!(read.scope, Scope::WholeTenant);
    assert!(read.permissions.has(Permission::Admin) && !read.permissions.has(Permission::Write));
    let later = wire::AccessKey { permissions: vec![1, 9], ..key.clone() };
    assert_eq!(KeyIdentity::from_wire(&later), Err(IdentityError::Permission(9)));
    let nameless = wire::AccessKey { access_key_id: String::new(), ..key };
    assert_eq!(KeyIdentity::from_wire(&nameless), Err(IdentityError::AccessKeyId));
}
