//! One history: a cluster, clients, trouble, peace, and the verdict.

mod plot;
mod setting;
mod trouble;

use std::cell::Cell;
use std::fmt;
use std::sync::Once;

use super::client::Program;
use super::control::{self, Control, number_of, place_of, url_of};
use super::database::Database;
use super::node::Node;
use super::process::Process;
use super::world::{DATABASE, Place, TICK_MS, World};
use crate::history::{self, Line, Outcome, Told};
use crate::sim::rng::Rng;
use plot::Director;
pub use plot::Plot;
pub use setting::Setting;
use trouble::Trouble;

/// How long a cluster without trouble may take until it answers every read.
const PEACE_MS: u64 = 60_000;

/// What was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    pub operations: usize,
    pub acknowledged: usize,
    pub unknown: usize,
    /// Virtual milliseconds.
    pub lasted_ms: u64,
    /// What the world's chance would draw next: the same only after the same draws.
    pub chance: u64,
}

/// Why a history is refused.
pub struct Failure {
    pub what: String,
    pub history: Vec<Line>,
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.what)
    }
}

thread_local! {
    static PANICS: Cell<u32> = const { Cell::new(0) };
}

/// Tasks of processes panic in silence; this counts them.
fn count_panics() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let shown = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            PANICS.set(PANICS.get() + 1);
            shown(panic);
        }));
    });
}

/// A cluster of a seed.
pub(super) struct Cluster {
    pub(super) world: World,
    pub(super) setting: Setting,
    /// `None`: not running.
    pub(super) nodes: Vec<Option<Node>>,
    pub(super) controls: Vec<Option<Control>>,
    /// Who is not polled until when.
    pub(super) paused: Vec<(Place, u64)>,
    clients: u64,
}

/// Runs one history to its end and checks it.
///
/// # Errors
/// What no correct store does, or a cluster that does not come back.
pub fn run(setting: Setting) -> Result<(Summary, Vec<Line>), Failure> {
    count_panics();
    let panics = PANICS.get();
    let mut cluster = Cluster::start(setting);
    let (mut trouble, mut director) = (Trouble::new(setting), Director::new(setting));
    while cluster.world.now_ms() < setting.length_ms {
        trouble.act(&mut cluster);
        director.act(&mut cluster);
        cluster.step();
    }
    let peaceful = cluster.make_peace();
    let (lasted_ms, chance) = (cluster.world.now_ms(), cluster.world.chance(Rng::draw));
    let false_alarm = cluster.world.database(|database, _| database.is_history_lost());
    let history = cluster.end();
    let fail = |what: String| Failure { what, history: history.clone() };
    if PANICS.get() > panics {
        return Err(fail("a process has panicked".to_owned()));
    }
    if false_alarm {
        return Err(fail("commits are said to be lost, and none is".to_owned()));
    }
    if !peaceful {
        return Err(fail(format!(
            "not every read was answered within {PEACE_MS} ms of peace; the last of {} lines: {:?}",
            history.len(),
            &history[history.len().saturating_sub(3)..]
        )));
    }
    let report = history::check(&history).map_err(|error| fail(error.to_string()))?;
    if let Some(offence) = report.offences.first() {
        return Err(fail(Told(offence, &history).to_string()));
    }
    if !report.undecided.is_empty() {
        return Err(fail(format!("{:?} could not be decided", report.undecided)));
    }
    let of = |outcome| history.iter().filter(|line| line.outcome == outcome).count();
    let summary = Summary {
        operations: history.len(),
        acknowledged: of(Outcome::Ok),
        unknown: of(Outcome::Unknown),
        lasted_ms,
        chance,
    };
    Ok((summary, history))
}

impl Cluster {
    fn start(setting: Setting) -> Self {
        let world = World::new(setting.seed);
        let mut cluster =
            Self { world, setting, nodes: Vec::new(), controls: Vec::new(), paused: Vec::new(), clients: 0 };
        for number in 0..setting.controls {
            cluster.controls.push(Some(control::start(&cluster.world, number)));
        }
        for number in 0..setting.nodes {
            cluster.nodes.push(None);
            cluster.start_node(number);
        }
        cluster
    }

    /// A process for this node, with clients of its own.
    fn start_node(&mut self, number: u32) {
        let urls: Vec<String> = (0..self.setting.controls).map(url_of).collect();
        let node = Node::start(&self.world, number, &urls);
        for _ in 0..self.setting.clients_per_node {
            let Setting { length_ms: end_ms, keys, think_ms, .. } = self.setting;
            self.clients += 1;
            let seed = self.setting.seed.wrapping_mul(1_000_003) ^ self.clients;
            node.serve(self.clients, Program::Until { seed, end_ms, keys, think_ms });
        }
        self.nodes[number as usize] = Some(node);
    }

    fn start_control(&mut self, number: u32) {
        self.controls[number as usize] = Some(control::start(&self.world, number));
    }

