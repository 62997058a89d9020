//! What the node's parts count, handed to the scrape.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;

use super::Node;
use crate::env::Counters;
use crate::metrics::{self, Writer};

/// The counters of every core that was started.
fn cores() -> &'static Mutex<Vec<Arc<Counters>>> {
    static CORES: OnceLock<Mutex<Vec<Arc<Counters>>>> = OnceLock::new();
    CORES.get_or_init(Mutex::default)
}

pub(super) fn core_started(counters: Arc<Counters>) {
    cores().lock().push(counters);
}

pub(super) fn register(node: &Arc<Node>) {
    let weak = Arc::downgrade(node);
    metrics::register("node", move |writer| {
        if let Some(node) = weak.upgrade() {
            write_drives(&node, writer);
            write_node(&node, writer);
            write_agent(&node, writer);
            if let Some(peers) = &node.peers {
                peers.write_metrics(writer);
            }
        }
        write_cores(writer);
    });
}

fn write_cores(writer: &mut Writer) {
    let cores = cores().lock().clone();
    let sum = |of: fn(&Counters) -> u64| cores.iter().map(|core| of(core)).sum::<u64>();
    let found = "Records found, by where; `authority` is a lookup";
    let name = "holdfast_record_lookups_total";
    writer.counter(name, found, &[("from", "hot")], sum(|core| core.hot_hits.load(Relaxed)));
    writer.counter(name, found, &[("from", "cache")], sum(|core| core.cache_hits.load(Relaxed)));
    writer.counter(name, found, &[("from", "authority")], sum(|core| core.lookups.load(Relaxed)));
    let meaning = "Records shown although the control plane could not be asked (`stale_reads`)";
    writer.counter("holdfast_stale_reads_total", meaning, &[], sum(|core| core.stale.load(Relaxed)));
    let in_flight = sum(|core| core.in_flight.load(Relaxed));
    writer.gauge("holdfast_requests_in_flight", "Requests being answered", &[], in_flight);
}

fn write_node(node: &Node, writer: &mut Writer) {
    let view = node.state.view();
    let now_ms = crate::rt::boottime_ms();
    let live = node.state.lease_live(now_ms);
    writer.gauge("holdfast_lease_live", "1 while cached records may be served", &[], u8::from(live));
    let believed = node.state.access_live(now_ms);
    let meaning =
        "1 while keys, policies and buckets may be believed; without, every request is answered 503";
    writer.gauge("holdfast_access_lease_live", meaning, &[], u8::from(believed));
    writer.gauge("holdfast_session_up", "1 while the control link has a session", &[], u8::from(view.ready));
    writer.gauge(
        "holdfast_history_lost",
        "1: acknowledged commits are missing",
        &[],
        u8::from(view.history_lost),
    );
    let dropped = node.cache_writer.fills_dropped();
    writer.counter(
        "holdfast_cache_fills_dropped_total",
        "Cache fills that found the queue full",
        &[],
        dropped,
    );
    writer.gauge("holdfast_coder_info", "The erasure coder in use", &[("coder", node.coder.name())], 1);
}

fn write_agent(node: &Node, writer: &mut Writer) {
    let progress = &node.progress;
    for (name, help, count) in [
        ("holdfast_blobs_deleted_total", "Blobs deleted that nobody references", &progress.deleted),
        (
            "holdfast_deletes_put_off_total",
            "Deletions put off: read, or a drive away",
            &progress.deletes_later,
        ),
        ("holdfast_blobs_reaped_total", "Blobs deleted whose commit never happened", &progress.reaped),
        ("holdfast_blobs_kept_total", "Blobs of which the control plane cannot tell", &progress.kept),
        ("holdfast_deficits_found_total", "Fragments found missing or rotten", &progress.deficits),
        ("holdfast_fragments_repaired_total", "Fragments made again and read back", &progress.repaired),
        ("holdfast_repaired_bytes_total", "Bytes of them", &progress.repaired_bytes),
        ("holdfast_repairs_put_off_total", "Repairs that left something missing", &progress.repairs_later),
        ("holdfast_repairs_lost_total", "Repairs that found too little left", &progress.lost),
        ("holdfast_fragments_moved_total", "Fragments moved to another drive", &progress.moved),
        ("holdfast_moved_bytes_total", "Bytes of them", &progress.moved_bytes),
        ("holdfast_scrubbed_bytes_total", "Bytes re-read by the scrub", &progress.scrubbed_bytes),
    ] {
        writer.counter(name, help, &[], count.value());
    }
}

