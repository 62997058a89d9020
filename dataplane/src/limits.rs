//! Every bound of the data plane, each with its reason.

use std::time::Duration;

// ---- runtime (rt) -------------------------------------------------------------------------------------------------

/// Smallest pooled buffer, bytes: a request head, a drive's block.
pub const POOL_CLASS_BYTES_MIN: usize = 4 << 10;

/// Largest pooled buffer, bytes: four 256 KiB pieces; larger ones are rare and go straight to the allocator.
pub const POOL_CLASS_BYTES_MAX: usize = 1 << 20;

/// One class between those powers of two: a full piece with its record around it, in whole sectors.
pub const POOL_CLASS_BYTES_PIECE: usize = (256 << 10) + (4 << 10);

/// Bytes of idle buffers one thread keeps per size class. Ten classes make at most 80 MiB a core, and only after a
/// burst that used all of them.
pub const POOL_BYTES_MAX_PER_CLASS: usize = 8 << 20;

/// Entries of a core's submission ring. monoio flushes when it is full; 1024 covers a turn of the loop.
pub const RING_ENTRIES: u32 = 1024;

/// Memory of a core's glommio executor that its files are read into, bytes, and that each of its three rings pins: two
/// cores fit in the usual RLIMIT_MEMLOCK of 8 MiB. Where it does not fit, and for what is larger, memory is not pinned.
pub const GLOMMIO_IO_BYTES: usize = 1 << 20;

/// How long glommio runs ready tasks before it looks at its rings. Its own default, 100 ms, is a long time to a client.
pub const GLOMMIO_PREEMPT: Duration = Duration::from_millis(2);

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

/// Connections the kernel holds for one core before we accept them. The kernel cuts it to net.core.somaxconn.
pub const LISTEN_BACKLOG: i32 = 1024;

/// Connections of one core. One idle costs a task of a few KiB and no buffer; one at work up to 1.5 MiB.
pub const CONNECTIONS_MAX_PER_CORE: usize = 8192;

/// Connections beyond that which one core answers with 503 at a time; further ones are closed without a word.
pub const REFUSALS_MAX: usize = 64;

/// Pause after `accept` fails for want of descriptors or memory: long enough for some to come free.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// From the first byte of a head to its end, and for a whole TLS handshake. Heads are one packet or two.
pub const HEAD_DEADLINE: Duration = Duration::from_secs(10);

/// How long a connection may wait between requests. Longer than the 60 s after which boto3 and Go's clients drop theirs.
pub const IDLE_DEADLINE: Duration = Duration::from_secs(75);

/// How long a connection keeps a buffer after an answer, in the hope of the next request: busy clients come back within
/// a round trip of a local network.
pub const IDLE_WITH_BUFFER: Duration = Duration::from_millis(4);

/// How long a body may stand still, in either direction.
pub const STALL_DEADLINE: Duration = Duration::from_secs(30);

/// Bytes a second that a body must come in with on average, once [`RATE_GRACE`] is over. A 2G modem does better.
pub const RECV_RATE_MIN: u64 = 1 << 10;

/// The same for what we send.
pub const SEND_RATE_MIN: u64 = 1 << 10;

/// Time that a slow start of a body is forgiven.
pub const RATE_GRACE: Duration = Duration::from_secs(60);

/// A body this long in one send is a large answer.
pub const SEND_LARGE_BYTES: usize = 128 << 10;

/// What the kernel may hold of a large answer to a near client (it counts its own overhead by doubling this): enough that
/// 1 GB/s fits through the longest round trip that counts as near, and little enough to stay in a CPU's caches. Of 256 KiB,
/// 416 KiB, 832 KiB and 1.7 MB the second took the least CPU in a model server (BBR, 2-5 runs of 2 s each). It is also Linux'
/// own bound (`wmem_max`). The whole system without and with it, A B A B: GET 64 MiB, 4 connections, 28 and 29 -> 51 and 55 per
/// second, 29 and 30 -> 35 and 39 per CPU-second; GET 1 MiB, 8 connections, 1,644 and 1,566 -> 1,984 and 1,795 per CPU-second.
pub const SEND_BUFFER_LOCAL_BYTES: usize = 208 << 10;

