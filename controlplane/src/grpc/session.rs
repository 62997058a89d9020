//! The session stream: hello first, then renewals, acknowledgements, interest and reports up; ordered messages down.

use holdfast_common::wire::{self, SessionDown, SessionUp, session_down, session_up};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use crate::app::Authority;
use crate::app::session::{Turned, Welcomed};
use crate::grpc::gate::Caller;
use crate::limits::{HELLO_DEADLINE, WELCOME_DEADLINE};

/// Messages between the session's queue and the socket.
const DOWN_QUEUE: usize = 64;

pub(super) async fn serve(
    authority: Authority,
    caller: Caller,
    mut up: Streaming<SessionUp>,
) -> Result<ReceiverStream<Result<SessionDown, Status>>, Status> {
    let first = tokio::time::timeout(HELLO_DEADLINE, up.message())
        .await
        .map_err(|_| Status::deadline_exceeded("no hello in time"))??;
    let Some(session_up::Message::Hello(hello)) = first.and_then(|first| first.message) else {
        return Err(Status::invalid_argument("the first message is a hello"));
    };
    let (down, stream) = mpsc::channel(DOWN_QUEUE);
    let welcome = async {
        match speaks_for(caller, &hello) {
            Ok(()) => authority.welcome(&hello).await,
            Err(bye) => Err(Turned::Away(bye)),
        }
    };
    let welcomed = tokio::time::timeout(WELCOME_DEADLINE, welcome).await;
    match welcomed.map_err(|_| Status::deadline_exceeded("the database did not answer in time"))? {
        Ok(welcomed) => {
            tokio::spawn(hold(authority, hello.node_name, welcomed, up, down));
        }
        Err(Turned::Away(bye)) => {
            tracing::warn!(node = %hello.node_name, node_id = %hello.node_id, reason = %bye.reason, "a node was turned away");
            let message = Some(session_down::Message::Goodbye(bye));
            // The channel is fresh and empty.
            let _ = down.try_send(Ok(SessionDown { ordinal: 0, message }));
        }
        Err(Turned::Failed(error)) => return Err(Status::unavailable(error.to_string())),
    }
    Ok(ReceiverStream::new(stream))
}

/// A node's hello must name the node that its certificate names.
fn speaks_for(caller: Caller, hello: &wire::Hello) -> Result<(), wire::Goodbye> {
    let Caller::Node(certified) = caller else { return Ok(()) };
    if uuid::Uuid::try_parse(&hello.node_id).is_ok_and(|said| said == certified) {
        return Ok(());
    }
    let reason = format!(
        "the node's certificate names node {certified}, its hello node {}: start it with the data directory that it joined with",
        hello.node_id
    );
    Err(wire::Goodbye { reason, permanent: true, ..Default::default() })
}

async fn hold(
    authority: Authority,
    node_name: String,
    welcomed: Welcomed,
    up: Streaming<SessionUp>,
    down: mpsc::Sender<Result<SessionDown, Status>>,
) {
    let Welcomed { session_id, stream, node_id, region, first, queue } = welcomed;
    let ended = tokio::select! {
        biased;
        reason = send(first, queue, down) => reason,
        reason = receive(&authority, session_id, node_id, &region, up) => reason,
    };
    drop(stream);
    authority.left(session_id).await;
    tracing::info!(node = %node_name, reason = ended, "a node's session has ended");
}

async fn send(
    first: Vec<SessionDown>,
    mut queue: mpsc::UnboundedReceiver<SessionDown>,
    down: mpsc::Sender<Result<SessionDown, Status>>,
) -> &'static str {
    for message in first {
        if down.send(Ok(message)).await.is_err() {
            return "the node has gone";
        }
    }
    while let Some(message) = queue.recv().await {
        let last = matches!(message.message, Some(session_down::Message::Goodbye(_)));
        if down.send(Ok(message)).await.is_err() {
            return "the node has gone";
        }
        if last {
            return "goodbye";
        }
    }
    "the session was closed"
}

async fn receive(
    authority: &Authority,
    session_id: uuid::Uuid,
    node_id: uuid::Uuid,
    region: &str,
    mut up: Streaming<SessionUp>,
) -> &'static str {
    let sessions = &authority.inner.sessions;
    loop {
        let message = match up.message().await {
            Ok(Some(up)) => up.message,
            Ok(None) => return "the node has closed it",
            Err(_) => return "the connection broke",
        };
        match message {
            Some(session_up::Message::Renew(wire::Renew { nonce })) => {
                sessions.renew(session_id, nonce);
            }
            Some(session_up::Message::Ack(ack)) => sessions.acknowledge(session_id, ack.ordinal),
            Some(session_up::Message::Interest(change)) => sessions.interest(session_id, &change),
            // Reports go to the database beside the stream: acknowledgements must not wait for it.
            Some(session_up::Message::OpenOps(open)) => {
                let authority = authority.clone();
                tokio::spawn(async move { authority.open_ops_reported(session_id, &open).await });
            }
            Some(session_up::Message::Drives(report)) => {
                let (authority, region) = (authority.clone(), region.to_owned());
                tokio::spawn(
                    async move { authority.drives_reported(node_id, &region, &report.drives).await },
                );
            }
            Some(session_up::Message::Hello(_)) | None => return "a message out of place",
        }
    }
}
