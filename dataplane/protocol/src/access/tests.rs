//! The table of who may do what, case by case.

use super::{
    AccountAsk, BucketAsk, BucketFacts, BucketTarget, Considered, CreateBucket, DeleteBucket, DeleteObject,
    Document, GetObject, HeadBucket, IdentityError, InBucket, Kept, KeyIdentity, ListBuckets, ListObjects,
    NewBucketAsk, ObjectAsk, ObjectTarget, Permission, Permissions, PutObject, ReadObjectTags, Scope,
    Setting, WriteCors, WritePolicy, authorize_account, authorize_bucket, authorize_object, may_enter,
};
use crate::document::acl::CannedAcl;
use crate::document::ownership::ObjectOwnership;
use crate::error::Code;
use crate::name::{BucketName, ObjectKey};
use crate::policy::{BucketPolicy, Decision, ObjectTags, PolicyAction, PolicyAsk, PolicyContext, Requester};
use crate::sigv4::Authenticated;
use bytes::Bytes;
use holdfast_common::id::{BucketId, TenantId};
use holdfast_common::wire;
use std::sync::Arc;

fn who(scope: Scope, permissions: Permissions) -> Authenticated {
    of_tenant(TenantId(1), scope, permissions)
}

fn of_tenant(tenant_id: TenantId, scope: Scope, permissions: Permissions) -> Authenticated {
    Authenticated::for_tests(Arc::new(KeyIdentity {
        access_key_id: "AK".into(),
        name: "test".into(),
        tenant_id,
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
    told(id, tenant, &[])
}

/// A bucket that was told these documents.
fn told(id: u64, tenant: u64, documents: &[Document]) -> Arc<BucketFacts> {
    let documents = documents.iter().map(Document::to_wire).collect();
    let row = wire::Bucket {
        bucket_id: id,
        tenant_id: tenant,
        name: "bucket".to_owned(),
        configuration: Some(wire::BucketConfiguration { documents }),
        ..wire::Bucket::default()
    };
    Arc::new(BucketFacts::from_wire(&row).expect("a bucket"))
}

/// What the policy says to this sender, whose request brings nothing.
fn judge(
    who: &Authenticated,
) -> impl Fn(&BucketPolicy, PolicyAction, Option<&ObjectKey>, ObjectTags<'_>) -> Decision {
    move |policy, action, key, object_tags| {
        let nowhere = std::net::IpAddr::from([127, 0, 0, 1]);
        let context = PolicyContext { object_tags, ..PolicyContext::new(nowhere, false) };
        let requester = match who.identity() {
            Some(identity) => Requester::Key { identity, canonical_id: "" },
            None => Requester::Anonymous,
        };
        policy.evaluate(&PolicyAsk { requester, action, key, context: &context })
    }
}

fn on_bucket<A>(who: &Authenticated, found: Option<&Arc<BucketFacts>>) -> Option<Code>
where
    A: InBucket<Resource = BucketTarget>,
{
    let ask = BucketAsk { name: &name("bucket"), found };
    authorize_bucket::<A>(who, ask, &judge(who)).err().map(|error| {
        assert!(error.code != Code::AccessDenied || error.extra.is_empty(), "a denial tells nothing more");
        error.code
    })
}

fn on_object<A>(who: &Authenticated, found: Option<&Arc<BucketFacts>>) -> Option<Code>
where
    A: InBucket<Resource = ObjectTarget>,
{
    of_object::<A>(who, found, &[], "")
}

/// The same of an object with these tags and this ACL, if it comes to that.
fn of_object<A>(
    who: &Authenticated,
    found: Option<&Arc<BucketFacts>>,
    tags: &[(&str, &str)],
    acl: &str,
) -> Option<Code>
where
    A: InBucket<Resource = ObjectTarget>,
{
    settled::<A>(who, found, &Kept { tags, acl, owner: None })
}

fn settled<A>(who: &Authenticated, found: Option<&Arc<BucketFacts>>, kept: &Kept<'_>) -> Option<Code>
where
    A: InBucket<Resource = ObjectTarget>,
{
    let name = name("bucket");
    let key = ObjectKey::parse(Bytes::from_static(b"key")).expect("a key");
    let ask = ObjectAsk { bucket: BucketAsk { name: &name, found }, key, names_version: false };
    let grant = match authorize_object::<A>(who, ask, &judge(who)) {
        Ok(Considered::Granted(grant)) => Ok(grant),
        Ok(Considered::Depends(pending)) => pending.settle(kept, &judge(who)),
        Err(error) => Err(error),
    };
    grant.err().map(|error| error.code)
}

const DENIED: Option<Code> = Some(Code::AccessDenied);

#[test]
fn the_whole_tenant_sees_its_own_and_learns_what_is_missing() {
    let key = who(Scope::WholeTenant, Permissions::ALL);
    assert_eq!(on_bucket::<HeadBucket>(&key, Some(&bucket(5, 1))), None);
    assert_eq!(on_object::<PutObject>(&key, Some(&bucket(5, 1))), None);
    assert_eq!(on_bucket::<HeadBucket>(&key, None), Some(Code::NoSuchBucket));
    assert_eq!(on_object::<GetObject>(&key, None), Some(Code::NoSuchBucket));
    assert_eq!(on_bucket::<DeleteBucket>(&key, Some(&bucket(5, 2))), DENIED);
    assert_eq!(on_object::<GetObject>(&key, Some(&bucket(5, 2))), DENIED);
    assert!(authorize_account::<CreateBucket>(&key, NewBucketAsk { name: &name("new-one") }).is_ok());
}

#[test]
fn outside_its_scope_a_key_cannot_tell_what_exists() {
    let key = who(Scope::buckets([BucketId(5), BucketId(3)]), Permissions::ALL);
    assert_eq!(on_object::<GetObject>(&key, Some(&bucket(3, 1))), None);
    assert_eq!(on_bucket::<ListObjects>(&key, Some(&bucket(5, 1))), None);
    for found in [Some(&bucket(6, 1)), Some(&bucket(5, 2)), None] {
        assert_eq!(on_bucket::<HeadBucket>(&key, found), DENIED);
        assert_eq!(on_bucket::<DeleteBucket>(&key, found), DENIED);
        assert_eq!(on_object::<PutObject>(&key, found), DENIED);
    }
    assert!(authorize_account::<CreateBucket>(&key, NewBucketAsk { name: &name("bucket") }).is_err());
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
    assert_eq!(on_bucket::<HeadBucket>(&only(Permission::Write), None), DENIED);
}

#[test]
fn a_listing_of_buckets_shows_the_scope() {
    let grant =
        |scope| authorize_account::<ListBuckets>(&who(scope, Permissions::ALL), AccountAsk).expect("granted");
    let all = grant(Scope::WholeTenant);
    assert!(all.resource().shows(&bucket(5, 1)) && !all.resource().shows(&bucket(5, 2)));
    let scoped = grant(Scope::buckets([BucketId(5)]));
    assert!(scoped.resource().shows(&bucket(5, 1)) && !scoped.resource().shows(&bucket(6, 1)));
    assert!(!scoped.resource().shows(&bucket(5, 2)));
    assert_eq!(scoped.sender().map(|key| key.tenant_id), Some(TenantId(1)));
    assert!(!scoped.by_bucket());
}

#[test]
fn nobody_gets_nothing() {
    assert_eq!(on_object::<GetObject>(&Authenticated::Anonymous, Some(&bucket(5, 1))), DENIED);
    assert_eq!(on_bucket::<ListObjects>(&Authenticated::Anonymous, Some(&bucket(5, 1))), DENIED);
    assert_eq!(on_bucket::<HeadBucket>(&Authenticated::Anonymous, None), Some(Code::NoSuchBucket));
    let (name, found) = (name("bucket"), bucket(5, 1));
    assert!(may_enter(&Authenticated::Anonymous, BucketAsk { name: &name, found: Some(&found) }).is_err());
}

fn policy(statement: &str) -> Document {
    let text = format!(r#"{{"Version":"2012-10-17","Statement":{statement}}}"#);
    BucketPolicy::parse(text.as_bytes(), &name("bucket")).expect("a policy");
    Document::Policy(Some(text.into()))
}

const ANYONE_READS: &str =
    r#"{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::bucket/*"}"#;
const NO_BLOCK: Document = Document::PublicAccess(Setting::Removed);

#[test]
fn a_policy_lets_strangers_in_where_public_access_is_not_blocked() {
    let stranger = who(Scope::WholeTenant, Permissions::ALL);
    let scoped = who(Scope::buckets([BucketId(5)]), Permissions::ALL);
    let open = told(5, 2, &[policy(ANYONE_READS), NO_BLOCK]);
    for (sender, expected) in [(&Authenticated::Anonymous, None), (&stranger, None), (&scoped, DENIED)] {
        assert_eq!(on_object::<GetObject>(sender, Some(&open)), expected);
        assert_eq!(on_object::<PutObject>(sender, Some(&open)), DENIED);
        assert_eq!(on_object::<GetObject>(sender, Some(&told(5, 2, &[policy(ANYONE_READS)]))), DENIED);
    }
    // To its own tenant a policy speaks in any case.
    let writer = who(Scope::WholeTenant, Permissions::default().with(Permission::Write));
    assert_eq!(on_object::<GetObject>(&writer, Some(&told(5, 1, &[policy(ANYONE_READS)]))), None);
}

#[test]
fn what_a_policy_denies_nobody_may_but_its_owner_can_change_it() {
    let key = who(Scope::WholeTenant, Permissions::ALL);
    let scoped = who(Scope::buckets([BucketId(5)]), Permissions::ALL);
    let deny = r#"{"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":["arn:aws:s3:::bucket","arn:aws:s3:::bucket/*"]}"#;
    let shut = told(5, 1, &[policy(deny)]);
    assert_eq!(on_object::<GetObject>(&key, Some(&shut)), DENIED);
    assert_eq!(on_bucket::<WriteCors>(&key, Some(&shut)), DENIED);
    assert_eq!(on_bucket::<WritePolicy>(&key, Some(&shut)), None);
    assert_eq!(on_bucket::<WritePolicy>(&scoped, Some(&shut)), DENIED);
}

#[test]
fn tags_of_the_object_decide_once_they_are_known() {
    let key = who(Scope::WholeTenant, Permissions::ALL);
    let deny = r#"{"Effect":"Deny","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::bucket/*",
        "Condition":{"StringEquals":{"s3:ExistingObjectTag/secret":"yes"}}}"#;
    let bucket = told(5, 1, &[policy(deny)]);
    assert_eq!(of_object::<GetObject>(&key, Some(&bucket), &[("secret", "yes")], ""), DENIED);
    assert_eq!(of_object::<GetObject>(&key, Some(&bucket), &[("secret", "no")], ""), None);
    assert_eq!(of_object::<GetObject>(&key, Some(&bucket), &[], ""), None);
    assert_eq!(of_object::<ReadObjectTags>(&key, Some(&bucket), &[("secret", "yes")], ""), None);
}

#[test]
fn acls_open_what_they_say_where_there_are_acls() {
    let nobody = Authenticated::Anonymous;
    let stranger = who(Scope::WholeTenant, Permissions::default());
    let with_acls = Document::Ownership(Setting::Set(ObjectOwnership::ObjectWriter));
    let bucket = told(5, 2, &[with_acls.clone(), NO_BLOCK]);
    assert_eq!(of_object::<GetObject>(&nobody, Some(&bucket), &[], "public-read"), None);
    assert_eq!(of_object::<GetObject>(&nobody, Some(&bucket), &[], "authenticated-read"), DENIED);
    assert_eq!(of_object::<GetObject>(&stranger, Some(&bucket), &[], "authenticated-read"), None);
    assert_eq!(of_object::<GetObject>(&nobody, Some(&bucket), &[], ""), DENIED);
    assert_eq!(of_object::<ReadObjectTags>(&nobody, Some(&bucket), &[], "public-read"), DENIED);
    for closed in [told(5, 2, &[NO_BLOCK]), told(5, 2, std::slice::from_ref(&with_acls))] {
        assert_eq!(of_object::<GetObject>(&nobody, Some(&closed), &[], "public-read"), DENIED);
    }
    let writable = told(5, 2, &[with_acls, NO_BLOCK, Document::Acl(CannedAcl::PublicReadWrite)]);
    assert_eq!(on_bucket::<ListObjects>(&nobody, Some(&writable)), None);
    assert_eq!(on_object::<PutObject>(&nobody, Some(&writable)), None);
    assert_eq!(on_object::<DeleteObject>(&nobody, Some(&writable)), DENIED);
    assert_eq!(on_bucket::<WriteCors>(&nobody, Some(&writable)), DENIED);
}

#[test]
fn what_a_guest_wrote_is_the_guests() {
    use super::{ReadObjectAcl, WriteObjectAcl};
    let (own, guests) = (TenantId(2), TenantId(1));
    let with_acls = Document::Ownership(Setting::Set(ObjectOwnership::ObjectWriter));
    let everything =
        r#"{"Effect":"Allow","Principal":"*","Action":"s3:*","Resource":"arn:aws:s3:::bucket/*"}"#;
    let bucket = told(5, 2, &[with_acls, NO_BLOCK, policy(everything)]);
    let enforced = told(5, 2, &[NO_BLOCK, policy(everything)]);
    let guest = who(Scope::WholeTenant, Permissions::ALL);
    let scoped = who(Scope::buckets([BucketId(5)]), Permissions::ALL);
    let host = of_tenant(own, Scope::WholeTenant, Permissions::ALL);
    let third = of_tenant(TenantId(3), Scope::WholeTenant, Permissions::ALL);
    #[track_caller]
    fn ask<A>(who: &Authenticated, bucket: &Arc<BucketFacts>, acl: &str, owner: TenantId) -> Option<Code>
    where
        A: InBucket<Resource = ObjectTarget>,
    {
        settled::<A>(who, Some(bucket), &Kept { tags: &[], acl, owner: Some(owner) })
    }
    assert_eq!(ask::<GetObject>(&guest, &bucket, "", guests), None);
    assert_eq!(ask::<WriteObjectAcl>(&guest, &bucket, "", guests), None);
    assert_eq!(ask::<GetObject>(&scoped, &bucket, "", guests), DENIED);
    // The bucket's owner has nothing to give of it, but may remove it and write in its place.
    for (stranger, acl) in [(&host, ""), (&third, ""), (&Authenticated::Anonymous, "")] {
        assert_eq!(ask::<GetObject>(stranger, &bucket, acl, guests), DENIED);
        assert_eq!(ask::<ReadObjectTags>(stranger, &bucket, acl, guests), DENIED);
        assert_eq!(ask::<GetObject>(stranger, &enforced, acl, guests), None);
    }
    assert_eq!(ask::<DeleteObject>(&host, &bucket, "", guests), None);
    assert_eq!(ask::<PutObject>(&host, &bucket, "", guests), None);
    assert_eq!(ask::<GetObject>(&host, &bucket, "bucket-owner-read", guests), None);
    assert_eq!(ask::<ReadObjectAcl>(&host, &bucket, "bucket-owner-read", guests), DENIED);
    assert_eq!(ask::<WriteObjectAcl>(&host, &bucket, "bucket-owner-full-control", guests), None);
    assert_eq!(ask::<GetObject>(&third, &bucket, "bucket-owner-full-control", guests), DENIED);
    assert_eq!(ask::<GetObject>(&third, &bucket, "", own), None);
}

#[test]
fn a_bucket_with_a_document_beyond_us_is_nobodys() {
    let row = wire::Bucket {
        tenant_id: 1,
        name: "bucket".to_owned(),
        configuration: Some(wire::BucketConfiguration {
            documents: vec![wire::BucketDocument { kind: 99, body: "x".into() }],
        }),
        ..wire::Bucket::default()
    };
    let bucket = Arc::new(BucketFacts::from_wire(&row).expect("a bucket"));
    let key = who(Scope::WholeTenant, Permissions::ALL);
    assert_eq!(on_object::<GetObject>(&key, Some(&bucket)), Some(Code::InternalError));
    assert_eq!(on_bucket::<WritePolicy>(&key, Some(&bucket)), Some(Code::InternalError));
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
