//! Segment files: how they are named, made, begun and sealed. These calls block; the keeper thread makes them.
//!
//! A segment lives in lives. Each has a *generation*, larger than any before on the drive, durable in the header before
//! the first record. Space is written over once with zeros before its first life where there is time for it, so
//! that later writes are pure overwrites and a flush touches no file-system metadata.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use holdfast_common::id::DriveId;
use holdfast_protocol::record::{
    Entry, Place, SECTOR_BYTES, SegmentHeader, SegmentRole, SegmentState, Table, TrailerRef, table_bytes,
};

use super::format::{SEGMENTS, sync_dir};
use crate::limits::ZERO_CHUNK_BYTES;
use crate::rt::AlignedBuf;

/// First byte of records.
pub const RECORDS_AT: u32 = SECTOR_BYTES as u32;

/// The file of segment `number`.
#[must_use]
pub fn path_of(root: &Path, number: u32) -> PathBuf {
    root.join(SEGMENTS).join(format!("{number:08x}.seg"))
}

/// Numbers of all segment files, in order. Other names are left alone.
pub fn numbers(root: &Path) -> io::Result<Vec<u32>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root.join(SEGMENTS))? {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| name.strip_suffix(".seg"));
        found.extend(number.filter(|hex| hex.len() == 8).and_then(|hex| u32::from_str_radix(hex, 16).ok()));
    }
    found.sort_unstable();
    Ok(found)
}

/// Opens a segment's file, buffered.
pub fn open(root: &Path, number: u32) -> io::Result<File> {
    fs::OpenOptions::new().read(true).write(true).open(path_of(root, number))
}

/// Reads the header; `None` when the first sector is none.
pub fn header_of(file: &File) -> io::Result<Option<SegmentHeader>> {
    let mut sector = [0; SECTOR_BYTES];
    match file.read_exact_at(&mut sector, 0) {
        Ok(()) => Ok(SegmentHeader::parse(&sector)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

/// A new file of the full size, its blocks reserved but not written.
pub fn create(root: &Path, number: u32, bytes: u64) -> io::Result<File> {
    let path = path_of(root, number);
    let file = fs::OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
    let reserved =
        rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, bytes).map_err(io::Error::from);
    let reserved = match reserved {
        // File systems without it: the size alone, and no zeroed claim will be made before zeros are written.
        Err(error) if error.kind() == io::ErrorKind::Unsupported => file.set_len(bytes),
        other => other,
    };
    if let Err(error) = reserved.and_then(|()| sync_dir(&root.join(SEGMENTS))) {
        // Half a segment holds nothing, and its blocks are wanted back.
        let _ = fs::remove_file(&path);
        return Err(error);
    }
    Ok(file)
}

/// Writes one chunk of zeros at `at`; says where the next one goes, `None` at the end.
pub fn zero_chunk(root: &Path, number: u32, at: u64, bytes: u64, direct: bool) -> io::Result<Option<u64>> {
    let flags = if direct { libc::O_DIRECT } else { 0 };
    let file = fs::OpenOptions::new().write(true).custom_flags(flags).open(path_of(root, number))?;
    let len = usize::try_from(bytes - at).unwrap_or(usize::MAX).min(ZERO_CHUNK_BYTES);
    file.write_all_at(&AlignedBuf::zeroed(len), at)?;
    let next = at + len as u64;
    Ok((next < bytes).then_some(next))
}

/// Writes the header durably: with it a life begins, or a segment waits in the pool.
pub fn write_header(file: &File, header: &SegmentHeader) -> io::Result<()> {
    file.write_all_at(&header.encode(), 0)?;
    file.sync_all()
}

/// Whether the file system takes `O_DIRECT` (tmpfs does not).
pub fn direct_works(root: &Path) -> bool {
    let path = root.join(SEGMENTS).join("direct.probe");
    let options = |direct| {
        fs::OpenOptions::new().write(true).create(true).truncate(false).custom_flags(direct).open(&path)
    };
    let works = options(libc::O_DIRECT)
        .is_ok_and(|file| file.write_all_at(&AlignedBuf::zeroed(SECTOR_BYTES), 0).is_ok());
    // A probe that stays is harmless: it is no segment.
    let _ = fs::remove_file(&path);
    works
}

/// Ends a life: records first, then the table that lists them. With `cut` the file ends right behind the table, which
/// gives back the space of a segment that was left early.
pub fn seal(file: &File, place: Place, entries: Vec<Entry>, used: u64, cut: bool) -> io::Result<u64> {
    file.sync_data()?;
    let bytes = file.metadata()?.len();
    let table_len = table_bytes(entries.len()) as u64;
    let at = if cut { used } else { bytes.saturating_sub(table_len).max(used) };
    let offset = u32::try_from(at).map_err(|_| io::Error::other("a segment of 4 GiB"))?;
    file.write_all_at(&Table { entries }.encode(place.at(offset)), at)?;
    file.set_len(at + table_len)?;
    file.sync_all()?;
    Ok(at + table_len)
}

/// The table of a sealed segment; `None` when it was not sealed in this life, or its table rotted.
pub fn table_of(file: &File, place: Place) -> io::Result<Option<Table>> {
    let bytes = file.metadata()?.len();
    let Some(at) = bytes.checked_sub(SECTOR_BYTES as u64).and_then(|at| u32::try_from(at).ok()) else {
        return Ok(None);
    };
    let mut sector = [0; SECTOR_BYTES];
    file.read_exact_at(&mut sector, u64::from(at))?;
    let Some(trailer) = TrailerRef::parse(&sector, place.at(at)) else { return Ok(None) };
    let mut table = vec![0; trailer.table_len()];
    file.read_exact_at(&mut table, u64::from(trailer.table_offset))?;
    Ok(Table::parse(trailer, &table))
}

/// A header for the next life of a segment.
#[must_use]
pub fn life(
    drive: DriveId,
    number: u32,
    generation: u32,
    bytes: u64,
    role: SegmentRole,
    zeroed: bool,
) -> SegmentHeader {
    SegmentHeader {
        drive,
        segment: number,
        generation,
        state: SegmentState::Live,
        segment_bytes: bytes,
        role,
        zeroed,
        created_ms: unix_ms(),
    }
}

fn unix_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
