//! A node put together: identity, drives, cache, link, and what each core builds from them.
//!
//! Order of start: identity and drives first (what cannot be served must be said before a port is open), then the cache, then
//! the link; cores come last. Order of stop is the reverse, so that nothing is asked of what is gone.

mod identity;
mod memory;
mod metrics;
mod others;

use std::marker::PhantomData;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use holdfast_common::id::{BackendId, DriveId};
use holdfast_common::wire;
use holdfast_protocol::erasure::{CoderKind, Coders};
use holdfast_protocol::placement::Class;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::agent::{Agent, AgentSettings, Progress};
use crate::blob::{Blobs, cpu_features};
use crate::cache::{self, CacheReader, CacheWriter};
use crate::config::{Config, SpreadChoice};
use crate::drives::drive::Drive;
use crate::drives::{CoreDrives, DriveState, Engine, EngineConfig};
use crate::enrol::Current;
use crate::env::{Core, Env, Settings};
use crate::hash::Pools;
use crate::link::state::{NodeState, View};
use crate::link::{self, LinkConfig, LinkHandle};
use crate::ops::Service;
use crate::peer::{Fleet, Peers};
use crate::rt::{CoreConfig, Rt};
use crate::server::cores::CoreSetup;
use identity::Identity;
use memory::Memory;

/// The real world: io_uring (or epoll), real drives, the gRPC link.
pub struct Real<R>(PhantomData<fn() -> R>);

impl<R: Rt> Env for Real<R> {
    type Rt = R;
    type Drives = Fleet<CoreDrives<R>, LinkHandle, R>;
    type Link = LinkHandle;
}

/// What a process has once, whatever its cores are.
pub struct Node {
    identity: Identity,
    settings: Arc<Settings>,
    engine: Arc<Engine>,
    state: Arc<NodeState>,
    cache_reader: CacheReader,
    cache_writer: CacheWriter,
    link: LinkHandle,
    link_stop: Mutex<Option<oneshot::Sender<()>>>,
    coder: CoderKind,
    agent: AgentSettings,
    progress: Arc<Progress>,
    hash_pools: Pools,
    /// `None`: it has no certificate, and talks to no other node.
    peers: Option<Arc<Peers>>,
    peer_addr: Option<SocketAddr>,
    memory: Memory,
}

impl Node {
    /// Opens everything but the S3 port.
    ///
    /// # Errors
    /// A sentence for the operator: what is wrong and what to do next.
    pub fn open(config: &Config) -> Result<Arc<Self>, String> {
        let certificate = Current::open(config)?;
        let certified = certificate.as_ref().map(|certificate| certificate.get());
        let identity = Identity::open(config, certified.as_deref())?;
        let peers = others::peers(config, certificate.as_deref())?;
        let engine = open_engine(config, &identity)?;
        let (cache_reader, cache_writer) = cache::open(&config.data_dir.join("cache"))?;
        let state = Arc::new(NodeState::new(cache_writer.clone(), identity.cluster_id));
        let memory = Memory::open(&config.data_dir, &state)?;
        let settings = Arc::new(settings(config, &identity));
        bind_drives(&state, &engine, &identity);
        let (stop, stopped) = oneshot::channel();
        let progress = Arc::new(Progress::default());
        let mut link_config = link_config(config, &identity, &engine, &state, &progress);
        link_config.identity = certificate;
        let (link, _thread) = link::start(link_config, state.clone(), stopped)
            .map_err(|error| format!("the control link's thread does not start: {error}; see `ulimit -u`"))?;
        let coder = holdfast_protocol::erasure::choose(cpu_features());
        if let Some(warning) = coder.warning() {
            tracing::warn!("{warning}");
        }
        let link_stop = Mutex::new(Some(stop));
        let agent = agent_settings(config, &identity);
        let node = Arc::new(Self {
            identity,
            settings,
            engine,
            state,
            cache_reader,
            cache_writer,
            link,
            link_stop,
            coder,
            agent,
            progress,
            hash_pools: Pools::default(),
            peer_addr: config.peer_addr.filter(|_| peers.is_some()),
            peers,
            memory,
        });
        metrics::register(&node);
        Ok(node)
    }

