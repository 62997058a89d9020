//! The framing of `aws-chunked` bodies (`x-amz-content-sha256: STREAMING-*`), push style and without copying data.
//!
//! ```text
//! hex-size[;chunk-signature=<64 hex>]\r\n  data\r\n   ...
//! 0[;chunk-signature=<64 hex>]\r\n
//! [name:value\r\n]*  [x-amz-trailer-signature:<64 hex>\r\n]
//! \r\n
//! ```
//!
//! Signatures are read here and verified by whoever sees the events (`sigv4`). What the mode does not have is refused: an
//! unsigned chunk in a signed body, a signature or a trailer where none belongs.

use crate::limits::{
    AWS_CHUNK_LINE_BYTES_MAX, AWS_TRAILER_LINE_BYTES_MAX, AWS_TRAILERS_MAX, CHUNK_SIZE_DIGITS_MAX,
};

mod trailers;

pub use trailers::Trailers;

/// What `x-amz-content-sha256` announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AwsChunkedMode {
    /// `STREAMING-AWS4-HMAC-SHA256-PAYLOAD`
    Signed,
    /// `STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER`
    SignedTrailer,
    /// `STREAMING-UNSIGNED-PAYLOAD-TRAILER`
    UnsignedTrailer,
}

/// Why an aws-chunked body is refused: 400 in all cases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AwsChunkedError {
    #[error("an aws-chunked size is not a hexadecimal number of 1 to 16 digits")]
    Size,
    #[error("an aws-chunked header is malformed")]
    ChunkHeader,
    #[error("an aws-chunked header or trailer line is too long")]
    LineTooLong,
    #[error("a chunk signature is not 64 hexadecimal digits")]
    Signature,
    #[error("a chunk of a signed body carries no signature")]
    SignatureMissing,
    #[error("a chunk of an unsigned body carries a signature")]
    SignatureUnexpected,
    #[error("the data of an aws-chunked chunk is not followed by CR LF")]
    DataEnd,
    #[error("the chunks hold more than x-amz-decoded-content-length says: {announced} bytes")]
    TooLong { announced: u64 },
    #[error("the chunks hold {decoded} bytes, x-amz-decoded-content-length says {announced}")]
    TooShort { decoded: u64, announced: u64 },
    #[error("a trailer is malformed")]
    Trailer,
    #[error("a trailer is given more than once")]
    TrailerRepeated,
    #[error("the body has more than {AWS_TRAILERS_MAX} trailers")]
    TooManyTrailers,
    #[error("the body has a trailer, which its x-amz-content-sha256 does not announce")]
    TrailerUnexpected,
    #[error("the trailers of a signed body carry no x-amz-trailer-signature")]
    TrailerSignatureMissing,
    #[error("the body goes on after its end")]
    TrailingBytes,
    #[error("the body ends in the middle of its chunks")]
    Truncated,
}

/// What one call of [`AwsChunkedDecoder::feed`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AwsChunkedEvent<'a> {
    /// The bytes consumed were framing (possibly none, when the input is used up): go on with the rest.
    Framing,
    /// A chunk begins, the last one (size 0) included.
    ChunkHeader { size: u64, signature: Option<[u8; 32]> },
    /// Data of the chunk: exactly the consumed bytes, so `input[..consumed]`.
    Data(&'a [u8]),
    /// The chunk is whole: here its signature is verified.
    ChunkEnd,
    /// The body is complete; the trailers are empty where the mode has none.
    End(Trailers),
}

/// The state between two bytes of an aws-chunked body.
#[derive(Debug)]
pub struct AwsChunkedDecoder {
    mode: AwsChunkedMode,
    announced: Option<u64>,
    decoded: u64,
    state: State,
    line: Vec<u8>,
    trailers: Trailers,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Header,
    Data { left: u64 },
    DataReturn,
    DataLineFeed,
    LastChunkEnd,
    TrailerLine,
    Complete,
}

