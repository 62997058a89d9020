//! Reading one row: which pieces to fetch, what to do when one is missing, when the bytes can be had.
//!
//! Whole rows fetch exactly the data pieces that hold the wanted bytes, and each can leave as soon as it has come. When one
//! is lost the row turns *degraded*: any `data` pieces are fetched over the same range of bytes and the lost ones computed.
//! This is the decision alone; whoever owns it does the reading.

use std::ops::Range;

use super::{Layout, Scheme, Span};

/// One piece to read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fetch {
    pub index: u8,
    pub within: Range<u32>,
    /// Bytes that follow as zeros: the piece is stored shorter than its parity covers.
    pub zeros: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Idle,
    Asked,
    Here,
    Lost,
}

/// What became possible.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Arrival {
    /// These further pieces are needed.
    Fetch(Vec<Fetch>),
    /// All `data` pieces are here: compute the lost ones.
    Decode,
    /// Nothing new; ask `is_ready`.
    Wait,
}

/// `have` pieces of a row can be had, `need` are needed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("row {row}: only {have} pieces can be read, {need} are needed")]
pub struct RowLost {
    pub row: u32,
    pub have: usize,
    pub need: usize,
}

/// The state of one row that is being read.
pub struct Gather {
    layout: Layout,
    row: u32,
    spans: Vec<Span>,
    /// Smallest range that covers the wanted bytes of each wanted piece.
    cover: Range<u32>,
    pieces: Vec<State>,
    /// Fragments in the order in which helpers are tried.
    order: Vec<u8>,
    degraded: bool,
}

impl Gather {
    /// `order`: fragments by preference, those known to be bad left out; data fragments are first unless there is a reason.
    /// Gives what to fetch first.
    pub fn new(
        layout: Layout,
        row: u32,
        range: &Range<u64>,
        order: Vec<u8>,
    ) -> Result<(Self, Vec<Fetch>), RowLost> {
        let spans: Vec<Span> = match layout.coding().scheme() {
            Scheme::Copies => copy_spans(&layout, row, range, &order),
            Scheme::ReedSolomon => layout.spans(row, range).collect(),
        };
        let cover = spans.iter().map(|s| s.within.start).min().unwrap_or(0)
            ..spans.iter().map(|s| s.within.end).max().unwrap_or(0);
        let pieces = (0..layout.coding().fragments() as u8)
            .map(|i| if order.contains(&i) { State::Idle } else { State::Lost })
            .collect();
        let mut gather = Self { layout, row, spans, cover, pieces, order, degraded: false };
        let lost = gather.spans.iter().any(|s| gather.pieces[usize::from(s.index)] == State::Lost);
        let fetches = if lost || gather.order.is_empty() { gather.degrade()? } else { gather.ask_wanted() };
        Ok((gather, fetches))
    }

    /// The wanted bytes, piece by piece, in the blob's order. For copies the index says whence they come.
    #[must_use]
    pub fn spans(&self) -> &[Span] {
        &self.spans
    }

    #[must_use]
    pub fn row(&self) -> u32 {
        self.row
    }

    /// The range that every piece is fetched over once the row is degraded.
    #[must_use]
    pub fn cover(&self) -> Range<u32> {
        self.cover.clone()
    }

    /// True: pieces leave only after `Decode`.
    #[must_use]
    pub fn is_degraded(&self) -> bool {
        self.degraded
    }

    /// True: the bytes of this piece are here as they were stored.
    #[must_use]
    pub fn is_here(&self, index: u8) -> bool {
        self.pieces[usize::from(index)] == State::Here
    }

    /// A piece came, over the range it was asked for.
    pub fn arrived(&mut self, index: u8) -> Arrival {
        let state = &mut self.pieces[usize::from(index)];
        if *state == State::Asked {
            *state = State::Here;
        }
        if self.can_decode() { Arrival::Decode } else { Arrival::Wait }
    }

    /// A piece cannot be had.
    pub fn failed(&mut self, index: u8) -> Result<Arrival, RowLost> {
        self.pieces[usize::from(index)] = State::Lost;
        self.order.retain(|i| *i != index);
        let fetches =
            if self.layout.coding().scheme() == Scheme::Copies { self.next_copy()? } else { self.degrade()? };
        if self.can_decode() {
            return Ok(Arrival::Decode);
        }
        Ok(if fetches.is_empty() { Arrival::Wait } else { Arrival::Fetch(fetches) })
    }

