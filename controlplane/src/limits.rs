//! Every bound of the control plane, with its reason.

use std::time::Duration;

/// Items of one commit batch. UNNEST gains little beyond 512 rows (MEASURED.md B5) and a bisection stays short.
pub const BATCH_ITEMS_MAX: usize = 512;
/// Batches in flight at once, each on its own connection over disjoint keys: four reach the measured plateau (B5).
pub const BATCHES_IN_FLIGHT_MAX: usize = 4;
/// Items that are worth a batch of their own while another is in flight; fewer wait for the one in front. What a batch costs
/// whatever its size is roughly 1.2 ms of CPU over both processes, an item 56 us (a fit through two runs: 6.5 and 9.7 items a batch).
pub const BATCH_ITEMS_WORTH: usize = 64;
/// A batch that takes longer is waited for no longer, however few items wait: it may be held up by a lock or by a disk.
pub const BATCH_PATIENCE: Duration = Duration::from_millis(25);
/// How far apart batches begin while they have several items each; company for what waits is on its way then.
pub const BATCH_PACE: Duration = Duration::from_millis(3);
/// Items of a batch behind which the next keeps that distance. A lone client never waits.
pub const BATCH_PACE_FROM_ITEMS: usize = 3;
/// Waiting items that are looked at to form one batch; a hot key in front cannot make forming quadratic.
pub const BATCH_SCAN_MAX: usize = 4096;
/// CPU cores for each worker thread of the control plane; at least one is started. A commit is handed from task to task
/// several times, and a hand-over to another thread costs a wake-up of it. At 73 us a commit in small batches (measured on
/// two cores) one worker carries 13,000 a second.
pub const CORES_PER_WORKER: usize = 4;
/// Mutations waiting for the committer; beyond it the nodes' streams are no longer read.
pub const COMMIT_QUEUE_MAX: usize = 16_384;
/// Mutations in one `CommitUp`.
pub const COMMIT_UP_ITEMS_MAX: usize = 4096;
/// Results that one `CommitDown` merges.
pub const COMMIT_DOWN_ITEMS_MAX: usize = 512;
/// Results waiting for a node that does not read them.
pub const COMMIT_DOWN_QUEUE_MAX: usize = 4096;
/// Pause before a batch whose outcome is unknown, or that lost a conflict, is run again; grows to the second.
pub const BATCH_RETRY_PAUSE: Duration = Duration::from_millis(20);
pub const BATCH_RETRY_PAUSE_MAX: Duration = Duration::from_secs(2);

/// Op ids older than this are refused: the changelog that would know them is trimmed.
pub const OP_AGE_MS_MAX: u64 = 7 * DAY_MS;
pub const DAY_MS: u64 = 86_400_000;
/// Partitions of the changelog made ahead.
pub const CHANGELOG_DAYS_AHEAD: u64 = 3;
/// A completed upload answers repeated completes for this long.
pub const COMPLETED_UPLOAD_KEPT_MS: u64 = 7 * DAY_MS;

/// How long a job is a node's. Twice what the repair of a 5 GiB part takes at 100 MB/s; a node that died is waited for
/// as long.
pub const JOB_LEASE_MS: u64 = 120_000;
/// Pause before a job that could not be done comes again; doubles up to the longest, with jitter down to a half.
pub const JOB_PAUSE_MS: f64 = 1000.0;
pub const JOB_PAUSE_MS_MAX: f64 = 300_000.0;
/// Deletions leased by one request: at 120 bytes a blob a message of 0.5 MB.
pub const LEASE_DELETES_MAX: u32 = 4096;
/// Repairs leased by one request; each moves up to a whole part.
pub const LEASE_REPAIRS_MAX: u32 = 256;
/// Reports, deficits or op ids of one `WorkRequest`.
pub const WORK_ITEMS_MAX: usize = 4096;
/// What is kept of a node's sentence about a job, bytes.
pub const JOB_DETAIL_BYTES_MAX: usize = 512;
/// A report that a drive is empty counts as the end of its drain only so long after it began: the node may not have
/// known of it, and writes may have been under way.
pub const DRAIN_SETTLE_MS: u64 = 10_000;
/// Rows are counted up to here for metrics and status (600,000 take a second); beyond it, exactness buys nothing.
pub const JOBS_COUNTED_MAX: i64 = 100_000;
/// Manifests whose pages are dropped in one transaction: up to 40,000 references.
pub const PAGES_DROPPED_MAX: i64 = 4;
/// Rows of older programs completed in one go.
pub const OLD_ROWS_MAX: i64 = 1000;

/// Lost rows brought back by one round of `recover --apply`: a few batches of commits.
pub const RECOVERY_BATCH_MAX: i64 = 512;
/// How long one request of it goes on; below `API_REQUEST` by more than a round takes.
pub const RECOVERY_APPLY: Duration = Duration::from_secs(25);
/// Lost objects that are shown by name.
pub const RECOVERY_SHOWN_MAX: i64 = 20;

