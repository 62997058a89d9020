//! Compaction: living records of segments with much garbage are copied together, so that whole segments come free.
//!
//! The keeper runs it a step at a time (a window of at most [`COMPACT_STEP_BYTES`]) when no job waits. Order, for every
//! segment: copies written and flushed -> index pointed to them by compare-and-set, so that a delete in between wins ->
//! a checkpoint of the index made durable -> no read pins the old life -> its space is given back. Whatever a crash
//! leaves of this, each piece has at least one whole copy; of two the one in the younger life counts, and copies only ever
//! go to a younger life.
//!
//! The bound: once garbage exceeds [`COMPACT_GARBAGE_PERCENT`] of what sealed segments take, and one segment's size, the
//! segments that hold most of it are emptied. Garbage is what a segment takes beyond living records and their table,
//! padding included. A drive that is nearly full goes down to [`COMPACT_GARBAGE_PERCENT_TIGHT`].
//!
//! A record that rotted is not copied: it stays where it is, is found by the next verification, and keeps its segment.

use std::collections::{HashMap, HashSet, VecDeque};
use std::io;
use std::time::{Duration, Instant};

use holdfast_protocol::record::{
    Entry, Kind, Parsed, Record, SECTOR_BYTES, SegmentRole, encode, parse, put_tlv, record_bytes,
    table_bytes, tlv,
};

use super::budget::Budget;
use super::flush::io as io_error;
use super::host::HostFile;
use super::keeper::{Keeper, Seal, Taken};
use super::{DriveError, Receipt, segment};
use crate::index::{IndexError, Key, Life, Living, Location, Moved};
use crate::limits::{
    COMPACT_GARBAGE_PERCENT, COMPACT_GARBAGE_PERCENT_TIGHT, COMPACT_LOOK, COMPACT_STEP_BYTES, KEEPER_RETRY,
};
use crate::rt::{AlignedBuf, OpenOptions};

/// Where compaction of one drive is.
#[derive(Debug)]
pub(super) struct Compactor {
    budget: Budget,
    look_at: Instant,
    victim: Option<Victim>,
    out: Option<Out>,
    /// Copies that the index does not know yet.
    moves: Vec<Moved>,
    /// Lives that pieces were moved out of since the last checkpoint.
    uncovered: HashSet<Life>,
    /// A checkpoint under way and the lives that it covers.
    checkpoint: Option<(Covering, HashSet<Life>)>,
    /// Lives without living pieces, to be given back.
    vacant: VecDeque<Life>,
    /// Lives with rotten pieces, and how many lived there when they were found: not worth another attempt before some go.
    left_alone: HashMap<Life, u64>,
}

/// Says when a checkpoint is durable.
type Covering = flume::Receiver<Result<(), IndexError>>;

/// The segment being emptied.
#[derive(Debug)]
struct Victim {
    life: Life,
    file: Box<dyn HostFile>,
    /// Its pieces in the order they stand; those before `next` are done.
    standing: Vec<(Key, Location)>,
    next: usize,
    rotten: u64,
}

/// The segment that copies go to.
#[derive(Debug)]
struct Out {
    taken: Taken,
    file: Box<dyn HostFile>,
    at: u32,
    entries: Vec<Entry>,
    /// Failed flushes of the device when it was taken.
    since: Receipt,
}

/// A record on its way: proven whole, with its bytes.
struct Copied {
    key: Key,
    from: Location,
    parsed: Parsed,
    payload: Vec<u8>,
}

