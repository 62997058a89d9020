//! Keys and values of the index as bytes.

use holdfast_common::id::{FragmentId, OpId};
use holdfast_protocol::record::{Entry, FOOTER_BYTES, RECORD_ALIGN};

/// Bytes of a key: op id 16, index, attempt, row big-endian, so that rows of a fragment are neighbours.
pub const KEY_BYTES: usize = 22;

/// One row of one fragment.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Key([u8; KEY_BYTES]);

impl Key {
    /// Before it there is none.
    pub const FIRST: Self = Self([0; KEY_BYTES]);

    #[must_use]
    pub fn new(fragment: FragmentId, row: u32) -> Self {
        let mut bytes = [0; KEY_BYTES];
        bytes[..16].copy_from_slice(&fragment.blob.0);
        bytes[16] = fragment.index;
        bytes[17] = fragment.attempt;
        bytes[18..].copy_from_slice(&row.to_be_bytes());
        Self(bytes)
    }

    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    #[must_use]
    pub fn as_bytes(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }

    #[must_use]
    pub fn fragment(&self) -> FragmentId {
        let blob = OpId(self.0[..16].try_into().expect("16 bytes"));
        FragmentId { blob, index: self.0[16], attempt: self.0[17] }
    }

    #[must_use]
    pub fn row(&self) -> u32 {
        u32::from_be_bytes(self.0[18..].try_into().expect("4 bytes"))
    }

    /// The key right behind this one; `None` behind the last.
    #[must_use]
    pub fn next(&self) -> Option<Self> {
        let mut bytes = self.0;
        for byte in bytes.iter_mut().rev() {
            *byte = byte.wrapping_add(1);
            if *byte != 0 {
                return Some(Self(bytes));
            }
        }
        None
    }
}

/// Where a piece's record stands on its drive.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Location {
    pub segment: u32,
    pub generation: u32,
    pub offset: u32,
    pub header_len: u32,
    pub payload_len: u32,
}

impl Location {
    #[must_use]
    pub fn new(segment: u32, generation: u32, entry: &Entry) -> Self {
        let Entry { offset, header_len, payload_len, .. } = *entry;
        Self { segment, generation, offset, header_len, payload_len }
    }

    /// The life of the segment it stands in: number and generation.
    #[must_use]
    pub fn life(&self) -> (u32, u32) {
        (self.segment, self.generation)
    }

    /// Bytes of the whole record.
    #[must_use]
    pub fn record_bytes(&self) -> u64 {
        let unpadded = u64::from(self.header_len) + u64::from(self.payload_len) + FOOTER_BYTES as u64;
        unpadded.next_multiple_of(RECORD_ALIGN as u64)
    }

    #[must_use]
    pub fn to_bytes(self) -> [u8; 20] {
        let mut bytes = [0; 20];
        let words = [self.segment, self.generation, self.offset, self.header_len, self.payload_len];
        for (word, place) in words.into_iter().zip(bytes.chunks_exact_mut(4)) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; 20] = bytes.try_into().ok()?;
        let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        Some(Self {
            segment: word(0),
            generation: word(4),
            offset: word(8),
            header_len: word(12),
            payload_len: word(16),
        })
    }
}
