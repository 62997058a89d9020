//! Which byte of a blob lies where: rows, pieces, lengths. Arithmetic only.
//!
//! A full row has pieces of `piece_bytes`. The last row's pieces are as short as they can be (a multiple of 64, so that
//! parity runs on whole vector registers): a 20 KiB blob on 4+2 drives writes six pieces of 5 KiB, not of 256 KiB.

use std::ops::Range;

use super::Coding;
use crate::limits::PIECE_ALIGN_BYTES;

/// Where the bytes of one blob are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Layout {
    coding: Coding,
    size: u64,
}

/// Consecutive bytes of a blob that lie in one data piece.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Span {
    /// Data piece, which is also the fragment's index.
    pub index: u8,
    /// Bytes within the piece.
    pub within: Range<u32>,
}

/// Bytes a piece covers in a row that holds `row_len` bytes of the blob: what parity is computed over.
#[must_use]
pub fn piece_len(coding: Coding, row_len: u32) -> u32 {
    assert!(row_len <= coding.row_bytes(), "row of {row_len} bytes in {coding:?}");
    row_len.div_ceil(coding.data() as u32).next_multiple_of(PIECE_ALIGN_BYTES).min(coding.piece_bytes())
}

impl Layout {
    #[must_use]
    pub fn new(coding: Coding, size: u64) -> Self {
        Self { coding, size }
    }

    #[must_use]
    pub fn coding(&self) -> Coding {
        self.coding
    }

    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Rows; `None` beyond 2^32 of them, which no blob of a legal size reaches.
    #[must_use]
    pub fn rows(&self) -> Option<u32> {
        u32::try_from(self.size.div_ceil(self.coding.row_bytes().into())).ok()
    }

    /// Bytes of the blob in `row`: full, except for the last row; 0 beyond the end.
    #[must_use]
    pub fn row_len(&self, row: u32) -> u32 {
        let start = self.row_start(row);
        self.size.saturating_sub(start).min(self.coding.row_bytes().into()) as u32
    }

    #[must_use]
    pub fn row_start(&self, row: u32) -> u64 {
        u64::from(row) * u64::from(self.coding.row_bytes())
    }

    /// Bytes that parity of `row` is computed over, per piece; data is thought to be followed by zeros up to it.
    #[must_use]
    pub fn piece_len(&self, row: u32) -> u32 {
        piece_len(self.coding, self.row_len(row))
    }

    /// Bytes fragment `index` stores for `row`; 0: nothing is stored.
    #[must_use]
    pub fn stored_len(&self, row: u32, index: u8) -> u32 {
        let (len, piece) = (self.row_len(row), self.piece_len(row));
        if usize::from(index) >= self.coding.data() {
            return match self.coding.scheme() {
                super::Scheme::Copies => len,
                super::Scheme::ReedSolomon => piece,
            };
        }
        len.saturating_sub(u32::from(index) * piece).min(piece)
    }

    /// Rows that hold bytes of `range`.
    #[must_use]
    pub fn rows_of(&self, range: &Range<u64>) -> Range<u32> {
        if range.is_empty() {
            return 0..0;
        }
        let row_bytes = u64::from(self.coding.row_bytes());
        (range.start / row_bytes) as u32..(range.end.div_ceil(row_bytes)) as u32
    }

    /// The part of `range` that lies in `row`, piece by piece, in the blob's order.
    pub fn spans(&self, row: u32, range: &Range<u64>) -> impl Iterator<Item = Span> + use<> {
        let (start, len) = (self.row_start(row), u64::from(self.row_len(row)));
        let from = range.start.clamp(start, start + len) - start;
        let to = range.end.clamp(start, start + len) - start;
        let piece = u64::from(self.piece_len(row)).max(1);
        let pieces = if from < to { from / piece..to.div_ceil(piece) } else { 0..0 };
        pieces.map(move |index| Span {
            index: index as u8,
            within: (from.saturating_sub(index * piece)) as u32..(to - index * piece).min(piece) as u32,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn coding() -> impl Strategy<Value = Coding> {
        (1u32..9, 0u32..5, 64u32..256, any::<bool>()).prop_map(|(data, parity, steps, copies)| {
            let piece = steps * 64;
            if copies { Coding::copies(parity, piece) } else { Coding::reed_solomon(data, parity, piece) }
                .unwrap()
        })
    }

    proptest! {
        /// Oracle: walk the blob byte by byte in steps, asking which piece a byte is in.
        #[test]
        fn spans_cover_a_range_once_and_in_order(
            coding in coding(), size in 0u64..400_000, a in 0u64..400_000, b in 0u64..400_000,
        ) {
            let layout = Layout::new(coding, size);
            let (a, b) = (a.min(b).min(size), a.max(b).min(size));
            let mut at = a;
            for row in layout.rows_of(&(a..b)) {
                for span in layout.spans(row, &(a..b)) {
                    let piece = u64::from(layout.piece_len(row));
                    let place = layout.row_start(row) + u64::from(span.index) * piece + u64::from(span.within.start);
                    prop_assert_eq!(place, at);
                    prop_assert!(!span.within.is_empty());
                    prop_assert!(span.within.end <= layout.stored_len(row, span.index));
                    prop_assert!(usize::from(span.index) < coding.data());
                    at += u64::from(span.within.end - span.within.start);
                }
            }
            prop_assert_eq!(at, b.max(a));
        }

        #[test]
        fn data_pieces_hold_the_whole_row(coding in coding(), size in 1u64..400_000) {
            let layout = Layout::new(coding, size);
            let rows = layout.rows().unwrap();
            let mut total = 0u64;
            for row in 0..rows {
                let piece = layout.piece_len(row);
                prop_assert!(piece.is_multiple_of(64) && piece <= coding.piece_bytes());
                prop_assert!(piece > 0);
                total += (0..coding.data()).map(|i| u64::from(layout.stored_len(row, i as u8))).sum::<u64>();
            }
            prop_assert_eq!(total, size);
            prop_assert_eq!(layout.row_len(rows), 0);
        }
    }

    #[test]
    fn an_empty_blob_has_no_rows() {
        let layout = Layout::new(Coding::reed_solomon(2, 2, 4096).unwrap(), 0);
        assert_eq!(layout.rows(), Some(0));
        assert_eq!(layout.rows_of(&(0..0)), 0..0);
    }

    #[test]
    fn a_short_last_row_has_short_pieces() {
        let layout = Layout::new(Coding::reed_solomon(4, 2, 262_144).unwrap(), 20 << 10);
        assert_eq!(layout.piece_len(0), 5120);
        assert_eq!(layout.stored_len(0, 5), 5120);
        let layout = Layout::new(Coding::reed_solomon(4, 2, 262_144).unwrap(), 65);
        assert_eq!((0..6).map(|i| layout.stored_len(0, i)).collect::<Vec<_>>(), [64, 1, 0, 0, 64, 64]);
    }
}
