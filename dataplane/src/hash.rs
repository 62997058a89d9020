//! MD5 and SHA-256 of bodies, hashed together: what several bodies have ready in one turn of the loop is one pass.
//!
//! Both digests are chains that cannot be split, and one stream leaves most of a core idle; the streams of different
//! bodies fill it: eight cost what one does. A body leaves its bytes here and goes on (they are copied and written
//! meanwhile); it waits only when it is [`HASH_BUFFERS_BEHIND_MAX`] buffers ahead, and at its end.
//!
//! **Who hashes.** A core whose bodies have bytes here lets every other ready task have its turn once, then takes what has
//! gathered, of its own bodies and of the other cores' in the same [`Pool`]. While one core hashes, another starts a pass
//! only if it could fill it: two half-empty passes cost twice what one full one does. Nothing waits for a lane longer than
//! a turn of a loop and a pass, which is at most [`HASH_TURN_BYTES`] a body.
//!
//! What it costs: the pool's lock (held for a few pointers), and a wake across cores when another core did the work.

#[cfg(target_arch = "x86_64")]
mod kernel;
#[cfg(not(target_arch = "x86_64"))]
#[path = "hash/no_kernel.rs"]
mod kernel;
mod lane;
#[cfg(target_arch = "x86_64")]
mod rounds;
#[cfg(target_arch = "x86_64")]
mod sha_ni;
#[cfg(test)]
mod tests;
#[cfg(target_arch = "x86_64")]
mod words;

use std::cell::Cell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::thread::ThreadId;

use parking_lot::Mutex;

use crate::limits::{HASH_BUFFERS_BEHIND_MAX, HASH_CORES_PER_POOL, HASH_PARTS_BEHIND_MAX, HASH_TURN_BYTES};
use crate::rt::{Chunk, Rt};

pub use kernel::Kernel;
pub use lane::{Hashes, Together};
use lane::{Lane, Run, pass};

/// Bodies of one pass: 32-bit words in a 256-bit register.
pub const LANES: usize = 8;

/// What the cores of one pool share.
pub struct Pool {
    kernel: Kernel,
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    /// Bodies with bytes to hash, first come first served.
    ready: VecDeque<Arc<Mutex<Body>>>,
    /// Passes under way.
    passes: usize,
    /// Cores that wait for one of them to end.
    parked: Vec<Waker>,
}

/// The pools of a process: neighbouring cores share one.
#[derive(Default)]
pub struct Pools(Mutex<Vec<Arc<Pool>>>);

impl Pools {
    /// The pool of core number `core`; `None` where each body had better hash alone.
    #[must_use]
    pub fn of_core(&self, core: usize) -> Option<Arc<Pool>> {
        let (kernel, number) = (Kernel::detect()?, core / HASH_CORES_PER_POOL);
        let mut pools = self.0.lock();
        if pools.len() <= number {
            pools.resize_with(number + 1, || Pool::new(kernel));
        }
        Some(Arc::clone(&pools[number]))
    }
}

/// A body as the pool sees it.
struct Body {
    /// Away while a pass has it.
    lane: Option<Lane>,
    parts: VecDeque<Chunk>,
    /// It is in the queue, or a pass will put it there.
    listed: bool,
    /// Its reader waits for this.
    waiting: Option<(Waker, Enough)>,
    /// Its core's thread.
    home: ThreadId,
}

/// What a reader waits for.
type Enough = fn(&Body) -> bool;

/// One core's way to its pool. Cheap to clone.
#[derive(Clone)]
pub struct Hasher(Rc<Inner>);

struct Inner {
    pool: Arc<Pool>,
    /// This core's task is running.
    active: Cell<bool>,
    start: fn(Hasher),
}

/// The hashes of one body on their way. Dropping it forgets the body.
pub struct BodyHasher {
    hasher: Hasher,
    body: Arc<Mutex<Body>>,
}

impl Pool {
    #[must_use]
    pub fn new(kernel: Kernel) -> Arc<Self> {
        Arc::new(Self { kernel, queue: Mutex::default() })
    }

    fn list(&self, body: &Arc<Mutex<Body>>) {
        self.queue.lock().ready.push_back(Arc::clone(body));
    }

    /// Bodies for a pass; `None` when none has bytes.
    async fn take(&self) -> Option<Vec<Arc<Mutex<Body>>>> {
        poll_fn(|cx| {
            let mut queue = self.queue.lock();
            if queue.ready.is_empty() {
                return Poll::Ready(None);
            }
            if queue.passes > 0 && queue.ready.len() < LANES {
                queue.parked.push(cx.waker().clone());
                return Poll::Pending;
            }
            queue.passes += 1;
            let count = queue.ready.len().min(LANES);
            Poll::Ready(Some(queue.ready.drain(..count).collect()))
        })
        .await
    }

