//! The resources of a statement: ARNs with wildcards, each of which must reach the policy's bucket or objects in it.

use super::action::{PolicyAction, ResourceKind};
use super::malformed::Malformed;
use super::pattern::{Dialect, Pattern};
use crate::limits::{BUCKET_NAME_BYTES_MAX, OBJECT_KEY_BYTES_MAX};
use crate::name::{BucketName, ObjectKey};

/// The `Resource` or `NotResource` of a statement: patterns over `bucket` and `bucket/key`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Resources {
    patterns: Box<[Pattern]>,
    negated: bool,
    /// Whether some resource of that kind can match.
    bucket: bool,
    objects: bool,
}

/// What stands behind `arn:aws:s3:::` in the ARN of a bucket or an object, without an allocation.
pub(super) struct ResourceName {
    bytes: [u8; BUCKET_NAME_BYTES_MAX + 1 + OBJECT_KEY_BYTES_MAX],
    length: usize,
}

impl ResourceName {
    pub(super) fn new(bucket: &BucketName, key: Option<&ObjectKey>) -> Self {
        let mut name = Self { bytes: [0; _], length: 0 };
        name.push(bucket.as_str().as_bytes());
        if let Some(key) = key {
            name.push(b"/");
            name.push(key.as_bytes());
        }
        name
    }

    fn push(&mut self, part: &[u8]) {
        self.bytes[self.length..][..part.len()].copy_from_slice(part);
        self.length += part.len();
    }

    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl Resources {
    pub(super) fn new(patterns: Vec<Pattern>, negated: bool, bucket: &BucketName) -> Self {
        let name = bucket.as_str().as_bytes();
        let objects = [name, b"/"].concat();
        let named = |pattern: &Pattern| pattern.matches(name);
        // Objects are left over by `NotResource` unless one pattern takes them all.
        let (bucket, objects) = match negated {
            false => {
                (patterns.iter().any(named), patterns.iter().any(|pattern| pattern.matches_beyond(&objects)))
            }
            true => (
                !patterns.iter().any(named),
                !patterns.iter().any(|pattern| pattern.matches_all_beyond(&objects)),
            ),
        };
        Self { patterns: patterns.into(), negated, bucket, objects }
    }

    pub(super) fn cover(&self, name: &ResourceName) -> bool {
        self.patterns.iter().any(|pattern| pattern.matches(name.as_bytes())) != self.negated
    }

    /// Whether the action is ever asked of one of these.
    pub(super) fn suit(&self, action: PolicyAction) -> bool {
        match action.resource_kind() {
            ResourceKind::Bucket => self.bucket,
            ResourceKind::Object => self.objects,
        }
    }

    pub(super) fn patterns(&self) -> &[Pattern] {
        &self.patterns
    }
}

/// Reads one ARN. Region and account of S3's ARNs are empty; `*` may stand for that.
pub(super) fn parse_resource(
    text: &str,
    dialect: Dialect,
    bucket: &BucketName,
) -> Result<Pattern, Malformed> {
    let invalid = || Malformed::new("Policy has invalid resource").quoting(text);
    let mut parts = text.splitn(6, ':');
    let mut next = || parts.next().unwrap_or("no part");
    let known = next() == "arn" && next() == "aws" && next() == "s3";
    if !known || !matches!(next(), "" | "*") || !matches!(next(), "" | "*") {
        return Err(invalid());
    }
    let pattern = Pattern::parse(parts.next().ok_or_else(invalid)?, dialect)?;
    let name = bucket.as_str();
    if pattern.matches(name.as_bytes()) || pattern.matches_beyond(format!("{name}/").as_bytes()) {
        Ok(pattern)
    } else {
        Err(invalid())
    }
}
