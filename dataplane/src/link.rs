//! The control link: one thread that speaks gRPC to the authority for all cores of this node.
//!
//! Cores hand over mutations and queries through a queue and wait for answers that come back through one-shots. The
//! thread (tokio, one OS thread) keeps the three streams of `node.proto`, so the io_uring cores never see HTTP/2. What
//! cores read on every request (lease, slots, configuration) lies in [`state::NodeState`] and costs them no message.
//!
//! What an unanswered commit means is kept apart from a refused one: after [`LinkError::OutcomeUnknown`] the row may
//! exist, so nobody may delete the fragments; the reaper settles it (DESIGN 3.1).

mod freshness;
pub mod outside;
pub mod session;
pub mod state;
pub mod streams;
#[cfg(test)]
mod tests;
mod turns;
mod work;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use holdfast_common::wire;
use tokio::sync::{mpsc, oneshot};

use crate::enrol::{Current, renew};
use crate::limits;
use outside::{Machine, Outside};
use state::NodeState;
use work::{PendingWork, WorkQueue};

/// Why there is no answer from the authority.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum LinkError {
    /// Nothing was committed, for certain.
    #[error("the control plane cannot be reached: {0}")]
    Unavailable(&'static str),
    /// The mutation was sent and no answer came: its row may exist.
    #[error("the control plane did not answer in time; the outcome of {0} is not known")]
    OutcomeUnknown(String),
}

/// The authority as one core sees it. Implemented by the real link and by the simulator.
pub trait Link: 'static {
    fn commit(
        &self,
        mutation: wire::Mutation,
    ) -> impl Future<Output = Result<wire::MutationResult, LinkError>> + 'static;

    fn query(
        &self,
        query: wire::query::Query,
    ) -> impl Future<Output = Result<wire::Answer, LinkError>> + 'static;

    /// One request of background work; repeating it is harmless.
    fn work(
        &self,
        what: wire::work_request::What,
    ) -> impl Future<Output = Result<wire::work_answer::What, LinkError>> + 'static;

    /// Asks to be told of changes in this bucket, so that it may be cached. Fire and forget.
    fn interest(&self, bucket_id: u64);
}

pub(crate) struct PendingCommit {
    pub(crate) mutation: wire::Mutation,
    pub(crate) sent: bool,
    pub(crate) deadline: tokio::time::Instant,
    pub(crate) reply: oneshot::Sender<Result<wire::MutationResult, LinkError>>,
}

pub(crate) struct PendingQuery {
    pub(crate) query: wire::query::Query,
    pub(crate) deadline: tokio::time::Instant,
    pub(crate) reply: oneshot::Sender<Result<wire::Answer, LinkError>>,
}

/// A core's handle on the link thread; cheap to clone.
#[derive(Clone)]
pub struct LinkHandle {
    pub(crate) commits: mpsc::UnboundedSender<PendingCommit>,
    pub(crate) queries: mpsc::UnboundedSender<PendingQuery>,
    pub(crate) interest: mpsc::UnboundedSender<u64>,
    work: mpsc::Sender<PendingWork>,
    in_flight: Arc<AtomicUsize>,
}

/// Counts one request in flight for as long as it lives, so that the queues above are bounded.
struct Slot(Arc<AtomicUsize>);

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl LinkHandle {
    fn slot(&self) -> Result<Slot, LinkError> {
        if self.in_flight.fetch_add(1, Ordering::Relaxed) >= limits::LINK_REQUESTS_MAX {
            self.in_flight.fetch_sub(1, Ordering::Relaxed);
            return Err(LinkError::Unavailable("too many requests are waiting for it"));
        }
        Ok(Slot(self.in_flight.clone()))
    }
}

const GONE: LinkError = LinkError::Unavailable("the control link has stopped");

