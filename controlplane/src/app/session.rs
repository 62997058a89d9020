//! A node's way in: hello checked, drives written down, what it missed replayed, and the welcome.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use holdfast_common::recovery::key_of_node;
use holdfast_common::wire::{self, session_down::Message};
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::app::history::Memory;
use crate::app::sessions::REPLAY_ORDINAL;
use crate::app::{Authority, config};
use crate::limits::{
    DRIVES_MAX, LEADER_ASKED, NAME_BYTES_MAX, PEER_ADDR_BYTES_MAX, REPLAY_BYTES_MAX, REPLAY_KEYS_MAX,
};
use crate::store::StoreError;
use crate::store::changelog::Changed;
use crate::store::node::NodeRow;

/// Takes a session's stream off the books when dropped: at its end, and when its welcome could not be finished.
pub struct Stream {
    authority: Authority,
    session_id: Uuid,
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.authority.inner.sessions.disconnect(self.session_id);
    }
}

/// An admitted node: its first messages, and the queue of all that follow.
pub struct Welcomed {
    pub session_id: Uuid,
    pub stream: Stream,
    pub node_id: Uuid,
    pub region: String,
    pub first: Vec<wire::SessionDown>,
    pub queue: mpsc::UnboundedReceiver<wire::SessionDown>,
}

/// Why a node is not admitted.
pub enum Turned {
    /// Said to the node.
    Away(wire::Goodbye),
    Failed(StoreError),
}

impl From<StoreError> for Turned {
    fn from(error: StoreError) -> Self {
        Self::Failed(error)
    }
}

fn away(reason: impl Into<String>, permanent: bool) -> Turned {
    Turned::Away(wire::Goodbye { reason: reason.into(), permanent, ..Default::default() })
}

impl Authority {
    /// Admits a node, or says why not.
    pub async fn welcome(&self, hello: &wire::Hello) -> Result<Welcomed, Turned> {
        let node_id = self.check_hello(hello)?;
        let inner = &self.inner;
        if !self.is_leading() {
            return Err(self.not_leading().await);
        }
        if inner.truth.is_revoked(node_id).await? {
            return Err(away("this node is revoked", true));
        }
        let memory = self.memory_of(node_id, hello.acknowledged_seq_max).await?;
        if memory == Memory::Impossible {
            tracing::error!(
                node = %hello.node_name,
                %node_id,
                acknowledged = hello.acknowledged_seq_max,
                "this node remembers commits of an epoch that cannot have been; if its cache is not damaged, its certificate is in \
                 other hands: revoke it"
            );
            return Err(away(
                "this node remembers commits that cannot have been; remove `acknowledged` and `cache` from its data directory and start it again",
                true,
            ));
        }
        if memory != Memory::Whole {
            // One that was replaced and does not know it yet has no say in this.
            if inner.truth.holder().await?.0 != inner.sessions.epoch() {
                return Err(away("this control plane is not the leader", false));
            }
            let news = self.history_is_lost(&hello.node_name, hello.acknowledged_seq_max).await?;
            if news && memory == Memory::Lost {
                inner.sessions.dismiss("commits were lost; the caches of before count no more", node_id);
            }
        }
        if let Memory::Ahead { epoch } = memory {
            // Sequences of this epoch would be taken for those that the node remembers: another begins, above all of them.
            inner.epoch_remembered.fetch_max(epoch, Ordering::AcqRel);
            inner.step_down.notify_one();
            inner.sessions.end_history("commits were lost; the next epoch begins");
            return Err(away("commits were lost; the next epoch begins", false));
        }
        let history_lost = inner.history_lost.load(Ordering::Relaxed);
        let session_id = inner.truth.fresh_id();
        let row = NodeRow {
            node_id,
            name: hello.node_name.clone(),
            region: hello.region.clone(),
            build: hello.build.clone(),
            last_seen_ms: 0,
        };
        let Some(entered) = self.enter(&row, &hello.peer_addr, session_id).await? else {
            return Err(away("this node is revoked", true));
        };
        if inner.truth.keeps_drives() {
            let client = inner.store.client().await?;
            self.drives_said(&client, node_id, &hello.region, &hello.drives).await?;
        }
        let admitted = inner
            .sessions
            .admit(
                session_id,
                node_id,
                &hello.node_name,
                &hello.build,
                Some(hello.applied_watermark),
                &hello.interest,
            )
            .ok_or_else(|| away("this control plane is not the leader", false))?;
        let stream = Stream { authority: self.clone(), session_id };
        // It may have been revoked since it was looked up, when there was no session yet that could be ended.
        if inner.truth.is_revoked(node_id).await? {
            inner.sessions.revoke(node_id);
            return Err(away("this node is revoked", true));
        }
        // Read after admission: what commits from now on is in the queue, what was before is in the changelog.
        // A watermark beyond what was ever given out is of a history that this database does not have.
        // So is one of an ended epoch beyond that epoch's last commit here: the node may have cached commits that were lost.
        let foreign = hello.applied_watermark > admitted.assigned
            || !self.has_applied(hello.applied_watermark, admitted.epoch).await?;
        let of_lost = !self.counts(hello.applied_watermark);
        let replay = if hello.applied_watermark == 0 || foreign || of_lost || history_lost {
            None
        } else {
            self.replay(hello.applied_watermark).await?
        };
        if replay.is_none() {
            inner.sessions.cover_from(session_id, admitted.assigned);
        }
        let welcome = wire::Welcome {
            session_id: Bytes::copy_from_slice(session_id.as_bytes()),
            cluster_id: Bytes::copy_from_slice(inner.cluster_id.as_bytes()),
            shard: 0,
            epoch: admitted.epoch,
            watermark: admitted.watermark,
            lease_ms: inner.lengths.lease_ms,
            cache_reset: replay.is_none(),
            config: Some(config::snapshot(inner, &inner.truth.configuration().await?, inner.truth.now_ms())),
            history_lost,
            settled_to: entered
                .settled_to
                .map(|to| Bytes::copy_from_slice(to.as_bytes()))
                .unwrap_or_default(),
            node_number: entered.peer.number.into(),
            now_ms: inner.truth.now_ms(),
            manifest_key: Bytes::copy_from_slice(&key_of_node(inner.manifest_root.expose(), node_id)),
            ticket_key: Bytes::copy_from_slice(inner.vault.ticket_key(node_id).expose()),
        };
        inner.metrics.session_starts.inc();
        tracing::info!(node = %hello.node_name, %node_id, cache_reset = welcome.cache_reset, "a node has joined");
        let replay = wire::Invalidate { watermark: admitted.watermark, keys: replay.unwrap_or_default() };
        let first = vec![
            wire::SessionDown { ordinal: 0, message: Some(Message::Welcome(welcome)) },
            wire::SessionDown { ordinal: REPLAY_ORDINAL, message: Some(Message::Invalidate(replay)) },
        ];
        Ok(Welcomed {
            session_id,
            stream,
            node_id,
            region: hello.region.clone(),
            first,
            queue: admitted.queue,
        })
    }

