//! Bucket policies: what an owner lets whom do, in AWS's JSON, read once and asked per request.
//!
//! A policy that says anything this file does not enforce is `MalformedPolicy` when it is put, never stored and ignored: an
//! unknown key in a Deny would deny nobody. Its own text is the caller's to keep, for GetBucketPolicy returns what was put.
//!
//! The answer is one of three, and only part of the decision: an explicit Deny ends it; Allow and Silent are combined with
//! the key's own permissions by the caller. As in AWS, an Allow of an account is about every user of it.

use std::fmt;

mod action;
mod condition;
mod context;
mod json;
mod malformed;
mod pattern;
mod principal;
mod public;
mod resource;
mod statement;

pub use action::{PolicyAction, ResourceKind};
pub use context::{ObjectTags, PolicyContext};
pub use principal::{Requester, principal_arn};

use crate::error::S3Error;
use crate::limits::BUCKET_POLICY_SEARCH_BYTES_MAX;
use crate::name::{BucketName, ObjectKey};
use json::Json;
use malformed::Malformed;
use pattern::{Dialect, Pattern};
use resource::ResourceName;
use statement::{Effect, Statement};

/// A policy that is well-formed and fits its bucket.
#[derive(Clone, PartialEq)]
pub struct BucketPolicy {
    bucket: BucketName,
    statements: Box<[Statement]>,
}

/// May this be done?
#[derive(Clone, Copy, Debug)]
pub struct PolicyAsk<'a> {
    pub requester: Requester<'a>,
    pub action: PolicyAction,
    /// `None`: the bucket itself.
    pub key: Option<&'a ObjectKey>,
    pub context: &'a PolicyContext<'a>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    Allow,
    /// A statement allows it to the sender's account: which of its users may, the account says.
    Delegate,
    /// A statement denies it; nothing else allows it any more.
    Deny,
    /// No statement speaks about it.
    Silent,
}

impl BucketPolicy {
    /// Reads the body of PutBucketPolicy.
    ///
    /// # Errors
    /// `MalformedPolicy`, with a sentence that names the element.
    pub fn parse(document: &[u8], bucket: &BucketName) -> Result<Self, S3Error> {
        Ok(Self::read(&Json::parse(document)?, bucket)?)
    }

    /// Decides. The order of statements does not matter.
    #[must_use]
    pub fn evaluate(&self, ask: &PolicyAsk<'_>) -> Decision {
        let name = ResourceName::new(&self.bucket, ask.key);
        let mut decision = Decision::Silent;
        for statement in &self.statements {
            // Only a Deny can change an Allow.
            if decision == Decision::Allow && statement.effect == Effect::Allow {
                continue;
            }
            if statement.speaks(ask, &name) {
                match statement.effect {
                    Effect::Deny => return Decision::Deny,
                    Effect::Allow if statement.principals.name(&ask.requester) => decision = Decision::Allow,
                    Effect::Allow => decision = Decision::Delegate,
                }
            }
        }
        decision
    }

    /// Whether [`PolicyContext::object_tags`] may matter to the action: without them it is refused more than it should be.
    #[must_use]
    pub fn needs_object_tags(&self, action: PolicyAction) -> bool {
        self.statements.iter().any(|statement| statement.needs_object_tags(action))
    }

    /// Whether it grants anything to the public, by AWS's definition.
    #[must_use]
    pub fn is_public(&self) -> bool {
        self.statements.iter().any(public::grants_to_public)
    }

    fn read(document: &Json, bucket: &BucketName) -> Result<Self, Malformed> {
        let (mut dialect, mut statement) = (Dialect::V2008, None);
        for (name, value) in document.members()? {
            match name.as_str() {
                "Version" => dialect = version(value)?,
                "Id" => drop(value.text().map_err(|fault| fault.within("Id"))?),
                "Statement" => statement = Some(value),
                _ => return Err(Malformed::new("Policy has an unknown element").quoting(name)),
            }
        }
        let statement = statement.ok_or_else(|| Malformed::new("Missing required field Statement"))?;
        let statements = match statement {
            Json::List(list) if list.is_empty() => {
                return Err(Malformed::new("Could not parse the policy: Statement is empty!"));
            }
            value => value.one_or_more()?,
        };
        let read = |(at, value): (usize, &Json)| {
            Statement::parse(value, dialect, bucket).map_err(|fault| fault.at(at).within("Statement"))
        };
        let statements = statements.iter().enumerate().map(read).collect::<Result<Box<[_]>, _>>()?;
        let search_bytes: usize =
            statements.iter().flat_map(Statement::patterns).map(Pattern::search_bytes).sum();
        if search_bytes > BUCKET_POLICY_SEARCH_BYTES_MAX {
            return Err(Malformed::new("Policy has too many texts with ? behind *"));
        }
        Ok(Self { bucket: bucket.clone(), statements })
    }
}

fn version(value: &Json) -> Result<Dialect, Malformed> {
    match value {
        Json::Text(version) if version == "2012-10-17" => Ok(Dialect::V2012),
        Json::Text(version) if version == "2008-10-17" => Ok(Dialect::V2008),
        _ => Err(Malformed::new("The policy must contain a valid version string")),
    }
}

impl fmt::Debug for BucketPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BucketPolicy({} statements on {})", self.statements.len(), self.bucket)
    }
}

#[cfg(test)]
mod tests;
