//! The authority in memory: the truth of a simulation, which survives every crash of the node.
//!
//! It decides as the control plane does where the engine can tell the difference: one outcome per op id, retries read the
//! recorded one, an op id that was abandoned is never committed, what nobody references any more is freed and becomes a
//! job after a delay, thin blobs become repair jobs. Its answers take time and may be lost.

mod commit;
mod query;
mod work;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use holdfast_common::id::OpId;
use holdfast_common::wire;
use holdfast_dataplane::link::state::NodeState;
use holdfast_dataplane::link::{Link, LinkError};
use holdfast_protocol::date::yyyymmdd;
use holdfast_protocol::sigv4::derive_day_key;

use super::client::{ACCESS_KEY, REGION, SECRET_KEY};
use super::executor::World;

pub const BUCKET: &str = "sim";
pub const BUCKET_ID: u64 = 7;
const TENANT_ID: u64 = 3;

/// How long a freed blob's bytes stay.
pub const DELETE_DELAY: Duration = Duration::from_secs(20);
/// How long a job is a node's.
const JOB_LEASE: Duration = Duration::from_secs(15);

/// A shared handle on the truth.
#[derive(Clone, Default)]
pub struct Authority(Rc<RefCell<State>>);

#[derive(Default)]
struct State {
    seq: u64,
    heads: BTreeMap<Bytes, wire::ObjectRecord>,
    uploads: BTreeMap<String, Upload>,
    /// Blobs that rows reference, with how many do.
    blobs: BTreeMap<OpId, (wire::Blob, u32)>,
    /// Blobs that none does any more, since when.
    freed: BTreeMap<OpId, (wire::Blob, Duration)>,
    repairs: BTreeMap<OpId, Repair>,
    changelog: BTreeMap<OpId, Recorded>,
    placements: Vec<Vec<u32>>,
    backends: BTreeMap<u32, wire::Backend>,
    settled_to: Bytes,
    /// Sent and not yet decided: a crash of the node loses some.
    under_way: Vec<(u64, wire::Mutation)>,
    sent: u64,
    /// Of 100 commits, so many are lost before they are decided, and so many answers after.
    lose_request: u64,
    lose_answer: u64,
    tally: Tally,
}

struct Upload {
    key: Bytes,
    meta: wire::ObjectMeta,
    parts: BTreeMap<u32, wire::Part>,
}

struct Repair {
    missing: u64,
    leased_until: Duration,
    attempts: u32,
}

/// What became of an op id.
enum Recorded {
    Done(Box<wire::MutationResult>),
    Abandoned,
}

/// What the authority was told, for the harness to hold against the drives.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    pub commits: u64,
    pub deleted: u64,
    pub abandoned: u64,
    /// Blobs reported whole again.
    pub repaired: Vec<OpId>,
    pub lost: Vec<(OpId, String)>,
}

impl Authority {
    pub fn add_backend(&self, backend: wire::Backend) {
        self.0.borrow_mut().backends.insert(backend.backend_id, backend);
    }

    /// Of 100 commits, how many requests and how many answers are lost.
    pub fn unreliable(&self, lose_request: u64, lose_answer: u64) {
        let mut state = self.0.borrow_mut();
        (state.lose_request, state.lose_answer) = (lose_request, lose_answer);
    }

    /// What a session begins with.
    #[must_use]
    pub fn snapshot(&self) -> wire::ConfigSnapshot {
        let state = self.0.borrow();
        let placement = |(id, backends): (usize, &Vec<u32>)| wire::Placement {
            placement_id: u32::try_from(id).expect("few") + 1,
            backends: backends.clone(),
        };
        wire::ConfigSnapshot {
            keys: vec![access_key()],
            buckets: vec![wire::Bucket {
                bucket_id: BUCKET_ID,
                name: BUCKET.to_owned(),
                tenant_id: TENANT_ID,
                created_ms: super::executor::EPOCH_MS,
                revision: 1,
                region: REGION.to_owned(),
                ..Default::default()
            }],
            backends: state.backends.values().cloned().collect(),
            placements: state.placements.iter().enumerate().map(placement).collect(),
            tenants: vec![wire::Tenant {
                tenant_id: TENANT_ID,
                canonical_id: "c".repeat(64),
                display_name: "simulation".to_owned(),
            }],
            peers: Vec::new(),
        }
    }

    #[must_use]
    pub fn watermark(&self) -> u64 {
        self.0.borrow().seq
    }

    #[must_use]
    pub fn settled_to(&self) -> Bytes {
        self.0.borrow().settled_to.clone()
    }

    #[must_use]
    pub fn tally(&self) -> Tally {
        self.0.borrow().tally.clone()
    }

    /// Blobs that rows reference, and with which bits missing.
    #[must_use]
    pub fn blobs(&self) -> Vec<(wire::Blob, u64)> {
        let state = self.0.borrow();
        let missing = |op| state.repairs.get(op).map_or(0, |repair| repair.missing);
        state.blobs.iter().map(|(op, (blob, _))| (blob.clone(), missing(op))).collect()
    }

