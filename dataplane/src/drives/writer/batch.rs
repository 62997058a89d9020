//! Pieces that are written together, as bytes.
//!
//! Large pieces come in buffers with room for the rest of their record ([`piece_buffer`]): each is one write, from where it
//! is. Smaller ones are copied next to each other, so that many of them are one write; so are those that carry fields, because
//! the room before their payload is that of a header without.

use std::ops::Range;

use holdfast_protocol::record::{
    Entry, Kind, Place, Record, SECTOR_BYTES, encode, encode_around, header_bytes, payload_at, record_bytes,
};

use super::super::Piece;
use crate::limits::WRITE_IN_PLACE_BYTES_MIN;
use crate::rt::{AlignedBuf, Chunk};

/// What is written at once.
pub(super) type Batch = Vec<Box<Piece>>;

/// A buffer for a piece of `len` bytes, which go behind what it holds: with that before them they are written without a copy.
#[must_use]
pub fn piece_buffer(len: usize) -> AlignedBuf {
    if len < WRITE_IN_PLACE_BYTES_MIN {
        return AlignedBuf::with_capacity(len);
    }
    let mut buf = AlignedBuf::with_capacity(record_of_bytes(len).next_multiple_of(SECTOR_BYTES));
    buf.set_len(payload_at(len));
    buf
}

/// Bytes of a piece's record.
pub(super) fn bytes_of(piece: &Piece) -> usize {
    record_bytes(piece.payload.len(), piece.fields.len()).expect("an append with longer fields is refused")
}

fn record_of_bytes(payload_len: usize) -> usize {
    record_bytes(payload_len, 0).expect("a record without fields fits")
}

/// Bytes of a batch: its records, padded to a sector.
pub(super) fn padded(batch: &Batch) -> usize {
    batch.iter().fold(0, |at, piece| span(piece, at).end).next_multiple_of(SECTOR_BYTES)
}

/// Whether a piece is a write of its own.
fn is_alone(piece: &Piece) -> bool {
    let len = piece.payload.len();
    len >= WRITE_IN_PLACE_BYTES_MIN
        && piece.fields.is_empty()
        && piece.payload.lies_in(payload_at(len), bytes_of(piece).next_multiple_of(SECTOR_BYTES))
}

/// Where its record stands in the batch, when the one before ended at `at`.
fn span(piece: &Piece, at: usize) -> Range<usize> {
    if !is_alone(piece) {
        return at..at + bytes_of(piece);
    }
    let start = at.next_multiple_of(SECTOR_BYTES);
    start..(start + bytes_of(piece)).next_multiple_of(SECTOR_BYTES)
}

/// Records as writes of whole sectors.
#[derive(Default)]
pub(super) struct Records {
    /// Each with its offset in the segment.
    pub(super) writes: Vec<(AlignedBuf, u32)>,
    pub(super) entries: Vec<Entry>,
}

/// The records of `batch` from `start` on.
pub(super) fn records(batch: Batch, start: Place) -> Records {
    let need = padded(&batch);
    let (mut records, mut at) = (Records::default(), 0);
    // Records that are copied next to each other, and the first one's offset.
    let mut together: Option<(AlignedBuf, u32)> = None;
    for piece in batch {
        let span = span(&piece, at);
        let place = start.at(start.offset + u32::try_from(span.start).expect("within a segment"));
        let (record, entry) = (record_of(&piece), entry_of(&piece, place.offset));
        if is_alone(&piece) {
            records.writes.extend(together.take());
            let mut buf = own_buffer(piece.payload, span.len());
            let (_, total) = encode_around(buf.space(), place, &record, entry.payload_len as usize);
            buf.set_len(total);
            records.writes.push((buf, place.offset));
        } else {
            // Payloads are copied here, once, next to the checksum that reads them anyway.
            let fresh = || (AlignedBuf::with_capacity(need - span.start), place.offset);
            let (buf, _) = together.get_or_insert_with(fresh);
            let used = buf.len();
            let (_, total) = encode(&mut buf.space()[used..], place, &record, &piece.fields, &piece.payload);
            buf.set_len(used + total);
        }
        records.entries.push(entry);
        at = span.end;
    }
    records.writes.extend(together);
    records.writes.iter_mut().for_each(|(buf, _)| buf.pad_to(buf.len().next_multiple_of(SECTOR_BYTES)));
    records
}

/// The payload's buffer; a copy where others share it.
fn own_buffer(payload: Chunk, bytes: usize) -> AlignedBuf {
    payload.into_buf().unwrap_or_else(|shared| {
        let mut buf = AlignedBuf::with_capacity(bytes);
        buf.set_len(payload_at(shared.len()));
        buf.extend_from_slice(&shared);
        buf
    })
}

