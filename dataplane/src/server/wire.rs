//! A client's connection, in clear or in TLS: what handlers and bodies read from.

use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::tls::TlsConn;
use crate::rt::{AlignedBuf, Chunk, Conn, Stop};

pub enum Wire<C> {
    Plain(C),
    Tls(Box<TlsConn<C>>),
}

impl<C: Conn> Conn for Wire<C> {
    async fn recv(
        &mut self,
        buf: AlignedBuf,
        at: Range<usize>,
        deadline: Instant,
    ) -> (io::Result<usize>, AlignedBuf) {
        match self {
            Self::Plain(conn) => conn.recv(buf, at, deadline).await,
            Self::Tls(conn) => conn.recv(buf, at, deadline).await,
        }
    }

    async fn send(&mut self, head: Bytes, body: Option<Chunk>, stall: Duration) -> io::Result<()> {
        match self {
            Self::Plain(conn) => conn.send(head, body, stall).await,
            Self::Tls(conn) => conn.send(head, body, stall).await,
        }
    }

    async fn readable(&mut self, deadline: Instant, stop: &Stop) -> io::Result<()> {
        match self {
            Self::Plain(conn) => conn.readable(deadline, stop).await,
            Self::Tls(conn) => conn.readable(deadline, stop).await,
        }
    }

    async fn shutdown_write(&mut self) {
        match self {
            Self::Plain(conn) => conn.shutdown_write().await,
            Self::Tls(conn) => conn.shutdown_write().await,
        }
    }

    fn peer(&self) -> SocketAddr {
        match self {
            Self::Plain(conn) => conn.peer(),
            Self::Tls(conn) => conn.peer(),
        }
    }
}
