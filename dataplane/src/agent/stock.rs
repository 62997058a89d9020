//! One blob as the drives hold it: how it is cut, and which fragments are whole.

use std::sync::Arc;

use holdfast_common::id::{BackendId, OpId};
use holdfast_common::wire;
use holdfast_protocol::erasure::{Coding, Layout};
use holdfast_protocol::placement::CLASS_NODES;
use holdfast_protocol::record::{PieceCoding, PieceScheme};

use crate::drives::{DriveError, Drives, Held, PieceFacts};

/// Why nothing can be said of a blob.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unknown {
    #[error("no drive of this node holds anything of it")]
    Nowhere,
    #[error("no record of it can be read: {0}")]
    Unreadable(DriveError),
    #[error("its records do not say how long it is")]
    NoSize,
    #[error("its coding makes no sense to this version")]
    Coding,
}

#[derive(Clone, Debug)]
pub(super) struct Stock {
    pub(super) op: OpId,
    pub(super) layout: Layout,
    pub(super) class_id: u32,
    pub(super) rows: u32,
    /// Each of its fragments lies on a node of its own.
    pub(super) spans: bool,
    /// All nodes were asked for its fragments: it spans, or one that held it was to be emptied.
    pub(super) everywhere: bool,
    /// Of one that does not span and was asked for everywhere: the node on whose drives it belongs.
    pub(super) seat: Option<Arc<str>>,
    pub(super) held: Vec<(BackendId, Held)>,
    /// The attempt that the row names, or the lowest there is.
    attempt: u8,
}

impl Stock {
    /// `blob` is what the authority says; what it does not say comes from a record. Who finds that the class spreads over
    /// nodes has asked this node only, as yet.
    ///
    /// # Errors
    /// [`Unknown`].
    pub(super) async fn of<D: Drives>(
        drives: &D,
        op: OpId,
        blob: Option<&wire::Blob>,
        held: Vec<(BackendId, Held)>,
    ) -> Result<Self, Unknown> {
        if held.is_empty() {
            return Err(Unknown::Nowhere);
        }
        let known = blob.filter(|blob| blob.size > 0 && blob.coding.is_some());
        let (coding, size, class_id) = match known {
            Some(blob) => {
                let coding = Coding::from_wire(blob.coding.as_ref()).map_err(|_| Unknown::Coding)?;
                (coding, blob.size, blob.class_id)
            }
            None => {
                let facts = facts(drives, &held).await?;
                let size =
                    if facts.blob_size > 0 { facts.blob_size } else { blob.map_or(0, |blob| blob.size) };
                (coding_of(facts.coding)?, size, facts.class_id)
            }
        };
        if size == 0 {
            return Err(Unknown::NoSize);
        }
        let layout = Layout::new(coding, size);
        let rows = layout.rows().ok_or(Unknown::Coding)?;
        let lowest = held.iter().map(|(_, held)| held.fragment.attempt).min().unwrap_or(0);
        let attempt = blob.and_then(|blob| u8::try_from(blob.attempt).ok()).unwrap_or(lowest);
        let spans = class_id == CLASS_NODES;
        Ok(Self { op, layout, class_id, rows, spans, everywhere: spans, seat: None, held, attempt })
    }

    pub(super) fn coding(&self) -> Coding {
        self.layout.coding()
    }

    /// Fragments that have bytes at all.
    pub(super) fn indexes(&self) -> impl Iterator<Item = u8> + use<> {
        let layout = self.layout;
        (0..layout.coding().fragments() as u8).filter(move |index| layout.stored_len(0, *index) > 0)
    }

    /// Every copy of a fragment, whatever its attempt; the most complete first.
    pub(super) fn copies(&self, index: u8) -> Vec<(BackendId, Held)> {
        let mut copies: Vec<_> =
            self.held.iter().filter(|(_, held)| held.fragment.index == index).copied().collect();
        copies.sort_by_key(|(_, held)| (std::cmp::Reverse(held.pieces), held.fragment.attempt));
        copies
    }

    /// Of the copies of a fragment the one that counts; of two that are equal, which two nodes may have made at once, every
    /// node takes the same.
    pub(super) fn best(&self, index: u8) -> Option<(BackendId, Held)> {
        let rank = |(at, held): &(BackendId, Held)| (self.is_whole(held), held.fragment.attempt, *at);
        self.copies(index).into_iter().max_by_key(rank)
    }

    /// Pieces of a fragment: one per row, but for a last row that does not reach it.
    pub(super) fn pieces(&self, index: u8) -> u32 {
        let last = self.rows - 1;
        last + u32::from(self.layout.stored_len(last, index) > 0)
    }

    /// Whether a copy has every piece.
    pub(super) fn is_whole(&self, held: &Held) -> bool {
        let pieces = self.pieces(held.fragment.index);
        held.pieces == pieces && held.last_row + 1 == pieces
    }

    /// Whether a copy is what a repair wrote before it was cut off: the first rows, under a later attempt than the row's.
    pub(super) fn is_leftover(&self, held: &Held) -> bool {
        !self.is_whole(held) && held.fragment.attempt > self.attempt && held.pieces == held.last_row + 1
    }

    /// Fragments of which no drive holds a whole copy.
    pub(super) fn missing(&self) -> u64 {
        let whole = |index: &u8| self.copies(*index).iter().any(|(_, held)| self.is_whole(held));
        self.indexes().filter(|index| !whole(index)).fold(0, |bits, index| bits | 1 << index)
    }

    /// A name that was never deleted anywhere, because a deleted one that is written again is gone after a restart. As
    /// long as a copy is left, that is the attempt after the highest: no copy goes while it is the highest. Where none
    /// is left (its drive was replaced) earlier ones are not known, and `random` keeps away from them. `None`: all are
    /// used up.
    pub(super) fn next_attempt(&self, index: u8, random: u8) -> Option<u8> {
        let shown = self.copies(index).iter().map(|(_, held)| held.fragment.attempt).max();
        match shown {
            Some(shown) => shown.max(self.attempt).checked_add(1),
            None => self.attempt.checked_add(1 + random % 128),
        }
    }

    /// As a deficit names it.
    pub(super) fn to_wire(&self) -> wire::Blob {
        wire::Blob {
            op_id: self.op.to_wire(),
            size: self.layout.size(),
            coding: Some(self.coding().to_wire()),
            attempt: self.attempt.into(),
            class_id: self.class_id,
            ..Default::default()
        }
    }
}

/// What a record says, preferring one that knows the blob's size: such are those of the last row.
async fn facts<D: Drives>(drives: &D, held: &[(BackendId, Held)]) -> Result<PieceFacts, Unknown> {
    let mut order: Vec<_> = held.to_vec();
    order.sort_by_key(|(_, held)| std::cmp::Reverse(held.last_row));
    let mut found = Err(Unknown::Nowhere);
    for (backend, held) in order {
        match drives.facts(backend, held.fragment, held.last_row).await {
            Ok(facts) if facts.blob_size > 0 => return Ok(facts),
            Ok(facts) => found = Ok(facts),
            Err(error) => found = found.or(Err(Unknown::Unreadable(error))),
        }
    }
    found
}

fn coding_of(coding: PieceCoding) -> Result<Coding, Unknown> {
    let PieceCoding { scheme, data, parity, piece_bytes } = coding;
    match scheme {
        PieceScheme::Copies => Coding::copies(parity.into(), piece_bytes),
        PieceScheme::ReedSolomon => Coding::reed_solomon(data.into(), parity.into(), piece_bytes),
    }
    .map_err(|_| Unknown::Coding)
}
