//! A control plane: the real authority over the model of the database.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use holdfast_controlplane::server::Lengths;
use holdfast_controlplane::server::simulated::{Simulated, serve};
use tokio::sync::oneshot;
use tokio_stream::wrappers::UnboundedReceiverStream;
use uuid::Uuid;

use super::machine::Machine;
use super::process::Process;
use super::truth::Reached;
use super::world::{Place, World};

/// Lease of a session: short against the term, so that both end within a history.
pub const LEASE_MS: u64 = 1_500;
/// Places of control planes begin here.
const FIRST: u32 = 100;

#[must_use]
pub fn place_of(number: u32) -> Place {
    Place(FIRST + number)
}

/// The control plane that says so of itself.
#[must_use]
pub fn number_of(url: &str) -> Option<u32> {
    (0..FIRST).find(|number| url_of(*number) == url)
}

/// Where nodes find it.
#[must_use]
pub fn url_of(number: u32) -> String {
    format!("http://10.0.0.{}:9003", number + 1)
}

/// A process that can be asked to stop.
pub(super) struct Control {
    pub(super) process: Process,
    stop: Option<oneshot::Sender<()>>,
    stopped: Arc<AtomicBool>,
}

impl Control {
    /// Asks it to give leadership back and to end.
    pub(super) fn stop(&mut self) {
        drop(self.stop.take());
    }

    /// It has done what it was asked.
    pub(super) fn has_stopped(&self) -> bool {
        self.stopped.load(Relaxed)
    }
}

pub(super) fn start(world: &World, number: u32) -> Control {
    let (url, place) = (url_of(number), place_of(number));
    let machine = Machine::new(world, place);
    let process = Process::start(Arc::clone(&machine));
    let lengths = Lengths { lease_ms: LEASE_MS, access_ms: LEASE_MS };
    let settings = Simulated { cluster_id: Uuid::from_u128(0xc1), holder: url.clone(), lengths };
    let (stop, asked) = oneshot::channel();
    let stopped = Arc::new(AtomicBool::new(false));
    let (ended, asked) = (Arc::clone(&stopped), async move { drop(asked.await) });
    let incoming = UnboundedReceiverStream::new(world.listen(&url, place));
    process.spawn(async move {
        if let Err(error) = serve(settings, Arc::new(Reached(machine)), incoming, asked).await {
            panic!("a simulated control plane does not serve: {error}");
        }
        ended.store(true, Relaxed);
    });
    Control { process, stop: Some(stop), stopped }
}