/// The round trip up to which a client is near: the same machine or the same room.
pub const SEND_BUFFER_LOCAL_RTT: Duration = Duration::from_micros(300);

/// First buffer of a head, bytes; a signed PUT of an SDK has about 1 KiB, and small bodies come along.
pub const HEAD_BUFFER_BYTES: usize = 8 << 10;

/// Buffer that a body is received into, bytes: with less, system calls cost more than copying at 5 GB/s.
pub const BODY_BUFFER_BYTES: usize = 256 << 10;

/// Unread body that is read away to keep a connection: 256 KiB are cheaper than a TCP and TLS handshake.
pub const DRAIN_KEEP_BYTES: u64 = 256 << 10;

/// Unread body that is read away before an early answer's connection is closed, so that the client, which may still be
/// sending, reads the answer and not a reset. 16 MiB covers socket buffers of long fat pipes and a whole S3 part.
pub const DRAIN_CLOSE_BYTES: u64 = 16 << 20;

/// The longest that takes.
pub const DRAIN_CLOSE_DEADLINE: Duration = Duration::from_secs(10);

/// How long a core that stops waits for answers under way. Under systemd's 90 s, over a slow 16 MiB part.
pub const STOP_DEADLINE: Duration = Duration::from_secs(25);

/// TLS records gathered for one send, bytes.
pub const TLS_SEND_BYTES: usize = 128 << 10;

/// Operational requests at a time (`/metrics`, health); a scraper and a load balancer need two.
pub const OPS_CONNECTIONS_MAX: usize = 16;

/// How long one may take to be sent or read.
pub const OPS_DEADLINE: Duration = Duration::from_secs(5);

/// Largest operational request head, bytes.
pub const OPS_HEAD_BYTES_MAX: usize = 8 << 10;

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

/// Requests of background work under way at once: jobs, reports and settling do not wait for each other.
pub const LINK_WORK_CALLS: usize = 8;

/// Requests of background work that wait for a free call; the agent has fewer loops than that, and waits itself.
pub const LINK_WORK_QUEUED: usize = 16;

/// How long one may take: settling 1000 op ids is one statement of the authority's.
pub const WORK_DEADLINE: Duration = Duration::from_secs(20);

pub const LINK_EXPIRY_TICK: Duration = Duration::from_millis(250);
pub const LINK_CONNECT_DEADLINE: Duration = Duration::from_secs(3);
/// From the first packet to the welcome and all three streams: a control plane that accepts and then says nothing (it is
/// paused, or its database is) is left for the next one.
pub const LINK_OPEN_DEADLINE: Duration = Duration::from_secs(5);
pub const LINK_KEEPALIVE: Duration = Duration::from_secs(5);
/// Half a follower's patience more: who takes over is found within a second.
pub const LINK_PAUSE_MAX: Duration = Duration::from_secs(1);
/// A control plane that could not be used is not tried again on another's hint for this long.
pub const LINK_AVOID: Duration = Duration::from_secs(5);
/// Before a node asks again that was told not to come back: an administrator may have changed something meanwhile.
pub const LINK_PAUSE_PERMANENT: Duration = Duration::from_secs(30);

/// A session that lived this long forgives the failures before it.
pub const LINK_STEADY: Duration = Duration::from_secs(10);

/// How often the oldest open op id is reported to the reaper, which waits minutes and hours.
pub const LINK_REPORT_TICK: Duration = Duration::from_secs(5);

/// How long a request waits for the node's access lease to come back before it is answered 503, milliseconds. A leader that stops
/// in order is replaced within it; after a crash clients are told to come back.
pub const LEASE_WAIT_MS: u64 = 5000;
pub const LEASE_WAIT_TICK: Duration = Duration::from_millis(20);
/// A control plane has this long for making a certificate.
pub const ENROL_DEADLINE: Duration = Duration::from_secs(10);
/// How often the files of the node's identity are looked at, and whether it is time to renew: three `stat` calls.
pub const IDENTITY_TICK: Duration = Duration::from_secs(2);
/// Tries that fit into what is left of a certificate, and the pauses between them at least and at most.
pub const RENEW_TRIES: u64 = 50;
pub const RENEW_PAUSE_MIN: Duration = Duration::from_secs(5);
pub const RENEW_PAUSE_MAX: Duration = Duration::from_secs(600);

