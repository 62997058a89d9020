//! One node of a simulation: the real engine, the real operations behind the real server, two cores on one executor.

use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use holdfast_common::id::{BackendId, DriveId, OpId};
use holdfast_common::recovery::ManifestKey;
use holdfast_common::wire;
use holdfast_dataplane::agent::{Agent, AgentSettings, Progress};
use holdfast_dataplane::blob::{Blobs, cpu_features};
use holdfast_dataplane::cache::CacheWriter;
use holdfast_dataplane::drives::host::Host;
use holdfast_dataplane::drives::{CoreDrives, Engine, EngineConfig, format};
use holdfast_dataplane::env::{Core, Env, Settings};
use holdfast_dataplane::hash::{Pool, Pools};
use holdfast_dataplane::index::MemoryStore;
use holdfast_dataplane::link::state::NodeState;
use holdfast_dataplane::ops::Service;
use holdfast_dataplane::rt::Stop;
use holdfast_dataplane::server::{Server, serve};
use holdfast_protocol::erasure::{Coders, choose};
use holdfast_protocol::placement::{Class, Level, Rule, Spread};
use tokio::sync::oneshot;

use super::authority::{Authority, BUCKET_ID, SimLink};
use super::client::REGION;
use super::disk::{Make, Outage};
use super::executor::{Crashed, World};
use super::host::SimHost;
use super::runtime::{SimListener, SimRt};

const CLUSTER: [u8; 16] = [0xc1; 16];
const NODE_ID: &str = "node-1";
/// Cores of the node: enough to share flushes and to append beside each other.
const CORES: usize = 2;

/// The simulated outside world.
pub struct Sim;

impl Env for Sim {
    type Rt = SimRt;
    type Drives = Rc<CoreDrives<SimRt>>;
    type Link = SimLink;
}

/// The machine a node runs on.
#[derive(Clone, Copy, Debug)]
pub struct Machine {
    pub drives: usize,
    pub parity: usize,
    /// All drives on one device, which flushes for all of them.
    pub shared_device: bool,
    /// Whether flushes of overwrites are shared at all, as on ext4.
    pub covers: bool,
    pub capacity: u64,
    pub segment_bytes: u64,
}

impl Default for Machine {
    fn default() -> Self {
        Self {
            drives: 4,
            parity: 2,
            shared_device: true,
            covers: true,
            capacity: 128 << 20,
            segment_bytes: 5 << 18,
        }
    }
}

/// What outlives the node's processes: machine, authority, and the index's database.
pub struct Place {
    pub machine: Machine,
    pub authority: Authority,
    index: MemoryStore,
    pub lives: u64,
}

/// A running process.
pub struct Node {
    pub engine: Arc<Engine>,
    pub cores: Vec<SimCore>,
    pub state: Arc<NodeState>,
    agent: Rc<Agent<Sim>>,
}

/// One core of it.
pub struct SimCore {
    pub listener: SimListener,
    pub drives: Rc<CoreDrives<SimRt>>,
    stop: Stop,
    served: oneshot::Receiver<()>,
}

#[must_use]
pub fn disk_name(number: usize) -> String {
    format!("d{number}")
}

fn path(number: usize) -> PathBuf {
    format!("/sim/{}", disk_name(number)).into()
}

#[must_use]
pub fn backend_of(number: usize) -> BackendId {
    BackendId(u32::try_from(number).expect("few") + 1)
}

impl Place {
    /// Formats the drives and registers them.
    #[must_use]
    pub fn new(machine: Machine) -> Self {
        let place =
            Self { machine, authority: Authority::default(), index: MemoryStore::default(), lives: 0 };
        for number in 0..machine.drives {
            place.add_drive(number, 0);
        }
        place
    }

    /// A new disk in slot `number`; `again` tells the drives of one slot apart.
    pub fn add_drive(&self, number: usize, again: u8) {
        let device = if self.machine.shared_device { 1 } else { number as u64 + 1 };
        let (covers, capacity) = (self.machine.covers, self.machine.capacity);
        World::current().disks.add(&disk_name(number), Make { device, covers, capacity });
        let mut id = [again; 16];
        id[0] = u8::try_from(number).expect("few");
        format::format(&SimHost, &path(number), CLUSTER, DriveId(id)).expect("a new disk can be formatted");
        self.authority.add_backend(wire::Backend {
            backend_id: backend_of(number).0,
            kind: "drive".to_owned(),
            drive_id: bytes::Bytes::copy_from_slice(&id),
            node_id: NODE_ID.to_owned(),
            state: "active".to_owned(),
            ..Default::default()
        });
    }

