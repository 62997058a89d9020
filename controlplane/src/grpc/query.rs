//! The query stream: each message's queries are answered together, several messages at once.

use std::sync::Arc;

use holdfast_common::wire::{QueryDown, QueryUp};
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use crate::app::{Authority, query};
use crate::grpc::connected;
use crate::limits::QUERIES_IN_FLIGHT_MAX;

pub(super) fn serve(
    authority: Authority,
    up: Streaming<QueryUp>,
) -> ReceiverStream<Result<QueryDown, Status>> {
    let (down, stream) = mpsc::channel(QUERIES_IN_FLIGHT_MAX);
    tokio::spawn(receive(authority, up, down));
    ReceiverStream::new(stream)
}

async fn receive(
    authority: Authority,
    mut up: Streaming<QueryUp>,
    down: mpsc::Sender<Result<QueryDown, Status>>,
) {
    let room = Arc::new(Semaphore::new(QUERIES_IN_FLIGHT_MAX));
    while let Ok(Some(message)) = up.message().await {
        if connected(&authority, &message.session_id).is_none() {
            let _ = down.send(Err(Status::unavailable("the session has ended"))).await;
            return;
        }
        let Ok(permit) = room.clone().acquire_owned().await else { return };
        let (authority, down) = (authority.clone(), down.clone());
        tokio::spawn(async move {
            let items = query::answer_all(&authority, message.items).await;
            let _ = down.send(Ok(QueryDown { items })).await;
            drop(permit);
        });
    }
}
