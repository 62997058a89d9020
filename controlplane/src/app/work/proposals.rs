//! What nodes propose while history is lost: rows that this database lacks, as the fragments on their drives tell them.
//!
//! Nothing here is believed before its seal has opened. It only becomes a row when an administrator says so
//! (`app/recovery`).

use std::collections::HashSet;
use std::sync::atomic::Ordering;

use holdfast_common::id::OpId;
use holdfast_common::recovery::{ManifestError, ManifestKey, key_of_node, sealed_by};
use holdfast_common::wire::{Proposal, Proposals, RecoveryManifest, Refusal, Refused};
use uuid::Uuid;

use crate::app::{Authority, Inner};
use crate::limits::PLACEMENT_BACKENDS_MAX;
use crate::plan::{recovery as plan, refuse_for_now};
use crate::store::recovery::Fragment;
use crate::store::{StoreError, authority, backend, recovery};

/// Writes down what a node proposes. Without a loss there is nothing to propose.
pub(super) async fn take(
    authority: &Authority,
    node_id: Uuid,
    epoch: u64,
    said: &Proposals,
) -> Result<(), Refused> {
    let inner = &authority.inner;
    if !inner.history_lost.load(Ordering::Relaxed) {
        return Ok(());
    }
    let mut client = inner.store.client().await?;
    let backends = backend::all(&client).await?;
    let here = backends.iter().filter(|row| row.node_id == Some(node_id));
    let here: HashSet<u32> = here.map(|row| row.id).collect();
    let (mut manifests, mut fragments) = (Vec::new(), Vec::new());
    for item in &said.items {
        let Some(op_id) = OpId::from_wire(&item.op_id) else { continue };
        if !item.sealed.is_empty() {
            match open(inner, op_id, &item.sealed) {
                Ok(manifest) => manifests.push((op_id.uuid(), manifest)),
                Err(error) => {
                    forged(inner, node_id, op_id, error);
                    continue;
                }
            }
        }
        fragments.extend(found(item, &here).map(|fragment| (op_id.uuid(), fragment)));
    }
    let work = client.transaction().await.map_err(StoreError::from)?;
    if authority::fence(&work, epoch).await?.is_none() {
        inner.step_down.notify_one();
        return Err(refuse_for_now(Refusal::NotLeader, "another control plane leads"));
    }
    recovery::propose(&work, &manifests, &fragments).await?;
    if said.finished {
        recovery::walked(&work, node_id).await?;
    }
    work.commit().await.map_err(StoreError::from)?;
    tracing::debug!(node = %node_id, manifests = manifests.len(), finished = said.finished, "lost rows are proposed");
    Ok(())
}

/// The fragments that the node may speak of: those on its own drives.
fn found<'a>(item: &'a Proposal, here: &'a HashSet<u32>) -> impl Iterator<Item = Fragment> + 'a {
    item.fragments.iter().take(PLACEMENT_BACKENDS_MAX).filter_map(|fragment| {
        let index = u8::try_from(fragment.index).ok().filter(|index| *index < 64)?;
        let backend_id = Some(fragment.backend_id).filter(|id| here.contains(id))?;
        Some(Fragment { index, backend_id, whole: fragment.whole })
    })
}

fn open(inner: &Inner, op_id: OpId, sealed: &[u8]) -> Result<RecoveryManifest, ManifestError> {
    let sealer = sealed_by(sealed).ok_or(ManifestError::Malformed)?;
    let key = key_of_node(inner.manifest_root.expose(), sealer);
    let key = ManifestKey::new(sealer, &key).ok_or(ManifestError::Malformed)?;
    let manifest = key.open(op_id, sealed)?;
    let named = plan::blob_of(&manifest).is_some_and(|blob| blob.op_id == op_id.0.as_slice());
    if named { Ok(manifest) } else { Err(ManifestError::Malformed) }
}

fn forged(inner: &Inner, node_id: Uuid, op_id: OpId, error: ManifestError) {
    if inner.metrics.recovery_forged.inc() == 0 {
        tracing::warn!(node = %node_id, %op_id, %error, "a proposed row is dropped; further ones are only counted");
    }
}
