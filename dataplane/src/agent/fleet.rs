//! This node's drives as background work sees them: who answers, who may take fragments, who is away and for how long.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use holdfast_common::id::BackendId;

use crate::drives::{DriveState, DriveStatus};
use crate::link::state::View;

/// The drives at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Fleet {
    /// They answer, and what they hold counts.
    pub(super) here: Vec<BackendId>,
    /// Of these: they take new fragments.
    pub(super) writable: Vec<BackendId>,
    /// Of those here: they are to be emptied.
    pub(super) draining: Vec<BackendId>,
    /// They do not answer and may come back: what they hold must not be forgotten.
    pub(super) silent: Vec<BackendId>,
    /// Of the silent: not for so long that what they hold counts as missing.
    pub(super) in_grace: Vec<BackendId>,
    /// The administrator says that they never come back with what they held.
    pub(super) gone: Vec<BackendId>,
}

/// Since when each silent drive has been silent.
#[derive(Default)]
pub(super) struct Silence(HashMap<BackendId, Instant>);

impl Silence {
    /// Sorts the drives of `node_id`; those in `view` that are not open are silent.
    pub(super) fn look(
        &mut self,
        view: &View,
        node_id: &Arc<str>,
        statuses: &[DriveStatus],
        grace: Duration,
        now: Instant,
    ) -> Fleet {
        let mut fleet = Fleet::default();
        let mut ours: Vec<_> =
            view.backends.values().filter(|backend| *backend.node_id == **node_id).collect();
        ours.sort_by_key(|backend| backend.backend_id);
        for backend in ours {
            let id = BackendId(backend.backend_id);
            let state = statuses.iter().find(|status| status.backend == Some(id)).map(|status| &status.state);
            if matches!(backend.state.as_str(), "replaced" | "drained") {
                fleet.gone.push(id);
                continue;
            }
            if let Some(DriveState::Active | DriveState::Full) = state {
                self.0.remove(&id);
                fleet.here.push(id);
                if backend.state == "draining" {
                    fleet.draining.push(id);
                } else if backend.state == "active" && state == Some(&DriveState::Active) {
                    fleet.writable.push(id);
                }
                continue;
            }
            fleet.silent.push(id);
            if now.duration_since(*self.0.entry(id).or_insert(now)) < grace {
                fleet.in_grace.push(id);
            }
        }
        fleet
    }
}