impl AwsChunkedDecoder {
    /// `announced` is `x-amz-decoded-content-length`, where it was sent. The chunks must hold exactly as much.
    pub fn new(mode: AwsChunkedMode, announced: Option<u64>) -> Self {
        Self {
            mode,
            announced,
            decoded: 0,
            state: State::Header,
            line: Vec::new(),
            trailers: Trailers::default(),
        }
    }

    /// Looks at the front of `input`, and answers how many bytes it consumed and what they were. The caller loops until
    /// its input is used up. Data needs no copy: it is `input[..consumed]`. After [`AwsChunkedEvent::End`] every
    /// further byte is an error.
    pub fn feed<'a>(&mut self, input: &'a [u8]) -> Result<(usize, AwsChunkedEvent<'a>), AwsChunkedError> {
        if self.state == State::LastChunkEnd {
            self.state = State::TrailerLine;
            return Ok((0, AwsChunkedEvent::ChunkEnd));
        }
        let Some(&first) = input.first() else {
            return Ok((0, AwsChunkedEvent::Framing));
        };
        match self.state {
            State::Header => self.feed_header(input),
            State::Data { left } => Ok(self.take_data(input, left)),
            State::DataReturn if first == b'\r' => {
                self.state = State::DataLineFeed;
                Ok((1, AwsChunkedEvent::Framing))
            }
            State::DataLineFeed if first == b'\n' => {
                self.state = State::Header;
                Ok((1, AwsChunkedEvent::ChunkEnd))
            }
            State::DataReturn | State::DataLineFeed => Err(AwsChunkedError::DataEnd),
            State::TrailerLine => self.feed_trailer(input),
            State::Complete => Err(AwsChunkedError::TrailingBytes),
            State::LastChunkEnd => unreachable!("answered above"),
        }
    }

    /// To be called where the outer framing ends the body.
    pub fn finish(&self) -> Result<(), AwsChunkedError> {
        if self.is_complete() { Ok(()) } else { Err(AwsChunkedError::Truncated) }
    }

    pub fn is_complete(&self) -> bool {
        self.state == State::Complete
    }

    /// Sizes of the chunks begun so far, together.
    pub fn decoded(&self) -> u64 {
        self.decoded
    }

    fn feed_header<'a>(&mut self, input: &'a [u8]) -> Result<(usize, AwsChunkedEvent<'a>), AwsChunkedError> {
        let (consumed, complete) = self.take_line(input, AWS_CHUNK_LINE_BYTES_MAX)?;
        if !complete {
            return Ok((consumed, AwsChunkedEvent::Framing));
        }
        let line = self.line.strip_suffix(b"\r\n").ok_or(AwsChunkedError::ChunkHeader)?;
        let (size, signature) = parse_header(line)?;
        self.line.clear();
        self.check_signature(signature)?;
        self.count(size)?;
        self.state = if size == 0 { State::LastChunkEnd } else { State::Data { left: size } };
        Ok((consumed, AwsChunkedEvent::ChunkHeader { size, signature }))
    }

    fn check_signature(&self, signature: Option<[u8; 32]>) -> Result<(), AwsChunkedError> {
        match (self.mode, signature) {
            (AwsChunkedMode::Signed | AwsChunkedMode::SignedTrailer, None) => {
                Err(AwsChunkedError::SignatureMissing)
            }
            (AwsChunkedMode::UnsignedTrailer, Some(_)) => Err(AwsChunkedError::SignatureUnexpected),
            _ => Ok(()),
        }
    }

    /// A chunk that would go beyond the announced length is refused at its header, before any of its data is taken.
    fn count(&mut self, size: u64) -> Result<(), AwsChunkedError> {
        let announced = self.announced.unwrap_or(u64::MAX);
        self.decoded = match self.decoded.checked_add(size) {
            Some(decoded) if decoded <= announced => decoded,
            _ => return Err(AwsChunkedError::TooLong { announced }),
        };
        if size == 0 && self.announced.is_some_and(|announced| announced != self.decoded) {
            return Err(AwsChunkedError::TooShort { decoded: self.decoded, announced });
        }
        Ok(())
    }

    fn take_data<'a>(&mut self, input: &'a [u8], left: u64) -> (usize, AwsChunkedEvent<'a>) {
        let taken = input.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        self.state = match left - taken as u64 {
            0 => State::DataReturn,
            left => State::Data { left },
        };
        (taken, AwsChunkedEvent::Data(&input[..taken]))
    }

    fn feed_trailer<'a>(&mut self, input: &'a [u8]) -> Result<(usize, AwsChunkedEvent<'a>), AwsChunkedError> {
        let (consumed, complete) = self.take_line(input, AWS_TRAILER_LINE_BYTES_MAX)?;
        if !complete {
            return Ok((consumed, AwsChunkedEvent::Framing));
        }
        let line = self.line.strip_suffix(b"\n").unwrap_or(&self.line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            return Ok((consumed, self.end_of_trailers()?));
        }
        if self.mode == AwsChunkedMode::Signed {
            return Err(AwsChunkedError::TrailerUnexpected);
        }
        self.trailers.push(line, self.mode == AwsChunkedMode::SignedTrailer)?;
        self.line.clear();
        Ok((consumed, AwsChunkedEvent::Framing))
    }

    fn end_of_trailers(&mut self) -> Result<AwsChunkedEvent<'static>, AwsChunkedError> {
        // AWS's own example, and minio's clients after it, end trailers with LF and set an empty line between
        // them and their signature.
        let signature_missing =
            self.mode == AwsChunkedMode::SignedTrailer && self.trailers.signature().is_none();
        if signature_missing && self.trailers.allow_empty_line() {
            self.line.clear();
            return Ok(AwsChunkedEvent::Framing);
        }
        if signature_missing {
            return Err(AwsChunkedError::TrailerSignatureMissing);
        }
        if self.line != b"\r\n" {
            return Err(AwsChunkedError::Trailer);
        }
        self.state = State::Complete;
        Ok(AwsChunkedEvent::End(std::mem::take(&mut self.trailers)))
    }

    /// Adds to the line until its LF. The line is copied (it is short and may be split), the data never is.
    fn take_line(&mut self, input: &[u8], bytes_max: usize) -> Result<(usize, bool), AwsChunkedError> {
        let (consumed, complete) = match memchr::memchr(b'\n', input) {
            Some(at) => (at + 1, true),
            None => (input.len(), false),
        };
        if self.line.len() + consumed > bytes_max {
            return Err(AwsChunkedError::LineTooLong);
        }
        self.line.extend_from_slice(&input[..consumed]);
        Ok((consumed, complete))
    }
}

