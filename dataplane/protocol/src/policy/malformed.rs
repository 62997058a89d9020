//! Why a bucket policy is refused: the sentence S3 uses, and the element that earned it.

use crate::error::{Code, S3Error};

/// Bytes of a client's own text that a message repeats.
const QUOTED_BYTES_MAX: usize = 100;

/// One fault. Parsers below know only their own element; those above add where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Malformed {
    sentence: &'static str,
    /// From the policy down, e.g. `Statement[1].Action[0]`.
    path: String,
    detail: String,
}

impl Malformed {
    pub(super) fn new(sentence: &'static str) -> Self {
        Self { sentence, path: String::new(), detail: String::new() }
    }

    /// What an element, a value or a list looks like is wrong, rather than what it says.
    pub(super) fn syntax(expected: &'static str) -> Self {
        Self::new("Invalid policy syntax").because(expected)
    }

    /// The text at fault.
    pub(super) fn quoting(mut self, text: &str) -> Self {
        self.detail = format!("\"{}\"", quoted(text));
        self
    }

    pub(super) fn because(mut self, detail: &str) -> Self {
        detail.clone_into(&mut self.detail);
        self
    }

    pub(super) fn within(mut self, element: &str) -> Self {
        let dot = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        self.path = format!("{}{dot}{}", quoted(element), self.path);
        self
    }

    pub(super) fn at(self, index: usize) -> Self {
        self.within(&format!("[{index}]"))
    }
}

/// A client's text, shortened and without control characters: it goes into an XML answer.
fn quoted(text: &str) -> String {
    let end = text.floor_char_boundary(QUOTED_BYTES_MAX);
    let more = if end < text.len() { "..." } else { "" };
    format!("{}{more}", text[..end].escape_debug())
}

impl From<Malformed> for S3Error {
    fn from(fault: Malformed) -> Self {
        let place = match (fault.path.as_str(), fault.detail.as_str()) {
            ("", "") => String::new(),
            ("", detail) => format!(" ({detail})"),
            (path, "") => format!(" ({path})"),
            (path, detail) => format!(" ({path}: {detail})"),
        };
        Self::new(Code::MalformedPolicy).message(format!("{}{place}.", fault.sentence))
    }
}

#[cfg(test)]
mod tests {
    use super::{Malformed, S3Error};

    #[track_caller]
    fn check(fault: Malformed, expected: &str) {
        assert_eq!(S3Error::from(fault).message, expected);
    }

    #[test]
    fn messages_name_the_element() {
        check(Malformed::new("Policy has invalid action"), "Policy has invalid action.");
        let action =
            Malformed::new("Policy has invalid action").quoting("s3:Fly\u{1}").at(0).within("Action");
        check(
            action.at(1).within("Statement"),
            "Policy has invalid action (Statement[1].Action[0]: \"s3:Fly\\u{1}\").",
        );
        check(
            Malformed::syntax("a list is empty").within("Action"),
            "Invalid policy syntax (Action: a list is empty).",
        );
        let long = Malformed::new("x").quoting(&"ä".repeat(80));
        check(long, &format!("x (\"{}...\").", "ä".repeat(50)));
    }
}
