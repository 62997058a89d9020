//! Byte ranges: what a `Range` header asks for, and, apart from it, what that means for an object of a given size.

use std::fmt;
use std::ops::Range;

use crate::error::{Code, S3Error};

/// A well-formed range. Whether it fits an object is told by [`ByteRange::resolve`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByteRange {
    /// `bytes=first-last`, both included, `first <= last`.
    FromTo { first: u64, last: u64 },
    /// `bytes=first-`
    From { first: u64 },
    /// `bytes=-bytes`: the end of the object.
    Last { bytes: u64 },
}

/// A range within an object; never empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resolved {
    pub start: u64,
    pub len: u64,
}

/// No byte of the object is in the range: 416, with `Content-Range: bytes */size`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the range cannot be satisfied by an object of {size} bytes")]
pub struct NotSatisfiable {
    pub size: u64,
}

/// Why `x-amz-copy-source-range` is refused, which is strict where `Range` is forgiving.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CopyRangeError {
    #[error(
        "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the \
         zero-based offsets of the first and last bytes to copy"
    )]
    Malformed,
    #[error("Range specified is not valid for source object of size: {size}")]
    OutsideSource { size: u64 },
    #[error("The specified copy range is invalid for the source object size: {size}")]
    BehindSource { size: u64 },
}

impl ByteRange {
    /// Reads a `Range` header. `None` means that it is to be ignored and the whole object sent: other units, malformed
    /// ones, and several ranges at once, for S3 has no multipart/byteranges.
    pub fn parse(header: &str) -> Option<Self> {
        let (unit, range) = header.trim_ascii().split_once('=')?;
        if !unit.trim_ascii().eq_ignore_ascii_case("bytes") {
            return None;
        }
        let (first, last) = range.trim_ascii().split_once('-')?;
        match (first, last) {
            ("", bytes) => Some(Self::Last { bytes: position(bytes)? }),
            (first, "") => Some(Self::From { first: position(first)? }),
            (first, last) => {
                let (first, last) = (position(first)?, position(last)?);
                (first <= last).then_some(Self::FromTo { first, last })
            }
        }
    }

    /// Reads `x-amz-copy-source-range`: both ends must be told.
    pub fn parse_copy_source(header: &str) -> Result<Self, CopyRangeError> {
        match Self::parse(header) {
            Some(range @ Self::FromTo { .. }) => Ok(range),
            _ => Err(CopyRangeError::Malformed),
        }
    }

    /// Cuts the range to an object of `size` bytes.
    pub fn resolve(self, size: u64) -> Result<Resolved, NotSatisfiable> {
        let (start, end) = match self {
            Self::FromTo { first, last } => (first, last.saturating_add(1).min(size)),
            Self::From { first } => (first, size),
            Self::Last { bytes } => (size - bytes.min(size), size),
        };
        // Covers `-0` and every range of an empty object too.
        if start >= end {
            return Err(NotSatisfiable { size });
        }
        Ok(Resolved { start, len: end - start })
    }

    /// A copied range may not reach beyond its source: cutting it would store a part other than the client thinks.
    pub fn resolve_copy_source(self, size: u64) -> Result<Resolved, CopyRangeError> {
        match self {
            Self::FromTo { first, last } if last < size => {
                Ok(Resolved { start: first, len: last - first + 1 })
            }
            Self::FromTo { first, .. } if first >= size => Err(CopyRangeError::BehindSource { size }),
            _ => Err(CopyRangeError::OutsideSource { size }),
        }
    }
}

/// As it was asked for.
impl fmt::Display for ByteRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FromTo { first, last } => write!(f, "bytes={first}-{last}"),
            Self::From { first } => write!(f, "bytes={first}-"),
            Self::Last { bytes } => write!(f, "bytes=-{bytes}"),
        }
    }
}

impl CopyRangeError {
    /// The refusal of the range that was sent as `value`.
    #[must_use]
    pub fn refusal(self, value: &str) -> S3Error {
        match self {
            Self::BehindSource { .. } => S3Error::new(Code::InvalidRequest).message(self.to_string()),
            _ => S3Error::invalid_argument("x-amz-copy-source-range", value, self.to_string()),
        }
    }
}

impl Resolved {
    pub fn whole(size: u64) -> Self {
        Self { start: 0, len: size }
    }

    pub fn bytes(self) -> Range<u64> {
        self.start..self.start + self.len
    }

    /// The value of `Content-Range`.
    ///
    /// # Panics
    /// For an empty range, which no `Content-Range` can express: our bug.
    pub fn content_range(self, size: u64) -> String {
        assert!(self.len > 0, "no Content-Range says {self:?}");
        format!("bytes {}-{}/{size}", self.start, self.start + self.len - 1)
    }
}

impl NotSatisfiable {
    /// The value of `Content-Range` in a 416.
    pub fn content_range(self) -> String {
        format!("bytes */{}", self.size)
    }

    /// The 416 for the range that was asked for.
    #[must_use]
    pub fn refusal(self, asked: ByteRange) -> S3Error {
        S3Error::new(Code::InvalidRange)
            .with("RangeRequested", asked.to_string())
            .with("ActualObjectSize", self.size.to_string())
    }
}

