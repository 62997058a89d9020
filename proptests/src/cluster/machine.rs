//! The machine of a process: its clocks, which may be wrong, its chance, and its connections.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use holdfast_dataplane::link::outside::{Connecting, Outside};
use holdfast_dataplane::rt::{CoreConfig, ListenConfig, Rt};
use hyper_util::rt::TokioIo;
use tonic::codegen::Service;
use tonic::transport::{Endpoint, Uri};

use super::process::current;
use super::wire::{Wire, pair};
use super::world::{EPOCH_MS, Place, World};
use crate::sim::runtime::{SimConn, SimFile, SimListener};

pub(super) struct Machine {
    pub(super) world: World,
    pub(super) place: Place,
    /// What its wall clock is wrong by, milliseconds.
    pub(super) unix_offset_ms: AtomicI64,
    /// When it was booted, on the world's clock.
    pub(super) boot_ms: i64,
}

impl Outside for Machine {
    fn boottime_ms(&self) -> u64 {
        self.world.now_ms().saturating_add_signed(self.boot_ms)
    }

    fn unix_ms(&self) -> u64 {
        (EPOCH_MS + self.world.now_ms()).saturating_add_signed(self.unix_offset_ms.load(Relaxed))
    }

    fn random(&self, out: &mut [u8]) {
        self.world.chance(|rng| rng.fill(out));
    }

    fn connect(&self, endpoint: Endpoint) -> Connecting<'_> {
        let way = Way { world: self.world.clone(), place: self.place };
        Box::pin(async move { endpoint.connect_with_connector(way).await })
    }
}

/// From one place to any listener.
struct Way {
    world: World,
    place: Place,
}

impl Service<Uri> for Way {
    type Response = TokioIo<Wire>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let (world, place) = (self.world.clone(), self.place);
        let url = format!("http://{}", uri.authority().map_or("", |authority| authority.as_str()));
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(world.delay_ms())).await;
            let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
            let (there, accepted) = world.listener(&url).ok_or_else(refused)?;
            if world.is_cut(place, there) || world.is_cut(there, place) {
                // Until the caller's deadline.
                std::future::pending::<()>().await;
            }
            let (mine, theirs) = pair(&world, place, there);
            accepted.send(theirs).map_err(|_| refused())?;
            Ok(TokioIo::new(mine))
        })
    }
}

/// The runtime seam of a node's cores: clocks and tasks of the process that runs, and no sockets or files.
pub(super) struct NodeRt;

impl Rt for NodeRt {
    type Conn = SimConn;
    type Listener = SimListener;
    type File = SimFile;

    const NAME: &'static str = "cluster simulation";

    fn run<F: Future>(_core: &CoreConfig, _main: F) -> io::Result<F::Output> {
        Err(io::Error::other("processes of this simulation are moved on from outside"))
    }

    fn spawn<F: Future<Output = ()> + 'static>(task: F) {
        drop(tokio::task::spawn_local(task));
    }

    fn listen(_config: &ListenConfig) -> io::Result<SimListener> {
        Ok(SimListener::default())
    }

    async fn sleep(duration: Duration) {
        tokio::time::sleep(duration).await;
    }

    async fn yield_now() {
        tokio::task::yield_now().await;
    }

    fn now() -> Instant {
        tokio::time::Instant::now().into_std()
    }

    fn unix_ms() -> u64 {
        current().unix_ms()
    }

    fn boottime_ms() -> u64 {
        current().boottime_ms()
    }

    fn random(out: &mut [u8]) {
        current().random(out);
    }
}

impl Machine {
    /// A machine whose wall clock is wrong by up to hours.
    pub(super) fn new(world: &World, place: Place) -> Arc<Self> {
        let hour_ms = 3_600_000;
        let (wrong_ms, boot_ms) = world.chance(|rng| (rng.below(6 * hour_ms), rng.below(100 * hour_ms)));
        let unix_offset_ms = AtomicI64::new(wrong_ms.cast_signed() - 3 * hour_ms.cast_signed());
        Arc::new(Self { world: world.clone(), place, unix_offset_ms, boot_ms: boot_ms.cast_signed() })
    }
}
