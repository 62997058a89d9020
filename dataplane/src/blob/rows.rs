//! One row that is being read: the pieces that came, and what leaves of them.

use holdfast_protocol::erasure::{Arrival, Coder, Fetch, Gather, RowLost};

use crate::rt::{AlignedBuf, Chunk};

/// A row of a [`super::BlobReader`].
pub(super) struct RowRead {
    number: u32,
    /// `None`: the row was lost before anything was asked.
    gather: Option<Gather>,
    /// What each fragment was last asked for; answers to anything else are stale.
    asked: Vec<Option<Fetch>>,
    pieces: Vec<Option<Chunk>>,
    /// Wanted pieces that have left.
    given: usize,
    decoded: bool,
    /// Bit i: fragment i failed in this row.
    pub(super) tried: u64,
    pub(super) lost: Option<RowLost>,
}

impl RowRead {
    pub(super) fn new(gather: Gather) -> Self {
        Self { number: gather.row(), gather: Some(gather), ..Self::empty() }
    }

    pub(super) fn lost(number: u32, lost: RowLost) -> Self {
        Self { number, lost: Some(lost), ..Self::empty() }
    }

    fn empty() -> Self {
        Self {
            number: 0,
            gather: None,
            asked: Vec::new(),
            pieces: Vec::new(),
            given: 0,
            decoded: false,
            tried: 0,
            lost: None,
        }
    }

    /// Begins again with other fragments; what has left stays so.
    pub(super) fn restart(&mut self, gather: Gather) {
        self.gather = Some(gather);
        self.asked.clear();
        self.pieces.clear();
        self.lost = None;
    }

    pub(super) fn row(&self) -> u32 {
        self.number
    }

    pub(super) fn asked(&mut self, fetch: &Fetch) {
        let at = usize::from(fetch.index);
        let len = self.asked.len().max(at + 1);
        self.asked.resize(len, None);
        self.pieces.resize(len, None);
        self.asked[at] = Some(fetch.clone());
    }

    /// Whether this is the answer to the last question.
    pub(super) fn wants(&self, fetch: &Fetch) -> bool {
        !self.decoded
            && self.asked.get(usize::from(fetch.index)).is_some_and(|asked| asked.as_ref() == Some(fetch))
    }

    pub(super) fn arrived(&mut self, fetch: &Fetch, bytes: Chunk) -> Arrival {
        self.pieces[usize::from(fetch.index)] = Some(bytes);
        self.gather.as_mut().map_or(Arrival::Wait, |gather| gather.arrived(fetch.index))
    }

    pub(super) fn failed(&mut self, index: u8) -> Result<Arrival, RowLost> {
        self.tried |= 1 << index;
        self.asked[usize::from(index)] = None;
        self.gather.as_mut().map_or(Ok(Arrival::Wait), |gather| gather.failed(index))
    }

    pub(super) fn hurry(&mut self) -> Vec<Fetch> {
        self.gather.as_mut().map_or_else(Vec::new, Gather::hurry)
    }

    pub(super) fn is_done(&self) -> bool {
        self.gather.as_ref().is_some_and(|gather| self.given == gather.spans().len())
    }

    /// The row's next bytes, if they can leave now.
    pub(super) fn take_next(&mut self) -> Option<Chunk> {
        let gather = self.gather.as_mut()?;
        let span = gather.spans().get(self.given)?.clone();
        let degraded = gather.is_degraded();
        if degraded != self.decoded || !(degraded || gather.is_here(span.index)) {
            return None;
        }
        let chunk = self.pieces.get_mut(usize::from(span.index))?.take()?;
        self.given += 1;
        if !degraded {
            gather.given_away(span.index);
            return Some(chunk);
        }
        let start = (span.within.start - gather.cover().start) as usize;
        Some(chunk.slice(start..start + span.within.len()))
    }

    /// Enough pieces are here, all over the same range: computes the wanted ones that are not.
    pub(super) fn decode(&mut self, coder: &dyn Coder) {
        let Some(gather) = &self.gather else { return };
        let len = gather.cover().len();
        let fragments = coder.data() + coder.parity();
        self.pieces.resize(fragments, None);
        self.asked.resize(fragments, None);
        let present: Vec<Option<Chunk>> = (0..fragments)
            .map(|i| {
                self.pieces[i].take().filter(|_| gather.is_here(i as u8)).map(|piece| padded(piece, len))
            })
            .collect();
        let wanted: Vec<u8> = gather.spans()[self.given..]
            .iter()
            .map(|s| s.index)
            .filter(|i| present[usize::from(*i)].is_none())
            .collect();
        let mut rebuilt: Vec<AlignedBuf> = wanted.iter().map(|_| uncovered(len)).collect();
        let slices: Vec<Option<&[u8]>> = present.iter().map(|p| p.as_deref()).collect();
        let mut out: Vec<&mut [u8]> = rebuilt.iter_mut().map(|b| &mut b[..]).collect();
        coder.reconstruct(&slices, &wanted, &mut out).expect("the row was said to have enough pieces");
        self.pieces = present;
        for (index, bytes) in wanted.into_iter().zip(rebuilt) {
            self.pieces[usize::from(index)] = Some(Chunk::from(bytes));
        }
        self.decoded = true;
    }
}

/// A buffer of `len` bytes that are about to be overwritten.
fn uncovered(len: usize) -> AlignedBuf {
    let mut buf = AlignedBuf::with_capacity(len);
    buf.set_len(len);
    buf
}

/// Pieces at the blob's end are stored without the zeros that parity was computed over.
fn padded(piece: Chunk, len: usize) -> Chunk {
    if piece.len() == len {
        return piece;
    }
    let mut buf = AlignedBuf::with_capacity(len);
    buf.extend_from_slice(&piece);
    buf.pad_to(len);
    if crate::mutant!("wrong-stripe-length") {
        buf[piece.len()..].fill(0xff);
    }
    Chunk::from(buf)
}
