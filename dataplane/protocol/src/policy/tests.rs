//! Policies read, asked and judged, case by case.

use std::net::IpAddr;

use bytes::Bytes;
use holdfast_common::id::TenantId;

use super::{BucketPolicy, Decision, PolicyAction, PolicyAsk, PolicyContext, Requester};
use crate::access::{KeyIdentity, Permissions, Scope};
use crate::error::S3Error;
use crate::name::{BucketName, ObjectKey};

mod conditions;
mod elements;
mod golden;
mod properties;
mod public;
mod who;
mod wildcards;

fn bucket() -> BucketName {
    BucketName::parse("examplebucket").expect("a bucket name")
}

fn parse(document: &str) -> Result<BucketPolicy, S3Error> {
    BucketPolicy::parse(document.as_bytes(), &bucket())
}

/// A policy of one statement, `'` for `"`.
fn statement(members: &str) -> String {
    format!("{{\"Version\":\"2012-10-17\",\"Statement\":{{{}}}}}", members.replace('\'', "\""))
}

fn policy(document: &str) -> BucketPolicy {
    parse(document).unwrap_or_else(|error| panic!("{error}\n{document}"))
}

fn identity(tenant: u64, name: &str, access_key_id: &str) -> KeyIdentity {
    KeyIdentity {
        access_key_id: access_key_id.into(),
        name: name.into(),
        tenant_id: TenantId(tenant),
        scope: Scope::WholeTenant,
        permissions: Permissions::ALL,
        signed_not_before: 0,
        revision: 1,
    }
}

const CANONICAL: &str = "79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be";

fn context() -> PolicyContext<'static> {
    PolicyContext::new("203.0.113.7".parse::<IpAddr>().expect("an address"), true)
}

fn ask(
    policy: &BucketPolicy,
    requester: Requester<'_>,
    action: PolicyAction,
    key: Option<&str>,
    context: &PolicyContext<'_>,
) -> Decision {
    let key = key.map(|key| ObjectKey::parse(Bytes::copy_from_slice(key.as_bytes())).expect("a key"));
    policy.evaluate(&PolicyAsk { requester, action, key: key.as_ref(), context })
}

/// What an anonymous GetObject of `key` gets.
fn read(policy: &BucketPolicy, key: &str) -> Decision {
    ask(policy, Requester::Anonymous, PolicyAction::GetObject, Some(key), &context())
}
