//! The index's overlay: what is there is found from the moment `insert` returned until it is removed, and never after.

use std::collections::BTreeMap;
use std::sync::Arc;

use holdfast_common::id::{FragmentId, OpId};
use shuttle::sync::mpsc;
use shuttle::thread;

use super::overlay::{Found, Overlay};
use super::{Key, Location};
use crate::sync::Mutex;

const SLOT: usize = 0;
const FRAGMENT: FragmentId = FragmentId { blob: OpId([7; 16]), index: 1, attempt: 0 };

fn at(segment: u32) -> Location {
    Location { segment, generation: 1, offset: 4096, header_len: 64, payload_len: 100 }
}

enum Job {
    Insert(Vec<(Key, Location)>),
    Remove(FragmentId),
}

/// The index as `index.rs` puts it together, with a map for RocksDB.
#[derive(Default)]
struct Index {
    overlay: Overlay,
    stored: Mutex<BTreeMap<Key, Location>>,
}

impl Index {
    fn lookup(&self, key: Key) -> Option<Location> {
        match self.overlay.find(SLOT, &key) {
            Found::At(location) => Some(location),
            Found::Gone => None,
            Found::Unknown => self.stored.lock().get(&key).copied(),
        }
    }

    /// The index thread: jobs in order, the overlay told only when they are stored.
    fn serve(&self, jobs: &mpsc::Receiver<Job>) {
        while let Ok(job) = jobs.recv() {
            match job {
                Job::Insert(entries) => {
                    self.stored.lock().extend(entries.iter().copied());
                    self.overlay.settle(SLOT, &entries);
                }
                Job::Remove(fragment) => {
                    self.stored.lock().retain(|key, _| key.fragment() != fragment);
                    self.overlay.settle_removal(SLOT, fragment);
                }
            }
        }
    }
}

/// A core that inserts (twice: a piece written again stands elsewhere) and removes, and one that reads all the time.
fn index() {
    let index = Arc::new(Index::default());
    let (jobs, inbox) = mpsc::channel();
    let worker = Arc::clone(&index);
    let worker = thread::spawn(move || worker.serve(&inbox));
    // How far the writer is known to be: 0 nothing, 1 first, 2 second, 3 removing, 4 removed.
    let step = Arc::new(Mutex::<u32>::default());
    let key = Key::new(FRAGMENT, 3);
    let reader = {
        let (index, step) = (Arc::clone(&index), Arc::clone(&step));
        thread::spawn(move || {
            for _ in 0..4 {
                let before = *step.lock();
                let found = index.lookup(key);
                let after = *step.lock();
                let may = |wanted: Option<Location>| match wanted {
                    None => before == 0 || after >= 3,
                    Some(location) if location == at(1) => before <= 1,
                    Some(_) => (1..=3).contains(&before) || before == 0 && after >= 1,
                };
                assert!(may(found), "{found:?} between steps {before} and {after}");
            }
        })
    };
    for (segment, number) in [(1, 1), (2, 2)] {
        let entries = vec![(key, at(segment))];
        index.overlay.insert(SLOT, &entries);
        *step.lock() = number;
        jobs.send(Job::Insert(entries)).expect("it listens");
    }
    *step.lock() = 3;
    index.overlay.remove(SLOT, FRAGMENT);
    *step.lock() = 4;
    jobs.send(Job::Remove(FRAGMENT)).expect("it listens");
    drop(jobs);
    reader.join().expect("no panic");
    worker.join().expect("no panic");
    assert_eq!(index.lookup(key), None);
}

#[test]
fn what_is_there_is_found_and_what_is_removed_is_not() {
    crate::explore(index);
}
