//! TCP over monoio's sockets, the same code on both of its drivers.
//!
//! Every operation that a deadline or [`Stop`] can strike is a cancelable one: it is cancelled and then awaited to its
//! end, so a byte that arrived in the last moment is delivered and not lost (MEASURED.md A3).
#![allow(unsafe_code)]

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes};
use monoio::buf::IoVecBuf;
use monoio::io::{CancelableAsyncReadRent, CancelableAsyncWriteRent, Canceller};
use monoio::net::TcpStream;

use super::buf::Window;
use super::flight::Flight;
use super::{AlignedBuf, Chunk, Conn, ListenConfig, Listener, Stop};
use crate::limits::{SEND_BUFFER_LOCAL_BYTES, SEND_BUFFER_LOCAL_RTT, SEND_LARGE_BYTES, SEND_RATE_MIN};

/// A listening socket.
pub struct TcpListener(monoio::net::TcpListener);

impl TcpListener {
    pub(super) fn bind(config: &ListenConfig) -> io::Result<Self> {
        let socket = listening(config)?;
        socket.set_nonblocking(monoio::utils::is_legacy())?;
        monoio::net::TcpListener::from_std(socket.into()).map(Self)
    }
}

/// A socket that listens, and shares its port with the other cores' sockets.
pub(super) fn listening(config: &ListenConfig) -> io::Result<socket2::Socket> {
    let domain = if config.addr.is_ipv6() { socket2::Domain::IPV6 } else { socket2::Domain::IPV4 };
    let socket = socket2::Socket::new(domain, socket2::Type::STREAM, Some(socket2::Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.bind(&config.addr.into())?;
    socket.listen(config.backlog)?;
    Ok(socket)
}

impl Listener for TcpListener {
    type Conn = TcpConn;

    async fn accept(&self, stop: &Stop) -> io::Result<TcpConn> {
        let canceller = Canceller::new();
        let op = self.0.cancelable_accept(canceller.handle());
        let (accepted, _) = until(op, canceller, None, Some(stop)).await;
        let (stream, peer) = accepted.map_err(|error| match error.raw_os_error() {
            Some(libc::ECANCELED) => io::ErrorKind::Interrupted.into(),
            _ => error,
        })?;
        // A peer that has already gone makes this fail; the first receive will say so.
        let _ = stream.set_nodelay(true);
        Ok(TcpConn::new(stream, peer))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// A TCP connection.
pub struct TcpConn {
    stream: TcpStream,
    peer: SocketAddr,
    /// One for all operations: they come one at a time, and a fresh one per operation would cost two allocations.
    canceller: Canceller,
    /// Whether the kernel's send buffer was looked at.
    sized: bool,
}

impl TcpConn {
    fn new(stream: TcpStream, peer: SocketAddr) -> Self {
        Self { stream, peer, canceller: Canceller::new(), sized: false }
    }

    /// Connects without a call that blocks: the handshake is the kernel's, and what is waited for here is readiness, which
    /// takes no bytes and may be given up.
    pub(super) async fn connect(addr: SocketAddr, deadline: Instant) -> io::Result<Self> {
        let domain = if addr.is_ipv6() { socket2::Domain::IPV6 } else { socket2::Domain::IPV4 };
        let socket = socket2::Socket::new(domain, socket2::Type::STREAM, Some(socket2::Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        match socket.connect(&addr.into()) {
            Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => return Err(error),
            _ => {}
        }
        let this = Self::new(TcpStream::from_std(socket.into())?, addr);
        {
            let mut ready = pin!(this.stream.writable(false));
            let mut late = pin!(monoio::time::sleep_until(deadline.into()));
            poll_fn(|cx| match ready.as_mut().poll(cx) {
                Poll::Pending => late.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into())),
                done => done,
            })
            .await?;
        }
        this.with_socket(|socket| {
            socket.take_error()?.map_or(Ok(()), Err)?;
            socket.set_tcp_nodelay(true)?;
            // The ring waits by itself; of a socket that does not wait it would say so instead.
            socket.set_nonblocking(monoio::utils::is_legacy())
        })?;
        Ok(this)
    }

    pub(super) fn duplicate(&self) -> io::Result<Self> {
        let twin = self.with_socket(|socket| socket.try_clone())?;
        TcpStream::from_std(twin.into()).map(|stream| Self::new(stream, self.peer))
    }

    fn with_socket<T>(&self, call: impl FnOnce(&socket2::Socket) -> T) -> T {
        // SAFETY: the descriptor is open as long as `self`.
        let socket = unsafe { BorrowedFd::borrow_raw(self.stream.as_raw_fd()) };
        call(&socket2::SockRef::from(&socket))
    }

    /// Bounds the kernel's send buffer of a near client before the first large answer.
    ///
    /// Left alone it grows to megabytes, and each byte leaves the CPU's caches between our copy into it and the
    /// client's copy out; with BBR (not with CUBIC) the wall time nearly doubles, too. A far client needs the megabytes.
    /// `SEND_BUFFER_LOCAL_BYTES` has the figures.
    fn size_buffer(&mut self) {
        self.sized = true;
        // Both calls fail only on a connection that is broken, which the send after them will say.
        let near = round_trip(self.stream.as_raw_fd()).is_some_and(|time| time <= SEND_BUFFER_LOCAL_RTT);
        if near {
            let _ = self.with_socket(|socket| socket.set_send_buffer_size(SEND_BUFFER_LOCAL_BYTES));
        }
    }
}

/// The shortest round trip the kernel has seen on a TCP connection; the handshake is one.
fn round_trip(fd: RawFd) -> Option<Duration> {
    // SAFETY: an all-zero tcp_info is valid, the call writes at most the size we name, and an older kernel writes less.
    let info = unsafe {
        let mut info: libc::tcp_info = std::mem::zeroed();
        let mut len = size_of::<libc::tcp_info>() as libc::socklen_t;
        let to = (&raw mut info).cast();
        let done = libc::getsockopt(fd, libc::IPPROTO_TCP, libc::TCP_INFO, to, &raw mut len);
        (done == 0).then_some(info)?
    };
    // All ones, or nothing from an old kernel: not measured.
    let known = info.tcpi_min_rtt != 0 && info.tcpi_min_rtt != u32::MAX;
    known.then(|| Duration::from_micros(info.tcpi_min_rtt.into()))
}

impl Conn for TcpConn {
    async fn recv(
        &mut self,
        buf: AlignedBuf,
        at: Range<usize>,
        deadline: Instant,
    ) -> (io::Result<usize>, AlignedBuf) {
        let canceller = std::mem::take(&mut self.canceller);
        let op = self.stream.cancelable_read(Window::new(buf, at), canceller.handle());
        let ((done, window), canceller) = until(op, canceller, Some(deadline), None).await;
        self.canceller = canceller;
        (done.map_err(timed_out), window.buf)
    }

    async fn send(&mut self, head: Bytes, body: Option<Chunk>, stall: Duration) -> io::Result<()> {
        if !self.sized && body.as_ref().is_some_and(|body| body.len() >= SEND_LARGE_BYTES) {
            self.size_buffer();
        }
        let mut parts = Parts { head, body, vectors: Vec::with_capacity(2) };
        let (start, mut sent) = (Instant::now(), 0);
        while parts.gather() {
            let canceller = std::mem::take(&mut self.canceller);
            let deadline = send_deadline(start, stall, sent);
            let op = self.stream.cancelable_writev(parts, canceller.handle());
            let ((done, back), canceller) = until(op, canceller, Some(deadline), None).await;
            self.canceller = canceller;
            parts = back;
            match done.map_err(timed_out) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    parts.advance(count);
                    sent += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn readable(&mut self, deadline: Instant, stop: &Stop) -> io::Result<()> {
        // The one operation that is simply dropped at the end: waiting for readiness has no buffer and takes no bytes,
        // so nothing can be lost and the kernel writes nowhere.
        let mut ready = pin!(self.stream.readable(false));
        let mut late = pin!(monoio::time::sleep_until(deadline.into()));
        let mut stopped = pin!(stop.wait());
        poll_fn(|cx| {
            if let Poll::Ready(done) = ready.as_mut().poll(cx) {
                return Poll::Ready(done);
            }
            if late.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            stopped.as_mut().poll(cx).map(|()| Err(io::ErrorKind::Interrupted.into()))
        })
        .await
    }

    async fn shutdown_write(&mut self) {
        let _ = self.with_socket(|socket| socket.shutdown(std::net::Shutdown::Write));
    }

    fn peer(&self) -> SocketAddr {
        self.peer
    }
}

/// When the next part of a send that began at `start` and has moved `sent` bytes must have moved.
pub(super) fn send_deadline(start: Instant, stall: Duration, sent: u64) -> Instant {
    // One byte now and then keeps nobody waiting for ever: the whole must keep up the least rate, too.
    let slowest = start + stall * 2 + Duration::from_secs(sent / SEND_RATE_MIN);
    slowest.min(Instant::now() + stall)
}

/// Runs `op` to its end. When `deadline` or `stop` comes first it is cancelled, and still awaited: what it did is done.
/// Gives the canceller back for the next operation.
async fn until<T>(
    op: impl Future<Output = T>,
    canceller: Canceller,
    deadline: Option<Instant>,
    stop: Option<&Stop>,
) -> (T, Canceller) {
    let flight = Flight::start();
    let mut op = pin!(op);
    let early = {
        let mut late = pin!(deadline.map(|at| monoio::time::sleep_until(at.into())));
        let mut stopped = pin!(stop.map(Stop::wait));
        poll_fn(|cx| {
            if let Poll::Ready(done) = op.as_mut().poll(cx) {
                return Poll::Ready(Some(done));
            }
            let late = late.as_mut().as_pin_mut().is_some_and(|late| late.poll(cx).is_ready());
            let stopped = stopped.as_mut().as_pin_mut().is_some_and(|stopped| stopped.poll(cx).is_ready());
            if late || stopped { Poll::Ready(None) } else { Poll::Pending }
        })
        .await
    };
    let (done, canceller) = match early {
        Some(done) => (done, canceller),
        None => {
            let canceller = canceller.cancel();
            (op.await, canceller)
        }
    };
    flight.land();
    (done, canceller)
}

/// A cancelled operation of a connection was cancelled by its deadline.
fn timed_out(error: io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(libc::ECANCELED) => io::ErrorKind::TimedOut.into(),
        _ => error,
    }
}

/// What a send still has to send.
struct Parts {
    head: Bytes,
    body: Option<Chunk>,
    /// Points into `head` and `body` while a send is under way.
    vectors: Vec<libc::iovec>,
}

impl Parts {
    /// Points at what is left; false when nothing is.
    fn gather(&mut self) -> bool {
        self.vectors.clear();
        let body: &[u8] = self.body.as_deref().unwrap_or_default();
        for part in [&self.head[..], body] {
            if !part.is_empty() {
                self.vectors
                    .push(libc::iovec { iov_base: part.as_ptr().cast_mut().cast(), iov_len: part.len() });
            }
        }
        !self.vectors.is_empty()
    }

    fn advance(&mut self, count: usize) {
        let of_head = count.min(self.head.len());
        self.head.advance(of_head);
        if let Some(body) = &mut self.body {
            body.advance(count - of_head);
        }
    }
}

// SAFETY: the vectors lie on the heap and point to heap memory of `head` and `body`, which `self` owns and which stays
// put when `self` moves; `gather` renews them before each send, and nothing changes the parts during one.
unsafe impl IoVecBuf for Parts {
    fn read_iovec_ptr(&self) -> *const libc::iovec {
        self.vectors.as_ptr()
    }

    fn read_iovec_len(&self) -> usize {
        self.vectors.len()
    }
}
