//! The body of a request, as the handler pulls it: framing taken off, deadlines kept, `100 Continue` when first asked.

use std::io;
use std::time::{Duration, Instant};

use bytes::Bytes;
use holdfast_protocol::http::chunked::ChunkedError;
use holdfast_protocol::http::framing::{BodyDecoder, BodyEvent, BodyFraming};
use holdfast_protocol::http::response::CONTINUE;

use crate::limits::{BODY_BUFFER_BYTES, RATE_GRACE, RECV_RATE_MIN, STALL_DEADLINE};
use crate::metrics;
use crate::rt::{AlignedBuf, Chunk, Conn};

/// Why a body cannot be had in full. The connection is closed after the answer.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The client closed its side before the end that it had announced.
    #[error("the connection ended before the end of the body")]
    Truncated,
    /// No byte for [`STALL_DEADLINE`], or fewer than [`RECV_RATE_MIN`] a second.
    #[error("the body came too slowly")]
    Slow,
    #[error("the chunked coding is malformed: {0}")]
    Chunked(#[from] ChunkedError),
    #[error("the connection broke: {0}")]
    Broken(io::Error),
}

/// Bytes received and not yet used: the end of a head's buffer, a body's, the next request's beginning.
#[derive(Default)]
pub(super) struct Input(Option<Chunk>);

impl Input {
    pub(super) fn new(chunk: Chunk) -> Self {
        Self((!chunk.is_empty()).then_some(chunk))
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.0.as_deref().unwrap_or_default()
    }

    pub(super) fn take(&mut self) -> Option<Chunk> {
        self.0.take()
    }

    pub(super) fn advance(&mut self, count: usize) {
        if let Some(chunk) = &mut self.0 {
            chunk.advance(count);
            if chunk.is_empty() {
                self.0 = None;
            }
        }
    }
}

/// A request's body.
pub struct RequestBody<'c, C> {
    pub(super) wire: &'c mut C,
    input: &'c mut Input,
    decoder: BodyDecoder,
    framing: BodyFraming,
    /// The client waits for `100 Continue`, and has not been sent it. Due for an empty body too: botocore, once answered
    /// without it, takes the next answer of a reused connection for that one's (seen with the aws cli: a stall of 60 s).
    continue_due: bool,
    failed: bool,
    received: u64,
    waited: Duration,
}

impl<'c, C: Conn> RequestBody<'c, C> {
    pub(super) fn new(wire: &'c mut C, input: &'c mut Input, framing: BodyFraming, expects: bool) -> Self {
        let decoder = BodyDecoder::new(framing);
        Self {
            wire,
            input,
            decoder,
            framing,
            continue_due: expects,
            failed: false,
            received: 0,
            waited: Duration::ZERO,
        }
    }

    /// How the head says the body ends.
    #[must_use]
    pub fn framing(&self) -> BodyFraming {
        self.framing
    }