/// How often a node writes down the highest commit that its clients were told of.
pub const ACKNOWLEDGED_TICK: Duration = Duration::from_secs(1);

/// A lease shorter than this would be renewed more often than it is worth.
pub const LEASE_MS_MIN: u64 = 300;

/// Slots of the invalidation array: 65,536 x 8 B are 512 KiB a node. A record in a core's memory whose slot another key raised is
/// asked of RocksDB again, which evicts by key; so this need not grow with the objects.
pub const CACHE_SLOTS: usize = 1 << 16;

/// Buckets a node caches from at once.
pub const CACHE_BUCKETS_MAX: usize = 10_000;

/// Records each core keeps in its own memory: 32,768 x ~700 B is about 22 MiB.
pub const CACHE_HOT_RECORDS_PER_CORE: usize = 32_768;

pub const CACHE_BLOCK_CACHE_BYTES: usize = 16 << 20;
pub const CACHE_WRITE_BUFFER_BYTES: usize = 8 << 20;

/// Fills and evictions waiting for the writer thread; a fill past it is dropped, an eviction waits.
pub const CACHE_WRITES_QUEUED: usize = 8_192;
pub const CACHE_READS_QUEUED: usize = 1_024;
pub const CACHE_BATCH_ITEMS: usize = 512;
/// How long a fill waits for others to be written with.
pub const CACHE_GATHER: Duration = Duration::from_millis(5);

/// Own fills remembered so that their own invalidation spares them: 65,536 x 16 B is 1 MiB.
pub const CACHE_FRESH_MAX: usize = 1 << 16;

/// How long a stopping node waits for the cache to be flushed.
pub const CACHE_STOP_DEADLINE: Duration = Duration::from_secs(5);

// ---- drives and their index ---------------------------------------------------------------------------------------

/// Size of a segment on a drive of [`SEGMENT_LARGE_FROM_BYTES`] or more: 64 MiB are written in a tenth of a second, so the
/// seal's flush is noise, and a scan of the open ones is short.
pub const SEGMENT_BYTES: u64 = 64 << 20;
/// The same on smaller drives, where several open segments of 64 MiB per core would be felt.
pub const SEGMENT_BYTES_SMALL: u64 = 16 << 20;
/// Where a drive stops being small.
pub const SEGMENT_LARGE_FROM_BYTES: u64 = 2 << 40;
/// Smallest segment that a test may ask for: it holds the largest record, its header and a table.
pub const SEGMENT_BYTES_MIN: u64 = 5 << 20;
/// The same in simulations, whose pieces are those of real blobs (256 KiB): a whole batch, a header and a table.
pub const SEGMENT_BYTES_SIMULATED: u64 = 5 << 18;

/// Bytes that one write carries at most: the largest pooled buffer. A single larger record goes alone.
pub const BATCH_BYTES: usize = POOL_CLASS_BYTES_MAX;
/// Pieces from this on are written from the buffer they came in, each by a write of its own, padded to a sector: at worst 3 %
/// of the drive. Smaller ones are copied together.
pub const WRITE_IN_PLACE_BYTES_MIN: usize = 128 << 10;
/// Payload waiting to be written on one (core, drive). Two rows of 32 large uploads; beyond it appends wait, and on a
/// drive that hangs they are refused.
pub const APPEND_QUEUE_BYTES_MAX: usize = 32 << 20;
/// Appends waiting for room in that queue.
pub const APPEND_WAITERS_MAX: usize = 1024;
/// A write that lasts longer makes its drive `Busy` for what exceeds the queue.
pub const WRITE_STALL: Duration = Duration::from_secs(2);

