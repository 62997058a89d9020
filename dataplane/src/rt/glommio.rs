//! The runtime over glommio: the second implementation of the seam on io_uring, one thread per core as [`super::monoio`].
//!
//! Its sockets are readiness-based: a system call is tried first, and only waiting goes through the ring. So a deadline or
//! [`super::Stop`] drops a wait and loses nothing. What its edges are (MEASURED.md A3, and its sources):
//! - It ends the process when the kernel lacks an operation, so [`probe::probe_glommio`] looks first.
//! - A task's waker is counted in 16 bits, and a cancelled operation keeps one until the loop comes round: an operation
//!   of the ring that is given up again and again in one turn panics. Only `accept` is given up here, and only once.
//! - `spawn_local` runs the new task inside its spawner, who may hold a borrow: tasks are put at the end of the queue.
//! - **It may sleep for good.** Once in some ten runs of the suites on kernel 6.18 an executor slept in `io_uring_enter` with a direct
//!   read or a timer due, and nothing woke it (`a_dropped_read_writes_into_nobodys_memory`, 2026-11-22; cause not found). So
//!   it is for comparing, not for data, and its suites run by hand only: `cargo test --release -p holdfast-dataplane --lib
//!   -- --ignored glommio`.
//! - Its three rings each pin the executor's I/O memory; where the limit forbids it, it goes on without.

mod file;
mod socket;

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use ::glommio::io::BufferedFile;
use ::glommio::task::JoinHandle;
use ::glommio::{GlommioError, LocalExecutorBuilder, Placement};

pub use file::GlommioFile;
pub use socket::{GlommioConn, GlommioListener};

use super::flight::{self, Flight};
use super::{CoreConfig, ListenConfig, Rt, Uring, probe, thread};
use crate::limits::{GLOMMIO_IO_BYTES, GLOMMIO_PREEMPT, RING_ENTRIES};

/// io_uring by glommio.
#[derive(Debug)]
pub struct GlommioRt;

impl Rt for GlommioRt {
    type Conn = GlommioConn;
    type Listener = GlommioListener;
    type File = GlommioFile;

    const NAME: &'static str = "glommio-io_uring";

    fn run<F: Future>(core: &CoreConfig, main: F) -> io::Result<F::Output> {
        thread::prepare(core);
        if let Uring::Forbidden { cause, fix } = probe::probe_glommio() {
            return Err(io::Error::other(format!("{cause}; {fix}")));
        }
        // Unbound, because `prepare` has pinned the thread, and a failure to pin is not an error.
        let executor = LocalExecutorBuilder::new(Placement::Unbound)
            .name(&format!("core-{}", core.index))
            .io_memory(GLOMMIO_IO_BYTES)
            .ring_depth(RING_ENTRIES as usize)
            .preempt_timer(GLOMMIO_PREEMPT)
            .make()
            .map_err(plain)?;
        thread::bound_io_workers();
        let (output, clean) = executor.run(async { (main.await, end().await) });
        if !clean {
            // The kernel may still write into buffers that only the executor's bookkeeping owns.
            std::mem::forget(executor);
        }
        Ok(output)
    }

    fn spawn<F: Future<Output = ()> + 'static>(task: F) {
        let queue = glommio::executor().current_task_queue();
        let task = glommio::spawn_local_into(task, queue).expect("the queue that is running is there");
        // Dropping the handle detaches the task.
        drop(task.detach());
    }

    fn listen(config: &ListenConfig) -> io::Result<GlommioListener> {
        GlommioListener::bind(config)
    }

    fn connect(addr: SocketAddr, deadline: Instant) -> impl Future<Output = io::Result<GlommioConn>> {
        GlommioConn::connect(addr, deadline)
    }

    fn duplicate(conn: &GlommioConn) -> io::Result<GlommioConn> {
        conn.duplicate()
    }

    fn sleep(duration: Duration) -> impl Future<Output = ()> {
        glommio::timer::sleep(duration)
    }

    async fn yield_now() {
        // Yielding its queue would only put this task behind the ready ones: the rings have a turn when no task is
        // ready, or after GLOMMIO_PREEMPT. Reading nothing passes through the ring.
        let null = NULL.with(|null| match &mut *null.borrow_mut() {
            Some(file) => Ok(Rc::clone(file)),
            empty => file::open_null().map(|file| Rc::clone(empty.insert(Rc::new(file)))),
        });
        if let Ok(null) = null {
            let flight = Flight::start();
            drop(null.read_at(0, 1).await);
            flight.land();
        }
    }
}

thread_local! {
    /// Where [`Rt::yield_now`] reads nothing from.
    static NULL: RefCell<Option<Rc<BufferedFile>>> = const { RefCell::new(None) };
}

/// Waits for what is in flight, closes what belongs to the executor, and lets its closes and cancellations reach the ring.
async fn end() -> bool {
    let clean = flight::drain::<GlommioRt>().await;
    drop(NULL.take());
    GlommioRt::sleep(Duration::from_millis(1)).await;
    clean
}

/// Starts `op` in a task of its own, so that it reaches its end whatever becomes of the caller.
async fn in_task<T: 'static>(op: impl Future<Output = T> + 'static) -> T {
    let task: JoinHandle<T> = glommio::spawn_local(async move {
        let flight = Flight::start();
        let done = op.await;
        flight.land();
        done
    })
    .detach();
    task.await.expect("a file operation does not panic")
}

/// The system's own error, where there is one: glommio wraps it in a sentence that loses the number.
fn plain(error: GlommioError<()>) -> io::Error {
    match error {
        GlommioError::EnhancedIoError { source, .. } => source,
        other => other.into(),
    }
}
