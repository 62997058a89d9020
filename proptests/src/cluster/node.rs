//! A node: the real link and the real doors to metadata of one core, and clients that come to it.

use std::rc::Rc;
use std::sync::Arc;

use holdfast_dataplane::blob::{Blobs, cpu_features};
use holdfast_dataplane::cache::CacheWriter;
use holdfast_dataplane::env::{Core, Env, Settings};
use holdfast_dataplane::link::outside::Outside;
use holdfast_dataplane::link::state::NodeState;
use holdfast_dataplane::link::{LinkConfig, LinkHandle, prepare};
use holdfast_protocol::erasure::{Coders, choose};
use holdfast_protocol::placement::{Class, Level, Rule, Spread};

use super::client::{Client, Program};
use super::drives::NoDrives;
use super::machine::{Machine, NodeRt};
use super::process::Process;
use super::world::{Place, World};

/// The outside world of a core.
pub(super) struct Simulated;

impl Env for Simulated {
    type Rt = NodeRt;
    type Drives = NoDrives;
    type Link = LinkHandle;
}

pub(super) struct Node {
    pub(super) process: Process,
    core: Rc<Core<Simulated>>,
}

impl Node {
    /// A process of node `number`; its cache is empty.
    pub(super) fn start(world: &World, number: u32, control: &[String]) -> Self {
        let machine = Machine::new(world, Place(number));
        let process = Process::start(Arc::clone(&machine));
        let state = Arc::new(NodeState::new(CacheWriter::nowhere(), [0; 16]));
        let config = LinkConfig {
            control: control.to_vec(),
            node_id: uuid::Uuid::from_u128(u128::from(number) + 1).to_string(),
            node_name: format!("node-{number}"),
            region: "sim-1".to_owned(),
            peer_addr: String::new(),
            identity: None,
            drives: Box::new(Vec::new),
        };
        let outside: Arc<dyn Outside> = machine;
        let (link, served) = prepare(config, Arc::clone(&state), outside);
        process.spawn(served);
        let settings = Settings {
            region: "sim-1".to_owned(),
            domains: Vec::new(),
            class: Class {
                id: 0,
                rule: Rule::Local { parity: 1 },
                spread: Spread { distinct: Level::Drive, at_least: 1 },
            },
            node_id: format!("node-{number}").into(),
        };
        let drives = Rc::new(NoDrives);
        let blobs = Blobs::new(Rc::clone(&drives), Rc::new(Coders::new(choose(cpu_features()))));
        let core = Core::new(Arc::new(settings), state, drives, blobs, link, None);
        Self { process, core: Rc::new(core) }
    }

    /// A client comes and works off its program.
    pub(super) fn serve(&self, number: u64, program: Program) {
        let (core, world) = (Rc::clone(&self.core), self.process.machine.world.clone());
        drop(self.process.local.spawn_local(Client::new(number, core, world, program).run()));
    }

    /// Kills the process.
    pub(super) fn kill(self) {
        drop(self.core);
        self.process.kill();
    }
}
