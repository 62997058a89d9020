//! A connection between two processes: bytes in order, late, standing still while the way is cut, and gone with a broken one.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::{Buf as _, Bytes};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::world::{Place, World, delay_ms};
use crate::sim::rng::Rng;

/// One direction. Its chance is its own: in which order a killed process lets go of its connections is tokio's affair.
pub(super) struct Pipe {
    from: Place,
    to: Place,
    rng: Rng,
    queue: VecDeque<(u64, Bytes)>,
    last_ms: u64,
    reader: Option<Waker>,
    /// The writer has ended it, and the reader hears of it then.
    ended_ms: Option<u64>,
    /// Nothing more comes out, and nothing goes in.
    broken: bool,
}

impl Pipe {
    pub(super) fn route(&self) -> (Place, Place) {
        (self.from, self.to)
    }

    pub(super) fn is_ready(&self, now_ms: u64) -> bool {
        let next = self.queue.front().map(|(at, _)| *at).or(self.ended_ms);
        self.broken || next.is_some_and(|at| at <= now_ms)
    }

    /// When what is sent now comes out: late, and after what was sent before.
    fn arrival_ms(&mut self, sent_ms: u64) -> u64 {
        self.last_ms.max(sent_ms + delay_ms(&mut self.rng))
    }

    /// Who waits for what is there now.
    pub(super) fn awake(&mut self, now_ms: u64) -> Option<Waker> {
        if self.is_ready(now_ms) { self.reader.take() } else { None }
    }

    pub(super) fn break_off(&mut self) -> Option<Waker> {
        self.broken = true;
        self.queue.clear();
        self.reader.take()
    }
}

/// One end.
pub(super) struct Wire {
    world: World,
    incoming: Arc<Mutex<Pipe>>,
    outgoing: Arc<Mutex<Pipe>>,
}

/// Both ends, the caller's first.
pub(super) fn pair(world: &World, caller: Place, listener: Place) -> (Wire, Wire) {
    let pipe = |from, to| {
        let pipe = Pipe {
            from,
            to,
            rng: Rng::new(world.chance(Rng::draw)),
            queue: VecDeque::new(),
            last_ms: 0,
            reader: None,
            ended_ms: None,
            broken: false,
        };
        let pipe = Arc::new(Mutex::new(pipe));
        world.adopt(Arc::clone(&pipe));
        pipe
    };
    let (there, back) = (pipe(caller, listener), pipe(listener, caller));
    let wire = |incoming: &Arc<Mutex<Pipe>>, outgoing: &Arc<Mutex<Pipe>>| Wire {
        world: world.clone(),
        incoming: Arc::clone(incoming),
        outgoing: Arc::clone(outgoing),
    };
    (wire(&back, &there), wire(&there, &back))
}

fn broken() -> io::Error {
    io::ErrorKind::ConnectionReset.into()
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let now_ms = self.world.now_ms();
        let mut pipe = self.incoming.lock();
        if pipe.broken {
            return Poll::Ready(Err(broken()));
        }
        let (from, to) = pipe.route();
        if !pipe.is_ready(now_ms) || self.world.is_cut(from, to) {
            pipe.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        if let Some((_, bytes)) = pipe.queue.front_mut() {
            let count = bytes.len().min(out.remaining());
            out.put_slice(&bytes[..count]);
            bytes.advance(count);
            if bytes.is_empty() {
                pipe.queue.pop_front();
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let sent_ms = self.sent_ms();
        let mut pipe = self.outgoing.lock();
        if pipe.broken || self.incoming.lock().broken {
            return Poll::Ready(Err(broken()));
        }
        let at_ms = pipe.arrival_ms(sent_ms);
        pipe.last_ms = at_ms;
        pipe.queue.push_back((at_ms, Bytes::copy_from_slice(bytes)));
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.end();
        Poll::Ready(Ok(()))
    }
}

impl Wire {
    /// Now, or as much later as the way is slow.
    fn sent_ms(&self) -> u64 {
        let (from, to) = self.outgoing.lock().route();
        self.world.now_ms() + self.world.slow_ms(from, to)
    }

    fn end(&self) {
        let sent_ms = self.sent_ms();
        let mut pipe = self.outgoing.lock();
        let at_ms = pipe.arrival_ms(sent_ms);
        pipe.ended_ms.get_or_insert(at_ms);
    }
}

impl Drop for Wire {
    /// A process that is killed, or says no more, still has a kernel that ends its connections; a machine that loses its power has none.
    fn drop(&mut self) {
        if !self.world.is_silent() {
            self.end();
        }
    }
}
