//! Operations on one object: put, get, head, delete.

use holdfast_common::wire;

use crate::document::acl::{AclRequest, AclResource};
use crate::error::{Code, S3Error};
use crate::limits::PUT_BYTES_MAX;
use crate::precondition::{Conditions, IfRange};
use crate::range::ByteRange;

use super::body::invalid_request;
use super::request::{Request, header_text};
use super::{AclFields, BodyClaims, VersionSelector, etag_of, metadata, multipart, write_conditions};

#[derive(Clone, Debug)]
pub struct PutObjectInput {
    pub meta: wire::ObjectMeta,
    pub body: BodyClaims,
    pub when: wire::Precondition,
    /// `x-amz-acl`, `x-amz-grant-*`
    pub acl: Option<AclRequest>,
}

/// GET and HEAD: the same questions, with and without the bytes.
#[derive(Clone, Debug)]
pub struct GetObjectInput {
    pub version: VersionSelector,
    pub selection: Selection,
    pub conditions: Conditions,
    /// Where it does not hold, a range that is selected is not meant.
    pub if_range: Option<IfRange>,
    /// Only for requests that are signed: an anonymous one with any of them is refused.
    pub overrides: ResponseOverrides,
    /// `x-amz-checksum-mode: ENABLED`
    pub checksum_mode: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeleteObjectInput {
    pub version: VersionSelector,
    /// `If-Match` alone, an ETag or `*`, and of the current version, as in S3. Where there is none, or a delete marker, it fails.
    pub when: wire::Precondition,
}

/// Which of an object's bytes are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selection {
    Whole,
    Range(ByteRange),
    /// The bytes of one part, answered 206 with `x-amz-mp-parts-count`; of an object that was put whole, part 1 is all.
    Part(u32),
}

/// `response-*` arguments: headers of the answer as the signer of the URL wants them. Empty: as stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResponseOverrides {
    pub content_type: String,
    pub content_language: String,
    pub expires: String,
    pub cache_control: String,
    pub content_disposition: String,
    pub content_encoding: String,
}

impl PutObjectInput {
    pub(super) fn read(request: &Request<'_>) -> Result<Self, S3Error> {
        if request.has_argument("versionId") {
            return Err(no_version_here(request)?);
        }
        if let Some(number) = request.argument("partNumber")? {
            let message = "This operation does not accept partNumber without uploadId";
            return Err(S3Error::invalid_argument("partNumber", number, message));
        }
        Ok(Self {
            body: BodyClaims::read(request)?.of_object(PUT_BYTES_MAX)?,
            meta: metadata::tagged_meta(request)?,
            when: write_conditions(request)?,
            acl: AclFields::read(request)?.of_new(AclResource::Object)?,
        })
    }
}

impl GetObjectInput {
    pub(super) fn read(request: &Request<'_>) -> Result<Self, S3Error> {
        let text = |name| request.text(name);
        let conditions = Conditions::parse(
            text("if-match")?.as_deref(),
            text("if-none-match")?.as_deref(),
            text("if-modified-since")?.as_deref(),
            text("if-unmodified-since")?.as_deref(),
        );
        Ok(Self {
            version: VersionSelector::read(request)?,
            selection: Selection::read(request)?,
            conditions,
            if_range: text("if-range")?.as_deref().map(IfRange::parse),
            overrides: ResponseOverrides::read(request)?,
            checksum_mode: text("x-amz-checksum-mode")?
                .is_some_and(|mode| mode.eq_ignore_ascii_case("ENABLED")),
        })
    }
}

impl DeleteObjectInput {
    pub(super) fn read(request: &Request<'_>) -> Result<Self, S3Error> {
        let when = write_conditions(request)?;
        if when.absent {
            return Err(S3Error::not_implemented("If-None-Match on a DELETE").with("Header", "If-None-Match"));
        }
        refuse_bypass(request)?;
        let version = VersionSelector::read(request)?;
        if version != VersionSelector::Current && when != wire::Precondition::default() {
            return Err(S3Error::not_implemented("A condition on the deletion of a version")
                .with("Header", "If-Match"));
        }
        Ok(Self { version, when })
    }
}

impl Selection {
    fn read(request: &Request<'_>) -> Result<Self, S3Error> {
        let range = request.text("range")?;
        match (multipart::part_number(request)?, range) {
            (Some(_), Some(_)) => {
                Err(invalid_request("Cannot specify both Range header and partNumber query parameter"))
            }
            (Some(part), None) => Ok(Self::Part(part)),
            (None, Some(range)) => Ok(ByteRange::parse(&range).map_or(Self::Whole, Self::Range)),
            (None, None) => Ok(Self::Whole),
        }
    }

    /// The refusal of a part that the object does not have: part 2 of one that was put whole, part 4 of 3.
    #[must_use]
    pub fn no_such_part(number: u32, part_count: u32) -> S3Error {
        S3Error::new(Code::InvalidPartNumber)
            .with("PartNumberRequested", number.to_string())
            .with("ActualPartCount", part_count.max(1).to_string())
    }
}

impl ResponseOverrides {
    fn read(request: &Request<'_>) -> Result<Self, S3Error> {
        let text = |name| match request.argument(name)? {
            None => Ok(String::new()),
            // what comes out of a query may hold line ends, and must not end a header of the answer
            Some(value) => header_text(name, value.as_bytes()),
        };
        Ok(Self {
            content_type: text("response-content-type")?,
            content_language: text("response-content-language")?,
            expires: text("response-expires")?,
            cache_control: text("response-cache-control")?,
            content_disposition: text("response-content-disposition")?,
            content_encoding: text("response-content-encoding")?,
        })
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The refusal of overrides by someone who did not sign them.
    ///
    /// # Errors
    /// `InvalidRequest` when there is any.
    pub fn refuse_unsigned(&self) -> Result<(), S3Error> {
        if self.is_empty() {
            return Ok(());
        }
        Err(invalid_request("Request specific response headers cannot be used for anonymous GET requests."))
    }
}

/// No bucket here has an object lock that could be bypassed.
pub(super) fn refuse_bypass(request: &Request<'_>) -> Result<(), S3Error> {
    const NAME: &str = "x-amz-bypass-governance-retention";
    match request.text(NAME)? {
        Some(value) if value.eq_ignore_ascii_case("true") => {
            let message = format!("{NAME} is only applicable to Object Lock enabled buckets");
            Err(S3Error::invalid_argument(NAME, value, message))
        }
        _ => Ok(()),
    }
}

/// The ETag condition of one entry of DeleteObjects.
#[must_use]
pub fn etag_condition(etag: &str) -> wire::Precondition {
    wire::Precondition { if_match: etag_of(etag), ..Default::default() }
}

pub(super) fn no_version_here(request: &Request<'_>) -> Result<S3Error, S3Error> {
    let version = request.argument("versionId")?.unwrap_or_default();
    Ok(S3Error::new(Code::InvalidArgument)
        .message("This operation does not accept a version-id.")
        .with("ArgumentName", "versionId")
        .with("ArgumentValue", version))
}
