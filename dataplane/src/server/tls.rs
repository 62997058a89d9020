//! TLS over any [`Conn`]: rustls decides, this moves the bytes.
//!
//! Our own adapter and not monoio-rustls, so that every runtime of the seam carries it, with the same deadlines.

mod config;

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rustls::{ServerConfig, ServerConnection};

pub use config::{Certificates, TlsError, load};

use crate::limits::{HEAD_DEADLINE, TLS_SEND_BYTES};
use crate::rt::{AlignedBuf, Chunk, Conn, Stop};

/// Room to receive records into: two of the largest (16 KiB and their overhead), and then some.
const RECV_BYTES: usize = 64 << 10;

/// A server's side of a TLS connection.
pub struct TlsConn<C> {
    conn: C,
    tls: ServerConnection,
    /// Records received and not yet taken by rustls.
    records: Option<Chunk>,
    /// Decrypted bytes that wait in rustls.
    plaintext: usize,
    ended: bool,
}

impl<C: Conn> TlsConn<C> {
    /// Shakes hands.
    ///
    /// # Errors
    /// `TimedOut` at `deadline`, `InvalidData` with rustls' reason, or the connection's.
    pub async fn accept(conn: C, config: Arc<ServerConfig>, deadline: Instant) -> io::Result<Self> {
        let tls = ServerConnection::new(config).map_err(io::Error::other)?;
        let mut this = Self { conn, tls, records: None, plaintext: 0, ended: false };
        while this.tls.is_handshaking() {
            this.flush(HEAD_DEADLINE).await?;
            if !this.tls.is_handshaking() {
                break;
            }
            this.take_records(deadline).await?;
            if this.ended {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        this.flush(HEAD_DEADLINE).await?;
        Ok(this)
    }

    /// Sends what rustls has ready: handshake messages, alerts, encrypted data.
    async fn flush(&mut self, stall: Duration) -> io::Result<()> {
        while self.tls.wants_write() {
            let mut buf = AlignedBuf::with_capacity(TLS_SEND_BYTES);
            let mut filler = Filler(&mut buf);
            while self.tls.wants_write() && filler.0.remaining() > 0 {
                self.tls.write_tls(&mut filler)?;
            }
            self.conn.send(Bytes::new(), Some(Chunk::from(buf)), stall).await?;
        }
        Ok(())
    }

    /// Hands rustls the records at hand, or else those that come next, and decrypts them.
    async fn take_records(&mut self, deadline: Instant) -> io::Result<()> {
        let mut records = match self.records.take() {
            Some(records) => records,
            None => {
                let buf = AlignedBuf::with_capacity(RECV_BYTES);
                let (received, buf) = self.conn.recv(buf, 0..RECV_BYTES, deadline).await;
                let count = received?;
                if count == 0 {
                    self.ended = true;
                    return Ok(());
                }
                Chunk::new(buf, 0..count)
            }
        };
        let taken = self.tls.read_tls(&mut &records[..])?;
        records.advance(taken);
        self.records = (!records.is_empty()).then_some(records);
        match self.tls.process_new_packets() {
            Ok(state) => {
                self.plaintext = state.plaintext_bytes_to_read();
                self.ended |= state.peer_has_closed();
                Ok(())
            }
            Err(error) => {
                // The client learns the reason from the alert.
                let _ = self.flush(HEAD_DEADLINE).await;
                Err(io::Error::new(io::ErrorKind::InvalidData, error))
            }
        }
    }

    /// Copies decrypted bytes out; 0 when there are none now.
    fn read_plaintext(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let mut count = 0;
        while count < out.len() {
            match self.tls.reader().read(&mut out[count..]) {
                Ok(0) => break,
                Ok(read) => count += read,
                // The end without a closing alert; what it means is for the framing above to say.
                Err(error)
                    if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::UnexpectedEof) =>
                {
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        self.plaintext = self.plaintext.saturating_sub(count);
        Ok(count)
    }

    async fn recv_into(&mut self, out: &mut [u8], deadline: Instant) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        loop {
            let count = self.read_plaintext(out)?;
            if count > 0 || self.ended {
                return Ok(count);
            }
            self.take_records(deadline).await?;
            // Key updates and tickets want answers.
            self.flush(HEAD_DEADLINE).await?;
        }
    }
}

impl<C: Conn> Conn for TlsConn<C> {
    async fn recv(
        &mut self,
        mut buf: AlignedBuf,
        at: Range<usize>,
        deadline: Instant,
    ) -> (io::Result<usize>, AlignedBuf) {
        let start = at.start;
        let received = self.recv_into(&mut buf.space()[at], deadline).await;
        if let Ok(count) = received
            && start + count > buf.len()
        {
            buf.set_len(start + count);
        }
        (received, buf)
    }

    async fn send(&mut self, head: Bytes, body: Option<Chunk>, stall: Duration) -> io::Result<()> {
        let body = body.as_deref().unwrap_or_default();
        for mut part in [&head[..], body] {
            while !part.is_empty() {
                // rustls takes no more than its buffer's limit at once.
                let taken = self.tls.writer().write(part)?;
                part = &part[taken..];
                if !part.is_empty() {
                    self.flush(stall).await?;
                }
            }
        }
        self.flush(stall).await
    }

    async fn readable(&mut self, deadline: Instant, stop: &Stop) -> io::Result<()> {
        if self.plaintext > 0 || self.records.is_some() || self.ended {
            return Ok(());
        }
        self.conn.readable(deadline, stop).await
    }

    async fn shutdown_write(&mut self) {
        self.tls.send_close_notify();
        // A client that has gone does not get it; nothing depends on it.
        let _ = self.flush(HEAD_DEADLINE).await;
        self.conn.shutdown_write().await;
    }

    fn peer(&self) -> SocketAddr {
        self.conn.peer()
    }
}

/// Appends to a buffer until it is full.
struct Filler<'b>(&'b mut AlignedBuf);

impl Write for Filler<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(self.0.extend_some(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
