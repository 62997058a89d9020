//! A POST policy: until when a form may be sent, and what its fields may say.
//!
//! Two kinds of no: a document that is not a policy (`InvalidPolicyDocument`, 400), and a form that is not what the policy
//! allows (`AccessDenied`, 403, naming the condition). Every field has to be named by a condition, so a page cannot add
//! to a form what its signer did not think of. The bucket counts as a field; its value is the bucket of the request.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::fields::{self, FormFields};
use super::range::ContentLengthRange;
use crate::date::parse_iso8601;
use crate::error::{Code, S3Error};
use crate::limits::POLICY_CONDITIONS_MAX;
use crate::name::BucketName;

mod json;

use json::{Scalar, Scanner, quoted};

/// A policy that was understood. Whether a key signed it is told by `sigv4::authenticate_form`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    expires_ms: u64,
    conditions: Vec<Condition>,
}

/// One element of `conditions`.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Condition {
    /// `{"acl": "private"}` or `["eq", "$acl", "private"]`
    Equals { name: String, value: String },
    /// `["starts-with", "$key", "user/"]`
    StartsWith { name: String, value: String },
    /// `["content-length-range", 1, 10]`
    Size(ContentLengthRange),
    /// Well-formed, and true of no form: a name without `$`, a size that is not a number. Shown as it was written.
    Never(Vec<String>),
}

/// Why a text is not a policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum PolicyError {
    #[error("Invalid Base64.")]
    Base64,
    #[error("Invalid JSON.")]
    Json,
    #[error("Unexpected: '{0}'")]
    Unexpected(String),
    #[error("Policy missing {0}.")]
    Missing(&'static str),
    #[error("Invalid 'expiration' value: '{0}'")]
    Expiration(String),
    #[error("Invalid Simple-Condition: Simple-Conditions must have exactly one property specified.")]
    NotOneProperty,
    #[error("Invalid Simple-Condition: value must be a string.")]
    NotAString,
    #[error("Invalid Condition: missing operation identifier.")]
    NoOperation,
    #[error("Invalid Condition: the operation '{0}' does not exist.")]
    Operation(String),
    #[error("Invalid Condition: '{0}' takes two arguments.")]
    Arguments(&'static str),
    #[error("There are more than {POLICY_CONDITIONS_MAX} conditions.")]
    TooMany,
}

impl From<PolicyError> for S3Error {
    fn from(error: PolicyError) -> Self {
        Self::new(Code::InvalidPolicyDocument).message(format!("Invalid Policy: {error}"))
    }
}

impl Policy {
    /// Reads the field `policy`.
    ///
    /// # Errors
    /// `InvalidPolicyDocument`.
    pub fn parse(field: &str) -> Result<Self, S3Error> {
        let text = STANDARD.decode(field).map_err(|_| PolicyError::Base64)?;
        let text = std::str::from_utf8(&text).map_err(|_| PolicyError::Json)?;
        Ok(Self::parse_text(text)?)
    }

    /// Holds a form against the policy. What remains to be held against it is the size of the file.
    ///
    /// # Errors
    /// `AccessDenied`: expired, a condition that does not hold, a field without a condition.
    pub fn check(
        &self,
        fields: &FormFields,
        bucket: &BucketName,
        now_ms: u64,
    ) -> Result<ContentLengthRange, S3Error> {
        if now_ms >= self.expires_ms {
            return Err(denied("Policy expired."));
        }
        let mut size = ContentLengthRange::ALL;
        for condition in &self.conditions {
            match condition {
                Condition::Size(range) => size = size.and(*range),
                other if other.holds(fields, bucket) => {}
                other => return Err(denied(&format!("Policy Condition failed: {}", other.shown()))),
            }
        }
        let uncovered = self.uncovered(fields);
        if uncovered.is_empty() {
            return Ok(size);
        }
        Err(denied(&format!("Extra input fields: {}", uncovered.join(", "))))
    }

    fn uncovered<'a>(&self, fields: &'a FormFields) -> Vec<&'a str> {
        let bucket = (!fields.has("bucket")).then_some("bucket");
        let names = fields.iter().map(|(name, _)| name).chain(bucket);
        let covered = |name: &str| self.conditions.iter().any(|condition| condition.is_about(name));
        names.filter(|name| !needs_no_condition(name) && !covered(name)).collect()
    }

    fn parse_text(text: &str) -> Result<Self, PolicyError> {
        let mut json = Scanner::new(text);
        json.expect('{')?;
        let (mut expiration, mut conditions) = (None, None);
        let mut begun = false;
        while json.next_in('}', begun)? {
            begun = true;
            let name = json.text()?;
            json.expect(':')?;
            match name.as_str() {
                "expiration" if expiration.is_none() => expiration = Some(json.text()?),
                "conditions" if conditions.is_none() => conditions = Some(read_conditions(&mut json)?),
                _ => return Err(PolicyError::Unexpected(name.to_lowercase())),
            }
        }
        json.end()?;
        let expiration = expiration.ok_or(PolicyError::Missing("expiration"))?;
        let expires_ms = parse_iso8601(&expiration).ok_or(PolicyError::Expiration(expiration))?;
        Ok(Self { expires_ms, conditions: conditions.ok_or(PolicyError::Missing("conditions"))? })
    }
}

