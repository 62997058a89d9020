//! Requests of background work: unary calls beside the query stream, a few at a time.
//!
//! Unlike a client's, such a request never waits for a session: its asker polls, and hears at once that there is none.

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use holdfast_common::wire::{self, node_client::NodeClient};
use tokio::sync::{mpsc, oneshot};
use tonic::transport::Channel;

use super::LinkError;
use crate::limits;

pub(crate) type WorkReply = oneshot::Sender<Result<wire::work_answer::What, LinkError>>;

pub(crate) struct PendingWork {
    pub(crate) what: wire::work_request::What,
    pub(crate) reply: WorkReply,
}

/// Requests that wait for a free call.
pub(crate) struct WorkQueue(mpsc::Receiver<PendingWork>);

impl WorkQueue {
    pub(crate) fn new(queue: mpsc::Receiver<PendingWork>) -> Self {
        Self(queue)
    }

    /// Serves until the session ends (then this future is dropped, and who waits hears it) or all cores have stopped.
    pub(crate) async fn run(&mut self, client: NodeClient<Channel>, session_id: Bytes) {
        let mut calls = FuturesUnordered::new();
        loop {
            tokio::select! {
                biased;
                Some(pending) = self.0.recv(), if calls.len() < limits::LINK_WORK_CALLS => {
                    calls.push(call(client.clone(), session_id.clone(), pending));
                }
                Some(()) = calls.next() => {}
                else => return,
            }
        }
    }

    /// While there is no session.
    pub(crate) fn refuse(&mut self) {
        while let Ok(pending) = self.0.try_recv() {
            let _ = pending.reply.send(Err(LinkError::Unavailable("there is no session with it")));
        }
    }
}

async fn call(mut client: NodeClient<Channel>, session_id: Bytes, pending: PendingWork) {
    let request = wire::WorkRequest { session_id, what: Some(pending.what) };
    let deadline: Duration = limits::WORK_DEADLINE;
    let answer = match tokio::time::timeout(deadline, client.work(request)).await {
        Ok(Ok(answer)) => answer.into_inner().what.ok_or(LinkError::Unavailable("its answer is empty")),
        Ok(Err(status)) => {
            tracing::debug!(%status, "a request of background work failed");
            Err(LinkError::Unavailable("a request of background work failed"))
        }
        Err(_) => Err(LinkError::Unavailable("it did not answer in time")),
    };
    // Who no longer waits no longer wants to know.
    let _ = pending.reply.send(answer);
}
