//! The framing of a multipart body, push style and without copying what is in the parts.
//!
//! ```text
//! [preamble CRLF] --boundary CRLF  head CRLF CRLF content  CRLF --boundary CRLF  ...  CRLF --boundary -- [epilogue]
//! ```
//!
//! A delimiter is `CRLF --boundary` and then CRLF or `--`, nothing else: a file that holds the boundary with another
//! character behind it keeps its bytes. (RFC 2046 allows blanks there, added by mail gateways; no HTTP client sends them.)
//! What looks like a delimiter at the end of one input and turns out to be content in the next is given back as
//! [`MultipartEvent::Held`]: it is a prefix of the delimiter, so nothing has to be remembered but its length.

use bytes::Bytes;
use memchr::memmem::Finder;

use super::part::PartHead;
use super::{Boundary, FormError};
use crate::limits::PART_HEAD_BYTES_MAX;

/// What one call of [`Multipart::feed`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum MultipartEvent<'a> {
    /// The bytes consumed were framing (possibly none, when the input is used up): go on with the rest.
    Framing,
    /// Bytes between two delimiters: exactly the consumed ones.
    Data(&'a [u8]),
    /// Bytes of earlier inputs that belong before what comes now. Nothing was consumed.
    Held(Bytes),
    /// A delimiter: what was before it has ended.
    Delimiter,
    /// The closing delimiter. Whatever follows is framing.
    Close,
    /// A part begins.
    Head(PartHead),
}

/// The state between two bytes of a multipart body.
#[derive(Debug)]
pub(super) struct Multipart {
    /// `CRLF --boundary -`, the longest text that may have to be given back.
    held: Bytes,
    finder: Finder<'static>,
    state: State,
    heads: bool,
    head: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The input so far ended in this many bytes of a delimiter.
    Content {
        matched: usize,
    },
    /// A whole delimiter, and the first of the two bytes that decide what kind it is.
    Decision {
        first: Option<u8>,
    },
    Head,
    Epilogue,
}

impl Multipart {
    pub(super) fn new(boundary: &Boundary) -> Self {
        let held = [b"\r\n--", boundary.as_bytes(), b"-"].concat();
        let finder = Finder::new(&held[..held.len() - 1]).into_owned();
        // The first delimiter may stand at the very beginning, as if a line had ended before it.
        Self {
            held: held.into(),
            finder,
            state: State::Content { matched: 2 },
            heads: true,
            head: Vec::new(),
        }
    }

    /// From now on delimiters are found and heads are not read.
    pub(super) fn ignore_heads(&mut self) {
        self.heads = false;
    }

    pub(super) fn is_closed(&self) -> bool {
        self.state == State::Epilogue
    }

    /// Bytes of the shortest end that a part can have.
    pub(super) fn close_bytes(&self) -> usize {
        self.held.len() + 1
    }

    /// Looks at the front of `input`, and answers how many bytes it consumed and what they were.
    pub(super) fn feed<'a>(&mut self, input: &'a [u8]) -> Result<(usize, MultipartEvent<'a>), FormError> {
        let Some(&first) = input.first() else {
            return Ok((0, MultipartEvent::Framing));
        };
        match self.state {
            State::Content { matched: 0 } => Ok(self.scan(input)),
            State::Content { matched } => Ok(self.go_on(input, matched)),
            State::Decision { first: earlier } => Ok(self.decide(earlier, first)),
            State::Head => self.feed_head(input),
            State::Epilogue => Ok((input.len(), MultipartEvent::Framing)),
        }
    }

    fn delimiter(&self) -> &[u8] {
        self.finder.needle()
    }

    fn scan<'a>(&mut self, input: &'a [u8]) -> (usize, MultipartEvent<'a>) {
        let data = match self.finder.find(input) {
            Some(0) => {
                self.state = State::Decision { first: None };
                return (self.delimiter().len(), MultipartEvent::Framing);
            }
            Some(at) => at,
            None => input.len() - self.delimiter_begun(input),
        };
        if data == 0 {
            self.state = State::Content { matched: input.len() };
            return (input.len(), MultipartEvent::Framing);
        }
        (data, MultipartEvent::Data(&input[..data]))
    }

    /// How many bytes at the end of `input` begin a delimiter. It has one CR, its first byte, so only the last CR counts.
    fn delimiter_begun(&self, input: &[u8]) -> usize {
        let tail = &input[input.len().saturating_sub(self.delimiter().len() - 1)..];
        match memchr::memrchr(b'\r', tail) {
            Some(at) if self.delimiter().starts_with(&tail[at..]) => tail.len() - at,
            _ => 0,
        }
    }

    fn go_on<'a>(&mut self, input: &'a [u8], matched: usize) -> (usize, MultipartEvent<'a>) {
        let wanted = &self.delimiter()[matched..];
        let length = wanted.len().min(input.len());
        if wanted[..length] != input[..length] {
            self.state = State::Content { matched: 0 };
            return (0, MultipartEvent::Held(self.held.slice(..matched)));
        }
        self.state = match length == wanted.len() {
            true => State::Decision { first: None },
            false => State::Content { matched: matched + length },
        };
        (length, MultipartEvent::Framing)
    }

    fn decide(&mut self, earlier: Option<u8>, byte: u8) -> (usize, MultipartEvent<'static>) {
        let whole = self.delimiter().len();
        match (earlier, byte) {
            (None, b'\r' | b'-') => {
                self.state = State::Decision { first: Some(byte) };
                (1, MultipartEvent::Framing)
            }
            (Some(b'\r'), b'\n') => {
                self.state = if self.heads { State::Head } else { State::Content { matched: 0 } };
                (1, MultipartEvent::Delimiter)
            }
            (Some(b'-'), b'-') => {
                self.state = State::Epilogue;
                (1, MultipartEvent::Close)
            }
            (Some(b'\r'), _) => {
                self.state = State::Content { matched: 1 };
                (0, MultipartEvent::Held(self.held.slice(..whole)))
            }
            (earlier, _) => {
                self.state = State::Content { matched: 0 };
                (0, MultipartEvent::Held(self.held.slice(..whole + usize::from(earlier.is_some()))))
            }
        }
    }

    fn feed_head<'a>(&mut self, input: &'a [u8]) -> Result<(usize, MultipartEvent<'a>), FormError> {
        let consumed = memchr::memchr(b'\n', input).map_or(input.len(), |at| at + 1);
        if self.head.len() + consumed > PART_HEAD_BYTES_MAX {
            return Err(FormError::PartHeadTooLong);
        }
        self.head.extend_from_slice(&input[..consumed]);
        if self.head != b"\r\n" && !self.head.ends_with(b"\r\n\r\n") {
            return Ok((consumed, MultipartEvent::Framing));
        }
        let head = PartHead::parse(&self.head)?;
        self.head.clear();
        self.state = State::Content { matched: 0 };
        Ok((consumed, MultipartEvent::Head(head)))
    }
}
