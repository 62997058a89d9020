//! What all cores of a node share with the link thread, and nothing else is shared: slots, leases, configuration.
//!
//! The check that makes cached reads strongly consistent (DESIGN 3.2) is in `freshness.rs` and nowhere else; cores ask [`NodeState::usable`].

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use holdfast_common::recovery::ManifestKey;
use holdfast_common::ticket::TicketKey;
use holdfast_common::wire;
use holdfast_protocol::access::{BucketFacts, KeyIdentity};
use holdfast_protocol::sigv4::{KeyLookup, KeySource, SigningKey};
use parking_lot::{Mutex, RwLock};

use super::freshness::Freshness;
use crate::agent::{Notes, OpenOps, Pins, Superseded};
use crate::cache::CacheWriter;
use crate::{limits, metrics};

/// Shared by cores (readers) and the link thread (writer).
pub struct NodeState {
    freshness: Freshness,
    /// CLOCK_BOOTTIME milliseconds until which keys, policies and buckets of the view may be believed; 0: no lease.
    access_until_ms: AtomicU64,
    /// The end of the latest lease (CLOCK_BOOTTIME, ms), whether it was dropped before or not; 0: there was none.
    led_until_ms: AtomicU64,
    /// Highest sequence a client of this node was told of.
    acknowledged: AtomicU64,
    /// Watermark up to which every invalidation has been applied to the slots.
    applied: AtomicU64,
    view: RwLock<Arc<View>>,
    view_generation: AtomicU64,
    on_change: Mutex<Option<OnChange>>,
    /// Op ids that may still be committed.
    pub ops: Arc<OpenOps>,
    /// Blobs that are being read.
    pub pins: Arc<Pins>,
    /// Fragments that reads found missing or rotten, for the agent.
    pub notes: Notes,
    /// Blobs of which other nodes have made fragments again, for the agent.
    pub superseded: Superseded,
    pub cache: CacheWriter,
}

/// Leases that were given up: their ends, CLOCK_BOOTTIME milliseconds; 0: there was none.
pub(crate) struct Leases {
    lease_until_ms: u64,
    access_until_ms: u64,
}

/// Told of each new view before anybody else sees it.
pub type OnChange = Box<dyn Fn(&View) + Send>;

/// Configuration as of one moment: an immutable snapshot that cores hold by `Arc`.
#[derive(Default, Clone)]
pub struct View {
    pub ready: bool,
    pub cluster_id: [u8; 16],
    pub epoch: u64,
    pub history_lost: bool,
    /// Seals recovery manifests; `None`: the authority gave none. In memory only.
    pub manifest_key: Option<Arc<ManifestKey>>,
    keys: Arc<HashMap<Box<str>, Arc<Key>>>,
    pub buckets: Arc<HashMap<Box<str>, Arc<BucketFacts>>>,
    pub backends: Arc<HashMap<u32, wire::Backend>>,
    pub placements: Arc<HashMap<u32, Arc<[u32]>>>,
    pub tenants: Arc<HashMap<u64, Arc<wire::Tenant>>>,
    /// The other nodes and this one, by id.
    pub peers: Arc<HashMap<Box<str>, Arc<wire::Peer>>>,
    /// How often the authority has spoken of each node: it does when one says hello.
    pub heard: Arc<HashMap<Box<str>, u64>>,
    /// This node's number, which stands in the op ids it makes; 0: not told.
    pub node_number: u16,
    /// What tickets for this node's fragments are made with.
    pub ticket_key: Option<TicketKey>,
    /// What the authority's clock said (ms since 1970), and this node's boot-time clock (ms) when it was heard.
    pub clock: (u64, u64),
    /// Buckets that may be cached, with the watermark from which records count.
    pub interest: Arc<HashMap<u64, u64>>,
}

/// An access key as cores use it: who it is, and its day signing keys by (yyyymmdd, region). In memory only.
struct Key {
    identity: Arc<KeyIdentity>,
    days: Vec<(u32, Box<str>, SigningKey)>,
}

