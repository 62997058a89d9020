//! The decision, and the proof of it.
//!
//! As AWS: what a policy denies nobody may; else it takes a yes from the key, from the policy, or from an ACL. A key's yes is
//! about its own tenant's buckets. A policy's yes reaches a key of another tenant only if that key has the permission for
//! the whole of its tenant: its own administrator has a say too. In a bucket with ACLs an object may be its writer's, and
//! then key, policy and ACL are asked as those of that owner.

use super::action::{
    AccountQuestion, AclGate, Action, BucketAsk, BucketTarget, InBucket, ObjectAsk, ObjectTarget,
};
use super::identity::{BucketFacts, KeyIdentity, Scope};
use super::settings::BucketSettings;
use crate::document::acl::{CannedAcl, Stranger};
use crate::document::public_access::PolicyReach;
use crate::error::{Code, S3Error};
use crate::name::ObjectKey;
use crate::policy::{BucketPolicy, Decision, ObjectTags, PolicyAction};
use crate::sigv4::Authenticated;
use holdfast_common::id::TenantId;
use std::sync::Arc;

/// The second proof of DESIGN 4.2: this sender may do `A` to this resource. Made in this file only.
pub struct Grant<A: Action> {
    sender: Option<Arc<KeyIdentity>>,
    resource: A::Resource,
    by_bucket: bool,
}

impl<A: Action> Grant<A> {
    #[must_use]
    pub fn resource(&self) -> &A::Resource {
        &self.resource
    }

    /// Whose key acts; `None`: nobody signed. Tenant and access key id go into the commit.
    #[must_use]
    pub fn sender(&self) -> Option<&Arc<KeyIdentity>> {
        self.sender.as_ref()
    }

    /// The bucket's policy or ACL allows it and the key does not: it holds under that configuration alone.
    #[must_use]
    pub fn by_bucket(&self) -> bool {
        self.by_bucket
    }
}

impl<A: Action> std::fmt::Debug for Grant<A>
where
    A::Resource: std::fmt::Debug,
{
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sender = self.sender.as_ref().map_or("anonymous", |key| &key.access_key_id);
        write!(f, "Grant<{}>({sender} for {:?})", A::NAME, self.resource)
    }
}

/// What a policy says to the request at hand: of an action, on a key or on the bucket, with these tags of the object.
pub type Judge<'a> = dyn Fn(&BucketPolicy, PolicyAction, Option<&ObjectKey>, ObjectTags<'_>) -> Decision + 'a;

/// Decides about the account.
///
/// # Errors
/// `AccessDenied`, in the same words whatever the reason.
pub fn authorize_account<'a, A>(who: &Authenticated, ask: A::Ask<'a>) -> Result<Grant<A>, S3Error>
where
    A: Action,
    A::Ask<'a>: AccountQuestion<Resource = A::Resource>,
{
    let key = who.identity().filter(|key| key.permissions.has(A::PERMISSION)).ok_or_else(denied)?;
    let resource = ask.resolve(key)?;
    Ok(Grant { sender: Some(Arc::clone(key)), resource, by_bucket: false })
}

/// Decides about a bucket.
///
/// # Errors
/// `AccessDenied`; `NoSuchBucket` to nobody in particular and to keys of a whole tenant.
pub fn authorize_bucket<A>(
    who: &Authenticated,
    ask: BucketAsk<'_>,
    judge: &Judge<'_>,
) -> Result<Grant<A>, S3Error>
where
    A: InBucket<Resource = BucketTarget>,
{
    let (bucket, settings) = found::<A>(who, ask)?;
    let case = Case::<A>::new(who, bucket, settings, None, false, None);
    match case.judge(judge, ObjectTags::Unknown, None) {
        Verdict::Yes { by_bucket } => Ok(Grant {
            sender: case.sender(),
            resource: BucketTarget { bucket: Arc::clone(bucket) },
            by_bucket,
        }),
        Verdict::No | Verdict::Denied => Err(denied()),
    }
}

/// What can be said about an object before it is looked at.
pub enum Considered<A: InBucket> {
    Granted(Grant<A>),
    /// The object's own tags, ACL or owner decide.
    Depends(Pending<A>),
}

/// A question that waits for the object.
pub struct Pending<A: InBucket> {
    who: Authenticated,
    target: ObjectTarget,
    names_version: bool,
    action: std::marker::PhantomData<A>,
}

