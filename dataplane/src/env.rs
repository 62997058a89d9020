//! The outside world as one type parameter, and what an operation may do with it: every door takes a [`Grant`].
//!
//! [`Env`] names the runtime, the drives and the link; the real ones are in `main.rs`, the simulator brings its own.
//! [`Core`] is one core's share of the node. Its methods are the only way from an operation to metadata and bytes, and
//! each wants the grant for exactly that (DESIGN 8, invariant 4).

mod manifest;
mod metadata;
mod mutate;
mod place;
mod stale;

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use bytes::Bytes;
use holdfast_common::wire;
use holdfast_protocol::placement::Class;
use tokio::sync::oneshot;

use crate::agent::OpenOp;
use crate::blob::Blobs;
use crate::cache::{CacheReader, HotRecords};
use crate::drives::Drives;
use crate::limits;
use crate::link::Link;
use crate::link::state::{NodeState, View};
use crate::rt::Rt;

pub use metadata::{Found, MetadataError};
pub use mutate::Conditional;
pub use stale::Looked;

/// The outside world.
pub trait Env: 'static {
    type Rt: Rt;
    type Drives: Drives;
    type Link: Link;
}

/// What does not change while the process lives.
#[derive(Debug)]
pub struct Settings {
    pub region: String,
    pub domains: Vec<String>,
    /// Class of buckets that name none.
    pub class: Class,
    pub node_id: Arc<str>,
}

/// Who waits for a lookup that somebody else asked.
type Waiters = Vec<oneshot::Sender<metadata::Shared>>;

/// One core's share of the node: handles on everything, nothing shared with other cores but what is `Arc`.
pub struct Core<E: Env> {
    pub settings: Arc<Settings>,
    pub state: Arc<NodeState>,
    pub drives: Rc<E::Drives>,
    blobs: Blobs<E::Drives, E::Rt>,
    link: E::Link,
    /// `None` in a simulation that has no RocksDB.
    cache: Option<CacheReader>,
    hot: RefCell<HotRecords>,
    /// Lookups under way on this core: who comes second waits for the first.
    lookups: RefCell<HashMap<(u64, Bytes), Waiters>>,
    /// Interned lists of backends.
    placements: RefCell<place::Interned>,
    view: RefCell<(u64, Arc<View>)>,
    pub counters: Arc<Counters>,
}

/// What a core counts about metadata and requests; summed at scrape. Only its own core writes to it.
#[derive(Default)]
pub struct Counters {
    pub hot_hits: AtomicU64,
    pub cache_hits: AtomicU64,
    pub lookups: AtomicU64,
    /// Records shown by a bucket's `stale_reads`.
    pub stale: AtomicU64,
    pub in_flight: AtomicU64,
}

impl<E: Env> Core<E> {
    pub fn new(
        settings: Arc<Settings>,
        state: Arc<NodeState>,
        drives: Rc<E::Drives>,
        blobs: Blobs<E::Drives, E::Rt>,
        link: E::Link,
        cache: Option<CacheReader>,
    ) -> Self {
        let view = RefCell::new((state.view_generation(), state.view()));
        Self {
            settings,
            state,
            drives,
            blobs,
            link,
            cache,
            hot: RefCell::default(),
            lookups: RefCell::default(),
            placements: RefCell::default(),
            view,
            counters: Arc::default(),
        }
    }

    /// The configuration as of now; cheap when it has not changed since the last call.
    pub fn view(&self) -> Arc<View> {
        let generation = self.state.view_generation();
        let mut held = self.view.borrow_mut();
        if held.0 != generation {
            *held = (generation, self.state.view());
        }
        held.1.clone()
    }

    /// Whether keys, policies and buckets of the view may be believed: only under a live access lease, because a revocation
    /// waits for those and for nothing else. One that is about to come back is waited for, within `LEASE_WAIT`.
    pub async fn may_believe(&self) -> bool {
        let until_ms = E::Rt::boottime_ms() + limits::LEASE_WAIT_MS;
        while !self.state.access_live(E::Rt::boottime_ms()) {
            if E::Rt::boottime_ms() >= until_ms {
                return false;
            }
            E::Rt::sleep(limits::LEASE_WAIT_TICK).await;
        }
        true
    }

    /// A fresh op id, above all earlier ones; open until its last guard is dropped, so that the reaper leaves its
    /// fragments alone.
    pub fn op_begin(&self) -> OpenOp {
        let mut random = [0u8; 10];
        E::Rt::random(&mut random);
        OpenOp::begin(&self.state.ops, E::Rt::unix_ms(), random, self.view().node_number)
    }

    /// The owner that answers name for a tenant: its canonical id and display name.
    pub fn owner(&self, tenant_id: u64) -> Arc<wire::Tenant> {
        self.view().tenants.get(&tenant_id).cloned().unwrap_or_default()
    }
}
