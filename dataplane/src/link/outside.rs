//! What the link wants of the machine: its clocks, its randomness, and a way to the control plane.

use std::future::Future;
use std::pin::Pin;

use tonic::transport::{Channel, Endpoint, Error};

/// A connection that is being made.
pub type Connecting<'a> = Pin<Box<dyn Future<Output = Result<Channel, Error>> + Send + 'a>>;

/// See the module. Implemented by the machine and by the simulator.
pub trait Outside: Send + Sync + 'static {
    /// Milliseconds since boot, counting suspend: what leases are measured on.
    fn boottime_ms(&self) -> u64;

    /// Milliseconds since 1970, as the machine believes.
    fn unix_ms(&self) -> u64;

    fn random(&self, out: &mut [u8]);

    /// A channel to one control plane.
    fn connect(&self, endpoint: Endpoint) -> Connecting<'_>;
}

/// This machine.
pub struct Machine;

impl Outside for Machine {
    fn boottime_ms(&self) -> u64 {
        crate::rt::boottime_ms()
    }

    fn unix_ms(&self) -> u64 {
        crate::rt::unix_ms()
    }

    fn random(&self, out: &mut [u8]) {
        crate::rt::random(out);
    }

    fn connect(&self, endpoint: Endpoint) -> Connecting<'_> {
        Box::pin(async move { endpoint.connect().await })
    }
}
