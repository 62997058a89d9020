//! Re-reading what lives, past the page cache: first the records of sealed segments in the order they stand, then the index
//! itself, for pieces whose segment is gone.
//!
//! What lives is the index's word, asked record by record; where a record stands is its segment's table's, or, when that
//! cannot be read, the index's again. A finding is looked up once more before it is one: it may have moved or been deleted
//! while it was read.

use std::ops::Range;
use std::sync::Arc;

use holdfast_common::id::FragmentId;
use holdfast_protocol::record::{Kind, RECORD_ALIGN, SECTOR_BYTES, Table, TrailerRef};

use super::super::drive::{Drive, Phase};
use super::super::{DriveError, Verified, VerifyCursor, segment};
use super::CoreDrives;
use super::read::{check_header, look_up_failed, read_exactly};
use crate::index::{Key, Life, Location};
use crate::limits::{VERIFY_ENTRIES, VERIFY_ENTRY_COST_BYTES, VERIFY_WINDOW_BYTES};
use crate::rt::{DiskFile, OpenOptions, Rt};

/// A record that should live.
#[derive(Clone, Copy)]
struct Standing {
    key: Key,
    location: Location,
}

impl Standing {
    /// Whole sectors that hold it.
    fn sectors(&self) -> Range<u64> {
        let start = u64::from(self.location.offset);
        let sector = SECTOR_BYTES as u64;
        start / sector * sector..(start + self.location.record_bytes()).next_multiple_of(sector)
    }
}

impl<R: Rt> CoreDrives<R> {
    pub(super) async fn verify_drive(
        &self,
        drive: &Arc<Drive>,
        from: VerifyCursor,
        bytes_max: u64,
    ) -> Result<Verified, DriveError> {
        if drive.failed() {
            return Err(DriveError::Failed);
        }
        let mut done = Verified { bad: std::mem::take(&mut *drive.findings.lock()), ..Verified::default() };
        let mut next = Some(from);
        while let Some(at) = next.filter(|_| done.bytes < bytes_max) {
            next = match (at.lost, sealed_from(drive, at.segment)) {
                (None, Some(life)) => {
                    let offset = if life.0 == at.segment { at.offset } else { 0 };
                    self.verify_segment(drive, life, offset, bytes_max, &mut done).await?
                }
                (lost, _) => self.verify_index(drive, lost, &mut done).await?,
            };
        }
        done.next = next;
        done.bytes_left = next.map_or(0, |next| left_from(drive, next));
        Ok(done)
    }

    /// Reads living records of a life from `offset` on; says where to go on, behind the segment when it is done.
    async fn verify_segment(
        &self,
        drive: &Arc<Drive>,
        life: Life,
        offset: u32,
        bytes_max: u64,
        done: &mut Verified,
    ) -> Result<Option<VerifyCursor>, DriveError> {
        // The numbers end long before 2^32 segments are made.
        let behind = VerifyCursor { segment: life.0.saturating_add(1), ..VerifyCursor::default() };
        let path = segment::path_of(drive.path(), life.0);
        let options = OpenOptions { direct: drive.direct, ..OpenOptions::default() };
        // One that cannot be opened: what lived in it is found to be gone at the end of the pass.
        let Ok(file) = R::File::open(&path, options).await else { return Ok(Some(behind)) };
        done.bytes += SECTOR_BYTES as u64;
        let standing = match table_of(&file, drive, life).await {
            Some(standing) => standing,
            None => self.standing_by_index(drive, life).await?,
        };
        let mut rest = &standing[standing.partition_point(|one| one.location.offset < offset)..];
        while let Some(first) = rest.first() {
            let window = first.sectors().start..first.sectors().start + VERIFY_WINDOW_BYTES;
            let inside = rest.partition_point(|one| one.sectors().end <= window.end).max(1);
            let (some, others) = rest.split_at(inside);
            rest = others;
            let living = self.living(drive, some).await?;
            self.verify_some(drive, &file, &living, done).await;
            if let Some(next) = rest.first().filter(|_| done.bytes >= bytes_max) {
                return Ok(Some(VerifyCursor { segment: life.0, offset: next.location.offset, lost: None }));
            }
        }
        Ok(Some(behind))
    }

    /// Those that the index still has where they stand.
    async fn living(&self, drive: &Drive, some: &[Standing]) -> Result<Vec<Standing>, DriveError> {
        let mut living = Vec::with_capacity(some.len());
        for one in some {
            if self.lives(drive, one).await? {
                living.push(*one);
            }
        }
        Ok(living)
    }

    async fn lives(&self, drive: &Drive, one: &Standing) -> Result<bool, DriveError> {
        let found = self.engine.index.lookup(drive.slot, one.key).await.map_err(|e| look_up_failed(&e))?;
        Ok(found == Some(one.location))
    }

