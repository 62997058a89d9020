//! Finding what is missing: every blob's fragments held against what its own records say there should be.
//!
//! A pass walks the drives' indexes and reads one record header per blob. It runs when the set of drives that count has
//! changed (a drive was replaced, or has been away for longer than its grace) and from time to time; never while a drive
//! is away for a moment, because what that one holds cannot be told from what is lost. What reads found on their way
//! ([`super::Notes`]) is looked at in between.

use std::cell::RefCell;
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

/// The last finished pass: when, and over which drives.
#[derive(Default)]
pub(super) struct Auditor(RefCell<Option<(Instant, Vec<BackendId>)>>);

impl<E: Env> Agent<E> {
    /// Notes, and a pass if one is due.
    pub(super) async fn audit(&self) -> Result<Duration, Trouble> {
        self.look_at_notes().await?;
        let fleet = self.fleet();
        let last = self.auditor.0.borrow().clone();
        let due = last.is_none_or(|(at, drives)| {
            drives != fleet.here || E::Rt::now().duration_since(at) >= AGENT_AUDIT_EVERY
        });
        if due && fleet.in_grace.is_empty() && self.reaper.asked_to().is_some() {
            self.audit_pass(&fleet).await?;
            *self.auditor.0.borrow_mut() = Some((E::Rt::now(), fleet.here));
        }
        Ok(AGENT_POLL)
    }

    async fn audit_pass(&self, fleet: &Fleet) -> Result<(), Trouble> {
        let mut walk = Walk::new(&self.drives, &fleet.here, None);
        let (mut deficits, mut blobs, mut thin) = (Vec::new(), 0u64, 0u64);
        while let Some((op, held)) = walk.next().await? {
            // Beyond it a blob may be on its way still, or come to nothing.
            if self.reaper.asked_to().is_none_or(|bound| op >= bound) {
                break;
            }
            self.go_on()?;
            if !self.is_claimed(op) {
                let found = self.audit_blob(fleet, (op, held)).await?;
                (blobs, thin) = (blobs + 1, thin + u64::from(found.is_some()));
                deficits.extend(found);
            }
            if deficits.len() == AGENT_DEFICITS_BATCH {
                self.tell(std::mem::take(&mut deficits)).await?;
                self.look_at_notes().await?;
            }
        }
        self.tell(deficits).await?;
        tracing::info!(blobs, thin, "every blob's fragments were counted");
        Ok(())
    }

    async fn audit_blob(&self, fleet: &Fleet, (op, held): Found) -> Result<Option<wire::Deficit>, Trouble> {
        self.pay(AGENT_HEADER_COST_BYTES).await;
        let stock = match Stock::of(&*self.drives, op, None, held).await {
            Ok(stock) => stock,
            Err(why) => {
                tracing::debug!(blob = %op, %why, "a blob cannot be audited");
                return Ok(None);
            }
        };
        let missing = stock.missing();
        if missing == 0 {
            self.tidy(fleet, stock).await?;
            return Ok(None);
        }
        let reason = "no drive of its node holds all of it".to_owned();
        Ok(Some(wire::Deficit { blob: Some(stock.to_wire()), missing, reason }))
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

/// What a reader found, without what a drive that is away for a moment may still have.
fn deficit_of(note: &Note, fleet: &Fleet) -> Option<wire::Deficit> {
    let counts = |error: &DriveError, home: &BackendId| match error {
        DriveError::Rotten(_) => true,
        DriveError::NotFound => fleet.in_grace.is_empty(),
        DriveError::Io { .. } => fleet.here.contains(home),
        DriveError::Full | DriveError::Failed | DriveError::Busy | DriveError::ReadOnly => false,
    };
    let bad = || note.fragments.iter().filter(|fragment| counts(&fragment.error, &fragment.backend));
    let reason = format!("a read met: {}", bad().next()?.error);
    let missing = bad().fold(0, |bits, fragment| bits | 1 << fragment.index);
    Some(wire::Deficit { blob: Some(note.blob.clone()), missing, reason })
}
