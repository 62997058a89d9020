//! What a form asks for, once its policy has allowed it: a PUT whose headers are fields.

use bytes::Bytes;
use holdfast_common::wire;

use super::PostAnswer;
use super::fields::{FormFields, missing_field, starts_with};
use super::policy::Policy;
use super::range::ContentLengthRange;
use crate::digest::ChecksumAlgorithm;
use crate::error::S3Error;
use crate::limits::PUT_BYTES_MAX;
use crate::name::{BucketName, KeyError, ObjectKey};
use crate::operation::BodyClaims;
use crate::operation::body::{checksum_of, invalid_request, parse_content_md5};
use crate::operation::metadata::object_meta;

/// An object to be written by a form.
#[derive(Clone, Debug)]
pub struct PostObject {
    pub key: ObjectKey,
    pub meta: wire::ObjectMeta,
    /// `acl`: a canned ACL as sent, to be read as the header `x-amz-acl` is.
    pub acl: Option<String>,
    /// `tagging`: a `Tagging` document as sent, to be read as the body of PutObjectTagging is.
    pub tagging: Option<String>,
    /// MD5 and checksum of the file, and the most it may come to. Its size is not known beforehand.
    pub body: BodyClaims,
    /// To be held against the size of the file at its end.
    pub size: ContentLengthRange,
    pub answer: PostAnswer,
}

/// `x-amz-*` fields that are read, here or by the verification of the signature. Every other is refused, because it asks
/// for something that would not be done.
const KNOWN: [&str; 8] = [
    "x-amz-algorithm",
    "x-amz-credential",
    "x-amz-date",
    "x-amz-signature",
    "x-amz-acl",
    "x-amz-storage-class",
    "x-amz-website-redirect-location",
    ALGORITHM,
];

const ALGORITHM: &str = "x-amz-checksum-algorithm";

impl PostObject {
    /// The field `key`, whatever the policy says of it.
    ///
    /// # Errors
    /// `InvalidArgument` where there is none or an empty one, and what no key is.
    pub fn key_of(fields: &FormFields) -> Result<ObjectKey, S3Error> {
        let key = fields.get("key").ok_or_else(|| missing_field("key"))?;
        match ObjectKey::parse(Bytes::copy_from_slice(key.as_bytes())) {
            Err(KeyError::Empty) => {
                Err(S3Error::invalid_argument("key", "", "User key must have a length greater than 0."))
            }
            key => Ok(key?),
        }
    }

    /// Reads the fields of a form sent to `bucket`, and holds them against the policy, if there is one. A form without is
    /// nobody's (`Authenticated::Anonymous`), and what nobody may do is not decided here.
    ///
    /// # Errors
    /// `InvalidPolicyDocument`, `AccessDenied`, `NotImplemented` for what we lack, and what a PUT is refused for.
    pub fn read(fields: &FormFields, bucket: &BucketName, now_ms: u64) -> Result<Self, S3Error> {
        let key = Self::key_of(fields)?;
        let size = match fields.get("policy") {
            Some(policy) => Policy::parse(policy)?.check(fields, bucket, now_ms)?,
            None => ContentLengthRange::ALL,
        };
        refuse_unsupported(fields)?;
        Ok(Self {
            key,
            meta: object_meta(fields)?,
            acl: acl(fields)?,
            tagging: fields.get("tagging").map(str::to_owned),
            body: body_claims(fields, size)?,
            size,
            answer: PostAnswer::read(fields),
        })
    }
}

fn refuse_unsupported(fields: &FormFields) -> Result<(), S3Error> {
    for (name, _) in fields.iter() {
        let of_amazon = starts_with(name, "x-amz-") && !starts_with(name, "x-amz-meta-");
        let known = KNOWN.iter().any(|known| known.eq_ignore_ascii_case(name));
        let condition = starts_with(name, "if-");
        if condition || of_amazon && !known && ChecksumAlgorithm::of_header(name).is_none() {
            return Err(S3Error::not_implemented(format_args!("What the form field {name} asks for"))
                .with("Field", name));
        }
    }
    Ok(())
}

/// S3's field is `acl`; some pages send the header's name, or both.
fn acl(fields: &FormFields) -> Result<Option<String>, S3Error> {
    match (fields.get("acl"), fields.get("x-amz-acl")) {
        (Some(one), Some(other)) if one != other => {
            Err(S3Error::invalid_argument("acl", one, "The fields acl and x-amz-acl differ."))
        }
        (one, other) => Ok(one.or(other).map(str::to_owned)),
    }
}

fn body_claims(fields: &FormFields, size: ContentLengthRange) -> Result<BodyClaims, S3Error> {
    let content_md5 =
        fields.get("content-md5").map(|value| parse_content_md5(value.as_bytes())).transpose()?;
    let checksum = checksum_of(fields)?;
    if let Some(announced) = fields.get(ALGORITHM) {
        let given = checksum.map(|checksum| checksum.algorithm().name());
        if !given.is_some_and(|given| given.eq_ignore_ascii_case(announced)) {
            return Err(invalid_request(format!(
                "{ALGORITHM} specified, but no checksum of that algorithm."
            )));
        }
    }
    let bytes_max = Some(PUT_BYTES_MAX.min(size.max));
    Ok(BodyClaims { content_md5, checksum, framed: true, bytes_max, ..BodyClaims::default() })
}
