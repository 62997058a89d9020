//! Version ids: the text that names a version of an object, and which version a request means.
//!
//! A version is named by the mutation that made it: its op id as 32 lower-case hex digits, as long as AWS's. So the node knows
//! the id before the commit, a retry under the same op id names the same version, and an operator finds it in the changelog.
//! Clients must not read anything into it: "current" is decided by the commit sequence, never by an id (DESIGN 3.1).

use std::fmt;

use holdfast_common::id::OpId;

use crate::error::S3Error;

use super::request::Request;

/// The name of one version of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum VersionId {
    /// The version without a name of its own: written before the bucket was versioned, or while that was suspended. A key has
    /// at most one.
    Null,
    /// The version that this mutation made.
    Of(OpId),
}

/// A text that never was a version id here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Invalid version id specified")]
pub struct VersionIdError;

const NULL: &str = "null";

impl VersionId {
    /// Reads what clients send. Exactly one text names a version, so upper-case digits are refused, and `NULL` too, as in S3.
    ///
    /// # Errors
    /// Anything but `null` and 32 lower-case hex digits that are an op id.
    pub fn parse(text: &str) -> Result<Self, VersionIdError> {
        if text == NULL {
            return Ok(Self::Null);
        }
        let mut raw = [0; 16];
        if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(VersionIdError);
        }
        hex::decode_to_slice(text, &mut raw).map_err(|_| VersionIdError)?;
        OpId::from_wire(&raw).map(Self::Of).ok_or(VersionIdError)
    }

    /// From `version_id` of a record, which is empty for the null version.
    ///
    /// # Errors
    /// A text that is no version id: the record is not one of ours.
    pub fn of_record(version_id: &str) -> Result<Self, VersionIdError> {
        if version_id.is_empty() { Ok(Self::Null) } else { Self::parse(version_id) }
    }
}

impl fmt::Display for VersionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str(NULL),
            Self::Of(op) => fmt::Display::fmt(&op.uuid().simple(), f),
        }
    }
}

/// Which version is meant. On a bucket that never was versioned the null version is the current one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VersionSelector {
    Current,
    /// `versionId=null`
    Null,
    /// A version id of ours; whether there is such a version the authority knows (else `NoSuchVersion`).
    Named(String),
}

impl VersionSelector {
    pub(super) fn read(request: &Request<'_>) -> Result<Self, S3Error> {
        request.argument("versionId")?.map_or(Ok(Self::Current), Self::parse)
    }

    /// Reads a version id, of a request or of an entry of DeleteObjects.
    ///
    /// # Errors
    /// `InvalidArgument` for a text that never was a version id.
    pub fn parse(version_id: &str) -> Result<Self, S3Error> {
        if version_id.is_empty() {
            return Err(invalid_version(version_id, "Version id cannot be the empty string"));
        }
        match VersionId::parse(version_id) {
            Ok(VersionId::Null) => Ok(Self::Null),
            Ok(id) => Ok(Self::Named(id.to_string())),
            Err(_) => Err(invalid_version(version_id, "Invalid version id specified")),
        }
    }

    /// The version id a request named, for the answer and for the authority.
    #[must_use]
    pub fn named(&self) -> Option<&str> {
        match self {
            Self::Current => None,
            Self::Null => Some(NULL),
            Self::Named(id) => Some(id),
        }
    }
}

fn invalid_version(value: &str, message: &'static str) -> S3Error {
    S3Error::invalid_argument("versionId", value, message)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::error::Code;

    const ID: &str = "018bcfe5687b7fffbfffffffffffffff";

    #[test]
    fn a_version_has_one_name() {
        let op = OpId::new(1_700_000_000_123, [0xff; 10]);
        assert_eq!(VersionId::Of(op).to_string(), ID);
        assert_eq!(VersionId::parse(ID), Ok(VersionId::Of(op)));
        assert_eq!(VersionId::parse("null"), Ok(VersionId::Null));
        assert_eq!(
            (VersionId::of_record(""), VersionId::Null.to_string()),
            (Ok(VersionId::Null), NULL.into())
        );
        for bad in [
            "",
            "NULL",
            " null",
            "018BCFE5687B7FFFBFFFFFFFFFFFFFFF",
            "018bcfe5-687b-7fff-bfff-ffffffffffff",
            "018bcfe5687b7fffbffffffffffffff",
            "018bcfe5687b7fffbfffffffffffffff0",
            "018bcfe5687b4fffbfffffffffffffff",
            "Eyn7lxdGE1WU1SU6QTbW1X6cbSIIRY0R",
            "ключключключключ",
        ] {
            assert_eq!(VersionId::parse(bad), Err(VersionIdError), "{bad:?}");
            assert_eq!(VersionSelector::parse(bad).unwrap_err().code, Code::InvalidArgument, "{bad:?}");
        }
    }

    #[test]
    fn selectors_keep_what_was_named() {
        let parse = |text| VersionSelector::parse(text).unwrap();
        assert_eq!((parse("null"), parse(ID)), (VersionSelector::Null, VersionSelector::Named(ID.into())));
        assert_eq!((parse("null").named(), parse(ID).named()), (Some("null"), Some(ID)));
        let error = VersionSelector::parse("x").unwrap_err();
        assert_eq!(error.message, "Invalid version id specified");
        assert_eq!(error.extra, [("ArgumentName", "versionId".into()), ("ArgumentValue", "x".into())]);
    }

    proptest! {
        #[test]
        fn names_come_back(ms in 0u64..1 << 48, random: [u8; 10]) {
            let id = VersionId::Of(OpId::new(ms, random));
            prop_assert_eq!(VersionId::parse(&id.to_string()), Ok(id));
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".{0,40}") {
            if let Ok(id) = VersionId::parse(&text) {
                prop_assert_eq!(id.to_string(), text);
            }
        }
    }
}
