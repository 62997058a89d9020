//! Frames on a connection: received whole and checked, sent in the order they were handed over.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Instant;

use holdfast_protocol::peer::{FRAME_HEADER_BYTES, FrameError, Header, encode};

use crate::drives::piece_buffer;
use crate::limits::{PEER_FRAME_DEADLINE, PEER_GREETING_BYTES_MAX, PEER_STALL, PEER_TICK};
use crate::rt::{AlignedBuf, Chunk, Conn, Rt, Stop};
use crate::server::tls::{TlsRecv, TlsSend};

/// A frame whose header and fields are what was sent.
pub(super) struct Frame {
    pub(super) header: Header,
    pub(super) meta: AlignedBuf,
    /// In a buffer that a drive can write from.
    pub(super) payload: Option<Chunk>,
    /// Whether the payload is what was sent, too.
    pub(super) payload_holds: bool,
}

/// What came of a frame before its payload: these are what was sent.
pub(super) struct Head {
    pub(super) header: Header,
    pub(super) meta: AlignedBuf,
    /// When all of the frame has to be here.
    deadline: Instant,
}

/// What comes next on a connection.
pub(super) enum Incoming<T> {
    Frame(T),
    /// Nothing came for a tick.
    Nothing,
}

/// Why nothing more can be received.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Frame(#[from] FrameError),
}

/// The receiving side.
pub(super) struct Inlet<C> {
    tls: TlsRecv<C>,
    stop: Stop,
}

impl<C: Conn> Inlet<C> {
    /// Waits are over once `stop` is set.
    pub(super) fn new(tls: TlsRecv<C>, stop: Stop) -> Self {
        Self { tls, stop }
    }

    /// The next frame, or that nothing came for [`PEER_TICK`]. Never drop its future.
    ///
    /// # Errors
    /// [`Broken`]; `Io` of `Interrupted` once the stop is set.
    pub(super) async fn next<R: Rt>(&mut self) -> Result<Incoming<Frame>, Broken> {
        match self.head::<R>().await? {
            Incoming::Frame(head) => Ok(Incoming::Frame(self.rest(head).await?)),
            Incoming::Nothing => Ok(Incoming::Nothing),
        }
    }

    /// The next frame up to its payload, which [`Inlet::rest`] receives and nothing else may come between.
    ///
    /// # Errors
    /// As [`Inlet::next`].
    pub(super) async fn head<R: Rt>(&mut self) -> Result<Incoming<Head>, Broken> {
        match self.tls.readable(R::now() + PEER_TICK, &self.stop).await {
            Err(error) if error.kind() == io::ErrorKind::TimedOut => return Ok(Incoming::Nothing),
            ready => ready?,
        }
        let deadline = R::now() + PEER_FRAME_DEADLINE;
        self.head_by(deadline, |_| true).await.map(Incoming::Frame)
    }

    /// The first frame up to its payload, of which there is none: by a moment, however slowly its bytes come.
    ///
    /// # Errors
    /// As [`Inlet::next`]; `Io` of `TimedOut`; `TooLong` before more is received than a greeting has.
    pub(super) async fn greeting(&mut self, deadline: Instant) -> Result<Head, Broken> {
        self.tls.readable(deadline, &self.stop).await?;
        self.head_by(deadline, |header| {
            header.payload_len == 0 && header.meta_len as usize <= PEER_GREETING_BYTES_MAX
        })
        .await
    }

    async fn head_by(
        &mut self,
        deadline: Instant,
        fit: impl FnOnce(&Header) -> bool,
    ) -> Result<Head, Broken> {
        let head = AlignedBuf::with_capacity(FRAME_HEADER_BYTES);
        let head = self.tls.recv_exactly(head, 0..FRAME_HEADER_BYTES, PEER_STALL, deadline).await?;
        let header = Header::parse(head.first_chunk().ok_or(FrameError::Magic)?)?;
        if !fit(&header) {
            return Err(FrameError::TooLong { meta: header.meta_len, payload: header.payload_len }.into());
        }
        let meta_len = header.meta_len as usize;
        // The header's buffer is as good as another for what is short.
        let meta = if meta_len <= head.capacity() { head } else { AlignedBuf::with_capacity(meta_len) };
        let mut meta = self.tls.recv_exactly(meta, 0..meta_len, PEER_STALL, deadline).await?;
        meta.truncate(meta_len);
        header.check_meta(&meta)?;
        Ok(Head { header, meta, deadline })
    }