/// A position of any length: beyond u64 it is beyond every object, and all that matters is that it stays so.
fn position(digits: &str) -> Option<u64> {
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some(digits.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(header: &str, size: u64, expected: Option<Result<Range<u64>, NotSatisfiable>>) {
        let answer = ByteRange::parse(header).map(|range| range.resolve(size).map(Resolved::bytes));
        assert_eq!(answer, expected, "{header:?} of {size}");
    }

    #[test]
    fn ranges() {
        let unsatisfiable = |size| Some(Err(NotSatisfiable { size }));
        check("bytes=0-0", 10, Some(Ok(0..1)));
        check("bytes=2-5", 10, Some(Ok(2..6)));
        check("bytes=2-", 10, Some(Ok(2..10)));
        check("bytes=-3", 10, Some(Ok(7..10)));
        check("bytes=-30", 10, Some(Ok(0..10)));
        check("bytes=5-99", 10, Some(Ok(5..10)));
        check("bytes=9-18446744073709551615", 10, Some(Ok(9..10)));
        check("Bytes= 9-99999999999999999999999 ", 10, Some(Ok(9..10)));
        check("bytes=10-", 10, unsatisfiable(10));
        check("bytes=99999999999999999999999-", 10, unsatisfiable(10));
        check("bytes=-0", 10, unsatisfiable(10));
        check("bytes=0-", 0, unsatisfiable(0));
        check("bytes=-5", 0, unsatisfiable(0));
        check("bytes=-0", 0, unsatisfiable(0));
        check("bytes=0-0", 0, unsatisfiable(0));
        check("bytes=9-9", 10, Some(Ok(9..10)));
        check("bytes=10-10", 10, unsatisfiable(10));
        check("bytes=-10", 10, Some(Ok(0..10)));
        check("bytes=0-18446744073709551615", u64::MAX, Some(Ok(0..u64::MAX)));
        check("bytes=-18446744073709551616", u64::MAX, Some(Ok(0..u64::MAX)));
    }

    #[test]
    fn what_is_ignored() {
        for header in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=5-2",
            "bytes=a-b",
            "bytes=1-2,4-5",
            "bytes=0-1,",
            "items=0-1",
            "bytes=+1-2",
            "bytes=1--2",
            "bytes=0x1-2",
            "bytes 0-1",
            "bytes=0 - 1",
            "bytes=0-1, -1",
            "bytes=0-0,-1",
            "bytes==0-1",
            "bytes=0-1;q=1",
            "bytes=٠-١",
        ] {
            check(header, 10, None);
        }
    }

    #[test]
    fn copy_sources_are_strict() {
        let resolve = |header, size| ByteRange::parse_copy_source(header)?.resolve_copy_source(size);
        assert_eq!(resolve("bytes=0-9", 10), Ok(Resolved { start: 0, len: 10 }));
        assert_eq!(resolve("bytes=0-10", 10), Err(CopyRangeError::OutsideSource { size: 10 }));
        assert_eq!(resolve("bytes=0-0", 0), Err(CopyRangeError::BehindSource { size: 0 }));
        assert_eq!(resolve("bytes=10-11", 10), Err(CopyRangeError::BehindSource { size: 10 }));
        for header in
            ["", "bytes=5-", "bytes=-5", "0-5", "bytes=3-1", "bytes=0", "bytes=hello-world", "bytes=0-2,3-5"]
        {
            assert_eq!(resolve(header, 10), Err(CopyRangeError::Malformed), "{header:?}");
        }
        let error = CopyRangeError::OutsideSource { size: 10 }.refusal("bytes=0-10");
        assert_eq!(error.message, "Range specified is not valid for source object of size: 10");
        assert_eq!(error.extra[1], ("ArgumentValue", "bytes=0-10".into()));
    }

    #[test]
    fn a_416_tells_what_was_asked_and_what_there_is() {
        for header in ["bytes=10-", "bytes=10-99", "bytes=-0"] {
            let range = ByteRange::parse(header).unwrap();
            let error = range.resolve(10).unwrap_err().refusal(range);
            let told = [("RangeRequested", header.to_owned()), ("ActualObjectSize", "10".to_owned())];
            assert_eq!((error.status(), error.extra), (416, told.to_vec()));
        }
    }

    #[test]
    fn content_ranges() {
        assert_eq!(Resolved { start: 2, len: 3 }.content_range(10), "bytes 2-4/10");
        assert_eq!(NotSatisfiable { size: 10 }.content_range(), "bytes */10");
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

        /// The oracle filters the positions of the object one by one.
        #[test]
        fn resolving_agrees_with_counting(first in 0u64..40, last in 0u64..40, form in 0..3, size in 0u64..40) {
            let (header, wanted): (String, Vec<u64>) = match form {
                0 => (format!("bytes={first}-{}", first + last), (0..size).filter(|p| (first..=first + last).contains(p)).collect()),
                1 => (format!("bytes={first}-"), (0..size).filter(|p| *p >= first).collect()),
                _ => (format!("bytes=-{last}"), (0..size).filter(|p| p + last >= size).collect()),
            };
            let got = ByteRange::parse(&header).unwrap().resolve(size).map_or(vec![], |r| r.bytes().collect());
            prop_assert_eq!(got, wanted);
        }

        #[test]
        fn no_text_upsets_the_parser(text in "(bytes=)?[-0-9, ]{0,30}", size: u64) {
            if let Some(Ok(resolved)) = ByteRange::parse(&text).map(|range| range.resolve(size)) {
                prop_assert!(resolved.len > 0 && resolved.bytes().end <= size);
            }
        }
    }
}
