//! The counters of one thread.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use holdfast_protocol::sigv4::PayloadKind;
use parking_lot::Mutex;

use super::Writer;

/// Upper bounds of the latency buckets, seconds: from a cached HEAD to a 5 GiB part.
const LATENCY_BOUNDS: [f64; 16] = [
    0.000_25, 0.000_5, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.5, 1.0, 4.0, 16.0,
    64.0,
];

/// Upper bounds of the batch-size buckets.
const BATCH_BOUNDS: [f64; 10] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];

/// Counters of one thread, on cache lines of their own.
#[derive(Default)]
#[repr(align(128))]
pub struct CoreMetrics {
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    opened: AtomicU64,
    closed: AtomicU64,
    tls_failed: AtomicU64,
    proxy_refused: AtomicU64,
    signatures: AtomicU64,
    payload_modes: [AtomicU64; PayloadKind::ALL.len()],
    commit_batches: Distribution<{ BATCH_BOUNDS.len() + 1 }>,
    /// Locked by its own thread, and by a scrape now and then: never waited for.
    requests: Mutex<Requests>,
}

#[derive(Clone, Default)]
struct Requests {
    codes: BTreeMap<(&'static str, u16), u64>,
    latency: BTreeMap<&'static str, Latency>,
}

#[derive(Clone, Default)]
struct Latency {
    counts: [u64; LATENCY_BOUNDS.len() + 1],
    seconds: f64,
}

struct Distribution<const N: usize> {
    counts: [AtomicU64; N],
    sum: AtomicU64,
}

impl<const N: usize> Default for Distribution<N> {
    fn default() -> Self {
        Self { counts: std::array::from_fn(|_| AtomicU64::new(0)), sum: AtomicU64::new(0) }
    }
}

impl CoreMetrics {
    pub fn bytes_in(&self, count: usize) {
        self.bytes_in.fetch_add(count as u64, Relaxed);
    }

    pub fn bytes_out(&self, count: u64) {
        self.bytes_out.fetch_add(count, Relaxed);
    }

    pub fn connection_opened(&self) {
        self.opened.fetch_add(1, Relaxed);
    }

    pub fn connection_closed(&self) {
        self.closed.fetch_add(1, Relaxed);
    }

    /// No trusted proxy, or no good PROXY header.
    pub fn proxy_refused(&self) {
        self.proxy_refused.fetch_add(1, Relaxed);
    }

    pub fn tls_failed(&self) {
        self.tls_failed.fetch_add(1, Relaxed);
    }

    /// A signature was computed to hold a request's against, whatever became of it.
    pub fn signature_computed(&self) {
        self.signatures.fetch_add(1, Relaxed);
    }

    /// A request that was authenticated with this kind of payload.
    pub fn payload_mode(&self, mode: PayloadKind) {
        self.payload_modes[mode as usize].fetch_add(1, Relaxed);
    }

    /// A batch of `items` commits was sent to the authority.
    pub fn commit_batch(&self, items: u64) {
        let at = bucket(&BATCH_BOUNDS, items as f64);
        self.commit_batches.counts[at].fetch_add(1, Relaxed);
        self.commit_batches.sum.fetch_add(items, Relaxed);
    }

    /// A request was answered. `operation` names are few and fixed: they become labels.
    pub fn request(&self, operation: &'static str, status: u16, took: Duration) {
        let seconds = took.as_secs_f64();
        let mut requests = self.requests.lock();
        *requests.codes.entry((operation, status)).or_default() += 1;
        let latency = requests.latency.entry(operation).or_default();
        latency.counts[bucket(&LATENCY_BOUNDS, seconds)] += 1;
        latency.seconds += seconds;
    }
}

fn bucket(bounds: &[f64], value: f64) -> usize {
    bounds.partition_point(|bound| *bound < value)
}

/// This thread's counters. They outlive the thread.
pub fn core() -> &'static CoreMetrics {
    thread_local! {
        static MINE: Cell<Option<&'static CoreMetrics>> = const { Cell::new(None) };
    }
    MINE.get().unwrap_or_else(|| {
        let fresh: &'static CoreMetrics = Box::leak(Box::default());
        all().lock().push(fresh);
        MINE.set(Some(fresh));
        fresh
    })
}

