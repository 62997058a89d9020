//! Where new bytes go: this node's drives as they are, and the interned names of lists of them.

use holdfast_common::id::{BackendId, OpId, PlacementId};
use holdfast_common::wire::{self, answer, query};
use holdfast_protocol::error::{Code, S3Error};
use holdfast_protocol::placement::{self, Backend, BackendState, Placement};

use super::metadata::MetadataError;
use super::{Core, Env};
use crate::drives::{DriveState, DriveStatus, Drives as _};

impl<E: Env> Core<E> {
    /// Where the blob of `op` goes: class LOCAL over this node's drives.
    pub(super) fn place_blob(&self, op: OpId, size: Option<u64>) -> Result<Placement, S3Error> {
        let place = |slow| {
            let backends = self.local_backends(slow);
            placement::place(&self.settings.class, &self.settings.node_id, &backends, op, size)
        };
        // A slow drive is better than none.
        let placed = place(BackendState::Failed).or_else(|_| place(BackendState::Active));
        placed.map_err(|refusal| {
            tracing::error!(%refusal, "no placement for a new object");
            S3Error::new(Code::ServiceUnavailable)
                .message("Too few drives can be written now. Please try again.")
        })
    }

    /// This node's drives as placement wants them: what the authority says of the backend and what the drive says itself.
    fn local_backends(&self, slow: BackendState) -> Vec<Backend> {
        let view = self.view();
        let backend = |status: DriveStatus| {
            let id = status.backend?;
            let known = view.backends.get(&id.0)?;
            let state = match (known.state.as_str(), &status.state) {
                // What an administrator has taken out gets no place in new lists.
                ("draining" | "drained" | "replaced", _) => BackendState::Draining,
                ("active", DriveState::Active) => BackendState::Active,
                ("active", DriveState::Full) => BackendState::Full,
                ("active", DriveState::Slow(_)) => slow,
                _ => BackendState::Failed,
            };
            Some(Backend {
                id,
                state,
                drive: status.drive,
                node: self.settings.node_id.clone(),
                provider: known.provider.as_str().into(),
                country: known.country.as_str().into(),
                region: known.region.as_str().into(),
            })
        };
        self.drives.statuses().into_iter().filter_map(backend).collect()
    }

    /// The interned id of an ordered list of backends, asked once per list and core.
    pub async fn placement_id(&self, backends: &[BackendId]) -> Result<PlacementId, MetadataError> {
        let list: Vec<u32> = backends.iter().map(|backend| backend.0).collect();
        let known = self.placements.borrow().get(&list).copied();
        if let Some(id) = known {
            return Ok(PlacementId(id));
        }
        let answer =
            self.query(query::Query::Placement(wire::PlacementQuery { backends: list.clone() })).await?;
        let answer::Answer::Placement(placement) = answer.1 else {
            return Err(MetadataError::Protocol("a placement answered by something else"));
        };
        self.state.learn_placement(&placement);
        self.placements.borrow_mut().insert(list, placement.placement_id);
        Ok(PlacementId(placement.placement_id))
    }
}
