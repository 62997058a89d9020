//! `If-Match` and its like, decided from an object's ETag and time alone.
//!
//! Precedence is RFC 9110's (13.2.2), which is S3's: a condition on the ETag, where there is one, silences the condition
//! on the time of the same direction.

use crate::date;

/// The ETags a condition names, as sent and without quotes: S3's clients often leave them out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ETagList {
    /// `*`: whatever there is.
    Any,
    Tags(Vec<ETag>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ETag {
    /// Without quotes and `W/`.
    pub opaque: String,
    pub weak: bool,
}

/// The conditions of a read, or of a copy on its source.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conditions {
    pub if_match: Option<ETagList>,
    pub if_none_match: Option<ETagList>,
    pub if_modified_since_ms: Option<u64>,
    pub if_unmodified_since_ms: Option<u64>,
}

/// `If-Range`: the state of the object that a range is wanted of; of any other, the whole is (RFC 9110, 13.1.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IfRange {
    Tag(ETag),
    /// Milliseconds since 1970.
    Date(u64),
}

impl IfRange {
    /// Reads a date, or else an ETag, quoted or not.
    pub fn parse(header: &str) -> Self {
        let header = header.trim_ascii();
        date::parse_lenient(header).map_or_else(|| Self::Tag(ETag::parse(header)), Self::Date)
    }

    /// Whether the object is still that one: a weak tag is no proof, and a date must be the very same second.
    pub fn holds(&self, etag: &str, modified_ms: u64) -> bool {
        match self {
            Self::Tag(tag) => !tag.weak && tag.opaque == unquote(etag),
            Self::Date(ms) => modified_ms / 1000 == ms / 1000,
        }
    }
}

/// What the conditions say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Proceed,
    /// 304 for GET and HEAD.
    NotModified,
    /// 412, with the name of the condition that failed.
    Failed {
        condition: &'static str,
    },
}

impl Conditions {
    /// Reads the four headers' values. A date that is none is ignored, as RFC 9110 has it.
    pub fn parse(
        if_match: Option<&str>,
        if_none_match: Option<&str>,
        if_modified_since: Option<&str>,
        if_unmodified_since: Option<&str>,
    ) -> Self {
        Self {
            if_match: if_match.map(ETagList::parse),
            if_none_match: if_none_match.map(ETagList::parse),
            if_modified_since_ms: if_modified_since.and_then(date::parse_lenient),
            if_unmodified_since_ms: if_unmodified_since.and_then(date::parse_lenient),
        }
    }

    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What they mean at `now_ms`: `If-Modified-Since` with a time to come is no condition, because nothing was modified since
    /// then yet (S3 ignores it, and so does RFC 9110's predecessor, 2616, 14.25).
    #[must_use]
    pub fn as_of(self, now_ms: u64) -> Self {
        let if_modified_since_ms = self.if_modified_since_ms.filter(|since| !is_later(*since, now_ms));
        Self { if_modified_since_ms, ..self }
    }

    /// For GET and HEAD of an object that exists. `etag` with or without quotes.
    pub fn evaluate(&self, etag: &str, modified_ms: u64) -> Verdict {
        let etag = unquote(etag);
        match (&self.if_match, self.if_unmodified_since_ms) {
            (Some(tags), _) if !tags.matches_strongly(etag) => {
                return Verdict::Failed { condition: "If-Match" };
            }
            (None, Some(since)) if is_later(modified_ms, since) => {
                return Verdict::Failed { condition: "If-Unmodified-Since" };
            }
            _ => {}
        }
        match (&self.if_none_match, self.if_modified_since_ms) {
            (Some(tags), _) if tags.matches_weakly(etag) => Verdict::NotModified,
            (None, Some(since)) if !is_later(modified_ms, since) => Verdict::NotModified,
            _ => Verdict::Proceed,
        }
    }

    /// For the source of a copy, where "not modified" fails as well: there is nothing that a 304 could spare.
    pub fn evaluate_copy_source(&self, etag: &str, modified_ms: u64) -> Verdict {
        match self.evaluate(etag, modified_ms) {
            Verdict::Proceed => Verdict::Proceed,
            Verdict::Failed { condition: "If-Match" } => {
                Verdict::Failed { condition: "x-amz-copy-source-If-Match" }
            }
            Verdict::Failed { .. } => Verdict::Failed { condition: "x-amz-copy-source-If-Unmodified-Since" },
            Verdict::NotModified if self.if_none_match.is_some() => {
                Verdict::Failed { condition: "x-amz-copy-source-If-None-Match" }
            }
            Verdict::NotModified => Verdict::Failed { condition: "x-amz-copy-source-If-Modified-Since" },
        }
    }
}

/// HTTP's dates have whole seconds, so a time is later only when its second is.
fn is_later(modified_ms: u64, since_ms: u64) -> bool {
    modified_ms / 1000 > since_ms / 1000
}

impl ETagList {
    /// Reads `*`, or tags separated by commas, quoted or not. A comma within quotes belongs to its tag.
    pub fn parse(header: &str) -> Self {
        let header = header.trim_ascii();
        if header == "*" {
            return Self::Any;
        }
        let mut in_quotes = false;
        let pieces = header.split(|c| {
            in_quotes ^= c == '"';
            c == ',' && !in_quotes
        });
        Self::Tags(pieces.map(str::trim_ascii).filter(|piece| !piece.is_empty()).map(ETag::parse).collect())
    }

    /// For `If-Match`: a weak tag is no proof that the bytes are the same.
    pub fn matches_strongly(&self, etag: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Tags(tags) => tags.iter().any(|tag| !tag.weak && tag.opaque == etag),
        }
    }

    /// For `If-None-Match`: caches in between may have weakened ours.
    pub fn matches_weakly(&self, etag: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Tags(tags) => tags.iter().any(|tag| tag.opaque == etag),
        }
    }
}

impl ETag {
    fn parse(tag: &str) -> Self {
        match tag.strip_prefix("W/") {
            Some(opaque) => Self { opaque: unquote(opaque).to_owned(), weak: true },
            None => Self { opaque: unquote(tag).to_owned(), weak: false },
        }
    }
}

fn unquote(tag: &str) -> &str {
    tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"')).unwrap_or(tag)
}

#[cfg(test)]
mod tests;
