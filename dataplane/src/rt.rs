//! The runtime seam: what the data plane needs from the machine, with owned buffers, so that io_uring can carry it.
//!
//! Three implementations, one suite (`rt/tests.rs`; glommio's part of it by hand): [`monoio`] (io_uring, one pinned thread per core for sockets and files),
//! [`glommio`] (io_uring too, sockets by readiness) and [`epoll`] (monoio's event loop over epoll, files on a bounded thread
//! pool) for where io_uring is forbidden. Completion is the common denominator: a readiness runtime implements it easily, the
//! reverse is not true.
//!
//! `runtime` in the configuration chooses. Where io_uring is forbidden both give way to epoll with a warning, unless
//! `require_io_uring` says otherwise; where only glommio's wishes are not met (an old kernel, little lockable memory) the
//! start is refused, because its operator named it and has monoio to choose before epoll.
//!
//! monoio is the default. The whole system on two cores of a busy machine (AMD EPYC, kernel 6.18), runs in turns
//! A B C A B C of 3 s each, medians; operations per CPU-second of all processes / operations per second, as ratios to monoio:
//!
//! | row | runs of each | monoio | glommio | epoll |
//! |---|---|---|---|---|
//! | PUT 4 KiB, 32 connections | 2 | 2,070 / 2,710 | 1.03 / 1.04 | 0.86 / 0.73 |
//! | GET 4 KiB, 32 connections | 2 | 17,700 / 21,900 | 0.84 / 0.84 | 0.59 / 0.54 * |
//! | PUT 1 MiB, 8 connections | 2 | 147 / 161 | 0.93 / 1.03 | 0.95 / 1.06 |
//! | GET 1 MiB, 8 connections | 4 | 1,250 / 1,520 | 1.00 / 1.01 | 0.87 / 0.86 |
//! | GET 64 MiB, 4 connections * | 2 | 24.5 / 30 | 1.00 / 0.91 | 0.77 / 0.70 |
//!
//! Within 10 % is noise; the starred were taken in turns as well, but beside a running test suite. So glommio costs a sixth
//! more where answers are small, and is even elsewhere. MEASURED.md A2 saw bare monoio servers at half of glommio's wall
//! throughput with 8 connections that read 1 MiB files. In the whole system, from the page cache, the two were even, in CPU and
//! on the clock. Since then the send buffer of a near client is bounded (`limits::SEND_BUFFER_LOCAL_BYTES`), on monoio's sockets
//! only, which nearly doubled GET 64 MiB on the clock; that this was the difference there is likely, and was not shown.
//!
//! Rules that its users keep (MEASURED.md A3 and A8 say what breaks otherwise):
//! - No `select!` and no timeout over a future of this seam outside of it: deadlines are arguments, and when one
//!   strikes the operation is cancelled *and awaited to its end* here, so that no byte and no descriptor is lost.
//! - A [`DiskFile`] operation runs in a task of its own: its caller's future may be dropped at any time.
//!   A [`Conn`] or [`Listener`] future may not.
//! - Blocking calls go through [`blocking`], never onto a core.

pub mod buf;
pub mod chunk;
pub mod epoll;
pub mod glommio;
pub mod monoio;
pub mod pool;
pub mod probe;
pub mod stop;

mod clock;
mod file;
mod flight;
mod inbox;
pub(crate) mod socket;
pub mod thread;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::os::fd::RawFd;
use std::path::Path;
use std::time::{Duration, Instant};

pub use buf::AlignedBuf;
use bytes::Bytes;
pub use chunk::Chunk;
pub use clock::{boottime_ms, random, unix_ms};
pub(crate) use inbox::{receive_within, within};
pub use pool::blocking;
pub use probe::{Uring, probe, probe_glommio};
pub use stop::Stop;

/// Which core a runtime is for.
#[derive(Clone, Debug)]
pub struct CoreConfig {
    /// Number of the core among ours, from 0. It names the thread and shards metrics.
    pub index: usize,
    /// CPU to pin the thread to; `None` leaves it to the scheduler. Failing to pin is a warning, not an error.
    pub cpu: Option<usize>,
}

/// How a listener is opened.
#[derive(Clone, Debug)]
pub struct ListenConfig {
    pub addr: SocketAddr,
    /// Connections the kernel holds before we accept them.
    pub backlog: i32,
}

/// How a file is opened. Reading is always allowed.
#[derive(Clone, Copy, Debug, Default)]
pub struct OpenOptions {
    /// `O_DIRECT`: offsets, lengths and memory are multiples of 4 KiB; the page cache is not used.
    pub direct: bool,
    /// Creates the file (mode 0600) when it is not there.
    pub create: bool,
    /// With `create`: fails when it is there.
    pub create_new: bool,
    pub write: bool,
    pub truncate: bool,
}

