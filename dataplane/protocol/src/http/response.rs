//! Response heads: written straight into the bytes that are sent, and no value can break out of its line.

use bytes::{BufMut, Bytes, BytesMut};

use crate::date;

/// The interim answer that lets a client send its body.
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Why a header cannot be sent. Values come from users too: metadata, `response-*` overrides.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResponseHeaderError {
    #[error("{name:?} cannot be the name of a header")]
    Name { name: String },
    #[error("the value of {name} holds a control character")]
    Value { name: String },
}

/// A response head in the making: status line, Date and Server are there from the start.
#[derive(Debug, Clone)]
pub struct ResponseHead {
    out: BytesMut,
    status: u16,
    delimited: bool,
}

impl ResponseHead {
    pub fn new(status: u16, now_ms: u64) -> Self {
        assert!((200..=599).contains(&status), "{status} is not a final status");
        let mut out = BytesMut::with_capacity(512);
        out.put_slice(b"HTTP/1.1 ");
        put_decimal(&mut out, u64::from(status));
        out.put_u8(b' ');
        out.put_slice(reason(status).as_bytes());
        out.put_slice(b"\r\nServer: Holdfast\r\nDate: ");
        out.put_slice(&date::imf_fixdate(now_ms));
        out.put_slice(b"\r\n");
        Self { out, status, delimited: has_no_body(status) }
    }

    pub fn status(&self) -> u16 {
        self.status
    }

    /// Adds a header. Control characters but the tab are refused: CR and LF would let a user's value write headers and
    /// bodies of its own.
    pub fn header(&mut self, name: &str, value: impl AsRef<[u8]>) -> Result<&mut Self, ResponseHeaderError> {
        let value = value.as_ref();
        if !is_field_name(name) {
            return Err(ResponseHeaderError::Name { name: name.to_owned() });
        }
        assert!(!is_framing(name), "{name} is set by content_length() and chunked()");
        if !value.iter().all(|&b| b == b'\t' || (b >= 0x20 && b != 0x7f)) {
            return Err(ResponseHeaderError::Value { name: name.to_owned() });
        }
        self.put(name, value);
        Ok(self)
    }

    /// The length of the body; for HEAD, of the body that GET would send. Left out where the status says that there is
    /// none (204 must not carry it, RFC 9110, 8.6).
    pub fn content_length(&mut self, bytes: u64) -> &mut Self {
        if has_no_body(self.status) {
            return self;
        }
        assert!(!self.delimited, "the end of this answer's body is told already");
        self.delimited = true;
        self.out.put_slice(b"Content-Length: ");
        put_decimal(&mut self.out, bytes);
        self.out.put_slice(b"\r\n");
        self
    }

    /// A body of unknown length, in the chunked coding.
    pub fn chunked(&mut self) -> &mut Self {
        assert!(!self.delimited, "the end of this answer's body is told already");
        self.delimited = true;
        self.put("Transfer-Encoding", b"chunked");
        self
    }

    /// Tells the client that no further request is read from this connection.
    pub fn close(&mut self) -> &mut Self {
        self.put("Connection", b"close");
        self
    }

    /// The bytes to send, blank line included. An answer whose end the client could not find is our own bug.
    pub fn finish(mut self) -> Bytes {
        assert!(self.delimited, "an answer {} without Content-Length", self.status);
        self.out.put_slice(b"\r\n");
        self.out.freeze()
    }

    fn put(&mut self, name: &str, value: &[u8]) {
        self.out.reserve(name.len() + value.len() + 4);
        self.out.put_slice(name.as_bytes());
        self.out.put_slice(b": ");
        self.out.put_slice(value);
        self.out.put_slice(b"\r\n");
    }
}

fn has_no_body(status: u16) -> bool {
    matches!(status, 204 | 304)
}

fn is_framing(name: &str) -> bool {
    name.eq_ignore_ascii_case("content-length") || name.eq_ignore_ascii_case("transfer-encoding")
}

/// A token (RFC 9110, 5.6.2): what the name of a header can be. Users bring names too: metadata, CORS rules.
pub(crate) fn is_field_name(name: &str) -> bool {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(token)
}

fn put_decimal(out: &mut BytesMut, mut value: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.put_slice(&digits[at..]);
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        204 => "No Content",
        206 => "Partial Content",
        301 => "Moved Permanently",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        416 => "Range Not Satisfiable",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        507 => "Insufficient Storage",
        // The phrase may be empty (RFC 9112, 4); the space before it may not be left out.
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_as_it_is_sent() {
        let mut head = ResponseHead::new(200, 784_111_777_000);
        head.header("ETag", "\"abc\"").unwrap().header("x-amz-meta-a", "é\t").unwrap();
        head.content_length(1_234_567_890).close();
        let expected = "HTTP/1.1 200 OK\r\nServer: Holdfast\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
            ETag: \"abc\"\r\nx-amz-meta-a: é\t\r\nContent-Length: 1234567890\r\nConnection: close\r\n\r\n";
        assert_eq!(head.finish(), expected.as_bytes());
    }

    #[test]
    fn values_cannot_leave_their_line() {
        let mut head = ResponseHead::new(200, 0);
        let before = head.out.len();
        for value in ["a\r\nSet-Cookie: x", "a\nb", "a\rb", "a\0", "\x7f", "\x1b[2J"] {
            assert_eq!(
                head.header("x", value).unwrap_err(),
                ResponseHeaderError::Value { name: "x".to_owned() },
                "{value:?}"
            );
        }
        for name in ["", "a b", "a:", "a\r\n", "é"] {
            assert!(matches!(head.header(name, ""), Err(ResponseHeaderError::Name { .. })), "{name:?}");
        }
        assert_eq!(head.out.len(), before, "a refused header leaves nothing behind");
    }

    #[test]
    fn no_body_needs_no_length() {
        for status in [204, 304] {
            let mut head = ResponseHead::new(status, 0);
            head.content_length(0);
            assert!(head.finish().ends_with(b"GMT\r\n\r\n"));
        }
        let mut zero = ResponseHead::new(599, 0);
        zero.content_length(0);
        assert!(zero.finish().starts_with(b"HTTP/1.1 599 \r\n"));
    }

    #[test]
    #[should_panic(expected = "without Content-Length")]
    fn an_endless_answer_is_our_bug() {
        ResponseHead::new(200, 0).finish();
    }
}
