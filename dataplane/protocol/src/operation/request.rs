//! One way to read headers and arguments: once, refusing repetition, with what a presigned URL moved into its query.
//!
//! Signers of presigned URLs move `x-amz-*` headers into the query ("hoisting"), where S3 honours them as headers. They
//! count as headers only beside `X-Amz-Signature`, which covers the whole query.

use std::borrow::Cow;

use crate::error::{Code, S3Error};
use crate::http::framing::BodyFraming;
use crate::http::head::{Method, RequestHead};
use crate::uri::Query;

use super::metadata::MetadataSource;

pub(crate) struct Request<'a> {
    head: &'a RequestHead,
    query: Query<'a>,
    presigned: bool,
}

/// Headers that must be honoured or refused, and are refused until they can be honoured. A name ending in `-` is a prefix.
const LACKING: [&str; 11] = [
    "x-amz-server-side-encryption",
    "x-amz-server-side-encryption-",
    "x-amz-copy-source-server-side-encryption-",
    "x-amz-object-lock-",
    "x-amz-if-match-initiated-time",
    "x-amz-write-offset-bytes",
    "x-amz-object-annotation",
    "x-amz-rename-source",
    "x-amz-create-session-mode",
    "x-amz-bucket-namespace",
    "x-amz-data-partition",
];

/// Headers that may say the default of this server and nothing else.
const FIXED: [(&str, &[&str]); 2] =
    [("x-amz-bucket-object-lock-enabled", &["false"]), ("x-amz-object-annotation-directive", &["COPY"])];

impl<'a> Request<'a> {
    pub(super) fn new(head: &'a RequestHead) -> Result<Self, S3Error> {
        let query = Query::parse(head.query())?;
        let presigned = query.has("X-Amz-Signature");
        Ok(Self { head, query, presigned })
    }

    pub(super) fn head(&self) -> &RequestHead {
        self.head
    }

    pub(super) fn method(&self) -> Method {
        self.head.method()
    }

    pub(super) fn method_str(&self) -> &str {
        self.head.method_str()
    }

    pub(super) fn framing(&self) -> BodyFraming {
        self.head.framing()
    }

    /// An argument that means something: at most once.
    pub(super) fn argument(&self, name: &str) -> Result<Option<&str>, S3Error> {
        Ok(self.query.one(name)?)
    }

    pub(super) fn has_argument(&self, name: &str) -> bool {
        self.query.has(name)
    }

    /// A number argument; `default` where absent.
    pub(super) fn number(&self, name: &str, default: u32) -> Result<u32, S3Error> {
        let Some(text) = self.argument(name)? else { return Ok(default) };
        match text.parse::<u32>() {
            Ok(number) if i32::try_from(number).is_ok() && !text.starts_with('+') => Ok(number),
            _ => Err(S3Error::invalid_argument(
                name,
                text,
                format!("Provided {name} not an integer or within integer range."),
            )),
        }
    }

    /// A header's bytes: at most once, in the head or (presigned) in the query.
    pub(super) fn header(&self, name: &str) -> Result<Option<&[u8]>, S3Error> {
        let sent = self.head.header_one(name)?;
        let mut hoisted = self.hoisted().filter(|(found, _)| found.eq_ignore_ascii_case(name));
        match (sent, hoisted.next(), hoisted.next()) {
            (sent, None, None) => Ok(sent),
            (None, Some((_, value)), None) => Ok(Some(value)),
            (Some(sent), Some((_, value)), None) if sent == value => Ok(Some(sent)),
            _ => Err(repeated(name)),
        }
    }

    /// A header as text. Bytes that are not UTF-8 are Latin-1, as HTTP once said.
    pub(super) fn text(&self, name: &str) -> Result<Option<String>, S3Error> {
        let Some(value) = self.header(name)? else { return Ok(None) };
        header_text(name, value).map(Some)
    }

    /// A header that is a decimal number.
    pub(super) fn header_number(&self, name: &str) -> Result<Option<u64>, S3Error> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        match text.parse() {
            Ok(number) if digits => Ok(Some(number)),
            _ => Err(S3Error::invalid_argument(name, text, format!("{name} is not a number."))),
        }
    }

    /// Every header whose name begins with `prefix` (lower-case), the prefix taken off, as sent.
    pub(super) fn with_prefix(&self, prefix: &'static str) -> impl Iterator<Item = (&str, &[u8])> {
        self.all().filter_map(move |(name, value)| {
            let head = name.get(..prefix.len())?;
            head.eq_ignore_ascii_case(prefix).then(|| (&name[prefix.len()..], value))
        })
    }

    /// Refuses headers we would have to honour and cannot.
    pub(super) fn refuse_unsupported(&self) -> Result<(), S3Error> {
        for (name, value) in self.all() {
            if name.len() < 6 || !name.as_bytes()[..6].eq_ignore_ascii_case(b"x-amz-") {
                continue;
            }
            let lacking = |known: &&str| {
                name.eq_ignore_ascii_case(known)
                    || known.ends_with('-')
                        && name.get(..known.len()).is_some_and(|head| head.eq_ignore_ascii_case(known))
            };
            let fixed = FIXED.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
            let refused = match fixed {
                Some((_, allowed)) => !allowed.iter().any(|word| word.as_bytes().eq_ignore_ascii_case(value)),
                None => LACKING.iter().any(lacking),
            };
            if refused {
                let name = name.to_ascii_lowercase();
                return Err(S3Error::not_implemented(format_args!("What the header {name} asks for"))
                    .with("Header", name));
            }
        }
        Ok(())
    }

    fn all(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.head.headers().chain(self.hoisted())
    }

    fn hoisted(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let arguments = self.query.iter().filter(|_| self.presigned);
        arguments.filter(|argument| is_hoisted(&argument.name)).map(|a| (&*a.name, a.value.as_bytes()))
    }
}

impl MetadataSource for Request<'_> {
    fn text(&self, name: &str) -> Result<Option<String>, S3Error> {
        Request::text(self, name)
    }

    fn with_prefix(&self, prefix: &'static str) -> impl Iterator<Item = (&str, &[u8])> {
        Request::with_prefix(self, prefix)
    }
}

/// An argument that was a header: `x-amz-*`, less what belongs to the signature itself.
fn is_hoisted(name: &str) -> bool {
    const SIGNATURE: [&str; 8] = [
        "algorithm",
        "credential",
        "date",
        "expires",
        "signedheaders",
        "signature",
        "security-token",
        "content-sha256",
    ];
    let Some((prefix, rest)) = name.split_at_checked(6) else { return false };
    prefix.eq_ignore_ascii_case("x-amz-") && !SIGNATURE.iter().any(|own| own.eq_ignore_ascii_case(rest))
}

fn repeated(name: &str) -> S3Error {
    S3Error::new(Code::InvalidArgument)
        .message(format!("{name} is given more than once."))
        .with("ArgumentName", name)
}

/// A value as text that can stand in an answer's head again.
pub(crate) fn header_text(name: &str, value: &[u8]) -> Result<String, S3Error> {
    let text: Cow<'_, str> = match std::str::from_utf8(value) {
        Ok(text) => text.into(),
        Err(_) => value.iter().map(|&byte| char::from(byte)).collect::<String>().into(),
    };
    if text.chars().any(|character| character.is_control() && character != '\t') {
        return Err(S3Error::invalid_argument(name, "", format!("{name} holds a control character.")));
    }
    Ok(text.into_owned())
}
