//! The commit stream: mutations in, results out as they settle, whatever is ready in one message.

use std::sync::Arc;

use holdfast_common::wire::{CommitDown, CommitUp, MutationResult, Refusal, mutation_result::Outcome};
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::{Status, Streaming};

use crate::app::Authority;
use crate::app::commit::Work;
use crate::grpc::connected;
use crate::grpc::gate::Caller;
use crate::limits::{COMMIT_DOWN_ITEMS_MAX, COMMIT_DOWN_QUEUE_MAX, COMMIT_UP_ITEMS_MAX};
use crate::plan::refuse_for_now;

/// `COMMIT_DOWN_QUEUE_MAX` mutations of a node may be unanswered; beyond it the stream is not read.
pub(super) fn serve(
    authority: Authority,
    caller: Caller,
    up: Streaming<CommitUp>,
) -> UnboundedReceiverStream<Result<CommitDown, Status>> {
    let (down, stream) = mpsc::unbounded_channel();
    let (reply, results) = mpsc::unbounded_channel();
    let room = Arc::new(Semaphore::new(COMMIT_DOWN_QUEUE_MAX));
    tokio::spawn(send(results, down, room.clone()));
    tokio::spawn(receive(authority, caller, up, reply, room));
    UnboundedReceiverStream::new(stream)
}

async fn send(
    mut results: mpsc::UnboundedReceiver<MutationResult>,
    down: mpsc::UnboundedSender<Result<CommitDown, Status>>,
    room: Arc<Semaphore>,
) {
    let mut ready = Vec::new();
    while results.recv_many(&mut ready, COMMIT_DOWN_ITEMS_MAX).await > 0 {
        let count = ready.len();
        if down.send(Ok(CommitDown { results: std::mem::take(&mut ready) })).is_err() {
            // Who waits for room would wait for ever.
            room.close();
            return;
        }
        room.add_permits(count);
    }
}

async fn receive(
    authority: Authority,
    caller: Caller,
    mut up: Streaming<CommitUp>,
    reply: mpsc::UnboundedSender<MutationResult>,
    room: Arc<Semaphore>,
) {
    while let Ok(Some(message)) = up.message().await {
        let session = connected(&authority, caller, &message.session_id)
            .filter(|_| message.items.len() <= COMMIT_UP_ITEMS_MAX);
        for mutation in message.items {
            let Ok(permit) = room.acquire().await else { return };
            permit.forget();
            let Some(session) = session else {
                let refused =
                    refuse_for_now(Refusal::Unavailable, "the session has ended, or the message is too long");
                let result = MutationResult {
                    op_id: mutation.op_id,
                    seq: 0,
                    outcome: Some(Outcome::Refused(refused)),
                };
                let _ = reply.send(result);
                continue;
            };
            if !authority.committer.submit(Work { mutation, session, reply: reply.clone() }).await {
                return;
            }
        }
    }
}
