//! What stands around the records: a segment's header, and the table and trailer that a sealed one ends in.
//!
//! ```text
//! header, first sector:  0 magic "HFS1"  4 version u16  6 state u16 (1 free, 2 live)  8 drive id [16]  24 segment u32
//!                       28 generation u32  32 segment bytes u64  40 zeroed u32 (1: written over once)
//!                       44 role u32 (0 pieces, 1 deletes)
//!                       48 created unix ms u64  56 CRC32C of bytes 0..56 u32, zeros
//! table:  entries of 40 bytes: 0 op id [16]  16 index u8  17 attempt u8  18 kind u8  19 zero  20 row u32  24 offset u32
//!                       28 header bytes u32  32 payload bytes u32  36 zero u32
//! trailer, last sector:  0 magic "HFT1"  4 version u16  6 zero u16  8 table offset u32  12 entries u32
//!                       16 CRC32C of the table u32  20 CRC32C of bytes 0..20, seeded with the trailer's place u32, zeros
//! ```

use holdfast_common::id::{DriveId, FragmentId, OpId};

use super::header::{u16_at, u32_at};
use super::{Kind, Place, SECTOR_BYTES, block_crc};

const HEADER_MAGIC: u32 = u32::from_le_bytes(*b"HFS1");
const TRAILER_MAGIC: u32 = u32::from_le_bytes(*b"HFT1");
const VERSION: u16 = 1;
const ENTRY_BYTES: usize = 40;

/// Whether a segment holds records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum SegmentState {
    /// Waits in the pool; nothing in it counts.
    Free = 1,
    /// Its generation began: what validates counts.
    Live = 2,
}

/// What a segment's records are. Deletes have segments of their own, so that pieces' segments are freed whole, and so
/// that a start can always read every delete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum SegmentRole {
    Pieces = 0,
    Deletes = 1,
}

/// The first sector of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentHeader {
    pub drive: DriveId,
    pub segment: u32,
    pub generation: u32,
    pub state: SegmentState,
    pub segment_bytes: u64,
    pub role: SegmentRole,
    /// Every byte behind the header was written once, so later writes touch no file-system metadata.
    pub zeroed: bool,
    pub created_ms: u64,
}

impl SegmentHeader {
    /// The sector as it goes to the drive.
    #[must_use]
    pub fn encode(&self) -> [u8; SECTOR_BYTES] {
        let mut out = [0; SECTOR_BYTES];
        out[0..4].copy_from_slice(&HEADER_MAGIC.to_le_bytes());
        out[4..6].copy_from_slice(&VERSION.to_le_bytes());
        out[6..8].copy_from_slice(&(self.state as u16).to_le_bytes());
        out[8..24].copy_from_slice(&self.drive.0);
        out[24..28].copy_from_slice(&self.segment.to_le_bytes());
        out[28..32].copy_from_slice(&self.generation.to_le_bytes());
        out[32..40].copy_from_slice(&self.segment_bytes.to_le_bytes());
        out[40..44].copy_from_slice(&u32::from(self.zeroed).to_le_bytes());
        out[44..48].copy_from_slice(&(self.role as u32).to_le_bytes());
        out[48..56].copy_from_slice(&self.created_ms.to_le_bytes());
        let crc = block_crc(&out[..56]);
        out[56..60].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// Reads a first sector; `None` when it is not one (never written, rotten, newer).
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.get(..60)?;
        let whole = u32_at(bytes, 0) == HEADER_MAGIC && u32_at(bytes, 56) == block_crc(&bytes[..56]);
        if !whole || u16_at(bytes, 4) != VERSION {
            return None;
        }
        let state = match u16_at(bytes, 6) {
            1 => SegmentState::Free,
            2 => SegmentState::Live,
            _ => return None,
        };
        let role = match u32_at(bytes, 44) {
            0 => SegmentRole::Pieces,
            1 => SegmentRole::Deletes,
            _ => return None,
        };
        Some(Self {
            role,
            drive: DriveId(bytes[8..24].try_into().ok()?),
            segment: u32_at(bytes, 24),
            generation: u32_at(bytes, 28),
            state,
            segment_bytes: u64::from_le_bytes(bytes[32..40].try_into().ok()?),
            zeroed: u32_at(bytes, 40) == 1,
            created_ms: u64::from_le_bytes(bytes[48..56].try_into().ok()?),
        })
    }
}

/// One record as a table lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    pub fragment: FragmentId,
    pub kind: Kind,
    pub row: u32,
    pub offset: u32,
    pub header_len: u32,
    pub payload_len: u32,
}

