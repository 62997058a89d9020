//! Reading one piece: where it stands by the index, verified, and elsewhere on the node when its own drive lacks it.

use std::collections::HashMap;
use std::io;
use std::ops::Range;
use std::rc::Rc;
use std::time::Instant;

use bytes::Bytes;
use futures_util::future::join;
use holdfast_common::id::FragmentId;
use holdfast_protocol::record::{BLOCK_BYTES, Parsed, parse, tlv};

use super::super::drive::Drive;
use super::super::flush::io as io_error;
use super::super::{DriveError, PieceFacts, PieceRead, segment};
use super::CoreDrives;
use crate::index::{IndexError, Key, Location};
use crate::limits::{LOOKUPS_PER_READ, READ_FILES_MAX, READ_WHOLE_BYTES_MAX};
use crate::rt::{AlignedBuf, Chunk, DiskFile, OpenOptions, Rt};

impl<R: Rt> CoreDrives<R> {
    /// The file of a segment, from the cache or opened.
    pub(super) async fn file(&self, drive: &Drive, number: u32) -> io::Result<Rc<R::File>> {
        if let Some(file) = self.files.borrow_mut().find((drive.slot, number)) {
            return Ok(file);
        }
        // Reads go through the page cache: hot objects are served from memory.
        let path = segment::path_of(drive.path(), number);
        let file = Rc::new(R::File::open(&path, OpenOptions::default()).await?);
        self.files.borrow_mut().keep((drive.slot, number), Rc::clone(&file));
        Ok(file)
    }

    /// Reads a piece where it was found last, else as [`CoreDrives::read_piece`].
    pub(super) async fn read_remembered(
        &self,
        drive: &Drive,
        key: Key,
        range: &Range<u32>,
    ) -> Result<PieceRead, DriveError> {
        let remembered = self.places.borrow().find(drive.slot, key);
        if let Some(location) = remembered {
            let began = R::now();
            let pin = self.pins[drive.slot].pin(location.life());
            let read = self.read_at(drive, key, location, range).await;
            drop(pin);
            // Whatever is wrong there, it is a fault only where the index says that the piece stands.
            if let Ok(read) = read {
                drive.note_read(&Ok(()));
                return Ok(self.counted(drive, read, began));
            }
            self.places.borrow_mut().forget(drive.slot, key.fragment());
        }
        self.read_piece(drive, key, range).await
    }

    pub(super) async fn read_piece(
        &self,
        drive: &Drive,
        key: Key,
        range: &Range<u32>,
    ) -> Result<PieceRead, DriveError> {
        let began = R::now();
        let read = self.located(drive, key, async |location| {
            let read = self.read_at(drive, key, location, range).await?;
            self.places.borrow_mut().keep(drive.slot, key, location);
            Ok(read)
        });
        Ok(self.counted(drive, read.await?, began))
    }

    fn counted(&self, drive: &Drive, read: PieceRead, began: Instant) -> PieceRead {
        drive.stats.pieces_read.add(1);
        drive.stats.bytes_read.add(read.bytes.len() as u64);
        drive.stats.read_micros.add(u64::try_from((R::now() - began).as_micros()).unwrap_or(u64::MAX));
        read
    }

    pub(super) async fn read_facts(&self, drive: &Drive, key: Key) -> Result<PieceFacts, DriveError> {
        self.located(drive, key, async |location| {
            let record = self.header(drive, key, location).await?.record;
            let coding = record.coding.ok_or(DriveError::Rotten("a piece without a coding"))?;
            let (class_id, blob_size) = (record.class_id, record.blob_size);
            Ok(PieceFacts { coding, class_id, blob_size, payload_len: location.payload_len })
        })
        .await
    }

    pub(super) async fn read_manifest(&self, drive: &Drive, key: Key) -> Result<Option<Bytes>, DriveError> {
        self.located(drive, key, async |location| {
            let parsed = self.header(drive, key, location).await?;
            let mut fields = parsed.tlvs();
            let manifest = fields.find(|(kind, _)| *kind == tlv::RECOVERY_MANIFEST);
            Ok(manifest.map(|(_, sealed)| Bytes::copy_from_slice(sealed)))
        })
        .await
    }

    async fn header(&self, drive: &Drive, key: Key, location: Location) -> Result<Parsed, DriveError> {
        let file = self.segment_of(drive, location).await?;
        let header = read_exactly(&*file, u64::from(location.offset), location.header_len as usize);
        check_header(drive, key, location, &header.await?)
    }

    /// Does something where a piece stands; again from the index when it is not found there, because it may have moved
    /// in between.
    async fn located<T>(
        &self,
        drive: &Drive,
        key: Key,
        look: impl AsyncFn(Location) -> Result<T, DriveError>,
    ) -> Result<T, DriveError> {
        let mut reason = None;
        for _ in 0..LOOKUPS_PER_READ {
            let found = self.engine.index.lookup(drive.slot, key).await.map_err(|e| look_up_failed(&e))?;
            let Some(location) = found else { return Err(DriveError::NotFound) };
            let pin = self.pins[drive.slot].pin(location.life());
            let found = look(location).await;
            drop(pin);
            drive.note_read(&found);
            match found {
                Err(DriveError::Rotten(why)) => reason = Some(why),
                found => return found,
            }
        }
        drive.stats.rotten.add(1);
        let reason = reason.expect("each round said why");
        tracing::warn!(drive = %drive.id(), fragment = ?key.fragment(), row = key.row(), reason, "a piece is rotten");
        Err(DriveError::Rotten(reason))
    }