    /// Nothing has come of this hello: what the node holds is its own still. It hears so even if the database does not answer.
    async fn not_leading(&self) -> Turned {
        let inner = &self.inner;
        let asked = async {
            inner.truth.node_heard(&inner.holder).await?;
            inner.truth.holder().await
        };
        let holder = match tokio::time::timeout(LEADER_ASKED, asked).await {
            Ok(Ok((_, holder))) => holder,
            Ok(Err(_)) | Err(_) => String::new(),
        };
        Turned::Away(wire::Goodbye {
            reason: "this control plane is not the leader".to_owned(),
            permanent: false,
            leader: inner.elsewhere(holder).unwrap_or_default(),
            lease_untouched: true,
        })
    }

    fn check_hello(&self, hello: &wire::Hello) -> Result<Uuid, Turned> {
        let ours = wire::PROTOCOL_VERSION;
        if hello.protocol_version == 0 || hello.protocol_version > ours || hello.protocol_version + 1 < ours {
            let theirs = hello.protocol_version;
            return Err(away(
                format!(
                    "this control plane speaks protocol {ours} and the one before, the node {theirs}: upgrade the {}",
                    if theirs > ours { "control plane" } else { "node" }
                ),
                true,
            ));
        }
        let cluster = self.inner.cluster_id;
        if !hello.cluster_id.is_empty() && hello.cluster_id != cluster.as_bytes().as_slice() {
            return Err(away(
                format!("this control plane is of cluster {cluster}, the node of another"),
                true,
            ));
        }
        if hello.node_name.len() > NAME_BYTES_MAX
            || hello.region.len() > NAME_BYTES_MAX
            || hello.drives.len() > DRIVES_MAX
            || hello.peer_addr.len() > PEER_ADDR_BYTES_MAX
            || hello.peer_addr.contains('\0')
        {
            return Err(away("the hello is out of bounds", true));
        }
        Uuid::try_parse(&hello.node_id).map_err(|_| away("the node id is not a UUID", true))
    }

    pub(crate) async fn open_ops_reported(
        &self,
        session_id: Uuid,
        open: &wire::OpenOps,
    ) -> Result<(), StoreError> {
        let (oldest, count) = (Uuid::from_slice(&open.oldest).ok(), open.count.min(i64::MAX as u64));
        self.inner.truth.open_ops(session_id, oldest, count).await
    }

    pub(crate) async fn left(&self, session_id: Uuid) {
        let _ = self.inner.truth.leave(session_id).await;
    }

    async fn replay(&self, since: u64) -> Result<Option<Vec<wire::InvalidatedKey>>, StoreError> {
        let mut changed = self.inner.truth.changed_since(since, REPLAY_KEYS_MAX).await?;
        if crate::mutant!("replay-skipped") {
            changed = Some(Vec::new());
        }
        let Some(changed) = changed else { return Ok(None) };
        let bytes: usize = changed.iter().map(|change| change.key.len() + 32).sum();
        if bytes > REPLAY_BYTES_MAX {
            return Ok(None);
        }
        let key = |change: Changed| wire::InvalidatedKey {
            bucket_id: change.bucket_id,
            key: change.key,
            seq: change.seq,
        };
        Ok(Some(changed.into_iter().map(key).collect()))
    }
}
