//! On-disk records, version 1: what an append writes to a segment, and how a reader proves that it is what was written.
//!
//! A record is a header, its payload and an 8-byte footer, little-endian, at a multiple of 64 bytes:
//!
//! ```text
//!  0 magic "HFR1"   4 version u16    6 header bytes u16    8 flags u16    10 kind u8    11 block shift u8
//! 12 generation u32                 16 blob op id [16]    32 index u8     33 attempt u8
//! 34 scheme u8     35 data u8       36 parity u8          37 zero [3]     40 row u32 (deletes: rows)
//! 44 piece bytes u32                48 class id u32       52 payload bytes u32          56 blob bytes u64
//! 64 TLV bytes u16 66 blocks u16    68 zero u32           72 CRC32C of each block u32.. TLVs (type u16, bytes u16, value)..
//! zeros, and in the last 4 bytes of the header its CRC32C
//! payload, then the footer: that same CRC32C, magic "HFE1"; zeros to the next multiple of 64
//! ```
//!
//! The header's CRC is seeded with (drive, segment, generation, offset), and it covers the blocks' CRCs: a record that
//! was copied, or left by an earlier life of the segment, never reads as valid. Bucket and key never stand in a record.
//! Whoever adds a version keeps this one readable; `tests` hold its golden bytes.

mod header;
mod scan;
mod segment;

use holdfast_common::id::{DriveId, FragmentId};

pub use header::{
    Invalid, Parsed, TlvTooLong, Tlvs, encode, encode_around, header_bytes, parse, payload_at, put_tlv,
    record_bytes,
};
pub use scan::{Step, step};
pub use segment::{Entry, SegmentHeader, SegmentRole, SegmentState, Table, TrailerRef, table_bytes};

/// Bytes of payload under one CRC.
pub const BLOCK_BYTES: usize = 1 << BLOCK_SHIFT;
const BLOCK_SHIFT: u8 = 14;

/// Records start at multiples of this.
pub const RECORD_ALIGN: usize = 64;

/// The unit of a drive's writes; a scan that lost its way tries again at multiples of it.
pub const SECTOR_BYTES: usize = 4096;

/// Bytes behind the payload.
pub const FOOTER_BYTES: usize = 8;

/// TLV types. Numbers are on disk; a reader skips what it does not know.
pub mod tlv {
    /// Encryption envelope of the blob.
    pub const ENCRYPTION: u16 = 1;
    /// Sealed recovery manifest: what the authority knew, for a restore without it.
    pub const RECOVERY_MANIFEST: u16 = 2;
    /// Where a moved record was before: segment u32, generation u32, offset u32.
    pub const MOVED_FROM: u16 = 3;
}

/// Where a record stands; it seeds the header's checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub drive: DriveId,
    pub segment: u32,
    pub generation: u32,
    /// From the start of the segment file, bytes.
    pub offset: u32,
}

impl Place {
    /// The same life of the same segment, elsewhere.
    #[must_use]
    pub fn at(self, offset: u32) -> Self {
        Self { offset, ..self }
    }

    /// CRC32C of the place itself, where every checksum of the record's header starts.
    fn digest(&self) -> crc_fast::Digest {
        let mut seed = [0u8; 28];
        seed[..16].copy_from_slice(&self.drive.0);
        seed[16..20].copy_from_slice(&self.segment.to_le_bytes());
        seed[20..24].copy_from_slice(&self.generation.to_le_bytes());
        seed[24..].copy_from_slice(&self.offset.to_le_bytes());
        let mut digest = crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc32Iscsi);
        digest.update(&seed);
        digest
    }
}

/// CRC32C of one block.
#[must_use]
pub fn block_crc(block: &[u8]) -> u32 {
    crc_fast::crc32_iscsi(block)
}

/// What a record does; numbers are on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// Holds one row of one fragment.
    Piece = 1,
    /// Rows `0..row` of the fragment are gone.
    Delete = 2,
    /// A piece that compaction brought from elsewhere.
    Move = 3,
    /// Nothing: skipped.
    Filler = 4,
}

impl Kind {
    fn from_disk(number: u8) -> Option<Self> {
        [Self::Piece, Self::Delete, Self::Move, Self::Filler].into_iter().find(|kind| *kind as u8 == number)
    }
}

/// How the blob of a piece is cut: enough to rebuild it without any table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PieceCoding {
    pub scheme: PieceScheme,
    /// Pieces that suffice (1 for copies).
    pub data: u8,
    /// Further pieces.
    pub parity: u8,
    /// Payload of a full piece, bytes.
    pub piece_bytes: u32,
}

/// The code of a blob; numbers are on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum PieceScheme {
    Copies = 1,
    ReedSolomon = 2,
}

impl PieceScheme {
    fn from_disk(number: u8) -> Option<Self> {
        [Self::Copies, Self::ReedSolomon].into_iter().find(|scheme| *scheme as u8 == number)
    }
}

/// What a record says of itself, without its checksums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    pub kind: Kind,
    pub flags: u16,
    pub fragment: FragmentId,
    /// Row of the piece; for a delete the number of rows that are gone.
    pub row: u32,
    /// `None` for a delete.
    pub coding: Option<PieceCoding>,
    pub class_id: u32,
    /// Bytes of the whole blob; 0 when the writer did not know.
    pub blob_size: u64,
}

#[cfg(test)]
mod tests;