impl Condition {
    fn holds(&self, fields: &FormFields, bucket: &BucketName) -> bool {
        let sent = |name: &str| match &name[1..] {
            name if name.eq_ignore_ascii_case("bucket") => Some(bucket.as_str()),
            name => fields.get(name),
        };
        match self {
            Self::Equals { name, value } => sent(name) == Some(value),
            // A list of types is as good as its worst member. Absent fields start with nothing, not even with "".
            Self::StartsWith { name, value } if name.eq_ignore_ascii_case("$content-type") => {
                sent(name).is_some_and(|list| list.split(',').all(|one| one.trim_ascii().starts_with(value)))
            }
            Self::StartsWith { name, value } => sent(name).is_some_and(|sent| sent.starts_with(value)),
            Self::Size(_) => true,
            Self::Never(_) => false,
        }
    }

    fn is_about(&self, field: &str) -> bool {
        match self {
            Self::Equals { name, .. } | Self::StartsWith { name, .. } => {
                name[1..].eq_ignore_ascii_case(field)
            }
            Self::Size(_) | Self::Never(_) => false,
        }
    }

    /// As AWS shows it: always a list, names as they were written.
    fn shown(&self) -> String {
        let words: Vec<&str> = match self {
            Self::Equals { name, value } => vec!["eq", name, value],
            Self::StartsWith { name, value } => vec!["starts-with", name, value],
            Self::Size(_) => vec![SIZE],
            Self::Never(words) => words.iter().map(String::as_str).collect(),
        };
        let words: Vec<String> = words.into_iter().map(quoted).collect();
        format!("[{}]", words.join(", "))
    }
}

const SIZE: &str = "content-length-range";

/// The fields of the signature itself, whichever version, and what a page sends for its own ends.
fn needs_no_condition(name: &str) -> bool {
    const FREE: [&str; 4] = ["policy", "x-amz-signature", "awsaccesskeyid", "signature"];
    FREE.iter().any(|free| free.eq_ignore_ascii_case(name)) || fields::starts_with(name, "x-ignore-")
}

fn denied(what: &str) -> S3Error {
    S3Error::new(Code::AccessDenied).message(format!("Invalid according to Policy: {what}"))
}

fn read_conditions(json: &mut Scanner<'_>) -> Result<Vec<Condition>, PolicyError> {
    json.expect('[')?;
    let mut conditions = Vec::new();
    while json.next_in(']', !conditions.is_empty())? {
        if conditions.len() == POLICY_CONDITIONS_MAX {
            return Err(PolicyError::TooMany);
        }
        conditions.push(match json.take('{') {
            true => read_simple(json)?,
            false => read_list(json)?,
        });
    }
    Ok(conditions)
}

/// `{"acl": "private"}`, after its brace.
fn read_simple(json: &mut Scanner<'_>) -> Result<Condition, PolicyError> {
    if json.take('}') {
        return Err(PolicyError::NotOneProperty);
    }
    let name = format!("${}", json.text()?);
    json.expect(':')?;
    let Scalar::Text(value) = json.scalar()? else { return Err(PolicyError::NotAString) };
    if json.next_in('}', true)? {
        return Err(PolicyError::NotOneProperty);
    }
    Ok(Condition::Equals { name, value })
}

/// `["eq", "$acl", "private"]`
fn read_list(json: &mut Scanner<'_>) -> Result<Condition, PolicyError> {
    json.expect('[')?;
    let mut words = Vec::new();
    while json.next_in(']', !words.is_empty())? {
        words.push(json.scalar()?);
        if words.len() > 3 {
            return Err(PolicyError::Json);
        }
    }
    let mut words = words.into_iter();
    let operation = match words.next() {
        None => return Err(PolicyError::NoOperation),
        Some(Scalar::Number(_)) => return Err(PolicyError::Json),
        Some(Scalar::Text(operation)) => operation.to_ascii_lowercase(),
    };
    let operation = ["eq", "starts-with", SIZE]
        .into_iter()
        .find(|known| *known == operation)
        .ok_or(PolicyError::Operation(operation))?;
    match (operation, words.next(), words.next()) {
        (SIZE, Some(min), Some(max)) => Ok(size_condition(min, max)),
        (_, Some(Scalar::Text(name)), Some(Scalar::Text(value))) => {
            Ok(match_condition(operation, name, value))
        }
        (_, Some(_), Some(_)) => Err(PolicyError::Json),
        _ => Err(PolicyError::Arguments(operation)),
    }
}

fn match_condition(operation: &str, name: String, value: String) -> Condition {
    match (operation, name.starts_with('$')) {
        (_, false) => Condition::Never(vec![operation.to_owned(), name, value]),
        ("eq", true) => Condition::Equals { name, value },
        (_, true) => Condition::StartsWith { name, value },
    }
}

/// Numbers may be written as texts.
fn size_condition(min: Scalar, max: Scalar) -> Condition {
    let number = |scalar: &Scalar| match scalar {
        Scalar::Number(number) => Some(*number),
        Scalar::Text(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok(),
        Scalar::Text(_) => None,
    };
    let word = |scalar: Scalar| match scalar {
        Scalar::Number(number) => number.to_string(),
        Scalar::Text(text) => text,
    };
    match (number(&min), number(&max)) {
        (Some(min), Some(max)) => Condition::Size(ContentLengthRange { min, max }),
        _ => Condition::Never(vec![SIZE.to_owned(), word(min), word(max)]),
    }
}

#[cfg(test)]
mod tests;
