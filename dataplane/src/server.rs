//! The S3 port: connections of one core, from the first byte to the last, around a [`Handler`] that knows S3.
//!
//! A connection is accepted on a core and stays there for life. Where a proxy's header is wanted it comes first (`proxy.rs`). Idle ones hold no buffer. Every wait has a deadline, every
//! buffer a bound (`limits.rs`). An answer that does not wait for the request's body is followed by a half-close and a
//! bounded drain, so that a client that is still sending reads the answer and not a reset.

pub mod body;
pub mod cores;
pub mod proxy;
pub mod response;
pub mod tls;
pub mod wire;

mod connection;
mod head;

use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use holdfast_protocol::http::head::{HeadError, RequestHead};
use holdfast_protocol::proxy::Origin;

pub use body::{BodyError, RequestBody};
pub use proxy::Proxies;
pub use response::{BodyStream, Response, ResponseBody, StreamError};
pub use wire::Wire;

use crate::limits::{ACCEPT_PAUSE, CONNECTIONS_MAX_PER_CORE, REFUSALS_MAX, STOP_DEADLINE};
use crate::metrics;
use crate::rt::{Conn, Listener, Rt, Stop};

/// What answers requests. One per core.
pub trait Handler<C: Conn>: 'static {
    /// Answers one request. The body is read as far as the handler wants; what it leaves is drained or closed upon.
    fn handle(
        &self,
        head: &RequestHead,
        body: &mut RequestBody<'_, C>,
        context: &Context,
    ) -> impl Future<Output = Response>;

    /// The answer to what never became a request. The connection is closed after it.
    fn refuse(&self, why: Refusal, context: &Context) -> Response;
}

/// Why there is no request to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The head is malformed or too large.
    Head(HeadError),
    /// A head began and did not end in time.
    HeadLate,
    /// The core has as many connections as it may.
    ConnectionsFull,
}

/// What the server knows about a request beyond its head.
#[derive(Clone, Debug)]
pub struct Context {
    /// Names the request in its answer, in logs, and to whoever asks about it.
    pub request_id: RequestId,
    /// Names this server (`x-amz-id-2`).
    pub host_id: Arc<str>,
    /// The other end of the connection: a client or a proxy.
    pub peer: SocketAddr,
    /// Where the request comes from: the connection's own, or what a trusted proxy says.
    pub origin: Origin,
    /// When the head was complete, milliseconds since 1970.
    pub received_ms: u64,
}

/// 16 hexadecimal digits, as AWS has them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RequestId([u8; 16]);

impl RequestId {
    /// From 8 random bytes.
    #[must_use]
    pub fn new(random: [u8; 8]) -> Self {
        let mut text = [0; 16];
        for (at, byte) in random.iter().enumerate() {
            text[2 * at] = b"0123456789ABCDEF"[usize::from(byte >> 4)];
            text[2 * at + 1] = b"0123456789ABCDEF"[usize::from(byte & 15)];
        }
        Self(text)
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("hexadecimal digits are ASCII")
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One core's part of the server.
pub struct Server<H> {
    handler: H,
    host_id: Arc<str>,
    tls: Option<Arc<rustls::ServerConfig>>,
    proxies: Arc<Proxies>,
    stop: Stop,
    places: Places,
    connections_max: usize,
}

impl<H> Server<H> {
    /// `host_id` goes into `x-amz-id-2`; with `tls` every connection is TLS.
    pub fn new(handler: H, host_id: Arc<str>, tls: Option<Arc<rustls::ServerConfig>>, stop: Stop) -> Self {
        let connections_max = CONNECTIONS_MAX_PER_CORE;
        let proxies = Arc::default();
        Self { handler, host_id, tls, proxies, stop, places: Places::default(), connections_max }
    }

    /// Believes these proxies; without, nobody.
    #[must_use]
    pub fn proxies(mut self, proxies: Arc<Proxies>) -> Self {
        self.proxies = proxies;
        self
    }

    /// Allows fewer (or more) connections than [`CONNECTIONS_MAX_PER_CORE`].
    #[must_use]
    pub fn connections_max(mut self, count: usize) -> Self {
        self.connections_max = count;
        self
    }
}

/// Serves `listener` until `stop` is set, then waits (bounded) for the answers under way.
pub async fn serve<R: Rt, H: Handler<Wire<R::Conn>>>(server: Rc<Server<H>>, listener: R::Listener) {
    while !server.stop.is_set() {
        match listener.accept(&server.stop).await {
            Ok(conn) => admit::<R, H>(&server, conn),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => break,
            Err(error) => {
                // A client that went away before we looked is nothing; no descriptors is for the operator.
                if error.kind() != io::ErrorKind::ConnectionAborted {
                    tracing::warn!(%error, "accepting a connection failed; if this goes on raise LimitNOFILE");
                    R::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
    drop(listener);
    finish::<R, H>(&server).await;
}

async fn finish<R: Rt, H>(server: &Server<H>) {
    let deadline = R::now() + STOP_DEADLINE;
    while server.places.connections.get() > 0 && R::now() < deadline {
        R::sleep(Duration::from_millis(5)).await;
    }
    let left = server.places.connections.get();
    if left > 0 {
        tracing::warn!(left, "connections were still at work when the time to stop was over");
    }
}

fn admit<R: Rt, H: Handler<Wire<R::Conn>>>(server: &Rc<Server<H>>, conn: R::Conn) {
    let full = server.places.connections.get() >= server.connections_max;
    if full && server.places.refusals.get() >= REFUSALS_MAX {
        return;
    }
    let place = Place::take(Rc::clone(server), full);
    R::spawn(async move {
        // One request's bug closes one connection. What a request holds (budget, op id, half-written blob) is given back
        // by its destructors; drives and link run in tasks of their own, and a panic there still ends the process.
        let run = AssertUnwindSafe(connection::run::<R, H>(&place.server, conn, full)).catch_unwind();
        if run.await.is_err() {
            tracing::error!("a request panicked; its connection is closed, and this is a bug to report");
            metrics::core().request("panicked", 500, Duration::ZERO);
        }
    });
}

/// How many connections there are, and how many are being told that there are too many.
#[derive(Default)]
struct Places {
    connections: Cell<usize>,
    refusals: Cell<usize>,
}

/// A connection's place in the budget.
struct Place<H> {
    server: Rc<Server<H>>,
    refused: bool,
}

impl<H> Place<H> {
    fn take(server: Rc<Server<H>>, refused: bool) -> Self {
        let place = Self { server, refused };
        place.count().set(place.count().get() + 1);
        metrics::core().connection_opened();
        place
    }

    fn count(&self) -> &Cell<usize> {
        let places = &self.server.places;
        if self.refused { &places.refusals } else { &places.connections }
    }
}

impl<H> Drop for Place<H> {
    fn drop(&mut self) {
        self.count().set(self.count().get() - 1);
        metrics::core().connection_closed();
    }
}

#[cfg(test)]
mod tests;
