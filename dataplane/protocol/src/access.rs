//! The one evaluator: may this sender do this to that? Its yes is a [`Grant`], and nothing acts without one.
//!
//! Pure: facts of the node's snapshot in, a decision out. Rules:
//! - A policy's Deny ends it; else a key, the bucket's policy or an ACL must say yes (`evaluate.rs`).
//! - Without a key only a policy or an ACL can.
//! - Permissions are separate: WRITE does not contain READ, ADMIN contains neither. A key that is created without a list is given all
//!   three by the control plane; here an empty list grants nothing.
//! - A key scoped to buckets learns nothing of any other: outside its scope every bucket, existing or not, is 403.
//! - Within the whole tenant, and to nobody in particular, a missing bucket is 404, and another tenant's is 403.

mod action;
mod evaluate;
mod identity;
mod settings;

pub use crate::sigv4::{Authenticated, Proof};
pub use action::*;
pub use evaluate::{
    Considered, Grant, Judge, Kept, MayLook, Pending, authorize_account, authorize_bucket, authorize_object,
    may_enter,
};
pub use identity::{BucketFacts, IdentityError, KeyIdentity, Permission, Permissions, Scope};
pub use settings::{BucketSettings, Document, Setting, StoredPolicy};

#[cfg(test)]
mod tests;
