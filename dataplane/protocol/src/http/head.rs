//! A request head: one copy of its bytes and spans into it, checked so that no two readers can disagree about it.

use std::fmt;
use std::ops::Range;

use bytes::Bytes;

use super::framing::{self, BodyFraming};
use crate::limits::{HEAD_BYTES_MAX, HEADERS_MAX, TARGET_BYTES_MAX};
use crate::uri::Repeated;

mod lines;
mod target;

use target::Target;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    Get,
    Head,
    Put,
    Post,
    Delete,
    Options,
    Other,
}

/// Why a head is refused. After any of these the connection is closed: where the next request would begin is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    #[error("the request line is malformed")]
    RequestLine,
    #[error("the request target is malformed")]
    Target,
    #[error("the request target has more than {TARGET_BYTES_MAX} bytes")]
    TargetTooLong,
    #[error("the request head has more than {HEAD_BYTES_MAX} bytes")]
    HeadTooLarge,
    #[error("the request has more than {HEADERS_MAX} header lines")]
    TooManyHeaders,
    #[error("only HTTP/1.1 and HTTP/1.0 are spoken here")]
    Version,
    #[error("a line of the request head does not end in CR LF")]
    BareLineEnd,
    #[error("the request head holds NUL")]
    Nul,
    #[error("a header is continued on the next line (obs-fold)")]
    FoldedHeader,
    #[error("a header name is followed by a space")]
    SpaceBeforeColon,
    #[error("a header name is malformed")]
    HeaderName,
    #[error("a header value holds a control character")]
    HeaderValue,
    #[error("the Host header is missing")]
    HostMissing,
    #[error("the Host header is given more than once")]
    HostRepeated,
    #[error("the Host header is malformed")]
    Host,
    #[error("the Host header differs from the host of the request target")]
    HostMismatch,
    #[error("Content-Length is given more than once")]
    ContentLengthRepeated,
    #[error("Content-Length is not a decimal number")]
    ContentLength,
    #[error("Content-Length and Transfer-Encoding are both given")]
    BothLengths,
    #[error("Transfer-Encoding is given more than once")]
    TransferEncodingRepeated,
    #[error("the only Transfer-Encoding spoken here is chunked")]
    TransferEncoding,
    #[error("Transfer-Encoding does not exist in HTTP/1.0")]
    TransferEncodingInHttp10,
}

impl HeadError {
    /// The HTTP status of the answer.
    pub fn status(self) -> u16 {
        match self {
            Self::TargetTooLong => 414,
            Self::HeadTooLarge | Self::TooManyHeaders => 431,
            Self::TransferEncoding => 501,
            Self::Version => 505,
            _ => 400,
        }
    }
}

/// A checked request head. Cloning it is two allocations, reading it none.
#[derive(Clone)]
pub struct RequestHead {
    /// The head as received, from the method to the blank line.
    bytes: Bytes,
    method: Method,
    method_len: u16,
    target: Target,
    headers: Box<[HeaderSpan]>,
    http11: bool,
    keep_alive: bool,
    expects_continue: bool,
    framing: BodyFraming,
}

/// Positions in the head: u16 because a head is at most [`HEAD_BYTES_MAX`] bytes.
#[derive(Clone, Copy)]
struct HeaderSpan {
    name: (u16, u16),
    value: (u16, u16),
}

impl RequestHead {
    /// Reads a head from the front of `buf`, with the bytes used up. `None`: it is not complete yet, and nothing wrong
    /// has been seen so far.
    pub fn parse(buf: &[u8]) -> Result<Option<(Self, usize)>, HeadError> {
        let skipped = lines::skip_empty(buf)?;
        let Some(len) = lines::find_end(&buf[skipped..])? else {
            return Ok(None);
        };
        let head = Self::parse_complete(&buf[skipped..skipped + len])?;
        Ok(Some((head, skipped + len)))
    }

    fn parse_complete(head: &[u8]) -> Result<Self, HeadError> {
        let mut slots = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut request = httparse::Request::new(&mut slots);
        match request.parse(head) {
            Ok(httparse::Status::Complete(len)) if len == head.len() => {}
            Ok(_) => return Err(HeadError::RequestLine),
            Err(error) => return Err(lines::explain(error, head)),
        }
        let method = request.method.ok_or(HeadError::RequestLine)?;
        let target = request.path.ok_or(HeadError::RequestLine)?;
        let http11 = request.version == Some(1);
        let headers = &*request.headers;

        let host = host_of(headers, http11)?;
        let target_start = offset(head, target.as_bytes());
        let target = Target::parse(target, target_start, method, host)?;
        Ok(Self {
            method: Method::of(method),
            method_len: method.len() as u16,
            target,
            headers: headers.iter().map(|header| HeaderSpan::of(head, header)).collect(),
            http11,
            keep_alive: http11 && !connection_has_close(headers),
            expects_continue: expects_continue(headers, http11),
            framing: framing::of(headers, http11)?,
            bytes: Bytes::copy_from_slice(head),
        })
    }

    pub fn method(&self) -> Method {
        self.method
    }

    /// The method as sent, for the signature: methods are case-sensitive.
    pub fn method_str(&self) -> &str {
        self.text(0..usize::from(self.method_len))
    }