impl Key {
    /// `None` for a key this build cannot read: leaving it out refuses it.
    fn from_wire(key: &wire::AccessKey) -> Option<Self> {
        let identity = match KeyIdentity::from_wire(key) {
            Ok(identity) => Arc::new(identity),
            Err(error) => {
                tracing::warn!(%error, "a key of the snapshot is left out");
                return None;
            }
        };
        let days = key.day_keys.iter().filter_map(|day| {
            let bytes: &[u8; 32] = day.key.as_ref().try_into().ok()?;
            Some((day.date, day.region.as_str().into(), SigningKey::new(bytes)))
        });
        Some(Self { identity, days: days.collect() })
    }
}

impl KeySource for View {
    fn signing_key(&self, access_key_id: &str, day: u32, region: &str) -> KeyLookup<'_> {
        let Some(key) = self.keys.get(access_key_id) else { return KeyLookup::NoSuchKey };
        let found = key.days.iter().find(|(date, place, _)| *date == day && **place == *region);
        match found {
            Some((_, _, signing)) => KeyLookup::Found { key: signing, identity: &key.identity },
            None => KeyLookup::NoKeyForDay { identity: &key.identity },
        }
    }

    fn signs(&self) {
        metrics::core().signature_computed();
    }
}

impl NodeState {
    #[must_use]
    pub fn new(cache: CacheWriter, cluster_id: [u8; 16]) -> Self {
        let view = View { cluster_id, ..View::default() };
        Self {
            freshness: Freshness::new(limits::CACHE_SLOTS),
            access_until_ms: AtomicU64::new(0),
            led_until_ms: AtomicU64::new(0),
            acknowledged: AtomicU64::new(cache.recovered().acknowledged),
            applied: AtomicU64::new(cache.recovered().applied),
            view: RwLock::new(Arc::new(view)),
            view_generation: AtomicU64::new(0),
            on_change: Mutex::default(),
            ops: Arc::default(),
            pins: Arc::default(),
            notes: Notes::default(),
            superseded: Superseded::default(),
            cache,
        }
    }

    /// May a record (or the knowledge that there is none) read at `as_of` be shown now? Call it *after* the record was
    /// fetched from wherever it was cached: the slot read must come last. `unchanged_to`: up to which commit the place it came
    /// from vouches for it, whatever the slot says; 0 where it does not.
    #[must_use]
    pub fn usable(
        &self,
        view: &View,
        (bucket_id, key): (u64, &[u8]),
        as_of: u64,
        unchanged_to: u64,
        boottime_ms: u64,
    ) -> bool {
        let since = match view.interest.get(&bucket_id) {
            Some(since) => *since,
            None => return false,
        };
        as_of >= since && self.freshness.usable(key_hash(bucket_id, key), as_of, unchanged_to, boottime_ms)
    }

    /// Was such a record true until [`Self::told_until_ms`], as far as this node knows? Likewise, but for the lease.
    #[must_use]
    pub fn was_usable(
        &self,
        view: &View,
        (bucket_id, key): (u64, &[u8]),
        as_of: u64,
        unchanged_to: u64,
    ) -> bool {
        view.interest.get(&bucket_id).is_some_and(|since| {
            as_of >= *since && self.freshness.was_usable(key_hash(bucket_id, key), as_of, unchanged_to)
        })
    }

    /// Until when this node was told of every commit before anybody was shown it (CLOCK_BOOTTIME, ms); `None`: it never was.
    #[must_use]
    pub fn told_until_ms(&self, boottime_ms: u64) -> Option<u64> {
        Some(self.freshness.told_until_ms(boottime_ms)).filter(|until_ms| *until_ms > 0)
    }

    /// No change after `as_of` is known of this key: good enough for an answer that was asked before it was shown.
    #[must_use]
    pub fn not_overtaken(&self, bucket_id: u64, key: &[u8], as_of: u64) -> bool {
        self.freshness.not_overtaken(key_hash(bucket_id, key), as_of)
    }

    /// A placement that the authority just interned for us; its configuration message may still be on its way.
    pub fn learn_placement(&self, placement: &wire::Placement) {
        if !self.view().placements.contains_key(&placement.placement_id) {
            let snapshot = wire::ConfigSnapshot { placements: vec![placement.clone()], ..Default::default() };
            self.change(|view| view.upsert(snapshot));
        }
    }

