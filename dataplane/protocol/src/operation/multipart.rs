//! Multipart uploads: which upload, which part, and which kinds of checksum go together.

use holdfast_common::wire;
use holdfast_common::wire::checksum::Kind;

use crate::digest::{ChecksumAlgorithm, ChecksumValue};
use crate::document::acl::{AclRequest, AclResource};
use crate::error::{Code, S3Error};
use crate::limits::{PART_BYTES_MAX, PARTS_MAX, UPLOAD_ID_BYTES_MAX};

use super::body::{algorithm_wanted, checksum_text, invalid_checksum, invalid_request};
use super::request::Request;
use super::{AclFields, BodyClaims, metadata, write_conditions};

/// An upload as a request names it; whether there is one, the authority knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadRef {
    pub upload_id: String,
}

#[derive(Clone, Debug)]
pub struct CreateUploadInput {
    pub meta: wire::ObjectMeta,
    /// The algorithm and kind of the object's checksum; `None`: the client named none.
    pub checksum: Option<(ChecksumAlgorithm, Kind)>,
    /// `x-amz-acl`, `x-amz-grant-*`: of the object that will be.
    pub acl: Option<AclRequest>,
}

#[derive(Clone, Debug)]
pub struct UploadPartInput {
    pub upload: UploadRef,
    /// 1..=10000
    pub part_number: u32,
    pub body: BodyClaims,
}

#[derive(Clone, Debug)]
pub struct CompleteInput {
    pub upload: UploadRef,
    pub when: wire::Precondition,
    /// Claims about the XML body.
    pub body: BodyClaims,
    /// The checksum the client expects of the assembled object.
    pub expected: Option<ExpectedChecksum>,
    /// `x-amz-checksum-type`
    pub checksum_kind: Option<Kind>,
    /// `x-amz-mp-object-size`
    pub object_size: Option<u64>,
}

/// A checksum of an assembled object, as a client names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpectedChecksum {
    pub value: ChecksumValue,
    /// The `-N` of a composite one, where given.
    pub parts: Option<u32>,
}

impl UploadRef {
    pub(super) fn read(request: &Request<'_>) -> Result<Self, S3Error> {
        let upload_id = request.argument("uploadId")?.unwrap_or_default();
        let plausible = (1..=UPLOAD_ID_BYTES_MAX).contains(&upload_id.len())
            && upload_id.bytes().all(|byte| byte.is_ascii_graphic());
        if !plausible {
            return Err(S3Error::new(Code::NoSuchUpload).with("UploadId", upload_id));
        }
        Ok(Self { upload_id: upload_id.to_owned() })
    }
}

impl CreateUploadInput {
    pub(super) fn read(request: &Request<'_>) -> Result<Self, S3Error> {
        Ok(Self {
            meta: metadata::tagged_meta(request)?,
            checksum: checksum_plan(request)?,
            acl: AclFields::read(request)?.of_new(AclResource::Object)?,
        })
    }
}

impl UploadPartInput {
    pub(super) fn read(request: &Request<'_>) -> Result<Self, S3Error> {
        Ok(Self {
            upload: UploadRef::read(request)?,
            part_number: part_number(request)?.ok_or_else(part_number_missing)?,
            body: BodyClaims::read(request)?.of_object(PART_BYTES_MAX)?,
        })
    }
}

impl CompleteInput {
    pub(super) fn read(request: &Request<'_>) -> Result<Self, S3Error> {
        let expected = expected_checksum(request)?;
        let checksum_kind = checksum_kind(request)?;
        if expected.as_ref().is_some_and(|sum| sum.parts.is_some()) && checksum_kind == Some(Kind::FullObject)
        {
            return Err(invalid_request("A checksum of type FULL_OBJECT does not end in a number of parts."));
        }
        Ok(Self {
            upload: UploadRef::read(request)?,
            when: write_conditions(request)?,
            body: BodyClaims::read_without_checksum(request)?,
            expected,
            checksum_kind,
            object_size: object_size(request)?,
        })
    }
}