/// Segments a drive keeps zeroed and ready: one for each of two cores, and [`SEGMENTS_KEPT`].
pub const SEGMENTS_READY: usize = 3;
/// Free segments that only deletes may take: on a disk that others filled to the last byte there is room for thousands of
/// them, and they give room back.
pub const SEGMENTS_KEPT: usize = 1;
/// Zeros written at a time in the background; what a core's request for a segment waits behind at most.
pub const ZERO_CHUNK_BYTES: usize = 1 << 20;
/// Requests to a drive's keeper thread: takes, seals, deletes. Cores wait beyond it.
pub const KEEPER_QUEUE_MAX: usize = 4096;
/// How long a keeper that is never without jobs puts off its background work: a step of it takes a few milliseconds.
pub const KEEPER_IDLE_BY: Duration = Duration::from_millis(100);
/// How often a keeper looks whether its drive is still there and has room.
pub const KEEPER_REST: Duration = Duration::from_secs(1);
/// How long it leaves making room alone after that failed.
pub const KEEPER_RETRY: Duration = Duration::from_secs(10);
/// Deletes gathered into one write and one flush.
pub const DELETES_PER_BATCH_MAX: usize = 512;
/// How long the keeper gathers them.
pub const DELETES_GATHER: Duration = Duration::from_millis(10);

/// Failed writes in a row, failed reads in a row, or failed flushes at all, after which a drive leaves the write set; and
/// segments in a row that a start cannot read, after which it does without the drive.
pub const DRIVE_ERRORS_MAX: u32 = 3;
/// How often a core looks at what it has under way on a drive.
pub const DRIVE_TICK: Duration = Duration::from_secs(1);
/// Looks at one and the same write or flush after which it hangs, and its drive has failed. Disks try a bad sector for 7 to
/// 30 s, and network disks stall as long when they move; half of that is seen as slowness, which is forgiven.
pub const DRIVE_HUNG_TICKS: u32 = 30;
/// A drive is slow when a write and its flush take so many times as long as the median of its siblings ...
pub const SLOW_FACTOR: u32 = 8;
/// ... and at least this long: below it, uploads do not feel the difference between a hard disk and flash.
pub const SLOW_FLOOR: Duration = Duration::from_millis(100);
/// ... for so long: longer than a disk's own housekeeping, shorter than people wait.
pub const SLOW_AFTER: Duration = Duration::from_secs(10);
/// One sample counts as no more than this, so that a single stall condemns nobody: a sixteenth of it is under the floor.
pub const SLOW_SAMPLE_MAX: Duration = Duration::from_secs(1);
/// Siblings at work that it takes to compare: with fewer it may as well be the other one that is fast.
pub const SLOW_SIBLINGS_MIN: usize = 2;
/// A sibling's pace is of use for so long.
pub const SLOW_SIBLINGS_FRESH: Duration = Duration::from_secs(30);
/// Time between two tries of a slow drive, and the bytes of one.
pub const SLOW_TRY_EVERY: Duration = Duration::from_secs(5);
pub const SLOW_TRY_BYTES: usize = 64 << 10;
/// How long it must be well; twice as long after each relapse, up to 32 minutes.
pub const SLOW_WELL_AFTER: Duration = Duration::from_secs(60);
pub const SLOW_RELAPSES_MAX: u32 = 6;
const _: () = assert!(SLOW_SAMPLE_MAX.as_millis() / 16 < SLOW_FLOOR.as_millis());

/// Twice as long without a turn, and a keeper hangs in its disk: a stopping process leaves it behind.
pub const KEEPER_STOP_WAIT: Duration = Duration::from_secs(5);
/// Free bytes a drive keeps for deletes and for whoever shares its file system: a twentieth, at most this.
pub const DRIVE_RESERVE_BYTES_MAX: u64 = 1 << 30;