    /// Starts a process.
    ///
    /// # Errors
    /// When the power goes off meanwhile.
    pub fn start(&mut self) -> Result<Node, Crashed> {
        let world = World::current();
        self.lives += 1;
        let config = EngineConfig {
            drives: (0..self.machine.drives).map(path).collect(),
            index: "/sim/index".into(),
            cluster: CLUSTER,
            segment_bytes: Some(self.machine.segment_bytes),
        };
        let host: Arc<dyn Host> = Arc::new(SimHost);
        let opened = Engine::open_in_memory(&config, &host, &self.index);
        if world.disks.is_off() {
            return Err(Crashed);
        }
        let opened =
            opened.unwrap_or_else(|error| panic!("seed {}: the engine does not open: {error}", world.seed));
        for refused in &opened.refused {
            tracing::warn!(%refused, "starting without a drive");
        }
        let engine = opened.engine;
        engine.run_on::<SimRt>();
        let state = self.session(&engine);
        let link = SimLink { authority: self.authority.clone(), state: Arc::clone(&state) };
        let pools = Pools::default();
        let cores: Vec<SimCore> =
            (0..CORES).map(|index| self.core(&engine, &state, &link, pools.of_core(index))).collect();
        let agent = Agent::<Sim>::new(
            AgentSettings {
                node_id: NODE_ID.into(),
                reap_period: Duration::from_secs(10),
                scrub_period: Duration::from_secs(60),
                scrub_file: None,
                drive_grace: Duration::from_secs(15),
                bytes_per_second: 100 << 20,
            },
            Arc::clone(&state),
            Rc::new(Rc::clone(&cores[0].drives)),
            Rc::new(Coders::new(choose(cpu_features()))),
            link,
            Arc::<Progress>::default(),
        );
        agent.start();
        Ok(Node { engine, cores, state, agent })
    }

    /// What the link's session would have set up.
    fn session(&self, engine: &Engine) -> Arc<NodeState> {
        let state = Arc::new(NodeState::new(CacheWriter::nowhere(), CLUSTER));
        let (snapshot, watermark) = (self.authority.snapshot(), self.authority.watermark());
        for backend in &snapshot.backends {
            let drive = <[u8; 16]>::try_from(&*backend.drive_id).expect("16 bytes");
            engine.bind(DriveId(drive), BackendId(backend.backend_id));
        }
        state.change(|view| {
            view.reset(snapshot);
            view.manifest_key = ManifestKey::new(OpId([0; 16]).uuid(), &[7; 32]).map(Arc::new);
            view.ready = true;
            view.interest = Arc::new([(BUCKET_ID, watermark)].into());
        });
        if let Some(settled) = OpId::from_wire(&self.authority.settled_to()) {
            state.ops.settled(settled);
        }
        state.lease_extend(u64::MAX);
        state.access_extend(u64::MAX);
        state
    }

    fn core(
        &self,
        engine: &Arc<Engine>,
        state: &Arc<NodeState>,
        link: &SimLink,
        hash_pool: Option<Arc<Pool>>,
    ) -> SimCore {
        let settings = Settings {
            region: REGION.to_owned(),
            domains: Vec::new(),
            class: Class {
                id: 0,
                rule: Rule::Local { parity: self.machine.parity },
                spread: Spread { distinct: Level::Drive, at_least: 1 },
            },
            node_id: NODE_ID.into(),
        };
        let drives = engine.core::<SimRt>();
        let handle = Rc::new(Rc::clone(&drives));
        let blobs = Blobs::new(Rc::clone(&handle), Rc::new(Coders::new(choose(cpu_features()))));
        let core = Core::<Sim>::new(Arc::new(settings), Arc::clone(state), handle, blobs, link.clone(), None);
        let (stop, listener) = (Stop::new(), SimListener::default());
        let server = Server::new(Service::new(Rc::new(core), hash_pool), "sim".into(), None, stop.clone());
        let (done, served) = oneshot::channel();
        let accepting = listener.clone();
        World::current().spawn(async move {
            serve::<SimRt, _>(Rc::new(server), accepting).await;
            let _ = done.send(());
        });
        SimCore { listener, drives, stop, served }
    }

    /// After a crash: the node is forgotten, the disks and the index are what a restart finds.
    pub fn come_back(&mut self, node: Option<Node>, outage: Outage) {
        let world = World::current();
        world.disks.power_off();
        world.drop_tasks();
        drop(node);
        self.authority.node_gone();
        world.disks.come_back(outage);
        let deleted = world.chance(|rng| rng.chance(1, 8));
        self.index = match deleted {
            true => MemoryStore::default(),
            false => self.index.crashed(|_, writes| world.chance(|rng| rng.index(writes + 1))),
        };
    }
}

impl Node {
    /// A clean stop, in the order of `main`.
    pub async fn stop(self) {
        let Self { engine, cores, agent, .. } = self;
        agent.stop().await;
        let mut ended = Vec::new();
        for core in cores {
            core.stop.set();
            ended.push(async move {
                let _ = core.served.await;
                core.drives.close().await;
            });
        }
        join_all(ended).await;
        engine.stop_on().await;
    }
}
