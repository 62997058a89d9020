//! Trailers of an aws-chunked body, kept in the very form that their signature covers.

use super::{AwsChunkedError, parse_signature};
use crate::limits::AWS_TRAILERS_MAX;

const SIGNATURE: &str = "x-amz-trailer-signature";

/// The trailers in the order of the wire. Which of them were announced by `x-amz-trailer` is the reader's to check.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trailers {
    canonical: String,
    signature: Option<[u8; 32]>,
    empty_line_seen: bool,
}

impl Trailers {
    /// `name:value\n` for each, names in lower case and values trimmed: what `x-amz-trailer-signature` signs. The
    /// signature itself is not in it.
    pub fn canonical(&self) -> &[u8] {
        self.canonical.as_bytes()
    }

    /// Names in lower case, with their values.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.canonical.lines().filter_map(|line| line.split_once(':'))
    }

    pub fn value(&self, name: &str) -> Option<&str> {
        self.pairs().find(|(sent, _)| sent.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// `x-amz-trailer-signature`; always there at the end of a signed body with trailers.
    pub fn signature(&self) -> Option<&[u8; 32]> {
        self.signature.as_ref()
    }

    pub fn is_empty(&self) -> bool {
        self.canonical.is_empty()
    }

    /// Adds a line without its end.
    pub(super) fn push(&mut self, line: &[u8], signed: bool) -> Result<(), AwsChunkedError> {
        if self.signature.is_some() {
            return Err(AwsChunkedError::Trailer);
        }
        let (name, value) = split(line)?;
        if name == SIGNATURE && signed {
            self.signature = Some(parse_signature(value.as_bytes())?);
            return Ok(());
        }
        if name == SIGNATURE || self.empty_line_seen {
            return Err(AwsChunkedError::TrailerUnexpected);
        }
        if self.value(&name).is_some() {
            return Err(AwsChunkedError::TrailerRepeated);
        }
        if self.pairs().count() == AWS_TRAILERS_MAX {
            return Err(AwsChunkedError::TooManyTrailers);
        }
        self.canonical.extend([&name, ":", value, "\n"]);
        Ok(())
    }

    /// Whether an empty line may stand here, between the trailers and their signature; one may.
    pub(super) fn allow_empty_line(&mut self) -> bool {
        !self.is_empty() && !std::mem::replace(&mut self.empty_line_seen, true)
    }
}

/// Values are visible ASCII with spaces: checksums are base64, and nothing else is sent as a trailer.
fn split(line: &[u8]) -> Result<(String, &str), AwsChunkedError> {
    let line = std::str::from_utf8(line).map_err(|_| AwsChunkedError::Trailer)?;
    let (name, value) = line.split_once(':').ok_or(AwsChunkedError::Trailer)?;
    let name_ok =
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    if !name_ok || !value.bytes().all(|b| matches!(b, b' '..=b'~')) {
        return Err(AwsChunkedError::Trailer);
    }
    Ok((name.to_ascii_lowercase(), value.trim_ascii()))
}