/// Segment files one core keeps open for reading, over all drives.
pub const READ_FILES_MAX: usize = 256;
/// Places of small objects' pieces one core remembers: 32,768 x 56 B are 1.8 MB, for as many hot objects as
/// [`CACHE_HOT_RECORDS_PER_CORE`].
pub const PLACES_REMEMBERED_PER_CORE: usize = 1 << 15;
/// Records up to this are read whole in one go; of larger ones the header and the blocks asked for.
pub const READ_WHOLE_BYTES_MAX: usize = 64 << 10;
/// How often a read asks the index again when the piece is not whole where it was said to be: it may have moved, and
/// moved again.
pub const LOOKUPS_PER_READ: usize = 3;
/// What a verification reads at a time: a larger record goes alone.
pub const VERIFY_WINDOW_BYTES: u64 = 1 << 20;
/// Entries of the index it looks at in one go, and what each counts for against its bytes.
pub const VERIFY_ENTRIES: usize = 4096;
pub const VERIFY_ENTRY_COST_BYTES: u64 = 64;
/// Rotten pieces found in passing that wait for a verification to tell them.
pub const VERIFY_FINDINGS_MAX: usize = 1024;

/// Garbage in percent of what sealed segments take at which compaction begins. With the few percent that may come up
/// while it runs, a quarter is the bound of space amplification; each percent less costs writes (1 / share of garbage).
pub const COMPACT_GARBAGE_PERCENT: u64 = 20;
/// The same on a drive that is within a tenth of its capacity of being full.
pub const COMPACT_GARBAGE_PERCENT_TIGHT: u64 = 5;
/// What compaction reads and writes in a second on a drive that is not used, or whose space is wanted; less than one hard
/// disk does.
pub const COMPACT_BYTES_PER_SECOND: i64 = 160 << 20;
/// The same on a drive in use: a fifth of a hard disk.
pub const COMPACT_BYTES_PER_SECOND_BUSY: i64 = 32 << 20;
/// What it reads in one step, during which a core may wait for a segment.
pub const COMPACT_STEP_BYTES: u64 = 1 << 20;
/// How often it looks whether there is too much garbage.
pub const COMPACT_LOOK: Duration = Duration::from_millis(250);
/// The longest it waits for its budget in one go.
pub const COMPACT_PAUSE_MAX: Duration = Duration::from_millis(200);

/// Deletes that one round of collection holds in memory, beyond those of one segment: 400,000 x ~50 B is 20 MB.
pub const COLLECT_DELETES_MAX: usize = 400_000;
/// Further small segments of deletes (each restart leaves one) that make a round worth its reads.
pub const COLLECT_SEGMENTS_MAX: usize = 8;
/// How often a round is put off while empty segments wait to be given back, and for how long each time.
pub const COLLECT_PATIENCE: u32 = 50;
pub const COLLECT_WAIT: Duration = Duration::from_millis(100);
/// How often a keeper looks whether a round is worth it.
pub const COLLECT_LOOK: Duration = Duration::from_secs(5);

/// What recovery reads at a time.
pub const SCAN_WINDOW_BYTES: usize = 8 << 20;

/// RocksDB's block cache for the drive index.
pub const INDEX_CACHE_BYTES: usize = 32 << 20;
/// One write buffer; all together hold twice that.
pub const INDEX_WRITE_BUFFER_BYTES: usize = 16 << 20;
/// Files RocksDB holds open for the index.
pub const INDEX_FILES_MAX: i32 = 256;
/// Messages to the index thread; writers wait beyond it.
pub const INDEX_QUEUE_MAX: usize = 4096;
/// Messages it takes into one RocksDB batch.
pub const INDEX_BATCH_MAX: usize = 512;
/// How long an insert waits for others to be written with; a lookup of something cold may wait behind it.
pub const INDEX_GATHER: Duration = Duration::from_millis(1);
/// Entries counted at a time after a crash, between two looks at the queue: a millisecond or two.
pub const INDEX_COUNT_STEP: usize = 4096;
/// Entries after which a page of a survey ends with the fragment it is at: as many milliseconds of the worker's time.
pub const INDEX_SURVEY_ENTRIES_MAX: usize = 16_384;
/// Time between checkpoints while segments are being sealed.
pub const INDEX_CHECKPOINT_EVERY: Duration = Duration::from_secs(30);

