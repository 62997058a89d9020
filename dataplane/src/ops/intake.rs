//! A request's body as an operation sees it: payload rule applied, digests running, every claim held against the bytes.
//!
//! This is the one choke point of payload modes (DESIGN 5): bytes reach an operation only through [`Intake::next`], and
//! nothing they become may be made visible before [`Intake::finish`] has said yes.

use holdfast_protocol::aws_chunked::{
    AwsChunkedDecoder, AwsChunkedError, AwsChunkedEvent, AwsChunkedMode, Trailers,
};
use holdfast_protocol::digest::{
    BodyDigests, ChecksumAlgorithm, ChecksumValue, DigestPlan, Digests, Elsewhere,
};
use holdfast_protocol::error::{Code, S3Error};
use holdfast_protocol::operation::BodyClaims;
use holdfast_protocol::sigv4::PayloadMode;

use crate::hash::{BodyHasher, Hasher};
use crate::limits::HASH_ALONE_BYTES_MAX;
use crate::rt::{Chunk, Conn};
use crate::server::{BodyError, RequestBody};

pub(super) struct Intake<'b, 'c, C> {
    body: &'b mut RequestBody<'c, C>,
    mode: PayloadMode,
    decoder: Option<AwsChunkedDecoder>,
    claims: BodyClaims,
    digests: BodyDigests,
    /// Where this core's bodies are hashed together; `None`: each alone.
    hasher: Option<&'b Hasher>,
    /// The digests that are computed there.
    together: Option<BodyHasher>,
    /// Received and not yet decoded.
    undecoded: Option<Chunk>,
    /// Payload bytes so far.
    received: u64,
    trailers: Trailers,
}

impl<'b, 'c, C: Conn> Intake<'b, 'c, C> {
    pub(super) fn new(
        body: &'b mut RequestBody<'c, C>,
        mode: PayloadMode,
        hasher: Option<&'b Hasher>,
    ) -> Self {
        let digests = BodyDigests::new(DigestPlan::default());
        let (claims, trailers) = (BodyClaims::default(), Trailers::default());
        Self {
            body,
            mode,
            decoder: None,
            claims,
            digests,
            hasher,
            together: None,
            undecoded: None,
            received: 0,
            trailers,
        }
    }

    /// Says what the client claims, and what shall be computed beyond what holding it to that takes.
    pub(super) fn expect(&mut self, claims: BodyClaims, mut plan: DigestPlan) {
        plan.payload_sha256 |= self.mode.expected_sha256().is_some();
        plan.md5 |= claims.content_md5.is_some();
        if let Some(algorithm) = claims.algorithm() {
            plan.checksums = plan.checksums.with(algorithm);
        }
        let mode = match self.mode {
            PayloadMode::SingleHash(_) | PayloadMode::Unsigned => None,
            PayloadMode::StreamingSigned(_) => Some(AwsChunkedMode::Signed),
            PayloadMode::StreamingSignedTrailer(_) => Some(AwsChunkedMode::SignedTrailer),
            PayloadMode::StreamingUnsignedTrailer => Some(AwsChunkedMode::UnsignedTrailer),
        };
        self.decoder = mode.map(|mode| AwsChunkedDecoder::new(mode, claims.size));
        let large = claims.size.is_none_or(|size| size > HASH_ALONE_BYTES_MAX);
        let hasher = self.hasher.filter(|_| plan.md5 && large);
        let sha256 = plan.payload_sha256 || plan.checksums.has(ChecksumAlgorithm::Sha256);
        let elsewhere = hasher.map_or_else(Elsewhere::default, |hasher| Elsewhere {
            md5: true,
            sha256: sha256 && hasher.takes_sha256(),
        });
        self.together = hasher.map(|hasher| hasher.body(elsewhere.sha256));
        self.digests = BodyDigests::without(plan, elsewhere);
        self.claims = claims;
    }

    pub(super) fn claims(&self) -> &BodyClaims {
        &self.claims
    }

    /// The next bytes of the payload; `None` at its end.
    ///
    /// # Errors
    /// What S3 answers for a body that ends early, stalls, or breaks its framing or signatures. The connection closes.
    pub(super) async fn next(&mut self) -> Result<Option<Chunk>, S3Error> {
        loop {
            if let Some(data) = self.decode()? {
                self.received += data.len() as u64;
                self.claims.within(self.received)?;
                self.digests.update(&data);
                if let Some(together) = &mut self.together {
                    together.feed(data.clone()).await;
                }
                return Ok(Some(data));
            }
            match self.body.next().await.map_err(body_error)? {
                Some(chunk) => self.undecoded = Some(chunk),
                None => {
                    if let Some(decoder) = &self.decoder {
                        decoder.finish().map_err(framing_error)?;
                    }
                    return Ok(None);
                }
            }
        }
    }

