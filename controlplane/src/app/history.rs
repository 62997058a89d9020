//! Lost history: commits that clients were told of and this database does not have, because a dump was restored or a
//! standby that lagged was promoted (DESIGN 3.1).
//!
//! Nodes remember the highest sequence that a client of theirs was told, and this process the highest that was confirmed to
//! it. Each is held against what the database has: at every hello, and when leadership begins. Once rows are known to be
//! missing nothing is deleted any more and no cache of before is believed, until an administrator says that it is known;
//! meanwhile rows can come back from the fragments of their objects (`app/recovery`).

use std::sync::atomic::Ordering;

use tokio::time::Instant;
use uuid::Uuid;

use super::{AdminError, Authority};
use crate::app::sequence::EPOCH_SHIFT;
use crate::app::truth::Taken;
use crate::limits::{AHEAD_AGAIN, EPOCHS_AHEAD_MAX};
use crate::store::{StoreError, authority, cluster, recovery};

/// What a node's memory says of this database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Memory {
    /// Every commit that it was told of is here.
    Whole,
    /// Some are missing.
    Lost,
    /// Some are missing, and it knows of an epoch that this database has yet to come to: that number was used before.
    Ahead { epoch: u64 },
    /// No cluster has come so far: the node's memory is damaged, or it lies.
    Impossible,
}

impl Authority {
    /// Holds what a node remembers (the highest sequence it was told of; 0: none) against the database.
    pub(crate) async fn memory_of(&self, node_id: Uuid, seen: u64) -> Result<Memory, StoreError> {
        let sessions = &self.inner.sessions;
        let (epoch, current) = (seen >> EPOCH_SHIFT, sessions.epoch());
        if seen == 0 || !self.counts(seen) {
            return Ok(Memory::Whole);
        }
        // Commits of the current epoch are told by this process to nodes that it has admitted, and to no others.
        if epoch == current && seen <= sessions.assigned() && sessions.was_admitted(node_id) {
            return Ok(Memory::Whole);
        }
        if epoch >= current {
            return Ok(if self.may_be_ahead(node_id, epoch - current) {
                Memory::Ahead { epoch }
            } else {
                Memory::Impossible
            });
        }
        Ok(if self.inner.truth.has(seen).await? { Memory::Whole } else { Memory::Lost })
    }

    /// Whether this database has what a node has applied, as far as its epoch has ended and it had a commit.
    pub(crate) async fn has_applied(&self, applied: u64, current: u64) -> Result<bool, StoreError> {
        let at_its_beginning = applied & ((1 << EPOCH_SHIFT) - 1) == 0;
        Ok(at_its_beginning || applied >> EPOCH_SHIFT >= current || self.inner.truth.has(applied).await?)
    }

    /// Whether a node may say that it knows an epoch so many above this one. Whoever believes that begins a later epoch, so one
    /// node is believed once in a while and within bounds: a thief of its certificate shall not keep the cluster from working.
    fn may_be_ahead(&self, node_id: Uuid, by: u64) -> bool {
        let now = Instant::now();
        let mut believed = self.inner.ahead_believed.lock();
        believed.retain(|_, at| now.duration_since(*at) < AHEAD_AGAIN);
        if by > EPOCHS_AHEAD_MAX || believed.contains_key(&node_id) {
            return false;
        }
        believed.insert(node_id, now);
        true
    }

    /// Whether what is known as of this sequence is of a history that counts: not of one that was lost and accepted as lost.
    pub(crate) fn counts(&self, seq: u64) -> bool {
        let accepted = self.inner.history_accepted_epoch.load(Ordering::Acquire);
        accepted == 0 || seq >> EPOCH_SHIFT > accepted
    }

    /// Nothing is deleted from here on, by whoever leads. False: that was known.
    pub(crate) async fn history_is_lost(&self, who: &str, seen: u64) -> Result<bool, StoreError> {
        let inner = &self.inner;
        inner.truth.lose_history().await?;
        let known = inner.history_lost.swap(true, Ordering::Relaxed);
        inner.metrics.history_lost.set(1);
        tracing::error!(
            %who,
            seen,
            assigned = inner.sessions.assigned(),
            "HISTORY LOST: commits are remembered that this database does not have; nothing is deleted. Was a dump restored, \
             or an asynchronous standby promoted? What can come back of it: `holdfast admin recover`"
        );
        Ok(!known)
    }

    /// The highest commit that this process was confirmed is in the database that it leads on now, or the alarm is raised.
    /// Also takes over what earlier leaders found. `remembered` is what was asked about when leadership was taken.
    pub(crate) async fn begin_with_history(&self, taken: &Taken, remembered: u64) -> Result<(), StoreError> {
        let inner = &self.inner;
        let history = taken.history;
        inner.history_lost.store(history.lost, Ordering::Relaxed);
        inner.history_accepted_epoch.store(history.accepted_epoch, Ordering::Release);
        inner.metrics.history_lost.set(i64::from(history.lost));
        let confirmed = inner.confirmed.load(Ordering::Acquire);
        // One more may have been confirmed while leadership was taken.
        let there =
            if confirmed == remembered { taken.has_remembered } else { inner.truth.has(confirmed).await? };
        if confirmed > 0 && self.counts(confirmed) && !there {
            self.history_is_lost(&inner.holder, confirmed).await?;
        }
        Ok(())
    }

    /// An administrator knows what was lost: what is left is the truth from here on. Another epoch begins, and nodes join it
    /// with empty caches.
    pub async fn accept_history(&self) -> Result<(), AdminError> {
        self.must_lead().await?;
        let inner = &self.inner;
        let epoch = inner.sessions.epoch();
        let mut client = inner.store.client().await?;
        let work = client.transaction().await.map_err(StoreError::from)?;
        // Whoever took over meanwhile may know of more.
        if authority::fence(&work, epoch).await?.is_none() {
            return Err(AdminError::NotLeader { leader: None });
        }
        cluster::history_accepted(&work, epoch).await?;
        recovery::clear(&work).await?;
        work.commit().await.map_err(StoreError::from)?;
        inner.history_lost.store(false, Ordering::Relaxed);
        inner.metrics.history_lost.set(0);
        tracing::warn!(epoch, "an administrator has accepted the history of this database as it is");
        inner.step_down.notify_one();
        inner.sessions.end_history("the database's history was accepted as it is; the next epoch begins");
        Ok(())
    }
}