/// A commit refused with "try again" is tried again so often, a little later each time: 5 x 15 ms on average.
pub const COMMIT_RETRIES_MAX: u32 = 5;
pub const COMMIT_RETRY_PAUSE: Duration = Duration::from_millis(5);
/// For how long one tries to tell a bucket something that others keep telling things; fifty at once take half a second.
pub const CONFIGURE_PATIENCE_MS: u64 = 10_000;

// ---- blobs --------------------------------------------------------------------------------------------------------

/// Rows of one blob in memory, reading or writing: one that moves over the network and one that moves to or from drives.
/// 2 rows of 4+2 pieces of 256 KiB are 3 MiB per request, whatever the object's size.
pub const BLOB_ROWS_IN_FLIGHT: usize = 2;

/// Once the write quorum is reached, how long the others are waited for. A drive in good health is late by its queue, not
/// by this; what is cut off becomes a repair job, which costs more than the wait.
pub const BLOB_LAGGARD_WAIT: Duration = Duration::from_millis(100);

/// The same where the quorum leaves nothing to spare (one parity fragment): cutting off a late drive would leave a blob
/// that the next failure destroys, so it gets as long as a sick drive may need to be found out.
pub const BLOB_LAGGARD_WAIT_SPARELESS: Duration = Duration::from_secs(5);

/// How long the write quorum itself may take before the request fails.
pub const BLOB_QUORUM_WAIT: Duration = Duration::from_secs(30);

/// A piece that is not there by then is computed from others, if the code has some to spare.
pub const BLOB_READ_PATIENCE: Duration = Duration::from_secs(1);

/// How long a row may take to be read before the request fails.
pub const BLOB_READ_WAIT: Duration = Duration::from_secs(30);

/// The grain of these waits. At most one timer per blob is out.
pub const BLOB_TICK: Duration = Duration::from_millis(50);

const _: () = assert!(BLOB_TICK.as_millis() < BLOB_LAGGARD_WAIT.as_millis());
const _: () = assert!(BLOB_LAGGARD_WAIT.as_millis() < BLOB_LAGGARD_WAIT_SPARELESS.as_millis());
const _: () = assert!(BLOB_LAGGARD_WAIT_SPARELESS.as_millis() < BLOB_QUORUM_WAIT.as_millis());
const _: () = assert!(BLOB_READ_PATIENCE.as_millis() < BLOB_READ_WAIT.as_millis());

/// What one body takes at most, whatever its size: two rows of 4 x 256 KiB under way, one buffer received, one being hashed.
pub const BODY_BYTES_MAX_PER_REQUEST: u64 = 3 << 20;

/// Bodies of a known size up to this are hashed where they are read, each alone: a pass with others saves them less than the
/// wait for it and the wake cost.
pub const HASH_ALONE_BYTES_MAX: u64 = 16 << 10;

/// Bytes of one body in a pass of lanes: 0.12 ms for MD5, 0.3 ms with SHA-256, during which the core does nothing else. Shorter
/// passes fill better, because whoever comes late joins the next one.
pub const HASH_TURN_BYTES: usize = 64 << 10;

/// Receive buffers of one body that wait to be hashed before its reader waits as well.
pub const HASH_BUFFERS_BEHIND_MAX: usize = 1;

/// Parts of one buffer (the chunks of an aws-chunked body) that wait so: a client may send one byte a chunk.
pub const HASH_PARTS_BEHIND_MAX: usize = 64;

/// Cores that hash together. More would contend for one lock and gain little: eight cores fill the lanes.
pub const HASH_CORES_PER_POOL: usize = 8;

/// What all bodies of one core may take: 32 large transfers at once, or a thousand of 40 KiB.
pub const BODY_BUDGET_BYTES_PER_CORE: u64 = 98 << 20;

/// How long a request waits for its share before it is told to slow down.
pub const BODY_BUDGET_WAIT: Duration = Duration::from_secs(2);

