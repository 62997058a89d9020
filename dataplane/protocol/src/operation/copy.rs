//! Copies: where from, under which conditions, and what of the source comes along.

use bytes::Bytes;
use holdfast_common::wire;

use crate::digest::ChecksumAlgorithm;
use crate::document::acl::{AclRequest, AclResource};
use crate::error::{Code, S3Error};
use crate::name::{BucketName, ObjectKey};
use crate::precondition::{Conditions, ETagList};
use crate::range::ByteRange;
use crate::uri::decode_percent;

use super::body::{algorithm_wanted, invalid_request};
use super::multipart::{part_number, part_number_missing};
use super::request::Request;
use super::{AclFields, UploadRef, VersionSelector, metadata, write_conditions};

/// The source of a copy. Reading it needs a grant of its own.
#[derive(Clone, Debug)]
pub struct CopySource {
    pub bucket: BucketName,
    pub key: ObjectKey,
    pub version: VersionSelector,
    /// For a node that reads the source itself.
    pub conditions: Conditions,
    /// The same for the authority, which decides them in the transaction of the copy.
    pub when: wire::Precondition,
    /// `x-amz-source-expected-bucket-owner`
    pub expected_bucket_owner: Option<String>,
}

#[derive(Clone, Debug)]
pub struct CopyObjectInput {
    pub source: CopySource,
    /// `x-amz-metadata-directive: REPLACE`: `meta` wholly replaces the source's; else only storage class and website redirect
    /// of `meta` count, which S3 never copies.
    pub replace_meta: bool,
    pub meta: wire::ObjectMeta,
    /// `x-amz-tagging-directive: REPLACE`: the copy has the tags of this request and none of the source's.
    pub replace_tags: bool,
    pub when: wire::Precondition,
    /// The checksum the copy shall have; `None`: the source's.
    pub checksum_algorithm: Option<ChecksumAlgorithm>,
    /// `x-amz-acl`, `x-amz-grant-*`: a copy has never the source's.
    pub acl: Option<AclRequest>,
}

#[derive(Clone, Debug)]
pub struct UploadPartCopyInput {
    pub source: CopySource,
    /// Both ends told; `None`: the whole source.
    pub range: Option<ByteRange>,
    pub upload: UploadRef,
    /// 1..=10000
    pub part_number: u32,
}

impl CopySource {
    /// Its conditions as they are meant now: a time to come is none.
    #[must_use]
    pub fn as_of(mut self, now_ms: u64) -> Self {
        self.conditions = self.conditions.as_of(now_ms);
        self.when.if_modified_since_ms = self.conditions.if_modified_since_ms.unwrap_or(0);
        self
    }

    fn read(request: &Request<'_>) -> Result<Self, S3Error> {
        let raw = request.header("x-amz-copy-source")?.unwrap_or_default();
        let (bucket, key, version) = parse_source(raw)?;
        let text = |name| request.text(name);
        let conditions = Conditions::parse(
            text("x-amz-copy-source-if-match")?.as_deref(),
            text("x-amz-copy-source-if-none-match")?.as_deref(),
            text("x-amz-copy-source-if-modified-since")?.as_deref(),
            text("x-amz-copy-source-if-unmodified-since")?.as_deref(),
        );
        let when = to_wire(&conditions)?;
        let expected_bucket_owner = text("x-amz-source-expected-bucket-owner")?;
        Ok(Self { bucket, key, version, conditions, when, expected_bucket_owner })
    }
}

impl CopyObjectInput {
    pub(super) fn read(request: &Request<'_>, bucket: &BucketName, key: &ObjectKey) -> Result<Self, S3Error> {
        let source = CopySource::read(request)?;
        let replace_meta = replaces(request, "x-amz-metadata-directive", "Unknown metadata directive.")?;
        let replace_tags = replaces(request, "x-amz-tagging-directive", "Unknown tagging directive.")?;
        let meta = metadata::tagged_meta(request)?;
        let names_class = request.header("x-amz-storage-class")?.is_some();
        let same =
            source.bucket == *bucket && source.key == *key && source.version == VersionSelector::Current;
        if same && !replace_meta && !names_class && meta.website_redirect.is_empty() {
            return Err(invalid_request(
                "This copy request is illegal because it is trying to copy an object to itself without changing the \
                 object's metadata, storage class, website redirect location or encryption attributes.",
            ));
        }
        Ok(Self {
            source,
            replace_meta,
            meta,
            replace_tags,
            when: write_conditions(request)?,
            checksum_algorithm: algorithm_wanted(request)?,
            acl: AclFields::read(request)?.of_new(AclResource::Object)?,
        })
    }
}

