//! What lives where: living pieces and bytes of every life of a segment, exact or not told.
//!
//! A checkpoint that was written at a clean end carries exact counts. After anything else the entries are counted again, in
//! the background and in order of their keys: what changes below the point that was reached is counted as it changes,
//! what changes above it is met later. So nothing is ever counted twice, whatever a recovery inserts again.

use std::collections::{HashMap, HashSet};

use super::{Key, Location};

/// A life of a segment: its number and generation.
pub type Life = (u32, u32);

/// Living pieces and the bytes of their records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Living {
    pub pieces: u64,
    pub bytes: u64,
}

/// One drive's counts.
#[derive(Debug)]
pub(super) struct Tally {
    live: HashMap<Life, Living>,
    total: Living,
    sealed: HashSet<Life>,
    emptied: Vec<Life>,
    /// Lives whose file was not there at the start.
    missing: HashSet<Life>,
    /// Keys from here on are not counted yet; `None`: all are.
    uncounted_from: Option<Key>,
}

impl Tally {
    pub(super) fn restored(note: &[u8]) -> Self {
        let Checkpoint { lives, exact } = Checkpoint::parse(note);
        let sealed: HashSet<Life> = lives.keys().copied().collect();
        let live = if exact { lives } else { HashMap::new() };
        let mut total = Living::default();
        live.values().for_each(|living| total.add(*living));
        let uncounted_from = (!exact).then_some(Key::FIRST);
        let (emptied, missing) = (Vec::new(), HashSet::new());
        let mut tally = Self { live, total, sealed, emptied, missing, uncounted_from };
        tally.look_at_all();
        tally
    }

    /// Where counting goes on; `None` when it is done.
    pub(super) fn uncounted_from(&self) -> Option<Key> {
        self.uncounted_from
    }

    /// Entries of the next stretch of keys, and where the one after it begins.
    pub(super) fn count(&mut self, entries: &[(Key, Location)], next: Option<Key>) {
        for (_, location) in entries {
            self.add(location);
        }
        self.uncounted_from = next;
        if next.is_none() {
            self.look_at_all();
        }
    }

    /// An entry changed.
    pub(super) fn changed(&mut self, key: &Key, old: Option<&Location>, new: Option<&Location>) {
        if self.uncounted_from.is_some_and(|from| *key >= from) {
            return;
        }
        if let Some(new) = new {
            self.add(new);
        }
        if let Some(old) = old {
            self.subtract(old);
        }
    }

    fn add(&mut self, location: &Location) {
        let one = Living { pieces: 1, bytes: location.record_bytes() };
        self.live.entry(location.life()).or_default().add(one);
        self.total.add(one);
    }

    fn subtract(&mut self, location: &Location) {
        let one = Living { pieces: 1, bytes: location.record_bytes() };
        let life = location.life();
        let left = self.live.get_mut(&life).is_some_and(|living| living.subtract(one));
        if !left || !self.total.subtract(one) {
            tracing::error!(
                segment = life.0,
                generation = life.1,
                "living pieces were miscounted; counting again"
            );
            self.live.clear();
            self.emptied.clear();
            (self.total, self.uncounted_from) = (Living::default(), Some(Key::FIRST));
            return;
        }
        if self.live.get(&life).is_some_and(|living| living.pieces == 0) {
            self.live.remove(&life);
        }
        self.look_at(life);
    }

    pub(super) fn seal(&mut self, life: Life) {
        self.sealed.insert(life);
        self.look_at(life);
    }

    pub(super) fn end(&mut self, life: Life) {
        self.sealed.remove(&life);
        self.emptied.retain(|emptied| *emptied != life);
    }

    pub(super) fn miss(&mut self, life: Life) {
        self.end(life);
        self.missing.insert(life);
        self.tell_lost();
    }

    /// A life that ended before a crash is missing too, but nothing lives in it once all was counted.
    pub(super) fn lost(&self) -> Living {
        let mut lost = Living::default();
        if self.uncounted_from.is_none() {
            self.missing.iter().for_each(|life| lost.add(self.living(*life)));
        }
        lost
    }

