//! The bytes of one row while it is assembled, and the pieces it becomes. One copy: from the network's buffer to here.

use holdfast_protocol::erasure::{Coder, Coding, piece_len};

use crate::drives::piece_buffer;
use crate::rt::{AlignedBuf, Chunk};

/// A row being filled front to back, one buffer per data piece, because these come from the core's pool whatever `data` is.
pub(super) struct RowBuf {
    pieces: Vec<AlignedBuf>,
    /// Bytes of each buffer that are the drive's ([`piece_buffer`]).
    head: usize,
    piece_len: usize,
    /// Bytes the row may hold, and holds.
    len_max: usize,
    len: usize,
}

impl RowBuf {
    /// A row of up to `len` bytes.
    pub(super) fn new(coding: Coding, len: u32) -> Self {
        let piece_len = piece_len(coding, len) as usize;
        let pieces: Vec<_> = (0..coding.data()).map(|_| piece_buffer(piece_len)).collect();
        let head = pieces[0].len();
        Self { pieces, head, piece_len, len_max: len as usize, len: 0 }
    }

    /// Takes what fits of `bytes` and says how much that was.
    pub(super) fn fill(&mut self, bytes: &[u8]) -> usize {
        let all = bytes.len().min(self.len_max - self.len);
        let mut left = &bytes[..all];
        while !left.is_empty() {
            let piece = &mut self.pieces[self.len / self.piece_len];
            let (part, rest) = left.split_at(left.len().min(self.head + self.piece_len - piece.len()));
            piece.extend_from_slice(part);
            self.len += part.len();
            left = rest;
        }
        all
    }

    pub(super) fn is_full(&self) -> bool {
        self.len == self.len_max
    }

    /// The same bytes under every index, in one buffer that all share.
    pub(super) fn into_copies(mut self, coding: Coding) -> Vec<Chunk> {
        let bytes = self.pieces.swap_remove(0);
        let end = bytes.len();
        vec![Chunk::new(bytes, self.head..end); coding.fragments()]
    }

    /// Data pieces with their true lengths, and parity over the zero-padded ones.
    pub(super) fn into_pieces(self, coding: Coding, coder: &dyn Coder) -> Vec<Chunk> {
        let mut row = self.cut_to_length(coding);
        let (head, end) = (row.head, row.head + row.piece_len);
        let ends: Vec<usize> = row.pieces.iter().map(|p| p.len()).collect();
        row.pieces.iter_mut().for_each(|p| p.pad_to(end));
        let mut parity: Vec<AlignedBuf> = (0..coding.parity())
            .map(|_| {
                let mut buf = piece_buffer(row.piece_len);
                buf.set_len(end); // the coder overwrites all of it
                buf
            })
            .collect();
        let data: Vec<&[u8]> = row.pieces.iter().map(|p| &p[head..]).collect();
        let mut outputs: Vec<&mut [u8]> = parity.iter_mut().map(|p| &mut p[head..]).collect();
        coder.encode(&data, &mut outputs);
        let data = row.pieces.into_iter().zip(ends).map(|(piece, end)| Chunk::new(piece, head..end));
        data.chain(parity.into_iter().map(|piece| Chunk::new(piece, head..end))).collect()
    }

    /// A last row of a blob whose size was not announced was laid out as if full: lays it out again.
    fn cut_to_length(self, coding: Coding) -> Self {
        if self.is_full() {
            return self;
        }
        let mut cut = Self::new(coding, self.len as u32);
        self.pieces.iter().for_each(|piece| {
            cut.fill(&piece[self.head..]);
        });
        cut
    }
}