impl Compactor {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            budget: Budget::new(now),
            look_at: now,
            victim: None,
            out: None,
            moves: Vec::new(),
            uncovered: HashSet::new(),
            checkpoint: None,
            vacant: VecDeque::new(),
            left_alone: HashMap::new(),
        }
    }

    /// A sealed life has no living piece any more.
    pub(super) fn vacated(&mut self, life: Life) {
        if !self.vacant.contains(&life) {
            self.vacant.push_back(life);
        }
    }

    /// Does one thing, and says how long the next can wait.
    pub(super) fn step(&mut self, keeper: &mut Keeper) -> Duration {
        self.await_checkpoint(keeper);
        self.give_back(keeper);
        let now = keeper.now();
        if keeper.drive.failed() {
            // For good, and `look_at` may be long past: zero would spin.
            return COMPACT_LOOK;
        }
        if now < self.look_at {
            return self.look_at.saturating_duration_since(now).min(COMPACT_LOOK);
        }
        if let Some(wait) = self.budget.wait(now, &keeper.drive.stats) {
            return wait;
        }
        if self.victim.is_none() && !self.choose(keeper) {
            self.look_at = now + COMPACT_LOOK;
            return COMPACT_LOOK;
        }
        if let Err(error) = self.copy_some(keeper) {
            // Whatever was not moved is where it was.
            self.give_up(keeper, &error);
        }
        Duration::ZERO
    }

    fn give_up(&mut self, keeper: &Keeper, error: &DriveError) {
        tracing::warn!(drive = %keeper.drive.id(), %error, "compaction pauses");
        (self.victim, self.out) = (None, None);
        self.moves.clear();
        self.look_at = keeper.now() + KEEPER_RETRY;
    }

    /// Picks the segment with most garbage, if there is too much of it; those with nothing else are given back as they are.
    fn choose(&mut self, keeper: &Keeper) -> bool {
        let drive = &keeper.drive;
        let Some(lives) = keeper.index.lives(drive.slot) else { return false };
        let (mut all, mut garbage, mut best) = (0, 0, None);
        for (life, living) in lives {
            let Some(bytes) = drive.sealed_bytes(life) else { continue };
            if living.pieces == 0 {
                self.vacated(life);
                continue;
            }
            let waste = garbage_of(bytes, living);
            all += bytes;
            garbage += waste;
            let known = self.left_alone.get(&life) == Some(&living.pieces);
            // In thousandths, so that a small segment counts as much as a large one.
            let share = waste * 1000 / bytes.max(1);
            if !known && best.is_none_or(|(most, _)| share > most) {
                best = Some((share, life));
            }
        }
        drive.stats.garbage_bytes.set(garbage);
        drive.stats.sealed_bytes.set(all);
        let space = drive.space();
        let tight = space.free < space.reserve().saturating_add(space.capacity / 10);
        let percent = if tight { COMPACT_GARBAGE_PERCENT_TIGHT } else { COMPACT_GARBAGE_PERCENT };
        self.budget.set_urgent(tight || garbage * 100 > all * (percent + 5));
        let much = garbage > drive.segment_bytes && garbage * 100 > all * percent;
        match best {
            Some((share, life)) if much && share >= percent * 10 => self.open(keeper, life),
            _ => false,
        }
    }

    fn open(&mut self, keeper: &Keeper, life: Life) -> bool {
        match self.victim_of(keeper, life) {
            Ok(victim) => {
                self.victim = Some(victim);
                true
            }
            Err(error) => {
                self.give_up(keeper, &error);
                false
            }
        }
    }

    fn victim_of(&self, keeper: &Keeper, life: Life) -> Result<Victim, DriveError> {
        let drive = &keeper.drive;
        let failed = |error: io::Error| io_error("read a segment to compact", &error);
        let place = drive.place(life.0, life.1, 0);
        let table = drive.segment_file(life.0).and_then(|file| segment::table_of(&*file, place));
        let mut standing: Vec<_> = match table {
            Ok(Some(table)) => {
                let pieces = table.entries.into_iter().filter(|e| matches!(e.kind, Kind::Piece | Kind::Move));
                pieces.map(|e| (Key::new(e.fragment, e.row), Location::new(life.0, life.1, &e))).collect()
            }
            // A rotten table: the index knows as well.
            _ => keeper
                .index
                .entries_of(drive.slot, life)
                .map_err(|error| DriveError::Io { step: "search the index", error: error.to_string() })?,
        };
        standing.sort_unstable_by_key(|(_, location)| location.offset);
        let options = OpenOptions { direct: drive.direct, ..OpenOptions::default() };
        let file = drive.host().open(&segment::path_of(drive.path(), life.0), options).map_err(failed)?;
        Ok(Victim { life, file, standing, next: 0, rotten: 0 })
    }

    /// Copies the next window of living records; behind the last one, points the index to the copies.
    fn copy_some(&mut self, keeper: &mut Keeper) -> Result<(), DriveError> {
        let victim = self.victim.as_mut().expect("chosen before");
        let window = victim.next_window(keeper)?;
        if window.is_empty() {
            self.switch(keeper)?;
            let Victim { life, rotten, .. } = self.victim.take().expect("it was there");
            if rotten > 0 {
                self.left_alone.insert(life, keeper.index.living_in(keeper.drive.slot, life).pieces);
            }
            keeper.drive.stats.segments_compacted.add(1);
            return Ok(());
        }
        let (read, copies) = victim.read(keeper, &window);
        self.budget.took(read);
        if keeper.drive.failed() {
            return Err(DriveError::Failed);
        }
        self.append(keeper, copies)
    }

    fn append(&mut self, keeper: &mut Keeper, copies: Vec<Copied>) -> Result<(), DriveError> {
        if copies.is_empty() {
            return Ok(());
        }
        let need = copies.iter().map(Copied::bytes).sum::<usize>().next_multiple_of(SECTOR_BYTES);
        self.make_room(keeper, need, copies.len())?;
        let out = self.out.as_mut().expect("made above");
        let mut buf = AlignedBuf::zeroed(need);
        let (mut at, first) = (0, self.moves.len());
        let start = keeper.drive.place(out.taken.number, out.taken.generation, out.at);
        for copy in &copies {
            let offset = out.at + u32::try_from(at).expect("within a segment");
            let tlvs = copy.tlvs();
            let record = Record { kind: Kind::Move, ..copy.parsed.record };
            let (header_len, total) =
                encode(&mut buf.space()[at..], start.at(offset), &record, &tlvs, &copy.payload);
            let entry = Entry {
                fragment: record.fragment,
                kind: Kind::Move,
                row: record.row,
                offset,
                header_len: u32::try_from(header_len).expect("bounded"),
                payload_len: u32::try_from(copy.payload.len()).expect("bounded"),
            };
            let to = Location::new(out.taken.number, out.taken.generation, &entry);
            self.moves.push(Moved { key: copy.key, from: copy.from, to });
            out.entries.push(entry);
            at += total;
        }
        if let Err(error) = out.file.write_all_at(&buf, u64::from(out.at)) {
            self.moves.truncate(first);
            let error = io_error("write copies", &error);
            keeper.drive.note_error(&error);
            return Err(error);
        }
        out.at += u32::try_from(need).expect("within a segment");
        self.budget.took(need as u64);
        keeper.drive.stats.bytes_moved.add(need as u64);
        Ok(())
    }

    /// Sees to a segment for copies with room for `need` bytes and so many records, younger than the victim.
    fn make_room(&mut self, keeper: &mut Keeper, need: usize, records: usize) -> Result<(), DriveError> {
        let victim = self.victim.as_ref().expect("there is one").life;
        if let Some(out) = &self.out {
            let end = out.at as usize + need + table_bytes(out.entries.len() + records);
            let fits = end as u64 <= keeper.drive.segment_bytes;
            if fits && out.taken.generation > victim.1 {
                return Ok(());
            }
            self.switch(keeper)?;
            self.seal(keeper, fits);
        }
        let since = keeper.drive.device.receipt();
        let taken = keeper.take_for_copies()?;
        let options = OpenOptions { direct: keeper.drive.direct, write: true, ..OpenOptions::default() };
        let file = keeper.drive.host().open(&segment::path_of(keeper.drive.path(), taken.number), options);
        let file = file.map_err(|error| io_error("open a segment", &error))?;
        self.out = Some(Out { taken, file, at: segment::RECORDS_AT, entries: Vec::new(), since });
        Ok(())
    }

    /// Flushes the copies, then points the index to them.
    fn switch(&mut self, keeper: &mut Keeper) -> Result<(), DriveError> {
        if self.moves.is_empty() {
            return Ok(());
        }
        let drive = &keeper.drive;
        let out = self.out.as_ref().expect("copies went somewhere");
        let flushed = if crate::mutant!("move-before-flush") { Ok(()) } else { out.file.sync_data() };
        if let Err(error) = flushed {
            drive.device.note_failure();
            let error = io_error("flush copies", &error);
            drive.note_flush_error(&error);
            return Err(error);
        }
        if drive.device.receipt() != out.since {
            return Err(DriveError::Io {
                step: "flush copies",
                error: "a flush of the device failed".into(),
            });
        }
        let moves = std::mem::take(&mut self.moves);
        if crate::mutant!("stale-index-after-move") {
            moves.iter().for_each(|moved| self.vacated(moved.from.life()));
            return Ok(());
        }
        self.uncovered.extend(moves.iter().map(|moved| moved.from.life()));
        let swapped = keeper.index.swap(drive.slot, moves);
        swapped.map_err(|error| DriveError::Io { step: "move in the index", error: error.to_string() })?;
        Ok(())
    }

    /// Ends the segment of copies; the index knows all of them.
    fn seal(&mut self, keeper: &mut Keeper, cut: bool) {
        assert!(self.moves.is_empty(), "a sealed life's entries are all in the index");
        let Some(Out { taken: Taken { number, generation, .. }, at, entries, .. }) = self.out.take() else {
            return;
        };
        let (role, used) = (SegmentRole::Pieces, u64::from(at));
        keeper.seal(Seal { number, generation, role, entries, used, cut });
    }

    /// Ends what is open. Copies that the index does not know yet are garbage.
    pub(super) fn close(&mut self, keeper: &mut Keeper) {
        if self.switch(keeper).is_ok() {
            self.seal(keeper, true);
        }
    }

    /// Looks after checkpoints: no life is given back before one covers the moves out of it.
    fn await_checkpoint(&mut self, keeper: &Keeper) {
        if let Some((done, covers)) = self.checkpoint.take() {
            match done.try_recv() {
                Err(flume::TryRecvError::Empty) => self.checkpoint = Some((done, covers)),
                Ok(Ok(())) => {}
                // Logged by the index.
                _ => {
                    self.uncovered.extend(covers);
                    self.look_at = keeper.now() + KEEPER_RETRY;
                }
            }
        }
        let busy_with = self.victim.as_ref().map(|victim| victim.life);
        let settled = self.uncovered.iter().any(|life| Some(*life) != busy_with);
        if settled && self.checkpoint.is_none() && keeper.now() >= self.look_at {
            let covers = std::mem::take(&mut self.uncovered);
            self.checkpoint = Some((keeper.index.begin_checkpoint(), covers));
        }
    }

    /// Gives lives back that nothing needs any more.
    fn give_back(&mut self, keeper: &mut Keeper) {
        for _ in 0..self.vacant.len() {
            let Some(life) = self.vacant.pop_front() else { return };
            let covering = self.checkpoint.as_ref().is_some_and(|(_, covers)| covers.contains(&life));
            let uncovered = covering || self.uncovered.contains(&life);
            let needed = (uncovered && !crate::mutant!("recycle-before-checkpoint"))
                || keeper.drive.pinned(life)
                || !(keeper.index.is_empty(keeper.drive.slot, life)
                    || crate::mutant!("stale-index-after-move"));
            if needed || !keeper.recycle(life) {
                self.vacant.push_back(life);
                continue;
            }
            self.left_alone.remove(&life);
            keeper.index.ended(keeper.drive.slot, life);
        }
    }
}

