//! Heads of answers, read in place: status, how the body ends, ETag.

use super::failure::Failure;

/// How an answer's body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Body {
    Length(u64),
    Chunked,
    UntilClose,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct AnswerHead {
    pub(super) status: u16,
    pub(super) body: Body,
    pub(super) keep_alive: bool,
    /// Where the value of ETag stands in the head.
    pub(super) etag: Option<(usize, usize)>,
}

impl AnswerHead {
    /// Reads a whole head, its empty line included. `bodiless`: the answer of a HEAD has lengths but no body.
    pub(super) fn parse(head: &[u8], bodiless: bool) -> Result<Self, Failure> {
        let version = head.get(..9).ok_or(Failure::Answer("no status line"))?;
        let digits = head.get(9..12).ok_or(Failure::Answer("no status"))?;
        if !version.starts_with(b"HTTP/1.") || !digits.iter().all(u8::is_ascii_digit) {
            return Err(Failure::Answer("no HTTP/1 status line"));
        }
        let status = digits.iter().fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0'));
        let mut answer = Self { status, body: Body::UntilClose, keep_alive: version[7] == b'1', etag: None };
        let mut at = memchr::memchr(b'\n', head).ok_or(Failure::Answer("no end of line"))? + 1;
        while let Some(length) = memchr::memchr(b'\n', &head[at..]) {
            answer.header(head, &head[at..at + length])?;
            at += length + 1;
        }
        if bodiless || status == 204 || status == 304 || status < 200 {
            answer.body = Body::Length(0);
        }
        Ok(answer)
    }

    fn header(&mut self, head: &[u8], line: &[u8]) -> Result<(), Failure> {
        let Some(colon) = memchr::memchr(b':', line) else { return Ok(()) };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        // Lengths first: most headers fall out without a comparison.
        match name.len() {
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                let length = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
                self.body = Body::Length(length.ok_or(Failure::Answer("Content-Length is no number"))?);
            }
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => self.body = Body::Chunked,
            10 if name.eq_ignore_ascii_case(b"connection") => {
                self.keep_alive = !value.eq_ignore_ascii_case(b"close");
            }
            4 if name.eq_ignore_ascii_case(b"etag") => {
                let start = value.as_ptr() as usize - head.as_ptr() as usize;
                self.etag = Some((start, start + value.len()));
            }
            _ => {}
        }
        Ok(())
    }
}

/// The text between `<name>` and `</name>` at its first place.
pub(super) fn element<'a>(xml: &'a [u8], name: &str) -> Option<&'a str> {
    let start = memchr::memmem::find(xml, format!("<{name}>").as_bytes())? + name.len() + 2;
    let length = memchr::memmem::find(&xml[start..], format!("</{name}>").as_bytes())?;
    std::str::from_utf8(&xml[start..start + length]).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(head: &str, expected: AnswerHead) {
        assert_eq!(AnswerHead::parse(head.as_bytes(), false).expect("a head"), expected);
    }

    #[test]
    fn heads_say_how_the_body_ends() {
        check(
            "HTTP/1.1 200 OK\r\nContent-Length: 12\r\netag: \"ab\"\r\n\r\n",
            AnswerHead { status: 200, body: Body::Length(12), keep_alive: true, etag: Some((43, 47)) },
        );
        check(
            "HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n",
            AnswerHead { status: 404, body: Body::Chunked, keep_alive: false, etag: None },
        );
        check(
            "HTTP/1.1 204 No Content\r\n\r\n",
            AnswerHead { status: 204, body: Body::Length(0), keep_alive: true, etag: None },
        );
        assert!(AnswerHead::parse(b"SSH-2.0-OpenSSH_9\r\n\r\n", false).is_err());
    }

    #[test]
    fn elements_are_found() {
        assert_eq!(element(b"<Error><Code>NoSuchKey</Code></Error>", "Code"), Some("NoSuchKey"));
        assert_eq!(element(b"<Error><Code>NoSuchKey", "Code"), None);
    }
}
