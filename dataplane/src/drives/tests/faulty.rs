//! A machine that fails as it is told: the real host and the real files of the epoll runtime, with faults in between.

use std::cell::RefCell;
use std::ffi::OsString;
use std::io;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use parking_lot::Mutex;

use super::*;
use crate::drives::host::{HostFile, Lock, Space, Stat};
use crate::rt::epoll::PoolFile;
use crate::rt::socket::{TcpConn, TcpListener};
use crate::rt::{DiskFile, ListenConfig, OpenOptions};

/// What is asked of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    Open,
    Create,
    Read,
    Write,
    /// A core's write.
    Append,
    Flush,
}

/// What becomes of it.
#[derive(Clone, Copy, Debug)]
pub(super) enum What {
    Error(i32),
    /// Half of it is written, then it fails.
    Short,
    /// Nothing happens until [`Faults::release`].
    Hang,
    Late(Duration),
}

#[derive(Debug)]
struct Rule {
    under: PathBuf,
    op: Op,
    skip: usize,
    times: usize,
    what: What,
}

/// The faults of one test.
#[derive(Debug)]
pub(super) struct Faults {
    began: Instant,
    /// How much faster than the real time that drives and cores see goes.
    speed: u32,
    rules: Mutex<Vec<Rule>>,
    free: AtomicU64,
    full: AtomicBool,
    released: AtomicUsize,
    flushes: Mutex<Vec<PathBuf>>,
}

impl Faults {
    pub(super) fn new() -> Arc<Self> {
        Self::hasty(1)
    }

    /// With a clock that is so many times faster.
    pub(super) fn hasty(speed: u32) -> Arc<Self> {
        Arc::new(Self {
            began: Instant::now(),
            speed,
            rules: Mutex::default(),
            free: AtomicU64::new(0),
            full: AtomicBool::new(false),
            released: AtomicUsize::new(0),
            flushes: Mutex::default(),
        })
    }

    fn now(&self) -> Instant {
        self.began + self.began.elapsed() * self.speed
    }

    /// From the (skip + 1)th such operation on a file under `under` on, so many times.
    pub(super) fn add(&self, under: &Path, op: Op, skip: usize, times: usize, what: What) {
        self.rules.lock().push(Rule { under: under.to_owned(), op, skip, times, what });
    }

    pub(super) fn always(&self, under: &Path, op: Op, what: What) {
        self.add(under, op, 0, usize::MAX, what);
    }

    pub(super) fn clear(&self) {
        self.rules.lock().clear();
        self.released.fetch_add(1, Ordering::AcqRel);
    }

    /// Pretends that so many bytes are free; what would need more fails with ENOSPC.
    pub(super) fn leave_free(&self, bytes: u64) {
        self.free.store(bytes, Ordering::Release);
        self.full.store(true, Ordering::Release);
    }

    fn on(&self, op: Op, path: &Path) -> Option<What> {
        if op == Op::Flush {
            self.flushes.lock().push(path.to_owned());
        }
        let mut rules = self.rules.lock();
        let rule =
            rules.iter_mut().find(|rule| rule.times > 0 && rule.op == op && path.starts_with(&rule.under))?;
        if rule.skip > 0 {
            rule.skip -= 1;
            return None;
        }
        rule.times -= 1;
        Some(rule.what)
    }

    /// For calls that block; a short write is the caller's.
    fn on_blocking(&self, op: Op, path: &Path) -> io::Result<Option<What>> {
        let before = self.released.load(Ordering::Acquire);
        match self.on(op, path) {
            Some(What::Error(errno)) => Err(io::Error::from_raw_os_error(errno)),
            Some(What::Hang) => {
                while self.released.load(Ordering::Acquire) == before {
                    std::thread::sleep(Duration::from_millis(5));
                }
                Ok(None)
            }
            Some(What::Late(by)) => {
                std::thread::sleep(by / self.speed);
                Ok(None)
            }
            other => Ok(other),
        }
    }

