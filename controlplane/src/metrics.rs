//! What the control plane counts, as Prometheus text.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

/// Counters of this process; cheap to update from any task.
pub struct Metrics {
    registry: Registry,
    pub commits: Counter,
    pub refusals: Counter,
    /// Answered from the changelog: the commit was done before.
    pub replays: Counter,
    pub batch_items: Histogram,
    pub batch_seconds: Histogram,
    pub bisections: Counter,
    pub reruns: Counter,
    pub lookups: Counter,
    pub listings: Counter,
    pub query_seconds: Histogram,
    /// Answers that waited until a commit might be shown.
    pub reveal_waits: Counter,
    /// Blobs that tickets were given for, and refused.
    pub ticket_blobs: Counter,
    pub ticket_refusals: Counter,
    pub sessions: Gauge,
    pub session_starts: Counter,
    pub leading: Gauge,
    pub epoch: Gauge<u64, AtomicU64>,
    pub watermark: Gauge<u64, AtomicU64>,
    pub history_lost: Gauge,
    pub freed_backlog: Gauge,
    pub freed_oldest_seconds: Gauge,
    pub repairs_waiting: Gauge,
    pub repairs_leased: Gauge,
    pub repairs_failed: Gauge,
    pub deletions: Counter,
    pub repairs: Counter,
    pub repairs_lost: Counter,
    pub abandoned: Counter,
    pub recovery_forged: Counter,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("holdfast_control");
        let seconds = || Histogram::new(exponential_buckets(0.000_25, 2.0, 16));
        let mut metrics = Self {
            registry: Registry::default(),
            commits: Counter::default(),
            refusals: Counter::default(),
            replays: Counter::default(),
            batch_items: Histogram::new(exponential_buckets(1.0, 2.0, 10)),
            batch_seconds: seconds(),
            bisections: Counter::default(),
            reruns: Counter::default(),
            lookups: Counter::default(),
            listings: Counter::default(),
            query_seconds: seconds(),
            reveal_waits: Counter::default(),
            ticket_blobs: Counter::default(),
            ticket_refusals: Counter::default(),
            sessions: Gauge::default(),
            session_starts: Counter::default(),
            leading: Gauge::default(),
            epoch: Gauge::default(),
            watermark: Gauge::default(),
            history_lost: Gauge::default(),
            freed_backlog: Gauge::default(),
            freed_oldest_seconds: Gauge::default(),
            repairs_waiting: Gauge::default(),
            repairs_leased: Gauge::default(),
            repairs_failed: Gauge::default(),
            deletions: Counter::default(),
            repairs: Counter::default(),
            repairs_lost: Counter::default(),
            abandoned: Counter::default(),
            recovery_forged: Counter::default(),
        };
        metrics.register(&mut registry);
        metrics.registry = registry;
        metrics
    }
}

impl Metrics {
    fn register(&self, registry: &mut Registry) {
        registry.register("commits", "Mutations committed", self.commits.clone());
        registry.register("refusals", "Mutations refused", self.refusals.clone());
        registry.register("replays", "Mutations answered from the changelog", self.replays.clone());
        registry.register("batch_items", "Mutations in a commit batch", self.batch_items.clone());
        registry.register("batch_seconds", "Transaction of a commit batch", self.batch_seconds.clone());
        registry.register("bisections", "Batches cut in half for a bad item", self.bisections.clone());
        registry.register(
            "reruns",
            "Batches run again after a conflict or a lost connection",
            self.reruns.clone(),
        );
        registry.register("lookups", "Keys looked up", self.lookups.clone());
        registry.register("listings", "Listing pages answered", self.listings.clone());
        registry.register(
            "query_seconds",
            "A message of queries, until answered",
            self.query_seconds.clone(),
        );
        registry.register(
            "reveal_waits",
            "Answers that waited for acknowledgements",
            self.reveal_waits.clone(),
        );
        registry.register(
            "ticket_blobs",
            "Blobs on other nodes' drives that tickets were given for",
            self.ticket_blobs.clone(),
        );
        registry.register("ticket_refusals", "Tickets that were refused", self.ticket_refusals.clone());
        registry.register("sessions", "Nodes connected", self.sessions.clone());
        registry.register("session_starts", "Sessions begun", self.session_starts.clone());
        registry.register("leading", "1 while this process leads", self.leading.clone());
        registry.register("epoch", "Epoch of leadership", self.epoch.clone());
        registry.register("watermark", "Highest sequence with all below it settled", self.watermark.clone());
        registry.register(
            "history_lost",
            "1 when a node remembers commits this database lacks",
            self.history_lost.clone(),
        );
        self.register_work(registry);
    }

    fn register_work(&self, registry: &mut Registry) {
        registry.register(
            "freed_backlog",
            "Blobs and manifests whose bytes wait to be deleted",
            self.freed_backlog.clone(),
        );
        registry.register(
            "freed_oldest_seconds",
            "How long the oldest of them has waited",
            self.freed_oldest_seconds.clone(),
        );
        registry.register(
            "repairs_waiting",
            "Blobs that miss fragments and wait for their repair",
            self.repairs_waiting.clone(),
        );
        registry.register("repairs_leased", "Repairs that nodes are at", self.repairs_leased.clone());
        registry.register(
            "repairs_failed",
            "Blobs with fewer fragments than their code needs",
            self.repairs_failed.clone(),
        );
        registry.register("deletions", "Blobs whose fragments were deleted", self.deletions.clone());
        registry.register("repairs", "Blobs brought back to all their fragments", self.repairs.clone());
        registry.register("repairs_lost", "Repairs that found too few fragments", self.repairs_lost.clone());
        registry.register("abandoned", "Operations that came to nothing", self.abandoned.clone());
        let forged = "Proposed rows that no node of the cluster sealed";
        registry.register("recovery_forged", forged, self.recovery_forged.clone());
    }

    /// Prometheus text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("writing to a string");
        text
    }
}
