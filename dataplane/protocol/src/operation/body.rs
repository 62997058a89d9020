//! What a client claims of the body it is about to send: length, MD5, checksum. Held against the bytes at the end.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::digest::{ChecksumAlgorithm, ChecksumValue};
use crate::error::{Code, S3Error};
use crate::http::BodyFraming;

use super::integrity::malformed_trailer;
use super::metadata::MetadataSource;
use super::request::Request;

/// Claims about a body, parsed. `size` counts decoded bytes, whatever the coding around them.
#[derive(Clone, Debug, Default)]
pub struct BodyClaims {
    /// Decoded length; `None` only under HTTP's chunked coding without `x-amz-decoded-content-length`.
    pub size: Option<u64>,
    /// `x-amz-content-sha256` names one of the STREAMING modes: the body is aws-chunked.
    pub aws_chunked: bool,
    pub content_md5: Option<[u8; 16]>,
    /// `x-amz-checksum-*`: at most one.
    pub checksum: Option<ChecksumValue>,
    /// `x-amz-trailer`: the checksum that comes behind the body.
    pub trailer: Option<ChecksumAlgorithm>,
    /// The head says how long the body is, or that it comes in chunks; a PUT that says neither deserves 411.
    pub framed: bool,
    /// What a body of unknown length may come to, bytes; `None` for those that have a bound of their own.
    pub bytes_max: Option<u64>,
}

impl BodyClaims {
    pub(super) fn read(request: &Request<'_>) -> Result<Self, S3Error> {
        let checksum = checksum_of(request)?; // before Content-MD5: of two wrong ones S3 names this
        let claims = Self { checksum, ..Self::read_without_checksum(request)? };
        if checksum.is_some() && claims.trailer.is_some() {
            return Err(invalid_request("Expecting a single x-amz-checksum- header"));
        }
        claims.check_announced(request)?;
        Ok(claims)
    }

    /// For CompleteMultipartUpload, whose `x-amz-checksum-*` speaks of the object and not of the body.
    pub(super) fn read_without_checksum(request: &Request<'_>) -> Result<Self, S3Error> {
        let payload = request.header("x-amz-content-sha256")?;
        let aws_chunked = payload.is_some_and(|mode| mode.starts_with(b"STREAMING-"));
        let decoded = request.header_number("x-amz-decoded-content-length")?;
        let trailer = trailer_of(request)?;
        if trailer.is_some() && !aws_chunked {
            return Err(malformed_trailer());
        }
        let framing = request.framing();
        let size = match (aws_chunked, decoded) {
            (true, None) => return Err(S3Error::new(Code::MissingContentLength).closing()),
            (true, Some(bytes)) => Some(bytes),
            (false, _) => framing.length(),
        };
        Ok(Self {
            size,
            aws_chunked,
            content_md5: content_md5(request)?,
            checksum: None,
            trailer,
            framed: framing != BodyFraming::None,
            bytes_max: None,
        })
    }

    /// For bodies that become objects: a length is wanted, and not more than `bytes_max`.
    pub(super) fn of_object(mut self, bytes_max: u64) -> Result<Self, S3Error> {
        self.bytes_max = Some(bytes_max);
        if !self.framed {
            return Err(S3Error::new(Code::MissingContentLength));
        }
        match self.size {
            Some(bytes) => self.within(bytes).map(|()| self),
            None => Ok(self),
        }
    }

    /// Refuses a body that has, or will have, `bytes` bytes, when that is more than it may.
    ///
    /// # Errors
    /// `EntityTooLarge`; the connection closes.
    pub fn within(&self, bytes: u64) -> Result<(), S3Error> {
        match self.bytes_max {
            Some(bytes_max) if bytes > bytes_max => Err(S3Error::new(Code::EntityTooLarge)
                .with("ProposedSize", bytes.to_string())
                .with("MaxSizeAllowed", bytes_max.to_string())
                .closing()),
            _ => Ok(()),
        }
    }

    /// The algorithm of the checksum that came or will come.
    #[must_use]
    pub fn algorithm(&self) -> Option<ChecksumAlgorithm> {
        self.checksum.map(|checksum| checksum.algorithm()).or(self.trailer)
    }