    /// Hashes a turn's worth of each body.
    fn pass(&self, bodies: &[Arc<Mutex<Body>>]) {
        let mut runs: Vec<Run> = bodies.iter().map(|body| body.lock().take_turn()).collect();
        pass(self.kernel, &mut runs);
        let mut wakers = Vec::with_capacity(LANES);
        for (body, run) in bodies.iter().zip(runs) {
            let mut state = body.lock();
            state.lane = Some(run.lane);
            state.listed = !state.parts.is_empty();
            if state.listed {
                self.list(body);
            }
            // The rest of another core's body is that core's to see to, should this one stop.
            let here = state.home == std::thread::current().id();
            let (listed, enough) =
                (state.listed, state.waiting.as_ref().is_some_and(|(_, enough)| enough(&state)));
            if enough || (listed && !here) {
                wakers.extend(state.waiting.take().map(|(waker, _)| waker));
            }
        }
        let mut queue = self.queue.lock();
        queue.passes -= 1;
        wakers.append(&mut queue.parked);
        drop(queue);
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl Body {
    /// Its states, and at most [`HASH_TURN_BYTES`] of its bytes.
    fn take_turn(&mut self) -> Run {
        let lane = self.lane.take().expect("a body is in one pass at a time");
        let (mut parts, mut room) = (VecDeque::new(), HASH_TURN_BYTES);
        while room > 0
            && let Some(mut part) = self.parts.pop_front()
        {
            if part.len() > room {
                parts.push_back(part.slice(0..room));
                part.advance(room);
                self.parts.push_front(part);
                break;
            }
            room -= part.len();
            parts.push_back(part);
        }
        Run { lane, parts }
    }

    /// Receive buffers that its bytes keep from being used again.
    fn buffers(&self) -> usize {
        let others = self.parts.iter().zip(self.parts.iter().skip(1)).filter(|(a, b)| !a.shares_memory(b));
        others.count() + usize::from(!self.parts.is_empty())
    }
}

impl Hasher {
    /// For the core that this is called on.
    #[must_use]
    pub fn new<R: Rt>(pool: Arc<Pool>) -> Self {
        Self(Rc::new(Inner { pool, active: Cell::new(false), start: |hasher| R::spawn(hasher.run::<R>()) }))
    }

    /// Begins a body: its MD5, and its SHA-256 where that is asked for and this CPU gains by it
    /// ([`Self::takes_sha256`]).
    #[must_use]
    pub fn body(&self, sha256: bool) -> BodyHasher {
        let lane = Some(Lane::new(sha256 && self.takes_sha256()));
        let home = std::thread::current().id();
        let body = Body { lane, parts: VecDeque::new(), listed: false, waiting: None, home };
        BodyHasher { hasher: self.clone(), body: Arc::new(Mutex::new(body)) }
    }

    /// Where not, a body's SHA-256 is faster alone.
    #[must_use]
    pub fn takes_sha256(&self) -> bool {
        self.0.pool.kernel.sha256()
    }

    /// Sees to it that this core hashes, or waits for another core's pass.
    fn kick(&self) {
        if !self.0.active.replace(true) {
            (self.0.start)(self.clone());
        }
    }

    async fn run<R: Rt>(self) {
        loop {
            R::yield_now().await;
            let Some(bodies) = self.0.pool.take().await else { break };
            self.0.pool.pass(&bodies);
        }
        self.0.active.set(false);
    }
}

impl BodyHasher {
    /// The body's next bytes. Waits while it is too far ahead of its hashes.
    pub async fn feed(&mut self, bytes: Chunk) {
        if bytes.is_empty() {
            return;
        }
        {
            let mut body = self.body.lock();
            body.parts.push_back(bytes);
            if !std::mem::replace(&mut body.listed, true) {
                self.hasher.0.pool.list(&self.body);
            }
        }
        self.hasher.kick();
        self.until(|body| {
            body.parts.len() <= HASH_PARTS_BEHIND_MAX && body.buffers() <= HASH_BUFFERS_BEHIND_MAX
        })
        .await;
    }

    /// Ends the body.
    pub async fn finish(self) -> Hashes {
        self.until(|body| !body.listed).await;
        let lane = self.body.lock().lane.take().expect("no pass has it");
        lane.finish(self.hasher.0.pool.kernel)
    }

    async fn until(&self, enough: Enough) {
        poll_fn(|cx| {
            let mut body = self.body.lock();
            if enough(&body) {
                return Poll::Ready(());
            }
            body.waiting = Some((cx.waker().clone(), enough));
            drop(body);
            // Another core may have put the rest back after this core's task had ended.
            self.hasher.kick();
            Poll::Pending
        })
        .await;
    }
}

impl Drop for BodyHasher {
    fn drop(&mut self) {
        self.body.lock().parts.clear();
    }
}