    /// Blobs of uploads that are neither completed nor aborted.
    #[must_use]
    pub fn uploads(&self) -> Vec<OpId> {
        let state = self.0.borrow();
        let parts = state.uploads.values().flat_map(|upload| upload.parts.values());
        parts.filter_map(|part| OpId::from_wire(&part.blob.as_ref()?.op_id)).collect()
    }

    /// Work that nobody has done yet: freed blobs and repairs.
    #[must_use]
    pub fn backlog(&self) -> (usize, usize) {
        let state = self.0.borrow();
        (state.freed.len(), state.repairs.len())
    }

    /// The node is gone: what it had sent may or may not have arrived. Leases of jobs run out.
    pub fn node_gone(&self) {
        let mut state = self.0.borrow_mut();
        for (_, mutation) in std::mem::take(&mut state.under_way) {
            if World::current().chance(|rng| rng.chance(1, 2)) {
                state.decide(&mutation);
            }
        }
        state.repairs.values_mut().for_each(|repair| repair.leased_until = Duration::ZERO);
    }
}

fn access_key() -> wire::AccessKey {
    let day_ms = 24 * 60 * 60 * 1000;
    let days = (0..9).map(|day| yyyymmdd(super::executor::EPOCH_MS - day_ms + day * day_ms));
    let day_key = |date| wire::DayKey {
        date,
        region: REGION.to_owned(),
        key: Bytes::copy_from_slice(&derive_day_key(SECRET_KEY.as_bytes(), date, REGION)[..]),
    };
    wire::AccessKey {
        access_key_id: ACCESS_KEY.to_owned(),
        tenant_id: TENANT_ID,
        all_buckets: true,
        permissions: vec![wire::Permission::Read.into(), wire::Permission::Write.into()],
        day_keys: days.map(day_key).collect(),
        ..Default::default()
    }
}

/// One node's link to it.
#[derive(Clone)]
pub struct SimLink {
    pub authority: Authority,
    pub state: Arc<NodeState>,
}

impl SimLink {
    async fn travel() {
        let world = World::current();
        let micros = world
            .chance(|rng| if rng.chance(1, 30) { rng.within(1_000..30_000) } else { rng.within(50..500) });
        world.sleep(Duration::from_micros(micros)).await;
    }
}

impl Link for SimLink {
    fn commit(
        &self,
        mutation: wire::Mutation,
    ) -> impl Future<Output = Result<wire::MutationResult, LinkError>> + 'static {
        let Self { authority, state } = self.clone();
        async move {
            let number = authority.send(&mutation);
            Self::travel().await;
            let (lose_request, lose_answer) = authority.faults();
            let chance = |of_100| World::current().chance(|rng| rng.chance(of_100, 100));
            let unknown = || LinkError::OutcomeUnknown(format!("{:?}", mutation.op_id));
            if chance(lose_request) {
                authority.arrived(number);
                return Err(if chance(50) { unknown() } else { LinkError::Unavailable("lost on the way") });
            }
            let result = authority.arrived(number).map(|mutation| authority.decide(&mutation));
            let result = result.ok_or_else(unknown)?;
            if result.seq > 0 {
                state.raise(BUCKET_ID, &mutation.key, result.seq);
            }
            Self::travel().await;
            if chance(lose_answer) {
                return Err(unknown());
            }
            state.acknowledge(result.seq);
            Ok(result)
        }
    }

    fn query(
        &self,
        query: wire::query::Query,
    ) -> impl Future<Output = Result<wire::Answer, LinkError>> + 'static {
        let authority = self.authority.clone();
        async move {
            Self::travel().await;
            let answer = authority.0.borrow_mut().answer(query);
            Self::travel().await;
            Ok(answer)
        }
    }

    fn work(
        &self,
        what: wire::work_request::What,
    ) -> impl Future<Output = Result<wire::work_answer::What, LinkError>> + 'static {
        let authority = self.authority.clone();
        async move {
            Self::travel().await;
            let answer = authority.0.borrow_mut().work(what);
            Self::travel().await;
            Ok(answer)
        }
    }

    fn interest(&self, _bucket_id: u64) {}
}

impl Authority {
    fn send(&self, mutation: &wire::Mutation) -> u64 {
        let mut state = self.0.borrow_mut();
        state.sent += 1;
        let number = state.sent;
        state.under_way.push((number, mutation.clone()));
        number
    }

    fn arrived(&self, number: u64) -> Option<wire::Mutation> {
        let mut state = self.0.borrow_mut();
        let at = state.under_way.iter().position(|(own, _)| *own == number)?;
        Some(state.under_way.swap_remove(at).1)
    }

    fn faults(&self) -> (u64, u64) {
        let state = self.0.borrow();
        (state.lose_request, state.lose_answer)
    }

    fn decide(&self, mutation: &wire::Mutation) -> wire::MutationResult {
        self.0.borrow_mut().decide(mutation)
    }
}
