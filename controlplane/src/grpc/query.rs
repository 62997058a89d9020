//! The query stream: each message's queries are answered together, several messages at once.

use std::sync::Arc;

use holdfast_common::wire::{Answer, MESSAGE_BYTES_MAX, Query, QueryDown, QueryUp, Refusal, answer};
use prost::Message as _;
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use crate::app::{Authority, query};
use crate::grpc::connected;
use crate::grpc::gate::Caller;
use crate::limits::QUERIES_IN_FLIGHT_MAX;
use crate::plan::refuse_for_now;

pub(super) fn serve(
    authority: Authority,
    caller: Caller,
    up: Streaming<QueryUp>,
) -> ReceiverStream<Result<QueryDown, Status>> {
    let (down, stream) = mpsc::channel(QUERIES_IN_FLIGHT_MAX);
    tokio::spawn(receive(authority, caller, up, down));
    ReceiverStream::new(stream)
}

/// Messages that the node reads: a longer one would end its stream, and again when it asks again.
fn messages(answers: Vec<Answer>) -> Vec<Vec<Answer>> {
    let mut messages: Vec<Vec<Answer>> = Vec::new();
    let mut bytes = 0;
    for answer in answers {
        let more = answer.encoded_len() + 16;
        match messages.last_mut() {
            Some(message) if bytes + more <= MESSAGE_BYTES_MAX / 2 => {
                bytes += more;
                message.push(answer);
            }
            _ => {
                bytes = more;
                messages.push(vec![answer]);
            }
        }
    }
    messages
}

async fn receive(
    authority: Authority,
    caller: Caller,
    mut up: Streaming<QueryUp>,
    down: mpsc::Sender<Result<QueryDown, Status>>,
) {
    let room = Arc::new(Semaphore::new(QUERIES_IN_FLIGHT_MAX));
    while let Ok(Some(message)) = up.message().await {
        let Some(session) = connected(&authority, caller, &message.session_id) else {
            let _ = down.send(Err(Status::unavailable("the session has ended"))).await;
            return;
        };
        if !authority.inner.sessions.may_query(&message.session_id) {
            let refused =
                refuse_for_now(Refusal::Unavailable, "the session has not heard of a key's revocation");
            let answer = |query: &Query| Answer {
                query_id: query.query_id,
                answer: Some(answer::Answer::Refused(refused.clone())),
                ..Default::default()
            };
            let items = message.items.iter().map(answer).collect();
            let _ = down.send(Ok(QueryDown { items })).await;
            continue;
        }
        let Ok(permit) = room.clone().acquire_owned().await else { return };
        let (authority, down) = (authority.clone(), down.clone());
        tokio::spawn(async move {
            let answers = query::answer_all(&authority, session, message.items).await;
            let (now, later): (Vec<_>, Vec<_>) =
                answers.into_iter().partition(|(_, pending)| pending.is_empty());
            let items: Vec<_> = now.into_iter().map(|(answer, _)| answer).collect();
            for items in messages(items) {
                let _ = down.send(Ok(QueryDown { items })).await;
            }
            // Each when it may be shown; none waits for another's.
            let shown = later.into_iter().map(async |held| {
                let items = vec![query::show(&authority, held).await];
                let _ = down.send(Ok(QueryDown { items })).await;
            });
            futures_util::future::join_all(shown).await;
            drop(permit);
        });
    }
}
