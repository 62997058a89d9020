//! Where new bytes go: this node's drives as they are, other nodes' as far as they are reached, and the interned names of
//! lists of them.

use std::collections::HashMap;
use std::sync::Arc;

use holdfast_common::id::{BackendId, DriveId, OpId, PlacementId};
use holdfast_common::wire::{self, answer, query};
use holdfast_protocol::error::{Code, S3Error};
use holdfast_protocol::placement::{self, Backend, BackendState, Class, Placement};

use super::metadata::MetadataError;
use super::{Core, Env};
use crate::drives::{DriveState, DriveStatus, Drives as _};

/// Ids of lists of backends, as of one epoch.
#[derive(Default)]
pub(super) struct Interned {
    epoch: u64,
    ids: HashMap<Vec<u32>, u32>,
}

impl Interned {
    fn of(&mut self, epoch: u64) -> &mut HashMap<Vec<u32>, u32> {
        if self.epoch != epoch {
            *self = Self { epoch, ids: HashMap::new() };
        }
        &mut self.ids
    }
}

impl<E: Env> Core<E> {
    /// The class of a bucket that names class `id`; 0 is this node's own.
    pub(super) fn class(&self, id: u32) -> Result<Class, S3Error> {
        let own = &self.settings.class;
        match id {
            0 => Ok(own.clone()),
            _ if id == own.id => Ok(own.clone()),
            placement::CLASS_NODES => Ok(Class::nodes(own.parity())),
            _ => {
                tracing::error!(class = id, "a bucket is of a class that this version does not know");
                Err(S3Error::new(Code::NotImplemented)
                    .message("The bucket's class is not known to this version."))
            }
        }
    }

    /// Where the blob of `op` goes.
    pub(super) fn place_blob(
        &self,
        class: &Class,
        op: OpId,
        size: Option<u64>,
    ) -> Result<Placement, S3Error> {
        let place = |slow| {
            let mut backends = self.local_backends(class, slow);
            if class.id == placement::CLASS_NODES {
                backends.extend(self.remote_backends());
            }
            placement::place(class, &self.settings.node_id, &backends, op, size)
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
    fn local_backends(&self, class: &Class, slow: BackendState) -> Vec<Backend> {
        let view = self.view();
        // A node that shall go takes part in nothing that other nodes could do without it.
        let leaving = class.id == placement::CLASS_NODES
            && view.peers.get(&*self.settings.node_id).is_some_and(|own| own.state != "active");
        let backend = |status: DriveStatus| {
            let id = status.backend?;
            let known = view.backends.get(&id.0)?;
            let state = match (known.state.as_str(), &status.state) {
                _ if leaving => BackendState::Draining,
                // What an administrator has taken out gets no place in new lists.
                ("draining" | "drained" | "replaced", _) => BackendState::Draining,
                ("active", DriveState::Active) => BackendState::Active,
                ("active", DriveState::Full) => BackendState::Full,
                ("active", DriveState::Slow(_)) => slow,
                _ => BackendState::Failed,
            };
            Some(of(known, status.drive, state, &self.settings.node_id))
        };
        self.drives.statuses().into_iter().filter_map(backend).collect()
    }

    /// Drives of the other nodes: what the authority says of them, and whether this node reaches them now. Nodes that share
    /// nothing, are to be emptied or revoked have no place in new lists; one that is silent keeps its own.
    fn remote_backends(&self) -> Vec<Backend> {
        let view = self.view();
        let reachable = self.drives.reachable();
        let backend = |known: &wire::Backend| {
            let peer = view.peers.get(known.node_id.as_str())?;
            if known.node_id == *self.settings.node_id || peer.addr.is_empty() {
                return None;
            }
            let id = BackendId(known.backend_id);
            let state = match (peer.state.as_str(), known.state.as_str()) {
                ("active", "draining" | "drained" | "replaced") => BackendState::Draining,
                ("active", "active") if reachable.contains(&id) => BackendState::Active,
                ("active", "full") => BackendState::Full,
                ("active", _) => BackendState::Failed,
                _ => BackendState::Draining,
            };
            let drive = DriveId(<[u8; 16]>::try_from(&*known.drive_id).ok()?);
            Some(of(known, drive, state, &known.node_id.as_str().into()))
        };
        view.backends.values().filter_map(backend).collect()
    }

    /// The interned id of an ordered list of backends, asked once per list, core and epoch: a later leader may have a database
    /// that lacks it.
    pub async fn placement_id(&self, backends: &[BackendId]) -> Result<PlacementId, MetadataError> {
        let list: Vec<u32> = backends.iter().map(|backend| backend.0).collect();
        let epoch = self.view().epoch;
        let known = self.placements.borrow_mut().of(epoch).get(&list).copied();
        if let Some(id) = known {
            return Ok(PlacementId(id));
        }
        let answer =
            self.query(query::Query::Placement(wire::PlacementQuery { backends: list.clone() })).await?;
        let answer::Answer::Placement(placement) = answer.1 else {
            return Err(MetadataError::Protocol("a placement answered by something else"));
        };
        self.state.learn_placement(&placement);
        self.placements.borrow_mut().of(epoch).insert(list, placement.placement_id);
        Ok(PlacementId(placement.placement_id))
    }
}

fn of(known: &wire::Backend, drive: DriveId, state: BackendState, node: &Arc<str>) -> Backend {
    Backend {
        id: BackendId(known.backend_id),
        state,
        drive,
        node: node.clone(),
        provider: known.provider.as_str().into(),
        country: known.country.as_str().into(),
        region: known.region.as_str().into(),
    }
}