    /// A piece that had come was given away before the row turned degraded: its bytes would have to be read again.
    pub fn given_away(&mut self, index: u8) {
        self.pieces[usize::from(index)] = State::Idle;
    }

    /// What is out takes too long: asks for as many others, without giving up on the late ones. Empty: there are none.
    pub fn hurry(&mut self) -> Vec<Fetch> {
        let late = self.pieces.iter().filter(|p| **p == State::Asked).count();
        if late == 0 || self.order.len() <= self.layout.coding().data() {
            return Vec::new();
        }
        if self.layout.coding().scheme() == Scheme::Copies {
            self.order.rotate_left(1);
            return self.next_copy().unwrap_or_default();
        }
        self.degrade_beyond(late).unwrap_or_default()
    }

    fn can_decode(&self) -> bool {
        let here = self.pieces.iter().filter(|p| **p == State::Here).count();
        self.degraded && here >= self.layout.coding().data()
    }

    fn ask_wanted(&mut self) -> Vec<Fetch> {
        for span in &self.spans {
            self.pieces[usize::from(span.index)] = State::Asked;
        }
        self.spans.iter().map(|s| Fetch { index: s.index, within: s.within.clone(), zeros: 0 }).collect()
    }

    /// Another copy of the same bytes.
    fn next_copy(&mut self) -> Result<Vec<Fetch>, RowLost> {
        let Some(&index) = self.order.first() else {
            return Err(RowLost { row: self.row, have: 0, need: 1 });
        };
        self.spans.iter_mut().for_each(|s| s.index = index);
        Ok(self.ask_wanted())
    }

    /// Asks for as many pieces over `cover` as the code still lacks. Pieces that were asked for over less no longer count.
    fn degrade(&mut self) -> Result<Vec<Fetch>, RowLost> {
        self.degrade_beyond(0)
    }

    fn degrade_beyond(&mut self, spare: usize) -> Result<Vec<Fetch>, RowLost> {
        if self.layout.coding().scheme() == Scheme::Copies {
            return self.next_copy();
        }
        if !self.degraded {
            self.degraded = true;
            self.forget_partial();
        }
        let need = self.layout.coding().data();
        if self.order.len() < need {
            return Err(RowLost { row: self.row, have: self.order.len(), need });
        }
        let counted = self.pieces.iter().filter(|p| matches!(p, State::Asked | State::Here)).count();
        let helpers: Vec<u8> =
            self.order.iter().copied().filter(|i| self.pieces[usize::from(*i)] == State::Idle).collect();
        let fetches: Vec<Fetch> = helpers
            .into_iter()
            .take((need + spare).saturating_sub(counted))
            .map(|index| self.helper(index))
            .collect();
        fetches.iter().for_each(|f| self.pieces[usize::from(f.index)] = State::Asked);
        Ok(fetches)
    }

    /// What a piece stores of `cover`, and how many zeros follow.
    fn helper(&self, index: u8) -> Fetch {
        let stored = self.layout.stored_len(self.row, index);
        let end = self.cover.end.min(stored).max(self.cover.start.min(stored));
        let within = self.cover.start.min(end)..end;
        let zeros = (self.cover.end - self.cover.start) - (within.end - within.start);
        Fetch { index, within, zeros }
    }

    /// A piece that was asked for over less than `cover` (an edge of the range) counts no longer; one that is merely stored
    /// shorter does: zeros follow it.
    fn forget_partial(&mut self) {
        for span in self.spans.clone() {
            let whole = self.helper(span.index).within;
            let state = &mut self.pieces[usize::from(span.index)];
            if span.within != whole && matches!(state, State::Asked | State::Here) {
                *state = State::Idle;
            }
        }
    }
}

/// Copies hold the same bytes under every index; the preferred one is read.
fn copy_spans(layout: &Layout, row: u32, range: &Range<u64>, order: &[u8]) -> Vec<Span> {
    let index = order.first().copied().unwrap_or(0);
    layout.spans(row, range).map(|s| Span { index, within: s.within }).collect()
}
