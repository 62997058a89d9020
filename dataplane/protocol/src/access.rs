//! The one evaluator: may this sender do this to that? Its yes is a [`Grant`], and nothing acts without one.
//!
//! Pure: facts of the node's snapshot in, a decision out. Rules:
//! - No key, no grant (anonymous access comes with bucket policies, a later issue).
//! - Permissions are separate: WRITE does not contain READ, ADMIN contains neither. A key that is created without a list is given all
//!   three by the control plane; here an empty list grants nothing.
//! - A key scoped to buckets learns nothing of any other: outside its scope every bucket, existing or not, is 403.
//! - Within the whole tenant a missing bucket is 404, and another tenant's is 403.

mod action;
mod evaluate;
mod identity;

pub use crate::sigv4::{Authenticated, Proof};
pub use action::{
    AbortUpload, AccountAsk, Action, BucketAsk, BucketTarget, CreateBucket, DeleteBucket, DeleteObject,
    GetObject, ListBuckets, ListObjects, ListParts, ListUploads, NewBucketAsk, ObjectAsk, ObjectTarget,
    PutObject, ReadBucket, VisibleBuckets,
};
pub use evaluate::{Grant, authorize};
pub use identity::{BucketFacts, IdentityError, KeyIdentity, Permission, Permissions, Scope};

#[cfg(test)]
mod tests;
