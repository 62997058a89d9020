//! What a client did wrong, or what we cannot do now, as S3 says it: a code, its HTTP status, a sentence, the resource.
//!
//! Every refusal of the data plane ends as an [`S3Error`]; other modules keep their own small error types and turn into
//! one here or in `error/from.rs`, so that codes and statuses are decided in one place.

use std::borrow::Cow;
use std::fmt;

use crate::xml::writer::XmlWriter;

mod code;
mod from;

pub use code::Code;

/// An S3 error answer before it has a request id. Logged once, by the connection that answers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct S3Error {
    pub code: Code,
    /// One sentence for people; starts as the sentence AWS uses.
    pub message: Cow<'static, str>,
    /// Further elements of the body, in order, e.g. `BucketName`, `StringToSign`.
    pub extra: Vec<(&'static str, String)>,
    /// Headers of the answer beside the body's.
    pub headers: Vec<(&'static str, String)>,
    /// The connection cannot be used again: framing is lost or the body is not worth reading.
    pub close: bool,
    /// `Retry-After`, seconds.
    pub retry_after_s: Option<u32>,
}

impl S3Error {
    /// The code with AWS's own sentence. `SlowDown` and `ServiceUnavailable` ask for a retry after one second.
    #[must_use]
    pub fn new(code: Code) -> Self {
        let retry_after_s = (code.status() == 503).then_some(1);
        Self {
            code,
            message: Cow::Borrowed(code.sentence()),
            extra: Vec::new(),
            headers: Vec::new(),
            close: false,
            retry_after_s,
        }
    }

    /// Another sentence, e.g. one that names the argument.
    #[must_use]
    pub fn message(mut self, message: impl Into<Cow<'static, str>>) -> Self {
        self.message = message.into();
        self
    }

    /// One more element of the body. `element` is its XML name.
    #[must_use]
    pub fn with(mut self, element: &'static str, value: impl Into<String>) -> Self {
        self.extra.push((element, value.into()));
        self
    }

    /// One more header of the answer.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// The connection ends after this answer.
    #[must_use]
    pub fn closing(mut self) -> Self {
        self.close = true;
        self
    }

    /// Asks the client to come back after so many seconds.
    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }

    /// `InvalidArgument` that names the argument and what was sent, as AWS does.
    #[must_use]
    pub fn invalid_argument(
        name: impl Into<String>,
        value: impl Into<String>,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::new(Code::InvalidArgument)
            .message(message)
            .with("ArgumentName", name)
            .with("ArgumentValue", value)
    }

    /// `NotImplemented` with a sentence that names what we lack.
    #[must_use]
    pub fn not_implemented(what: impl fmt::Display) -> Self {
        Self::new(Code::NotImplemented).message(format!("{what} is not implemented by this server."))
    }

    #[must_use]
    pub fn status(&self) -> u16 {
        self.code.status()
    }

    /// False for answers that HTTP forbids a body (304); a HEAD's body is dropped by the connection.
    #[must_use]
    pub fn has_body(&self) -> bool {
        self.status() != 304
    }

    /// The body: `<Error>` with code, message, extras, resource and the ids of the answer.
    #[must_use]
    pub fn to_xml(&self, resource: &str, request_id: &str, host_id: &str) -> Vec<u8> {
        let mut xml = XmlWriter::document();
        xml.open("Error");
        xml.text("Code", self.code.name());
        xml.text("Message", &readable(&self.message));
        for (element, value) in &self.extra {
            xml.text(element, &readable(value));
        }
        xml.text("Resource", &readable(resource));
        xml.text("RequestId", request_id);
        xml.text("HostId", host_id);
        xml.close("Error");
        xml.finish()
    }
}

/// A text without the characters that no XML can hold. Errors repeat what was sent, and clients read errors with parsers that
/// refuse those characters in any form: the code would be lost for the sake of an argument's value.
fn readable(text: &str) -> Cow<'_, str> {
    let barred = |character: char| matches!(character, '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}');
    if text.contains(barred) { text.replace(barred, "\u{fffd}").into() } else { text.into() }
}

impl fmt::Display for S3Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.name(), self.message)
    }
}

impl std::error::Error for S3Error {}

impl From<Code> for S3Error {
    fn from(code: Code) -> Self {
        Self::new(code)
    }
}

#[cfg(test)]
mod tests {
    use super::{Code, S3Error};

    #[test]
    fn body_has_aws_shape() {
        let error = S3Error::new(Code::NoSuchBucket).with("BucketName", "a&b");
        let text = String::from_utf8(error.to_xml("/a&b", "R1", "H1")).unwrap();
        assert_eq!(
            text,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>NoSuchBucket</Code><Message>The specified bucket \
             does not exist.</Message><BucketName>a&amp;b</BucketName><Resource>/a&amp;b</Resource><RequestId>R1\
             </RequestId><HostId>H1</HostId></Error>"
        );
    }

    #[test]
    fn body_is_xml_whatever_was_sent() {
        let error = S3Error::invalid_argument("versionId", "a\0\u{1}\u{b}\r\n\t\u{1f}\u{ffff}", "No \u{8}.");
        let text = String::from_utf8(error.to_xml("/k\u{c}", "R", "H")).unwrap();
        assert!(
            text.contains("<Message>No \u{fffd}.</Message>") && text.contains("<Resource>/k\u{fffd}<"),
            "{text}"
        );
        assert!(
            text.contains("<ArgumentValue>a\u{fffd}\u{fffd}\u{fffd}&#xd;\n\t\u{fffd}\u{fffd}<"),
            "{text}"
        );
    }

    #[test]
    fn names_are_unique_and_statuses_are_errors() {
        let mut names: Vec<_> = Code::ALL.iter().map(|code| code.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Code::ALL.len());
        assert!(Code::ALL.iter().all(|code| (304..=503).contains(&code.status())));
        assert!(Code::ALL.iter().all(|code| code.sentence().ends_with('.')), "sentences end in a full stop");
    }

    #[test]
    fn busy_answers_ask_for_a_retry() {
        assert_eq!(S3Error::new(Code::SlowDown).retry_after_s, Some(1));
        assert_eq!(S3Error::new(Code::NoSuchKey).retry_after_s, None);
    }
}
