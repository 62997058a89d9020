//! What concerns a blob on all nodes: where its fragments are, reading one that moved, forgetting it.

use std::ops::Range;
use std::sync::Arc;

use futures_util::future::{join, join_all};
use holdfast_common::id::{BackendId, FragmentId, OpId};

use super::{Fleet, Others, spot};
use crate::drives::{DriveError, Drives, Everywhere, Held, PieceRead};
use crate::link::Link;
use crate::rt::Rt;

impl<D: Drives, L: Link, R: Rt> Fleet<D, L, R> {
    pub(super) async fn search(&self, blob: OpId) -> Result<Everywhere, DriveError> {
        let Some(others) = &self.others else {
            return Ok(Everywhere { held: self.local.find(blob).await?, silent: Vec::new() });
        };
        let (local, remote) = join(self.local.find(blob), others.find_all(blob)).await;
        let mut everywhere = remote;
        everywhere.held.splice(0..0, local?);
        Ok(everywhere)
    }

    pub(super) async fn forget(&self, blob: OpId) -> Vec<(BackendId, DriveError)> {
        let Some(others) = &self.others else { return self.local.delete_blob(blob).await };
        let (mut failed, remote) = join(self.local.delete_blob(blob), others.delete_all(blob)).await;
        failed.extend(remote);
        failed
    }

    /// A piece that is not on `asked` (this node when `None`), which has looked on all its drives: from wherever another
    /// node has that row of that fragment, the latest attempt first.
    pub(super) async fn read_elsewhere(
        &self,
        asked: Option<Arc<str>>,
        id: FragmentId,
        row: u32,
        range: Range<u32>,
    ) -> Option<PieceRead> {
        let others = self.others.as_ref()?;
        if others.all().is_empty() || others.found.is_missed(id, R::now()) {
            return None;
        }
        // Twice: one that moves right now may have come to where was looked before it went from where was looked after.
        for _ in 0..2 {
            let found = self.search(id.blob).await.ok()?;
            let mut held = found.held;
            held.retain(|(_, held)| held.fragment.index == id.index && held.last_row >= row);
            held.sort_by_key(|(_, held)| std::cmp::Reverse(held.fragment.attempt));
            for (backend, Held { fragment, .. }) in held {
                if others.owner(backend) == asked {
                    continue;
                }
                let read = self.read_at(others, backend, fragment, row, range.clone()).await;
                if read.is_some() {
                    others.found.remember(id, backend, fragment, R::now());
                    return read;
                }
            }
        }
        others.found.miss(id, R::now());
        None
    }

    /// A piece of a fragment that was found elsewhere not long ago, from there.
    pub(super) async fn read_moved(&self, id: FragmentId, row: u32, range: Range<u32>) -> Option<PieceRead> {
        let others = self.others.as_ref()?;
        if !others.found.is_any_moved() {
            return None;
        }
        let (backend, fragment) = others.found.moved(id, R::now())?;
        let read = self.read_at(others, backend, fragment, row, range).await;
        if read.is_none() {
            others.found.forget(id);
        }
        read
    }

    async fn read_at(
        &self,
        others: &Others<L, R>,
        backend: BackendId,
        id: FragmentId,
        row: u32,
        range: Range<u32>,
    ) -> Option<PieceRead> {
        match others.owner(backend) {
            None => self.local.read(backend, id, row, range).await.ok(),
            Some(node) => others.read(&node, spot(backend, id, row), range).await.ok(),
        }
    }
}

impl<L: Link, R: Rt> Others<L, R> {
    async fn find_all(&self, blob: OpId) -> Everywhere {
        let asked = self.all().into_iter().map(|other| async {
            let found = self.find(&other.name, blob).await;
            (other, found)
        });
        let mut everywhere = Everywhere::default();
        for (other, found) in join_all(asked).await {
            match found {
                // What it says of others' backends is nothing that it knows.
                Ok(held) => {
                    let its = held.into_iter().map(|(backend, held)| (BackendId(backend), held));
                    everywhere.held.extend(its.filter(|(backend, _)| other.backends.contains(backend)));
                }
                Err(error) => {
                    tracing::debug!(node = %other.name, %blob, %error, "a node does not say what it holds");
                    everywhere.silent.push(other.name);
                }
            }
        }
        everywhere
    }

    async fn delete_all(&self, blob: OpId) -> Vec<(BackendId, DriveError)> {
        let asked = self.all().into_iter().map(|other| async {
            let deleted = self.delete_blob(&other.name, blob).await;
            (other, deleted)
        });
        let mut failed = Vec::new();
        for (other, deleted) in join_all(asked).await {
            match deleted {
                Ok(some) => {
                    failed.extend(some.into_iter().map(|(backend, error)| (BackendId(backend), error)))
                }
                Err(error) => {
                    let error = error.of_drive(&other.name);
                    failed.extend(other.backends.into_iter().map(|backend| (backend, error.clone())));
                }
            }
        }
        failed
    }
}
