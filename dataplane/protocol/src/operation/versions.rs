//! ListObjectVersions: every version and delete marker of the keys under a prefix, newest first within a key.

use crate::error::S3Error;
use crate::limits::LIST_ENTRIES_MAX;

use super::VersionId;
use super::list::{encoding, text};
use super::request::Request;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListObjectVersionsInput {
    pub prefix: String,
    /// Empty: no grouping.
    pub delimiter: String,
    /// The page begins behind this key, or, beside a version id marker, behind that version of it. Empty: at the first key.
    pub key_marker: String,
    /// Of `key_marker`; it need not exist any more.
    pub version_id_marker: Option<VersionId>,
    /// 0..=1000, versions, delete markers and groups together; 0 answers an empty page without asking anybody.
    pub max_keys: u32,
    /// `encoding-type=url`
    pub encode: bool,
}

impl ListObjectVersionsInput {
    /// Of several wrong arguments S3 names the first in this order, which is not that of the fields.
    pub(super) fn read(request: &Request<'_>) -> Result<Self, S3Error> {
        let max_keys = max_keys(request)?;
        let key_marker = text(request, "key-marker")?;
        let version_id_marker = version_id_marker(request)?.filter(|_| !key_marker.is_empty());
        let encode = encoding(request)?;
        let max_keys = u32::try_from(max_keys).map_err(|_| {
            S3Error::invalid_argument("max-keys", max_keys.to_string(), "max-keys cannot be negative")
        })?;
        refuse_unknown_attributes(request)?;
        Ok(Self {
            prefix: text(request, "prefix")?,
            delimiter: text(request, "delimiter")?,
            key_marker,
            version_id_marker,
            max_keys: max_keys.min(LIST_ENTRIES_MAX),
            encode,
        })
    }
}

/// Any 32-bit number; an empty one counts as none.
fn max_keys(request: &Request<'_>) -> Result<i32, S3Error> {
    match request.argument("max-keys")? {
        None | Some("") => Ok(LIST_ENTRIES_MAX as i32),
        Some(number) => number.parse().ok().filter(|_| !number.starts_with('+')).ok_or_else(|| {
            let message = "Provided max-keys not an integer or within integer range";
            S3Error::invalid_argument("max-keys", number, message)
        }),
    }
}

fn version_id_marker(request: &Request<'_>) -> Result<Option<VersionId>, S3Error> {
    const NAME: &str = "version-id-marker";
    let Some(marker) = request.argument(NAME)? else { return Ok(None) };
    let wrong = |message: &'static str| S3Error::invalid_argument(NAME, marker, message);
    if !request.has_argument("key-marker") {
        return Err(wrong("A version-id marker cannot be specified without a key marker."));
    }
    if marker.is_empty() {
        return Err(wrong("A version-id marker cannot be empty."));
    }
    VersionId::parse(marker).map(Some).map_err(|_| wrong("Invalid version id specified"))
}

/// `x-amz-optional-object-attributes`: `RestoreStatus` is all there is, and no object here is ever being restored.
fn refuse_unknown_attributes(request: &Request<'_>) -> Result<(), S3Error> {
    const NAME: &str = "x-amz-optional-object-attributes";
    let Some(names) = request.text(NAME)? else { return Ok(()) };
    match names.split(',').map(str::trim).find(|name| !name.is_empty() && *name != "RestoreStatus") {
        None => Ok(()),
        Some(other) => Err(S3Error::invalid_argument(NAME, other, "Invalid attribute name specified.")),
    }
}
