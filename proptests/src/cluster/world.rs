//! What all processes share: time, chance, who can reach whom, the database, and the history.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::task::Waker;

use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::database::Database;
use super::wire::{Pipe, Wire};
use crate::history::{Line, Op, Outcome};
use crate::sim::rng::Rng;

/// The grain of time: processes take turns of so many milliseconds, and nothing travels faster.
pub const TICK_MS: u64 = 4;
/// 2026-01-01: the truth of every wrong clock.
pub const EPOCH_MS: u64 = 1_767_225_600_000;

/// A process or the database, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place(pub u32);

/// Where the database is.
pub const DATABASE: Place = Place(1000);
/// Where it writes, and where it keeps who leads: locks make what goes there wait, or come to nothing, while the rest does not.
pub const WRITES: Place = Place(1001);
pub const TERMS: Place = Place(1002);

/// Something that happens at its time.
type Event = Box<dyn FnOnce(&World) + Send>;

/// A handle; all are the same world.
#[derive(Clone)]
pub struct World(Arc<Mutex<State>>);

struct State {
    now_ms: u64,
    rng: Rng,
    events: BTreeMap<(u64, u64), Event>,
    event_number: u64,
    pipes: Vec<Arc<Mutex<Pipe>>>,
    cut: HashSet<(Place, Place)>,
    /// What ways take longer than they should, milliseconds.
    slow: HashMap<(Place, Place), u64>,
    listeners: BTreeMap<String, (Place, mpsc::UnboundedSender<Wire>)>,
    /// A process that is killed now takes its connections along without a word.
    silent: bool,
    database: Database,
    history: Vec<Line>,
    clock_us: u64,
}

/// How long a message takes: mostly little, sometimes long.
pub(super) fn delay_ms(rng: &mut Rng) -> u64 {
    match rng.below(60) {
        0 => rng.within(100..800),
        1..=6 => rng.within(20..100),
        _ => rng.within(TICK_MS..20),
    }
}