/// Bodies up to this size draw on a pool of their own, so that they never queue behind large ones.
pub const BODY_SMALL_BYTES: u64 = 64 << 10;
pub const BODY_BUDGET_SMALL_BYTES_PER_CORE: u64 = 16 << 20;

/// What forms may take whose sender is not known yet: 56 at a time, each for the round trip in which its fields come. Slow ones
/// stand in nobody's way but that of other forms.
pub const BODY_BUDGET_FORM_BYTES_PER_CORE: u64 = 16 << 20;

// ---- fragments on other nodes (peer) ------------------------------------------------------------------------------------

/// Connections from other nodes to one core: each core of each node has two.
pub const PEER_CONNECTIONS_MAX_PER_CORE: usize = 1024;

/// From a connection to its greeting and the answer to it, on both sides. A dead node costs its askers this once.
pub const PEER_CONNECT_DEADLINE: Duration = Duration::from_secs(2);

/// How long a frame may stand still in the middle.
pub const PEER_STALL: Duration = Duration::from_secs(10);

/// How often a connection is looked at.
pub const PEER_TICK: Duration = Duration::from_secs(1);

/// A node that owes answers and has said nothing for so long, not even to a question that costs it nothing, is gone. Its core
/// does not block for a tenth of that.
pub const PEER_SILENCE: Duration = Duration::from_secs(5);

/// The longest wait for a read, a search or a ticket's use: reads are late for their blob after [`BLOB_READ_PATIENCE`].
pub const PEER_READ_DEADLINE: Duration = Duration::from_secs(10);

/// The longest wait for an append, a flush or a deletion: a drive that hangs is found out after 30 s by its own node.
pub const PEER_WRITE_DEADLINE: Duration = Duration::from_secs(40);

/// Requests of one connection without an answer, on both sides. Two rows of 100 uploads and some.
pub const PEER_REQUESTS_MAX: usize = 256;

/// Payload of one connection's requests under way on the asked side: 64 full pieces. Beyond it nothing more is received.
pub const PEER_BYTES_MAX: usize = 16 << 20;

/// The same of all connections to one core.
pub const PEER_BYTES_MAX_PER_CORE: usize = 64 << 20;

/// A node that could not be reached is not tried again for so long, doubled up to the second, and half of it random.
pub const PEER_PAUSE_MIN: Duration = Duration::from_millis(500);
pub const PEER_PAUSE_MAX: Duration = Duration::from_secs(8);

/// How long a stopping core waits for what other nodes have asked of it.
pub const PEER_STOP_WAIT: Duration = Duration::from_secs(5);

/// Tickets one core remembers: 4096 x about 200 B.
pub const PEER_TICKETS_MAX: usize = 4096;

/// A ticket is not shown any more so long before it ends: the request must still arrive.
pub const PEER_TICKET_MARGIN_MS: u64 = 5_000;

/// How often a core asks the other nodes which of their drives take new fragments.
pub const PEER_STATUS_EVERY: Duration = Duration::from_secs(2);

/// How long a read keeps its blob from being deleted on the node that it asked, and how often readers renew that.
pub const PEER_PIN: Duration = Duration::from_secs(30);
pub const PEER_PIN_RENEW: Duration = Duration::from_secs(10);

/// Such pins of one core, on both sides: 16,384 x about 100 B. Beyond it blobs rely on the delay of deletions alone.
pub const PEER_PINS_MAX: usize = 1 << 14;

/// Fragments that no node has are not searched for again for so long, and so many are remembered.
pub const PEER_MISS: Duration = Duration::from_secs(10);
pub const PEER_MISSES_MAX: usize = 4096;

/// A refusal is logged once per node and reason in this time, of so many of them.
pub const PEER_WARN_EVERY_MS: u64 = 60_000;
pub const PEER_WARNINGS_MAX: usize = 1024;

