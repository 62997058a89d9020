//! Counts this thread's operations that the kernel still holds, so that a runtime is never freed under them.

use std::cell::Cell;
use std::time::{Duration, Instant};

use super::Rt;
use crate::limits::DRAIN_WAIT;

thread_local! {
    static IN_FLIGHT: Cell<usize> = const { Cell::new(0) };
}

/// One operation under way. Forgotten flights (a future dropped while pending) stay counted for ever: that is the point.
pub(super) struct Flight(());

impl Flight {
    pub(super) fn start() -> Self {
        IN_FLIGHT.set(IN_FLIGHT.get() + 1);
        Self(())
    }

    /// The kernel gave the operation back.
    pub(super) fn land(self) {
        IN_FLIGHT.set(IN_FLIGHT.get() - 1);
    }
}

/// Waits until nothing is in flight or [`DRAIN_WAIT`] is over; says whether the runtime may be freed.
pub(super) async fn drain<R: Rt>() -> bool {
    let until = Instant::now() + DRAIN_WAIT;
    while IN_FLIGHT.get() > 0 && Instant::now() < until {
        R::sleep(Duration::from_millis(2)).await;
    }
    let left = IN_FLIGHT.replace(0);
    if left > 0 {
        tracing::warn!(left, "operations were still in the kernel at the end of a core; its ring is leaked");
    }
    left == 0
}
