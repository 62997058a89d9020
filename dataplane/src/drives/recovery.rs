//! Finding everything again at a start.
//!
//! Every segment's header is read. What the index's checkpoint covers is left alone; a sealed segment tells its records by
//! its table; any other is walked from end to end, verifying every block, and then sealed where it ends, because a
//! segment of an earlier run is never appended to. Deletes are read first and win over pieces wherever they
//! stand: a fragment's name is never written again after its delete.

use std::collections::{HashMap, HashSet};
use std::io;

use holdfast_common::id::FragmentId;
use holdfast_protocol::record::{
    Entry, Kind, Parsed, SECTOR_BYTES, SegmentHeader, SegmentRole, SegmentState, Step, step,
};

use super::drive::{Drive, Phase};
use super::format::OpenError;
use super::host::HostFile;
use super::keeper::Found;
use super::segment;
use crate::index::{DriveIndex, Key, Life, Location};
use crate::limits::{DRIVE_ERRORS_MAX, SCAN_WINDOW_BYTES};

/// What a recovery did.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub segments: u64,
    /// Read from end to end.
    pub walked: u64,
    pub pieces: u64,
    pub deletes: u64,
    pub torn: u64,
}

impl Tally {
    pub(super) fn add(&mut self, other: Self) {
        self.segments += other.segments;
        self.walked += other.walked;
        self.pieces += other.pieces;
        self.deletes += other.deletes;
        self.torn += other.torn;
    }
}

/// Brings the index up to date with one drive, and says where its keeper starts.
pub(super) fn recover(drive: &Drive, index: &DriveIndex) -> Result<(Found, Tally), OpenError> {
    let fail =
        |error: io::Error| OpenError::Io { path: drive.path().to_owned(), step: "read its segments", error };
    let covered = index.checkpoint(drive.slot).map_err(|error| fail(io::Error::other(error)))?;
    let mut scan = Scan {
        drive,
        index,
        tally: Tally::default(),
        found: Found::default(),
        gone: HashMap::new(),
        unreadable: 0,
    };
    let headers = scan.headers().map_err(fail)?;
    let present: HashSet<_> = headers.iter().map(|header| (header.segment, header.generation)).collect();
    for life in covered.difference(&present) {
        index.missing(drive.slot, *life);
    }
    let (deletes, pieces): (Vec<_>, Vec<_>) =
        headers.into_iter().partition(|h| h.role == SegmentRole::Deletes);
    for header in deletes {
        let done = scan.deletes(&header);
        scan.or_leave(header.segment, done).map_err(fail)?;
    }
    for header in pieces {
        if covered.contains(&(header.segment, header.generation)) {
            scan.sealed(&header);
        } else {
            let done = scan.pieces(&header);
            scan.or_leave(header.segment, done).map_err(fail)?;
        }
    }
    let Scan { tally, found, gone, .. } = scan;
    for (fragment, rows) in gone {
        index.remove(drive.slot, fragment, rows);
    }
    Ok((found, tally))
}

/// All records of a life, by its table, else by a walk.
pub(super) fn records_of(drive: &Drive, (number, generation): Life) -> io::Result<Vec<Entry>> {
    let file = drive.segment_file(number)?;
    if let Ok(Some(table)) = segment::table_of(&*file, drive.place(number, generation, 0)) {
        return Ok(table.entries);
    }
    let header = segment::header_of(&*file)?;
    let header = header.filter(|header| header.segment == number && header.generation == generation);
    let header = header.ok_or_else(|| io::Error::other("its header is unreadable"))?;
    let mut walk = Walk::new(&*file)?;
    let (entries, _) = walk.records(drive, &header)?;
    if walk.newer || walk.holes > 0 {
        return Err(io::Error::other("some of its records are unreadable"));
    }
    Ok(entries)
}

struct Scan<'a> {
    drive: &'a Drive,
    index: &'a DriveIndex,
    tally: Tally,
    found: Found,
    gone: HashMap<FragmentId, u32>,
    /// Segments in a row.
    unreadable: u32,
}

