//! Pieces that are written together, as bytes.

use holdfast_protocol::record::{Entry, Kind, Place, Record, SECTOR_BYTES, encode, record_bytes};

use super::super::Piece;
use crate::rt::AlignedBuf;

/// What one write carries.
pub(super) type Batch = Vec<Box<Piece>>;

/// Bytes of a piece's record.
pub(super) fn bytes_of(piece: &Piece) -> usize {
    record_bytes(piece.payload.len(), 0).expect("a record without fields fits")
}

/// Bytes of a batch: its records, padded to a sector.
pub(super) fn padded(batch: &Batch) -> usize {
    batch.iter().map(|piece| bytes_of(piece)).sum::<usize>().next_multiple_of(SECTOR_BYTES)
}

/// The records of `batch` from `start` on as one padded write. Payloads are copied here, once, next to the checksum that
/// reads them anyway.
pub(super) fn records(batch: &Batch, start: Place) -> (AlignedBuf, Vec<Entry>) {
    let need = padded(batch);
    let mut buf = AlignedBuf::with_capacity(need);
    let (mut at, mut entries) = (0, Vec::with_capacity(batch.len()));
    for piece in batch {
        let offset = start.offset + u32::try_from(at).expect("within a segment");
        let out = &mut buf.space()[at..];
        let (header_len, total) = encode(out, start.at(offset), &record_of(piece), &[], &piece.payload);
        entries.push(Entry {
            fragment: piece.id,
            kind: Kind::Piece,
            row: piece.row,
            offset,
            header_len: u32::try_from(header_len).expect("bounded"),
            payload_len: u32::try_from(piece.payload.len()).expect("bounded"),
        });
        at += total;
    }
    buf.set_len(at);
    buf.pad_to(need);
    (buf, entries)
}

fn record_of(piece: &Piece) -> Record {
    Record {
        kind: Kind::Piece,
        flags: 0,
        fragment: piece.id,
        row: piece.row,
        coding: Some(piece.coding),
        class_id: piece.class_id,
        blob_size: piece.blob_size,
    }
}