/// Bytes of table and trailer for so many records, in whole sectors.
#[must_use]
pub fn table_bytes(entries: usize) -> usize {
    (entries * ENTRY_BYTES).next_multiple_of(SECTOR_BYTES) + SECTOR_BYTES
}

/// The table of a sealed segment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    pub entries: Vec<Entry>,
}

/// What a trailer says: where the table is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrailerRef {
    pub table_offset: u32,
    pub entries: u32,
    crc: u32,
}

impl Table {
    /// Table and trailer for `place.offset` (a sector boundary): [`table_bytes`] bytes, after which the segment ends.
    #[must_use]
    pub fn encode(&self, place: Place) -> Vec<u8> {
        let mut out = vec![0; table_bytes(self.entries.len())];
        for (entry, bytes) in self.entries.iter().zip(out.chunks_exact_mut(ENTRY_BYTES)) {
            bytes[0..16].copy_from_slice(&entry.fragment.blob.0);
            bytes[16] = entry.fragment.index;
            bytes[17] = entry.fragment.attempt;
            bytes[18] = entry.kind as u8;
            bytes[20..24].copy_from_slice(&entry.row.to_le_bytes());
            bytes[24..28].copy_from_slice(&entry.offset.to_le_bytes());
            bytes[28..32].copy_from_slice(&entry.header_len.to_le_bytes());
            bytes[32..36].copy_from_slice(&entry.payload_len.to_le_bytes());
        }
        let table_crc = block_crc(&out[..self.entries.len() * ENTRY_BYTES]);
        let start = out.len() - SECTOR_BYTES;
        let trailer_at = place.offset + u32::try_from(start).expect("a segment is below 4 GiB");
        let trailer = &mut out[start..];
        trailer[0..4].copy_from_slice(&TRAILER_MAGIC.to_le_bytes());
        trailer[4..6].copy_from_slice(&VERSION.to_le_bytes());
        trailer[8..12].copy_from_slice(&place.offset.to_le_bytes());
        trailer[12..16].copy_from_slice(&u32::try_from(self.entries.len()).expect("bounded").to_le_bytes());
        trailer[16..20].copy_from_slice(&table_crc.to_le_bytes());
        let crc = trailer_crc(&trailer[..20], place.at(trailer_at));
        trailer[20..24].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// Reads the table that `trailer` points to; `None` when its bytes are not what was written.
    #[must_use]
    pub fn parse(trailer: TrailerRef, bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.get(..trailer.table_len())?;
        if block_crc(bytes) != trailer.crc {
            return None;
        }
        let entries = bytes.chunks_exact(ENTRY_BYTES).map(entry_of).collect::<Option<Vec<_>>>()?;
        Some(Self { entries })
    }
}

impl TrailerRef {
    /// Reads the last sector of a segment; `place.offset` is where it stands. `None`: not sealed in this life.
    #[must_use]
    pub fn parse(sector: &[u8], place: Place) -> Option<Self> {
        let bytes = sector.get(..24)?;
        let ours = u32_at(bytes, 0) == TRAILER_MAGIC && u32_at(bytes, 20) == trailer_crc(&bytes[..20], place);
        if !ours || u16_at(bytes, 4) != VERSION {
            return None;
        }
        let found =
            Self { table_offset: u32_at(bytes, 8), entries: u32_at(bytes, 12), crc: u32_at(bytes, 16) };
        let fits = u64::from(found.table_offset) + (found.entries as u64) * (ENTRY_BYTES as u64)
            <= u64::from(place.offset);
        fits.then_some(found)
    }

    /// Bytes of the table.
    #[must_use]
    pub fn table_len(&self) -> usize {
        self.entries as usize * ENTRY_BYTES
    }
}

fn trailer_crc(bytes: &[u8], place: Place) -> u32 {
    let mut digest = place.digest();
    digest.update(bytes);
    u32::try_from(digest.finalize()).expect("CRC32C has 32 bits")
}

fn entry_of(bytes: &[u8]) -> Option<Entry> {
    Some(Entry {
        fragment: FragmentId {
            blob: OpId(bytes[0..16].try_into().ok()?),
            index: bytes[16],
            attempt: bytes[17],
        },
        kind: Kind::from_disk(bytes[18])?,
        row: u32_at(bytes, 20),
        offset: u32_at(bytes, 24),
        header_len: u32_at(bytes, 28),
        payload_len: u32_at(bytes, 32),
    })
}