fn all() -> &'static Mutex<Vec<&'static CoreMetrics>> {
    static ALL: OnceLock<Mutex<Vec<&'static CoreMetrics>>> = OnceLock::new();
    ALL.get_or_init(Mutex::default)
}

pub(super) fn write(writer: &mut Writer) {
    let cores = all().lock().clone();
    let sum = |count: fn(&CoreMetrics) -> &AtomicU64| -> u64 {
        cores.iter().map(|core| count(core).load(Relaxed)).sum()
    };
    let (opened, closed) = (sum(|core| &core.opened), sum(|core| &core.closed));
    writer.counter(
        "holdfast_bytes_in_total",
        "Bytes of request bodies received",
        &[],
        sum(|core| &core.bytes_in),
    );
    writer.counter(
        "holdfast_bytes_out_total",
        "Bytes of answers' bodies sent",
        &[],
        sum(|core| &core.bytes_out),
    );
    writer.counter("holdfast_connections_total", "Connections accepted", &[], opened);
    writer.gauge("holdfast_connections", "Connections open now", &[], opened.saturating_sub(closed));
    let tls_failed = sum(|core| &core.tls_failed);
    writer.counter("holdfast_tls_handshakes_failed_total", "TLS handshakes that failed", &[], tls_failed);
    let refused = sum(|core| &core.proxy_refused);
    writer.counter(
        "holdfast_proxy_refused_total",
        "Connections closed for want of a PROXY header",
        &[],
        refused,
    );
    let signatures = sum(|core| &core.signatures);
    let help = "Signatures computed to hold those of requests against";
    writer.counter("holdfast_signatures_computed_total", help, &[], signatures);
    for kind in PayloadKind::ALL {
        let count = cores.iter().map(|core| core.payload_modes[kind as usize].load(Relaxed)).sum();
        let help = "Requests by how their payload was signed";
        writer.counter("holdfast_payload_mode_total", help, &[("mode", kind.name())], count);
    }
    write_batches(writer, &cores);
    write_requests(writer, &cores);
}

fn write_batches(writer: &mut Writer, cores: &[&'static CoreMetrics]) {
    let mut counts = [0; BATCH_BOUNDS.len() + 1];
    let mut sum = 0;
    for core in cores {
        for (total, count) in counts.iter_mut().zip(&core.commit_batches.counts) {
            *total += count.load(Relaxed);
        }
        sum += core.commit_batches.sum.load(Relaxed);
    }
    let help = "Commits per batch sent to the authority";
    writer.histogram("holdfast_commit_batch_items", help, &[], (&BATCH_BOUNDS, &counts), sum as f64);
}

fn write_requests(writer: &mut Writer, cores: &[&'static CoreMetrics]) {
    let mut total = Requests::default();
    for core in cores {
        let requests = core.requests.lock().clone();
        for (key, count) in requests.codes {
            *total.codes.entry(key).or_default() += count;
        }
        for (operation, latency) in requests.latency {
            let sum = total.latency.entry(operation).or_default();
            sum.seconds += latency.seconds;
            sum.counts.iter_mut().zip(latency.counts).for_each(|(sum, count)| *sum += count);
        }
    }
    for ((operation, status), count) in &total.codes {
        let labels = [("operation", *operation), ("code", &status.to_string())];
        writer.counter("holdfast_requests_total", "Requests answered", &labels, *count);
    }
    for (operation, latency) in &total.latency {
        let labels = [("operation", *operation)];
        let buckets = (&LATENCY_BOUNDS[..], &latency.counts[..]);
        let help = "From the end of the head to the end of the answer";
        writer.histogram("holdfast_request_seconds", help, &labels, buckets, latency.seconds);
    }
}