impl Victim {
    /// The next living records, within a window; none at the end.
    fn next_window(&mut self, keeper: &Keeper) -> Result<Vec<(Key, Location)>, DriveError> {
        let mut window: Vec<(Key, Location)> = Vec::new();
        while let Some((key, location)) = self.standing.get(self.next).copied() {
            let start = window.first().map_or(location.offset, |(_, first)| first.offset);
            let end = u64::from(location.offset) + location.record_bytes();
            if !window.is_empty() && end - u64::from(start) > COMPACT_STEP_BYTES {
                break;
            }
            self.next += 1;
            let stands = keeper.index.stands(keeper.drive.slot, &key);
            let stands =
                stands.map_err(|error| DriveError::Io { step: "look up", error: error.to_string() })?;
            if stands == Some(location) {
                window.push((key, location));
            }
        }
        Ok(window)
    }

    /// Reads and proves records. Says how many bytes that took; those that rotted are noted, and left out.
    fn read(&mut self, keeper: &Keeper, window: &[(Key, Location)]) -> (u64, Vec<Copied>) {
        let mut bytes = 0;
        let all = match (window.first(), window.last()) {
            (Some((_, first)), Some((_, last))) => self.sectors(first.offset, end_of(last)),
            _ => return (0, Vec::new()),
        };
        let mut copies = Vec::with_capacity(window.len());
        for (key, from) in window {
            let found = match &all {
                Ok((start, all)) => {
                    prove(keeper, *key, *from, &all[from.offset as usize - *start as usize..])
                }
                // One by one, so that a bad sector costs only what it holds.
                Err(_) => self
                    .sectors(from.offset, end_of(from))
                    .map_err(|error| io_error("read", &error))
                    .and_then(|(start, one)| {
                        prove(keeper, *key, *from, &one[(from.offset - start) as usize..])
                    }),
            };
            bytes += from.record_bytes();
            match found {
                Ok(copied) => copies.push(copied),
                Err(error) => {
                    self.rotten += 1;
                    keeper.drive.found_rotten(key.fragment(), key.row(), error);
                }
            }
        }
        (bytes, copies)
    }