impl Link for LinkHandle {
    fn commit(
        &self,
        mutation: wire::Mutation,
    ) -> impl Future<Output = Result<wire::MutationResult, LinkError>> + 'static {
        let name = format!("{:?}", holdfast_common::id::OpId::from_wire(&mutation.op_id));
        let (reply, answer) = oneshot::channel();
        let deadline = tokio::time::Instant::now() + limits::COMMIT_DEADLINE;
        let sent = self.slot().and_then(|slot| {
            self.commits
                .send(PendingCommit { mutation, sent: false, deadline, reply })
                .map(|()| slot)
                .map_err(|_| GONE)
        });
        async move {
            let _slot = sent?;
            answer.map(|got| got.unwrap_or(Err(LinkError::OutcomeUnknown(name)))).await
        }
    }

    fn query(
        &self,
        query: wire::query::Query,
    ) -> impl Future<Output = Result<wire::Answer, LinkError>> + 'static {
        let (reply, answer) = oneshot::channel();
        let deadline = tokio::time::Instant::now() + limits::QUERY_DEADLINE;
        let sent = self.slot().and_then(|slot| {
            self.queries.send(PendingQuery { query, deadline, reply }).map(|()| slot).map_err(|_| GONE)
        });
        async move {
            let _slot = sent?;
            answer.map(|got| got.unwrap_or(Err(GONE))).await
        }
    }

    fn work(
        &self,
        what: wire::work_request::What,
    ) -> impl Future<Output = Result<wire::work_answer::What, LinkError>> + 'static {
        let queue = self.work.clone();
        async move {
            let (reply, answer) = oneshot::channel();
            queue.send(PendingWork { what, reply }).await.map_err(|_| GONE)?;
            answer.await.unwrap_or(Err(LinkError::Unavailable("the session with it ended")))
        }
    }

    fn interest(&self, bucket_id: u64) {
        let _ = self.interest.send(bucket_id);
    }
}

/// What the link thread needs to know of its node.
pub struct LinkConfig {
    /// Control planes to try in turn: `http://127.0.0.1:9003`.
    pub control: Vec<String>,
    pub node_id: String,
    pub node_name: String,
    pub region: String,
    /// host:port at which peers reach this node's fragments; empty: it keeps them to itself.
    pub peer_addr: String,
    /// What the node shows a control plane that speaks TLS, and keeps alive.
    pub identity: Option<Arc<Current>>,
    /// Drives as they are now; asked at each hello and report.
    pub drives: Box<dyn Fn() -> Vec<wire::Drive> + Send + Sync>,
}

/// Starts the link thread. It reconnects for as long as the process lives and stops when `stop` is sent or dropped.
///
/// # Errors
/// When the operating system refuses a thread.
pub fn start(
    config: LinkConfig,
    state: Arc<NodeState>,
    stop: oneshot::Receiver<()>,
) -> std::io::Result<(LinkHandle, std::thread::JoinHandle<()>)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let renewal = keep_certified(config.identity.clone(), config.control.clone());
    let (handle, link) = prepare(config, state, Arc::new(Machine));
    let thread = std::thread::Builder::new().name("control-link".to_owned()).spawn(move || {
        runtime.block_on(async move {
            tokio::select! {
                () = link => {}
                never = renewal => match never {},
                _ = stop => {}
            }
        });
        runtime.shutdown_timeout(Duration::from_millis(100));
    })?;
    Ok((handle, thread))
}

/// A handle, and the link that serves it for as long as it is polled, on the runtime that polls it.
pub fn prepare(
    config: LinkConfig,
    state: Arc<NodeState>,
    outside: Arc<dyn Outside>,
) -> (LinkHandle, impl Future<Output = ()> + Send + 'static) {
    let (commits, commit_queue) = mpsc::unbounded_channel();
    let (queries, query_queue) = mpsc::unbounded_channel();
    let (interest, interest_queue) = mpsc::unbounded_channel();
    let (work, work_queue) = mpsc::channel(limits::LINK_WORK_QUEUED);
    let queues = session::Queues {
        commits: streams::CommitQueue::new(commit_queue),
        queries: streams::QueryQueue::new(query_queue),
        interest: interest_queue,
        work: WorkQueue::new(work_queue),
    };
    let handle = LinkHandle { commits, queries, interest, work, in_flight: Arc::default() };
    (handle, session::run(config, state, queues, outside))
}

/// Keeps the certificate alive, if there is one.
async fn keep_certified(identity: Option<Arc<Current>>, control: Vec<String>) -> std::convert::Infallible {
    match identity {
        Some(identity) => renew::run(identity, control).await,
        None => std::future::pending().await,
    }
}
