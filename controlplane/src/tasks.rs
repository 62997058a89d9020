//! Background work: each task is idempotent, takes no input, and runs on a timer; only the leader does it.

use std::time::Duration;

use crate::app::Authority;
use crate::app::commit::now_ms;
use crate::app::work::pages;
use crate::limits::{CANDIDATE_TICK, COMPLETED_UPLOAD_KEPT_MS, DAY_MS, OLD_ROWS_MAX};
use crate::store::{StoreError, changelog, freed, job, upload};

/// How often the date is looked at.
const DAY_TICK: Duration = Duration::from_secs(20);
/// How often rows that are no longer needed are looked for.
const UPKEEP_TICK: Duration = Duration::from_secs(600);

/// How often pages are looked for whose time has come.
const DEFERRED_TICK: Duration = Duration::from_secs(2);
/// Every how many of those ticks the backlogs are counted for the metrics.
const COUNT_TICKS: u64 = 8;

/// Changelog partitions ahead, trimming, forgotten uploads.
pub(crate) async fn upkeep(handle: Authority) {
    loop {
        if handle.is_leading()
            && let Err(error) = upkeep_once(&handle).await
        {
            tracing::warn!(%error, "upkeep of the changelog failed; it will run again");
        }
        tokio::time::sleep(UPKEEP_TICK).await;
    }
}

pub(crate) async fn upkeep_once(handle: &Authority) -> Result<(), StoreError> {
    let client = handle.inner.store.client().await?;
    let (made, dropped) = changelog::upkeep(&client, now_ms()).await?;
    let forgotten = upload::forget_closed(&client, now_ms().saturating_sub(COMPLETED_UPLOAD_KEPT_MS)).await?;
    while freed::place_old_rows(&client, OLD_ROWS_MAX).await? > 0 {}
    while job::place_old_rows(&client, OLD_ROWS_MAX).await? > 0 {}
    if made + dropped > 0 || forgotten > 0 {
        tracing::info!(made, dropped, forgotten, "changelog partitions and completed uploads");
    }
    Ok(())
}

/// Pages of dead manifests, and how much work there is.
pub(crate) async fn deferred(handle: Authority) {
    for tick in 0u64.. {
        if handle.is_leading()
            && let Err(error) = pages::drop_due(&handle).await
        {
            tracing::warn!(%error, "pages of dead manifests were not dropped; trying again");
        }
        if tick.is_multiple_of(COUNT_TICKS)
            && let Err(error) = handle.count_work().await
        {
            tracing::warn!(%error, "the background work could not be counted");
        }
        tokio::time::sleep(DEFERRED_TICK).await;
    }
}

/// Signing keys of the new day, at UTC midnight. A node that was away gets them with its welcome.
pub(crate) async fn day_keys(handle: Authority) {
    let mut pushed = now_ms() / DAY_MS;
    loop {
        tokio::time::sleep(DAY_TICK).await;
        let today = now_ms() / DAY_MS;
        if today == pushed || !handle.is_leading() {
            continue;
        }
        match handle.refresh_day_keys().await {
            Ok(()) => pushed = today,
            Err(error) => tracing::warn!(%error, "the day's signing keys were not pushed; trying again"),
        }
    }
}

/// Says that this control plane is here, leader or not.
pub(crate) async fn candidacy(handle: Authority) {
    loop {
        handle.say_here().await;
        tokio::time::sleep(CANDIDATE_TICK).await;
    }
}
