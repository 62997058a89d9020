//! The commit and query streams: many requests in flight on one stream, matched by id, sent again after a reconnect.
//!
//! Whatever is ready in the queue when the loop comes round travels as one message; no timer delays the first.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use holdfast_common::wire::{self, node_client::NodeClient};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;

use super::state::NodeState;
use super::{LinkError, PendingCommit, PendingQuery};
use crate::limits;

/// Mutations waiting to be sent or answered; outlives connections.
pub(crate) struct CommitQueue {
    queue: mpsc::UnboundedReceiver<PendingCommit>,
    waiting: BTreeMap<Bytes, PendingCommit>,
}

impl CommitQueue {
    pub(crate) fn new(queue: mpsc::UnboundedReceiver<PendingCommit>) -> Self {
        Self { queue, waiting: BTreeMap::new() }
    }

    /// Runs one connection until it breaks. What was sent and not answered goes again, marked as a retry.
    pub(crate) async fn run(
        &mut self,
        mut client: NodeClient<Channel>,
        session_id: Bytes,
        state: &Arc<NodeState>,
    ) -> Result<(), tonic::Status> {
        // Nobody reads before the call is made: all that goes again has room.
        let (out, stream) = mpsc::channel(limits::LINK_MESSAGES_IN_FLIGHT + self.waiting.len());
        let again: Vec<_> = self.waiting.values_mut().map(sent_again).collect();
        send_commits(&out, &session_id, again).await?;
        let mut answers = client.commit(ReceiverStream::new(stream)).await?.into_inner();
        let mut ready = Vec::new();
        let mut expiry = tokio::time::interval(limits::LINK_EXPIRY_TICK);
        loop {
            tokio::select! {
                biased;
                _ = expiry.tick() => self.expire(),
                answer = answers.message() => match answer? {
                    Some(down) => self.answered(down, state),
                    None => return Err(tonic::Status::unavailable("the commit stream ended")),
                },
                count = self.queue.recv_many(&mut ready, limits::LINK_BATCH_ITEMS) => {
                    if count == 0 {
                        return Ok(());
                    }
                    crate::metrics::core().commit_batch(count as u64);
                    let mut items = Vec::with_capacity(count);
                    for mut pending in ready.drain(..) {
                        pending.sent = true;
                        items.push(pending.mutation.clone());
                        self.waiting.insert(pending.mutation.op_id.clone(), pending);
                    }
                    send_commits(&out, &session_id, items).await?;
                }
            }
        }
    }

    fn answered(&mut self, down: wire::CommitDown, state: &Arc<NodeState>) {
        for result in down.results {
            let Some(pending) = self.waiting.remove(&result.op_id) else { continue };
            // Refusals that say "again" keep their op id; the authority remembers what it recorded.
            if result.seq > 0 {
                let mutation = &pending.mutation;
                state.raise(mutation.bucket_id, &mutation.key, result.seq);
                state.acknowledge(result.seq);
            }
            let _ = pending.reply.send(Ok(result));
        }
    }

    /// Gives up on what has waited too long, connected or not.
    pub(crate) fn expire(&mut self) {
        let now = tokio::time::Instant::now();
        let late: Vec<Bytes> =
            self.waiting.iter().filter(|(_, p)| p.deadline <= now).map(|(id, _)| id.clone()).collect();
        for id in late {
            if let Some(pending) = self.waiting.remove(&id) {
                let _ = pending.reply.send(Err(gave_up(pending.sent, &pending.mutation)));
            }
        }
    }

    /// While there is no connection: take requests off the queue so that they can expire.
    pub(crate) fn absorb(&mut self) {
        while let Ok(pending) = self.queue.try_recv() {
            self.waiting.insert(pending.mutation.op_id.clone(), pending);
        }
        self.expire();
    }
}

/// It goes out now, perhaps for the first time: from here on its row may exist.
fn sent_again(pending: &mut PendingCommit) -> wire::Mutation {
    let retry = pending.sent || pending.mutation.retry;
    pending.sent = true;
    wire::Mutation { retry, ..pending.mutation.clone() }
}

fn gave_up(sent: bool, mutation: &wire::Mutation) -> LinkError {
    // A retry never sent was sent before, under the same op id.
    if (sent || mutation.retry) && !crate::mutant!("outcome-unknown-is-refused") {
        LinkError::OutcomeUnknown(format!("{:?}", holdfast_common::id::OpId::from_wire(&mutation.op_id)))
    } else {
        LinkError::Unavailable("it did not come back in time")
    }
}