    /// Whether records of the caches may be shown.
    #[must_use]
    pub fn lease_live(&self, boottime_ms: u64) -> bool {
        self.freshness.lease_live(boottime_ms)
    }

    /// Whether keys, policies and buckets of the view may be believed.
    #[must_use]
    pub fn access_live(&self, boottime_ms: u64) -> bool {
        boottime_ms < self.access_until_ms.load(Ordering::Acquire)
    }

    /// Whether there is a lease, or was one not longer ago than `grace_ms`.
    #[must_use]
    pub fn was_led(&self, boottime_ms: u64, grace_ms: u64) -> bool {
        boottime_ms < self.led_until_ms.load(Ordering::Acquire).saturating_add(grace_ms)
    }

    /// Nothing cached before `seq` of this key may be shown from now on.
    pub fn raise(&self, bucket_id: u64, key: &[u8], seq: u64) {
        self.freshness.raise(key_hash(bucket_id, key), seq);
    }

    /// Answers from the caches are allowed until then (CLOCK_BOOTTIME, ms); never shortens a lease.
    pub fn lease_extend(&self, until_ms: u64) {
        self.led_until_ms.fetch_max(until_ms, Ordering::AcqRel);
        self.freshness.lease_extend(until_ms);
    }

    /// The view may be believed until then, likewise.
    pub fn access_extend(&self, until_ms: u64) {
        self.access_until_ms.fetch_max(until_ms, Ordering::AcqRel);
    }

    /// Gives both leases up; returns them, for [`Self::leases_take_back`].
    pub(crate) fn leases_drop(&self, boottime_ms: u64) -> Leases {
        Leases {
            lease_until_ms: self.freshness.lease_drop(boottime_ms),
            access_until_ms: self.access_until_ms.swap(0, Ordering::AcqRel),
        }
    }

    /// They were given up for nothing: whoever granted them still waits for them.
    pub(crate) fn leases_take_back(&self, leases: Leases) {
        self.lease_extend(leases.lease_until_ms);
        self.access_extend(leases.access_until_ms);
    }

    pub(crate) fn floor_raise(&self, watermark: u64) {
        self.freshness.floor_raise(watermark);
    }

    pub(crate) fn applied(&self) -> u64 {
        self.applied.load(Ordering::Acquire)
    }

    pub(crate) fn applied_raise(&self, watermark: u64) {
        self.applied.fetch_max(watermark, Ordering::AcqRel);
    }

    /// Remembers that a client was told of `seq`.
    pub fn acknowledge(&self, seq: u64) {
        self.acknowledged.fetch_max(seq, Ordering::AcqRel);
    }

    #[must_use]
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::Acquire)
    }

    /// Changes whenever the view does: a core compares it with the one it holds and fetches only then.
    #[must_use]
    pub fn view_generation(&self) -> u64 {
        self.view_generation.load(Ordering::Acquire)
    }

    #[must_use]
    pub fn view(&self) -> Arc<View> {
        self.view.read().clone()
    }

    /// Who is told of each new view before it is visible.
    pub fn on_change(&self, tell: OnChange) {
        *self.on_change.lock() = Some(tell);
    }

    /// Replaces the view by a changed copy; visible to every core's next request when this returns.
    pub fn change(&self, edit: impl FnOnce(&mut View)) {
        let mut held = self.view.write();
        let mut next = View::clone(&held);
        edit(&mut next);
        if let Some(tell) = &*self.on_change.lock() {
            tell(&next);
        }
        *held = Arc::new(next);
        self.view_generation.fetch_add(1, Ordering::AcqRel);
    }
}

