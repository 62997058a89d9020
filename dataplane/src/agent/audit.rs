//! Finding what is missing: every blob's fragments held against what its own records say there should be.
//!
//! A pass walks the drives' indexes and reads one record header per blob. It runs when the set of drives that count has
//! changed (a drive was replaced, or has been away for longer than its grace) and from time to time; never while a drive
//! is away for a moment, because what that one holds cannot be told from what is lost. What reads found on their way
//! ([`super::Notes`]) is looked at in between.
//!
//! Blobs that spread over nodes are asked about on all nodes, and left out while a node or its drive is away for a moment. Every node
//! that holds a fragment looks after the blob: any of them may be the one that is left.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use holdfast_common::id::BackendId;
use holdfast_common::wire::{self, work_request};

use super::fleet::Fleet;
use super::stock::Stock;
use super::walk::{Found, Walk};
use super::{Agent, Note, Trouble};
use crate::drives::DriveError;
use crate::env::Env;
use crate::limits::{AGENT_AUDIT_EVERY, AGENT_DEFICITS_BATCH, AGENT_HEADER_COST_BYTES, AGENT_POLL};
use crate::rt::Rt as _;

/// The last finished pass.
#[derive(Default)]
pub(super) struct Auditor(RefCell<Option<Pass>>);

#[derive(Clone)]
struct Pass {
    at: Instant,
    /// Over which drives of this node.
    drives: Vec<BackendId>,
    /// Without which nodes, and which drives of others; `None`: blobs over nodes were left out.
    away: Option<(Vec<Arc<str>>, Vec<BackendId>)>,
}

impl<E: Env> Agent<E> {
    /// Notes, and a pass if one is due.
    pub(super) async fn audit(&self) -> Result<Duration, Trouble> {
        self.probe().await?;
        self.look_at_notes().await?;
        self.look_at_superseded().await?;
        let fleet = self.fleet();
        let waiting = fleet.waits_for_others();
        let last = self.auditor.0.borrow().clone();
        let due = last.is_none_or(|last| {
            last.drives != fleet.here
                || E::Rt::now().duration_since(last.at) >= AGENT_AUDIT_EVERY
                || (!waiting && last.away != Some(fleet.away()))
        });
        if due && fleet.in_grace.is_empty() && self.reaper.has_asked() {
            let whole = self.audit_pass(&fleet).await?;
            let away = Some(fleet.away()).filter(|_| whole);
            let pass = Pass { at: E::Rt::now(), drives: fleet.here, away };
            *self.auditor.0.borrow_mut() = Some(pass);
        }
        Ok(AGENT_POLL)
    }

    /// False: not all blobs could be looked at, because nodes or drives of theirs are away for a moment.
    async fn audit_pass(&self, fleet: &Fleet) -> Result<bool, Trouble> {
        let mut walk = Walk::new(&self.drives, &fleet.here, None);
        let (mut deficits, mut blobs, mut thin, mut left_out) = (Vec::new(), 0u64, 0u64, 0u64);
        let number = self.number();
        while let Some((op, held)) = walk.next().await? {
            self.go_on()?;
            // One that is not settled may be on its way still, or come to nothing.
            if self.reaper.is_settled(op, number) && !self.is_claimed(op) {
                match self.audit_blob(fleet, (op, held)).await? {
                    Audited::Whole => blobs += 1,
                    Audited::LeftOut => left_out += 1,
                    Audited::Thin(found) => {
                        (blobs, thin) = (blobs + 1, thin + 1);
                        deficits.push(found);
                    }
                }
            }
            if deficits.len() == AGENT_DEFICITS_BATCH {
                self.tell(std::mem::take(&mut deficits)).await?;
                self.look_at_notes().await?;
            }
        }
        self.tell(deficits).await?;
        tracing::info!(blobs, thin, left_out, "every blob's fragments were counted");
        Ok(left_out == 0)
    }

    async fn audit_blob(&self, fleet: &Fleet, (op, held): Found) -> Result<Audited, Trouble> {
        self.pay(AGENT_HEADER_COST_BYTES).await;
        let stock = match Stock::of(&*self.drives, op, None, held).await {
            Ok(stock) if stock.spans => return self.audit_spread(stock).await,
            Ok(stock) => stock,
            Err(why) => {
                tracing::debug!(blob = %op, %why, "a blob cannot be audited");
                return Ok(Audited::Whole);
            }
        };
        let others = fleet.own_scattered || op.node() != self.number();
        if fleet.scattered && others {
            return self.audit_scattered(stock).await;
        }
        let missing = stock.missing();
        if missing == 0 {
            self.tidy(fleet, stock).await?;
            return Ok(Audited::Whole);
        }
        Ok(Audited::thin(&stock, missing, "no drive of its node holds all of it"))
    }

