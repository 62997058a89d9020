//! Deletes of one drive, in segments of their own, durable before they are answered.
//!
//! They are apart from pieces so that a pieces' segment whose pieces are all gone holds nothing else, and they outlive
//! it: a start that rebuilds the index reads every delete first. Deletes that no longer matter are dropped by
//! [`super::collect`].

use std::io;

use holdfast_common::id::FragmentId;
use holdfast_protocol::record::{
    Entry, Kind, RECORD_ALIGN, Record, SECTOR_BYTES, SegmentRole, encode, record_bytes, table_bytes,
};

use super::drive::Drive;
use super::flush::io as io_error;
use super::host::HostFile;
use super::keeper::{Delete, Keeper, Seal, Taken};
use super::{DriveError, segment};

/// The open segment of deletes, if any.
#[derive(Debug, Default)]
pub(super) struct DeleteLog {
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    file: Box<dyn HostFile>,
    taken: Taken,
    at: u32,
    entries: Vec<Entry>,
}

impl DeleteLog {
    /// Writes `batch` durably, then takes the fragments out of the index, then answers.
    pub(super) fn write(&mut self, keeper: &mut Keeper, batch: Vec<Delete>) {
        let names: Vec<_> = batch.iter().map(|delete| (delete.fragment, delete.rows)).collect();
        let written = self.keep(keeper, &names);
        keeper.drive.stats.deletes.add(batch.len() as u64);
        for delete in batch {
            if written.is_ok() {
                keeper.index.remove(keeper.drive.slot, delete.fragment, delete.rows);
            }
            // Who stopped waiting no longer wants to know.
            let _ = delete.done.send(written.clone());
        }
    }

    /// Writes deletes (fragment, rows) durably.
    pub(super) fn keep(
        &mut self,
        keeper: &mut Keeper,
        batch: &[(FragmentId, u32)],
    ) -> Result<(), DriveError> {
        let written = self.append(keeper, batch);
        if let Err(error) = &written {
            keeper.drive.note_error(error);
            // Whatever the segment holds now, nothing more goes into it.
            self.open = None;
        }
        written
    }

    fn append(&mut self, keeper: &mut Keeper, batch: &[(FragmentId, u32)]) -> Result<(), DriveError> {
        if crate::mutant!("delete-not-logged") {
            return Ok(());
        }
        let one = record_bytes(0, 0).expect("a record without fields fits");
        let need = (batch.len() * one).next_multiple_of(SECTOR_BYTES);
        if self.open.as_ref().is_some_and(|open| !open.has_room(&keeper.drive, need, batch.len())) {
            let seal = self.close().expect("it is open");
            keeper.seal(seal);
        }
        if self.open.is_none() {
            let taken = keeper.take(SegmentRole::Deletes)?;
            let file = keeper.drive.segment_file(taken.number);
            let file = file.map_err(|error| io_error("open a segment", &error))?;
            self.open = Some(Open { file, taken, at: segment::RECORDS_AT, entries: Vec::new() });
        }
        let open = self.open.as_mut().expect("opened above");
        open.append(&keeper.drive, batch, need).map_err(|error| {
            keeper.drive.device.note_failure();
            io_error("write deletes", &error)
        })
    }

    /// Ends the open segment.
    pub(super) fn close(&mut self) -> Option<Seal> {
        let open = self.open.take()?;
        let Taken { number, generation, .. } = open.taken;
        Some(Seal {
            number,
            generation,
            role: SegmentRole::Deletes,
            entries: open.entries,
            used: u64::from(open.at),
            cut: true,
        })
    }
}

impl Open {
    fn has_room(&self, drive: &Drive, need: usize, records: usize) -> bool {
        let end = self.at as usize + need + table_bytes(self.entries.len() + records);
        end as u64 <= drive.segment_bytes
    }

    fn append(&mut self, drive: &Drive, batch: &[(FragmentId, u32)], need: usize) -> io::Result<()> {
        let mut out = vec![0; need];
        let mut at = 0;
        for (fragment, rows) in batch {
            let offset = self.at + u32::try_from(at).expect("a batch is small");
            let place = drive.place(self.taken.number, self.taken.generation, offset);
            let (header_len, total) = encode(&mut out[at..], place, &record_of(*fragment, *rows), &[], &[]);
            debug_assert!(total.is_multiple_of(RECORD_ALIGN));
            self.entries.push(Entry {
                fragment: *fragment,
                kind: Kind::Delete,
                row: *rows,
                offset,
                header_len: u32::try_from(header_len).expect("bounded"),
                payload_len: 0,
            });
            at += total;
        }
        self.file.write_all_at(&out, u64::from(self.at))?;
        self.file.sync_data()?;
        self.at += u32::try_from(need).expect("a batch is small");
        Ok(())
    }
}

fn record_of(fragment: FragmentId, rows: u32) -> Record {
    Record { kind: Kind::Delete, flags: 0, fragment, row: rows, coding: None, class_id: 0, blob_size: 0 }
}
