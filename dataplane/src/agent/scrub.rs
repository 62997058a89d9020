//! Scrubbing: every drive is re-read within a period, whether anybody asks for its bytes or not.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::{Duration, Instant};

use holdfast_common::id::{BackendId, FragmentId};
use holdfast_common::wire;

use super::stock::Stock;
use super::{Agent, Trouble};
use crate::drives::{DriveError, Drives as _, VerifyCursor};
use crate::env::Env;
use crate::limits::{AGENT_POLL, SCRUB_RATE_MIN, SCRUB_STEP_BYTES};
use crate::rt::Rt as _;

/// Each drive's pass.
#[derive(Default)]
pub(super) struct Scrubber(RefCell<HashMap<BackendId, Pass>>);

#[derive(Clone, Copy)]
struct Pass {
    cursor: VerifyCursor,
    /// When its next step may be taken.
    due: Instant,
    began: Instant,
    done_bytes: u64,
}

impl<E: Env> Agent<E> {
    /// A step on each drive whose time has come. Says when the next is.
    pub(super) async fn scrub(&self) -> Result<Duration, Trouble> {
        let fleet = self.fleet();
        self.scrubber.0.borrow_mut().retain(|backend, _| fleet.here.contains(backend));
        for backend in fleet.here {
            let now = E::Rt::now();
            let fresh = || Pass { cursor: VerifyCursor::default(), due: now, began: now, done_bytes: 0 };
            let pass = *self.scrubber.0.borrow_mut().entry(backend).or_insert_with(fresh);
            if pass.due <= now {
                let next = self.scrub_step(backend, pass).await?;
                self.scrubber.0.borrow_mut().insert(backend, next);
            }
            self.go_on()?;
        }
        let now = E::Rt::now();
        let soonest = self.scrubber.0.borrow().values().map(|pass| pass.due).min();
        Ok(soonest.map_or(AGENT_POLL, |due| due.saturating_duration_since(now).min(AGENT_POLL)))
    }

    async fn scrub_step(&self, backend: BackendId, mut pass: Pass) -> Result<Pass, Trouble> {
        if pass.done_bytes == 0 {
            let started = E::Rt::unix_ms();
            self.progress.edit(backend, |work| work.scrub_started_ms = started);
        }
        let began = E::Rt::now();
        let verified = self.drives.verify(backend, pass.cursor, SCRUB_STEP_BYTES).await?;
        self.pay(verified.bytes).await;
        self.progress.scrubbed_bytes.add(verified.bytes);
        pass.done_bytes += verified.bytes;
        let total = pass.done_bytes + verified.bytes_left;
        self.progress.edit(backend, |work| {
            work.scrub_done_bytes = pass.done_bytes;
            work.scrub_total_bytes = total;
        });
        self.tell_bad(backend, &verified.bad).await?;
        let period = self.settings.scrub_period;
        if let Some(next) = verified.next {
            pass.cursor = next;
            let rate = (total / period.as_secs().max(1)).max(SCRUB_RATE_MIN);
            pass.due = began + Duration::from_secs_f64(verified.bytes as f64 / rate as f64);
            return Ok(pass);
        }
        let finished = E::Rt::unix_ms();
        self.progress.edit(backend, |work| {
            work.scrub_pass += 1;
            work.scrub_finished_ms = finished;
            work.scrub_started_ms = 0;
        });
        // A small drive is through early; the next pass begins when the period is over.
        let due = (pass.began + period).max(E::Rt::now());
        Ok(Pass { cursor: VerifyCursor::default(), due, began: due, done_bytes: 0 })
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
            let bad_pieces = bad.iter().filter(|(id, ..)| id == fragment).count() as u64;
            self.progress.edit(backend, |work| work.rotten += bad_pieces);
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