    /// New clients of this node, each of which reads one key again and again until then: whatever else its clients wait for,
    /// what its cache shows is seen.
    pub(super) fn watch(&mut self, place: Place, end_ms: u64) {
        let Some(node) = self.nodes.get(place.0 as usize).and_then(Option::as_ref) else { return };
        for key in 0..self.setting.keys {
            self.clients += 1;
            node.serve(self.clients, Program::Watch { key, end_ms: end_ms.min(self.setting.length_ms) });
        }
    }

    /// Starts it; what has not ended of an earlier one is killed.
    pub(super) fn replace_control(&mut self, number: u32) {
        self.kill(place_of(number), false);
        self.start_control(number);
    }

    pub(super) fn replace_node(&mut self, number: u32) {
        self.kill(Place(number), false);
        self.start_node(number);
    }

    /// Kills a process; with `silent` its machine goes too, and nobody's connection is told.
    pub(super) fn kill(&mut self, place: Place, silent: bool) {
        self.world.set_silent(silent);
        for number in 0..self.setting.nodes {
            if Place(number) == place
                && let Some(node) = self.nodes[number as usize].take()
            {
                node.kill();
            }
        }
        for number in 0..self.setting.controls {
            if place_of(number) == place
                && let Some(control) = self.controls[number as usize].take()
            {
                control.process.kill();
            }
        }
        self.world.set_silent(false);
    }

    pub(super) fn processes(&mut self) -> impl Iterator<Item = &mut Process> {
        let nodes = self.nodes.iter_mut().flatten().map(|node| &mut node.process);
        self.controls.iter_mut().flatten().map(|control| &mut control.process).chain(nodes)
    }

    /// One grain of time.
    fn step(&mut self) {
        self.world.tick();
        let now_ms = self.world.now_ms();
        self.paused.retain(|(_, until_ms)| *until_ms > now_ms);
        let paused: Vec<Place> = self.paused.iter().map(|(place, _)| *place).collect();
        for process in self.processes() {
            if !paused.contains(&process.machine.place) {
                process.step();
            }
        }
        for control in &mut self.controls {
            if let Some(stopped) = control.take_if(|control| control.has_stopped()) {
                stopped.process.kill();
            }
        }
    }

    /// Who leads, by the row.
    pub(super) fn leader(&self) -> Option<u32> {
        let row = |database: &mut Database, now_ms| (database.holder().1, database.expires_ms() > now_ms);
        let (holder, leads) = self.world.database(row);
        number_of(&holder).filter(|number| leads && *number < self.setting.controls)
    }

    pub(super) fn stop_control(&mut self, number: u32) {
        if let Some(control) = &mut self.controls[number as usize] {
            control.stop();
        }
    }

    /// A machine sleeps: its boot-time clock goes on, its monotonic clock does not.
    pub(super) fn suspend(&mut self, place: Place, gap_ms: u64) {
        let (gap_ms, until_ms) = (gap_ms - gap_ms % TICK_MS, self.world.now_ms() + gap_ms - gap_ms % TICK_MS);
        if self.paused.iter().any(|(paused, _)| *paused == place) {
            return;
        }
        let found = self.processes().find(|process| process.machine.place == place);
        if found.map(|process| process.suspended(gap_ms)).is_some() {
            self.paused.push((place, until_ms));
        }
    }

    /// Everything runs and reaches everything, until every node has read everything. False: it does not come to that.
    fn make_peace(&mut self) -> bool {
        self.world.heal_all();
        self.paused.clear();
        for number in 0..self.setting.controls {
            if self.controls[number as usize].is_none() {
                self.start_control(number);
            }
        }
        for number in 0..self.setting.nodes {
            if self.nodes[number as usize].is_none() {
                self.start_node(number);
            }
        }
        let begun = self.world.history().len();
        let readers: Vec<u64> = self
            .nodes
            .iter()
            .flatten()
            .map(|node| {
                self.clients += 1;
                node.serve(self.clients, Program::ReadAll { keys: self.setting.keys });
                self.clients
            })
            .collect();
        let until_ms = self.world.now_ms() + PEACE_MS;
        while self.world.now_ms() < until_ms {
            for _ in 0..50 {
                self.step();
            }
            if readers.iter().all(|reader| self.world.has_listed(*reader, begun)) {
                return true;
            }
        }
        false
    }

    fn end(mut self) -> Vec<Line> {
        for node in self.nodes.drain(..).flatten() {
            node.kill();
        }
        for control in self.controls.drain(..).flatten() {
            control.process.kill();
        }
        self.world.end();
        self.world.history()
    }

    /// Every place, the database among them.
    pub(super) fn places(&self) -> Vec<Place> {
        let nodes = (0..self.setting.nodes).map(Place);
        nodes.chain((0..self.setting.controls).map(place_of)).chain([DATABASE]).collect()
    }
}
