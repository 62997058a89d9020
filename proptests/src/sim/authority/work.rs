//! Background work: jobs out, reports in, op ids settled.

use holdfast_common::id::OpId;
use holdfast_common::wire::job::Kind;
use holdfast_common::wire::job_report::Outcome;
use holdfast_common::wire::settled_ops::Verdict;
use holdfast_common::wire::{self, work_answer, work_request};

use super::super::executor::World;
use super::{DELETE_DELAY, JOB_LEASE, Recorded, State};

impl State {
    pub(super) fn work(&mut self, what: work_request::What) -> work_answer::What {
        match what {
            work_request::What::Lease(lease) => work_answer::What::Jobs(self.lease(&lease)),
            work_request::What::Reports(reports) => {
                reports.items.iter().for_each(|report| self.report(report));
                work_answer::What::Noted(wire::Noted {})
            }
            work_request::What::Settle(settle) => work_answer::What::Settled(self.settle(&settle)),
            // History is never lost here.
            work_request::What::Proposals(_) => work_answer::What::Noted(wire::Noted {}),
            work_request::What::Deficits(deficits) => {
                for deficit in deficits.items {
                    let op = deficit.blob.as_ref().and_then(|blob| OpId::from_wire(&blob.op_id));
                    if let Some(op) = op.filter(|op| self.blobs.contains_key(op)) {
                        self.repair(op, deficit.missing);
                    }
                }
                work_answer::What::Noted(wire::Noted {})
            }
        }
    }

    fn lease(&mut self, lease: &wire::LeaseJobs) -> wire::Jobs {
        let now = World::current().elapsed();
        let due = self.freed.iter().filter(|(_, (_, since))| now >= *since + DELETE_DELAY);
        let deletes = due.take(lease.deletes_max as usize).map(|(_, (blob, _))| wire::Job {
            kind: Kind::Delete.into(),
            blob: Some(blob.clone()),
            ..Default::default()
        });
        let mut items: Vec<wire::Job> = deletes.collect();
        let open = self.repairs.iter_mut().filter(|(_, repair)| repair.leased_until <= now);
        for (op, repair) in open.take(lease.repairs_max as usize) {
            let Some((blob, _)) = self.blobs.get(op) else { continue };
            repair.leased_until = now + JOB_LEASE;
            repair.attempts += 1;
            items.push(wire::Job {
                kind: Kind::Repair.into(),
                blob: Some(blob.clone()),
                missing: repair.missing,
                attempts: repair.attempts,
            });
        }
        // There is one node, and what it renews it has.
        let mut renewed = Vec::new();
        for id in &lease.renew {
            let op = OpId::from_wire(id).expect("well-formed");
            if let Some(repair) = self.repairs.get_mut(&op) {
                repair.leased_until = now + JOB_LEASE;
                renewed.push(id.clone());
            }
        }
        wire::Jobs { items, lease_ms: u64::try_from(JOB_LEASE.as_millis()).expect("seconds"), renewed }
    }

    fn report(&mut self, report: &wire::JobReport) {
        let op = OpId::from_wire(&report.op_id).expect("well-formed");
        match (report.kind(), report.outcome()) {
            (Kind::Delete, Outcome::Done) => {
                self.tally.deleted += u64::from(self.freed.remove(&op).is_some());
            }
            (Kind::Repair, Outcome::Done) => {
                let Some(repair) = self.repairs.get_mut(&op) else { return };
                repair.missing = report.missing;
                if report.missing == 0 {
                    self.repairs.remove(&op);
                    self.tally.repaired.push(op);
                }
            }
            (_, Outcome::Lost) => self.tally.lost.push((op, report.detail.clone())),
            _ => {}
        }
    }

    /// Who comes to nothing is abandoned in this very moment.
    fn settle(&mut self, settle: &wire::SettleOps) -> wire::SettledOps {
        let mut verdicts = Vec::new();
        for id in &settle.op_ids {
            let op = OpId::from_wire(id).expect("well-formed");
            let verdict = match self.changelog.get(&op) {
                Some(Recorded::Done(_)) => Verdict::Committed,
                Some(Recorded::Abandoned) => Verdict::Abandoned,
                None => {
                    self.changelog.insert(op, Recorded::Abandoned);
                    self.tally.abandoned += 1;
                    Verdict::Abandoned
                }
            };
            verdicts.push(verdict.into());
        }
        self.settled_to = self.settled_to.clone().max(settle.settled_to.clone());
        // There is one node.
        wire::SettledOps { verdicts, others_open_from: vec![u8::MAX; 16].into() }
    }
}
