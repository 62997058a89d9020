//! Both ends of the gRPC stream, set up as the planes set theirs up (`controlplane/src/server.rs`, `dataplane/src/link`).

use super::{down, served};
use holdfast_common::wire::node_client::NodeClient;
use holdfast_common::wire::node_server::{Node, NodeServer};
use holdfast_common::wire::{self, CommitDown, CommitUp};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio_stream::wrappers::{ReceiverStream, UnboundedReceiverStream};
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Endpoint, Server};
use tonic::{Request, Response, Status, Streaming};

const KEEPALIVE: Duration = Duration::from_secs(10);

/// Answers commits, refuses the rest.
struct Echo;

#[tonic::async_trait]
impl Node for Echo {
    type SessionStream = ReceiverStream<Result<wire::SessionDown, Status>>;
    type CommitStream = UnboundedReceiverStream<Result<CommitDown, Status>>;
    type QueryStream = ReceiverStream<Result<wire::QueryDown, Status>>;

    async fn session(
        &self,
        _: Request<Streaming<wire::SessionUp>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        Err(Status::unimplemented("only commits are measured"))
    }

    async fn commit(
        &self,
        request: Request<Streaming<CommitUp>>,
    ) -> Result<Response<Self::CommitStream>, Status> {
        let (answers, stream) = mpsc::unbounded_channel();
        let mut up = request.into_inner();
        tokio::spawn(async move {
            while let Ok(Some(message)) = up.message().await {
                if answers.send(Ok(down(&message))).is_err() {
                    return;
                }
            }
        });
        Ok(Response::new(UnboundedReceiverStream::new(stream)))
    }

    async fn query(
        &self,
        _: Request<Streaming<wire::QueryUp>>,
    ) -> Result<Response<Self::QueryStream>, Status> {
        Err(Status::unimplemented("only commits are measured"))
    }

    async fn work(&self, _: Request<wire::WorkRequest>) -> Result<Response<wire::WorkAnswer>, Status> {
        Err(Status::unimplemented("only commits are measured"))
    }
}

/// The authority's end, in a process of its own.
pub(crate) fn serve() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let entered = runtime.enter();
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a port");
    let address = listener.local_addr().expect("an address");
    let service = NodeServer::new(Echo)
        .max_decoding_message_size(wire::MESSAGE_BYTES_MAX)
        .max_encoding_message_size(wire::MESSAGE_BYTES_MAX);
    let mut server = Server::builder()
        .tcp_nodelay(true)
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE))
        .initial_stream_window_size(4 << 20)
        .initial_connection_window_size(8 << 20);
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    tokio::spawn(server.add_service(service).serve_with_incoming(incoming));
    drop(entered);
    served::until_nobody_asks(address, |_| String::new()).expect("the conversation goes on");
}

/// The node's end: keeps `window` messages in flight for `seconds`, and says how many were answered.
pub(crate) fn flood(address: SocketAddr, up: &CommitUp, window: usize, seconds: f64) -> u64 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let channel = Endpoint::from_shared(format!("http://{address}"))
            .expect("an address")
            .tcp_nodelay(true)
            .initial_stream_window_size(4 << 20)
            .initial_connection_window_size(8 << 20)
            .connect()
            .await
            .expect("connected");
        let (out, stream) = mpsc::channel(window);
        let mut answers = NodeClient::new(channel)
            .max_decoding_message_size(wire::MESSAGE_BYTES_MAX)
            .commit(ReceiverStream::new(stream))
            .await
            .expect("a stream")
            .into_inner();
        for _ in 0..window {
            out.send(up.clone()).await.expect("sent");
        }
        let (began, mut answered) = (Instant::now(), 0);
        while answered == 0 || began.elapsed().as_secs_f64() < seconds {
            let message = answers.message().await.expect("an answer").expect("one more");
            assert_eq!(message.results.len(), up.items.len(), "every row is answered");
            answered += 1;
            out.send(up.clone()).await.expect("sent");
        }
        answered
    })
}
