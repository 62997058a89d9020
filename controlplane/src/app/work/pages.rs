//! The pages of manifests that nobody references any more, dropped when `delete_delay` is over.
//!
//! One transaction takes the pages, the references that stood in them and the note that they were due, behind the epoch
//! row as commits are; run twice, the second finds nothing.

use crate::app::commit::now_ms;
use crate::app::{Authority, references};
use crate::limits::PAGES_DROPPED_MAX;
use crate::plan::writes::{Reference, page_references};
use crate::store::{StoreError, authority, freed, job, manifest_page};

/// Drops what is due. Returns how many manifests.
pub(crate) async fn drop_due(authority: &Authority) -> Result<u64, StoreError> {
    let mut dropped = 0;
    loop {
        let some = drop_some(authority).await?;
        dropped += some;
        if some < PAGES_DROPPED_MAX.unsigned_abs() {
            return Ok(dropped);
        }
    }
}

async fn drop_some(authority: &Authority) -> Result<u64, StoreError> {
    let inner = &authority.inner;
    let Some(epoch) = inner.sessions.leading() else { return Ok(0) };
    let mut client = inner.store.client().await?;
    let work = client.transaction().await?;
    if authority::fence(&work, epoch).await?.is_none() {
        inner.step_down.notify_one();
        return Ok(0);
    }
    let due = freed::due_pages(&work, PAGES_DROPPED_MAX).await?;
    if due.is_empty() {
        return Ok(0);
    }
    let pages = manifest_page::take(&work, &due).await?;
    let dropped: Vec<Reference> = pages.iter().flat_map(page_references).collect();
    let gone = references::drop_all(&work, dropped).await?;
    let names: Vec<uuid::Uuid> = gone.iter().map(|gone| gone.op_id).collect();
    work.execute(job::FORGET, &[&names]).await?;
    freed::insert(&work, &gone, inner.stamp_ms(now_ms()), inner.delete_delay_ms).await?;
    freed::pages_dropped(&work, &due).await?;
    work.commit().await?;
    tracing::debug!(manifests = due.len(), blobs = gone.len(), "pages of dead manifests are dropped");
    Ok(due.len() as u64)
}