    /// Whether requests can be answered: `Ok`, or what is waited for.
    ///
    /// # Errors
    /// The clause that `/readyz` shows.
    pub fn ready(&self) -> Result<(), String> {
        let view = self.state.view();
        if !view.ready {
            return Err("no session with the control plane".to_owned());
        }
        if !self.state.access_live(crate::rt::boottime_ms()) {
            return Err("no lease from the control plane yet".to_owned());
        }
        let unbound = self.engine.statuses().iter().filter(|status| status.backend.is_none()).count();
        if unbound > 0 { Err(format!("{unbound} drives are not registered yet")) } else { Ok(()) }
    }

    /// What `x-amz-id-2` says.
    #[must_use]
    pub fn host_id(&self) -> Arc<str> {
        self.identity.node_id.clone()
    }

    /// Background work, on the core whose drives these are.
    fn start_agent<R: Rt>(
        &self,
        drives: &Rc<<Real<R> as Env>::Drives>,
        coders: &Rc<Coders>,
    ) -> Rc<Agent<Real<R>>> {
        let (state, progress) = (self.state.clone(), self.progress.clone());
        let (drives, coders) = (drives.clone(), coders.clone());
        let agent = Agent::new(self.agent.clone(), state, drives, coders, self.link.clone(), progress);
        agent.start();
        agent
    }

    /// After the cores have ended.
    pub fn stop(&self) {
        if let Some(stop) = self.link_stop.lock().take() {
            let _ = stop.send(());
        }
        self.memory.stop();
        self.cache_writer.stop();
        self.engine.stop();
    }
}

/// What each core's thread builds.
pub struct NodeSetup<R>(Arc<Node>, PhantomData<fn() -> R>);

impl<R> NodeSetup<R> {
    #[must_use]
    pub fn new(node: Arc<Node>) -> Self {
        Self(node, PhantomData)
    }
}

impl<R> Clone for NodeSetup<R> {
    fn clone(&self) -> Self {
        Self(self.0.clone(), PhantomData)
    }
}

thread_local! {
    /// This core's drives as something that can be closed; set by `build`, taken by `close`.
    static CLOSE: std::cell::RefCell<Option<std::pin::Pin<Box<dyn Future<Output = ()>>>>> =
        const { std::cell::RefCell::new(None) };
}

impl<R: Rt> CoreSetup<R> for NodeSetup<R> {
    type Handler = Service<Real<R>>;

    async fn build(&self, core: &CoreConfig) -> std::io::Result<Self::Handler> {
        let node = &self.0;
        let local = node.engine.core::<R>();
        let drives = Rc::new(node.fleet::<R>(&local));
        let serving = node.serve_others::<R>(&local)?;
        drives.start(core.index == 0);
        let coders = Rc::new(Coders::new(node.coder));
        let agent = (core.index == 0).then(|| node.start_agent::<R>(&drives, &coders));
        let hash_pool = node.hash_pools.of_core(core.index);
        let closing = Rc::clone(&drives);
        CLOSE.set(Some(Box::pin(async move {
            if let Some(agent) = agent {
                agent.stop().await;
            }
            if let Some(serving) = serving {
                serving.stop().await;
            }
            closing.close();
            local.close().await;
        })));
        let blobs = Blobs::new(drives.clone(), coders);
        let (settings, state) = (node.settings.clone(), node.state.clone());
        let core = Core::<Real<R>>::new(
            settings,
            state,
            drives,
            blobs,
            node.link.clone(),
            Some(node.cache_reader.clone()),
        );
        metrics::core_started(core.counters.clone());
        Ok(Service::new(Rc::new(core), hash_pool))
    }

    async fn close(&self, _core: &CoreConfig) {
        if let Some(close) = CLOSE.take() {
            close.await;
        }
    }
}

