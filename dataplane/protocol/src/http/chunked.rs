//! HTTP's chunked coding (RFC 9112, 7.1), push style: any split of the input gives the same bytes.
//!
//! Extensions and trailers are bounded and dropped; S3's own trailers travel inside of aws-chunked. Line ends are CR LF
//! only, because "a bare LF is fine too" is half of every known smuggling attack.

use super::framing::BodyEvent;
use crate::limits::{CHUNK_LINE_BYTES_MAX, CHUNK_SIZE_DIGITS_MAX, CHUNKED_TRAILER_BYTES_MAX};

/// Why a chunked body is refused. The connection is closed after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChunkedError {
    #[error("a chunk size is not a hexadecimal number of 1 to 16 digits")]
    Size,
    #[error("a chunk extension is malformed")]
    Extension,
    #[error("a chunk-size line has more than {CHUNK_LINE_BYTES_MAX} bytes")]
    LineTooLong,
    #[error("the data of a chunk is not followed by CR LF")]
    DataEnd,
    #[error("a line of the chunked coding does not end in CR LF")]
    LineEnd,
    #[error("the trailers of the body have more than {CHUNKED_TRAILER_BYTES_MAX} bytes")]
    TrailersTooLarge,
    #[error("a trailer of the body is malformed")]
    Trailer,
}

/// The state between two bytes of a chunked body.
#[derive(Debug)]
pub struct ChunkedDecoder {
    state: State,
    /// Bytes of the current line, or of the whole trailer section.
    line_bytes: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Size { value: u64, digits: usize },
    Extension { value: u64 },
    SizeLineFeed { value: u64 },
    Data { left: u64 },
    DataReturn,
    DataLineFeed,
    TrailerStart,
    TrailerLine,
    TrailerLineFeed,
    LastLineFeed,
    Complete,
}

const SIZE: State = State::Size { value: 0, digits: 0 };

impl Default for ChunkedDecoder {
    fn default() -> Self {
        Self { state: SIZE, line_bytes: 0 }
    }
}

impl ChunkedDecoder {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn is_complete(&self) -> bool {
        self.state == State::Complete
    }

    /// As [`super::framing::BodyDecoder::feed`].
    pub fn feed<'a>(&mut self, input: &'a [u8]) -> Result<(usize, BodyEvent<'a>), ChunkedError> {
        if let State::Data { left } = self.state {
            return Ok(self.take_data(input, left));
        }
        let mut consumed = 0;
        while !matches!(self.state, State::Data { .. } | State::Complete) {
            let Some(&byte) = input.get(consumed) else {
                return Ok((consumed, BodyEvent::Framing));
            };
            self.state = self.step(byte)?;
            consumed += 1;
        }
        match self.state {
            State::Complete => Ok((consumed, BodyEvent::End)),
            _ => Ok((consumed, BodyEvent::Framing)),
        }
    }

    fn take_data<'a>(&mut self, input: &'a [u8], left: u64) -> (usize, BodyEvent<'a>) {
        if input.is_empty() {
            return (0, BodyEvent::Framing);
        }
        let taken = input.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        self.state = match left - taken as u64 {
            0 => State::DataReturn,
            left => State::Data { left },
        };
        (taken, BodyEvent::Data(&input[..taken]))
    }

    /// One byte of framing. Lines are short (a chunk has 64 KiB or more of data), so bytes are taken one by one.
    fn step(&mut self, byte: u8) -> Result<State, ChunkedError> {
        match self.state {
            State::Size { value, digits } => self.step_size(byte, value, digits),
            State::Extension { value } => self.step_extension(byte, value),
            State::SizeLineFeed { value } => {
                expect(byte, b'\n', ChunkedError::LineEnd)?;
                self.line_bytes = 0;
                Ok(if value == 0 { State::TrailerStart } else { State::Data { left: value } })
            }
            State::DataReturn => expect(byte, b'\r', ChunkedError::DataEnd).map(|()| State::DataLineFeed),
            State::DataLineFeed => expect(byte, b'\n', ChunkedError::DataEnd).map(|()| SIZE),
            State::TrailerStart if byte == b'\r' => Ok(State::LastLineFeed),
            // White space here would fold the line into the one before it.
            State::TrailerStart if !byte.is_ascii_graphic() => Err(ChunkedError::Trailer),
            State::TrailerStart | State::TrailerLine => self.step_trailer(byte),
            State::TrailerLineFeed => {
                expect(byte, b'\n', ChunkedError::LineEnd).map(|()| State::TrailerStart)
            }
            State::LastLineFeed => expect(byte, b'\n', ChunkedError::LineEnd).map(|()| State::Complete),
            State::Data { .. } | State::Complete => unreachable!("feed() takes no step in these states"),
        }
    }

    fn step_size(&mut self, byte: u8, value: u64, digits: usize) -> Result<State, ChunkedError> {
        self.line_bytes += 1;
        match (byte as char).to_digit(16) {
            Some(_) if digits == CHUNK_SIZE_DIGITS_MAX => Err(ChunkedError::Size),
            Some(digit) => Ok(State::Size { value: value << 4 | u64::from(digit), digits: digits + 1 }),
            None if digits == 0 => Err(ChunkedError::Size),
            None => match byte {
                b'\r' => Ok(State::SizeLineFeed { value }),
                b';' => Ok(State::Extension { value }),
                _ => Err(ChunkedError::Size),
            },
        }
    }

    fn step_extension(&mut self, byte: u8, value: u64) -> Result<State, ChunkedError> {
        self.line_bytes += 1;
        match byte {
            _ if self.line_bytes > CHUNK_LINE_BYTES_MAX => Err(ChunkedError::LineTooLong),
            b'\r' => Ok(State::SizeLineFeed { value }),
            b' ' | b'\t' | 0x21..=0x7e => Ok(State::Extension { value }),
            _ => Err(ChunkedError::Extension),
        }
    }

    fn step_trailer(&mut self, byte: u8) -> Result<State, ChunkedError> {
        self.line_bytes += 1;
        match byte {
            _ if self.line_bytes > CHUNKED_TRAILER_BYTES_MAX => Err(ChunkedError::TrailersTooLarge),
            b'\r' => Ok(State::TrailerLineFeed),
            b'\t' | 0x20..=0x7e | 0x80.. => Ok(State::TrailerLine),
            _ => Err(ChunkedError::Trailer),
        }
    }
}

fn expect(byte: u8, wanted: u8, otherwise: ChunkedError) -> Result<(), ChunkedError> {
    if byte == wanted { Ok(()) } else { Err(otherwise) }
}

#[cfg(test)]
mod tests;