/// `hex-size[;chunk-signature=<64 hex>]`, and nothing else: no client sends other extensions.
fn parse_header(line: &[u8]) -> Result<(u64, Option<[u8; 32]>), AwsChunkedError> {
    let (size, extension) = match memchr::memchr(b';', line) {
        Some(at) => (&line[..at], Some(&line[at + 1..])),
        None => (line, None),
    };
    let signature = match extension {
        None => None,
        Some(extension) => {
            let hex = extension.strip_prefix(b"chunk-signature=").ok_or(AwsChunkedError::ChunkHeader)?;
            Some(parse_signature(hex)?)
        }
    };
    Ok((parse_size(size)?, signature))
}

fn parse_size(digits: &[u8]) -> Result<u64, AwsChunkedError> {
    if digits.is_empty() || digits.len() > CHUNK_SIZE_DIGITS_MAX {
        return Err(AwsChunkedError::Size);
    }
    digits.iter().try_fold(0, |size, &digit| {
        let digit = (digit as char).to_digit(16).ok_or(AwsChunkedError::Size)?;
        Ok(size << 4 | u64::from(digit))
    })
}

/// Lower case only, as SigV4 writes it: then two different texts are never the same signature.
fn parse_signature(text: &[u8]) -> Result<[u8; 32], AwsChunkedError> {
    let mut signature = [0; 32];
    if text.iter().any(u8::is_ascii_uppercase) {
        return Err(AwsChunkedError::Signature);
    }
    hex::decode_to_slice(text, &mut signature).map_err(|_| AwsChunkedError::Signature)?;
    Ok(signature)
}

#[cfg(test)]
mod tests;