fn settings(config: &Config, identity: &Identity) -> Settings {
    Settings {
        region: config.region.clone(),
        domains: config.domains.clone(),
        class: match config.spread {
            SpreadChoice::Drives => Class::local(config.parity),
            SpreadChoice::Nodes => Class::nodes(config.parity),
        },
        node_id: identity.node_id.clone(),
    }
}

fn open_engine(config: &Config, identity: &Identity) -> Result<Arc<Engine>, String> {
    let opened = Engine::open(&EngineConfig {
        drives: config.drives.clone(),
        index: config.data_dir.join("index"),
        cluster: identity.cluster_id,
        segment_bytes: None,
    })
    .map_err(|error| error.to_string())?;
    // Without `degraded_start` one drive that is refused stops the start: better a sentence now than a silent repair bill.
    for refused in opened.refused.iter().map(|refused| refused.with_config(&config.file)) {
        if !config.degraded_start {
            return Err(format!("{refused}; or set `degraded_start = true` to serve from the other drives"));
        }
        tracing::error!(%refused, "starting without a drive");
    }
    Ok(opened.engine)
}

/// As soon as the authority has numbered a drive, the engine answers to that number.
fn bind_drives(state: &Arc<NodeState>, engine: &Arc<Engine>, identity: &Identity) {
    let (engine, node_id) = (engine.clone(), identity.node_id.clone());
    state.on_change(Box::new(move |view: &View| {
        for backend in view.backends.values().filter(|backend| *backend.node_id == *node_id) {
            if let Ok(drive) = <[u8; 16]>::try_from(&*backend.drive_id) {
                engine.bind(DriveId(drive), BackendId(backend.backend_id));
            }
        }
    }));
}

fn agent_settings(config: &Config, identity: &Identity) -> AgentSettings {
    let seconds = |count: usize| Duration::from_secs(count as u64);
    AgentSettings {
        node_id: identity.node_id.clone(),
        reap_period: seconds(config.reap_period_seconds),
        scrub_period: seconds(config.scrub_period_seconds),
        scrub_file: Some(config.data_dir.join("scrub.json")),
        drive_grace: seconds(config.drive_grace_seconds),
        bytes_per_second: config.background_bytes_per_second as u64,
    }
}

fn link_config(
    config: &Config,
    identity: &Identity,
    engine: &Arc<Engine>,
    state: &Arc<NodeState>,
    progress: &Arc<Progress>,
) -> LinkConfig {
    let (engine, state, progress) = (engine.clone(), state.clone(), progress.clone());
    LinkConfig {
        control: config.control_url.clone(),
        node_id: identity.node_id.to_string(),
        node_name: identity.node_name.clone(),
        region: config.region.clone(),
        peer_addr: others::advertised(config),
        identity: None,
        drives: Box::new(move || {
            let view = state.view();
            let drives = engine.drives().iter();
            drives.map(|drive| drive_report(&engine, drive, &view, &progress)).collect()
        }),
    }
}

fn drive_report(engine: &Engine, drive: &Drive, view: &View, progress: &Progress) -> wire::Drive {
    let status = drive.status();
    let draining =
        |backend: BackendId| view.backends.get(&backend.0).is_some_and(|backend| backend.state == "draining");
    let work = status.backend.map(|backend| progress.drive(backend, draining(backend)));
    let mut work = work.unwrap_or_default();
    let living = engine.living(drive);
    (work.pieces, work.live_bytes, work.segment_bytes) = (living.pieces, living.bytes, drive.used_bytes());
    work.errors = drive.stats.errors.value();
    work.rotten = drive.stats.rotten.value();
    wire::Drive {
        drive_id: bytes::Bytes::copy_from_slice(&status.drive.0),
        label: status.label,
        capacity_bytes: status.capacity_bytes,
        free_bytes: status.free_bytes,
        work: Some(work),
        state: match status.state {
            DriveState::Active => "active".to_owned(),
            DriveState::Full => "full".to_owned(),
            // It is read as ever, and nothing on it is missing: that it takes no new fragments is this node's affair.
            DriveState::Slow(why) => format!("active: {why}"),
            DriveState::Failed(why) => format!("failed: {why}"),
        },
    }
}
