//! Connections in memory: two pipes, received in pieces that the seed cuts. Deadlines do not strike: nobody here is slow.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use holdfast_dataplane::rt::{AlignedBuf, Chunk, Conn, Listener, Stop};

use super::executor::World;

/// One direction.
#[derive(Default)]
struct Pipe {
    bytes: BytesMut,
    ended: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// What a sender may be ahead of its reader, as socket buffers allow it.
const AHEAD_BYTES_MAX: usize = 64 << 10;

impl Pipe {
    fn wake(&mut self) {
        for waiting in [self.reader.take(), self.writer.take()].into_iter().flatten() {
            waiting.wake();
        }
    }

    /// Whether there is something to receive, the end included.
    fn poll(&mut self, cx: &Context<'_>) -> Poll<()> {
        if !self.bytes.is_empty() || self.ended {
            return Poll::Ready(());
        }
        self.reader = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Whether the reader has caught up enough, or is gone.
    fn poll_room(&mut self, cx: &Context<'_>) -> Poll<()> {
        if self.bytes.len() <= AHEAD_BYTES_MAX || self.ended {
            return Poll::Ready(());
        }
        self.writer = Some(cx.waker().clone());
        Poll::Pending
    }
}

/// One end of a connection.
pub struct SimConn {
    from: Rc<RefCell<Pipe>>,
    to: Rc<RefCell<Pipe>>,
}

impl SimConn {
    /// Both ends.
    #[must_use]
    pub fn pair() -> (Self, Self) {
        let (a, b) = (Rc::<RefCell<Pipe>>::default(), Rc::<RefCell<Pipe>>::default());
        (Self { from: Rc::clone(&a), to: Rc::clone(&b) }, Self { from: b, to: a })
    }

    /// Sends what fits at once: everything.
    pub fn put(&self, bytes: &[u8]) {
        let mut pipe = self.to.borrow_mut();
        pipe.bytes.extend_from_slice(bytes);
        pipe.wake();
    }

    /// The next bytes, at most `max`; none at the end.
    pub async fn take(&self, max: usize) -> BytesMut {
        poll_fn(|cx| self.from.borrow_mut().poll(cx)).await;
        let mut pipe = self.from.borrow_mut();
        let count = pipe.bytes.len().min(max);
        if let Some(writer) = pipe.writer.take() {
            writer.wake();
        }
        pipe.bytes.split_to(count)
    }
}

impl Drop for SimConn {
    fn drop(&mut self) {
        for pipe in [&self.from, &self.to] {
            let mut pipe = pipe.borrow_mut();
            pipe.ended = true;
            pipe.wake();
        }
    }
}

impl Conn for SimConn {
    async fn recv(
        &mut self,
        mut buf: AlignedBuf,
        at: Range<usize>,
        _deadline: Instant,
    ) -> (io::Result<usize>, AlignedBuf) {
        // Now and then less than there is.
        let max = match World::current().chance(|rng| rng.below(4)) {
            0 => World::current().chance(|rng| 1 + rng.index(at.len().max(1))),
            _ => at.len(),
        };
        let bytes = self.take(max.min(at.len())).await;
        buf.space()[at.start..at.start + bytes.len()].copy_from_slice(&bytes);
        let end = at.start + bytes.len();
        if end > buf.len() {
            buf.set_len(end);
        }
        (Ok(bytes.len()), buf)
    }

    async fn send(&mut self, head: Bytes, body: Option<Chunk>, _stall: Duration) -> io::Result<()> {
        if self.to.borrow().ended {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.put(&head);
        if let Some(body) = body {
            self.put(&body);
        }
        poll_fn(|cx| self.to.borrow_mut().poll_room(cx)).await;
        Ok(())
    }

    async fn readable(&mut self, _deadline: Instant, stop: &Stop) -> io::Result<()> {
        let mut stopped = pin!(stop.wait());
        poll_fn(|cx| {
            if self.from.borrow_mut().poll(cx).is_ready() {
                return Poll::Ready(Ok(()));
            }
            stopped.as_mut().poll(cx).map(|()| Err(io::ErrorKind::Interrupted.into()))
        })
        .await
    }

    async fn shutdown_write(&mut self) {
        let mut pipe = self.to.borrow_mut();
        pipe.ended = true;
        pipe.wake();
    }

    fn peer(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, 1).into()
    }
}

/// Where connections are handed in.
#[derive(Clone, Default)]
pub struct SimListener(Rc<RefCell<Backlog>>);

#[derive(Default)]
struct Backlog {
    waiting: VecDeque<SimConn>,
    acceptor: Option<Waker>,
}

impl SimListener {
    /// A new connection; the client's end.
    #[must_use]
    pub fn connect(&self) -> SimConn {
        let (ours, theirs) = SimConn::pair();
        let mut backlog = self.0.borrow_mut();
        backlog.waiting.push_back(theirs);
        if let Some(acceptor) = backlog.acceptor.take() {
            acceptor.wake();
        }
        ours
    }
}

impl Listener for SimListener {
    type Conn = SimConn;

    async fn accept(&self, stop: &Stop) -> io::Result<SimConn> {
        let mut stopped = pin!(stop.wait());
        poll_fn(|cx| {
            let mut backlog = self.0.borrow_mut();
            if let Some(conn) = backlog.waiting.pop_front() {
                return Poll::Ready(Ok(conn));
            }
            backlog.acceptor = Some(cx.waker().clone());
            stopped.as_mut().poll(cx).map(|()| Err(io::ErrorKind::Interrupted.into()))
        })
        .await
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok((Ipv4Addr::LOCALHOST, 2).into())
    }
}
