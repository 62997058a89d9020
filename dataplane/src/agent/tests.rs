//! The agent against drives in memory and an authority in memory.

mod absent;
mod authority;
mod emptying;
mod leasing;
mod nodes;
mod proposing;
mod repairing;
mod retiring;
mod unflushed;

use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use holdfast_common::id::{BackendId, DriveId, OpId};
use holdfast_common::wire;
use holdfast_protocol::erasure::{Coders, choose};
use holdfast_protocol::placement::{Backend, BackendState, Class, place};

use self::authority::Authority;
use super::*;
use crate::blob::fake::{FakeDrives, Faults};
use crate::blob::{BlobWriter, Blobs, NewBlob, cpu_features};
use crate::drives::DriveState;
use crate::rt::CoreConfig;
use crate::rt::epoll::EpollRt;

struct World;

impl Env for World {
    type Rt = EpollRt;
    type Drives = FakeDrives;
    type Link = Authority;
}

const NODE: &str = "node";
const ROW: usize = 256 << 10;

/// A node with `drives` drives, some of which take blobs, and its agent.
struct Rig {
    drives: Rc<FakeDrives>,
    authority: Authority,
    state: Arc<NodeState>,
    agent: Rc<Agent<World>>,
    blobs: Blobs<FakeDrives, EpollRt>,
    /// Backends that blobs are placed on.
    taking: Vec<u32>,
    class: Class,
    coders: Rc<Coders>,
    _cache: tempfile::TempDir,
}

impl Rig {
    /// Blobs go to backends 1 to `drives`.
    fn new(drives: u32, parity: usize) -> Self {
        let rig = Self::empty(Class::local(parity), (1..=drives).collect());
        (1..=drives).for_each(|backend| rig.add_drive(backend));
        rig
    }

    /// Without drives, as yet.
    fn empty(class: Class, taking: Vec<u32>) -> Self {
        let cache_dir = tempfile::tempdir().unwrap();
        let (_, cache) = crate::cache::open(cache_dir.path()).unwrap();
        let state = Arc::new(NodeState::new(cache, [0; 16]));
        let drives_in_memory = Rc::new(FakeDrives::default());
        let coders = Rc::new(Coders::new(choose(cpu_features())));
        let authority = Authority::default();
        Self {
            blobs: Blobs::new(drives_in_memory.clone(), coders.clone()),
            agent: Agent::new(
                settings(NODE),
                state.clone(),
                drives_in_memory.clone(),
                coders.clone(),
                authority.clone(),
                Arc::default(),
            ),
            drives: drives_in_memory,
            authority,
            state,
            taking,
            class,
            coders,
            _cache: cache_dir,
        }
    }

    /// The same with another grace.
    fn with_grace(mut self, drive_grace: Duration) -> Self {
        Rc::get_mut(&mut self.agent).expect("nothing runs yet").settings.drive_grace = drive_grace;
        self
    }

    fn add_drive(&self, backend: u32) {
        self.drives.set_state(backend, Some(DriveState::Active));
        self.administer(backend, "active");
    }

    /// What the authority says of a backend.
    fn administer(&self, backend_id: u32, state: &str) {
        let backend = wire::Backend {
            backend_id,
            node_id: node_of(backend_id).to_owned(),
            state: state.to_owned(),
            ..Default::default()
        };
        self.state.change(|view| {
            view.ready = true;
            view.upsert(wire::ConfigSnapshot { backends: vec![backend], ..Default::default() });
        });
    }

    /// A blob of `size` bytes about to be written.
    fn writer(&self, op_id: OpId, size: usize) -> BlobWriter<FakeDrives, EpollRt> {
        let backend = |id: &u32| Backend {
            id: BackendId(*id),
            state: BackendState::Active,
            drive: DriveId([*id as u8; 16]),
            node: node_of(*id).into(),
            provider: "".into(),
            country: "".into(),
            region: "".into(),
        };
        let backends: Vec<Backend> = self.taking.iter().map(backend).collect();
        let size_known = Some(size as u64);
        let placement = place(&self.class, NODE, &backends, op_id, size_known).unwrap();
        let new = NewBlob { op_id, attempt: 0, class_id: self.class.id, size: size_known };
        self.blobs.write(new, &placement)
    }