fn write_drives(node: &Node, writer: &mut Writer) {
    let mut devices: Vec<u64> = Vec::new();
    for drive in node.engine.drives() {
        let status = drive.status();
        let label = [("drive", status.label.as_str())];
        let stats = &drive.stats;
        for (name, help, value) in [
            ("holdfast_drive_pieces_appended_total", "Pieces appended", stats.pieces_appended.value()),
            ("holdfast_drive_writes_total", "Writes to segments", stats.writes.value()),
            (
                "holdfast_drive_writes_unzeroed_total",
                "Writes that cost metadata",
                stats.writes_unzeroed.value(),
            ),
            ("holdfast_drive_bytes_written_total", "Bytes written", stats.bytes_written.value()),
            (
                "holdfast_drive_payload_bytes_total",
                "Payload bytes appended",
                stats.payload_bytes_appended.value(),
            ),
            ("holdfast_drive_write_microseconds_total", "Time in writes", stats.write_micros.value()),
            ("holdfast_drive_pieces_read_total", "Pieces read", stats.pieces_read.value()),
            ("holdfast_drive_bytes_read_total", "Bytes read", stats.bytes_read.value()),
            ("holdfast_drive_read_microseconds_total", "Time in reads", stats.read_micros.value()),
            ("holdfast_drive_rotten_total", "Pieces found rotten", stats.rotten.value()),
            ("holdfast_drive_deletes_total", "Pieces deleted", stats.deletes.value()),
            ("holdfast_drive_errors_total", "Errors of the device", stats.errors.value()),
            ("holdfast_drive_segments_taken_total", "Segments begun", stats.segments_taken.value()),
            (
                "holdfast_drive_segments_recycled_total",
                "Segments given back",
                stats.segments_recycled.value(),
            ),
            (
                "holdfast_drive_segments_compacted_total",
                "Segments emptied by compaction",
                stats.segments_compacted.value(),
            ),
            (
                "holdfast_drive_deletes_dropped_total",
                "Deletes that no segment needed any more",
                stats.deletes_dropped.value(),
            ),
            ("holdfast_drive_moved_bytes_total", "Bytes compaction wrote", stats.bytes_moved.value()),
        ] {
            writer.counter(name, help, &label, value);
        }
        writer.gauge("holdfast_drive_free_bytes", "Free space", &label, status.free_bytes);
        let living = node.engine.living(drive);
        for (name, help, value) in [
            ("holdfast_drive_pieces", "Living pieces", living.pieces),
            ("holdfast_drive_live_bytes", "Their records", living.bytes),
            ("holdfast_drive_segment_bytes", "What segments in use take", drive.used_bytes()),
            ("holdfast_drive_garbage_bytes", "What of sealed ones is garbage", stats.garbage_bytes.value()),
            ("holdfast_drive_lost_pieces", "Pieces whose segment vanished", node.engine.lost(drive).pieces),
        ] {
            writer.gauge(name, help, &label, value);
        }
        let active = status.state == crate::drives::DriveState::Active;
        writer.gauge("holdfast_drive_active", "1 while it takes new fragments", &label, u8::from(active));
        let device = &drive.device;
        if devices.contains(&device.number) {
            continue;
        }
        devices.push(device.number);
        let id = device.number.to_string();
        let label = [("device", id.as_str())];
        let flushes = &device.stats;
        writer.counter("holdfast_flushes_total", "Flushes of the device", &label, flushes.flushes.value());
        writer.counter("holdfast_flush_callers_total", "Who shared them", &label, flushes.callers.value());
        writer.counter(
            "holdfast_flush_microseconds_total",
            "Time in flushes",
            &label,
            flushes.micros.value(),
        );
        writer.counter("holdfast_flush_failures_total", "Failed flushes", &label, flushes.failures.value());
    }
}