    /// The payload behind a head. Never drop its future.
    ///
    /// # Errors
    /// The connection's.
    pub(super) async fn rest(&mut self, head: Head) -> io::Result<Frame> {
        let Head { header, meta, deadline } = head;
        let payload = self.payload(header.payload_len as usize, deadline).await?;
        let payload_holds = header.check_payload(payload.as_deref().unwrap_or_default()).is_ok();
        Ok(Frame { header, meta, payload, payload_holds })
    }

    async fn payload(&mut self, len: usize, deadline: Instant) -> io::Result<Option<Chunk>> {
        if len == 0 {
            return Ok(None);
        }
        let buf = piece_buffer(len);
        let at = buf.len();
        let buf = self.tls.recv_exactly(buf, at..at + len, PEER_STALL, deadline).await?;
        Ok(Some(Chunk::new(buf, at..at + len)))
    }
}

#[cfg(test)]
thread_local! {
    /// The most frames that waited in any outlet of this core.
    pub(super) static MOST_WAITING: Cell<usize> = const { Cell::new(0) };
}

/// A frame on its way out, with what it holds until it is sent.
struct Outgoing {
    head: Vec<u8>,
    payload: Option<Chunk>,
    _hold: Option<Box<dyn Any>>,
}

/// The sending side: frames wait here for the task that sends them. Clones share it. How many wait is bounded by those who
/// hand them over: a request or an answer each, and each answer, refusals too, holds its share of the load until it is sent.
#[derive(Clone, Default)]
pub(super) struct Outlet(Rc<Queue>);

#[derive(Default)]
struct Queue {
    frames: RefCell<VecDeque<Outgoing>>,
    /// No more frames are taken; what waits is still sent.
    closed: Cell<bool>,
    /// Nothing more is sent.
    broken: Cell<bool>,
    sender: RefCell<Option<Waker>>,
}

impl Outlet {
    /// Hands a frame over; after the close it is dropped.
    pub(super) fn send(
        &self,
        id: u32,
        (kind, meta): (u8, Vec<u8>),
        payload: Option<Chunk>,
        hold: Option<Box<dyn Any>>,
    ) {
        if self.0.closed.get() {
            return;
        }
        let head = encode(kind, id, &meta, payload.as_deref().unwrap_or_default());
        self.0.frames.borrow_mut().push_back(Outgoing { head, payload, _hold: hold });
        #[cfg(test)]
        MOST_WAITING.set(MOST_WAITING.get().max(self.0.frames.borrow().len()));
        self.wake();
    }

    /// Takes no more frames; those that wait are sent, and then the connection is closed in this direction.
    pub(super) fn close(&self) {
        self.0.closed.set(true);
        self.wake();
    }

    /// As `close`, and what waits is dropped.
    pub(super) fn cut(&self) {
        self.0.broken.set(true);
        self.close();
        drop(self.0.frames.take());
    }

    fn wake(&self) {
        if let Some(sender) = self.0.sender.take() {
            sender.wake();
        }
    }

    /// The next frame; `None` after the last.
    async fn next(&self) -> Option<Outgoing> {
        poll_fn(|cx| {
            if let Some(frame) = self.0.frames.borrow_mut().pop_front() {
                return Poll::Ready(Some(frame));
            }
            if self.0.closed.get() {
                return Poll::Ready(None);
            }
            *self.0.sender.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        })
        .await
    }

    /// Sends what is handed over until the close. When that fails `stop` is set, and the receiving side ends as well.
    pub(super) async fn run<C: Conn>(self, mut tls: TlsSend<C>, stop: Stop) {
        while let Some(frame) = self.next().await {
            let deadline = Instant::now() + PEER_FRAME_DEADLINE;
            let sent = tls.send(&frame.head, frame.payload.as_ref(), PEER_STALL, deadline).await;
            if sent.is_err() || self.0.broken.get() {
                self.cut();
                stop.set();
                return;
            }
        }
        if !self.0.broken.get() {
            tls.close(PEER_STALL).await;
        }
    }
}