    async fn on_core(&self, op: Op, path: &Path) -> io::Result<Option<What>> {
        let before = self.released.load(Ordering::Acquire);
        match self.on(op, path) {
            Some(What::Error(errno)) => Err(io::Error::from_raw_os_error(errno)),
            Some(What::Hang) => {
                while self.released.load(Ordering::Acquire) == before {
                    EpollRt::sleep(Duration::from_millis(5)).await;
                }
                Ok(None)
            }
            Some(What::Late(by)) => {
                EpollRt::sleep(by / self.speed).await;
                Ok(None)
            }
            other => Ok(other),
        }
    }

    pub(super) fn free(&self) -> u64 {
        self.free.load(Ordering::Acquire)
    }

    /// Flushes so far.
    pub(super) fn next_flush(&self) -> usize {
        self.flushes.lock().len()
    }

    pub(super) fn flushed_since(&self, first: usize) -> Vec<PathBuf> {
        self.flushes.lock()[first..].to_vec()
    }

    fn room(&self) -> Option<u64> {
        self.full.load(Ordering::Acquire).then(|| self.free.load(Ordering::Acquire))
    }

    fn spend(&self, bytes: u64) -> io::Result<()> {
        match self.room() {
            Some(free) if free < bytes => Err(io::Error::from_raw_os_error(libc::ENOSPC)),
            Some(free) => {
                self.free.store(free - bytes, Ordering::Release);
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn give_back(&self, bytes: u64) {
        self.free.fetch_add(bytes, Ordering::AcqRel);
    }
}

/// The host as the keepers and recovery see it.
#[derive(Debug)]
pub(super) struct FaultyHost(pub(super) Arc<Faults>);

#[derive(Debug)]
struct File {
    inner: Box<dyn HostFile>,
    path: PathBuf,
    faults: Arc<Faults>,
}

impl Host for FaultyHost {
    fn open(&self, path: &Path, options: OpenOptions) -> io::Result<Box<dyn HostFile>> {
        let op = if options.create { Op::Create } else { Op::Open };
        self.0.on_blocking(op, path)?;
        let inner = RealHost.open(path, options)?;
        Ok(Box::new(File { inner, path: path.to_owned(), faults: Arc::clone(&self.0) }))
    }

    fn names(&self, dir: &Path) -> io::Result<Vec<OsString>> {
        RealHost.names(dir)
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.0.on_blocking(Op::Create, dir)?;
        RealHost.create_dir_all(dir)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.0.give_back(std::fs::metadata(path).map_or(0, |found| found.len()));
        RealHost.remove_file(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealHost.rename(from, to)
    }

    /// Every drive is a device of its own.
    fn stat(&self, path: &Path) -> io::Result<Stat> {
        let found = RealHost.stat(path)?;
        let number = path.to_str().and_then(|path| path.chars().last()?.to_digit(10)).unwrap_or(0);
        Ok(Stat { device: found.device + u64::from(number), ..found })
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        let found = RealHost.space(path)?;
        Ok(self.0.room().map_or(found, |free| Space { free, capacity: 1 << 30 }))
    }

    fn any_file_covers(&self, path: &Path) -> bool {
        RealHost.any_file_covers(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        RealHost.sync_dir(dir)
    }

    fn lock(&self, path: &Path) -> io::Result<Lock> {
        self.0.on_blocking(Op::Create, path)?;
        RealHost.lock(path)
    }

    fn now(&self) -> Instant {
        self.0.now()
    }

    fn unix_ms(&self) -> u64 {
        RealHost.unix_ms()
    }
}

impl HostFile for File {
    fn read_exact_at(&self, out: &mut [u8], offset: u64) -> io::Result<()> {
        self.faults.on_blocking(Op::Read, &self.path)?;
        self.inner.read_exact_at(out, offset)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        if self.faults.on_blocking(Op::Write, &self.path)?.is_some() {
            self.inner.write_all_at(&bytes[..bytes.len() / 2], offset)?;
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.inner.write_all_at(bytes, offset)
    }

    fn size(&self) -> io::Result<u64> {
        self.inner.size()
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        let before = self.inner.size()?;
        self.inner.set_len(bytes)?;
        self.faults.give_back(before.saturating_sub(bytes));
        Ok(())
    }

    fn reserve(&self, bytes: u64) -> io::Result<()> {
        self.faults.spend(bytes)?;
        self.inner.reserve(bytes)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.faults.on_blocking(Op::Flush, &self.path)?;
        self.inner.sync_data()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.faults.on_blocking(Op::Flush, &self.path)?;
        self.inner.sync_all()
    }
}

thread_local! {
    static FAULTS: RefCell<Arc<Faults>> = RefCell::new(Faults::new());
}

/// Runs `main` on a core whose files fail as told.
pub(super) fn on_faulty_core<F: Future<Output = ()>>(
    faults: &Arc<Faults>,
    main: impl FnOnce() -> F + Send + 'static,
) {
    let faults = Arc::clone(faults);
    on_core::<FaultyRt, _>(move || {
        FAULTS.set(faults);
        main()
    });
}

/// epoll with such files.
#[derive(Debug)]
pub(super) struct FaultyRt;

#[derive(Debug)]
pub(super) struct FaultyFile {
    inner: PoolFile,
    path: PathBuf,
    faults: Arc<Faults>,
}

impl Rt for FaultyRt {
    type Conn = TcpConn;
    type Listener = TcpListener;
    type File = FaultyFile;

    const NAME: &'static str = "faulty";

    fn run<F: Future>(core: &CoreConfig, main: F) -> io::Result<F::Output> {
        EpollRt::run(core, main)
    }

    fn spawn<F: Future<Output = ()> + 'static>(task: F) {
        EpollRt::spawn(task);
    }

    fn listen(config: &ListenConfig) -> io::Result<TcpListener> {
        EpollRt::listen(config)
    }

    fn sleep(duration: Duration) -> impl Future<Output = ()> {
        EpollRt::sleep(duration / FAULTS.with_borrow(|faults| faults.speed))
    }

    fn now() -> Instant {
        FAULTS.with_borrow(|faults| faults.now())
    }

    fn yield_now() -> impl Future<Output = ()> {
        EpollRt::yield_now()
    }
}

impl DiskFile for FaultyFile {
    async fn open(path: &Path, options: OpenOptions) -> io::Result<Self> {
        let faults = FAULTS.with_borrow(Arc::clone);
        faults.on_core(if options.create { Op::Create } else { Op::Open }, path).await?;
        Ok(Self { inner: PoolFile::open(path, options).await?, path: path.to_owned(), faults })
    }

    async fn read_at(&self, buf: AlignedBuf, offset: u64, len: usize) -> (io::Result<usize>, AlignedBuf) {
        match self.faults.on_core(Op::Read, &self.path).await {
            Ok(_) => self.inner.read_at(buf, offset, len).await,
            Err(error) => (Err(error), buf),
        }
    }

    async fn write_at(&self, mut buf: AlignedBuf, offset: u64) -> (io::Result<()>, AlignedBuf) {
        let told = match self.faults.on_core(Op::Append, &self.path).await {
            Ok(None) => self.faults.on_core(Op::Write, &self.path).await,
            told => told,
        };
        match told {
            Ok(None) => self.inner.write_at(buf, offset).await,
            Ok(Some(_)) => {
                buf.truncate(buf.len() / 2 / 4096 * 4096);
                let (_, buf) = self.inner.write_at(buf, offset).await;
                (Err(io::ErrorKind::WriteZero.into()), buf)
            }
            Err(error) => (Err(error), buf),
        }
    }

    async fn fdatasync(&self) -> io::Result<()> {
        self.faults.on_core(Op::Flush, &self.path).await?;
        self.inner.fdatasync().await
    }

    async fn fallocate(&self, len: u64) -> io::Result<()> {
        self.inner.fallocate(len).await
    }

    async fn size(&self) -> io::Result<u64> {
        self.inner.size().await
    }

    fn raw_fd(&self) -> RawFd {
        self.inner.raw_fd()
    }
}
