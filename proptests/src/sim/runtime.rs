//! The runtime seam over the simulated world of this thread.

use std::future::{Future, poll_fn};
use std::io;
use std::task::Poll;
use std::time::{Duration, Instant};

use holdfast_dataplane::rt::{CoreConfig, ListenConfig, Rt};

pub use super::file::SimFile;
pub use super::pipe::{SimConn, SimListener};

use super::executor::World;

/// See the module.
pub struct SimRt;

impl Rt for SimRt {
    type Conn = SimConn;
    type Listener = SimListener;
    type File = SimFile;

    const NAME: &'static str = "simulation";

    fn run<F: Future>(_core: &CoreConfig, main: F) -> io::Result<F::Output> {
        World::current().block_on(main).map_err(|_| io::Error::other("the power is off"))
    }

    fn spawn<F: Future<Output = ()> + 'static>(task: F) {
        World::current().spawn(task);
    }

    fn listen(_config: &ListenConfig) -> io::Result<SimListener> {
        Ok(SimListener::default())
    }

    async fn sleep(duration: Duration) {
        World::current().sleep(duration).await;
    }

    async fn yield_now() {
        let mut yielded = false;
        poll_fn(|cx| {
            if std::mem::replace(&mut yielded, true) {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }

    fn now() -> Instant {
        World::current().now()
    }

    fn unix_ms() -> u64 {
        World::current().unix_ms()
    }

    fn boottime_ms() -> u64 {
        World::current().unix_ms()
    }

    fn random(out: &mut [u8]) {
        World::current().chance(|rng| rng.fill(out));
    }
}
