//! On-disk records, version 1: what an append writes to a segment, and how a reader proves that it is what was written.

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