    /// Bytes of the body received so far, framing not counted.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.received
    }

    /// The next bytes of the body, as many as have come; `None` at its end. Sends `100 Continue` first where the client
    /// waits for it.
    ///
    /// # Errors
    /// [`BodyError`]; after it, the same again.
    pub async fn next(&mut self) -> Result<Option<Chunk>, BodyError> {
        if self.failed {
            return Err(BodyError::Truncated);
        }
        loop {
            match self.decode() {
                Ok(Decoded::Data(chunk)) => return Ok(Some(chunk)),
                Ok(Decoded::End) => {
                    self.send_continue().await.map_err(|error| self.fail(error))?;
                    return Ok(None);
                }
                Ok(Decoded::More) => {}
                Err(error) => return Err(self.fail(error.into())),
            }
            if let Err(error) = self.fill().await {
                return Err(self.fail(error));
            }
        }
    }

    /// Reads the rest away, up to `bytes_max` bytes; whether its end was reached.
    pub(super) async fn drain(&mut self, bytes_max: u64) -> bool {
        let end = self.received.saturating_add(bytes_max);
        loop {
            match self.next().await {
                Ok(None) => return true,
                Ok(Some(_)) if self.received <= end => {}
                _ => return false,
            }
        }
    }

    pub(super) fn input_is_empty(&self) -> bool {
        self.input.bytes().is_empty()
    }

    /// What is left to read, as far as that is known.
    pub(super) fn rest(&self) -> Rest {
        match (&self.decoder, self.failed) {
            (_, true) => Rest::Broken,
            // Whether the client will send it after all is unknown (RFC 9110, 10.1.1).
            _ if self.continue_due => Rest::Unwanted,
            _ if self.decoder.is_complete() => Rest::Nothing,
            (BodyDecoder::Length { left }, _) => Rest::Bytes(*left),
            _ => Rest::Unknown,
        }
    }

    fn decode(&mut self) -> Result<Decoded, ChunkedError> {
        loop {
            let (consumed, found) = match self.decoder.feed(self.input.bytes())? {
                (consumed, BodyEvent::Framing) => (consumed, None),
                (consumed, BodyEvent::Data(_)) => (consumed, Some(Decoded::Data(self.front(consumed)))),
                (consumed, BodyEvent::End) => (consumed, Some(Decoded::End)),
            };
            self.input.advance(consumed);
            match found {
                Some(found) => return Ok(found),
                None if self.input.bytes().is_empty() => return Ok(Decoded::More),
                None => {}
            }
        }
    }

    /// The first `count` bytes of the input, counted as received.
    fn front(&mut self, count: usize) -> Chunk {
        self.received += count as u64;
        metrics::core().bytes_in(count);
        self.input.0.as_ref().expect("data comes out of input").slice(0..count)
    }

    async fn send_continue(&mut self) -> Result<(), BodyError> {
        if std::mem::take(&mut self.continue_due) {
            let sent = self.wire.send(Bytes::from_static(CONTINUE), None, STALL_DEADLINE).await;
            sent.map_err(BodyError::Broken)?;
        }
        Ok(())
    }

    async fn fill(&mut self) -> Result<(), BodyError> {
        self.send_continue().await?;
        let start = Instant::now();
        let buf = AlignedBuf::with_capacity(self.wanted());
        let room = buf.capacity();
        let (received, buf) = self.wire.recv(buf, 0..room, start + STALL_DEADLINE).await;
        // Only waiting for the client counts, not what our own drives took between two calls.
        self.waited += start.elapsed();
        match received {
            Ok(0) => Err(BodyError::Truncated),
            Ok(count) => {
                *self.input = Input::new(Chunk::new(buf, 0..count));
                if self.is_slow() { Err(BodyError::Slow) } else { Ok(()) }
            }
            Err(error) if error.kind() == io::ErrorKind::TimedOut => Err(BodyError::Slow),
            Err(error) => Err(BodyError::Broken(error)),
        }
    }

    /// Room to receive into: not more than the body has left, so that small objects take small buffers.
    fn wanted(&self) -> usize {
        match &self.decoder {
            BodyDecoder::Length { left } => {
                usize::try_from(*left).unwrap_or(usize::MAX).min(BODY_BUFFER_BYTES)
            }
            BodyDecoder::Chunked(_) => BODY_BUFFER_BYTES,
        }
    }

    fn is_slow(&self) -> bool {
        self.waited > RATE_GRACE && self.received < (self.waited - RATE_GRACE).as_secs() * RECV_RATE_MIN
    }

    fn fail(&mut self, error: BodyError) -> BodyError {
        self.failed = true;
        error
    }
}

enum Decoded {
    Data(Chunk),
    End,
    More,
}

/// What a handler left of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rest {
    Nothing,
    Bytes(u64),
    /// A chunked body that has not ended.
    Unknown,
    /// The client was never told to continue.
    Unwanted,
    Broken,
}
