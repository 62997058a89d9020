//! `content-length-range`: how large the file of a form may be.

use crate::error::{Code, S3Error};

/// Inclusive bounds, bytes. A range that nothing fits is one, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentLengthRange {
    pub min: u64,
    pub max: u64,
}

impl ContentLengthRange {
    /// Any size.
    pub const ALL: Self = Self { min: 0, max: u64::MAX };

    /// Both conditions hold.
    #[must_use]
    pub(super) fn and(self, other: Self) -> Self {
        Self { min: self.min.max(other.min), max: self.max.min(other.max) }
    }

    /// The file has so many bytes, all told.
    ///
    /// # Errors
    /// `EntityTooLarge`, `EntityTooSmall`.
    pub fn check(self, bytes: u64) -> Result<(), S3Error> {
        let refused = |code, element, bound: u64| {
            Err(S3Error::new(code).with("ProposedSize", bytes.to_string()).with(element, bound.to_string()))
        };
        if bytes < self.min {
            return refused(Code::EntityTooSmall, "MinSizeAllowed", self.min);
        }
        if bytes > self.max {
            return refused(Code::EntityTooLarge, "MaxSizeAllowed", self.max);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::ContentLengthRange;
    use crate::error::Code;

    #[test]
    fn bounds_are_inclusive() {
        let range = ContentLengthRange { min: 5, max: 10 };
        let code = |bytes| range.check(bytes).err().map(|error| error.code);
        assert_eq!((code(5), code(10)), (None, None));
        assert_eq!((code(4), code(11)), (Some(Code::EntityTooSmall), Some(Code::EntityTooLarge)));
        let refused = range.check(12).unwrap_err();
        assert_eq!(refused.extra, [("ProposedSize", "12".to_owned()), ("MaxSizeAllowed", "10".to_owned())]);
        assert_eq!(ContentLengthRange::ALL.and(range), range);
        let nothing = range.and(ContentLengthRange { min: 20, max: 30 });
        assert!([0, 5, 10, 15, 20, 30].into_iter().all(|bytes| nothing.check(bytes).is_err()));
    }
}