    /// Whole sectors around a span, and where they start.
    fn sectors(&self, start: u32, end: u64) -> io::Result<(u32, AlignedBuf)> {
        let sector = u32::try_from(SECTOR_BYTES).expect("small");
        let start = start / sector * sector;
        let len = (end - u64::from(start)).next_multiple_of(u64::from(sector));
        let mut buf = AlignedBuf::zeroed(usize::try_from(len).expect("within a segment"));
        let len = buf.len();
        self.file.read_exact_at(&mut buf.space()[..len], u64::from(start))?;
        Ok((start, buf))
    }
}

fn end_of(location: &Location) -> u64 {
    u64::from(location.offset) + location.record_bytes()
}

/// The record at the start of `bytes`, if it is the one that should stand there, whole.
fn prove(keeper: &Keeper, key: Key, from: Location, bytes: &[u8]) -> Result<Copied, DriveError> {
    let place = keeper.drive.place(from.segment, from.generation, from.offset);
    let parsed =
        parse(bytes, place).map_err(|_| DriveError::Rotten("no record of this life stands there"))?;
    if parsed.record.fragment != key.fragment() || parsed.record.row != key.row() {
        return Err(DriveError::Rotten("another piece stands there"));
    }
    if !parsed.whole(bytes) {
        return Err(DriveError::Rotten("a block's checksum does not hold"));
    }
    let payload = bytes[parsed.header_len..parsed.header_len + parsed.payload_len].to_vec();
    Ok(Copied { key, from, parsed, payload })
}

impl Copied {
    /// The record's own fields, and where it came from; without that when there is no room for it.
    fn tlvs(&self) -> Vec<u8> {
        let mut tlvs = Vec::new();
        for (kind, value) in self.parsed.tlvs().filter(|(kind, _)| *kind != tlv::MOVED_FROM) {
            put_tlv(&mut tlvs, kind, value);
        }
        let own = tlvs.len();
        let words = [self.from.segment, self.from.generation, self.from.offset];
        put_tlv(&mut tlvs, tlv::MOVED_FROM, &words.map(u32::to_le_bytes).concat());
        if record_bytes(self.payload.len(), tlvs.len()).is_err() {
            tlvs.truncate(own);
        }
        tlvs
    }

    fn bytes(&self) -> usize {
        record_bytes(self.payload.len(), self.tlvs().len()).expect("what was read fits")
    }
}

/// What a sealed segment of `bytes` takes beyond what lives in it.
fn garbage_of(bytes: u64, living: Living) -> u64 {
    let table = table_bytes(usize::try_from(living.pieces).unwrap_or(usize::MAX / 64)) as u64;
    bytes.saturating_sub(u64::from(segment::RECORDS_AT) + living.bytes + table)
}
