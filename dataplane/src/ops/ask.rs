//! May this request do that? How grants are asked for, with what policies and ACLs may want to know.

use std::sync::Arc;

use bytes::Bytes;
use holdfast_common::id::TenantId;
use holdfast_common::wire;
use holdfast_protocol::access::{
    BucketAsk, BucketFacts, BucketSettings, BucketTarget, Considered, CreateBucket, GetObject, Grant,
    InBucket, Kept, ListObjects, NewBucketAsk, ObjectAsk, ObjectTarget, WriteObjectAcl, WriteObjectTags,
    authorize_account, authorize_bucket, authorize_object, may_enter,
};
use holdfast_protocol::document::tagging::TagSet;
use holdfast_protocol::error::{Code, S3Error};
use holdfast_protocol::name::{BucketName, ObjectKey};
use holdfast_protocol::operation::{RequestFacts, VersionSelector};
use holdfast_protocol::policy::{BucketPolicy, Decision, ObjectTags, PolicyAction, PolicyAsk, Requester};

use super::call::Call;
use crate::env::Env;

/// A grant, and the object as it was looked at for the decision, where it was: what is answered must be that one.
pub(super) struct Seen<A: InBucket> {
    pub(super) grant: Grant<A>,
    record: Option<Option<Arc<wire::ObjectRecord>>>,
}

/// Whose owner counts.
#[derive(Clone, Copy)]
enum Whose {
    /// That of the object that is there.
    Its,
    /// Of the one that replaces it: who may put it there.
    New,
}

impl<E: Env> Call<'_, E> {
    pub(super) fn found(&self, name: &BucketName) -> Option<&Arc<BucketFacts>> {
        self.view.buckets.get(name.as_str())
    }

    fn bucket_ask<'n>(&'n self, name: &'n BucketName) -> BucketAsk<'n> {
        BucketAsk { name, found: self.found(name) }
    }

    /// A grant to create this request's bucket.
    pub(super) fn on_new_bucket(&self) -> Result<Grant<CreateBucket>, S3Error> {
        authorize_account::<CreateBucket>(&self.who, NewBucketAsk { name: self.bucket_name() })
    }

    /// A grant on this request's bucket.
    pub(super) fn on_bucket<A>(&self) -> Result<Grant<A>, S3Error>
    where
        A: InBucket<Resource = BucketTarget>,
    {
        authorize_bucket(&self.who, self.bucket_ask(self.bucket_name()), &self.judge(None))
    }

    /// A grant on this request's object.
    pub(super) async fn on_object<A>(&self) -> Result<Grant<A>, S3Error>
    where
        A: InBucket<Resource = ObjectTarget>,
    {
        Ok(self.on_version(&VersionSelector::Current).await?.grant)
    }

    /// The same for the version that it names.
    pub(super) async fn on_version<A>(&self, version: &VersionSelector) -> Result<Seen<A>, S3Error>
    where
        A: InBucket<Resource = ObjectTarget>,
    {
        self.on(self.bucket_name(), self.object_key().clone(), version).await
    }

    /// A grant on any object: the source of a copy, one entry of DeleteObjects.
    pub(super) async fn on<A>(
        &self,
        bucket: &BucketName,
        key: ObjectKey,
        version: &VersionSelector,
    ) -> Result<Seen<A>, S3Error>
    where
        A: InBucket<Resource = ObjectTarget>,
    {
        self.decide(bucket, key, version, Whose::Its).await
    }

    async fn decide<A>(
        &self,
        bucket: &BucketName,
        key: ObjectKey,
        version: &VersionSelector,
        whose: Whose,
    ) -> Result<Seen<A>, S3Error>
    where
        A: InBucket<Resource = ObjectTarget>,
    {
        let names_version = *version != VersionSelector::Current;
        let ask = ObjectAsk { bucket: self.bucket_ask(bucket), key: key.clone(), names_version };
        let pending = match authorize_object(&self.who, ask, &self.judge(version.named()))? {
            Considered::Granted(grant) => return Ok(Seen { grant, record: None }),
            Considered::Depends(pending) => pending,
        };
        let record = self.lookup(&pending, version).await?;
        let meta = record.as_ref().and_then(|record| record.meta.as_ref());
        let tags: Vec<(&str, &str)> =
            meta.iter().flat_map(|meta| &meta.tags).map(|tag| (&*tag.name, &*tag.value)).collect();
        let kept = Kept {
            tags: &tags,
            acl: meta.map_or("", |meta| &*meta.acl),
            owner: match (whose, &record) {
                (Whose::Its, Some(record)) => Some(TenantId(record.tenant_id)),
                _ => None,
            },
        };
        let settled = pending.settle(&kept, &self.judge(version.named()));
        let grant = match (settled, &record) {
            // What is not there has no ACL that could open it; who may list the bucket may know that.
            (Err(_), None) if self.may_list(bucket) => return Err(absent(&key, version)),
            (settled, _) => settled?,
        };
        Ok(Seen { grant, record: Some(record) })
    }

    /// Refuses who could do nothing in this request's bucket, whichever of its objects were asked for.
    pub(super) fn may_enter(&self) -> Result<(), S3Error> {
        may_enter(&self.who, self.bucket_ask(self.bucket_name()))
    }

    /// What a new object is made with takes permissions of its own, where a policy tells them apart.
    pub(super) async fn may_adorn(&self, with_tags: bool, with_acl: bool) -> Result<(), S3Error> {
        let settings = self.found(self.bucket_name()).and_then(|bucket| bucket.settings.as_ref());
        if settings.is_none_or(|settings| settings.policy.is_none()) {
            return Ok(());
        }
        if with_tags {
            self.may_tag_new().await?;
        }
        if with_acl {
            self.on_new::<WriteObjectAcl>().await?;
        }
        Ok(())
    }

    /// The object that this request makes may have tags.
    pub(super) async fn may_tag_new(&self) -> Result<(), S3Error> {
        self.on_new::<WriteObjectTags>().await
    }

    async fn on_new<A>(&self) -> Result<(), S3Error>
    where
        A: InBucket<Resource = ObjectTarget>,
    {
        let (bucket, key) = (self.bucket_name(), self.object_key().clone());
        self.decide::<A>(bucket, key, &VersionSelector::Current, Whose::New).await.map(drop)
    }

    /// A condition on the ETag tells who sets it what is there: that takes reading it, as in S3.
    pub(super) async fn may_compare(
        &self,
        key: &ObjectKey,
        when: &wire::Precondition,
    ) -> Result<(), S3Error> {
        if !when.if_match.is_empty() {
            self.on::<GetObject>(self.bucket_name(), key.clone(), &VersionSelector::Current).await?;
        }
        Ok(())
    }

    /// What is said of a version that is not there: the truth to those who may list the bucket.
    pub(super) fn absent(&self, bucket: &BucketName, key: &ObjectKey, version: &VersionSelector) -> S3Error {
        if self.may_list(bucket) { absent(key, version) } else { S3Error::new(Code::AccessDenied) }
    }

    fn may_list(&self, bucket: &BucketName) -> bool {
        authorize_bucket::<ListObjects>(&self.who, self.bucket_ask(bucket), &self.judge(None)).is_ok()
    }

    /// How a policy is asked about this request. `version`: of a source or an entry that its head does not name.
    fn judge<'j>(
        &'j self,
        version: Option<&'j str>,
    ) -> impl Fn(&BucketPolicy, PolicyAction, Option<&ObjectKey>, ObjectTags<'_>) -> Decision + 'j {
        move |policy, action, key, object_tags| {
            let Some(facts) = self.facts.get_or_init(|| self.read_facts().ok()) else {
                return Decision::Deny;
            };
            let tenant = self.who.identity().map(|identity| self.core.owner(identity.tenant_id.0));
            let requester = match (self.who.identity(), &tenant) {
                (Some(identity), Some(tenant)) => {
                    Requester::Key { identity, canonical_id: &tenant.canonical_id }
                }
                _ => Requester::Anonymous,
            };
            facts.within(version, object_tags, |context| {
                policy.evaluate(&PolicyAsk { requester, action, key, context })
            })
        }
    }

    /// Of a form, whose fields say what heads say else.
    pub(super) fn facts_of_form(&self, acl: Option<&str>) {
        self.facts.get_or_init(|| self.read_facts().ok().map(|facts| facts.with_acl(acl)));
    }

    fn read_facts(&self) -> Result<RequestFacts, S3Error> {
        let tags = self.tags.get().map(TagSet::pairs);
        let origin = self.context.origin;
        RequestFacts::read(self.head, origin.address, origin.secure, tags)
    }
}

