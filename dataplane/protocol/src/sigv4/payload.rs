//! The one choke point of payload rules: what `x-amz-content-sha256` says, as a closed enum.

use super::chunk::ChunkSigner;
use super::text::unhex;
use crate::error::{Code, S3Error};

/// The header that says how the body is protected.
pub(super) const HEADER: &str = "x-amz-content-sha256";

/// What a presigned request means when it says nothing.
pub(super) const UNSIGNED: &[u8] = b"UNSIGNED-PAYLOAD";

/// The rule a body must obey. Whoever reads a body matches on all of it.
#[derive(Clone, Debug)]
pub enum PayloadMode {
    /// The whole body's SHA-256; nothing may become visible before it has passed.
    SingleHash([u8; 32]),
    /// Anything goes (TLS protects it, or nobody does).
    Unsigned,
    /// `STREAMING-AWS4-HMAC-SHA256-PAYLOAD`: aws-chunked, each chunk signed.
    StreamingSigned(Box<ChunkSigner>),
    /// `STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER`: the same, and signed trailers.
    StreamingSignedTrailer(Box<ChunkSigner>),
    /// `STREAMING-UNSIGNED-PAYLOAD-TRAILER`: aws-chunked, no signatures, a checksum in the trailers.
    StreamingUnsignedTrailer,
}

/// A payload mode without what it carries, for metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PayloadKind {
    SingleHash,
    Unsigned,
    StreamingSigned,
    StreamingSignedTrailer,
    StreamingUnsignedTrailer,
}

impl PayloadKind {
    pub const ALL: [Self; 5] = [
        Self::SingleHash,
        Self::Unsigned,
        Self::StreamingSigned,
        Self::StreamingSignedTrailer,
        Self::StreamingUnsignedTrailer,
    ];

    /// The label in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SingleHash => "single_hash",
            Self::Unsigned => "unsigned",
            Self::StreamingSigned => "streaming_signed",
            Self::StreamingSignedTrailer => "streaming_signed_trailer",
            Self::StreamingUnsignedTrailer => "streaming_unsigned_trailer",
        }
    }
}

impl PayloadMode {
    #[must_use]
    pub const fn kind(&self) -> PayloadKind {
        match self {
            Self::SingleHash(_) => PayloadKind::SingleHash,
            Self::Unsigned => PayloadKind::Unsigned,
            Self::StreamingSigned(_) => PayloadKind::StreamingSigned,
            Self::StreamingSignedTrailer(_) => PayloadKind::StreamingSignedTrailer,
            Self::StreamingUnsignedTrailer => PayloadKind::StreamingUnsignedTrailer,
        }
    }

    /// The body is framed as aws-chunked.
    #[must_use]
    pub const fn is_aws_chunked(&self) -> bool {
        match self {
            Self::SingleHash(_) | Self::Unsigned => false,
            Self::StreamingSigned(_) | Self::StreamingSignedTrailer(_) | Self::StreamingUnsignedTrailer => {
                true
            }
        }
    }

    /// Trailers follow the last chunk.
    #[must_use]
    pub const fn has_trailers(&self) -> bool {
        match self {
            Self::SingleHash(_) | Self::Unsigned | Self::StreamingSigned(_) => false,
            Self::StreamingSignedTrailer(_) | Self::StreamingUnsignedTrailer => true,
        }
    }

    /// The signer of chunks, for the two modes that have one.
    pub fn signer_mut(&mut self) -> Option<&mut ChunkSigner> {
        match self {
            Self::StreamingSigned(signer) | Self::StreamingSignedTrailer(signer) => Some(signer),
            Self::SingleHash(_) | Self::Unsigned | Self::StreamingUnsignedTrailer => None,
        }
    }

    /// The SHA-256 the body must have, when the head names it.
    #[must_use]
    pub const fn expected_sha256(&self) -> Option<&[u8; 32]> {
        match self {
            Self::SingleHash(hash) => Some(hash),
            Self::Unsigned
            | Self::StreamingSigned(_)
            | Self::StreamingSignedTrailer(_)
            | Self::StreamingUnsignedTrailer => None,
        }
    }
}

/// What the header says, before a signature gives it its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PayloadClaim {
    SingleHash([u8; 32]),
    Unsigned,
    StreamingSigned,
    StreamingSignedTrailer,
    StreamingUnsignedTrailer,
}

impl PayloadClaim {
    pub(super) fn parse(value: &[u8]) -> Result<Self, S3Error> {
        match value {
            b"UNSIGNED-PAYLOAD" => Ok(Self::Unsigned),
            b"STREAMING-AWS4-HMAC-SHA256-PAYLOAD" => Ok(Self::StreamingSigned),
            b"STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER" => Ok(Self::StreamingSignedTrailer),
            b"STREAMING-UNSIGNED-PAYLOAD-TRAILER" => Ok(Self::StreamingUnsignedTrailer),
            hash => unhex(hash).map(Self::SingleHash).ok_or_else(invalid),
        }
    }

    pub(super) const fn is_streaming(self) -> bool {
        match self {
            Self::SingleHash(_) | Self::Unsigned => false,
            Self::StreamingSigned | Self::StreamingSignedTrailer | Self::StreamingUnsignedTrailer => true,
        }
    }

    /// The mode of a signed request.
    pub(super) fn with_key(self, signer: impl FnOnce() -> ChunkSigner) -> PayloadMode {
        match self {
            Self::SingleHash(hash) => PayloadMode::SingleHash(hash),
            Self::Unsigned => PayloadMode::Unsigned,
            Self::StreamingSigned => PayloadMode::StreamingSigned(Box::new(signer())),
            Self::StreamingSignedTrailer => PayloadMode::StreamingSignedTrailer(Box::new(signer())),
            Self::StreamingUnsignedTrailer => PayloadMode::StreamingUnsignedTrailer,
        }
    }

    /// The mode of an anonymous request; `None` for signed chunks, which need a key.
    pub(super) fn without_key(self) -> Option<PayloadMode> {
        match self {
            Self::SingleHash(hash) => Some(PayloadMode::SingleHash(hash)),
            Self::Unsigned => Some(PayloadMode::Unsigned),
            Self::StreamingUnsignedTrailer => Some(PayloadMode::StreamingUnsignedTrailer),
            Self::StreamingSigned | Self::StreamingSignedTrailer => None,
        }
    }
}

/// Neither a known word nor a hash.
pub(super) fn invalid() -> S3Error {
    S3Error::new(Code::InvalidArgument)
        .message(
            "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, \
             STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER, or a valid sha256 value.",
        )
        .with("ArgumentName", HEADER)
}
