//! Every bound and start value of the instruments, each with its reason.

use std::time::Duration;

/// Read buffer of a connection: large enough that a 64 MiB body is a few hundred reads, small enough to stay in L2.
pub const READ_BUFFER_BYTES: usize = 256 * 1024;

/// The system's certificates, where Debian and its relatives keep them.
pub const CA_FILE: &str = "/etc/ssl/certs/ca-certificates.crt";

/// An answer's head may have this much; more is not an S3 endpoint.
pub const ANSWER_HEAD_BYTES_MAX: usize = 32 * 1024;

/// How much of an error's XML is kept, to find its `<Code>`.
pub const ERROR_BODY_BYTES_MAX: usize = 8 * 1024;

/// Bytes of an aws-chunk, as AWS's SDKs send them.
pub const AWS_CHUNK_BYTES: usize = 64 * 1024;

/// Different contents among the keys, so that an answer for another key is noticed. Small bodies have many.
pub const CONTENTS_SMALL: usize = 16;

/// Large bodies have few, because each is hashed before the run.
pub const CONTENTS_LARGE: usize = 2;

/// Up to here a body is small.
pub const SMALL_BODY_BYTES_MAX: u64 = 1024 * 1024;

/// A continuous distribution of sizes is as many sizes: a lognormal one's mean is then 2 % low at a sigma of 1, 18 % at 2,
/// for what lies above the last middle is missing.
pub const SIZE_SHARES: u32 = 64;

/// Contents are windows of one buffer, this far apart: odd, so that no two align.
pub const CONTENT_STRIDE_BYTES: usize = 4099;

/// Slices handed to one `writev`. Linux takes 1024.
pub const WRITE_SLICES_MAX: usize = 512;

/// Keys in one DeleteObjects request: S3's own bound.
pub const DELETE_KEYS_MAX: usize = 1000;

/// Keys on one page of a listing: S3's own bound.
pub const LIST_PAGE_KEYS: u32 = 1000;

/// A bucket that was just made may need a moment on eventually consistent servers.
pub const RECONNECT_PAUSE: Duration = Duration::from_millis(10);

/// How often resident memory is looked at during a run. Reading /proc costs the kernel ~20 us per process.
pub const MEMORY_SAMPLE_EVERY: Duration = Duration::from_millis(100);

/// How often the run's end is looked for: the error of a window that ends early.
pub const WATCH_EVERY: Duration = Duration::from_millis(10);

/// How often the progress line is written: a run must not be measured with its own display.
pub const PROGRESS_EVERY: Duration = Duration::from_millis(250);

/// Width of the bar in it.
pub const PROGRESS_BAR_CHARS: usize = 30;

/// Descriptors of the client besides its connections: runtimes, timers, files of /proc.
pub const DESCRIPTORS_BESIDE: u64 = 64;

/// Connections opened at once on the way to many idle ones: a listen queue of 128 must hold them.
pub const OPENING_MAX: usize = 64;

/// Reads of a server's memory that are averaged: one read may fall into a buffer's moment.
pub const MEMORY_READS: u32 = 5;

/// Connecting to a metrics address and reading it.
pub const SCRAPE_TIMEOUT: Duration = Duration::from_secs(5);

/// Above this share of its threads the client is taken for the limit, and the report says so.
pub const CLIENT_BOUND_SHARE: f64 = 0.9;

/// Connections of a preload phase: enough for group commit to bite, whatever the run's own concurrency.
pub const PRELOAD_CONNECTIONS_MIN: usize = 8;

/// Memory that a preload may hold in server buffers: large objects are loaded by fewer connections.
pub const PRELOAD_BYTES_IN_FLIGHT_MAX: u64 = 256 * 1024 * 1024;

/// Keys that one round of `compare`'s DELETE uses up, in each system: putting them takes the slowest peer 15 s.
pub const COMPARE_DELETE_KEYS: u64 = 6000;

/// How long the keys are read before the first turn that reads them: most of 20,000 small ones are read once.
pub const COMPARE_FIRST_READS: Duration = Duration::from_secs(2);

/// How long a system is written to before the first turn that writes: SeaweedFS makes a bucket's volumes then, in about a second.
pub const COMPARE_FIRST_WRITES: Duration = Duration::from_millis(300);

/// How often a system that starts or stops is looked at.
pub const UP_EVERY: Duration = Duration::from_millis(50);

/// A system that does not serve after this long is not going to: initdb on a busy disk took 12 s.
pub const UP_PATIENCE: Duration = Duration::from_secs(90);

/// A process that was asked to stop is killed after this: its data is removed next, and SeaweedFS that was written to takes 15 s and
/// more.
pub const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// Systems that wait for their turn are at rest below this many cores together. Holdfast, SeaweedFS and two Garages, all idle, use
/// 0.02 to 0.04.
pub const REST_CORES_MAX: f64 = 0.1;

/// Over this much time their CPU is looked at: the tick of /proc is 10 ms, so less would see 0 or far too much.
pub const REST_LOOK: Duration = Duration::from_millis(300);

/// A turn begins after this even if the others are still busy with themselves; then the turn says so.
pub const REST_PATIENCE: Duration = Duration::from_secs(10);