/// Decides about an object, as far as that goes without it.
///
/// # Errors
/// As [`authorize_bucket`].
pub fn authorize_object<A>(
    who: &Authenticated,
    ask: ObjectAsk<'_>,
    judge: &Judge<'_>,
) -> Result<Considered<A>, S3Error>
where
    A: InBucket<Resource = ObjectTarget>,
{
    let (bucket, settings) = found::<A>(who, ask.bucket)?;
    let case = Case::<A>::new(who, bucket, settings, Some(&ask.key), ask.names_version, None);
    let depends_on_tags =
        settings.policy.as_ref().is_some_and(|stored| stored.policy.needs_object_tags(case.policy_action()));
    let verdict = case.judge(judge, ObjectTags::Unknown, None);
    let depends_on_owner = matches!(A::ACL, AclGate::Object(_)) && settings.ownership().has_acls();
    let settled = !depends_on_tags && !depends_on_owner;
    let (key, names_version) = (ask.key.clone(), ask.names_version);
    let target = ObjectTarget { bucket: Arc::clone(bucket), key };
    match verdict {
        Verdict::Yes { by_bucket } if settled => {
            Ok(Considered::Granted(Grant { sender: case.sender(), resource: target, by_bucket }))
        }
        Verdict::Denied if !depends_on_tags => Err(denied()),
        Verdict::No if settled => Err(denied()),
        _ => Ok(Considered::Depends(Pending {
            who: who.clone(),
            target,
            names_version,
            action: std::marker::PhantomData,
        })),
    }
}

/// What an object keeps that decides about it. The default is that of one that is not there.
#[derive(Clone, Copy, Debug, Default)]
pub struct Kept<'a> {
    pub tags: &'a [(&'a str, &'a str)],
    /// The canned ACL's name.
    pub acl: &'a str,
    /// `None`: the bucket's.
    pub owner: Option<TenantId>,
}

impl<A: InBucket<Resource = ObjectTarget>> Pending<A> {
    /// Decides, now that the object was looked at.
    ///
    /// # Errors
    /// `AccessDenied`.
    pub fn settle(self, kept: &Kept<'_>, judge: &Judge<'_>) -> Result<Grant<A>, S3Error> {
        let bucket = &self.target.bucket;
        let settings = bucket.settings.as_ref().ok_or_else(unreadable)?;
        let key = Some(&self.target.key);
        let case = Case::<A>::new(&self.who, bucket, settings, key, self.names_version, kept.owner);
        match case.judge(judge, ObjectTags::Known(kept.tags), Some(settings.object_acl(kept.acl))) {
            Verdict::Yes { by_bucket } => {
                Ok(Grant { sender: case.sender(), resource: self.target, by_bucket })
            }
            Verdict::No | Verdict::Denied => Err(denied()),
        }
    }
}

/// Whoever may look an object up: with a grant to read something of it, or to find out whether there is one to give.
pub trait MayLook {
    fn target(&self) -> &ObjectTarget;
}

impl<A: InBucket<Resource = ObjectTarget>> MayLook for Grant<A> {
    fn target(&self) -> &ObjectTarget {
        &self.resource
    }
}

impl<A: InBucket> MayLook for Pending<A> {
    fn target(&self) -> &ObjectTarget {
        &self.target
    }
}

enum Verdict {
    Yes {
        by_bucket: bool,
    },
    /// Nothing allows it.
    No,
    /// A policy denies it, and no ACL of an object can open that.
    Denied,
}

/// One question, with all that is known.
struct Case<'a, A> {
    who: &'a Authenticated,
    bucket: &'a BucketFacts,
    settings: &'a BucketSettings,
    key: Option<&'a ObjectKey>,
    names_version: bool,
    /// Of the object, where it is another than the bucket's and that counts.
    owner: Option<TenantId>,
    action: std::marker::PhantomData<A>,
}

impl<'a, A: InBucket> Case<'a, A> {
    fn new(
        who: &'a Authenticated,
        bucket: &'a BucketFacts,
        settings: &'a BucketSettings,
        key: Option<&'a ObjectKey>,
        names_version: bool,
        owner: Option<TenantId>,
    ) -> Self {
        let counts = matches!(A::ACL, AclGate::Object(_)) && settings.ownership().has_acls();
        let owner = owner.filter(|owner| counts && *owner != bucket.tenant_id);
        Self { who, bucket, settings, key, names_version, owner, action: std::marker::PhantomData }
    }

    fn sender(&self) -> Option<Arc<KeyIdentity>> {
        self.who.identity().cloned()
    }

    fn policy_action(&self) -> PolicyAction {
        A::POLICY[usize::from(self.names_version)]
    }