    /// Reads neighbours in one go; one by one when that fails, so that each bad sector costs only what it holds.
    async fn verify_some(
        &self,
        drive: &Arc<Drive>,
        file: &R::File,
        living: &[Standing],
        done: &mut Verified,
    ) {
        let Some((first, last)) = living.first().zip(living.last()) else { return };
        let (start, end) = (first.sectors().start, last.sectors().end);
        done.records += living.len() as u64;
        done.bytes += end - start;
        let all = read_exactly(file, start, usize::try_from(end - start).expect("a window")).await;
        for one in living {
            let sectors = one.sectors();
            let checked = match &all {
                Ok(bytes) => check(drive, one, &bytes[at(sectors.start - start)..at(sectors.end - start)]),
                Err(_) => {
                    let read = read_exactly(file, sectors.start, at(sectors.end - sectors.start)).await;
                    read.and_then(|bytes| check(drive, one, &bytes))
                }
            };
            let Err(error) = checked else { continue };
            if self.lives(drive, one).await.unwrap_or(true) {
                tracing::warn!(drive = %drive.id(), fragment = ?one.key.fragment(), row = one.key.row(), %error, "a piece is rotten");
                done.bad.push((one.key.fragment(), one.key.row(), error));
            }
        }
    }

    /// A stretch of the index, for entries in lives that are not there.
    async fn verify_index(
        &self,
        drive: &Arc<Drive>,
        from: Option<(FragmentId, u32)>,
        done: &mut Verified,
    ) -> Result<Option<VerifyCursor>, DriveError> {
        let from = from.map_or(Key::FIRST, |(fragment, row)| Key::new(fragment, row));
        let page = self.engine.index.entries(drive.slot, from, VERIFY_ENTRIES).await;
        let page = page.map_err(|error| look_up_failed(&error))?;
        done.bytes += page.entries.len() as u64 * VERIFY_ENTRY_COST_BYTES;
        for (key, location) in page.entries {
            if drive.is_there(location.life()) || !self.lives(drive, &Standing { key, location }).await? {
                continue;
            }
            // A life that ended in between took no living piece with it: the lookup came after.
            done.bad.push((key.fragment(), key.row(), DriveError::Rotten("its segment is not there")));
        }
        let lost = |key: Key| Some((key.fragment(), key.row()));
        Ok(page.next.map(|key| VerifyCursor { segment: u32::MAX, offset: 0, lost: lost(key) }))
    }

    /// Records of a life whose table cannot be read.
    async fn standing_by_index(&self, drive: &Drive, life: Life) -> Result<Vec<Standing>, DriveError> {
        let (mut standing, mut from) = (Vec::new(), Some(Key::FIRST));
        while let Some(key) = from {
            let page = self.engine.index.entries(drive.slot, key, VERIFY_ENTRIES).await;
            let page = page.map_err(|error| look_up_failed(&error))?;
            let here = page.entries.into_iter().filter(|(_, location)| location.life() == life);
            standing.extend(here.map(|(key, location)| Standing { key, location }));
            from = page.next;
        }
        standing.sort_unstable_by_key(|one| one.location.offset);
        Ok(standing)
    }
}

fn at(offset: u64) -> usize {
    usize::try_from(offset).expect("within a window")
}

/// Whether a record is what was written: all of it.
fn check(drive: &Drive, one: &Standing, sectors: &[u8]) -> Result<(), DriveError> {
    let record = &sectors[one.location.offset as usize % SECTOR_BYTES..];
    let parsed = check_header(drive, one.key, one.location, record)?;
    if parsed.whole(record) { Ok(()) } else { Err(DriveError::Rotten("a block's checksum does not hold")) }
}

/// The records that a sealed life's table lists, in order; `None` when there is no whole table.
async fn table_of<F: DiskFile>(file: &F, drive: &Drive, (number, generation): Life) -> Option<Vec<Standing>> {
    let trailer_at = file.size().await.ok()?.checked_sub(SECTOR_BYTES as u64)?;
    let sector = read_exactly(file, trailer_at, SECTOR_BYTES).await.ok()?;
    let place = drive.place(number, generation, u32::try_from(trailer_at).ok()?);
    let trailer = TrailerRef::parse(&sector, place)?;
    let len = trailer.table_len().next_multiple_of(SECTOR_BYTES);
    let table = read_exactly(file, u64::from(trailer.table_offset), len).await.ok()?;
    let pieces = Table::parse(trailer, &table)?.entries.into_iter();
    let pieces = pieces.filter(|entry| matches!(entry.kind, Kind::Piece | Kind::Move));
    let standing = pieces.map(|entry| Standing {
        key: Key::new(entry.fragment, entry.row),
        location: Location::new(number, generation, &entry),
    });
    let mut standing: Vec<_> = standing.collect();
    debug_assert!(standing.iter().all(|one| one.location.offset.is_multiple_of(RECORD_ALIGN as u32)));
    standing.sort_unstable_by_key(|one| one.location.offset);
    Some(standing)
}

/// The first sealed life in a segment from `number` on.
fn sealed_from(drive: &Drive, number: u32) -> Option<Life> {
    let segments = drive.segments.lock();
    let sealed = segments.iter().filter(|(at, segment)| **at >= number && segment.phase == Phase::Sealed);
    sealed.map(|(at, segment)| (*at, segment.generation)).min()
}

/// About how many bytes a pass has still before it.
fn left_from(drive: &Drive, from: VerifyCursor) -> u64 {
    if from.lost.is_some() {
        return 0;
    }
    let segments = drive.segments.lock();
    let sealed = segments.iter().filter(|(at, one)| **at >= from.segment && one.phase == Phase::Sealed);
    let bytes: u64 = sealed.map(|(_, one)| one.bytes).sum();
    bytes.saturating_sub(u64::from(from.offset))
}
