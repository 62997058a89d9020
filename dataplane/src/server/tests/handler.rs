//! What the tests' server answers.

use std::io;

use holdfast_protocol::http::head::RequestHead;
use holdfast_protocol::http::response::ResponseHead;

use crate::rt::{AlignedBuf, Chunk, Conn, CoreConfig, Rt};
use crate::server::cores::CoreSetup;
use crate::server::response::NextChunk;
use crate::server::{
    BodyError, BodyStream, Context, Handler, Refusal, RequestBody, Response, StreamError, Wire,
};

#[derive(Clone)]
pub(super) struct Setup;

impl<R: Rt> CoreSetup<R> for Setup {
    type Handler = Echo;

    async fn build(&self, _: &CoreConfig) -> io::Result<Echo> {
        Ok(Echo)
    }

    async fn close(&self, _: &CoreConfig) {}
}

pub(super) struct Echo;

impl<C: Conn> Handler<Wire<C>> for Echo {
    async fn handle(
        &self,
        head: &RequestHead,
        body: &mut RequestBody<'_, Wire<C>>,
        context: &Context,
    ) -> Response {
        let new = |status| ResponseHead::new(status, context.received_ms);
        let path = std::str::from_utf8(head.path()).unwrap();
        match path {
            "/hello" => Response::bytes(new(200), "hello"),
            "/origin" => {
                let origin = context.origin;
                Response::bytes(new(200), format!("{} {}", origin.address, origin.secure))
            }
            "/refuse" => Response::bytes(new(403), "refused"),
            "/echo" => match read(body).await {
                Ok(bytes) => Response::bytes(new(200), bytes),
                Err(BodyError::Truncated) => Response::bytes(new(400), "truncated"),
                Err(BodyError::Chunked(_)) => Response::bytes(new(400), "chunked"),
                Err(error) => Response::bytes(new(400), error.to_string()),
            },
            "/break" => count(new(200), 1000, Count::new(500, true)).await,
            _ => match path.strip_prefix("/stream/").and_then(|bytes| bytes.parse().ok()) {
                Some(bytes) => count(new(200), bytes, Count::new(bytes, false)).await,
                None => Response::empty(new(404)),
            },
        }
    }

    fn refuse(&self, why: Refusal, context: &Context) -> Response {
        let status = match why {
            Refusal::Head(error) => error.status(),
            Refusal::HeadLate => 408,
            Refusal::ConnectionsFull => 503,
        };
        Response::bytes(ResponseHead::new(status, context.received_ms), format!("{why:?}"))
    }
}

async fn count(head: ResponseHead, bytes: u64, mut stream: Count) -> Response {
    match stream.next().await {
        Ok(Some(first)) => Response::stream(head, bytes, first, Box::new(stream)),
        Ok(None) => Response::empty(head),
        Err(StreamError) => unreachable!("it fails later"),
    }
}

async fn read<C: Conn>(body: &mut RequestBody<'_, Wire<C>>) -> Result<Vec<u8>, BodyError> {
    let mut bytes = Vec::new();
    while let Some(chunk) = body.next().await? {
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// The bytes 0..251 over and over; at the end, or a failure.
struct Count {
    at: u64,
    bytes: u64,
    fails: bool,
}

impl Count {
    fn new(bytes: u64, fails: bool) -> Self {
        Self { at: 0, bytes, fails }
    }
}

impl BodyStream for Count {
    fn next(&mut self) -> NextChunk<'_> {
        Box::pin(async move {
            if self.at == self.bytes {
                return if self.fails { Err(StreamError) } else { Ok(None) };
            }
            let count = (self.bytes - self.at).min(100_000);
            let mut buf = AlignedBuf::zeroed(count as usize);
            for (at, byte) in buf.iter_mut().enumerate() {
                *byte = ((self.at + at as u64) % 251) as u8;
            }
            self.at += count;
            Ok(Some(Chunk::from(buf)))
        })
    }
}
