//! What a handler answers, and how it is sent: head and first bytes together, then chunk by chunk with one read ahead.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;
use futures_util::future::join;
use holdfast_protocol::http::response::ResponseHead;

use super::Context;
use crate::limits::STALL_DEADLINE;
use crate::metrics;
use crate::rt::{Chunk, Conn};

/// An answer.
pub struct Response {
    pub(super) head: ResponseHead,
    pub(super) body: ResponseBody,
    pub(super) close: bool,
    pub(super) operation: &'static str,
}

/// The bytes of an answer.
pub enum ResponseBody {
    Empty,
    Bytes(Bytes),
    /// Exactly `bytes` bytes, chunk by chunk, the first of which is there already.
    Stream {
        bytes: u64,
        first: Chunk,
        stream: Box<dyn BodyStream>,
    },
}

/// The chunks of a long answer.
pub trait BodyStream {
    /// The next bytes; `None` at the end.
    fn next(&mut self) -> NextChunk<'_>;
}

/// What [`BodyStream::next`] gives. Boxed once per chunk of up to a megabyte.
pub type NextChunk<'s> = Pin<Box<dyn Future<Output = Result<Option<Chunk>, StreamError>> + 's>>;

/// The rest of an answer cannot be had. Whoever noticed has logged why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamError;

impl Response {
    /// An answer without a body; `Content-Length: 0` is added where a length belongs.
    #[must_use]
    pub fn empty(mut head: ResponseHead) -> Self {
        head.content_length(0);
        Self::of(head, ResponseBody::Empty)
    }

    /// An answer to HEAD: `bytes` is what GET would send.
    #[must_use]
    pub fn head_only(mut head: ResponseHead, bytes: u64) -> Self {
        head.content_length(bytes);
        Self::of(head, ResponseBody::Empty)
    }

    /// A short answer. The length is added.
    #[must_use]
    pub fn bytes(mut head: ResponseHead, body: impl Into<Bytes>) -> Self {
        let body = body.into();
        head.content_length(body.len() as u64);
        Self::of(head, ResponseBody::Bytes(body))
    }

    /// An answer of exactly `bytes` bytes: `first`, then what `stream` gives. The length is added.
    ///
    /// That `first` has to be there before there is an answer is on purpose: what cannot be read at all is an error that the
    /// client is told of.
    #[must_use]
    pub fn stream(mut head: ResponseHead, bytes: u64, first: Chunk, stream: Box<dyn BodyStream>) -> Self {
        head.content_length(bytes);
        Self::of(head, ResponseBody::Stream { bytes, first, stream })
    }

    /// Closes the connection after this answer.
    #[must_use]
    pub fn closing(mut self, close: bool) -> Self {
        self.close |= close;
        self
    }

    /// Names the operation for metrics and logs.
    #[must_use]
    pub fn operation(mut self, name: &'static str) -> Self {
        self.operation = name;
        self
    }

    /// One more header. One that HTTP does not allow is left out rather than sent.
    pub fn header(&mut self, name: &str, value: &str) {
        if let Err(error) = self.head.header(name, value) {
            tracing::warn!(%error, name, "a header is left out of an answer");
        }
    }

    #[must_use]
    pub fn status(&self) -> u16 {
        self.head.status()
    }

    fn of(head: ResponseHead, body: ResponseBody) -> Self {
        Self { head, body, close: false, operation: "unknown" }
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Response({}, {})", self.operation, self.status())
    }
}

/// What became of sending an answer.
#[derive(Debug)]
pub(super) enum Sent {
    /// All of it: this many bytes of body.
    Whole(u64),
    /// The connection is beyond use.
    Broken,
}

/// Sends `response`. A body that fails half-way leaves the connection unusable: its client must see fewer bytes than
/// announced, never a success that is short.
pub(super) async fn send<C: Conn>(
    wire: &mut C,
    response: Response,
    context: &Context,
    without_body: bool,
) -> Sent {
    let Response { mut head, body, close, .. } = response;
    head.header("x-amz-request-id", context.request_id.as_str()).expect("hexadecimal digits fit a header");
    head.header("x-amz-id-2", context.host_id.as_bytes()).expect("the host id was made for this header");
    if close {
        head.close();
    }
    let head = head.finish();
    let sent = match body {
        _ if without_body => wire.send(head, None, STALL_DEADLINE).await.map(|()| 0),
        ResponseBody::Empty => wire.send(head, None, STALL_DEADLINE).await.map(|()| 0),
        ResponseBody::Bytes(bytes) => {
            let count = bytes.len() as u64;
            wire.send(head, Some(bytes.into()), STALL_DEADLINE).await.map(|()| count)
        }
        ResponseBody::Stream { bytes, first, stream } => {
            return send_stream(wire, head, bytes, first, stream).await;
        }
    };
    match sent {
        Ok(count) => {
            metrics::core().bytes_out(count);
            Sent::Whole(count)
        }
        Err(_) => Sent::Broken,
    }
}

async fn send_stream<C: Conn>(
    wire: &mut C,
    mut head: Bytes,
    announced: u64,
    first: Chunk,
    mut stream: Box<dyn BodyStream>,
) -> Sent {
    let mut ready = Some(first);
    let mut sent = 0;
    while let Some(chunk) = ready {
        sent += chunk.len() as u64;
        assert!(sent <= announced, "a body of {announced} bytes gave {sent}");
        metrics::core().bytes_out(chunk.len() as u64);
        let sending = wire.send(std::mem::take(&mut head), Some(chunk), STALL_DEADLINE);
        if sent == announced {
            return if sending.await.is_ok() { Sent::Whole(sent) } else { Sent::Broken };
        }
        // The next chunk is read while this one is on its way. Both are awaited to their end.
        let (done, next) = join(sending, stream.next()).await;
        match (done, next) {
            (Ok(()), Ok(next)) => ready = next,
            _ => return Sent::Broken,
        }
    }
    tracing::error!(announced, sent, "a body ended before its announced length");
    Sent::Broken
}