impl Scan<'_> {
    /// Reads all headers; returns those of living segments and files the others.
    fn headers(&mut self) -> io::Result<Vec<SegmentHeader>> {
        let mut live = Vec::new();
        for number in segment::numbers(self.drive.host(), self.drive.path())? {
            self.tally.segments += 1;
            self.found.next_number = self.found.next_number.max(number.saturating_add(1));
            let header = self.header(number);
            live.extend(self.or_leave(number, header)?.flatten());
        }
        Ok(live)
    }

    fn header(&mut self, number: u32) -> io::Result<Option<SegmentHeader>> {
        let file = self.drive.segment_file(number)?;
        let header =
            segment::header_of(&*file)?.filter(|h| h.drive == self.drive.id() && h.segment == number);
        let generation = header.map_or(0, |header| header.generation);
        self.found.next_generation = self.found.next_generation.max(generation.saturating_add(1)).max(1);
        match header {
            Some(header) if header.state == SegmentState::Live => return Ok(Some(header)),
            Some(header) => self.free(&*file, number, header.generation, header.zeroed)?,
            None if blank(&*file)? => self.free(&*file, number, 0, false)?,
            None => {
                tracing::error!(drive = %self.drive.id(), segment = number, "a segment's header is unreadable; leaving it alone");
                self.drive.set_unknown(number);
            }
        }
        Ok(None)
    }

    /// A segment that cannot be read is left alone, and what it holds is missing; too many in a row, and it is the drive
    /// that cannot be read.
    fn or_leave<T>(&mut self, number: u32, done: io::Result<T>) -> io::Result<Option<T>> {
        let error = match done {
            Ok(done) => {
                self.unreadable = 0;
                return Ok(Some(done));
            }
            Err(error) => error,
        };
        tracing::error!(drive = %self.drive.id(), segment = number, %error, "a segment cannot be read; leaving it alone");
        self.drive.stats.errors.add(1);
        self.drive.set_unknown(number);
        self.unreadable += 1;
        if self.unreadable < DRIVE_ERRORS_MAX { Ok(None) } else { Err(error) }
    }

    /// Puts a segment without records into the pool; one of another size is of no use there.
    fn free(&mut self, file: &dyn HostFile, number: u32, generation: u32, zeroed: bool) -> io::Result<()> {
        if file.size()? == self.drive.segment_bytes {
            let bytes = self.drive.segment_bytes;
            self.drive.set_segment(number, generation, Phase::Free, SegmentRole::Pieces, bytes);
            self.found.free.push((number, zeroed));
            return Ok(());
        }
        self.drive.host().remove_file(&segment::path_of(self.drive.path(), number))
    }

    /// Notes a life that is there.
    fn sealed(&self, header: &SegmentHeader) {
        let SegmentHeader { segment, generation, role, .. } = *header;
        let bytes = self.drive.segment_file(segment).and_then(|file| file.size());
        let bytes = bytes.unwrap_or(self.drive.segment_bytes);
        self.drive.set_segment(segment, generation, Phase::Sealed, role, bytes);
    }

    fn deletes(&mut self, header: &SegmentHeader) -> io::Result<()> {
        let (entries, _) = self.entries(header)?;
        let counts = !crate::mutant!("recovery-ignores-deletes");
        for entry in entries.iter().filter(|entry| counts && entry.kind == Kind::Delete) {
            self.tally.deletes += 1;
            let rows = self.gone.entry(entry.fragment).or_default();
            *rows = entry.row.max(*rows);
        }
        self.sealed(header);
        Ok(())
    }

    fn pieces(&mut self, header: &SegmentHeader) -> io::Result<()> {
        let (entries, all) = self.entries(header)?;
        let (segment, generation) = (header.segment, header.generation);
        let here = |entry: &Entry| Location::new(segment, generation, entry);
        let living: Vec<_> = entries
            .iter()
            .filter(|entry| matches!(entry.kind, Kind::Piece | Kind::Move))
            .filter(|entry| self.gone.get(&entry.fragment).is_none_or(|rows| entry.row >= *rows))
            .map(|entry| (Key::new(entry.fragment, entry.row), here(entry)))
            .collect();
        self.tally.pieces += living.len() as u64;
        for some in living.chunks(1024) {
            self.index.insert_blocking(self.drive.slot, some.to_vec());
        }
        self.sealed(header);
        if all {
            self.index.sealed(self.drive.slot, segment, generation);
        }
        Ok(())
    }

    /// The records of a life: by its table, else by a walk, after which it is sealed. Says whether these are all: where the
    /// walk met sectors that cannot be read now, or records that we do not understand, the next start walks again.
    fn entries(&mut self, header: &SegmentHeader) -> io::Result<(Vec<Entry>, bool)> {
        let file = self.drive.segment_file(header.segment)?;
        let place = self.drive.place(header.segment, header.generation, 0);
        // A table that cannot be read is as good as none.
        if let Ok(Some(table)) = segment::table_of(&*file, place) {
            return Ok((table.entries, true));
        }
        self.tally.walked += 1;
        let mut walk = Walk::new(&*file)?;
        let (entries, torn) = walk.records(self.drive, header)?;
        self.tally.torn += torn;
        let used = entries
            .last()
            .map_or(u64::from(segment::RECORDS_AT), end_of)
            .next_multiple_of(SECTOR_BYTES as u64);
        let all = !walk.newer && walk.holes == 0;
        if all {
            segment::seal(&*file, place, entries.clone(), used, true)?;
        }
        Ok((entries, all))
    }
}