    fn tell_lost(&self) {
        let Living { pieces, bytes } = self.lost();
        if pieces > 0 {
            tracing::error!(segments = ?self.missing, pieces, bytes, "sealed segments are gone with what lived in them");
        }
    }

    fn look_at(&mut self, life: Life) {
        let empty = self.uncounted_from.is_none() && !self.live.contains_key(&life);
        if empty && self.sealed.contains(&life) && !self.emptied.contains(&life) {
            self.emptied.push(life);
        }
    }

    fn look_at_all(&mut self) {
        if self.uncounted_from.is_none() {
            self.emptied = self.sealed.iter().filter(|life| !self.live.contains_key(life)).copied().collect();
            self.emptied.sort_unstable();
            self.tell_lost();
        }
    }

    /// Sealed lives that became empty since the last call.
    pub(super) fn take_emptied(&mut self) -> Vec<Life> {
        std::mem::take(&mut self.emptied)
    }

    /// Sealed lives with what lives in them; `None` while that is being counted.
    pub(super) fn sealed(&self) -> Option<Vec<(Life, Living)>> {
        let all = || self.sealed.iter().map(|life| (*life, self.living(*life))).collect();
        self.uncounted_from.is_none().then(all)
    }

    pub(super) fn living(&self, life: Life) -> Living {
        self.live.get(&life).copied().unwrap_or_default()
    }

    /// Everything that lives on the drive; as far as it was counted.
    pub(super) fn total(&self) -> Living {
        self.total
    }

    /// The note for a checkpoint. `last`: nothing changes after it.
    pub(super) fn encode(&self, last: bool) -> Vec<u8> {
        // What lives in a life that was never sealed is not in the note, so somebody has to count again.
        let all_sealed = self.live.keys().all(|life| self.sealed.contains(life));
        let exact = last && all_sealed && self.uncounted_from.is_none();
        let mut out = vec![CHECKPOINT_VERSION, u8::from(exact)];
        for life in &self.sealed {
            let living = self.living(*life);
            out.extend(life.0.to_le_bytes());
            out.extend(life.1.to_le_bytes());
            out.extend(living.pieces.to_le_bytes());
            out.extend(living.bytes.to_le_bytes());
        }
        out
    }
}

impl Living {
    fn add(&mut self, other: Self) {
        self.pieces += other.pieces;
        self.bytes += other.bytes;
    }

    /// False, and nothing done, when there is less.
    fn subtract(&mut self, other: Self) -> bool {
        let left = self.pieces.checked_sub(other.pieces).zip(self.bytes.checked_sub(other.bytes));
        if let Some((pieces, bytes)) = left {
            *self = Self { pieces, bytes };
        }
        left.is_some()
    }
}

const CHECKPOINT_VERSION: u8 = 2;

/// The note of a checkpoint, read: sealed lives whose entries it covers.
///
/// Version 2: version u8, exact u8 (1: the counts were the last word), then of every life segment u32, generation u32, living
/// pieces u64, bytes u64, little-endian. Version 1 had neither `exact` nor bytes. One of another version covers nothing.
pub(super) struct Checkpoint {
    pub(super) lives: HashMap<Life, Living>,
    exact: bool,
}

impl Checkpoint {
    pub(super) fn parse(note: &[u8]) -> Self {
        let word = |at: &[u8]| u32::from_le_bytes(at[..4].try_into().expect("4 bytes"));
        let long = |at: &[u8]| u64::from_le_bytes(at[..8].try_into().expect("8 bytes"));
        let life = |one: &[u8]| (word(one), word(&one[4..]));
        match note {
            [1, lives @ ..] => {
                let lives = lives.chunks_exact(16).map(|one| (life(one), Living::default())).collect();
                Self { lives, exact: false }
            }
            [2, exact, lives @ ..] => {
                let living = |one: &[u8]| Living { pieces: long(&one[8..]), bytes: long(&one[16..]) };
                let lives = lives.chunks_exact(24).map(|one| (life(one), living(one))).collect();
                Self { lives, exact: *exact == 1 }
            }
            _ => Self { lives: HashMap::new(), exact: false },
        }
    }
}