/// A directive: `COPY`, which is the default, or `REPLACE`.
fn replaces(request: &Request<'_>, name: &str, unknown: &'static str) -> Result<bool, S3Error> {
    match request.text(name)?.as_deref() {
        None | Some("COPY") => Ok(false),
        Some("REPLACE") => Ok(true),
        Some(other) => Err(S3Error::invalid_argument(name, other, unknown)),
    }
}

impl UploadPartCopyInput {
    pub(super) fn read(request: &Request<'_>) -> Result<Self, S3Error> {
        let range = match request.text("x-amz-copy-source-range")? {
            None => None,
            Some(text) => Some(ByteRange::parse_copy_source(&text).map_err(|error| error.refusal(&text))?),
        };
        Ok(Self {
            source: CopySource::read(request)?,
            range,
            upload: UploadRef::read(request)?,
            part_number: part_number(request)?.ok_or_else(part_number_missing)?,
        })
    }
}

/// `[/]bucket/key[?versionId=id]`, percent-encoded; many clients encode the slashes too, and S3 takes it. The version is cut off
/// before decoding, so that a key may hold a `?`; `+` is itself, as in a path.
fn parse_source(raw: &[u8]) -> Result<(BucketName, ObjectKey, VersionSelector), S3Error> {
    const VERSION: &[u8] = b"?versionId=";
    let (path, version) = match memchr::memmem::rfind(raw, VERSION) {
        Some(at) => (&raw[..at], Some(&raw[at + VERSION.len()..])),
        None => (raw, None),
    };
    let path = decode_percent(path).map_err(|_| wrong_source("Invalid copy source encoding"))?;
    let path = path.strip_prefix(b"/").unwrap_or(&path);
    if path.starts_with(b"arn:") {
        return Err(S3Error::not_implemented("Copying from an access point"));
    }
    let no_key = "Copy Source must mention the source bucket and key: sourcebucket/sourcekey";
    let slash = memchr::memchr(b'/', path).ok_or_else(|| wrong_source(no_key))?;
    let (bucket, key) = (&path[..slash], &path[slash + 1..]);
    let bucket = std::str::from_utf8(bucket).ok().and_then(|name| BucketName::parse(name).ok());
    let bucket = bucket.ok_or_else(|| wrong_source("Invalid copy source bucket name"))?;
    if key.is_empty() {
        return Err(wrong_source(no_key));
    }
    let key = ObjectKey::parse(Bytes::copy_from_slice(key));
    let key = key.map_err(|_| wrong_source("Invalid copy source object key"))?;
    let version = match version {
        None => VersionSelector::Current,
        Some(id) => {
            let id = decode_percent(id).map_err(|_| wrong_source("Invalid copy source encoding"))?;
            VersionSelector::parse(&String::from_utf8_lossy(&id))?
        }
    };
    Ok((bucket, key, version))
}

fn wrong_source(message: &'static str) -> S3Error {
    S3Error::new(Code::InvalidArgument)
        .message(message)
        .with("ArgumentName", "x-amz-copy-source")
        .with("ArgumentValue", "x-amz-copy-source")
}

/// The authority compares one ETag; S3's clients never send more.
fn to_wire(conditions: &Conditions) -> Result<wire::Precondition, S3Error> {
    Ok(wire::Precondition {
        absent: false,
        if_match: one_tag(conditions.if_match.as_ref(), "W/")?,
        if_none_match: one_tag(conditions.if_none_match.as_ref(), "")?,
        if_unmodified_since_ms: conditions.if_unmodified_since_ms.unwrap_or(0),
        if_modified_since_ms: conditions.if_modified_since_ms.unwrap_or(0),
        if_size: 0,
        has_if_size: false,
    })
}

/// `weak_mark` stays before a weak tag: where it is not empty, the tag equals none.
fn one_tag(list: Option<&ETagList>, weak_mark: &str) -> Result<String, S3Error> {
    match list {
        None => Ok(String::new()),
        Some(ETagList::Any) => Ok("*".to_owned()),
        Some(ETagList::Tags(tags)) => match tags.as_slice() {
            [tag] if tag.opaque.is_empty() => Err(invalid_request("The ETag of a condition is empty.")),
            [tag] if tag.weak => Ok(format!("{weak_mark}{}", tag.opaque)),
            [tag] => Ok(tag.opaque.clone()),
            _ => Err(S3Error::not_implemented("A condition on a copy's source with other than one ETag")),
        },
    }
}