/// Where a record's bytes end, at most.
fn end_of(entry: &Entry) -> u64 {
    u64::from(entry.offset) + u64::from(entry.header_len) + u64::from(entry.payload_len) + 64
}

/// Whether the first sector is all zeros: such a segment never began a life.
fn blank(file: &dyn HostFile) -> io::Result<bool> {
    let mut sector = [0; SECTOR_BYTES];
    match file.read_exact_at(&mut sector, 0) {
        Ok(()) => Ok(sector.iter().all(|byte| *byte == 0)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(true),
        Err(error) => Err(error),
    }
}

/// A segment being read from end to end through a bounded window.
struct Walk<'a> {
    file: &'a dyn HostFile,
    end: u32,
    window: Vec<u8>,
    window_at: u32,
    newer: bool,
    /// Sectors that could not be read; they count as zeros.
    holes: u32,
}

impl<'a> Walk<'a> {
    fn new(file: &'a dyn HostFile) -> io::Result<Self> {
        let end = u32::try_from(file.size()?).map_err(|_| io::Error::other("a segment of 4 GiB"))?;
        Ok(Self { file, end, window: Vec::new(), window_at: segment::RECORDS_AT, newer: false, holes: 0 })
    }

    /// All whole records, and how many torn ones there were.
    fn records(&mut self, drive: &Drive, header: &SegmentHeader) -> io::Result<(Vec<Entry>, u64)> {
        let (mut at, mut entries, mut torn) = (segment::RECORDS_AT, Vec::new(), 0);
        loop {
            let place = drive.place(header.segment, header.generation, at);
            let seen = (at.wrapping_sub(self.window_at) as usize).min(self.window.len());
            match step(&self.window[seen..], place, self.end) {
                Step::Record(parsed) => {
                    entries.push(entry_of(&parsed, at));
                    at += length(&parsed);
                }
                Step::Torn(parsed) => {
                    torn += 1;
                    at = at.saturating_add(length(&parsed)).min(self.end);
                }
                Step::Newer(version) => {
                    self.newer = true;
                    tracing::error!(drive = %drive.id(), segment = header.segment, version, "a record of a newer version");
                    at = (at / SECTOR_BYTES as u32 + 1).saturating_mul(SECTOR_BYTES as u32).min(self.end);
                }
                Step::Skip(to) => at = to,
                Step::Need(bytes) => self.fill(at, bytes)?,
                Step::End => return Ok((entries, torn)),
            }
        }
    }

    /// Moves the window to `at`, with at least `bytes` in it.
    fn fill(&mut self, at: u32, bytes: usize) -> io::Result<()> {
        let len = bytes.max(SCAN_WINDOW_BYTES).min((self.end - at) as usize);
        self.window = vec![0; len];
        self.window_at = at;
        match self.file.read_exact_at(&mut self.window, u64::from(at)) {
            Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => self.fill_around_holes(),
            done => done,
        }
    }

    /// Sector by sector, so that one bad sector does not take its neighbours with it; not for long, because each may take
    /// seconds to fail.
    fn fill_around_holes(&mut self) -> io::Result<()> {
        let mut at = u64::from(self.window_at);
        for sector in self.window.chunks_mut(SECTOR_BYTES) {
            if let Err(error) = self.file.read_exact_at(sector, at) {
                self.holes += 1;
                if self.holes > DRIVE_ERRORS_MAX {
                    return Err(error);
                }
                sector.fill(0);
            }
            at += sector.len() as u64;
        }
        Ok(())
    }
}

fn length(parsed: &Parsed) -> u32 {
    u32::try_from(parsed.total_len()).expect("bounded by the header's limits")
}

fn entry_of(parsed: &Parsed, offset: u32) -> Entry {
    Entry {
        fragment: parsed.record.fragment,
        kind: parsed.record.kind,
        row: parsed.record.row,
        offset,
        header_len: u32::try_from(parsed.header_len).expect("bounded"),
        payload_len: u32::try_from(parsed.payload_len).expect("bounded"),
    }
}