    /// The target as sent.
    pub fn target(&self) -> &str {
        self.text(self.target.all())
    }

    /// The raw path, without scheme, host and query; `/` where the target names none.
    pub fn path(&self) -> &[u8] {
        match self.target.path() {
            path if path.is_empty() => b"/",
            path => &self.bytes[path],
        }
    }

    /// The raw query after `?`, empty where there is none.
    pub fn query(&self) -> &[u8] {
        &self.bytes[self.target.query()]
    }

    pub fn is_http11(&self) -> bool {
        self.http11
    }

    /// The first header of that name, in whatever case. For those whose repetition is harmless.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.values(name).next()
    }

    /// Every value of that name, in order.
    pub fn values<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.headers().filter(move |(sent, _)| sent.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// A header that changes what the request does: two of them are refused even when equal.
    pub fn header_one(&self, name: &str) -> Result<Option<&[u8]>, Repeated> {
        let mut found = self.headers().filter(|(sent, _)| sent.eq_ignore_ascii_case(name));
        let first = found.next().map(|(_, value)| value);
        match found.next() {
            Some(_) => Err(Repeated { name: name.to_owned() }),
            None => Ok(first),
        }
    }

    /// All headers in order, names as sent, values without the white space around them.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.headers.iter().map(|span| {
            let value = span_range(span.value);
            (self.text(span_range(span.name)), &self.bytes[value])
        })
    }

    /// The one Host header; only HTTP/1.0 may lack it.
    pub fn host(&self) -> Option<&str> {
        self.header("host").and_then(|host| std::str::from_utf8(host).ok())
    }

    /// HTTP/1.0 connections are closed after the answer: its keep-alive is not worth its ambiguities.
    pub fn keep_alive(&self) -> bool {
        self.keep_alive
    }

    pub fn expects_continue(&self) -> bool {
        self.expects_continue
    }

    /// How the body is delimited. Checked when the head was parsed, so there is nothing left to fail.
    pub fn framing(&self) -> BodyFraming {
        self.framing
    }

    fn text(&self, range: Range<usize>) -> &str {
        std::str::from_utf8(&self.bytes[range]).expect("methods, targets and names were checked by parse")
    }
}

/// Names only: values may be signatures, tokens or customer keys, and so may the query.
impl fmt::Debug for RequestHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.headers().map(|(name, _)| name).collect();
        f.debug_struct("RequestHead")
            .field("method", &self.method_str())
            .field("path", &String::from_utf8_lossy(self.path()))
            .field("headers", &names)
            .field("framing", &self.framing)
            .finish()
    }
}

impl Method {
    fn of(method: &str) -> Self {
        match method {
            "GET" => Self::Get,
            "HEAD" => Self::Head,
            "PUT" => Self::Put,
            "POST" => Self::Post,
            "DELETE" => Self::Delete,
            "OPTIONS" => Self::Options,
            _ => Self::Other,
        }
    }
}

impl HeaderSpan {
    fn of(head: &[u8], header: &httparse::Header<'_>) -> Self {
        Self { name: span(head, header.name.as_bytes()), value: span(head, header.value) }
    }
}

fn span(head: &[u8], part: &[u8]) -> (u16, u16) {
    // An empty value may be a literal of httparse's, which lies outside of the head.
    if part.is_empty() {
        return (0, 0);
    }
    let start = offset(head, part);
    (start as u16, (start + part.len()) as u16)
}

fn span_range((start, end): (u16, u16)) -> Range<usize> {
    usize::from(start)..usize::from(end)
}

/// Where `part`, a slice of `head`, begins in it.
fn offset(head: &[u8], part: &[u8]) -> usize {
    let at = (part.as_ptr() as usize).wrapping_sub(head.as_ptr() as usize);
    assert!(at + part.len() <= head.len(), "httparse returned a slice of something else");
    at
}

fn host_of<'a>(headers: &[httparse::Header<'a>], http11: bool) -> Result<Option<&'a [u8]>, HeadError> {
    let mut hosts = headers.iter().filter(|header| header.name.eq_ignore_ascii_case("host"));
    let host = match (hosts.next(), hosts.next()) {
        (_, Some(_)) => return Err(HeadError::HostRepeated),
        (None, None) if http11 => return Err(HeadError::HostMissing),
        (None, None) => return Ok(None),
        (Some(host), None) => host.value,
    };
    if target::is_authority(host) { Ok(Some(host)) } else { Err(HeadError::Host) }
}

fn connection_has_close(headers: &[httparse::Header<'_>]) -> bool {
    headers
        .iter()
        .filter(|header| header.name.eq_ignore_ascii_case("connection"))
        .flat_map(|header| header.value.split(|&b| b == b','))
        .any(|token| token.trim_ascii().eq_ignore_ascii_case(b"close"))
}

/// Any other expectation is passed over, as S3 does and HTTP allows (RFC 9110, 10.1.1).
fn expects_continue(headers: &[httparse::Header<'_>], http11: bool) -> bool {
    let mut expected = headers.iter().filter(|header| header.name.eq_ignore_ascii_case("expect"));
    http11 && expected.any(|header| header.value.eq_ignore_ascii_case(b"100-continue"))
}

#[cfg(test)]
mod tests;
