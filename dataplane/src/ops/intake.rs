//! A request's body as an operation sees it: payload rule applied, digests running, every claim held against the bytes.
//!
//! This is the one choke point of payload modes (DESIGN 5): bytes reach an operation only through [`Intake::next`], and
//! nothing they become may be made visible before [`Intake::finish`] has said yes. How the payload lies in the body is
//! told by [`Coding`]: as it is, in aws-chunked, or as the file of a form ([`Intake::fields`]).

mod coding;
mod form;

use holdfast_protocol::digest::{BodyDigests, ChecksumAlgorithm, DigestPlan, Digests, Elsewhere};
use holdfast_protocol::error::{Code, S3Error};
use holdfast_protocol::form::ContentLengthRange;
use holdfast_protocol::operation::BodyClaims;
use holdfast_protocol::sigv4::PayloadMode;

use crate::hash::{BodyHasher, Hasher};
use crate::limits::HASH_ALONE_BYTES_MAX;
use crate::rt::{Chunk, Conn};
use crate::server::{BodyError, RequestBody};
use coding::Coding;

pub(super) struct Intake<'b, 'c, C> {
    body: &'b mut RequestBody<'c, C>,
    mode: PayloadMode,
    coding: Coding,
    claims: BodyClaims,
    /// What the payload may come to, where a form's policy says so.
    size: ContentLengthRange,
    digests: BodyDigests,
    /// Where this core's bodies are hashed together; `None`: each alone.
    hasher: Option<&'b Hasher>,
    /// The digests that are computed there.
    together: Option<BodyHasher>,
    /// Received and not yet decoded.
    undecoded: Option<Chunk>,
    /// Payload bytes so far.
    received: u64,
}

impl<'b, 'c, C: Conn> Intake<'b, 'c, C> {
    pub(super) fn new(
        body: &'b mut RequestBody<'c, C>,
        mode: PayloadMode,
        hasher: Option<&'b Hasher>,
    ) -> Self {
        Self {
            body,
            mode,
            coding: Coding::Plain,
            claims: BodyClaims::default(),
            size: ContentLengthRange::ALL,
            digests: BodyDigests::new(DigestPlan::default()),
            hasher,
            together: None,
            undecoded: None,
            received: 0,
        }
    }

    /// Says what the client claims, and what shall be computed: at least the claims' own [plan](BodyClaims::plan), for a
    /// claim that nothing was computed for does not hold.
    pub(super) fn expect(&mut self, claims: BodyClaims, mut plan: DigestPlan) {
        plan.payload_sha256 = self.mode.expected_sha256().is_some();
        if let Some(coding) = Coding::of_mode(&self.mode, claims.size) {
            self.coding = coding;
        }
        self.claims = claims;
        let large = self.bytes_at_most().is_none_or(|bytes| bytes > HASH_ALONE_BYTES_MAX);
        let md5 = plan.md5 || plan.checksums.has(ChecksumAlgorithm::Md5);
        let hasher = self.hasher.filter(|_| md5 && large);
        let sha256 = plan.payload_sha256 || plan.checksums.has(ChecksumAlgorithm::Sha256);
        let elsewhere = hasher.map_or_else(Elsewhere::default, |hasher| Elsewhere {
            md5: true,
            sha256: sha256 && hasher.takes_sha256(),
        });
        self.together = hasher.map(|hasher| hasher.body(elsewhere.sha256));
        self.digests = BodyDigests::without(plan, elsewhere);
    }

    /// Bounds the payload's size beyond what the client says of it.
    pub(super) fn expect_size(&mut self, size: ContentLengthRange) {
        self.size = size;
    }

    /// The payload's size, where the client said it.
    pub(super) fn size(&self) -> Option<u64> {
        self.claims.size
    }

    /// What the payload can come to, as far as that is known: a form says no more than that.
    pub(super) fn bytes_at_most(&self) -> Option<u64> {
        self.claims.size.or_else(|| self.coding.file_bytes_max())
    }

    /// The next bytes of the payload; `None` at its end.
    ///
    /// # Errors
    /// What S3 answers for a body that ends early, stalls, or breaks its framing or signatures. The connection closes.
    pub(super) async fn next(&mut self) -> Result<Option<Chunk>, S3Error> {
        loop {
            if let Some(data) = self.coding.payload(&mut self.undecoded, &mut self.mode)? {
                self.received += data.len() as u64;
                self.claims.within(self.received)?;
                self.digests.update(&data);
                if let Some(together) = &mut self.together {
                    together.feed(data.clone()).await;
                }
                return Ok(Some(data));
            }
            self.undecoded = self.body.next().await.map_err(body_error)?;
            if self.undecoded.is_none() {
                self.coding.finish()?;
                return Ok(None);
            }
        }
    }

    /// Holds the whole body against everything that was claimed of it. Nothing may become visible before.
    ///
    /// # Errors
    /// `IncompleteBody`, `EntityTooSmall`, `EntityTooLarge`, `XAmzContentSHA256Mismatch`, `BadDigest`,
    /// `MalformedTrailerError`, `SignatureDoesNotMatch` (of the trailers).
    pub(super) async fn finish(mut self) -> Result<Digests, S3Error> {
        let trailers = self.coding.trailers();
        if let PayloadMode::StreamingSignedTrailer(signer) = &mut self.mode {
            let pairs = trailers.pairs().map(|(name, value)| (name, value.as_bytes()));
            let text = trailers.signature().map(hex::encode).unwrap_or_default();
            signer.trailers(pairs, text.as_bytes())?;
        }
        let trailer = self.claims.trailer_value(&trailers)?;
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
        self.size.check(digests.length)?;
        if let Some(expected) = self.mode.expected_sha256() {
            let got = digests.payload_sha256.expect("planned where the mode names a hash");
            if got != *expected {
                return Err(S3Error::new(Code::XAmzContentSHA256Mismatch)
                    .with("ClientComputedContentSHA256", hex::encode(expected))
                    .with("S3ComputedContentSHA256", hex::encode(got)));
            }
        }
        self.claims.verify(&digests, trailer)?;
        Ok(digests)
    }
}

/// A control body (XML) in memory, acted on only after its hash has passed (DESIGN 4.2).
pub(super) async fn control_body<C: Conn>(
    mut intake: Intake<'_, '_, C>,
    claims: BodyClaims,
    bytes_max: usize,
) -> Result<Vec<u8>, S3Error> {
    let plan = claims.plan();
    intake.expect(claims, plan);
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

fn body_error(error: BodyError) -> S3Error {
    let code = match &error {
        BodyError::Truncated | BodyError::Broken(_) => Code::IncompleteBody,
        BodyError::Slow => Code::RequestTimeout,
        BodyError::Chunked(_) => Code::InvalidRequest,
    };
    S3Error::new(code).closing()
}
