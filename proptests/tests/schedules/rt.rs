//! As much of the runtime seam as flush tickets use.

use std::future::Future;
use std::io;
use std::time::Instant;

pub(crate) trait Rt: Sized + 'static {
    type File: DiskFile;

    fn spawn<F: Future<Output = ()> + 'static>(task: F);

    fn now() -> Instant {
        Instant::now()
    }
}

pub(crate) trait DiskFile: Sized + 'static {
    fn fdatasync(&self) -> impl Future<Output = io::Result<()>>;
}
