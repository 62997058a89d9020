//! Where a request's body ends: no body, a number of bytes, or the chunked coding; and the decoder over all three.

use super::chunked::{ChunkedDecoder, ChunkedError};
use super::head::HeadError;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyFraming {
    /// Neither length nor coding: no body. A PUT like this deserves 411.
    None,
    /// `Content-Length`, 0 included.
    Length(u64),
    /// `Transfer-Encoding: chunked`.
    Chunked,
}

impl BodyFraming {
    /// The length of the body where the head tells it.
    pub fn length(self) -> Option<u64> {
        match self {
            Self::None => Some(0),
            Self::Length(bytes) => Some(bytes),
            Self::Chunked => None,
        }
    }
}

/// The framing of a head, refusing everything that lets two readers disagree about it (request smuggling).
pub(super) fn of(headers: &[httparse::Header<'_>], http11: bool) -> Result<BodyFraming, HeadError> {
    let length = one(headers, "content-length").map_err(|()| HeadError::ContentLengthRepeated)?;
    let coding = one(headers, "transfer-encoding").map_err(|()| HeadError::TransferEncodingRepeated)?;
    match (length, coding) {
        (None, None) => Ok(BodyFraming::None),
        (Some(_), Some(_)) => Err(HeadError::BothLengths),
        (None, Some(_)) if !http11 => Err(HeadError::TransferEncodingInHttp10),
        (None, Some(coding)) if coding.eq_ignore_ascii_case(b"chunked") => Ok(BodyFraming::Chunked),
        (None, Some(_)) => Err(HeadError::TransferEncoding),
        (Some(length), None) => decimal(length).map(BodyFraming::Length).ok_or(HeadError::ContentLength),
    }
}

fn one<'a>(headers: &[httparse::Header<'a>], name: &str) -> Result<Option<&'a [u8]>, ()> {
    let mut found = headers.iter().filter(|header| header.name.eq_ignore_ascii_case(name));
    let first = found.next().map(|header| header.value);
    if found.next().is_some() { Err(()) } else { Ok(first) }
}

/// Digits and nothing else: Rust's own parser would take `+5`.
fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Takes the framing off a body, push style. See [`BodyDecoder::feed`].
#[derive(Debug)]
pub enum BodyDecoder {
    Length { left: u64 },
    Chunked(ChunkedDecoder),
}

/// What one call of a decoder found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyEvent<'a> {
    /// The bytes consumed were framing (possibly none, when the input is used up): go on with the rest.
    Framing,
    /// Bytes of the body: exactly the consumed ones, so `input[..consumed]`.
    Data(&'a [u8]),
    /// The body is complete; what follows belongs to the next request.
    End,
}

impl BodyDecoder {
    pub fn new(framing: BodyFraming) -> Self {
        match framing {
            BodyFraming::None => Self::Length { left: 0 },
            BodyFraming::Length(left) => Self::Length { left },
            BodyFraming::Chunked => Self::Chunked(ChunkedDecoder::new()),
        }
    }

    /// Looks at the front of `input`, and answers how many bytes it consumed and what they were. The caller loops until
    /// [`BodyEvent::End`]; with an empty input and a body that is not complete the answer is `(0, Framing)`.
    pub fn feed<'a>(&mut self, input: &'a [u8]) -> Result<(usize, BodyEvent<'a>), ChunkedError> {
        match self {
            Self::Length { left: 0 } => Ok((0, BodyEvent::End)),
            Self::Length { .. } if input.is_empty() => Ok((0, BodyEvent::Framing)),
            Self::Length { left } => {
                let taken = input.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= taken as u64;
                Ok((taken, BodyEvent::Data(&input[..taken])))
            }
            Self::Chunked(decoder) => decoder.feed(input),
        }
    }

    /// Whether the whole body has been seen, so that the connection may carry another request.
    pub fn is_complete(&self) -> bool {
        match self {
            Self::Length { left } => *left == 0,
            Self::Chunked(decoder) => decoder.is_complete(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_ends_where_it_says() {
        let mut decoder = BodyDecoder::new(BodyFraming::Length(5));
        assert_eq!(decoder.feed(b"abc"), Ok((3, BodyEvent::Data(b"abc"))));
        assert_eq!(decoder.feed(b""), Ok((0, BodyEvent::Framing)));
        assert!(!decoder.is_complete());
        assert_eq!(decoder.feed(b"deGET /"), Ok((2, BodyEvent::Data(b"de"))));
        assert!(decoder.is_complete());
        assert_eq!(decoder.feed(b"GET /"), Ok((0, BodyEvent::End)));
    }

    #[test]
    fn lengths_are_digits() {
        assert_eq!(decimal(b"18446744073709551615"), Some(u64::MAX));
        for wrong in ["", "+5", "-1", "5 ", "0x5", "5,5", "18446744073709551616"] {
            assert_eq!(decimal(wrong.as_bytes()), None, "{wrong:?}");
        }
    }
}