const _: () = assert!(PEER_PIN_RENEW.as_millis() * 2 < PEER_PIN.as_millis());
const _: () = assert!(PEER_TICK.as_millis() < PEER_SILENCE.as_millis());
const _: () = assert!(PEER_BYTES_MAX >= 2 * holdfast_protocol::limits::RECORD_PAYLOAD_BYTES_MAX);
const _: () = assert!(PEER_BYTES_MAX <= PEER_BYTES_MAX_PER_CORE);

// ---- background work (agent) ------------------------------------------------------------------------------------------

/// Reads' notes that wait for the agent; 1000 x ~200 B. What does not fit is found again.
pub const AGENT_NOTES_MAX: usize = 1000;

/// Fragments asked of a drive's index at a time.
pub const AGENT_SURVEY_PAGE: usize = 512;

/// Committed op ids remembered from one pass of the reaper to the next, so that it asks about no other: 4,000 a second for
/// a minute. 2^18 x about 30 B are 8 MiB a node when all are used; past it the authority is asked.
pub const COMMITTED_REMEMBERED: usize = 1 << 18;

/// Op ids settled in one request; the authority's bound as well.
pub const AGENT_SETTLE_BATCH: usize = 1000;

/// Abandoned blobs that a drive could not delete, remembered; beyond it the reaper waits for the drive.
pub const AGENT_UNDELETED_MAX: usize = 10_000;

/// Deletions under way at once: the drives' keepers gather them into shared writes and flushes.
pub const AGENT_DELETES_AT_ONCE: usize = 64;

/// Deletions leased at a time: a second's work of the drives. Each lease steps over what earlier ones have left in the
/// authority's index, so few large ones cost it less.
pub const AGENT_DELETES_LEASED: u32 = 1024;

/// Repairs under way at once, each with one row in memory: 4 x 3 MiB, and flushes shared between them.
pub const AGENT_REPAIRS_AT_ONCE: usize = 4;

/// Repairs leased at a time: few, because a lease runs out.
pub const AGENT_REPAIRS_LEASED: u32 = 32;

/// Deficits told in one request.
pub const AGENT_DEFICITS_BATCH: usize = 100;

/// Lost rows proposed in one request: with the longest manifests 600 KiB.
pub const AGENT_PROPOSALS_BATCH: usize = 100;

/// How far back lost rows are looked for: the authority commits no op id that is older than 7 days, and clocks differ.
pub const AGENT_PROPOSE_BACK_MS: u64 = 8 * 24 * 3_600_000;

/// Time between two questions for work when there was none: one small unary call.
pub const AGENT_POLL: Duration = Duration::from_secs(2);

/// Pauses after failures, doubled each time.
pub const AGENT_BACKOFF_MIN: Duration = Duration::from_millis(500);
pub const AGENT_BACKOFF_MAX: Duration = Duration::from_secs(60);

/// Time between two audits while the drives stay the same. It costs one small read per blob.
pub const AGENT_AUDIT_EVERY: Duration = Duration::from_secs(24 * 3600);

/// A node that was silent when it was last asked, longer ago than this, may have been here since: 30 questions of the audit.
pub const AGENT_SILENCE_REMEMBERED: Duration = Duration::from_secs(60);

/// What reading one record's header costs the budget: a seek's worth of bytes.
pub const AGENT_HEADER_COST_BYTES: u64 = 32 << 10;

/// Deleted blobs remembered, so that a late repair job of one is no loss. 4096 x 16 B.
pub const AGENT_DELETED_REMEMBERED: usize = 4096;

/// How long a stopping core waits for the agent's loops; a step is a row or a page.
pub const AGENT_STOP_WAIT: Duration = Duration::from_secs(5);

/// The least a drive is scrubbed with, bytes a second, whatever its size.
pub const SCRUB_RATE_MIN: u64 = 1 << 20;

/// Time between two notes of the scrub's place; what is read twice after a crash is a minute's worth.
pub const SCRUB_SAVE_EVERY: Duration = Duration::from_secs(60);

/// What is verified between two looks at the clock.
pub const SCRUB_STEP_BYTES: u64 = 1 << 20;

/// The least that background work may be given, bytes a second.
pub const BACKGROUND_RATE_MIN: usize = 1 << 20;
