//! Waiting for the next request head: without a buffer while nothing comes, with a deadline once something did.

use std::io;
use std::time::Instant;

use holdfast_protocol::http::head::{HeadError, RequestHead};
use holdfast_protocol::limits::HEAD_BYTES_MAX;

use super::body::Input;
use crate::limits::{HEAD_BUFFER_BYTES, HEAD_DEADLINE, IDLE_DEADLINE, IDLE_WITH_BUFFER};
use crate::rt::{AlignedBuf, Chunk, Conn, Stop};

/// What came instead of, or as, the next head.
pub(super) enum Next {
    Head(Box<RequestHead>),
    /// The client left, or sent nothing for long, or we stop: nothing to answer.
    Closed,
    Malformed(HeadError),
    Late,
}

/// Reads the next head of a connection; what came after it is left in `input`.
pub(super) async fn next<C: Conn>(wire: &mut C, input: &mut Input, stop: &Stop) -> Next {
    let mut buf = match input.take() {
        Some(rest) => buffer_of(rest),
        None if stop.is_set() => return Next::Closed,
        None => match first_bytes(wire, stop).await {
            Ok(Some(buf)) => buf,
            Ok(None) | Err(_) => return Next::Closed,
        },
    };
    let deadline = Instant::now() + HEAD_DEADLINE;
    loop {
        match RequestHead::parse(&buf) {
            Ok(Some((head, used))) => {
                let len = buf.len();
                *input = Input::new(Chunk::new(buf, used..len));
                return Next::Head(Box::new(head));
            }
            Ok(None) => {}
            Err(error) => return Next::Malformed(error),
        }
        let from = buf.len();
        let buf_with_room = with_room(buf);
        let to = buf_with_room.capacity();
        let (received, back) = wire.recv(buf_with_room, from..to, deadline).await;
        buf = back;
        match received {
            Ok(0) => return Next::Closed,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::TimedOut => return Next::Late,
            Err(_) => return Next::Closed,
        }
    }
}

/// Waits for a request to begin: for a moment with a buffer at hand, which saves a busy connection one operation per
/// request, then without.
async fn first_bytes<C: Conn>(wire: &mut C, stop: &Stop) -> io::Result<Option<AlignedBuf>> {
    let soon = Instant::now() + IDLE_WITH_BUFFER;
    match receive(wire, soon).await {
        Err(error) if error.kind() == io::ErrorKind::TimedOut => {}
        done => return done,
    }
    wire.readable(Instant::now() + IDLE_DEADLINE, stop).await?;
    receive(wire, Instant::now() + HEAD_DEADLINE).await
}

async fn receive<C: Conn>(wire: &mut C, deadline: Instant) -> io::Result<Option<AlignedBuf>> {
    let (received, buf) =
        wire.recv(AlignedBuf::with_capacity(HEAD_BUFFER_BYTES), 0..HEAD_BUFFER_BYTES, deadline).await;
    received.map(|count| (count > 0).then_some(buf))
}

/// What an earlier request left, as a buffer of its own to receive more into.
fn buffer_of(rest: Chunk) -> AlignedBuf {
    let mut buf = AlignedBuf::with_capacity(rest.len().max(HEAD_BUFFER_BYTES));
    buf.extend_from_slice(&rest);
    buf
}

/// The same bytes with room for more: doubled when full. The parser refuses a head long before this grows without end.
fn with_room(buf: AlignedBuf) -> AlignedBuf {
    if buf.remaining() > 0 {
        return buf;
    }
    assert!(buf.len() <= 2 * HEAD_BYTES_MAX, "the parser bounds a head");
    let mut larger = AlignedBuf::with_capacity(2 * buf.capacity());
    larger.extend_from_slice(&buf);
    larger
}
