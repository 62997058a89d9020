//! All blobs that a node's drives hold, in order of their op ids: the drives' surveys merged.

use std::collections::VecDeque;
use std::rc::Rc;

use holdfast_common::id::{BackendId, FragmentId, OpId};

use crate::drives::{DriveError, Drives, Held};
use crate::limits::AGENT_SURVEY_PAGE;

/// A blob and every fragment of it that the walked drives hold.
pub(super) type Found = (OpId, Vec<(BackendId, Held)>);

/// A walk over some drives; memory is a page per drive.
pub(super) struct Walk<D> {
    drives: Rc<D>,
    cursors: Vec<Cursor>,
}

struct Cursor {
    backend: BackendId,
    page: VecDeque<Held>,
    after: Option<FragmentId>,
    ended: bool,
}

impl<D: Drives> Walk<D> {
    /// Begins at op id `from`, or at the first.
    pub(super) fn new(drives: &Rc<D>, backends: &[BackendId], from: Option<OpId>) -> Self {
        let after = from.map(|from| {
            let before = OpId(u128::from_be_bytes(from.0).saturating_sub(1).to_be_bytes());
            FragmentId { blob: before, index: u8::MAX, attempt: u8::MAX }
        });
        let cursor =
            |backend: &BackendId| Cursor { backend: *backend, page: VecDeque::new(), after, ended: false };
        Self { drives: Rc::clone(drives), cursors: backends.iter().map(cursor).collect() }
    }

    /// The next blob; `None` at the end.
    ///
    /// # Errors
    /// When a drive's index cannot be read: of what it holds nothing is known then.
    pub(super) async fn next(&mut self) -> Result<Option<Found>, DriveError> {
        let mut first: Option<OpId> = None;
        for cursor in &mut self.cursors {
            if let Some(held) = cursor.peek(&*self.drives).await? {
                first = Some(first.map_or(held.fragment.blob, |first| first.min(held.fragment.blob)));
            }
        }
        let Some(op) = first else { return Ok(None) };
        let mut all = Vec::new();
        for cursor in &mut self.cursors {
            while let Some(held) = cursor.peek(&*self.drives).await?.filter(|held| held.fragment.blob == op) {
                cursor.page.pop_front();
                all.push((cursor.backend, held));
            }
        }
        Ok(Some((op, all)))
    }
}

impl Cursor {
    async fn peek<D: Drives>(&mut self, drives: &D) -> Result<Option<Held>, DriveError> {
        if self.page.is_empty() && !self.ended {
            self.page = drives.survey(self.backend, self.after, AGENT_SURVEY_PAGE).await?.into();
            self.ended = self.page.is_empty();
            self.after = self.page.back().map(|held| held.fragment).or(self.after);
        }
        Ok(self.page.front().copied())
    }
}

/// The op id behind `op`.
pub(super) fn successor(op: OpId) -> OpId {
    OpId(u128::from_be_bytes(op.0).saturating_add(1).to_be_bytes())
}
