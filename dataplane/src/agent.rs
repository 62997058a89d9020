//! What a node does of its own accord: deleting, reaping, repairing, scrubbing, draining, and proposing lost rows.
//!
//! An [`Agent`] runs on core 0 as a few loops. Each is idempotent and takes no input: it asks the drives and the authority
//! what there is to do, does a bounded part of it, and comes again; after a failure it waits longer each time. What it
//! reads and writes is paid for from one budget of bytes a second ([`AgentSettings::bytes_per_second`]).
//!
//! What the foreground leaves for it is here as well: op ids that may still be committed ([`OpenOps`]), blobs being read
//! ([`Pins`]), fragments that a read had to do without ([`Notes`]).

mod audit;
mod delete;
mod drain;
mod fleet;
mod holders;
mod leases;
mod leftovers;
mod notes;
mod open_ops;
mod pins;
mod progress;
mod propose;
mod reap;
mod relocate;
mod repair;
mod rewrite;
mod rows;
mod run;
mod scrub;
mod scrub_file;
mod seat;
mod stock;
mod tidy;
mod walk;

#[cfg(test)]
mod tests;

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet, VecDeque};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use holdfast_common::id::OpId;
use holdfast_common::wire::{self, work_answer, work_request};
use holdfast_protocol::erasure::Coders;

pub use notes::{Note, Notes, Superseded};
pub use open_ops::{OpenOp, OpenOps};
pub use pins::{PinSet, Pins};
pub use progress::Progress;

use crate::drives::{DriveError, Drives as _};
use crate::env::Env;
use crate::limits::AGENT_DELETED_REMEMBERED;
use crate::link::state::NodeState;
use crate::link::{Link as _, LinkError};
use crate::rt::{Rt as _, Stop};

/// How background work is paced.
#[derive(Clone, Debug)]
pub struct AgentSettings {
    pub node_id: Arc<str>,
    /// Time between two passes of the reaper.
    pub reap_period: Duration,
    /// In which every drive is re-read.
    pub scrub_period: Duration,
    /// Where the scrub's place is kept between processes; `None`: nowhere.
    pub scrub_file: Option<PathBuf>,
    /// How long a drive or another node may be away before what it held counts as missing.
    pub drive_grace: Duration,
    /// What all background work may read and write.
    pub bytes_per_second: u64,
}

/// Why a pass ended early; it comes again.
#[derive(Clone, Debug, thiserror::Error)]
enum Trouble {
    #[error(transparent)]
    Link(#[from] LinkError),
    #[error("refused: {:?} {}", .0.reason(), .0.detail)]
    Refused(wire::Refused),
    #[error("the control plane broke the protocol")]
    Protocol,
    #[error("a drive: {0}")]
    Drive(#[from] DriveError),
    #[error("{0}")]
    Drives(&'static str),
    #[error("stopping")]
    Stopping,
}

/// The background work of one node.
pub struct Agent<E: Env> {
    settings: AgentSettings,
    state: Arc<NodeState>,
    drives: Rc<E::Drives>,
    coders: Rc<Coders>,
    link: E::Link,
    progress: Arc<Progress>,
    reaper: reap::Reaper,
    auditor: audit::Auditor,
    scrubber: scrub::Scrubber,
    silence: RefCell<fleet::Silence>,
    leases: leases::Leases,
    /// Blobs whose fragments are being written or deleted: one at a time does so.
    claimed: RefCell<HashSet<OpId>>,
    deleted: RefCell<VecDeque<OpId>>,
    /// When it was said last of blobs that they are to go to other nodes.
    told: RefCell<HashMap<OpId, Instant>>,
    /// Until when the budget is spent.
    spent_until: Cell<Option<Instant>>,
    stop: Stop,
    loops: Cell<usize>,
}

impl<E: Env> Agent<E> {
    /// Reads a small file; call it before anything is served.
    pub fn new(
        settings: AgentSettings,
        state: Arc<NodeState>,
        drives: Rc<E::Drives>,
        coders: Rc<Coders>,
        link: E::Link,
        progress: Arc<Progress>,
    ) -> Rc<Self> {
        let earlier = settings.scrub_file.as_deref().map(scrub_file::Saved::read).unwrap_or_default();
        Rc::new(Self {
            settings,
            state,
            drives,
            coders,
            link,
            progress,
            reaper: reap::Reaper::default(),
            auditor: audit::Auditor::default(),
            scrubber: scrub::Scrubber::new(earlier),
            silence: RefCell::default(),
            leases: leases::Leases::default(),
            claimed: RefCell::default(),
            deleted: RefCell::default(),
            told: RefCell::default(),
            spent_until: Cell::new(None),
            stop: Stop::new(),
            loops: Cell::new(0),
        })
    }

    fn fleet(&self) -> fleet::Fleet {
        let (view, statuses, reachable) =
            (self.state.view(), self.drives.statuses(), self.drives.reachable());
        let AgentSettings { node_id, drive_grace, .. } = &self.settings;
        self.silence.borrow_mut().look(&view, node_id, &statuses, &reachable, *drive_grace, E::Rt::now())
    }

    async fn ask(&self, what: work_request::What) -> Result<work_answer::What, Trouble> {
        match self.link.work(what).await? {
            work_answer::What::Refused(refused) => Err(Trouble::Refused(refused)),
            answer => Ok(answer),
        }
    }

    async fn report(&self, items: Vec<wire::JobReport>) -> Result<(), Trouble> {
        if !items.is_empty() {
            self.ask(work_request::What::Reports(wire::JobReports { items })).await?;
        }
        Ok(())
    }

    /// The right to write or delete fragments of a blob; `None` while somebody else has it.
    fn claim(&self, blob: OpId) -> Option<Claim<'_>> {
        let free = self.claimed.borrow_mut().insert(blob);
        free.then(|| Claim { claimed: &self.claimed, blob })
    }

    fn is_claimed(&self, blob: OpId) -> bool {
        self.claimed.borrow().contains(&blob)
    }

    fn remember_deleted(&self, blob: OpId) {
        let mut deleted = self.deleted.borrow_mut();
        if deleted.len() == AGENT_DELETED_REMEMBERED {
            deleted.pop_front();
        }
        deleted.push_back(blob);
    }

    fn was_deleted(&self, blob: OpId) -> bool {
        self.deleted.borrow().contains(&blob)
    }
}

/// See [`Agent::claim`].
struct Claim<'a> {
    claimed: &'a RefCell<HashSet<OpId>>,
    blob: OpId,
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.claimed.borrow_mut().remove(&self.blob);
    }
}

fn report(
    kind: wire::job::Kind,
    blob: OpId,
    outcome: wire::job_report::Outcome,
    missing: u64,
    detail: String,
) -> wire::JobReport {
    wire::JobReport { kind: kind.into(), op_id: blob.to_wire(), outcome: outcome.into(), missing, detail }
}