    /// Writes a blob of `size` bytes made at `unix_ms`.
    async fn write(&self, unix_ms: u64, size: usize) -> (wire::Blob, Vec<u8>) {
        self.write_as(OpId::new(unix_ms, [size as u8; 10]), size).await
    }

    /// The same under a given op id.
    async fn write_as(&self, op_id: OpId, size: usize) -> (wire::Blob, Vec<u8>) {
        let unix_ms = op_id.unix_ms();
        let mut writer = self.writer(op_id, size);
        let body = bytes(size);
        writer.push(&body).await.unwrap();
        let written = writer.finish().await.unwrap();
        let placement_id = (unix_ms % 1_000_000) as u32;
        let backends = written.backends.iter().map(|backend| backend.0).collect();
        let known = wire::Placement { placement_id, backends };
        self.state.change(|view| {
            view.upsert(wire::ConfigSnapshot { placements: vec![known], ..Default::default() });
        });
        (written.to_wire(placement_id), body)
    }

    /// A blob that is committed and settled.
    async fn put(&self, unix_ms: u64, size: usize) -> (wire::Blob, Vec<u8>) {
        let (blob, body) = self.write(unix_ms, size).await;
        self.authority.commit(op_of(&blob));
        (blob, body)
    }

    /// Where fragment `index` was put.
    fn home(&self, blob: &wire::Blob, index: usize) -> u32 {
        self.state.view().placements[&blob.placement_id][index]
    }

    async fn read(&self, blob: &wire::Blob) -> Option<Vec<u8>> {
        let homes = self.state.view().placements[&blob.placement_id].clone();
        let homes: Vec<BackendId> = homes.iter().map(|id| BackendId(*id)).collect();
        let mut reader = self.blobs.read(blob, &homes, 0..blob.size).unwrap();
        let mut all = Vec::new();
        while let Some(chunk) = reader.next().await.ok()? {
            all.extend_from_slice(&chunk);
        }
        Some(all)
    }

    async fn stock(&self, blob: &wire::Blob) -> stock::Stock {
        let held = self.drives.find(op_of(blob)).await.unwrap();
        stock::Stock::of(&*self.drives, op_of(blob), Some(blob), held).await.unwrap()
    }

    async fn repair(&self, blob: &wire::Blob, missing: u64) -> wire::JobReport {
        let job = wire::Job { blob: Some(blob.clone()), missing, ..Default::default() };
        self.agent.repair(&job).await.unwrap().expect("nobody else has it")
    }
}

fn settings(node_id: &str) -> AgentSettings {
    AgentSettings {
        node_id: node_id.into(),
        reap_period: Duration::from_secs(1),
        scrub_period: Duration::from_secs(1),
        scrub_file: None,
        drive_grace: Duration::from_secs(3600),
        bytes_per_second: 1 << 40,
    }
}

/// Whose a backend is: ten numbers for each node.
fn node_of(backend: u32) -> &'static str {
    [NODE, "two", "three", "four", "five"][backend as usize / 10]
}

fn op_of(blob: &wire::Blob) -> OpId {
    OpId::from_wire(&blob.op_id).unwrap()
}

fn run<F: Future>(main: F) -> F::Output {
    EpollRt::run(&CoreConfig { index: 0, cpu: None }, main).expect("epoll is everywhere")
}

fn bytes(len: usize) -> Vec<u8> {
    let mut x = len as u64 | 1;
    std::iter::repeat_with(|| {
        x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (x >> 33) as u8
    })
    .take(len)
    .collect()
}

/// The system's clock, for op ids that the agent compares with it.
fn now() -> u64 {
    crate::rt::unix_ms()
}

#[test]
fn a_loop_ends_when_the_agent_is_to_stop() {
    run(async {
        let rig = Rig::new(4, 2);
        rig.authority.set_down(true);
        rig.agent.start();
        EpollRt::sleep(Duration::from_millis(20)).await;
        rig.agent.stop().await;
        assert_eq!(rig.agent.loops.get(), 0);
    });
}
