//! A TLS connection that receives and sends at the same time.
//!
//! rustls is shared; each half has a handle of its own on the socket. Records leave in the order in which rustls made them,
//! because only the sending half takes them. What a receive wants to have answered (a key update) goes with the next send.

use std::cell::RefCell;
use std::io::{self, Write as _};
use std::ops::Range;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rustls::Connection;

use super::{Inbound, outbound};
use crate::rt::{AlignedBuf, Chunk, Conn, Stop};

/// The half that receives.
pub struct TlsRecv<C> {
    conn: C,
    tls: Rc<RefCell<Connection>>,
    inbound: Inbound,
}

/// The half that sends.
pub struct TlsSend<C> {
    conn: C,
    tls: Rc<RefCell<Connection>>,
}

pub(super) fn split<C: Conn>(
    conn: C,
    twin: C,
    tls: Connection,
    inbound: Inbound,
) -> (TlsRecv<C>, TlsSend<C>) {
    let tls = Rc::new(RefCell::new(tls));
    (TlsRecv { conn, tls: Rc::clone(&tls), inbound }, TlsSend { conn: twin, tls })
}

impl<C: Conn> TlsRecv<C> {
    /// Fills `buf[at]` whole, and `buf.len()` grows to its end. With an error what came is lost. Never drop its future.
    ///
    /// # Errors
    /// `UnexpectedEof` at the end of the stream, `TimedOut` when nothing came for `stall` or not all by `deadline`,
    /// `InvalidData`, or the connection's.
    pub async fn recv_exactly(
        &mut self,
        mut buf: AlignedBuf,
        at: Range<usize>,
        stall: Duration,
        deadline: Instant,
    ) -> io::Result<AlignedBuf> {
        let mut from = at.start;
        while from < at.end {
            let count = {
                let tls = &mut self.tls.borrow_mut();
                self.inbound.read_plaintext(tls, &mut buf.space()[from..at.end])?
            };
            from += count;
            if count > 0 {
                continue;
            }
            if self.inbound.ended {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.inbound.receive(&mut self.conn, deadline.min(Instant::now() + stall)).await?;
            self.inbound.absorb(&mut self.tls.borrow_mut())?;
        }
        buf.set_len(buf.len().max(at.end));
        Ok(buf)
    }

    /// As [`Conn::readable`].
    ///
    /// # Errors
    /// `TimedOut` at `deadline`, `Interrupted` once `stop` is set, or the connection's.
    pub async fn readable(&mut self, deadline: Instant, stop: &Stop) -> io::Result<()> {
        if self.inbound.has_some() {
            return Ok(());
        }
        self.conn.readable(deadline, stop).await
    }
}

impl<C: Conn> TlsSend<C> {
    /// As [`Conn::send`].
    ///
    /// # Errors
    /// `TimedOut` when nothing moved for `stall` or not all by `deadline`, or the connection's.
    pub async fn send(
        &mut self,
        head: &[u8],
        body: Option<&Chunk>,
        stall: Duration,
        deadline: Instant,
    ) -> io::Result<()> {
        for mut part in [head, body.map_or(&[][..], |body| body)] {
            while !part.is_empty() {
                // rustls takes no more than its buffer's limit at once.
                let taken = self.tls.borrow_mut().writer().write(part)?;
                part = &part[taken..];
                if !part.is_empty() {
                    self.flush(stall, deadline).await?;
                }
            }
        }
        self.flush(stall, deadline).await
    }

    /// Says that nothing more comes, and closes this direction.
    pub async fn close(&mut self, stall: Duration) {
        self.tls.borrow_mut().send_close_notify();
        // Who has gone does not get it; nothing depends on it.
        let _ = self.flush(stall, Instant::now() + stall).await;
        self.conn.shutdown_write().await;
    }

    async fn flush(&mut self, stall: Duration, deadline: Instant) -> io::Result<()> {
        loop {
            let records = outbound(&mut self.tls.borrow_mut())?;
            let Some(records) = records else { return Ok(()) };
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            self.conn.send(Bytes::new(), Some(records), stall.min(left)).await?;
        }
    }
}
