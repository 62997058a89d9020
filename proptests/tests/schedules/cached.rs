//! Freshness: an answer is never older than what any client had been told when it was asked for.

use std::sync::Arc;

use shuttle::thread;

use crate::freshness::Freshness;
use crate::sync::{AtomicU64, Mutex, Ordering};

const KEY: u64 = 5;
/// Another key of the same slot.
const NEIGHBOUR: u64 = KEY + SLOTS as u64;
const SLOTS: usize = 8;
const LEASE_MS: u64 = 10;

/// The authority's row is its sequence; what was revealed is what some client was told.
struct World {
    row: AtomicU64,
    revealed: AtomicU64,
    clock: AtomicU64,
    freshness: Freshness,
    /// The node's cache: the sequence that was read, and the watermark it was read at.
    cached: Mutex<Option<(u64, u64)>>,
    /// As `cache/store.rs`: the last eviction of the key, and up to where all of them have been carried out.
    evicted: Mutex<u64>,
    evicted_to: AtomicU64,
}

impl World {
    fn now(&self) -> u64 {
        self.clock.load(Ordering::SeqCst)
    }

    /// A GET as `env/metadata.rs` does it.
    fn get(&self) {
        let told = self.revealed.load(Ordering::SeqCst);
        let now = self.now();
        let unchanged_to = self.evicted_to.load(Ordering::SeqCst);
        let cached = *self.cached.lock();
        let found = match cached.filter(|(_, as_of)| self.freshness.usable(KEY, *as_of, unchanged_to, now)) {
            Some((row, _)) => row,
            None => {
                let as_of = self.revealed.load(Ordering::SeqCst);
                let row = self.row.load(Ordering::SeqCst);
                // Stored late, perhaps after an invalidation that came in between.
                let evicted = self.evicted.lock();
                if as_of >= *evicted {
                    *self.cached.lock() = Some((row, as_of));
                }
                row
            }
        };
        assert!(found >= told, "showed {found}, {told} had been told");
    }

    /// The link thread hears of a commit: slots first, then the acknowledgement; eviction whenever.
    fn invalidate(&self, seq: u64, evict: bool) {
        self.freshness.raise(KEY, seq);
        self.revealed.fetch_max(seq, Ordering::SeqCst);
        if evict {
            let mut evicted = self.evicted.lock();
            *evicted = seq;
            let mut cached = self.cached.lock();
            if cached.is_some_and(|(_, as_of)| as_of < seq) {
                *cached = None;
            }
            drop(cached);
            self.evicted_to.store(seq, Ordering::SeqCst);
        }
    }
}

fn world() -> Arc<World> {
    let world = World {
        row: AtomicU64::new(1),
        revealed: AtomicU64::new(1),
        clock: AtomicU64::new(1),
        freshness: Freshness::new(SLOTS),
        cached: Mutex::default(),
        evicted: Mutex::default(),
        evicted_to: AtomicU64::new(1),
    };
    world.freshness.lease_extend(LEASE_MS);
    Arc::new(world)
}

fn beside(world: &Arc<World>, writer: impl FnOnce(&World) + Send + 'static) {
    let readers: Vec<_> = (0..2)
        .map(|_| {
            let world = Arc::clone(world);
            thread::spawn(move || (0..3).for_each(|_| world.get()))
        })
        .collect();
    let writing = Arc::clone(world);
    thread::spawn(move || writer(&writing)).join().expect("no panic");
    for reader in readers {
        reader.join().expect("no panic");
    }
}

/// Commits that the node hears of.
fn acknowledged() {
    beside(&world(), |world| {
        for seq in [2, 3] {
            world.row.store(seq, Ordering::SeqCst);
            world.invalidate(seq, seq == 2);
            world.freshness.raise(NEIGHBOUR, seq - 1);
        }
    });
}

/// A commit that it does not hear of: revealed once its lease has run out, and heard of before there is another.
/// `reset`: by starting anew, else by replaying what it missed.
fn lease_ran_out(reset: bool) {
    beside(&world(), move |world| {
        world.row.store(2, Ordering::SeqCst);
        world.clock.store(LEASE_MS, Ordering::SeqCst);
        world.revealed.fetch_max(2, Ordering::SeqCst);
        match reset {
            true => world.freshness.floor_raise(2),
            false => world.freshness.raise(KEY, 2),
        }
        world.freshness.lease_extend(world.now() + LEASE_MS);
    });
}

#[test]
fn nothing_older_is_shown_than_was_told() {
    crate::explore(acknowledged);
}

#[test]
fn without_a_lease_nothing_cached_is_shown() {
    crate::explore(|| lease_ran_out(true));
    crate::explore(|| lease_ran_out(false));
}