/// FNV-1a over bucket and key, mixed; only its spread matters, never its secrecy.
#[must_use]
pub fn key_hash(bucket_id: u64, key: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64 ^ bucket_id.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    for chunk in key.chunks(8) {
        let mut word = [0u8; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        hash = (hash ^ u64::from_le_bytes(word)).wrapping_mul(0x0000_0100_0000_01b3);
        hash ^= hash >> 29;
    }
    hash = (hash ^ key.len() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    hash ^ (hash >> 32)
}

impl View {
    /// Applies what the authority sent; whole states replace older ones, but never newer ones.
    pub(crate) fn upsert(&mut self, snapshot: wire::ConfigSnapshot) {
        if !snapshot.keys.is_empty() {
            let keys = Arc::make_mut(&mut self.keys);
            for key in &snapshot.keys {
                match Key::from_wire(key) {
                    Some(entry) => keys.insert(key.access_key_id.as_str().into(), Arc::new(entry)),
                    None => keys.remove(key.access_key_id.as_str()),
                };
            }
        }
        if !snapshot.buckets.is_empty() {
            let buckets = Arc::make_mut(&mut self.buckets);
            for bucket in &snapshot.buckets {
                if let Some(facts) = BucketFacts::from_wire(bucket) {
                    if facts.settings.is_none() {
                        tracing::error!(
                            bucket = bucket.name,
                            "its configuration cannot be read; nobody may use it"
                        );
                    }
                    buckets.insert(bucket.name.as_str().into(), Arc::new(facts));
                }
            }
        }
        if !snapshot.backends.is_empty() {
            let backends = Arc::make_mut(&mut self.backends);
            backends.extend(snapshot.backends.into_iter().map(|backend| (backend.backend_id, backend)));
        }
        if !snapshot.placements.is_empty() {
            let placements = Arc::make_mut(&mut self.placements);
            placements.extend(
                snapshot
                    .placements
                    .into_iter()
                    .map(|placement| (placement.placement_id, placement.backends.into())),
            );
        }
        if !snapshot.peers.is_empty() {
            let heard = Arc::make_mut(&mut self.heard);
            for peer in &snapshot.peers {
                *heard.entry(peer.node_id.as_str().into()).or_default() += 1;
            }
            let peers = Arc::make_mut(&mut self.peers);
            peers.extend(
                snapshot.peers.into_iter().map(|peer| (peer.node_id.as_str().into(), Arc::new(peer))),
            );
        }
        if !snapshot.tenants.is_empty() {
            let tenants = Arc::make_mut(&mut self.tenants);
            tenants.extend(snapshot.tenants.into_iter().map(|tenant| (tenant.tenant_id, Arc::new(tenant))));
        }
    }

    /// How often the authority has spoken of a node.
    #[must_use]
    pub fn heard_of(&self, node: &str) -> u64 {
        self.heard.get(node).copied().unwrap_or(0)
    }

    /// What the authority's clock says now, or a little less: its word was on its way for a moment.
    #[must_use]
    pub fn authority_ms(&self, boottime_ms: u64) -> u64 {
        let (said_ms, heard_ms) = self.clock;
        said_ms + boottime_ms.saturating_sub(heard_ms)
    }

    /// Replaces everything: a new session starts from the authority's word alone.
    pub fn reset(&mut self, snapshot: wire::ConfigSnapshot) {
        self.keys = Arc::default();
        self.buckets = Arc::default();
        self.backends = Arc::default();
        self.placements = Arc::default();
        self.tenants = Arc::default();
        self.peers = Arc::default();
        self.upsert(snapshot);
    }

    pub(crate) fn apply(&mut self, change: wire::ConfigChange) {
        if !change.removed_keys.is_empty() {
            let keys = Arc::make_mut(&mut self.keys);
            for id in &change.removed_keys {
                keys.remove(id.as_str());
            }
        }
        if !change.removed_buckets.is_empty() {
            Arc::make_mut(&mut self.buckets)
                .retain(|_, bucket| !change.removed_buckets.contains(&bucket.bucket_id.0));
            Arc::make_mut(&mut self.interest).retain(|bucket, _| !change.removed_buckets.contains(bucket));
        }
        if !change.removed_backends.is_empty() {
            Arc::make_mut(&mut self.backends).retain(|id, _| !change.removed_backends.contains(id));
        }
        if !change.removed_peers.is_empty() {
            let peers = Arc::make_mut(&mut self.peers);
            peers.retain(|node, _| !change.removed_peers.iter().any(|removed| **removed == **node));
        }
        if let Some(snapshot) = change.upsert {
            self.upsert(snapshot);
        }
    }
}
