//! The PROXY header of a connection, where the port wants one: read to its last byte and no further, so that what follows
//! (a TLS handshake, a request) is read as if the header had never been.

use std::io;
use std::time::Instant;

use holdfast_protocol::proxy::{Progress, ProxyHeader, TrustedProxies};

use crate::limits::HEAD_DEADLINE;
use crate::metrics;
use crate::rt::{AlignedBuf, Conn};
use holdfast_protocol::limits::PROXY_HEADER_BYTES_MAX;

/// The proxies in front of a port. The default: none.
#[derive(Clone, Debug, Default)]
pub struct Proxies {
    /// Whose headers count, those of the PROXY protocol and those of requests.
    pub trusted: TrustedProxies,
    /// Every connection comes from a trusted proxy and begins with a PROXY header; others are closed without a word.
    pub header_required: bool,
}

/// What becomes of a connection.
pub(super) enum Told {
    /// It is to be closed.
    Close,
    /// No proxy says anything of it; the port wants no header.
    Nothing,
    By(ProxyHeader),
}

/// What the proxy says of a connection. One that is `full` (and will be told to come back later) is not waited for.
pub(super) async fn header<C: Conn>(conn: &mut C, proxies: &Proxies, full: bool) -> Told {
    if !proxies.header_required {
        return Told::Nothing;
    }
    let peer = conn.peer();
    if !proxies.trusted.holds(peer.ip()) {
        metrics::core().proxy_refused();
        tracing::debug!(%peer, "a connection from who is no trusted proxy is refused");
        return Told::Close;
    }
    if full {
        return Told::By(ProxyHeader::default());
    }
    match read(conn).await {
        Ok(header) => header.map_or(Told::Close, Told::By),
        Err(error) => {
            metrics::core().proxy_refused();
            tracing::warn!(%peer, %error, "the connection of a trusted proxy is refused");
            Told::Close
        }
    }
}

/// `Ok(None)`: the proxy only looked whether somebody is there.
async fn read<C: Conn>(conn: &mut C) -> io::Result<Option<ProxyHeader>> {
    let deadline = Instant::now() + HEAD_DEADLINE;
    let mut buf = AlignedBuf::with_capacity(PROXY_HEADER_BYTES_MAX);
    loop {
        let missing = match ProxyHeader::parse(&buf) {
            Ok(Progress::Whole { header, .. }) => return Ok(Some(header)),
            Ok(Progress::Missing(missing)) => missing,
            Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidData, error)),
        };
        let from = buf.len();
        let (received, back) = conn.recv(buf, from..from + missing, deadline).await;
        buf = back;
        match received? {
            0 if from == 0 => return Ok(None),
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            _ => {}
        }
    }
}
