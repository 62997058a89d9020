//! The executor: one thread, a queue whose order the seed decides, and a clock that jumps to the next timer.

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::future::Future;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use super::disk::Disks;
use super::rng::Rng;

/// The node went down while something waited for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crashed;

/// 2026-06-01T12:00:00Z: virtual time begins here, far from midnight.
pub const EPOCH_MS: u64 = 1_780_315_200_000;

/// Turns of the executor without virtual time moving on: beyond it something spins.
const TURNS_MAX: u64 = 5_000_000;

type Task = Pin<Box<dyn Future<Output = ()>>>;

/// Everything a simulation shares. One per thread while [`World::enter`]'s guard lives.
pub struct World {
    pub seed: u64,
    rng: RefCell<Rng>,
    base: Instant,
    clock: Cell<Duration>,
    next_id: Cell<u64>,
    tasks: RefCell<BTreeMap<u64, Option<Task>>>,
    ready: Arc<Mutex<Vec<u64>>>,
    timers: RefCell<BinaryHeap<Reverse<Timer>>>,
    pub disks: Disks,
    /// Hash of everything that was decided, to hold two runs of a seed against each other.
    trace: Cell<u64>,
}

struct Timer {
    at: Duration,
    number: u64,
    waker: Waker,
}

impl PartialEq for Timer {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Timer {}

impl PartialOrd for Timer {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Timer {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

struct Wakes {
    id: u64,
    ready: Arc<Mutex<Vec<u64>>>,
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        let mut ready = self.ready.lock().expect("nobody panics with it");
        if !ready.contains(&self.id) {
            ready.push(self.id);
        }
    }
}

thread_local! {
    static CURRENT: RefCell<Option<Rc<World>>> = const { RefCell::new(None) };
}

/// Ends the world of this thread: tasks first, so that what they hold is dropped inside of it.
pub struct Entered(Rc<World>);

impl std::ops::Deref for Entered {
    type Target = World;

    fn deref(&self) -> &World {
        &self.0
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.0.disks.power_off();
        self.0.drop_tasks();
        CURRENT.set(None);
    }
}

impl World {
    /// Makes a world and enters it with this thread.
    #[must_use]
    pub fn enter(seed: u64) -> Entered {
        let world = Rc::new(Self {
            seed,
            rng: RefCell::new(Rng::new(seed)),
            base: Instant::now(),
            clock: Cell::default(),
            next_id: Cell::new(1),
            tasks: RefCell::default(),
            ready: Arc::default(),
            timers: RefCell::default(),
            disks: Disks::default(),
            trace: Cell::new(seed),
        });
        CURRENT.with_borrow_mut(|current| {
            assert!(current.is_none(), "one world at a time on a thread");
            *current = Some(Rc::clone(&world));
        });
        Entered(world)
    }

    /// This thread's world.
    #[must_use]
    pub fn current() -> Rc<Self> {
        CURRENT.with_borrow(|current| Rc::clone(current.as_ref().expect("inside of a world")))
    }

    /// A decision by the seed.
    pub fn chance<T>(&self, decide: impl FnOnce(&mut Rng) -> T) -> T {
        decide(&mut self.rng.borrow_mut())
    }

    /// Virtual time since the world began.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.clock.get()
    }

    #[must_use]
    pub fn now(&self) -> Instant {
        self.base + self.clock.get()
    }

    #[must_use]
    pub fn unix_ms(&self) -> u64 {
        EPOCH_MS + u64::try_from(self.clock.get().as_millis()).expect("a short simulation")
    }

    /// Lets virtual time pass inside a call that blocks.
    pub fn pass(&self, time: Duration) {
        self.clock.set(self.clock.get() + time);
    }

    /// Mixes what happened into the trace.
    pub fn note(&self, what: u64) {
        let mixed = (self.trace.get() ^ what).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(17);
        self.trace.set(mixed);
    }

    #[must_use]
    pub fn trace(&self) -> u64 {
        self.trace.get()
    }

    pub fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        let id = self.fresh();
        self.tasks.borrow_mut().insert(id, Some(Box::pin(task)));
        self.ready.lock().expect("nobody panics with it").push(id);
    }

    fn fresh(&self) -> u64 {
        let id = self.next_id.get();
        self.next_id.set(id + 1);
        id
    }

    /// Wakes `waker` when virtual time has come to `at`.
    pub(super) fn wake_at(&self, at: Duration, waker: Waker) {
        self.timers.borrow_mut().push(Reverse(Timer { at, number: self.fresh(), waker }));
    }

    pub fn sleep(self: &Rc<Self>, duration: Duration) -> Sleep {
        Sleep { until: self.clock.get() + duration, asked: false }
    }

    /// Runs everything until `main` is done.
    ///
    /// # Errors
    /// When the power went off first. Tasks are still there; [`World::drop_tasks`] ends them.
    pub fn block_on<T>(&self, main: impl Future<Output = T>) -> Result<T, Crashed> {
        let mut main = pin!(main);
        let id = self.fresh();
        let waker = Waker::from(Arc::new(Wakes { id, ready: Arc::clone(&self.ready) }));
        self.ready.lock().expect("nobody panics with it").push(id);
        let mut turns = 0;
        loop {
            if self.disks.is_off() {
                return Err(Crashed);
            }
            let Some(next) = self.next_ready() else {
                assert!(self.jump(), "seed {}: nothing will ever happen again", self.seed);
                turns = 0;
                continue;
            };
            turns += 1;
            assert!(turns < TURNS_MAX, "seed {}: something spins without time passing", self.seed);
            if next != id {
                self.turn(next);
            } else if let Poll::Ready(out) = main.as_mut().poll(&mut Context::from_waker(&waker)) {
                return if self.disks.is_off() { Err(Crashed) } else { Ok(out) };
            }
        }
    }

    fn next_ready(&self) -> Option<u64> {
        let mut ready = self.ready.lock().expect("nobody panics with it");
        if ready.is_empty() {
            return None;
        }
        let at = self.rng.borrow_mut().index(ready.len());
        let next = ready.swap_remove(at);
        self.note(next);
        tracing::trace!(task = next, "turn");
        Some(next)
    }

    /// To the next timer; false when there is none.
    fn jump(&self) -> bool {
        let Some(Reverse(timer)) = self.timers.borrow_mut().pop() else { return false };
        self.clock.set(self.clock.get().max(timer.at));
        timer.waker.wake();
        true
    }

    fn turn(&self, id: u64) {
        let Some(mut task) = self.tasks.borrow_mut().get_mut(&id).and_then(Option::take) else { return };
        let waker = Waker::from(Arc::new(Wakes { id, ready: Arc::clone(&self.ready) }));
        let done = task.as_mut().poll(&mut Context::from_waker(&waker)).is_ready();
        if done {
            self.tasks.borrow_mut().remove(&id);
        } else {
            self.tasks.borrow_mut().insert(id, Some(task));
        }
    }

    /// Ends every task where it stands, in the order of their birth.
    pub fn drop_tasks(&self) {
        loop {
            let tasks = std::mem::take(&mut *self.tasks.borrow_mut());
            if tasks.is_empty() {
                break;
            }
            drop(tasks);
        }
        self.timers.borrow_mut().clear();
        self.ready.lock().expect("nobody panics with it").clear();
    }
}

/// See [`World::sleep`].
pub struct Sleep {
    until: Duration,
    asked: bool,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let world = World::current();
        if world.elapsed() >= self.until && self.asked {
            return Poll::Ready(());
        }
        if !self.asked {
            self.asked = true;
            world.wake_at(self.until, cx.waker().clone());
        }
        Poll::Pending
    }
}
