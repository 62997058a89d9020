//! The agent's loops: starting, pacing, stopping.

use std::rc::Rc;
use std::time::Duration;

use super::{Agent, Trouble};
use crate::env::Env;
use crate::limits::{AGENT_BACKOFF_MAX, AGENT_BACKOFF_MIN, AGENT_STOP_WAIT};
use crate::rt::{Rt as _, within};

impl<E: Env> Agent<E> {
    /// Starts every loop on this core.
    pub fn start(self: &Rc<Self>) {
        self.run("reap", async |agent| agent.reap().await);
        self.run("propose", async |agent| agent.propose().await);
        self.run("delete", async |agent| agent.delete_jobs().await);
        self.run("repair", async |agent| agent.repair_jobs().await);
        self.run("audit", async |agent| agent.audit().await);
        self.run("scrub", async |agent| agent.scrub().await);
        self.run("drain", async |agent| agent.drain().await);
    }

    /// Ends every loop at its next step, and waits (bounded) until none is left: then no drive is used any more.
    pub async fn stop(&self) {
        self.stop.set();
        let deadline = E::Rt::now() + AGENT_STOP_WAIT;
        while self.loops.get() > 0 && E::Rt::now() < deadline {
            E::Rt::sleep(Duration::from_millis(2)).await;
        }
        self.save_scrub().await;
    }

    /// Repeats `pass`, which says how long to wait; after a failure longer each time.
    fn run<F>(self: &Rc<Self>, name: &'static str, pass: F)
    where
        F: AsyncFn(&Self) -> Result<Duration, Trouble> + 'static,
    {
        let agent = Rc::clone(self);
        self.loops.set(self.loops.get() + 1);
        E::Rt::spawn(async move {
            let mut failures = 0;
            while !agent.stop.is_set() {
                let pause = match pass(&agent).await {
                    Ok(pause) => {
                        failures = 0;
                        pause
                    }
                    Err(Trouble::Stopping) => break,
                    Err(trouble) => {
                        tracing::debug!(work = name, %trouble, "background work failed; it comes again");
                        failures += 1;
                        (AGENT_BACKOFF_MIN * (1 << failures.min(10))).min(AGENT_BACKOFF_MAX)
                    }
                };
                agent.pause(jittered::<E>(pause)).await;
                E::Rt::yield_now().await;
            }
            agent.loops.set(agent.loops.get() - 1);
        });
    }

    /// Sleeps, but not past the wish to stop.
    async fn pause(&self, duration: Duration) {
        if !duration.is_zero() {
            within::<E::Rt, _>(self.stop.wait(), duration).await;
        }
    }

    /// # Errors
    /// When the agent is to stop.
    pub(super) fn go_on(&self) -> Result<(), Trouble> {
        if self.stop.is_set() { Err(Trouble::Stopping) } else { Ok(()) }
    }

    /// Waits until the budget allows `bytes` more.
    pub(super) async fn pay(&self, bytes: u64) {
        let now = E::Rt::now();
        let start = self.spent_until.get().map_or(now, |until| until.max(now));
        let cost = Duration::from_secs_f64(bytes as f64 / self.settings.bytes_per_second.max(1) as f64);
        self.spent_until.set(Some(start + cost));
        self.pause(start - now).await;
    }
}

/// Up to an eighth more or less, so that nodes do not come in step.
fn jittered<E: Env>(pause: Duration) -> Duration {
    let mut random = [0u8; 1];
    E::Rt::random(&mut random);
    pause.mul_f64(0.875 + f64::from(random[0]) / 1024.0)
}