/// Bytes of an object key (AWS).
pub const KEY_BYTES_MAX: usize = 1024;
/// Bytes of a manifest or of metadata in one row; an inline manifest has about 2.5 KiB, metadata 2 KiB plus tags.
pub const ROW_BLOB_BYTES_MAX: usize = 64 << 10;
/// Part numbers end here (AWS).
pub const PARTS_MAX: u32 = 10_000;
/// Smallest part but the last (AWS): 5 MiB.
pub const PART_BYTES_MIN: u64 = 5 << 20;
/// Largest object (AWS): 5 TiB. Leaves room in a signed 64-bit column.
pub const OBJECT_BYTES_MAX: u64 = 5 << 40;
/// A document of a bucket, bytes. The largest that AWS takes is 64 KB of CORS rules.
pub const DOCUMENT_BYTES_MAX: usize = 64 << 10;
/// Documents of a bucket when it is made; one of a kind.
pub const DOCUMENTS_MAX: usize = 16;
/// Documents of all buckets together, bytes: a node's welcome holds them in one message, of which they are half.
pub const CONFIGURED_BYTES_MAX: u64 = holdfast_common::wire::MESSAGE_BYTES_MAX as u64 / 2;

/// Entries of one listing page (AWS).
pub const LIST_KEYS_MAX: u32 = 1000;
/// Rows fetched by the first seek of a listing with a delimiter, where most may fall into one group.
pub const LIST_SEEK_ROWS: usize = 64;
/// Rows fetched by a seek where groups are large: the first one tells the group, a few more cost nothing.
pub const LIST_SEEK_ROWS_MIN: usize = 8;
/// Queries of one `QueryUp`.
pub const QUERY_UP_ITEMS_MAX: usize = 4096;
/// `QueryUp` messages of one node worked on at once.
pub const QUERIES_IN_FLIGHT_MAX: usize = 64;

/// Term of leadership; a leader that cannot reach the database stops serving within it.
pub const TERM: Duration = Duration::from_secs(10);
pub const TERM_RENEW: Duration = Duration::from_secs(2);
/// How often a follower looks whether the term has run out.
pub const TERM_POLL: Duration = Duration::from_millis(500);
/// A leader that has heard no node for this long, while another control plane is asked for the leader by one, gives up: it
/// is cut off from the nodes, though not from the database. Longer than a lease, so nothing is held up that was not before.
pub const DESERTED: Duration = Duration::from_secs(6);
/// How recently the other must have been asked. Nodes come back every second or so.
pub const DESERTED_HEARD: Duration = Duration::from_secs(4);
/// How long it then leaves the row to the other, which looks every `TERM_POLL`.
pub const DESERTED_PAUSE: Duration = Duration::from_secs(4);
/// A follower that is asked by a node tries for this long to learn who leads; the node waits 3 s.
pub const LEADER_ASKED: Duration = Duration::from_secs(1);
/// How often a control plane says that it is there.
pub const CANDIDATE_TICK: Duration = Duration::from_secs(5);
/// How often a follower looks whether it leads, so as to install its root key.
pub const ROOT_KEY_TICK: Duration = Duration::from_millis(500);
/// Kept back from the term and added to every lease, for clocks that run at different speeds.
pub const CLOCK_MARGIN: Duration = Duration::from_millis(250);

/// An access lease may be a day, in which the clocks of two machines drift apart by more than `CLOCK_MARGIN`: one part in so
/// many of a lease is added to it, twice the rate at which a kernel lets a clock run fast or slow (500 in a million).
pub const CLOCK_DRIFT: u32 = 1000;