impl World {
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(State {
            now_ms: TICK_MS,
            rng: Rng::new(seed),
            events: BTreeMap::new(),
            event_number: 0,
            pipes: Vec::new(),
            cut: HashSet::new(),
            slow: HashMap::new(),
            listeners: BTreeMap::new(),
            silent: false,
            database: Database::default(),
            history: Vec::new(),
            clock_us: 0,
        })))
    }

    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.0.lock().now_ms
    }

    pub fn chance<R>(&self, draw: impl FnOnce(&mut Rng) -> R) -> R {
        draw(&mut self.0.lock().rng)
    }

    pub(super) fn delay_ms(&self) -> u64 {
        self.chance(delay_ms)
    }

    pub(super) fn after(&self, delay_ms: u64, event: impl FnOnce(&World) + Send + 'static) {
        let mut state = self.0.lock();
        state.event_number += 1;
        let at = (state.now_ms + delay_ms, state.event_number);
        state.events.insert(at, Box::new(event));
    }

    pub(super) fn database<R>(&self, ask: impl FnOnce(&mut Database, u64) -> R) -> R {
        let mut state = self.0.lock();
        let now_ms = state.now_ms;
        ask(&mut state.database, now_ms)
    }

    /// One grain later: what is due happens, and who can read is woken.
    pub(super) fn tick(&self) {
        self.0.lock().now_ms += TICK_MS;
        while let Some(event) = self.due() {
            event(self);
        }
        let mut state = self.0.lock();
        let State { now_ms, pipes, cut, .. } = &mut *state;
        pipes.retain(|pipe| Arc::strong_count(pipe) > 1);
        let mut wakers = Vec::new();
        for mut pipe in pipes.iter().map(|pipe| pipe.lock()) {
            if pipe.is_ready(*now_ms) && !cut.contains(&pipe.route()) {
                wakers.extend(pipe.awake(*now_ms));
            }
        }
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }

    fn due(&self) -> Option<Event> {
        let mut state = self.0.lock();
        let first = *state.events.first_key_value()?.0;
        if first.0 > state.now_ms {
            return None;
        }
        state.events.remove(&first)
    }

    // ------------------------------------------------------------------------------------------- network

    #[must_use]
    pub fn is_cut(&self, from: Place, to: Place) -> bool {
        self.0.lock().cut.contains(&(from, to))
    }

    /// From here on nothing that `from` sends reaches `to`; it waits.
    pub fn cut(&self, from: Place, to: Place) {
        self.0.lock().cut.insert((from, to));
    }

    pub fn heal(&self, from: Place, to: Place) {
        self.0.lock().cut.remove(&(from, to));
    }

    /// From here on what `from` sends to `to` takes so much longer.
    pub fn slow(&self, from: Place, to: Place, ms: u64) {
        self.0.lock().slow.insert((from, to), ms);
    }

    pub(super) fn slow_ms(&self, from: Place, to: Place) -> u64 {
        self.0.lock().slow.get(&(from, to)).copied().unwrap_or(0)
    }

    pub fn heal_all(&self) {
        let mut state = self.0.lock();
        state.cut.clear();
        state.slow.clear();
    }

    pub(super) fn is_silent(&self) -> bool {
        self.0.lock().silent
    }

    pub(super) fn set_silent(&self, silent: bool) {
        self.0.lock().silent = silent;
    }

    /// Where connections to `url` come out, from now on.
    pub(super) fn listen(&self, url: &str, place: Place) -> mpsc::UnboundedReceiver<Wire> {
        let (sender, accepted) = mpsc::unbounded_channel();
        self.0.lock().listeners.insert(url.to_owned(), (place, sender));
        accepted
    }

    pub(super) fn listener(&self, url: &str) -> Option<(Place, mpsc::UnboundedSender<Wire>)> {
        self.0.lock().listeners.get(url).cloned()
    }

    pub(super) fn adopt(&self, pipe: Arc<Mutex<Pipe>>) {
        self.0.lock().pipes.push(pipe);
    }

    /// Breaks a connection that is there, if any: both ends notice.
    pub fn break_one(&self) {
        let pipes = self.0.lock().pipes.clone();
        if !pipes.is_empty() {
            let at = self.chance(|rng| rng.index(pipes.len()));
            let waker = pipes[at].lock().break_off();
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }

    /// Breaks every connection between these.
    pub fn break_between(&self, one: Place, other: Place) {
        let pipes = self.0.lock().pipes.clone();
        for pipe in pipes {
            let route = pipe.lock().route();
            if route == (one, other) || route == (other, one) {
                let waker = pipe.lock().break_off();
                if let Some(waker) = waker {
                    waker.wake();
                }
            }
        }
    }

    // ------------------------------------------------------------------------------------------- history

    /// An operation is called: the index of its line.
    pub(super) fn called(&self, client: u64, op: Op, key: &str, told: impl FnOnce(&mut Line)) -> usize {
        let mut state = self.0.lock();
        let call_us = state.moment();
        let mut line = Line::called(client, op, key, call_us);
        told(&mut line);
        state.history.push(line);
        state.history.len() - 1
    }

    pub(super) fn returned(&self, line: usize, outcome: Outcome, told: impl FnOnce(&mut Line)) {
        let mut state = self.0.lock();
        let return_us = state.moment();
        let line = &mut state.history[line];
        (line.return_us, line.outcome) = (Some(return_us), outcome);
        told(line);
    }

    /// Whether this client has listed all there is, from this line on.
    pub(super) fn has_listed(&self, client: u64, from: usize) -> bool {
        let listed = |line: &Line| (line.client, line.op, line.outcome) == (client, Op::List, Outcome::Ok);
        self.0.lock().history[from..].iter().any(listed)
    }

    #[must_use]
    pub fn history(&self) -> Vec<Line> {
        self.0.lock().history.clone()
    }

    /// Events that only hold a world would hold it for ever.
    pub(super) fn end(&self) {
        let mut state = self.0.lock();
        let events = std::mem::take(&mut state.events);
        let pipes = std::mem::take(&mut state.pipes);
        let listeners = std::mem::take(&mut state.listeners);
        drop(state);
        drop((events, pipes, listeners));
    }
}

impl State {
    /// A moment of its own: the order of what happens within a millisecond is known too.
    fn moment(&mut self) -> u64 {
        self.clock_us = (self.now_ms * 1000).max(self.clock_us + 1);
        self.clock_us
    }
}