/// One core's runtime: its event loop, clock and randomness.
pub trait Rt: Sized + 'static {
    type Conn: Conn;
    type Listener: Listener<Conn = Self::Conn>;
    type File: DiskFile;

    /// What logs and `status` call it.
    const NAME: &'static str;

    /// Pins this thread, builds the runtime, runs `main` to its end, waits (bounded) for operations that are still in
    /// the kernel, and takes the runtime down.
    ///
    /// # Errors
    /// When the runtime cannot be built (io_uring forbidden, no memory to lock, no descriptors).
    fn run<F: Future>(core: &CoreConfig, main: F) -> io::Result<F::Output>;

    /// Starts a task on this core. It lives until it ends: there is no handle to drop.
    fn spawn<F: Future<Output = ()> + 'static>(task: F);

    /// Opens a listener that shares its port with the other cores (`SO_REUSEPORT`).
    ///
    /// # Errors
    /// The system's, e.g. `AddrInUse`.
    fn listen(config: &ListenConfig) -> io::Result<Self::Listener>;

    /// Connects to another process. Never drop its future.
    ///
    /// # Errors
    /// `TimedOut` at `deadline`, the system's, or `Unsupported` by an implementation that has no network.
    fn connect(addr: SocketAddr, deadline: Instant) -> impl Future<Output = io::Result<Self::Conn>> {
        let _ = (addr, deadline);
        std::future::ready(Err(io::ErrorKind::Unsupported.into()))
    }

    /// A second handle on the same connection, so that one can receive while the other sends. The connection is closed
    /// when both are dropped.
    ///
    /// # Errors
    /// The system's (no descriptors), or `Unsupported`.
    fn duplicate(conn: &Self::Conn) -> io::Result<Self::Conn> {
        let _ = conn;
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Sleeps at least `duration`, to a grain of 1-2 ms. May be dropped.
    fn sleep(duration: Duration) -> impl Future<Output = ()>;

    /// Lets every other ready task and completion have a turn.
    fn yield_now() -> impl Future<Output = ()>;

    /// The monotonic clock that deadlines are measured on.
    fn now() -> Instant {
        Instant::now()
    }

    /// Milliseconds since 1970, as the system believes.
    fn unix_ms() -> u64 {
        clock::unix_ms()
    }

    /// Milliseconds since boot, counting suspend (`CLOCK_BOOTTIME`): what leases are measured on.
    fn boottime_ms() -> u64 {
        clock::boottime_ms()
    }

    /// Fills `out` from the system's generator.
    fn random(out: &mut [u8]) {
        clock::random(out);
    }
}

/// A listening socket of one core.
pub trait Listener: 'static {
    type Conn: Conn;

    /// The next connection; ends with `ErrorKind::Interrupted` once `stop` is set. Never drop its future.
    ///
    /// # Errors
    /// The system's; `EMFILE` and the like are for the caller to wait out.
    fn accept(&self, stop: &Stop) -> impl Future<Output = io::Result<Self::Conn>>;

    /// The address it is bound to, with the port that was chosen when 0 was asked.
    ///
    /// # Errors
    /// The system's.
    fn local_addr(&self) -> io::Result<SocketAddr>;
}

/// A stream connection of one core. One operation at a time.
pub trait Conn: 'static {
    /// Receives into `buf[at]`; the count may be short, 0 is the end of the stream. `at` is within the capacity, and
    /// `buf.len()` grows to the end of what was received if that is further. `TimedOut` when `deadline` came first.
    fn recv(
        &mut self,
        buf: AlignedBuf,
        at: Range<usize>,
        deadline: Instant,
    ) -> impl Future<Output = (io::Result<usize>, AlignedBuf)>;

    /// Sends all of `head`, then all of `body`, as one vectored send where it fits. `TimedOut` when not a single byte
    /// moved for `stall`.
    fn send(
        &mut self,
        head: Bytes,
        body: Option<Chunk>,
        stall: Duration,
    ) -> impl Future<Output = io::Result<()>>;

    /// Waits, without holding a buffer, until something can be received (bytes or the end of the stream).
    /// `TimedOut` at `deadline`, `Interrupted` once `stop` is set.
    fn readable(&mut self, deadline: Instant, stop: &Stop) -> impl Future<Output = io::Result<()>>;

    /// Says that we send nothing more (half-close); receiving goes on.
    fn shutdown_write(&mut self) -> impl Future<Output = ()>;

    /// Where the client is.
    fn peer(&self) -> SocketAddr;
}

/// A file of one core. Each operation finishes in the kernel even if its future is dropped; cheap to clone handles are
/// made with `Rc`.
pub trait DiskFile: Sized + 'static {
    /// # Errors
    /// The system's.
    fn open(path: &Path, options: OpenOptions) -> impl Future<Output = io::Result<Self>>;

    /// Reads up to `len` bytes at `offset` into the start of `buf` and sets `buf.len()` to the count, which is short
    /// only at the end of the file.
    fn read_at(
        &self,
        buf: AlignedBuf,
        offset: u64,
        len: usize,
    ) -> impl Future<Output = (io::Result<usize>, AlignedBuf)>;

    /// Writes all of `buf[..buf.len()]` at `offset`.
    fn write_at(&self, buf: AlignedBuf, offset: u64) -> impl Future<Output = (io::Result<()>, AlignedBuf)>;

    /// Makes written data durable, with the metadata needed to read it back.
    ///
    /// # Errors
    /// The system's. After an error nothing is known about what was written before; it must not be tried again.
    fn fdatasync(&self) -> impl Future<Output = io::Result<()>>;

    /// Reserves `len` bytes from the start and sets the file's size to at least that.
    ///
    /// # Errors
    /// The system's, e.g. `StorageFull`.
    fn fallocate(&self, len: u64) -> impl Future<Output = io::Result<()>>;

    /// Size in bytes now.
    ///
    /// # Errors
    /// The system's.
    fn size(&self) -> impl Future<Output = io::Result<u64>>;

    /// The descriptor, for calls that the seam lacks. It lives as long as `self`.
    fn raw_fd(&self) -> RawFd;
}

#[cfg(test)]
mod tests;