/// Lease of a session unless configured.
pub const LEASE_MS: u64 = 5000;
/// Longest access lease: a node that is cut off knows the day's signing keys and the next day's.
pub const ACCESS_LEASE_MS_MAX: u64 = DAY_MS;
/// Longest `stale_reads` of a bucket: longer ones would end with the access lease all the same.
pub const STALE_READS_MS_MAX: u64 = ACCESS_LEASE_MS_MAX;
/// Shortest lease worth granting.
pub const LEASE_MS_MIN: u64 = 500;
/// A session that has not acknowledged for this long gets no record lease until it has caught up, and no access lease if it is
/// a change of configuration that it has not acknowledged.
pub const ACK_LATE: Duration = Duration::from_secs(2);
/// Ordered messages waiting for one session; beyond it the session ends and the node replays.
pub const SESSION_QUEUE_MAX: usize = 16_384;
/// Keys that are replayed to a node that was away; beyond it dropping the cache is cheaper.
pub const REPLAY_KEYS_MAX: i64 = 20_000;
pub const REPLAY_BYTES_MAX: usize = 8 << 20;
/// A node that connects has this long to say hello.
pub const HELLO_DEADLINE: Duration = Duration::from_secs(10);
/// And gets its welcome, or hears that it will get none, within this: it tries the next control plane then.
pub const WELCOME_DEADLINE: Duration = Duration::from_secs(5);
/// A node may remember an epoch this far above the one it says hello to: takeovers of a week, one every ten seconds.
pub const EPOCHS_AHEAD_MAX: u64 = 1 << 16;
/// And is believed once within this.
pub const AHEAD_AGAIN: Duration = Duration::from_secs(3600);
/// Drives of one node, gone ones included.
pub const DRIVES_MAX: usize = 256;
/// Drives of all nodes; each welcome names them all, in some 300 bytes each.
pub const DRIVES_IN_CLUSTER_MAX: usize = 16_384;
/// What a node says of a drive in words, characters.
pub const DRIVE_WORDS_MAX: usize = 512;
/// Lists of backends that one node may have made at once, and a second: a node comes by with as many as it has drives and
/// others to begin with. Each welcome names them all, in some 70 bytes each.
pub const PLACEMENTS_BURST: u64 = 1024;
pub const PLACEMENTS_PER_SECOND: f64 = 0.1;
/// And a cluster.
pub const PLACEMENTS_MAX: u64 = 100_000;
/// Where a node's fragments are reached: a host's name has at most 253 bytes, a port 5.
pub const PEER_ADDR_BYTES_MAX: usize = 259;
/// How long a ticket is good: a node asks once a minute for what it reads all the time, and a revoked one's run out.
pub const TICKET_MS: u64 = 60_000;
/// Blobs that one node gets tickets for in a second, on average and at once: twice what a core serves of small objects
/// from five peers. Who has stolen a node cannot copy the cluster faster than its users read it.
pub const TICKET_BLOBS_PER_SECOND: f64 = 10_000.0;
pub const TICKET_BLOBS_BURST: u64 = 20_000;
/// Backends of one placement.
pub const PLACEMENT_BACKENDS_MAX: usize = 64;
/// Buckets a session may declare interest in.
pub const INTEREST_MAX: usize = 100_000;

/// Days for which signing keys are derived: yesterday's week and tomorrow (a presigned URL lives 7 days).
pub const SIGNING_DAYS_BACK: i64 = 7;
pub const SIGNING_DAYS_AHEAD: i64 = 1;
/// Names of tenants and keys, bytes.
pub const NAME_BYTES_MAX: usize = 128;

// ------------------------------------------------------------------------------------------- enrolment, certificates

/// Life of the cluster's authority: nobody should have to replace it during the life of a cluster.
pub const CA_LIFE: Duration = Duration::from_secs(30 * 365 * 86_400);
/// Certificates begin a little before they are made, for clocks that are behind.
pub const CERTIFICATE_BACKDATE: Duration = Duration::from_secs(300);
/// Life of a control plane's own certificate; another is made at half of it.
pub const CONTROL_CERTIFICATE: Duration = Duration::from_secs(7 * 86_400);
/// How often it is looked whether that half is over.
pub const CONTROL_CERTIFICATE_TICK: Duration = Duration::from_secs(600);
/// Hours of a node's certificate, at least and at most: a clock may be wrong by minutes, and what lives for a quarter is not short-lived.
pub const NODE_CERT_HOURS: std::ops::RangeInclusive<u32> = 1..=90 * 24;
/// How long after its end a node's certificate still serves to renew it: a machine may be off for some weeks. Revocation
/// does not wait for it.
pub const RENEW_GRACE: Duration = Duration::from_secs(30 * 86_400);
/// A certificate signing request of a P-256 key has about 250 bytes.
pub const CSR_BYTES_MAX: usize = 4096;
/// Seconds that a join token is good for, unless said: a terminal is carried to a machine.
pub const INVITE_SECONDS: u32 = 3600;
/// Seconds that it is good for at most: a week of racking machines.
pub const INVITE_SECONDS_MAX: u32 = 7 * 86_400;
/// Days that an ended token is remembered, so that its refusal says why.
pub const JOIN_TOKENS_KEPT_DAYS: u32 = 30;
/// Names under which nodes reach a control plane.
pub const GRPC_NAMES_MAX: usize = 16;
/// A request to join or to renew, bytes: its largest part is the certificate request.
pub const ENROLMENT_BYTES_MAX: usize = 16 << 10;
/// Such requests that are worked on at once.
pub const ENROLMENTS_MAX: usize = 4;
/// How long another waits for its turn.
pub const ENROLMENT_WAIT: Duration = Duration::from_secs(5);
/// Calls at once on one connection of a node: three streams, and its work.
pub const GRPC_STREAMS_MAX: u32 = 64;
/// Connections to the node listener, all together; each node has three.
pub const GRPC_CONNECTIONS_MAX: usize = 4096;
/// Of those that have shown no certificate: they want to join, which does not take long.
pub const STRANGERS_MAX: usize = 64;
pub const STRANGER_AGE: Duration = Duration::from_secs(30);
/// Connections of one address that have shown no certificate, or not yet.
pub const STRANGERS_PER_SOURCE_MAX: usize = 64;
/// Time for a TLS handshake on the node listener.
pub const HANDSHAKE: Duration = Duration::from_secs(10);
/// Handshakes at once on the node listener; more wait to be accepted.
pub const HANDSHAKES_MAX: usize = 256;
/// Commits under way at a revocation are waited for this long: a statement's timeout and its retry.
pub const REVOKE_DRAIN: Duration = Duration::from_secs(40);