impl<A: InBucket> Seen<A> {
    /// The operation that wrote what was looked at for the decision; empty where nothing was.
    pub(super) fn op_id(&self) -> Bytes {
        self.record.iter().flatten().map(|record| record.op_id.clone()).next().unwrap_or_default()
    }

    /// The version that it was asked for, looked at once.
    pub(super) async fn look<E: Env>(
        &mut self,
        call: &Call<'_, E>,
        version: &VersionSelector,
    ) -> Result<Option<Arc<wire::ObjectRecord>>, S3Error>
    where
        A: InBucket<Resource = ObjectTarget>,
    {
        if self.record.is_none() {
            self.record = Some(call.lookup(&self.grant, version).await?);
        }
        Ok(self.record.clone().flatten())
    }

    /// The grant, and the version that it was asked for.
    pub(super) async fn with_record<E: Env>(
        self,
        call: &Call<'_, E>,
        version: &VersionSelector,
    ) -> Result<(Grant<A>, Option<Arc<wire::ObjectRecord>>), S3Error>
    where
        A: InBucket<Resource = ObjectTarget>,
    {
        let record = match self.record {
            Some(record) => record,
            None => call.lookup(&self.grant, version).await?,
        };
        Ok((self.grant, record))
    }
}

fn absent(key: &ObjectKey, version: &VersionSelector) -> S3Error {
    match version.named() {
        None => S3Error::new(Code::NoSuchKey).with("Key", key.as_str()),
        Some(id) => S3Error::new(Code::NoSuchVersion).with("Key", key.as_str()).with("VersionId", id),
    }
}

/// What a bucket was told; who has a grant on it has been asked under it.
pub(super) fn settings_of(bucket: &BucketFacts) -> Result<&BucketSettings, S3Error> {
    bucket.settings.as_ref().ok_or_else(|| S3Error::new(Code::InternalError))
}
