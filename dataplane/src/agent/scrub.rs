//! Scrubbing: every drive is re-read within a period, whether anybody asks for its bytes or not.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use holdfast_common::id::{BackendId, FragmentId};
use holdfast_common::wire;

use super::scrub_file::{Saved, SavedPass};
use super::stock::Stock;
use super::{Agent, Trouble};
use crate::drives::{DriveError, Drives as _, VerifyCursor};
use crate::env::Env;
use crate::limits::{AGENT_POLL, SCRUB_RATE_MIN, SCRUB_SAVE_EVERY, SCRUB_STEP_BYTES};
use crate::rt::{Rt as _, blocking};

/// Each drive's pass, as far as this process has seen the drive, and what earlier ones left.
#[derive(Default)]
pub(super) struct Scrubber {
    passes: RefCell<BTreeMap<BackendId, Pass>>,
    earlier: RefCell<Saved>,
    saved_at: Cell<Option<Instant>>,
}

#[derive(Clone, Copy)]
struct Pass {
    /// `None`: it waits for its time to begin.
    cursor: Option<VerifyCursor>,
    /// When its next step may be taken.
    due: Instant,
    /// What is kept.
    saved: SavedPass,
}

impl Scrubber {
    pub(super) fn new(earlier: Saved) -> Self {
        Self { earlier: RefCell::new(earlier), ..Self::default() }
    }
}

impl<E: Env> Agent<E> {
    /// A step on each drive whose time has come. Says when the next is.
    pub(super) async fn scrub(&self) -> Result<Duration, Trouble> {
        let fleet = self.fleet();
        for backend in &fleet.here {
            let pass = self.pass_of(*backend);
            if pass.due <= E::Rt::now() {
                let next = self.scrub_step(*backend, pass).await?;
                self.scrubber.passes.borrow_mut().insert(*backend, next);
            }
            self.go_on()?;
        }
        let now = E::Rt::now();
        if self.scrubber.saved_at.get().is_none_or(|at| now.duration_since(at) >= SCRUB_SAVE_EVERY) {
            self.scrubber.saved_at.set(Some(now));
            self.save_scrub().await;
        }
        let passes = self.scrubber.passes.borrow();
        let soonest = fleet.here.iter().filter_map(|backend| passes.get(backend)).map(|pass| pass.due).min();
        Ok(soonest.map_or(AGENT_POLL, |due| due.saturating_duration_since(now).min(AGENT_POLL)))
    }

    /// The drive's pass; one that begins, or goes on where an earlier process left it, where there is none.
    fn pass_of(&self, backend: BackendId) -> Pass {
        if let Some(pass) = self.scrubber.passes.borrow().get(&backend) {
            return *pass;
        }
        let saved = self.scrubber.earlier.borrow().passes.get(&backend.0).copied().unwrap_or_default();
        let cursor = saved.segment.map(|segment| VerifyCursor { segment, ..VerifyCursor::default() });
        let due = if cursor.is_none() { self.next_pass(&saved) } else { E::Rt::now() };
        self.progress.edit(backend, |work| {
            work.scrub_pass = saved.finished;
            work.scrub_finished_ms = saved.finished_ms;
        });
        Pass { cursor, due, saved }
    }

    /// A period after the last one began: a small drive is through early.
    fn next_pass(&self, saved: &SavedPass) -> Instant {
        let period = self.settings.scrub_period;
        let since = Duration::from_millis(E::Rt::unix_ms().saturating_sub(saved.began_ms));
        E::Rt::now() + period.saturating_sub(since)
    }

    /// Keeps each drive's place for the next process.
    pub(super) async fn save_scrub(&self) {
        let Some(path) = self.settings.scrub_file.clone() else { return };
        let mut passes = self.scrubber.earlier.borrow().passes.clone();
        passes.extend(self.scrubber.passes.borrow().iter().map(|(backend, pass)| (backend.0, pass.saved)));
        blocking(move || Saved::new(passes).write(path)).await;
    }

    async fn scrub_step(&self, backend: BackendId, mut pass: Pass) -> Result<Pass, Trouble> {
        let saved = &mut pass.saved;
        let cursor = pass.cursor.unwrap_or_else(|| {
            (saved.began_ms, saved.done_bytes) = (E::Rt::unix_ms(), 0);
            VerifyCursor::default()
        });
        let began = E::Rt::now();
        let verified = self.drives.verify(backend, cursor, SCRUB_STEP_BYTES).await?;
        self.pay(verified.bytes).await;
        self.progress.scrubbed_bytes.add(verified.bytes);
        saved.done_bytes += verified.bytes;
        let total = saved.done_bytes + verified.bytes_left;
        self.tell_bad(backend, &verified.bad).await?;
        pass.cursor = verified.next;
        saved.segment = verified.next.map(|next| next.segment);
        if verified.next.is_some() {
            let rate = (total / self.settings.scrub_period.as_secs().max(1)).max(SCRUB_RATE_MIN);
            pass.due = began + Duration::from_secs_f64(verified.bytes as f64 / rate as f64);
        } else {
            saved.finished += 1;
            saved.finished_ms = E::Rt::unix_ms();
            pass.due = self.next_pass(saved);
        }
        let (saved, running) = (pass.saved, pass.cursor.is_some());
        self.progress.edit(backend, |work| {
            work.scrub_pass = saved.finished;
            work.scrub_started_ms = if running { saved.began_ms } else { 0 };
            work.scrub_done_bytes = saved.done_bytes;
            work.scrub_total_bytes = total;
            work.scrub_finished_ms = saved.finished_ms;
        });
        Ok(pass)
    }

    /// Findings become deficits at once.
    async fn tell_bad(
        &self,
        backend: BackendId,
        bad: &[(FragmentId, u32, DriveError)],
    ) -> Result<(), Trouble> {
        let mut deficits: Vec<wire::Deficit> = Vec::new();
        let mut last = None;
        for (fragment, row, error) in bad {
            if last.replace(*fragment) == Some(*fragment) {
                continue;
            }
            tracing::warn!(%backend, blob = %fragment.blob, index = fragment.index, row, %error, "the scrub found a bad piece");
            let held = self.drives.find(fragment.blob).await?;
            if !held.iter().any(|(at, held)| *at == backend && held.fragment == *fragment) {
                continue; // deleted meanwhile
            }
            // Where no record can be read the authority knows what the blob is.
            let blob = match Stock::of(&*self.drives, fragment.blob, None, held).await {
                Ok(stock) => stock.to_wire(),
                Err(_) => wire::Blob { op_id: fragment.blob.to_wire(), ..Default::default() },
            };
            let reason = format!("the scrub of backend {backend} found row {row}: {error}");
            deficits.push(wire::Deficit { blob: Some(blob), missing: 1 << fragment.index, reason });
        }
        self.tell(deficits).await
    }
}
