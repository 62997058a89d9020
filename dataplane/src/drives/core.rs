//! One core's handle on all drives: routes to its writers, reads and verifies.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

use futures_util::future::join;
use holdfast_common::id::{BackendId, FragmentId, OpId};
use holdfast_protocol::record::{BLOCK_BYTES, Parsed, parse};
use tokio::sync::oneshot;

use super::drive::Drive;
use super::engine::Engine;
use super::flush::io as io_error;
use super::keeper::{Delete, Job};
use super::writer::Writer;
use super::{
    DriveError, DriveStatus, Drives, Held, Piece, PieceFacts, PieceRead, Receipt, Verified, VerifyCursor,
    segment,
};
use crate::index::{Key, Location};
use crate::limits::{READ_FILES_MAX, READ_WHOLE_BYTES_MAX};
use crate::rt::{AlignedBuf, Chunk, DiskFile, OpenOptions, Rt};

/// The drives as one core uses them.
pub struct CoreDrives<R: Rt> {
    engine: Arc<Engine>,
    /// By slot.
    writers: Vec<Rc<Writer<R>>>,
    files: RefCell<Files<R>>,
}

impl<R: Rt> CoreDrives<R> {
    pub(super) fn new(engine: Arc<Engine>) -> Rc<Self> {
        let writers =
            engine.drives.iter().map(|drive| Writer::new(Arc::clone(drive), Arc::clone(&engine.index)));
        let writers = writers.collect();
        Rc::new(Self { engine, writers, files: RefCell::new(Files { open: HashMap::new(), clock: 0 }) })
    }

    /// Waits for what is queued and seals this core's segments. Nothing may be appended afterwards.
    pub async fn close(&self) {
        for writer in &self.writers {
            writer.close().await;
        }
    }

    fn writer(&self, backend: BackendId) -> Result<&Rc<Writer<R>>, DriveError> {
        self.writers.iter().find(|writer| writer.drive.backend() == Some(backend)).ok_or(DriveError::NotFound)
    }

    /// The file of a segment, from the cache or opened.
    async fn file(&self, drive: &Drive, number: u32) -> io::Result<Rc<R::File>> {
        if let Some(file) = self.files.borrow_mut().find((drive.slot, number)) {
            return Ok(file);
        }
        // Reads go through the page cache: hot objects are served from memory.
        let path = segment::path_of(drive.path(), number);
        let file = Rc::new(R::File::open(&path, OpenOptions::default()).await?);
        self.files.borrow_mut().keep((drive.slot, number), Rc::clone(&file));
        Ok(file)
    }

    async fn read_piece(&self, drive: &Drive, key: Key, range: &Range<u32>) -> Result<PieceRead, DriveError> {
        let mut reason = None;
        // Twice, because it may have moved between lookup and read.
        for _ in 0..2 {
            let found = self.engine.index.lookup(drive.slot, key).await;
            let found =
                found.map_err(|error| DriveError::Io { step: "look up", error: error.to_string() })?;
            let Some(location) = found else { return Err(DriveError::NotFound) };
            let read = self.read_at(drive, key, location, range).await;
            drive.note_read(&read);
            match read {
                Err(DriveError::Rotten(why)) => reason = Some(why),
                other => return other,
            }
        }
        drive.stats.rotten.add(1);
        let reason = reason.expect("both rounds said why");
        tracing::warn!(drive = %drive.id(), fragment = ?key.fragment(), row = key.row(), reason, "a piece is rotten");
        Err(DriveError::Rotten(reason))
    }