    fn judge(&self, judge: &Judge<'_>, tags: ObjectTags<'_>, object_acl: Option<CannedAcl>) -> Verdict {
        let by_key = self.key_allows();
        // What the bucket does not own is its guest: the authority holds that to the bucket's configuration.
        let by_bucket = !by_key || self.owner.is_some();
        if let Some(stored) = &self.settings.policy {
            match judge(&stored.policy, self.policy_action(), self.key, tags) {
                Decision::Deny if !(by_key && self.is_owner_at_policy()) => return Verdict::Denied,
                // What is for the account alone adds nothing to its own keys: its administrator has said what each may.
                Decision::Delegate if self.is_own() => {}
                Decision::Allow | Decision::Delegate if self.policy_reaches(stored.is_public) => {
                    return Verdict::Yes { by_bucket };
                }
                _ => {}
            }
        }
        if by_key || self.acl_opens(object_acl) { Verdict::Yes { by_bucket } } else { Verdict::No }
    }

    /// A key of the owner, in its scope. Buckets of others are in the scope of the whole tenant only.
    fn key_allows(&self) -> bool {
        self.who.identity().is_some_and(|key| {
            key.permissions.has(A::PERMISSION)
                && match self.owner {
                    None => self.is_own() && key.scope.holds(self.bucket.bucket_id),
                    Some(owner) => key.tenant_id == owner && key.scope == Scope::WholeTenant,
                }
        })
    }

    /// No policy locks its owner out of the policy itself, as in AWS no policy does that to the account's root.
    fn is_owner_at_policy(&self) -> bool {
        use PolicyAction::{DeleteBucketPolicy, GetBucketPolicy, PutBucketPolicy};
        let whole = self.who.identity().is_some_and(|key| key.scope == Scope::WholeTenant);
        whole && matches!(self.policy_action(), GetBucketPolicy | PutBucketPolicy | DeleteBucketPolicy)
    }

    fn is_own(&self) -> bool {
        self.who.identity().is_some_and(|key| key.tenant_id == self.bucket.tenant_id)
    }

    /// Whether an allowance of the policy is for this sender. It gives away only what is the bucket's owner's.
    fn policy_reaches(&self, is_public: bool) -> bool {
        if self.owner.is_some() {
            return false;
        }
        let as_written = self.settings.public_access().policy_reach(is_public) == PolicyReach::AsWritten;
        match self.who.identity() {
            None => as_written,
            Some(_) if self.is_own() => true,
            Some(key) => as_written && key.scope == Scope::WholeTenant && key.permissions.has(A::PERMISSION),
        }
    }

    fn acl_opens(&self, object_acl: Option<CannedAcl>) -> bool {
        let stranger = match self.who.identity() {
            Some(key)
                if self.owner.is_some()
                    && self.is_own()
                    && key.permissions.has(A::PERMISSION)
                    && key.scope.holds(self.bucket.bucket_id) =>
            {
                Stranger::BucketOwner
            }
            Some(_) => Stranger::Authenticated,
            None => Stranger::Anonymous,
        };
        match A::ACL {
            AclGate::Shut => false,
            AclGate::Bucket(opens) => opens(self.settings.acl().opens(stranger)),
            AclGate::Object(opens) => object_acl.is_some_and(|acl| opens(acl.opens(stranger))),
        }
    }
}

/// Refuses who could do nothing in a bucket: no key of its tenant for it, no policy, no ACL of it.
///
/// # Errors
/// `AccessDenied`, `NoSuchBucket` as [`authorize_bucket`].
pub fn may_enter(who: &Authenticated, ask: BucketAsk<'_>) -> Result<(), S3Error> {
    let (bucket, settings) = found::<super::action::PutObject>(who, ask)?;
    let own = who
        .identity()
        .is_some_and(|key| key.tenant_id == bucket.tenant_id && key.scope.holds(bucket.bucket_id));
    let open = settings.policy.is_some() || settings.acl() != CannedAcl::Private;
    if own || open { Ok(()) } else { Err(denied()) }
}

/// The bucket and what it was told, for who may know that it is there: others cannot tell a bucket that is not theirs from
/// none.
fn found<'a, A: Action>(
    who: &Authenticated,
    ask: BucketAsk<'a>,
) -> Result<(&'a Arc<BucketFacts>, &'a BucketSettings), S3Error> {
    if let Some(bucket) = ask.found {
        return Ok((bucket, bucket.settings.as_ref().ok_or_else(unreadable)?));
    }
    let may_know = who
        .identity()
        .is_none_or(|key| key.scope == Scope::WholeTenant && key.permissions.has(A::PERMISSION));
    if may_know {
        return Err(S3Error::new(Code::NoSuchBucket).with("BucketName", ask.name.as_str()));
    }
    Err(denied())
}

fn denied() -> S3Error {
    S3Error::new(Code::AccessDenied)
}

/// What a configuration forbids is not known, so everything is.
fn unreadable() -> S3Error {
    S3Error::new(Code::InternalError)
}
