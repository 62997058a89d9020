//! Leadership: takes the row when its term has run out, prolongs it, steps down when it cannot.
//!
//! The term is measured on this process's clock from before the statement that confirmed it was sent, so the process
//! stops leading before the database lets another take over. Leases lie within the confirmed term: a takeover need not
//! wait for those of the leader before. Access leases that are longer than a term are the exception: the row says until when
//! they may run, and the next leader's changes of configuration wait for them.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::app::Authority;
use crate::limits::{CLOCK_MARGIN, DESERTED, DESERTED_HEARD, DESERTED_PAUSE, TERM, TERM_POLL, TERM_RENEW};
use crate::store::StoreError;
use crate::store::authority::Claim;

fn term_ms() -> u64 {
    u64::try_from(TERM.as_millis()).expect("seconds")
}

/// Why a reign ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    /// Another leads, the term could not be prolonged, or it was given up in the middle.
    Over,
    /// No node is heard here, and another control plane is asked for the leader.
    Deserted,
}

/// Leads whenever it can, for ever; `leading` is the epoch it has already taken.
pub(crate) async fn run(handle: Authority, leading: Option<u64>) {
    let mut leading = leading;
    loop {
        if let Some(epoch) = leading.take()
            && reign(&handle, epoch).await == Ended::Deserted
        {
            sleep(DESERTED_PAUSE).await;
        }
        match take(&handle, false).await {
            Ok(Some(epoch)) => leading = Some(epoch),
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
    let claim = Claim {
        holder: &inner.holder,
        term_ms: term_ms(),
        force,
        owed_ms: inner.lengths.owed_ms(),
        above: inner.epoch_remembered.load(Ordering::Acquire),
    };
    let remembered = inner.confirmed.load(Ordering::Acquire);
    let Some(taken) = inner.truth.take(claim, remembered).await? else {
        return Ok(None);
    };
    let (epoch, timeline) = (taken.epoch, taken.timeline);
    inner.epoch_remembered.fetch_max(epoch, Ordering::AcqRel);
    handle.begin_with_history(&taken, remembered).await?;
    inner.store.lineage().lead_on(timeline);
    inner.placements.forget();
    if !taken.owed.nodes.is_empty() {
        tracing::info!(
            nodes = taken.owed.nodes.len(),
            seconds = taken.owed.left.as_secs(),
            "changes of configuration wait for nodes that hold access leases of before, until they join"
        );
    }
    inner.sessions.begin_epoch(epoch, asked + TERM, taken.owed);
    tracing::info!(epoch, timeline, "this control plane leads");
    if inner.truth.has_lagging_standby().await {
        tracing::warn!(
            "PostgreSQL's standby is asynchronous: promoted, it lacks the last commits. Set `synchronous_standby_names`"
        );
    }
    Ok(Some(epoch))
}

/// Prolongs the term until that fails for too long, a commit finds another leader, or no node is heard any more.
async fn reign(handle: &Authority, epoch: u64) -> Ended {
    let inner = &handle.inner;
    let mut confirmed = Instant::now();
    let ended = loop {
        tokio::select! {
            biased;
            () = inner.step_down.notified() => {}
            () = inner.store.lineage().broke() => {}
            () = sleep(TERM_RENEW) => {}
        }
        inner.sessions.sweep();
        if !inner.sessions.reigns(epoch) {
            tracing::warn!(epoch, "leadership was given up");
            break Ended::Over;
        }
        if inner.store.lineage().is_broken() {
            tracing::error!(
                epoch,
                "a standby of the database was promoted: stepping down, to ask what it lacks"
            );
            break Ended::Over;
        }
        let asked = Instant::now();
        match tokio::time::timeout(TERM_RENEW, prolong(handle, epoch)).await {
            Ok(Ok(true)) => {
                confirmed = asked;
                inner.sessions.prolong_term(epoch, asked + TERM);
            }
            Ok(Ok(false)) => {
                tracing::warn!(epoch, "another control plane has taken over");
                break Ended::Over;
            }
            Ok(Err(error)) => tracing::warn!(%error, "the term was not prolonged"),
            Err(_) => tracing::warn!("the term was not prolonged in time"),
        }
        if confirmed.elapsed() + CLOCK_MARGIN > TERM {
            tracing::error!(epoch, "the database was out of reach for a whole term: stepping down");
            break Ended::Over;
        }
        if matches!(tokio::time::timeout(TERM_RENEW, deserted(handle)).await, Ok(Ok(true))) {
            tracing::error!(
                epoch,
                "no node is heard here, and one asks another control plane: stepping down"
            );
            break Ended::Deserted;
        }
    };
    let leases = inner.sessions.end_epoch("this control plane no longer leads");
    inner.store.lineage().lead_on(0);
    inner.store.forget_idle();
    give_back(handle, epoch, leases).await;
    ended
}

/// Prolongs the term, and until when access leases may run that are granted within it.
async fn prolong(handle: &Authority, epoch: u64) -> Result<bool, StoreError> {
    handle.inner.truth.renew(epoch, term_ms(), handle.inner.lengths.owed_ms()).await
}

/// Whether the nodes are all out of reach from here, and one of them is not from elsewhere.
async fn deserted(handle: &Authority) -> Result<bool, StoreError> {
    let inner = &handle.inner;
    if inner.sessions.silence().is_none_or(|silence| silence < DESERTED) {
        return Ok(false);
    }
    let heard_ms = u64::try_from(DESERTED_HEARD.as_millis()).expect("seconds");
    inner.truth.node_heard_elsewhere(&inner.holder, heard_ms).await
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
    let leases = inner.sessions.end_epoch("this control plane stops");
    give_back(handle, epoch, leases).await;
}
