//! How the payload lies in a body, and how it is got out of it without a copy.

use holdfast_protocol::aws_chunked::{
    AwsChunkedDecoder, AwsChunkedError, AwsChunkedEvent, AwsChunkedMode, Trailers,
};
use holdfast_protocol::error::{Code, S3Error};
use holdfast_protocol::form::FormDecoder;
use holdfast_protocol::sigv4::PayloadMode;

use super::form;
use crate::rt::Chunk;

pub(super) enum Coding {
    /// The body is the payload.
    Plain,
    /// Chunks that may be signed, and trailers behind them.
    AwsChunked { decoder: AwsChunkedDecoder, trailers: Trailers },
    /// A form whose file has begun. Boxed: it is large, and few bodies are forms.
    Form(Box<FormDecoder>),
}

impl Coding {
    /// The coding that a payload rule asks for; `None`: none.
    pub(super) fn of_mode(mode: &PayloadMode, size: Option<u64>) -> Option<Self> {
        let mode = match mode {
            PayloadMode::SingleHash(_) | PayloadMode::Unsigned => return None,
            PayloadMode::StreamingSigned(_) => AwsChunkedMode::Signed,
            PayloadMode::StreamingSignedTrailer(_) => AwsChunkedMode::SignedTrailer,
            PayloadMode::StreamingUnsignedTrailer => AwsChunkedMode::UnsignedTrailer,
        };
        let decoder = AwsChunkedDecoder::new(mode, size);
        Some(Self::AwsChunked { decoder, trailers: Trailers::default() })
    }

    /// Payload at the front of `received`, which keeps the rest; `None` when that is used up.
    pub(super) fn payload(
        &mut self,
        received: &mut Option<Chunk>,
        mode: &mut PayloadMode,
    ) -> Result<Option<Chunk>, S3Error> {
        let Some(chunk) = received.take() else { return Ok(None) };
        match self {
            Self::Plain => Ok(Some(chunk)),
            Self::AwsChunked { decoder, trailers } => chunked(decoder, trailers, chunk, received, mode),
            Self::Form(decoder) => form::file(decoder, chunk, received),
        }
    }

    /// To be called where the body ends.
    pub(super) fn finish(&self) -> Result<(), S3Error> {
        match self {
            Self::Plain => Ok(()),
            Self::AwsChunked { decoder, .. } => decoder.finish().map_err(chunked_error),
            Self::Form(decoder) => Ok(decoder.finish()?),
        }
    }

    /// The trailers, once the body has ended.
    pub(super) fn trailers(&mut self) -> Trailers {
        match self {
            Self::AwsChunked { trailers, .. } => std::mem::take(trailers),
            Self::Plain | Self::Form(_) => Trailers::default(),
        }
    }

    /// What the file of a form can come to.
    pub(super) fn file_bytes_max(&self) -> Option<u64> {
        match self {
            Self::Form(decoder) => decoder.file_bytes_max(),
            Self::Plain | Self::AwsChunked { .. } => None,
        }
    }
}

fn chunked(
    decoder: &mut AwsChunkedDecoder,
    trailers: &mut Trailers,
    mut chunk: Chunk,
    rest: &mut Option<Chunk>,
    mode: &mut PayloadMode,
) -> Result<Option<Chunk>, S3Error> {
    loop {
        let (consumed, event) = decoder.feed(&chunk).map_err(chunked_error)?;
        match event {
            AwsChunkedEvent::Framing if consumed == 0 && chunk.is_empty() => return Ok(None),
            AwsChunkedEvent::Framing => {}
            AwsChunkedEvent::ChunkHeader { signature, .. } => {
                if let Some(signer) = mode.signer_mut() {
                    signer.begin(signature);
                }
            }
            AwsChunkedEvent::Data(data) => {
                if let Some(signer) = mode.signer_mut() {
                    signer.update(data);
                }
                let data = chunk.slice(0..consumed);
                chunk.advance(consumed);
                *rest = Some(chunk);
                return Ok(Some(data));
            }
            AwsChunkedEvent::ChunkEnd => {
                if let Some(signer) = mode.signer_mut() {
                    signer.end().map_err(S3Error::closing)?;
                }
            }
            AwsChunkedEvent::End(found) => *trailers = found,
        }
        chunk.advance(consumed);
    }
}

fn chunked_error(error: AwsChunkedError) -> S3Error {
    let code = match error {
        AwsChunkedError::Truncated | AwsChunkedError::TooShort { .. } => Code::IncompleteBody,
        _ => Code::InvalidRequest,
    };
    S3Error::new(code).message(error.to_string()).closing()
}