    /// Places on this node where the same row of the same blob and index stands in another attempt or on another drive,
    /// the latest attempt first.
    pub(super) async fn elsewhere(&self, slot: Option<usize>, id: FragmentId, row: u32) -> Vec<(usize, Key)> {
        // What the index cannot tell is not there for this read.
        let held = self.engine.index.find(id.blob).await.unwrap_or_default();
        let mut places: Vec<_> = held
            .into_iter()
            .filter(|(_, held)| held.fragment.index == id.index && held.last_row >= row)
            .filter(|(at, held)| !(Some(*at) == slot && held.fragment == id))
            .map(|(at, held)| (at, Key::new(held.fragment, row)))
            .collect();
        places.sort_by_key(|(_, key)| std::cmp::Reverse(key.fragment().attempt));
        places
    }

    async fn segment_of(&self, drive: &Drive, location: Location) -> Result<Rc<R::File>, DriveError> {
        self.file(drive, location.segment).await.map_err(|error| match error.kind() {
            // A drive that is away as a whole says nothing of this one piece.
            io::ErrorKind::NotFound if !drive.failed() => DriveError::Rotten("its segment is not there"),
            _ => io_error("open a segment", &error),
        })
    }

    async fn read_at(
        &self,
        drive: &Drive,
        key: Key,
        location: Location,
        range: &Range<u32>,
    ) -> Result<PieceRead, DriveError> {
        let file = self.segment_of(drive, location).await?;
        let wanted = Wanted::new(&location, range);
        let whole = location.header_len as usize + location.payload_len as usize;
        let (parsed, mut read, skipped) = if whole <= READ_WHOLE_BYTES_MAX {
            let read = read_exactly(&*file, u64::from(location.offset), whole).await?;
            let parsed = check_header(drive, key, location, &read)?;
            (parsed, read, location.header_len as usize + wanted.blocks.start)
        } else {
            let at = u64::from(location.offset);
            let payload_at = at + u64::from(location.header_len) + wanted.blocks.start as u64;
            let header = read_exactly(&*file, at, location.header_len as usize);
            let blocks = read_exactly(&*file, payload_at, wanted.blocks.len());
            let (header, blocks) = join(header, blocks).await;
            (check_header(drive, key, location, &header?)?, blocks?, 0)
        };
        read.truncate(skipped + wanted.blocks.len());
        let holds = parsed.blocks_hold(wanted.blocks.start / BLOCK_BYTES, &read[skipped..]);
        if !holds && !crate::mutant!("skip-block-checksum") {
            return Err(DriveError::Rotten("a block's checksum does not hold"));
        }
        let start = skipped + wanted.bytes.start - wanted.blocks.start;
        let bytes = Chunk::new(read, start..start + wanted.bytes.len());
        Ok(PieceRead { bytes, payload_len: location.payload_len })
    }
}

pub(super) fn look_up_failed(error: &IndexError) -> DriveError {
    DriveError::Io { step: "look up", error: error.to_string() }
}

/// What of a payload is asked for, and the blocks that cover it.
struct Wanted {
    bytes: Range<usize>,
    blocks: Range<usize>,
}

impl Wanted {
    fn new(location: &Location, range: &Range<u32>) -> Self {
        let len = location.payload_len as usize;
        let end = (range.end as usize).min(len);
        let start = (range.start as usize).min(end);
        let first = start / BLOCK_BYTES * BLOCK_BYTES;
        if start == end {
            return Self { bytes: first..first, blocks: first..first };
        }
        Self { bytes: start..end, blocks: first..end.next_multiple_of(BLOCK_BYTES).min(len) }
    }
}

pub(super) async fn read_exactly<F: DiskFile>(
    file: &F,
    at: u64,
    len: usize,
) -> Result<AlignedBuf, DriveError> {
    if len == 0 {
        return Ok(AlignedBuf::with_capacity(0));
    }
    let (read, buf) = file.read_at(AlignedBuf::with_capacity(len), at, len).await;
    match read {
        Ok(count) if count == len => Ok(buf),
        Ok(_) => Err(DriveError::Rotten("its segment ends before it")),
        Err(error) => Err(io_error("read", &error)),
    }
}

/// The header at a location, if it is that of the piece asked for.
pub(super) fn check_header(
    drive: &Drive,
    key: Key,
    location: Location,
    bytes: &[u8],
) -> Result<Parsed, DriveError> {
    let place = drive.place(location.segment, location.generation, location.offset);
    let parsed =
        parse(bytes, place).map_err(|_| DriveError::Rotten("no record of this life stands there"))?;
    let same = parsed.record.fragment == key.fragment()
        && parsed.record.row == key.row()
        && parsed.payload_len == location.payload_len as usize
        && parsed.header_len == location.header_len as usize;
    if same { Ok(parsed) } else { Err(DriveError::Rotten("another piece stands there")) }
}

type Used<R> = (Rc<<R as Rt>::File>, u64);

/// Segment files open for reading, the least recently used closed first.
pub(super) struct Files<R: Rt> {
    /// By (slot, segment), with the time of the last use.
    open: HashMap<(usize, u32), Used<R>>,
    clock: u64,
}

impl<R: Rt> Files<R> {
    pub(super) fn new() -> Self {
        Self { open: HashMap::new(), clock: 0 }
    }

    fn find(&mut self, name: (usize, u32)) -> Option<Rc<R::File>> {
        self.clock += 1;
        let (file, used) = self.open.get_mut(&name)?;
        *used = self.clock;
        Some(Rc::clone(file))
    }

    fn keep(&mut self, name: (usize, u32), file: Rc<R::File>) {
        if self.open.len() >= READ_FILES_MAX {
            let oldest = self.open.iter().min_by_key(|(_, (_, used))| *used).map(|(name, _)| *name);
            self.open.remove(&oldest.expect("it is not empty"));
        }
        self.open.insert(name, (file, self.clock));
    }
}
