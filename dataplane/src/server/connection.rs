//! One connection: request after request, until somebody wants it closed.

use std::time::{Duration, Instant};

use holdfast_protocol::http::head::{Method, RequestHead};
use holdfast_protocol::proxy::Origin;

use super::body::{Input, RequestBody, Rest};
use super::head::{self, Next};
use super::proxy;
use super::response::{self, Sent};
use super::tls::TlsConn;
use super::{Context, Handler, Refusal, RequestId, Server, Wire};
use crate::limits::{
    BODY_BUFFER_BYTES, DRAIN_CLOSE_BYTES, DRAIN_CLOSE_DEADLINE, DRAIN_KEEP_BYTES, HEAD_DEADLINE,
};
use crate::metrics;
use crate::rt::{AlignedBuf, Conn, Rt};

/// Serves a connection to its end. With `full`, only tells the client to come back later.
pub(super) async fn run<R: Rt, H: Handler<Wire<R::Conn>>>(server: &Server<H>, mut conn: R::Conn, full: bool) {
    let told = match proxy::header(&mut conn, &server.proxies, full).await {
        proxy::Told::Close => return,
        proxy::Told::Nothing => None,
        proxy::Told::By(header) => Some(header),
    };
    let mut wire = match &server.tls {
        None => Wire::Plain(conn),
        Some(_) if full => return,
        Some(config) => match TlsConn::accept(conn, config.clone(), Instant::now() + HEAD_DEADLINE).await {
            Ok(conn) => Wire::Tls(Box::new(conn)),
            Err(error) => {
                metrics::core().tls_failed();
                tracing::debug!(%error, "a TLS handshake failed");
                return;
            }
        },
    };
    let own = Origin::new(wire.peer().ip(), matches!(wire, Wire::Tls(_)));
    let origin = told.map_or(own, |header| own.proxied(&header));
    if full {
        let context = context::<R, H>(server, &wire, origin);
        return refuse(server, &mut wire, Refusal::ConnectionsFull, &context).await;
    }
    serve::<R, H>(server, &mut wire, origin).await;
}

/// `origin`: the connection's.
async fn serve<R: Rt, H: Handler<Wire<R::Conn>>>(
    server: &Server<H>,
    wire: &mut Wire<R::Conn>,
    origin: Origin,
) {
    let mut input = Input::default();
    loop {
        let refusal = match head::next(wire, &mut input, &server.stop).await {
            Next::Closed => return wire.shutdown_write().await,
            Next::Malformed(error) => Refusal::Head(error),
            Next::Late => Refusal::HeadLate,
            Next::Head(head) => {
                let context = context::<R, H>(server, wire, origin.forwarded(&head, &server.proxies.trusted));
                match answer(server, wire, &mut input, &head, &context).await {
                    After::Next => continue,
                    After::Done => return wire.shutdown_write().await,
                    After::Close => return linger(wire).await,
                    After::Broken => return,
                }
            }
        };
        let context = context::<R, H>(server, wire, origin);
        return refuse(server, wire, refusal, &context).await;
    }
}

/// What happens to a connection after an answer.
enum After {
    Next,
    /// All was said on both sides: close.
    Done,
    /// The client may still be sending: half-close, drain, close.
    Close,
    /// Nothing can be sent any more.
    Broken,
}

async fn answer<C: Conn, H: Handler<C>>(
    server: &Server<H>,
    wire: &mut C,
    input: &mut Input,
    head: &RequestHead,
    context: &Context,
) -> After {
    let start = Instant::now();
    let mut body = RequestBody::new(wire, input, head.framing(), head.expects_continue());
    let response = server.handler.handle(head, &mut body, context).await;
    let keep = head.keep_alive() && !response.close && !server.stop.is_set() && may_keep(body.rest());
    let response = response.closing(!keep);
    let done = Done { operation: response.operation, status: response.status(), received: body.received() };
    let without_body = head.method() == Method::Head;
    let sent = response::send(body.wire, response, context, without_body).await;
    report(head, context, &done, &sent, start.elapsed());
    match sent {
        Sent::Whole(_) if keep => drain_to_keep(&mut body).await,
        Sent::Whole(_) if body.rest() == Rest::Nothing && body.input_is_empty() => After::Done,
        Sent::Whole(_) => After::Close,
        Sent::Broken => After::Broken,
    }
}

/// Reads away what the handler left, so that the next request can be found.
async fn drain_to_keep<C: Conn>(body: &mut RequestBody<'_, C>) -> After {
    match body.rest() {
        Rest::Nothing => After::Next,
        _ if body.drain(DRAIN_KEEP_BYTES).await => After::Next,
        _ => After::Close,
    }
}

/// Whether a connection whose request's body was left like this can carry another request.
fn may_keep(rest: Rest) -> bool {
    match rest {
        Rest::Nothing | Rest::Unknown => true,
        Rest::Bytes(left) => left <= DRAIN_KEEP_BYTES,
        Rest::Unwanted | Rest::Broken => false,
    }
}

/// Answers what is not a request, and closes.
async fn refuse<C: Conn, H: Handler<C>>(server: &Server<H>, wire: &mut C, why: Refusal, context: &Context) {
    let response = server.handler.refuse(why, context).closing(true);
    let status = response.status();
    let sent = response::send(wire, response, context, false).await;
    metrics::core().request("refused", status, Duration::ZERO);
    tracing::debug!(request_id = %context.request_id, peer = %context.peer, ?why, ?sent, "refused");
    if matches!(sent, Sent::Whole(_)) {
        linger(wire).await;
    }
}

/// Half-closes and reads on for a bounded while: closing with bytes unread would send a reset, and that would take the
/// answer out of the client's hands before it was read.
async fn linger<C: Conn>(wire: &mut C) {
    wire.shutdown_write().await;
    let deadline = Instant::now() + DRAIN_CLOSE_DEADLINE;
    let mut drained = 0;
    let mut buf = AlignedBuf::with_capacity(BODY_BUFFER_BYTES);
    while drained < DRAIN_CLOSE_BYTES {
        let (received, back) = wire.recv(buf, 0..BODY_BUFFER_BYTES, deadline).await;
        buf = back;
        match received {
            Ok(count) if count > 0 => drained += count as u64,
            _ => return,
        }
    }
}

fn context<R: Rt, H>(server: &Server<H>, wire: &Wire<R::Conn>, origin: Origin) -> Context {
    let mut random = [0; 8];
    R::random(&mut random);
    Context {
        request_id: RequestId::new(random),
        host_id: server.host_id.clone(),
        peer: wire.peer(),
        origin,
        received_ms: R::unix_ms(),
    }
}

/// What is known about an answered request.
struct Done {
    operation: &'static str,
    status: u16,
    received: u64,
}

/// Counts the request and writes the access log. The query is never written: it may hold a presigned signature.
fn report(head: &RequestHead, context: &Context, done: &Done, sent: &Sent, took: Duration) {
    metrics::core().request(done.operation, done.status, took);
    let bytes_out = if let Sent::Whole(bytes) = sent { *bytes } else { 0 };
    let whole = matches!(sent, Sent::Whole(_));
    macro_rules! line {
        ($level:ident) => {
            tracing::$level!(
                target: "access",
                request_id = %context.request_id,
                peer = %context.peer,
                client = %context.origin.address,
                method = head.method_str(),
                path = %String::from_utf8_lossy(head.path()),
                operation = done.operation,
                status = done.status,
                bytes_in = done.received,
                bytes_out,
                whole,
                ms = took.as_secs_f64() * 1000.0,
            )
        };
    }
    if done.status >= 500 || !whole { line!(info) } else { line!(debug) }
}
