//! Leadership: takes the row when its term has run out, prolongs it, steps down when it cannot.
//!
//! The term is measured on this process's clock from before the statement that confirmed it was sent, so the process
//! stops leading before the database lets another take over. Leases lie within the confirmed term: a takeover need not
//! wait for those of the leader before.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::app::Authority;
use crate::limits::{CLOCK_MARGIN, TERM, TERM_POLL, TERM_RENEW};
use crate::store::StoreError;

fn term_ms() -> u64 {
    u64::try_from(TERM.as_millis()).expect("seconds")
}

/// Leads whenever it can, for ever; `leading` is the epoch it has already taken.
pub(crate) async fn run(handle: Authority, leading: Option<u64>) {
    if let Some(epoch) = leading {
        reign(&handle, epoch).await;
    }
    loop {
        match take(&handle, false).await {
            Ok(Some(epoch)) => reign(&handle, epoch).await,
            Ok(None) => sleep(TERM_POLL).await,
            Err(error) => {
                tracing::warn!(%error, "the leadership row cannot be read");
                sleep(TERM_POLL).await;
            }
        }
    }
}

/// Takes leadership if it is free, or at once with `force` (dev: nobody else can lead this database).
pub(crate) async fn take(handle: &Authority, force: bool) -> Result<Option<u64>, StoreError> {
    let inner = &handle.inner;
    let asked = Instant::now();
    let Some(taken) = inner.truth.take(&inner.holder, term_ms(), force).await? else {
        return Ok(None);
    };
    inner.sessions.begin_epoch(taken.epoch, asked + TERM);
    tracing::info!(epoch = taken.epoch, "this control plane leads");
    Ok(Some(taken.epoch))
}

/// Prolongs the term until that fails for too long, or a commit finds another leader.
async fn reign(handle: &Authority, epoch: u64) {
    let inner = &handle.inner;
    let mut confirmed = Instant::now();
    loop {
        tokio::select! {
            biased;
            () = inner.step_down.notified() => {}
            () = sleep(TERM_RENEW) => {}
        }
        inner.sessions.sweep();
        if !inner.sessions.reigns(epoch) {
            tracing::warn!(epoch, "leadership was given up");
            break;
        }
        let asked = Instant::now();
        match tokio::time::timeout(TERM_RENEW, inner.truth.renew(epoch, term_ms())).await {
            Ok(Ok(true)) => {
                confirmed = asked;
                inner.sessions.prolong_term(epoch, asked + TERM);
            }
            Ok(Ok(false)) => {
                tracing::warn!(epoch, "another control plane has taken over");
                break;
            }
            Ok(Err(error)) => tracing::warn!(%error, "the term was not prolonged"),
            Err(_) => tracing::warn!("the term was not prolonged in time"),
        }
        if confirmed.elapsed() + CLOCK_MARGIN > TERM {
            tracing::error!(epoch, "the database was out of reach for a whole term: stepping down");
            break;
        }
    }
    let leases = inner.sessions.end_epoch("this control plane no longer leads", None);
    give_back(handle, epoch, leases).await;
}

/// Another (or this one, under the next epoch) may take over once the last lease has run out. Harmless when another
/// has: the row is of its epoch then.
async fn give_back(handle: &Authority, epoch: u64, leases: Duration) {
    let mut leases_ms = u64::try_from((leases + Duration::from_millis(1)).as_millis()).unwrap_or(u64::MAX);
    if crate::mutant!("give-back-before-the-leases-end") {
        leases_ms = 0;
    }
    if let Err(error) = handle.inner.truth.release(epoch, leases_ms.min(term_ms())).await {
        tracing::warn!(%error, "leadership was not given back; it ends with its term");
    }
}

/// Gives leadership back at a stop: another may take it once the last lease has run out.
pub(crate) async fn hand_back(handle: &Authority) {
    let inner = &handle.inner;
    let Some(epoch) = inner.sessions.leading() else { return };
    let leases = inner.sessions.end_epoch("this control plane stops", None);
    give_back(handle, epoch, leases).await;
}
