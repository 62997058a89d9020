//! Listings: of buckets, of objects in two dialects, of uploads, of parts.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::error::S3Error;
use crate::limits::{LIST_BUCKETS_MAX, LIST_ENTRIES_MAX, LIST_TEXT_BYTES_MAX, PARTS_MAX};

use super::UploadRef;
use super::request::Request;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListBucketsInput {
    pub prefix: String,
    /// Names after this one (from the token).
    pub after: String,
    pub region: Option<String>,
    /// 1..=10000; `None`: all of them, as before pages existed.
    pub max_buckets: Option<u32>,
}

/// Both versions of ListObjects; what differs is in `dialect`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListObjectsInput {
    pub prefix: String,
    /// Empty: no grouping.
    pub delimiter: String,
    /// 0..=1000; 0 answers an empty page without asking anybody.
    pub max_keys: u32,
    /// `encoding-type=url`
    pub encode: bool,
    pub dialect: Dialect,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dialect {
    V1 {
        marker: String,
    },
    V2 {
        start_after: String,
        /// As the client sent it, and where it says to go on.
        token: Option<(String, Vec<u8>)>,
        fetch_owner: bool,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListUploadsInput {
    pub prefix: String,
    pub delimiter: String,
    pub key_marker: String,
    /// Counts only beside a key marker, as in S3.
    pub upload_id_marker: String,
    pub max_uploads: u32,
    pub encode: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListPartsInput {
    pub upload: UploadRef,
    pub max_parts: u32,
    /// Parts after this number.
    pub part_number_marker: u32,
    pub encode: bool,
}

impl ListBucketsInput {
    pub(super) fn read(request: &Request<'_>) -> Result<Self, S3Error> {
        let max_buckets = match request.number("max-buckets", LIST_BUCKETS_MAX + 1)? {
            number @ 1..=LIST_BUCKETS_MAX => Some(number),
            _ if !request.has_argument("max-buckets") => None,
            number => {
                return Err(S3Error::invalid_argument(
                    "max-buckets",
                    number.to_string(),
                    "Argument max-buckets must be an integer between 1 and 10000",
                ));
            }
        };
        let after = match request.argument("continuation-token")? {
            None | Some("") => String::new(),
            Some(token) => String::from_utf8(read_token(token)?).map_err(|_| wrong_token(token))?,
        };
        let region = request.argument("bucket-region")?.map(str::to_owned);
        Ok(Self { prefix: text(request, "prefix")?, after, region, max_buckets })
    }
}

impl ListObjectsInput {
    pub(super) fn read(request: &Request<'_>) -> Result<Self, S3Error> {
        let dialect = match request.argument("list-type")? {
            None => Dialect::V1 { marker: text(request, "marker")? },
            Some("2") => Dialect::read_v2(request)?,
            Some("1") => Dialect::V1 { marker: text(request, "marker")? },
            Some(other) => {
                return Err(S3Error::invalid_argument(
                    "list-type",
                    other,
                    "Invalid list type specified in Request",
                ));
            }
        };
        Ok(Self {
            prefix: text(request, "prefix")?,
            delimiter: text(request, "delimiter")?,
            max_keys: request.number("max-keys", LIST_ENTRIES_MAX)?.min(LIST_ENTRIES_MAX),
            encode: encoding(request)?,
            dialect,
        })
    }

    #[must_use]
    pub fn is_v2(&self) -> bool {
        matches!(self.dialect, Dialect::V2 { .. })
    }

    /// Where the page starts, exclusive: marker, start-after, or what the continuation token says.
    #[must_use]
    pub fn after(&self) -> &[u8] {
        match &self.dialect {
            Dialect::V1 { marker } => marker.as_bytes(),
            Dialect::V2 { token: Some((_, after)), .. } if !after.is_empty() => after,
            Dialect::V2 { start_after, .. } => start_after.as_bytes(),
        }
    }
}

impl Dialect {
    fn read_v2(request: &Request<'_>) -> Result<Self, S3Error> {
        let token = match request.argument("continuation-token")? {
            None => None,
            Some("") => return Err(wrong_token("")),
            Some(token) => Some((token.to_owned(), read_token(token)?)),
        };
        let fetch_owner = match request.argument("fetch-owner")? {
            None => false,
            Some(value) => value.eq_ignore_ascii_case("true"),
        };
        Ok(Self::V2 { start_after: text(request, "start-after")?, token, fetch_owner })
    }
}

impl ListUploadsInput {
    pub(super) fn read(request: &Request<'_>) -> Result<Self, S3Error> {
        let key_marker = text(request, "key-marker")?;
        let upload_id_marker = text(request, "upload-id-marker")?;
        Ok(Self {
            prefix: text(request, "prefix")?,
            delimiter: text(request, "delimiter")?,
            upload_id_marker: if key_marker.is_empty() { String::new() } else { upload_id_marker },
            key_marker,
            max_uploads: request.number("max-uploads", LIST_ENTRIES_MAX)?.min(LIST_ENTRIES_MAX),
            encode: encoding(request)?,
        })
    }
}

impl ListPartsInput {
    pub(super) fn read(request: &Request<'_>) -> Result<Self, S3Error> {
        Ok(Self {
            upload: UploadRef::read(request)?,
            max_parts: request.number("max-parts", LIST_ENTRIES_MAX)?.min(LIST_ENTRIES_MAX),
            part_number_marker: request.number("part-number-marker", 0)?.min(PARTS_MAX),
            encode: encoding(request)?,
        })
    }
}

/// A prefix, delimiter or marker. One that is longer than any key is refused rather than carried around.
pub(super) fn text(request: &Request<'_>, name: &str) -> Result<String, S3Error> {
    let value = request.argument(name)?.unwrap_or_default();
    if value.len() > LIST_TEXT_BYTES_MAX {
        return Err(S3Error::invalid_argument(
            name,
            "",
            format!("The argument {name} is longer than a key can be."),
        ));
    }
    Ok(value.to_owned())
}

pub(super) fn encoding(request: &Request<'_>) -> Result<bool, S3Error> {
    match request.argument("encoding-type")? {
        None => Ok(false),
        Some(kind) if kind.eq_ignore_ascii_case("url") => Ok(true),
        Some(other) => Err(S3Error::invalid_argument(
            "encoding-type",
            other,
            "Invalid Encoding Method specified in Request",
        )),
    }
}

/// First byte of a token: its version. Clients keep tokens across our upgrades.
const TOKEN_VERSION: u8 = 1;

/// An opaque token that says where a listing goes on.
#[must_use]
pub fn encode_token(after: &[u8]) -> String {
    let mut raw = Vec::with_capacity(1 + after.len());
    raw.push(TOKEN_VERSION);
    raw.extend_from_slice(after);
    URL_SAFE_NO_PAD.encode(raw)
}

/// Where a token of ours says to go on; `None` for anything we did not make.
#[must_use]
pub fn decode_token(token: &str) -> Option<Vec<u8>> {
    let mut raw = URL_SAFE_NO_PAD.decode(token).ok()?;
    if raw.first() != Some(&TOKEN_VERSION) || raw.len() > 1 + LIST_TEXT_BYTES_MAX {
        return None;
    }
    raw.remove(0);
    Some(raw)
}

fn read_token(token: &str) -> Result<Vec<u8>, S3Error> {
    decode_token(token).ok_or_else(|| wrong_token(token))
}

fn wrong_token(token: &str) -> S3Error {
    S3Error::invalid_argument("continuation-token", token, "The continuation token provided is incorrect")
}