    /// `x-amz-sdk-checksum-algorithm` announces a checksum: it must be there, and of that algorithm.
    fn check_announced(&self, request: &Request<'_>) -> Result<(), S3Error> {
        const NAME: &str = "x-amz-sdk-checksum-algorithm";
        let Some(announced) = request.text(NAME)? else { return Ok(()) };
        let announced = ChecksumAlgorithm::named(&announced);
        match (self.algorithm(), announced) {
            (given @ Some(_), announced) if given == announced => Ok(()),
            (None, Some(_)) => Err(invalid_request(format!(
                "{NAME} specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers were found."
            ))),
            _ => Err(invalid_request(format!("Value for {NAME} header is invalid."))),
        }
    }
}

/// The one `x-amz-checksum-<algorithm>` of a request.
pub(crate) fn checksum_of(request: &impl MetadataSource) -> Result<Option<ChecksumValue>, S3Error> {
    let Some((algorithm, value)) = checksum_text(request)? else { return Ok(None) };
    ChecksumValue::from_base64(algorithm, value.as_bytes())
        .map(Some)
        .ok_or_else(|| invalid_checksum(algorithm))
}

/// The same before its base64 is read (a composite one ends in `-N`).
pub(super) fn checksum_text(
    request: &impl MetadataSource,
) -> Result<Option<(ChecksumAlgorithm, String)>, S3Error> {
    let mut found = None;
    for (suffix, _) in request.with_prefix("x-amz-checksum-") {
        let header = format!("x-amz-checksum-{suffix}");
        let Some(algorithm) = ChecksumAlgorithm::of_header(&header) else { continue };
        let algorithm = algorithm.map_err(|error| invalid_request(error.to_string()))?;
        if found.is_some_and(|earlier| earlier != algorithm) {
            return Err(one_checksum_only());
        }
        found = Some(algorithm);
    }
    let Some(algorithm) = found else { return Ok(None) };
    Ok(request.text(algorithm.header())?.map(|value| (algorithm, value)))
}

pub(super) fn invalid_checksum(algorithm: ChecksumAlgorithm) -> S3Error {
    invalid_request(format!("Value for {} header is invalid.", algorithm.header()))
}

/// `x-amz-checksum-algorithm`: what an object or upload shall have.
pub(super) fn algorithm_wanted(request: &Request<'_>) -> Result<Option<ChecksumAlgorithm>, S3Error> {
    let Some(name) = request.text("x-amz-checksum-algorithm")? else { return Ok(None) };
    match ChecksumAlgorithm::named(&name) {
        Some(algorithm) => Ok(Some(algorithm)),
        None => Err(invalid_request(
            "Checksum algorithm provided is unsupported. Please try again with any of the valid types: [CRC32, CRC32C, \
             CRC64NVME, MD5, SHA1, SHA256, SHA512, XXHASH128, XXHASH3, XXHASH64]",
        )),
    }
}

fn content_md5(request: &Request<'_>) -> Result<Option<[u8; 16]>, S3Error> {
    request.header("content-md5")?.map(parse_content_md5).transpose()
}

pub(crate) fn parse_content_md5(value: &[u8]) -> Result<[u8; 16], S3Error> {
    let mut raw = [0; 18]; // 24 characters decode to at most 18 bytes
    let length = if value.len() == 24 { STANDARD.decode_slice(value, &mut raw).ok() } else { None };
    match (length, raw.first_chunk()) {
        (Some(16), Some(md5)) => Ok(*md5),
        _ => Err(S3Error::new(Code::InvalidDigest).with("Content-MD5", String::from_utf8_lossy(value))),
    }
}

fn trailer_of(request: &Request<'_>) -> Result<Option<ChecksumAlgorithm>, S3Error> {
    let Some(name) = request.text("x-amz-trailer")? else { return Ok(None) };
    match ChecksumAlgorithm::of_header(name.trim()) {
        Some(Ok(algorithm)) => Ok(Some(algorithm)),
        _ => Err(invalid_request("The value specified in the x-amz-trailer header is not supported")),
    }
}

fn one_checksum_only() -> S3Error {
    invalid_request("Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.")
}

pub(crate) fn invalid_request(message: impl Into<std::borrow::Cow<'static, str>>) -> S3Error {
    S3Error::new(Code::InvalidRequest).message(message)
}
