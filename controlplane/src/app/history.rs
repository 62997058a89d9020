//! Lost history: commits that clients were told of and this database does not have, because a dump was restored or a
//! standby that lagged was promoted (DESIGN 3.1).
//!
//! Nodes remember the highest sequence that a client of theirs was told, and this process the highest that was confirmed to
//! it. Each is held against what the database has: at every hello, and when leadership begins. Once rows are known to be
//! missing nothing is deleted any more and no cache of before is believed, until an administrator says that it is known;
//! meanwhile rows can come back from the fragments of their objects (`app/recovery`).

use std::sync::atomic::Ordering;

use uuid::Uuid;

use super::{AdminError, Authority};
use crate::app::sequence::EPOCH_SHIFT;
use crate::store::{Client, StoreError, authority, cluster, recovery};

/// What a node's memory says of this database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Memory {
    /// Every commit that it was told of is here.
    Whole,
    /// Some are missing.
    Lost,
    /// Some are missing, and it knows of an epoch that this database has yet to come to: that number was used before.
    Ahead { epoch: u64 },
}

impl Authority {
    /// Holds what a node remembers (the highest sequence it was told of; 0: none) against the database.
    pub(crate) async fn memory_of(
        &self,
        client: &Client,
        node_id: Uuid,
        seen: u64,
    ) -> Result<Memory, StoreError> {
        let sessions = &self.inner.sessions;
        let (epoch, current) = (seen >> EPOCH_SHIFT, sessions.epoch());
        if seen == 0 {
            return Ok(Memory::Whole);
        }
        // Commits of the current epoch are told by this process to nodes that it has admitted, and to no others.
        if epoch == current && seen <= sessions.assigned() && sessions.was_admitted(node_id) {
            return Ok(Memory::Whole);
        }
        if epoch >= current {
            return Ok(Memory::Ahead { epoch });
        }
        Ok(if authority::has(client, seen).await? { Memory::Whole } else { Memory::Lost })
    }

    /// Nothing is deleted from here on, by whoever leads.
    pub(crate) async fn history_is_lost(
        &self,
        client: &Client,
        who: &str,
        seen: u64,
    ) -> Result<(), StoreError> {
        let inner = &self.inner;
        cluster::lose_history(client).await?;
        let known = inner.history_lost.swap(true, Ordering::Relaxed);
        inner.metrics.history_lost.set(1);
        tracing::error!(
            %who,
            seen,
            assigned = inner.sessions.assigned(),
            known,
            "HISTORY LOST: commits are remembered that this database does not have; nothing is deleted. Was a dump restored, \
             or an asynchronous standby promoted? What can come back of it: `holdfast admin recover`"
        );
        Ok(())
    }

    /// The highest commit that this process was confirmed is in the database that it leads on now, or the alarm is raised.
    /// Also takes over what earlier leaders found.
    pub(crate) async fn begin_with_history(&self, client: &Client) -> Result<(), StoreError> {
        let inner = &self.inner;
        let lost = cluster::history_lost(client).await?;
        inner.history_lost.store(lost, Ordering::Relaxed);
        inner.metrics.history_lost.set(i64::from(lost));
        let confirmed = inner.confirmed.load(Ordering::Acquire);
        if confirmed > 0 && !authority::has(client, confirmed).await? {
            self.history_is_lost(client, &inner.holder, confirmed).await?;
        }
        Ok(())
    }

    /// An administrator knows what was lost: what is left is the truth from here on. Nodes join anew.
    pub async fn accept_history(&self) -> Result<(), AdminError> {
        self.must_lead().await?;
        let client = self.inner.store.client().await?;
        cluster::history_accepted(&client).await?;
        recovery::clear(&client).await?;
        self.must_lead_still(&client).await?;
        self.inner.history_lost.store(false, Ordering::Relaxed);
        self.inner.metrics.history_lost.set(0);
        tracing::warn!("an administrator has accepted the history of this database as it is");
        self.inner.sessions.dismiss("the database's history was accepted as it is", Uuid::nil());
        Ok(())
    }
}
