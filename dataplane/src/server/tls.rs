//! TLS over any [`Conn`]: rustls decides, this moves the bytes.
//!
//! Our own adapter and not monoio-rustls, so that every runtime of the seam carries it, with the same deadlines.

mod config;
mod halves;

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, Connection, ServerConfig, ServerConnection};

pub use config::{Certificates, TlsError, load};
pub(crate) use config::{Stamp, stamp};
pub use halves::{TlsRecv, TlsSend};

use crate::limits::{HEAD_DEADLINE, TLS_SEND_BYTES};
use crate::rt::{AlignedBuf, Chunk, Conn, Stop};

/// Room to receive records into: two of the largest (16 KiB and their overhead), and then some.
const RECV_BYTES: usize = 64 << 10;

/// One side of a TLS connection.
pub struct TlsConn<C> {
    conn: C,
    tls: Connection,
    inbound: Inbound,
}

/// What was received and is on its way through rustls.
#[derive(Default)]
struct Inbound {
    /// Records received and not yet taken by rustls.
    records: Option<Chunk>,
    /// Decrypted bytes that wait in rustls.
    plaintext: usize,
    ended: bool,
}

impl Inbound {
    /// Receives records, unless some are at hand or no more come.
    async fn receive<C: Conn>(&mut self, conn: &mut C, deadline: Instant) -> io::Result<()> {
        if self.records.is_some() || self.ended {
            return Ok(());
        }
        let buf = AlignedBuf::with_capacity(RECV_BYTES);
        let (received, buf) = conn.recv(buf, 0..RECV_BYTES, deadline).await;
        let count = received?;
        self.ended = count == 0;
        self.records = (count > 0).then(|| Chunk::new(buf, 0..count));
        Ok(())
    }

    /// Hands rustls the records at hand, and decrypts them.
    fn absorb(&mut self, tls: &mut Connection) -> io::Result<()> {
        let Some(mut records) = self.records.take() else { return Ok(()) };
        let taken = tls.read_tls(&mut &records[..])?;
        records.advance(taken);
        self.records = (!records.is_empty()).then_some(records);
        let state =
            tls.process_new_packets().map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        self.plaintext = state.plaintext_bytes_to_read();
        self.ended |= state.peer_has_closed();
        Ok(())
    }

    /// Copies decrypted bytes out; 0 when there are none now.
    fn read_plaintext(&mut self, tls: &mut Connection, out: &mut [u8]) -> io::Result<usize> {
        let mut count = 0;
        while count < out.len() {
            match tls.reader().read(&mut out[count..]) {
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

    /// Whether a receive would not wait.
    fn has_some(&self) -> bool {
        self.plaintext > 0 || self.records.is_some() || self.ended
    }
}

/// What rustls has ready to be sent, up to a buffer of it: handshake messages, alerts, encrypted data.
fn outbound(tls: &mut Connection) -> io::Result<Option<Chunk>> {
    if !tls.wants_write() {
        return Ok(None);
    }
    let mut buf = AlignedBuf::with_capacity(TLS_SEND_BYTES);
    let mut filler = Filler(&mut buf);
    while tls.wants_write() && filler.0.remaining() > 0 {
        tls.write_tls(&mut filler)?;
    }
    Ok(Some(Chunk::from(buf)))
}

impl<C: Conn> TlsConn<C> {
    /// Shakes hands with a client.
    ///
    /// # Errors
    /// `TimedOut` at `deadline`, `InvalidData` with rustls' reason, or the connection's.
    pub async fn accept(conn: C, config: Arc<ServerConfig>, deadline: Instant) -> io::Result<Self> {
        let tls = ServerConnection::new(config).map_err(io::Error::other)?;
        Self::shake_hands(conn, tls.into(), deadline).await
    }

    /// Shakes hands with a server. Who that is, is for `config` and the caller to check: `name` is only passed on to both.
    ///
    /// # Errors
    /// As [`TlsConn::accept`].
    pub async fn connect(
        conn: C,
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
        deadline: Instant,
    ) -> io::Result<Self> {
        let tls = ClientConnection::new(config, name).map_err(io::Error::other)?;
        Self::shake_hands(conn, tls.into(), deadline).await
    }

    async fn shake_hands(conn: C, tls: Connection, deadline: Instant) -> io::Result<Self> {
        let mut this = Self { conn, tls, inbound: Inbound::default() };
        while this.tls.is_handshaking() {
            this.flush(HEAD_DEADLINE).await?;
            if !this.tls.is_handshaking() {
                break;
            }
            this.take_records(deadline).await?;
            if this.inbound.ended {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        this.flush(HEAD_DEADLINE).await?;
        Ok(this)
    }

    /// The certificate that the other side has shown, DER.
    #[must_use]
    pub fn peer_certificate(&self) -> Option<&[u8]> {
        self.tls.peer_certificates()?.first().map(|certificate| &**certificate)
    }

    /// Two halves, so that one receives while the other sends; `twin` is a second handle on the same connection.
    #[must_use]
    pub fn into_halves(self, twin: C) -> (TlsRecv<C>, TlsSend<C>) {
        halves::split(self.conn, twin, self.tls, self.inbound)
    }

    /// Sends what rustls has ready.
    async fn flush(&mut self, stall: Duration) -> io::Result<()> {
        while let Some(records) = outbound(&mut self.tls)? {
            self.conn.send(Bytes::new(), Some(records), stall).await?;
        }
        Ok(())
    }

    /// Hands rustls the records at hand, or else those that come next, and decrypts them.
    async fn take_records(&mut self, deadline: Instant) -> io::Result<()> {
        self.inbound.receive(&mut self.conn, deadline).await?;
        let absorbed = self.inbound.absorb(&mut self.tls);
        if matches!(&absorbed, Err(error) if error.kind() == io::ErrorKind::InvalidData) {
            // The other side learns the reason from the alert.
            let _ = self.flush(HEAD_DEADLINE).await;
        }
        absorbed
    }

    async fn recv_into(&mut self, out: &mut [u8], deadline: Instant) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        loop {
            let count = self.inbound.read_plaintext(&mut self.tls, out)?;
            if count > 0 || self.inbound.ended {
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
        if self.inbound.has_some() {
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