/// Connections to the database that only commits (four) and leadership use.
pub const CONNECTIONS_RESERVED: usize = BATCHES_IN_FLIGHT_MAX + 1;
/// At least three of the rest read.
pub const CONNECTIONS_MIN: usize = CONNECTIONS_RESERVED + 3;
/// Waiting for a connection of the pool.
pub const CONNECTION_WAIT: Duration = Duration::from_secs(5);

// ------------------------------------------------------------------------------------------- administration, `dev`

/// A request body of the REST API; the largest is a key with a thousand bucket names of 63 bytes.
pub const API_BODY_BYTES_MAX: usize = 256 << 10;
/// A REST request may take this long; a revocation waits for leases.
pub const API_REQUEST: Duration = Duration::from_secs(60);
/// How long a change waits for nodes to know of it before it is answered that one may not: longer than record leases, and less
/// than what `API_REQUEST` leaves after a drain of `REVOKE_DRAIN`.
pub const CHANGE_KNOWN: Duration = Duration::from_secs(18);
/// Connections of the admin listener at once; people, a console and a scraper need few.
pub const API_CONNECTIONS_MAX: usize = 256;
/// And of one address, so that it does not keep out an administrator at another.
pub const API_CONNECTIONS_PER_SOURCE_MAX: usize = 128;
/// Time for a TLS handshake and for a request's head on the admin listener.
pub const API_HEAD: Duration = Duration::from_secs(10);
/// Requests in flight at a stop get this long.
pub const API_DRAIN: Duration = Duration::from_secs(5);
/// An answer the CLI or a scrape accepts, bytes: a list of 10,000 keys has about 4 MB.
pub const CLIENT_BODY_BYTES_MAX: usize = 64 << 20;
/// The data plane's metrics must not hold up a scrape for longer.
pub const SCRAPE: Duration = Duration::from_secs(3);
/// A secret key given by the operator, bytes: AWS's have 40; SDKs refuse none up to here.
pub const SECRET_KEY_BYTES: std::ops::RangeInclusive<usize> = 8..=128;

/// Drives of `holdfast dev`: as many as a node spreads one blob over (`LOCAL_FRAGMENTS_MAX` there).
pub const DEV_DRIVES_MAX: u8 = 16;
/// A log larger than this is set aside (one generation) at the next start.
pub const DEV_LOG_BYTES_MAX: u64 = 64 << 20;
/// What of a dead child's log is shown.
pub const DEV_LOG_TAIL_BYTES: u64 = 16 << 10;
pub const DEV_LOG_TAIL_LINES: usize = 15;
/// Between two looks at something that is about to be so.
pub const DEV_POLL_MS: u64 = 25;
/// An orphan gets this long per signal: PostgreSQL's shutdown checkpoint is the longest of them.
pub const DEV_ORPHAN_PATIENCE_MS: u64 = 30_000;
/// PostgreSQL may have to replay 1 GiB of WAL on a slow disk.
pub const DEV_POSTGRES_READY_S: u64 = 300;
pub const DEV_POSTGRES_STOP_S: u64 = 60;
/// The control plane migrates; the data plane walks open segments and may rebuild an index.
pub const DEV_CONTROLPLANE_READY_S: u64 = 120;
pub const DEV_DATAPLANE_READY_S: u64 = 600;
/// What is in flight at a stop gets this long, in each plane.
pub const DEV_STOP_S: u64 = 30;
/// Oldest PostgreSQL that is supported.
pub const POSTGRES_VERSION_MIN: u32 = 13;

/// How long a connection to PostgreSQL may leave our bytes unacknowledged, or stay idle before it is probed.
/// Under a term: a leader whose database moved finds the new one before it has to step down.
pub const DATABASE_SILENCE: Duration = Duration::from_secs(5);
/// For one host of the database's address to answer; there may be two, and `CONNECTION_WAIT` is for all.
pub const DATABASE_CONNECT: Duration = Duration::from_secs(2);
/// Between two probes of a connection that is idle and silent.
pub const DATABASE_PROBES: Duration = Duration::from_secs(2);
