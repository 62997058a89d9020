//! A process: its own runtime with its own clock, moved on by the world's.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::task::LocalSet;
use tokio::time::Instant;

use super::machine::Machine;

thread_local! {
    static CURRENT: RefCell<Option<Arc<Machine>>> = const { RefCell::new(None) };
}

/// The machine of the process that runs now.
pub(super) fn current() -> Arc<Machine> {
    CURRENT.with_borrow(Clone::clone).expect("only processes ask for their machine")
}

/// The world's time and the number of the process that runs now, if one does.
pub(crate) fn here() -> Option<(u64, u32)> {
    CURRENT.with_borrow(|machine| machine.as_ref().map(|machine| (machine.world.now_ms(), machine.place.0)))
}

pub(super) struct Process {
    pub(super) machine: Arc<Machine>,
    pub(super) local: LocalSet,
    runtime: Runtime,
    begun: Instant,
    /// The world's time at which this process's clock stood at `begun`.
    born_ms: u64,
    /// How far its clock has come.
    reached_ms: u64,
}

impl Process {
    pub(super) fn start(machine: Arc<Machine>) -> Self {
        let runtime = Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime without I/O can be built");
        let begun = runtime.block_on(async { Instant::now() });
        let born_ms = machine.world.now_ms();
        Self { machine, local: LocalSet::new(), runtime, begun, born_ms, reached_ms: born_ms }
    }

    /// Runs until its clock shows the world's time and nothing is left to do.
    pub(super) fn step(&mut self) {
        let now_ms = self.machine.world.now_ms();
        let missed = now_ms.saturating_sub(self.reached_ms + super::world::TICK_MS);
        self.reached_ms = now_ms;
        let until = self.begun + Duration::from_millis(now_ms.saturating_sub(self.born_ms));
        CURRENT.set(Some(Arc::clone(&self.machine)));
        self.local.block_on(&self.runtime, async move {
            // It was paused: its clock does not run through what it missed, it jumps.
            if missed > 0 {
                tokio::time::advance(Duration::from_millis(missed)).await;
            }
            tokio::time::sleep_until(until).await;
        });
        CURRENT.set(None);
    }

    /// Its machine was suspended for so long: only clocks that count suspend went on.
    pub(super) fn suspended(&mut self, gap_ms: u64) {
        self.born_ms += gap_ms;
        self.reached_ms += gap_ms;
    }

    /// Ends it between two steps, and everything in it.
    pub(super) fn kill(self) {
        CURRENT.set(Some(Arc::clone(&self.machine)));
        drop(self.local);
        drop(self.runtime);
        CURRENT.set(None);
    }

    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        drop(self.runtime.spawn(task));
    }
}
