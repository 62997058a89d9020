//! Segment files: how they are named, made, begun and sealed. These calls block; the keeper thread makes them.
//!
//! A segment lives in lives. Each has a *generation*, larger than any before on the drive, durable in the header before
//! the first record. Space is written over once with zeros before its first life where there is time for it, so
//! that later writes are pure overwrites and a flush touches no file-system metadata.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use holdfast_common::id::DriveId;
use holdfast_protocol::record::{
    Entry, Place, SECTOR_BYTES, SegmentHeader, SegmentRole, SegmentState, Table, TrailerRef, table_bytes,
};

use super::format::SEGMENTS;
use super::host::{Host, HostFile};
use crate::limits::ZERO_CHUNK_BYTES;
use crate::rt::{AlignedBuf, OpenOptions};

/// First byte of records.
pub const RECORDS_AT: u32 = SECTOR_BYTES as u32;

/// The file of segment `number`.
#[must_use]
pub fn path_of(root: &Path, number: u32) -> PathBuf {
    root.join(SEGMENTS).join(format!("{number:08x}.seg"))
}

/// Numbers of all segment files, in order. Other names are left alone.
pub fn numbers(host: &dyn Host, root: &Path) -> io::Result<Vec<u32>> {
    let mut found = Vec::new();
    for name in host.names(&root.join(SEGMENTS))? {
        let number = name.to_str().and_then(|name| name.strip_suffix(".seg"));
        found.extend(number.filter(|hex| hex.len() == 8).and_then(|hex| u32::from_str_radix(hex, 16).ok()));
    }
    found.sort_unstable();
    Ok(found)
}

/// Opens a segment's file, buffered.
pub fn open(host: &dyn Host, root: &Path, number: u32) -> io::Result<Box<dyn HostFile>> {
    host.open(&path_of(root, number), OpenOptions { write: true, ..OpenOptions::default() })
}

/// Reads the header; `None` when the first sector is none.
pub fn header_of(file: &dyn HostFile) -> io::Result<Option<SegmentHeader>> {
    let mut sector = [0; SECTOR_BYTES];
    match file.read_exact_at(&mut sector, 0) {
        Ok(()) => Ok(SegmentHeader::parse(&sector)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

/// A new file of the full size, its blocks reserved but not written.
pub fn create(host: &dyn Host, root: &Path, number: u32, bytes: u64) -> io::Result<()> {
    let path = path_of(root, number);
    let options = OpenOptions { write: true, create: true, create_new: true, ..OpenOptions::default() };
    let file = host.open(&path, options)?;
    let reserved = match file.reserve(bytes) {
        // File systems without it: the size alone, and no zeroed claim will be made before zeros are written.
        Err(error) if error.kind() == io::ErrorKind::Unsupported => file.set_len(bytes),
        other => other,
    };
    let sync_dir = || match crate::mutant!("new-segment-not-in-directory") {
        true => Ok(()),
        false => host.sync_dir(&root.join(SEGMENTS)),
    };
    if let Err(error) = reserved.and_then(|()| sync_dir()) {
        // Half a segment holds nothing, and its blocks are wanted back.
        let _ = host.remove_file(&path);
        return Err(error);
    }
    Ok(())
}

/// What every drive's keeper writes over a segment: clearing a buffer for each chunk took 5 % of a server that is filled.
static ZEROS: LazyLock<AlignedBuf> = LazyLock::new(|| AlignedBuf::zeroed(ZERO_CHUNK_BYTES));

/// Writes one chunk of zeros at `at`; says where the next one goes, `None` at the end.
pub fn zero_chunk(file: &dyn HostFile, at: u64, bytes: u64) -> io::Result<Option<u64>> {
    let len = usize::try_from(bytes - at).unwrap_or(usize::MAX).min(ZERO_CHUNK_BYTES);
    file.write_all_at(&ZEROS[..len], at)?;
    let next = at + len as u64;
    Ok((next < bytes).then_some(next))
}

/// Writes the header durably: with it a life begins, or a segment waits in the pool.
pub fn write_header(file: &dyn HostFile, header: &SegmentHeader) -> io::Result<()> {
    file.write_all_at(&header.encode(), 0)?;
    if crate::mutant!("header-not-flushed") {
        return Ok(());
    }
    file.sync_all()
}

/// Whether the file system takes `O_DIRECT` (tmpfs does not).
pub fn direct_works(host: &dyn Host, root: &Path) -> bool {
    let path = root.join(SEGMENTS).join("direct.probe");
    let options = OpenOptions { direct: true, write: true, create: true, ..OpenOptions::default() };
    let works = host
        .open(&path, options)
        .is_ok_and(|file| file.write_all_at(&AlignedBuf::zeroed(SECTOR_BYTES), 0).is_ok());
    // A probe that stays is harmless: it is no segment.
    let _ = host.remove_file(&path);
    works
}

/// Ends a life: records first, then the table that lists them. With `cut` the file ends right behind the table, which
/// gives back the space of a segment that was left early. Says how large the file is now.
pub fn seal(
    file: &dyn HostFile,
    place: Place,
    mut entries: Vec<Entry>,
    used: u64,
    cut: bool,
) -> io::Result<u64> {
    if crate::mutant!("seal-table-missing-last") {
        entries.pop();
    }
    file.sync_data()?;
    let bytes = file.size()?;
    let table_len = table_bytes(entries.len()) as u64;
    let at = if cut { used } else { bytes.saturating_sub(table_len).max(used) };
    let offset = u32::try_from(at).map_err(|_| io::Error::other("a segment of 4 GiB"))?;
    file.write_all_at(&Table { entries }.encode(place.at(offset)), at)?;
    file.set_len(at + table_len)?;
    file.sync_all()?;
    Ok(at + table_len)
}

/// The table of a sealed segment; `None` when it was not sealed in this life, or its table rotted.
pub fn table_of(file: &dyn HostFile, place: Place) -> io::Result<Option<Table>> {
    let bytes = file.size()?;
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

/// A header for the next life of a segment, begun at `created_ms`.
#[must_use]
pub fn life(
    drive: DriveId,
    number: u32,
    generation: u32,
    bytes: u64,
    role: SegmentRole,
    zeroed: bool,
    created_ms: u64,
) -> SegmentHeader {
    SegmentHeader {
        drive,
        segment: number,
        generation,
        state: SegmentState::Live,
        segment_bytes: bytes,
        role,
        zeroed,
        created_ms,
    }
}
