//! Waiting for a moment to within ~50 us, for the open loop: tokio's own timers have a resolution of 1 ms.

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use std::io;
use std::os::fd::OwnedFd;
use std::time::Instant;
use tokio::io::unix::AsyncFd;

pub(super) struct Pacer(AsyncFd<OwnedFd>);

impl Pacer {
    /// Needs a runtime around it.
    pub(super) fn new() -> io::Result<Self> {
        let timer =
            timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        // `new` is deprecated for types whose descriptor may change under it; an OwnedFd's cannot, and `register` is unsafe.
        #[expect(deprecated)]
        let registered = AsyncFd::new(timer)?;
        Ok(Self(registered))
    }

    /// Returns at once when the moment has passed.
    pub(super) async fn until(&self, due: Instant) -> io::Result<()> {
        let Some(wait) = due.checked_duration_since(Instant::now()).filter(|wait| !wait.is_zero()) else {
            return Ok(());
        };
        let value = Timespec { tv_sec: wait.as_secs() as i64, tv_nsec: wait.subsec_nanos().into() };
        let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: value };
        timerfd_settime(self.0.get_ref(), TimerfdTimerFlags::empty(), &once)?;
        loop {
            let mut ready = self.0.readable().await?;
            let mut expirations = [0u8; 8];
            if ready.try_io(|timer| Ok(rustix::io::read(timer, &mut expirations)?)).is_ok() {
                return Ok(());
            }
        }
    }
}
