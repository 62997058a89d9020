//! The authority's part in background work, as `node.proto` has it, in memory.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::future::ready;
use std::rc::Rc;
use std::time::{Duration, Instant};

use holdfast_common::id::OpId;
use holdfast_common::wire::job::Kind;
use holdfast_common::wire::job_report::Outcome;
use holdfast_common::wire::settled_ops::Verdict;
use holdfast_common::wire::{self, work_answer, work_request};

use crate::link::{Link, LinkError};

#[derive(Clone, Default)]
pub(super) struct Authority(Rc<RefCell<State>>);

#[derive(Default)]
struct State {
    down: bool,
    committed: BTreeSet<OpId>,
    abandoned: BTreeSet<OpId>,
    settled_to: Option<OpId>,
    /// What other nodes have open; `None`: there is no other.
    others_open_from: Option<OpId>,
    /// Op ids that another node may still commit, whatever is said above.
    open: BTreeSet<OpId>,
    jobs: BTreeMap<OpId, wire::Job>,
    reports: Vec<wire::JobReport>,
    deficits: Vec<wire::Deficit>,
    /// History is lost, but for these.
    left: Option<BTreeSet<OpId>>,
    proposals: Vec<wire::Proposal>,
    walked: bool,
    /// How long a lease is; `None`: a minute.
    lease: Option<Duration>,
    /// Leases are not renewed.
    renews_none: bool,
    leased: BTreeMap<OpId, Instant>,
}

impl Authority {
    /// `false`: the reaper was first.
    pub(super) fn commit(&self, op: OpId) -> bool {
        let mut state = self.0.borrow_mut();
        !state.abandoned.contains(&op) && state.committed.insert(op)
    }

    pub(super) fn set_down(&self, down: bool) {
        self.0.borrow_mut().down = down;
    }

    pub(super) fn settled_to(&self) -> Option<OpId> {
        self.0.borrow().settled_to
    }

    pub(super) fn set_others_open_from(&self, oldest: Option<OpId>) {
        self.0.borrow_mut().others_open_from = oldest;
    }

    pub(super) fn set_open(&self, op: OpId, open: bool) {
        let mut state = self.0.borrow_mut();
        if open {
            state.open.insert(op)
        } else {
            state.open.remove(&op)
        };
    }

    pub(super) fn add_job(&self, kind: Kind, blob: &wire::Blob, missing: u64) {
        let op = OpId::from_wire(&blob.op_id).unwrap();
        let job = wire::Job { kind: kind.into(), blob: Some(blob.clone()), missing, attempts: 0 };
        self.0.borrow_mut().jobs.insert(op, job);
    }

    /// How long a lease is from now on, and whether it may be renewed.
    pub(super) fn set_lease(&self, lease: Duration, renews: bool) {
        let mut state = self.0.borrow_mut();
        (state.lease, state.renews_none) = (Some(lease), !renews);
    }

    /// Whether a job about a blob is leased now, and so tickets to write are given.
    pub(super) fn is_leased(&self, op: OpId) -> bool {
        self.0.borrow().leased.get(&op).is_some_and(|until| Instant::now() < *until)
    }

    pub(super) fn reports(&self) -> Vec<wire::JobReport> {
        std::mem::take(&mut self.0.borrow_mut().reports)
    }

    pub(super) fn deficits(&self) -> Vec<wire::Deficit> {
        std::mem::take(&mut self.0.borrow_mut().deficits)
    }

    /// Rows are lost; that of `op` is not.
    pub(super) fn lose_all_but(&self, op: OpId) {
        self.0.borrow_mut().left = Some(BTreeSet::from([op]));
    }

    pub(super) fn proposals(&self) -> Vec<wire::Proposal> {
        std::mem::take(&mut self.0.borrow_mut().proposals)
    }

    pub(super) fn walked(&self) -> bool {
        self.0.borrow().walked
    }