    /// `stock` is what this node holds of it.
    async fn audit_spread(&self, mut stock: Stock) -> Result<Audited, Trouble> {
        stock.held = self.holders(stock.op, true).await?;
        let fleet = self.fleet();
        if fleet.waits_for_others() {
            return Ok(Audited::LeftOut);
        }
        let missing = stock.missing();
        if missing != 0 {
            return Ok(Audited::thin(&stock, missing, "no drive of any node that answers holds all of it"));
        }
        // What a silent node holds may be the better copy.
        if !fleet.silent_nodes.is_empty() {
            return Ok(Audited::Whole);
        }
        match self.tidy_own(&fleet, &stock).await? {
            0 => Ok(Audited::Whole),
            crowded => Ok(Audited::thin(&stock, crowded, "it shares a node with another fragment")),
        }
    }

    /// `stock` is what this node holds of a blob of one node's drives that may be on its way between two.
    async fn audit_scattered(&self, own: Stock) -> Result<Audited, Trouble> {
        let mut stock = own.clone();
        stock.held = self.holders(own.op, true).await?;
        stock.everywhere = true;
        let fleet = self.fleet();
        if !fleet.nodes_in_grace.is_empty() {
            return Ok(Audited::LeftOut);
        }
        let missing = stock.missing();
        if missing != 0 {
            return Ok(Audited::thin(&stock, missing, "no drive of any node that answers holds all of it"));
        }
        // One word is enough: the repair looks at all of it.
        match self.is_settled_on_one(&fleet, &stock) {
            Ok(false) if fleet.silent_nodes.is_empty() => {
                let first = 1 << stock.indexes().next().unwrap_or(0);
                Ok(Audited::thin(&stock, first, "it does not lie on the drives of one node"))
            }
            Err(_) if own.missing() == 0 => {
                self.tidy(&fleet, own).await?;
                Ok(Audited::Whole)
            }
            _ => Ok(Audited::Whole),
        }
    }

    /// What other nodes have made again: copies too many of this node go.
    async fn look_at_superseded(&self) -> Result<(), Trouble> {
        let number = self.number();
        for op in self.state.superseded.take() {
            self.go_on()?;
            // Not yet, when the reaper has not asked what became of it, or another task is at it.
            if !self.reaper.is_settled(op, number) || !self.tidy_superseded(op).await? {
                self.state.superseded.push(op);
            }
        }
        Ok(())
    }

    async fn look_at_notes(&self) -> Result<(), Trouble> {
        let fleet = self.fleet();
        let deficits = self.state.notes.take().iter().filter_map(|note| deficit_of(note, &fleet)).collect();
        self.tell(deficits).await
    }

    /// Reports deficits; they become jobs, however often they are told.
    pub(super) async fn tell(&self, items: Vec<wire::Deficit>) -> Result<(), Trouble> {
        if items.is_empty() {
            return Ok(());
        }
        self.progress.deficits.add(items.iter().map(|item| u64::from(item.missing.count_ones())).sum());
        self.ask(work_request::What::Deficits(wire::Deficits { items })).await?;
        Ok(())
    }
}

/// What is to be said of one blob.
enum Audited {
    Whole,
    Thin(wire::Deficit),
    /// A node, or a drive of one, is away for a moment.
    LeftOut,
}

impl Audited {
    fn thin(stock: &Stock, missing: u64, reason: &str) -> Self {
        Self::Thin(wire::Deficit { blob: Some(stock.to_wire()), missing, reason: reason.to_owned() })
    }
}

/// What a reader found, without what a drive that is away for a moment may still have.
fn deficit_of(note: &Note, fleet: &Fleet) -> Option<wire::Deficit> {
    let counts = |error: &DriveError, home: &BackendId| match error {
        DriveError::Rotten(_) => true,
        DriveError::NotFound => fleet.in_grace.is_empty() && !fleet.waits_for_others(),
        DriveError::Io { .. } => fleet.here.contains(home),
        DriveError::Full | DriveError::Failed | DriveError::Busy | DriveError::ReadOnly => false,
    };
    let bad = || note.fragments.iter().filter(|fragment| counts(&fragment.error, &fragment.backend));
    let reason = format!("a read met: {}", bad().next()?.error);
    let missing = bad().fold(0, |bits, fragment| bits | 1 << fragment.index);
    Some(wire::Deficit { blob: Some(note.blob.clone()), missing, reason })
}
