//! Deleting what a blob left on drives that it will not be read from: after an abort, a failure, a cut-off.
//!
//! Best effort: a drive that cannot delete now keeps fragments whose names (op id, index, attempt) suffice to reap them later.

use std::any::Any;
use std::rc::Rc;

use holdfast_common::id::{BackendId, FragmentId};

use super::mailbox::Mailbox;
use super::write::{Event, Progress};
use crate::drives::Drives;

/// Fragments to delete, each as soon as its last append is back: deleting before would leave that one behind.
pub(super) struct Sweep<D> {
    pub(super) drives: Rc<D>,
    pub(super) fragments: Vec<(FragmentId, BackendId)>,
    pub(super) progress: Vec<Progress>,
    pub(super) mailbox: Mailbox<Event>,
    /// Dropped at the end.
    pub(super) hold: Option<Box<dyn Any>>,
}

impl<D: Drives> Sweep<D> {
    pub(super) async fn run(mut self) {
        loop {
            self.delete_idle().await;
            if self.fragments.is_empty() {
                return drop(self.hold.take());
            }
            if let Event::Appended { index, .. } = self.mailbox.next().await {
                self.progress[usize::from(index)].out -= 1;
            }
        }
    }

    async fn delete_idle(&mut self) {
        let progress = &self.progress;
        let idle: Vec<(FragmentId, BackendId)> =
            self.fragments.extract_if(.., |(id, _)| progress[usize::from(id.index)].out == 0).collect();
        for (id, backend) in idle {
            let rows = self.progress[usize::from(id.index)].rows;
            if let Err(error) = self.drives.delete(backend, id, rows).await {
                tracing::warn!(%backend, blob = %id.blob, index = id.index, %error, "a fragment of no blob stays for the reaper");
            }
        }
    }
}