    async fn read_at(
        &self,
        drive: &Drive,
        key: Key,
        location: Location,
        range: &Range<u32>,
    ) -> Result<PieceRead, DriveError> {
        let file = match self.file(drive, location.segment).await {
            Ok(file) => file,
            // A drive that is away as a whole says nothing of this one piece.
            Err(error) if error.kind() == io::ErrorKind::NotFound && !drive.failed() => {
                return Err(DriveError::Rotten("its segment is not there"));
            }
            Err(error) => return Err(io_error("open a segment", &error)),
        };
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
        if !parsed.blocks_hold(wanted.blocks.start / BLOCK_BYTES, &read[skipped..]) {
            return Err(DriveError::Rotten("a block's checksum does not hold"));
        }
        let start = skipped + wanted.bytes.start - wanted.blocks.start;
        let bytes = Chunk::new(read, start..start + wanted.bytes.len());
        Ok(PieceRead { bytes, payload_len: location.payload_len })
    }
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

async fn read_exactly<F: DiskFile>(file: &F, at: u64, len: usize) -> Result<AlignedBuf, DriveError> {
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
fn check_header(drive: &Drive, key: Key, location: Location, bytes: &[u8]) -> Result<Parsed, DriveError> {
    let place = drive.place(location.segment, location.generation, location.offset);
    let parsed =
        parse(bytes, place).map_err(|_| DriveError::Rotten("no record of this life stands there"))?;
    let same = parsed.record.fragment == key.fragment()
        && parsed.record.row == key.row()
        && parsed.payload_len == location.payload_len as usize
        && parsed.header_len == location.header_len as usize;
    if same { Ok(parsed) } else { Err(DriveError::Rotten("another piece stands there")) }
}

impl<R: Rt> Drives for CoreDrives<R> {
    async fn append(&self, backend: BackendId, piece: Piece) -> Result<Receipt, DriveError> {
        self.writer(backend)?.append(piece).await
    }

    async fn flush(&self, backend: BackendId, first: Receipt) -> Result<(), DriveError> {
        self.writer(backend)?.flush(first).await
    }

    async fn read(
        &self,
        backend: BackendId,
        id: FragmentId,
        row: u32,
        range: Range<u32>,
    ) -> Result<PieceRead, DriveError> {
        let drive = &self.writer(backend)?.drive;
        let began = R::now();
        let read = self.read_piece(drive, Key::new(id, row), &range).await;
        if let Ok(piece) = &read {
            drive.stats.pieces_read.add(1);
            drive.stats.bytes_read.add(piece.bytes.len() as u64);
            let took = R::now() - began;
            drive.stats.read_micros.add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        }
        read
    }

    async fn read_here(&self, backend: BackendId, id: FragmentId, row: u32) -> Result<PieceRead, DriveError> {
        self.read_piece(&self.writer(backend)?.drive, Key::new(id, row), &(0..u32::MAX)).await
    }

    async fn delete(&self, backend: BackendId, id: FragmentId, rows: u32) -> Result<(), DriveError> {
        let writer = self.writer(backend)?;
        // Behind whatever of this fragment is still on its way.
        writer.barrier().await;
        let (done, answered) = oneshot::channel();
        let job = Job::Delete(Delete { fragment: id, rows, done });
        writer.drive.keeper.send_async(job).await.map_err(|_| DriveError::Failed)?;
        answered.await.unwrap_or(Err(DriveError::Failed))
    }

    async fn delete_blob(&self, _blob: OpId) -> Vec<(BackendId, DriveError)> {
        todo_b()
    }

    async fn find(&self, _blob: OpId) -> Result<Vec<(BackendId, Held)>, DriveError> {
        todo_b()
    }

    async fn survey(
        &self,
        _backend: BackendId,
        _after: Option<FragmentId>,
        _max: usize,
    ) -> Result<Vec<Held>, DriveError> {
        todo_b()
    }

    async fn facts(&self, _backend: BackendId, _id: FragmentId, _row: u32) -> Result<PieceFacts, DriveError> {
        todo_b()
    }

    async fn verify(
        &self,
        _backend: BackendId,
        _from: VerifyCursor,
        _bytes_max: u64,
    ) -> Result<Verified, DriveError> {
        todo_b()
    }

    fn statuses(&self) -> Vec<DriveStatus> {
        self.engine.statuses()
    }

    fn writable(&self) -> Vec<BackendId> {
        let active = self.engine.drives.iter().filter(|drive| drive.state() == super::DriveState::Active);
        active.filter_map(|drive| drive.backend()).collect()
    }
}

fn todo_b<T>() -> T {
    todo!("on its way")
}

type Used<R> = (Rc<<R as Rt>::File>, u64);

/// Segment files open for reading, the least recently used closed first.
struct Files<R: Rt> {
    /// By (slot, segment), with the time of the last use.
    open: HashMap<(usize, u32), Used<R>>,
    clock: u64,
}

impl<R: Rt> Files<R> {
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
