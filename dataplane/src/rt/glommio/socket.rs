//! TCP over glommio: every operation is a system call that does not wait, and, when it would, a wait for readiness.
//!
//! Nothing is in the kernel's hands while a task waits, so giving up a wait loses no byte and no buffer.
#![allow(unsafe_code)]

use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::net::{Ipv4Addr, Shutdown, SocketAddr};
use std::ops::Range;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, IntoRawFd};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use ::glommio::net::{TcpListener, TcpStream};
use ::glommio::timer::Timer;
use bytes::{Buf, Bytes};
use futures_io::{AsyncRead, AsyncWrite};

use super::super::socket::{listening, send_deadline};
use super::super::{AlignedBuf, Chunk, Conn, ListenConfig, Listener, Rt, Stop};
use super::{GlommioRt, plain};

/// A listening socket.
pub struct GlommioListener(TcpListener);

impl GlommioListener {
    pub(super) fn bind(config: &ListenConfig) -> io::Result<Self> {
        // Not glommio's own `bind`: it fixes the backlog, and leaves out SO_REUSEADDR, without which a restart has to
        // wait for the last one's connections to be forgotten.
        let socket = listening(config)?;
        // SAFETY: the descriptor is open, a listening socket, and nobody else's from here on.
        Ok(Self(unsafe { TcpListener::from_raw_fd(socket.into_raw_fd()) }))
    }
}

impl Listener for GlommioListener {
    type Conn = GlommioConn;

    async fn accept(&self, stop: &Stop) -> io::Result<GlommioConn> {
        let stream = within(async { self.0.accept().await.map_err(plain) }, None, Some(stop)).await?;
        // A peer that has already gone makes these fail; the first receive will say so.
        let _ = stream.set_nodelay(true);
        let peer = stream.peer_addr().unwrap_or(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)));
        Ok(GlommioConn { stream, peer })
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr().map_err(plain)
    }
}

/// A TCP connection.
pub struct GlommioConn {
    stream: TcpStream,
    peer: SocketAddr,
}

impl Conn for GlommioConn {
    async fn recv(
        &mut self,
        mut buf: AlignedBuf,
        at: Range<usize>,
        deadline: Instant,
    ) -> (io::Result<usize>, AlignedBuf) {
        let into = &mut buf.space()[at.clone()];
        let mut stream = Pin::new(&mut self.stream);
        let read = poll_fn(|cx| stream.as_mut().poll_read(cx, into));
        let mut received = within(read, Some(deadline), None).await;
        if matches!(&received, Err(error) if error.kind() == io::ErrorKind::TimedOut) {
            // A deadline that had passed before never let the loop learn that the socket is readable: once it has had its
            // turn, what came in the last moment is delivered.
            GlommioRt::yield_now().await;
            received = poll_fn(|cx| match stream.as_mut().poll_read(cx, into) {
                Poll::Pending => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
                done => done,
            })
            .await;
        }
        if let Ok(count) = received
            && at.start + count > buf.len()
        {
            buf.set_len(at.start + count);
        }
        (received, buf)
    }

    async fn send(&mut self, mut head: Bytes, mut body: Option<Chunk>, stall: Duration) -> io::Result<()> {
        let (start, mut sent) = (Instant::now(), 0);
        loop {
            let rest: &[u8] = body.as_deref().unwrap_or_default();
            let count = match (&*head, rest) {
                ([], []) => return Ok(()),
                (first, []) | ([], first) => {
                    let mut stream = Pin::new(&mut self.stream);
                    let write = poll_fn(|cx| stream.as_mut().poll_write(cx, first));
                    within(write, Some(send_deadline(start, stall, sent)), None).await
                }
                // glommio sends one slice at a time: both at once when the socket takes them, or else it waits with one.
                (first, second) => match self.send_both(first, second) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        let mut stream = Pin::new(&mut self.stream);
                        let write = poll_fn(|cx| stream.as_mut().poll_write(cx, first));
                        within(write, Some(send_deadline(start, stall, sent)), None).await
                    }
                    done => done,
                },
            };
            match count {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    sent += count as u64;
                    let of_head = count.min(head.len());
                    head.advance(of_head);
                    if let Some(body) = &mut body {
                        body.advance(count - of_head);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            // A client that takes all we have would otherwise keep the core to itself.
            glommio::yield_if_needed().await;
        }
    }

    async fn readable(&mut self, deadline: Instant, stop: &Stop) -> io::Result<()> {
        // Receiving no bytes waits for some to be there, and takes none. The wait of an earlier receive is taken up.
        let mut stream = Pin::new(&mut self.stream);
        let ready = poll_fn(|cx| stream.as_mut().poll_read(cx, &mut []));
        within(ready, Some(deadline), Some(stop)).await.map(drop)
    }

    async fn shutdown_write(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Write).await;
    }

    fn peer(&self) -> SocketAddr {
        self.peer
    }
}

impl GlommioConn {
    pub(super) async fn connect(addr: SocketAddr, deadline: Instant) -> io::Result<Self> {
        let patience = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        let stream = TcpStream::connect_timeout(addr, patience).await.map_err(plain)?;
        stream.set_nodelay(true).map_err(plain)?;
        Ok(Self { stream, peer: addr })
    }

    pub(super) fn duplicate(&self) -> io::Result<Self> {
        // SAFETY: the descriptor is open as long as `self`.
        let twin = unsafe { BorrowedFd::borrow_raw(self.stream.as_raw_fd()) }.try_clone_to_owned()?;
        // SAFETY: the descriptor is open, a connected socket, and nobody else's from here on.
        let stream = unsafe { TcpStream::from_raw_fd(twin.into_raw_fd()) };
        Ok(Self { stream, peer: self.peer })
    }

    /// Sends as much of both as the socket takes now.
    fn send_both(&self, first: &[u8], second: &[u8]) -> io::Result<usize> {
        // SAFETY: the descriptor is open as long as `self`.
        let socket = unsafe { BorrowedFd::borrow_raw(self.stream.as_raw_fd()) };
        let parts = [IoSlice::new(first), IoSlice::new(second)];
        socket2::SockRef::from(&socket)
            .send_vectored_with_flags(&parts, libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL)
    }
}

/// Runs `op` until it ends, `deadline` comes (`TimedOut`) or `stop` is set (`Interrupted`); then it is dropped.
async fn within<T>(
    op: impl Future<Output = io::Result<T>>,
    deadline: Option<Instant>,
    stop: Option<&Stop>,
) -> io::Result<T> {
    let mut op = pin!(op);
    let mut stopped = pin!(stop.map(Stop::wait));
    let mut late = deadline.map(Late::new);
    poll_fn(|cx| {
        if let Poll::Ready(done) = op.as_mut().poll(cx) {
            return Poll::Ready(done);
        }
        if late.as_mut().is_some_and(|late| late.has_come(cx)) {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        match stopped.as_mut().as_pin_mut() {
            Some(stopped) => stopped.poll(cx).map(|()| Err(io::ErrorKind::Interrupted.into())),
            None => Poll::Pending,
        }
    })
    .await
}

/// A deadline whose timer is only made when there is something to wait for.
struct Late {
    at: Instant,
    timer: Option<Timer>,
}

impl Late {
    fn new(at: Instant) -> Self {
        Self { at, timer: None }
    }

    fn has_come(&mut self, cx: &mut Context<'_>) -> bool {
        let at = self.at;
        let timer =
            self.timer.get_or_insert_with(|| Timer::new(at.saturating_duration_since(Instant::now())));
        Pin::new(timer).poll(cx).is_ready()
    }
}
