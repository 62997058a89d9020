//! The runtime where io_uring is forbidden: the same loop and sockets over epoll, files on the bounded thread pool.

use std::fs::File;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::flight;
use super::pool::blocking;
use super::socket::{TcpConn, TcpListener};
use super::{AlignedBuf, CoreConfig, DiskFile, ListenConfig, OpenOptions, Rt, thread};

/// epoll and a thread pool.
#[derive(Debug)]
pub struct EpollRt;

impl Rt for EpollRt {
    type Conn = TcpConn;
    type Listener = TcpListener;
    type File = PoolFile;

    const NAME: &'static str = "monoio-epoll";

    fn run<F: Future>(core: &CoreConfig, main: F) -> io::Result<F::Output> {
        thread::prepare(core);
        let mut runtime = monoio::RuntimeBuilder::<monoio::LegacyDriver>::new().enable_timer().build()?;
        let (output, clean) = runtime.block_on(async { (main.await, flight::drain::<Self>().await) });
        if !clean {
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

    fn yield_now() -> impl Future<Output = ()> {
        // A task that wakes itself is put at the front of monoio's queue and starves all others (its issue 362). A
        // fresh task goes to the end, and wakes us there.
        monoio::spawn(std::future::ready(()))
    }
}

/// A file whose calls run on the pool.
#[derive(Clone, Debug)]
pub struct PoolFile(Arc<File>);

impl DiskFile for PoolFile {
    async fn open(path: &Path, options: OpenOptions) -> io::Result<Self> {
        let path = path.to_owned();
        blocking(move || {
            let mut how = File::options();
            how.read(true).write(options.write).create(options.create).create_new(options.create_new);
            how.truncate(options.truncate).mode(0o600);
            how.custom_flags(if options.direct { libc::O_DIRECT } else { 0 });
            how.open(path).map(|file| Self(Arc::new(file)))
        })
        .await
    }

    async fn read_at(&self, mut buf: AlignedBuf, offset: u64, len: usize) -> (io::Result<usize>, AlignedBuf) {
        let file = Arc::clone(&self.0);
        blocking(move || {
            let mut count = 0;
            while count < len {
                match file.read_at(&mut buf.space()[count..len], offset + count as u64) {
                    Ok(0) => break,
                    Ok(read) => count += read,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return (Err(error), buf),
                }
                if !count.is_multiple_of(super::buf::DIRECT_ALIGN) {
                    break;
                }
            }
            buf.set_len(count);
            (Ok(count), buf)
        })
        .await
    }

    async fn write_at(&self, buf: AlignedBuf, offset: u64) -> (io::Result<()>, AlignedBuf) {
        let file = Arc::clone(&self.0);
        blocking(move || (file.write_all_at(&buf, offset), buf)).await
    }

    async fn fdatasync(&self) -> io::Result<()> {
        let file = Arc::clone(&self.0);
        blocking(move || file.sync_data()).await
    }

    async fn fallocate(&self, len: u64) -> io::Result<()> {
        let file = Arc::clone(&self.0);
        blocking(move || super::file::reserve(&file, len)).await
    }

    async fn size(&self) -> io::Result<u64> {
        let file = Arc::clone(&self.0);
        blocking(move || file.metadata().map(|metadata| metadata.len())).await
    }

    fn raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}
