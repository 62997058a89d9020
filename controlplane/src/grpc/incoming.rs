//! Connections to the node listener: handshakes run beside each other and in bounded time, and whoever has shown no
//! certificate has few of them and not for long.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::Sleep;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::server::Connected;

use crate::limits::{
    GRPC_CONNECTIONS_MAX, HANDSHAKE, HANDSHAKES_MAX, STRANGER_AGE, STRANGERS_MAX, STRANGERS_PER_SOURCE_MAX,
};
use crate::sources::{Place, Sources};

/// A connection whose handshake is done, and the places that it holds.
pub(crate) struct Admitted {
    stream: TlsStream<TcpStream>,
    /// When a caller without a certificate has to be gone.
    ends: Option<Pin<Box<Sleep>>>,
    _place: OwnedSemaphorePermit,
    _source: Option<Place>,
}

/// Places of connections.
struct Rooms {
    handshakes: Arc<Semaphore>,
    known: Arc<Semaphore>,
    strangers: Arc<Semaphore>,
    sources: Arc<Sources>,
}

/// Connections as they are admitted; the listener is closed when the stream is dropped.
pub(crate) fn incoming(listener: TcpListener, tls: TlsAcceptor) -> ReceiverStream<io::Result<Admitted>> {
    let (ready, stream) = mpsc::channel(1);
    let rooms = Arc::new(Rooms {
        handshakes: Arc::new(Semaphore::new(HANDSHAKES_MAX)),
        known: Arc::new(Semaphore::new(GRPC_CONNECTIONS_MAX)),
        strangers: Arc::new(Semaphore::new(STRANGERS_MAX)),
        sources: Sources::new(STRANGERS_PER_SOURCE_MAX),
    });
    tokio::spawn(async move {
        loop {
            let Ok(permit) = rooms.handshakes.clone().acquire_owned().await else { return };
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = ready.closed() => return,
            };
            let Ok((stream, peer)) = accepted else {
                // Out of descriptors, mostly: others must end first.
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            let Some(source) = rooms.sources.place(peer.ip()) else {
                tracing::debug!(%peer, "too many connections without a certificate from one address");
                continue;
            };
            let (tls, ready, rooms) = (tls.clone(), ready.clone(), rooms.clone());
            tokio::spawn(async move {
                let _ = stream.set_nodelay(true);
                let shaken = tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await;
                drop(permit);
                match shaken {
                    Ok(Ok(stream)) => match rooms.admit(stream, source) {
                        Some(admitted) => drop(ready.send(Ok(admitted)).await),
                        None => tracing::warn!(%peer, "there are too many connections to the node listener"),
                    },
                    Ok(Err(error)) => tracing::debug!(%peer, %error, "a TLS handshake failed"),
                    Err(_) => tracing::debug!(%peer, "a TLS handshake took too long"),
                }
            });
        }
    });
    ReceiverStream::new(stream)
}

impl Rooms {
    /// `None`: there is no room.
    fn admit(&self, stream: TlsStream<TcpStream>, source: Place) -> Option<Admitted> {
        let shows_certificate = stream.get_ref().1.peer_certificates().is_some();
        let (room, ends, source) = if shows_certificate {
            (&self.known, None, None)
        } else {
            (&self.strangers, Some(Box::pin(tokio::time::sleep(STRANGER_AGE))), Some(source))
        };
        let place = room.clone().try_acquire_owned().ok()?;
        Some(Admitted { stream, ends, _place: place, _source: source })
    }
}

impl Admitted {
    fn stream(self: Pin<&mut Self>) -> Pin<&mut TlsStream<TcpStream>> {
        Pin::new(&mut self.get_mut().stream)
    }
}

impl AsyncRead for Admitted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(ends) = &mut self.ends
            && ends.as_mut().poll(context).is_ready()
        {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        self.stream().poll_read(context, buf)
    }
}

impl AsyncWrite for Admitted {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.stream().poll_write(context, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_shutdown(context)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.stream().poll_write_vectored(context, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

impl Connected for Admitted {
    type ConnectInfo = <TlsStream<TcpStream> as Connected>::ConnectInfo;

    fn connect_info(&self) -> Self::ConnectInfo {
        self.stream.connect_info()
    }
}