    /// Payload bytes at the front of what was received, `None` when that is used up.
    fn decode(&mut self) -> Result<Option<Chunk>, S3Error> {
        let Some(mut chunk) = self.undecoded.take() else { return Ok(None) };
        let Some(decoder) = &mut self.decoder else { return Ok(Some(chunk)) };
        loop {
            let (consumed, event) = decoder.feed(&chunk).map_err(framing_error)?;
            match event {
                AwsChunkedEvent::Framing if consumed == 0 && chunk.is_empty() => return Ok(None),
                AwsChunkedEvent::Framing => {}
                AwsChunkedEvent::ChunkHeader { signature, .. } => {
                    if let Some(signer) = self.mode.signer_mut() {
                        signer.begin(signature);
                    }
                }
                AwsChunkedEvent::Data(data) => {
                    if let Some(signer) = self.mode.signer_mut() {
                        signer.update(data);
                    }
                    let data = chunk.slice(0..consumed);
                    chunk.advance(consumed);
                    self.undecoded = Some(chunk);
                    return Ok(Some(data));
                }
                AwsChunkedEvent::ChunkEnd => {
                    if let Some(signer) = self.mode.signer_mut() {
                        signer.end().map_err(S3Error::closing)?;
                    }
                }
                AwsChunkedEvent::End(trailers) => self.trailers = trailers,
            }
            chunk.advance(consumed);
        }
    }

    /// Holds the whole body against everything that was claimed of it. Nothing may become visible before.
    ///
    /// # Errors
    /// `IncompleteBody`, `XAmzContentSHA256Mismatch`, `BadDigest`, `SignatureDoesNotMatch` (of the trailers).
    pub(super) async fn finish(mut self) -> Result<Digests, S3Error> {
        let announced_trailer = self.trailer_value()?;
        let digests = match self.together {
            Some(together) => {
                let hashes = together.finish().await;
                self.digests.finish_with(Some(hashes.md5), hashes.sha256)
            }
            None => self.digests.finish(),
        };
        if self.claims.size.is_some_and(|size| size != digests.length) {
            return Err(S3Error::new(Code::IncompleteBody).closing());
        }
        if let Some(expected) = self.mode.expected_sha256() {
            let got = digests.payload_sha256.expect("planned where the mode names a hash");
            if got != *expected {
                return Err(S3Error::new(Code::XAmzContentSHA256Mismatch)
                    .with("ClientComputedContentSHA256", hex::encode(expected))
                    .with("S3ComputedContentSHA256", hex::encode(got)));
            }
        }
        if self.claims.content_md5.is_some_and(|expected| digests.md5 != Some(expected)) {
            return Err(S3Error::new(Code::BadDigest));
        }
        for claimed in [self.claims.checksum, announced_trailer].into_iter().flatten() {
            if digests.checksum(claimed.algorithm()) != Some(claimed) {
                let name = claimed.algorithm().name();
                return Err(S3Error::new(Code::BadDigest)
                    .message(format!("The {name} you specified did not match the calculated checksum.")));
            }
        }
        Ok(digests)
    }

    /// The checksum that the head announced as a trailer; the trailers' own signature is checked first.
    fn trailer_value(&mut self) -> Result<Option<ChecksumValue>, S3Error> {
        if let PayloadMode::StreamingSignedTrailer(signer) = &mut self.mode {
            let pairs = self.trailers.pairs().map(|(name, value)| (name, value.as_bytes()));
            let text = self.trailers.signature().map(hex::encode).unwrap_or_default();
            signer.trailers(pairs, text.as_bytes())?;
        }
        let named: Vec<&str> = self.trailers.pairs().map(|(name, _)| name).collect();
        let Some(algorithm) = self.claims.trailer else {
            return match named.first() {
                None => Ok(None),
                Some(name) => {
                    Err(malformed_trailer(format!("The trailer {name} was not announced in x-amz-trailer.")))
                }
            };
        };
        let value = self.trailers.value(algorithm.header()).filter(|_| named.len() == 1);
        let value = value.ok_or_else(|| {
            malformed_trailer(format!("The body does not end in the trailer {} alone.", algorithm.header()))
        })?;
        ChecksumValue::from_base64(algorithm, value.as_bytes()).map(Some).ok_or_else(|| {
            S3Error::new(Code::InvalidRequest)
                .message(format!("Value for {} trailing header is invalid.", algorithm.header()))
        })
    }
}

/// A control body (XML) in memory, acted on only after its hash has passed (DESIGN 4.2).
pub(super) async fn control_body<C: Conn>(
    mut intake: Intake<'_, '_, C>,
    claims: BodyClaims,
    bytes_max: usize,
) -> Result<Vec<u8>, S3Error> {
    intake.expect(claims, DigestPlan::default());
    let mut body = Vec::new();
    while let Some(chunk) = intake.next().await? {
        if body.len() + chunk.len() > bytes_max {
            return Err(S3Error::new(Code::MaxMessageLengthExceeded)
                .with("MaxMessageLengthBytes", bytes_max.to_string())
                .closing());
        }
        body.extend_from_slice(&chunk);
    }
    intake.finish().await?;
    Ok(body)
}

fn malformed_trailer(message: String) -> S3Error {
    S3Error::new(Code::InvalidRequest).message(message)
}

fn framing_error(error: AwsChunkedError) -> S3Error {
    let code = match error {
        AwsChunkedError::Truncated | AwsChunkedError::TooShort { .. } => Code::IncompleteBody,
        _ => Code::InvalidRequest,
    };
    S3Error::new(code).message(error.to_string()).closing()
}

fn body_error(error: BodyError) -> S3Error {
    let code = match &error {
        BodyError::Truncated | BodyError::Broken(_) => Code::IncompleteBody,
        BodyError::Slow => Code::RequestTimeout,
        BodyError::Chunked(_) => Code::InvalidRequest,
    };
    S3Error::new(code).closing()
}
