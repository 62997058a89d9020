//! The runtime over io_uring: monoio, one thread per core, sockets and files on the same ring.
//!
//! A ring with `SINGLE_ISSUER` and `DEFER_TASKRUN` handles completions only when the loop waits for them, not when it
//! merely submits; so a task that yields must go through the ring once ([`Rt::yield_now`] does), or it would starve
//! every completion.

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use ::monoio::fs::File;

use super::buf::Window;
use super::flight::{self, Flight};
use super::socket::{TcpConn, TcpListener};
use super::{AlignedBuf, CoreConfig, DiskFile, ListenConfig, OpenOptions, Rt, Uring, probe, thread};
use crate::limits::RING_ENTRIES;

/// io_uring.
#[derive(Debug)]
pub struct UringRt;

impl Rt for UringRt {
    type Conn = TcpConn;
    type Listener = TcpListener;
    type File = UringFile;

    const NAME: &'static str = "monoio-io_uring";

    fn run<F: Future>(core: &CoreConfig, main: F) -> io::Result<F::Output> {
        thread::prepare(core);
        let defer_taskrun = match probe::probe() {
            Uring::Available { defer_taskrun } => defer_taskrun,
            Uring::Forbidden { cause, fix } => return Err(io::Error::other(format!("{cause}; {fix}"))),
        };
        let mut runtime = monoio::RuntimeBuilder::<monoio::IoUringDriver>::new()
            .with_entries(RING_ENTRIES)
            .uring_builder(probe::builder(defer_taskrun))
            .enable_timer()
            .build()?;
        thread::bound_io_workers();
        let (output, clean) = runtime.block_on(async { (main.await, end().await) });
        if !clean {
            // The kernel may still write into buffers that only the ring's bookkeeping owns.
            std::mem::forget(runtime);
        }
        Ok(output)
    }

    fn spawn<F: Future<Output = ()> + 'static>(task: F) {
        // Dropping the handle detaches the task.
        drop(monoio::spawn(task));
    }

    fn listen(config: &ListenConfig) -> io::Result<TcpListener> {
        TcpListener::bind(config)
    }

    fn connect(addr: SocketAddr, deadline: Instant) -> impl Future<Output = io::Result<TcpConn>> {
        TcpConn::connect(addr, deadline)
    }

    fn duplicate(conn: &TcpConn) -> io::Result<TcpConn> {
        conn.duplicate()
    }

    fn sleep(duration: Duration) -> impl Future<Output = ()> {
        monoio::time::sleep(duration)
    }

    async fn yield_now() {
        let null = NULL.with(|null| match &mut *null.borrow_mut() {
            Some(file) => Ok(Rc::clone(file)),
            empty => open_null().map(|file| Rc::clone(empty.insert(file))),
        });
        if let Ok(null) = null {
            let flight = Flight::start();
            drop(null.read_at(Vec::new(), 0).await);
            flight.land();
        }
    }
}

thread_local! {
    /// Where [`Rt::yield_now`] reads nothing from: a no-op that passes through the ring.
    static NULL: RefCell<Option<Rc<File>>> = const { RefCell::new(None) };
}

fn open_null() -> io::Result<Rc<File>> {
    File::from_std(std::fs::File::open("/dev/null")?).map(Rc::new)
}

/// Waits for what is in flight and closes what belongs to the ring.
async fn end() -> bool {
    let clean = flight::drain::<UringRt>().await;
    drop(NULL.take());
    clean
}

/// A file on the ring.
#[derive(Debug)]
pub struct UringFile(Rc<File>);

/// Runs `op` in a task of its own, so that it reaches its end whatever becomes of the caller.
async fn in_task<T: 'static>(op: impl Future<Output = T> + 'static) -> T {
    monoio::spawn(async move {
        let flight = Flight::start();
        let done = op.await;
        flight.land();
        done
    })
    .await
}

impl DiskFile for UringFile {
    async fn open(path: &Path, options: OpenOptions) -> io::Result<Self> {
        let path = path.to_owned();
        in_task(async move {
            let mut how = monoio::fs::OpenOptions::new();
            how.read(true).write(options.write).create(options.create).create_new(options.create_new);
            how.truncate(options.truncate).mode(0o600);
            how.custom_flags(libc::O_CLOEXEC | if options.direct { libc::O_DIRECT } else { 0 });
            how.open(path).await.map(|file| Self(Rc::new(file)))
        })
        .await
    }

    async fn read_at(&self, buf: AlignedBuf, offset: u64, len: usize) -> (io::Result<usize>, AlignedBuf) {
        let file = Rc::clone(&self.0);
        in_task(async move {
            let mut buf = buf;
            buf.clear();
            let mut count = 0;
            while count < len {
                let window = Window::new(buf, count..len);
                let (done, window) = file.read_at(window, offset + count as u64).await;
                buf = window.buf;
                match done {
                    Ok(0) => break,
                    Ok(read) => count += read,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return (Err(error), buf),
                }
                if !count.is_multiple_of(super::buf::DIRECT_ALIGN) {
                    // The end of the file: a device gives whole blocks before it, and asking on would be unaligned.
                    break;
                }
            }
            (Ok(count), buf)
        })
        .await
    }

    async fn write_at(&self, buf: AlignedBuf, offset: u64) -> (io::Result<()>, AlignedBuf) {
        let file = Rc::clone(&self.0);
        in_task(async move { file.write_all_at(buf, offset).await }).await
    }

    async fn fdatasync(&self) -> io::Result<()> {
        let file = Rc::clone(&self.0);
        in_task(async move { file.sync_data().await }).await
    }

    async fn fallocate(&self, len: u64) -> io::Result<()> {
        super::file::fallocate(self.raw_fd(), len).await
    }

    async fn size(&self) -> io::Result<u64> {
        let file = Rc::clone(&self.0);
        in_task(async move { file.metadata().await.map(|metadata| metadata.len()) }).await
    }

    fn raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}