fn entry_of(piece: &Piece, offset: u32) -> Entry {
    let payload_len = piece.payload.len();
    Entry {
        fragment: piece.id,
        kind: Kind::Piece,
        row: piece.row,
        offset,
        header_len: u32::try_from(header_bytes(payload_len, piece.fields.len())).expect("bounded"),
        payload_len: u32::try_from(payload_len).expect("bounded"),
    }
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

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use holdfast_common::id::{DriveId, FragmentId, OpId};
    use holdfast_protocol::record::{PieceCoding, PieceScheme, parse, put_tlv, tlv};

    use super::*;

    fn piece(row: u32, payload: Chunk) -> Box<Piece> {
        let id = FragmentId { blob: OpId::new(1, [5; 10]), index: 2, attempt: 1 };
        let coding =
            PieceCoding { scheme: PieceScheme::ReedSolomon, data: 2, parity: 1, piece_bytes: 262_144 };
        Box::new(Piece { id, row, coding, class_id: 4, blob_size: 7, fields: Bytes::new(), payload })
    }

    /// Bytes that depend on `seed`, in a buffer of a piece.
    fn payload(seed: usize, len: usize) -> Chunk {
        let mut buf = piece_buffer(len);
        let at = buf.len();
        buf.extend_from_slice(&(0..len).map(|i| (i * 31 + seed) as u8).collect::<Vec<u8>>());
        Chunk::new(buf, at..at + len)
    }

    #[test]
    fn every_piece_of_a_batch_stands_where_its_entry_says() {
        let shared = payload(9, 200_000);
        let elsewhere = Chunk::from(AlignedBuf::copy_of(&payload(8, 150_000)));
        let payloads = [
            payload(1, 5_000),
            payload(2, 262_144),
            shared.clone(),
            payload(3, 100),
            elsewhere,
            payload(4, 9),
        ];
        let batch: Batch =
            payloads.iter().enumerate().map(|(row, p)| piece(row as u32, p.slice(0..p.len()))).collect();
        check(batch, &payloads);
        let owned = vec![piece(0, payload(2, 262_144)), piece(1, payload(5, 131_072))];
        check(owned, &[payload(2, 262_144), payload(5, 131_072)]);
    }

    #[test]
    fn pieces_with_fields_stand_among_others_and_keep_them() {
        let payloads = [payload(1, 700), payload(2, 262_144), payload(3, 262_144), payload(4, 5_000)];
        let batch = payloads.iter().enumerate().map(|(row, p)| {
            let mut piece = piece(row as u32, p.slice(0..p.len()));
            let mut fields = Vec::new();
            put_tlv(&mut fields, tlv::RECOVERY_MANIFEST, &vec![row as u8; 1000 * row]);
            piece.fields = if row % 2 == 1 { fields.into() } else { Bytes::new() };
            piece
        });
        check(batch.collect(), &payloads);
    }

    fn check(batch: Batch, payloads: &[Chunk]) {
        let fields: Vec<usize> = batch.iter().map(|piece| usize::from(!piece.fields.is_empty())).collect();
        let start = Place { drive: DriveId([7; 16]), segment: 3, generation: 9, offset: 8192 };
        let mut segment = vec![0xee; padded(&batch)];
        let Records { writes, entries } = records(batch, start);
        let mut end = 0;
        for (buf, offset) in writes {
            let at = (offset - start.offset) as usize;
            assert!(at == end && buf.len().is_multiple_of(SECTOR_BYTES), "writes follow each other");
            segment[at..at + buf.len()].copy_from_slice(&buf);
            end = at + buf.len();
        }
        assert_eq!(end, segment.len());
        for (row, (entry, payload)) in entries.iter().zip(payloads).enumerate() {
            let bytes = &segment[(entry.offset - start.offset) as usize..];
            let parsed = parse(bytes, start.at(entry.offset)).expect("a record");
            assert!(parsed.whole(bytes) && parsed.record.row == row as u32);
            assert!(bytes[entry.header_len as usize..][..payload.len()] == **payload, "row {row}");
            assert_eq!(parsed.header_len, entry.header_len as usize);
            for (kind, value) in parsed.tlvs() {
                assert!(kind == tlv::RECOVERY_MANIFEST && value == vec![row as u8; 1000 * row]);
            }
            assert_eq!(parsed.tlvs().count(), fields[row]);
        }
    }
}