/// `partNumber`, 1 to 10000 in plain digits.
pub(super) fn part_number(request: &Request<'_>) -> Result<Option<u32>, S3Error> {
    let Some(text) = request.argument("partNumber")? else { return Ok(None) };
    match text.parse() {
        Ok(number) if (1..=PARTS_MAX).contains(&number) && !text.starts_with('+') => Ok(Some(number)),
        _ => Err(S3Error::invalid_argument(
            "partNumber",
            text,
            "Part number must be an integer between 1 and 10000, inclusive",
        )),
    }
}

pub(super) fn part_number_missing() -> S3Error {
    S3Error::invalid_argument("partNumber", "", "A part is put with both uploadId and partNumber.")
}

/// AWS's table: CRCs of a whole object follow from its parts, other sums do not; CRC64NVME exists only for the whole.
fn checksum_plan(request: &Request<'_>) -> Result<Option<(ChecksumAlgorithm, Kind)>, S3Error> {
    let algorithm = algorithm_wanted(request)?;
    let kind = checksum_kind(request)?;
    let Some(algorithm) = algorithm else {
        return match kind {
            None => Ok(None),
            Some(_) => Err(invalid_request(
                "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.",
            )),
        };
    };
    let kind = kind.unwrap_or(if algorithm.composite() { Kind::Composite } else { Kind::FullObject });
    let legal = match kind {
        Kind::FullObject => algorithm.full_object(),
        Kind::Composite => algorithm.composite(),
    };
    if !legal {
        return Err(invalid_request(format!(
            "The {} checksum type cannot be used with the {} checksum algorithm.",
            checksum_kind_name(kind),
            algorithm.name().to_ascii_lowercase()
        )));
    }
    Ok(Some((algorithm, kind)))
}

fn checksum_kind(request: &Request<'_>) -> Result<Option<Kind>, S3Error> {
    let Some(name) = request.text("x-amz-checksum-type")? else { return Ok(None) };
    let known = [Kind::FullObject, Kind::Composite];
    match known.into_iter().find(|kind| checksum_kind_name(*kind).eq_ignore_ascii_case(&name)) {
        Some(kind) => Ok(Some(kind)),
        None => Err(invalid_request("Value for x-amz-checksum-type header is invalid.")),
    }
}

/// The name of a kind of checksum, in `x-amz-checksum-type` and in XML.
#[must_use]
pub fn checksum_kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::FullObject => "FULL_OBJECT",
        Kind::Composite => "COMPOSITE",
    }
}

fn expected_checksum(request: &Request<'_>) -> Result<Option<ExpectedChecksum>, S3Error> {
    let Some((algorithm, text)) = checksum_text(request)? else { return Ok(None) };
    let invalid = || invalid_checksum(algorithm);
    let (value, parts) = match text.split_once('-') {
        Some((value, count)) if algorithm.composite() => {
            (value, Some(part_count(count).ok_or_else(invalid)?))
        }
        Some(_) => return Err(invalid()),
        None => (text.as_str(), None),
    };
    let value = ChecksumValue::from_base64(algorithm, value.as_bytes()).ok_or_else(invalid)?;
    Ok(Some(ExpectedChecksum { value, parts }))
}

/// The `N` of `value-N`.
fn part_count(digits: &str) -> Option<u32> {
    let count = digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())??;
    (1..=PARTS_MAX).contains(&count).then_some(count)
}

/// `x-amz-mp-object-size`
fn object_size(request: &Request<'_>) -> Result<Option<u64>, S3Error> {
    let Some(text) = request.text("x-amz-mp-object-size")? else { return Ok(None) };
    match text.parse::<i64>() {
        Ok(size) if !text.starts_with('+') => match u64::try_from(size) {
            Ok(size) => Ok(Some(size)),
            Err(_) => Err(invalid_request(format!(
                "Value for x-amz-mp-object-size header is less than zero: '{text}'"
            ))),
        },
        _ => Err(invalid_request(format!("Value for x-amz-mp-object-size header is invalid: '{text}'"))),
    }
}