    fn answer(&self, what: work_request::What) -> Result<work_answer::What, LinkError> {
        let mut state = self.0.borrow_mut();
        if state.down {
            return Err(LinkError::Unavailable("by the test's wish"));
        }
        Ok(match what {
            work_request::What::Lease(lease) => {
                let wanted = |kind| match kind {
                    Kind::Delete => lease.deletes_max > 0,
                    Kind::Repair => lease.repairs_max > 0,
                    Kind::Unspecified => false,
                };
                let items = state.jobs.values().filter(|job| wanted(job.kind())).cloned();
                let items: Vec<wire::Job> = items.collect();
                let mut renewed = lease.renew;
                renewed.retain(|op| {
                    let op = OpId::from_wire(op).unwrap();
                    !state.renews_none && state.leased.contains_key(&op)
                });
                let length = state.lease.unwrap_or(Duration::from_secs(60));
                let given = items.iter().map(|job| &job.blob.as_ref().unwrap().op_id).chain(&renewed);
                let given: Vec<OpId> = given.map(|op| OpId::from_wire(op).unwrap()).collect();
                state.leased.extend(given.into_iter().map(|op| (op, Instant::now() + length)));
                work_answer::What::Jobs(wire::Jobs { items, lease_ms: length.as_millis() as u64, renewed })
            }
            work_request::What::Reports(reports) => {
                for report in &reports.items {
                    if report.outcome() == Outcome::Done {
                        state.jobs.remove(&OpId::from_wire(&report.op_id).unwrap());
                    }
                }
                state.reports.extend(reports.items);
                work_answer::What::Noted(wire::Noted {})
            }
            work_request::What::Settle(settle) => {
                let open_from = state.others_open_from.map_or([u8::MAX; 16], |oldest| oldest.0);
                let others_open_from = bytes::Bytes::copy_from_slice(&open_from);
                let mut settled = wire::SettledOps { others_open_from, ..Default::default() };
                if let Some(left) = &state.left {
                    for op in &settle.op_ids {
                        let known = OpId::from_wire(op).is_some_and(|op| left.contains(&op));
                        settled.push_verdicts(if known { Verdict::Keep } else { Verdict::Unknown });
                    }
                    return Ok(work_answer::What::Settled(settled));
                }
                for op in settle.op_ids.iter().map(|op| OpId::from_wire(op).unwrap()) {
                    let verdict = match state.committed.contains(&op) {
                        true => Verdict::Committed,
                        false if state.open.contains(&op) => Verdict::Open,
                        false => Verdict::Abandoned,
                    };
                    if verdict == Verdict::Abandoned {
                        state.abandoned.insert(op);
                    }
                    settled.push_verdicts(verdict);
                }
                state.settled_to = OpId::from_wire(&settle.settled_to).or(state.settled_to);
                work_answer::What::Settled(settled)
            }
            work_request::What::Proposals(proposals) => {
                state.proposals.extend(proposals.items);
                state.walked |= proposals.finished;
                work_answer::What::Noted(wire::Noted {})
            }
            work_request::What::Deficits(deficits) => {
                state.deficits.extend(deficits.items);
                work_answer::What::Noted(wire::Noted {})
            }
        })
    }
}

impl Link for Authority {
    fn commit(
        &self,
        _: wire::Mutation,
    ) -> impl Future<Output = Result<wire::MutationResult, LinkError>> + 'static {
        ready(Err(LinkError::Unavailable("no commits here")))
    }

    fn query(
        &self,
        _: wire::query::Query,
    ) -> impl Future<Output = Result<wire::Answer, LinkError>> + 'static {
        ready(Err(LinkError::Unavailable("no queries here")))
    }

    fn work(
        &self,
        what: work_request::What,
    ) -> impl Future<Output = Result<work_answer::What, LinkError>> + 'static {
        ready(self.answer(what))
    }

    fn interest(&self, _: u64) {}
}
