//! The clock that terms are measured on: it goes on while the machine sleeps, as the database's does.
//!
//! tokio's own stands still then. A leader that slept through its term would go on granting leases and answering reads when it
//! wakes, although another leads by now.

use std::time::Duration;

use tokio::time::Instant;

/// See the module.
pub struct Clock {
    began: Instant,
    began_ms: u64,
    boottime_ms: Box<dyn Fn() -> u64 + Send + Sync>,
}

impl Clock {
    /// `boottime_ms`: milliseconds since boot, counting suspend.
    pub fn new(boottime_ms: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        Self { began: Instant::now(), began_ms: boottime_ms(), boottime_ms: Box::new(boottime_ms) }
    }

    /// Later than tokio's [`Instant::now`] by the time slept: compare it only with moments of this clock.
    #[must_use]
    pub fn now(&self) -> Instant {
        if crate::mutant!("term-on-a-clock-that-stops") {
            return Instant::now();
        }
        self.began + Duration::from_millis((self.boottime_ms)().saturating_sub(self.began_ms))
    }
}

impl Default for Clock {
    /// One of a machine that never sleeps.
    fn default() -> Self {
        let began = Instant::now();
        Self::new(move || u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX))
    }
}
