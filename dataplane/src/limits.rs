//! Every bound of the data plane, each with its reason.

use std::time::Duration;

// ---- runtime (rt) -------------------------------------------------------------------------------------------------

/// Smallest pooled buffer, bytes: a request head, a drive's block.
pub const POOL_CLASS_BYTES_MIN: usize = 4 << 10;

/// Largest pooled buffer, bytes: four 256 KiB pieces; larger ones are rare and go straight to the allocator.
pub const POOL_CLASS_BYTES_MAX: usize = 1 << 20;

/// Bytes of idle buffers one thread keeps per size class. Nine classes make at most 72 MiB a core, and only after a
/// burst that used all of them.
pub const POOL_BYTES_MAX_PER_CLASS: usize = 8 << 20;

/// Entries of a core's submission ring. monoio flushes when it is full; 1024 covers a turn of the loop.
pub const RING_ENTRIES: u32 = 1024;

/// Threads for calls that block (`fallocate`, directory work; every file call where io_uring is forbidden). They wait on
/// devices, not on CPUs, so there are more of them than cores.
pub const BLOCKING_THREADS: usize = 8;

/// Calls that wait for a blocking thread. Each stems from a request that holds a budget, so this is only a backstop: at
/// the bound the caller waits.
pub const BLOCKING_QUEUE_MAX: usize = 4096;

/// Kernel helper threads per core and kind: fsync and creating opens need them; one per connection was seen unbounded.
pub const IO_WORKERS_MAX: u32 = 4;

/// How long a runtime waits at its end for operations still in the kernel. Past it the ring is leaked, never freed
/// under the kernel's hands.
pub const DRAIN_WAIT: Duration = Duration::from_secs(5);

// ---- server -------------------------------------------------------------------------------------------------------

// ------------------------------------------------------------------------------------------- link and cache

/// Requests of all cores that may wait for the authority; the next answers 503. 10,000 x ~1 KiB is 10 MiB.
pub const LINK_REQUESTS_MAX: usize = 10_000;

/// Mutations or queries in one message: 500 x ~400 B is a 200 KiB frame, far under `MESSAGE_BYTES_MAX`, even when
/// every key has 1 KiB.
pub const LINK_BATCH_ITEMS: usize = 500;

/// Messages of one stream between queue and socket; more wait in the queue and make the next batch larger.
pub const LINK_MESSAGES_IN_FLIGHT: usize = 16;

/// How long a commit may wait for its answer before the client is told 503. Longer than a takeover of the authority.
pub const COMMIT_DEADLINE: Duration = Duration::from_secs(20);

/// The same for a lookup or a listing.
pub const QUERY_DEADLINE: Duration = Duration::from_secs(10);

pub const LINK_EXPIRY_TICK: Duration = Duration::from_millis(250);
pub const LINK_CONNECT_DEADLINE: Duration = Duration::from_secs(3);
pub const LINK_KEEPALIVE: Duration = Duration::from_secs(5);
pub const LINK_PAUSE_MAX: Duration = Duration::from_secs(2);

/// A session that lived this long forgives the failures before it.
pub const LINK_STEADY: Duration = Duration::from_secs(10);

/// How often the oldest open op id is reported to the reaper, which waits minutes and hours.
pub const LINK_REPORT_TICK: Duration = Duration::from_secs(5);

/// A lease shorter than this would be renewed more often than it is worth.
pub const LEASE_MS_MIN: u64 = 300;

/// Slots of the invalidation array: 65,536 x 8 B are 512 KiB a node; two of 1,000 hot keys share one with odds of 1.5 %,
/// and sharing costs a lookup, never a wrong answer.
pub const CACHE_SLOTS: usize = 1 << 16;

/// Buckets a node caches from at once.
pub const CACHE_BUCKETS_MAX: usize = 10_000;

/// Records each core keeps in its own memory: 16,384 x ~700 B is about 11 MiB.
pub const CACHE_HOT_RECORDS_PER_CORE: usize = 16_384;

pub const CACHE_BLOCK_CACHE_BYTES: usize = 16 << 20;
pub const CACHE_WRITE_BUFFER_BYTES: usize = 8 << 20;

/// Fills and evictions waiting for the writer thread; a fill past it is dropped, an eviction waits.
pub const CACHE_WRITES_QUEUED: usize = 8_192;
pub const CACHE_READS_QUEUED: usize = 1_024;
pub const CACHE_BATCH_ITEMS: usize = 512;

/// Own fills remembered so that their own invalidation spares them: 65,536 x 16 B is 1 MiB.
pub const CACHE_FRESH_MAX: usize = 1 << 16;

/// How long a stopping node waits for the cache to be flushed.
pub const CACHE_STOP_DEADLINE: Duration = Duration::from_secs(5);