async fn send_commits(
    out: &mpsc::Sender<wire::CommitUp>,
    session_id: &Bytes,
    items: Vec<wire::Mutation>,
) -> Result<(), tonic::Status> {
    for batch in chunks(items) {
        let up = wire::CommitUp { session_id: session_id.clone(), items: batch };
        out.send(up).await.map_err(|_| tonic::Status::unavailable("the commit stream ended"))?;
    }
    Ok(())
}

/// Messages that the authority reads: a longer one would end the stream, and again after every reconnect.
fn chunks<T: prost::Message>(items: Vec<T>) -> Vec<Vec<T>> {
    let mut batches: Vec<Vec<T>> = Vec::new();
    let mut bytes = 0;
    for item in items {
        let more = item.encoded_len() + 16;
        match batches.last_mut() {
            Some(batch)
                if batch.len() < limits::LINK_BATCH_ITEMS && bytes + more <= wire::MESSAGE_BYTES_MAX / 2 =>
            {
                bytes += more;
                batch.push(item);
            }
            _ => {
                bytes = more;
                batches.push(vec![item]);
            }
        }
    }
    batches
}

/// Queries waiting to be sent or answered; outlives connections (a query may be asked twice without harm).
pub(crate) struct QueryQueue {
    queue: mpsc::UnboundedReceiver<PendingQuery>,
    waiting: BTreeMap<u64, PendingQuery>,
    next_id: u64,
}

impl QueryQueue {
    pub(crate) fn new(queue: mpsc::UnboundedReceiver<PendingQuery>) -> Self {
        Self { queue, waiting: BTreeMap::new(), next_id: 1 }
    }

    pub(crate) async fn run(
        &mut self,
        mut client: NodeClient<Channel>,
        session_id: Bytes,
    ) -> Result<(), tonic::Status> {
        let (out, stream) = mpsc::channel(limits::LINK_MESSAGES_IN_FLIGHT + self.waiting.len());
        let again: Vec<_> = self
            .waiting
            .iter()
            .map(|(id, pending)| wire::Query { query_id: *id, query: Some(pending.query.clone()) })
            .collect();
        send_queries(&out, &session_id, again).await?;
        let mut answers = client.query(ReceiverStream::new(stream)).await?.into_inner();
        let mut ready = Vec::new();
        let mut expiry = tokio::time::interval(limits::LINK_EXPIRY_TICK);
        loop {
            tokio::select! {
                biased;
                _ = expiry.tick() => self.expire(),
                answer = answers.message() => match answer? {
                    Some(down) => self.answered(down),
                    None => return Err(tonic::Status::unavailable("the query stream ended")),
                },
                count = self.queue.recv_many(&mut ready, limits::LINK_BATCH_ITEMS) => {
                    if count == 0 {
                        return Ok(());
                    }
                    let items = ready.drain(..).map(|pending| self.enter(pending)).collect();
                    send_queries(&out, &session_id, items).await?;
                }
            }
        }
    }

    fn enter(&mut self, pending: PendingQuery) -> wire::Query {
        let query_id = self.next_id;
        self.next_id += 1;
        let query = wire::Query { query_id, query: Some(pending.query.clone()) };
        self.waiting.insert(query_id, pending);
        query
    }

    fn answered(&mut self, down: wire::QueryDown) {
        for answer in down.items {
            if let Some(pending) = self.waiting.remove(&answer.query_id) {
                let _ = pending.reply.send(Ok(answer));
            }
        }
    }

    pub(crate) fn expire(&mut self) {
        let now = tokio::time::Instant::now();
        let late: Vec<u64> =
            self.waiting.iter().filter(|(_, p)| p.deadline <= now).map(|(id, _)| *id).collect();
        for id in late {
            if let Some(pending) = self.waiting.remove(&id) {
                let _ = pending.reply.send(Err(LinkError::Unavailable("it did not answer in time")));
            }
        }
    }

    pub(crate) fn absorb(&mut self) {
        while let Ok(pending) = self.queue.try_recv() {
            let _ = self.enter(pending);
        }
        self.expire();
    }
}

async fn send_queries(
    out: &mpsc::Sender<wire::QueryUp>,
    session_id: &Bytes,
    items: Vec<wire::Query>,
) -> Result<(), tonic::Status> {
    for batch in chunks(items) {
        let up = wire::QueryUp { session_id: session_id.clone(), items: batch };
        out.send(up).await.map_err(|_| tonic::Status::unavailable("the query stream ended"))?;
    }
    Ok(())
}
