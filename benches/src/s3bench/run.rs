//! One run from start to end, and what is observed while it goes on.

use super::cost::{self, DeviceBytes, Memory, Spent};
use super::failure::{Failure, Stop};
use super::metrics::{self, Values};
use super::operations::Client;
use super::options::{Op, RunOptions};
use super::progress::Progress;
use super::record::Record;
use super::report::Report;
use super::shared::{Phase, Shared, Work};
use super::target::Target;
use super::worker::Worker;
use crate::limits::{MEMORY_SAMPLE_EVERY, PRELOAD_BYTES_IN_FLIGHT_MAX, PRELOAD_CONNECTIONS_MIN, WATCH_EVERY};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::JoinHandle;
use std::time::Instant;
use tokio::runtime::Runtime;

/// What was seen from outside during the measured window.
pub(super) struct Observation {
    pub(super) seconds: f64,
    pub(super) cpu: BTreeMap<String, Spent>,
    pub(super) memory: BTreeMap<String, Memory>,
    pub(super) device_bytes: BTreeMap<String, DeviceBytes>,
    pub(super) client_cpu_s: f64,
    pub(super) metrics: Values,
    pub(super) never_sent: u64,
}

/// Does a whole run.
///
/// # Errors
/// Options that do not fit together, a target that cannot be reached, keys that could not be put before. Operations that
/// fail during the run are counted in the report.
pub(crate) fn run(options: &RunOptions) -> Result<Report, Stop> {
    check(options)?;
    let target = Target::of(&options.target)?;
    let shared = Arc::new(Shared::new(target, options.clone()));
    let runtime = runtime()?;
    let mut client = Client::new(Arc::clone(&shared), 0);
    runtime.block_on(client.ensure_bucket())?;
    let loads = options.op.needs_keys() && !options.no_preload;
    if loads {
        load(&shared)?;
    }
    let (record, observation) = measure(&shared)?;
    let report = Report::of(&shared, &record, observation);
    if !options.keep {
        let named = shared.named.load(Relaxed);
        let loaded = if loads || options.overwrite { options.keys } else { 0 };
        let names = (0..named).map(|n| shared.new_name(n)).chain((0..loaded).map(|n| shared.loaded_name(n)));
        let removed = runtime.block_on(client.remove(names));
        return Ok(report.with_leftovers(removed.err().map(|failure| failure.name())));
    }
    Ok(report)
}

fn check(options: &RunOptions) -> Result<(), Stop> {
    let refuse = |why: &str| Err(Stop::Options(why.to_owned()));
    match options {
        _ if options.concurrency == 0 || options.threads == 0 => {
            refuse("--concurrency and --threads begin at 1")
        }
        _ if options.keys == 0 => refuse("--keys begins at 1"),
        _ if options.part_size == 0 || options.range_size == 0 => {
            refuse("parts and ranges have at least a byte")
        }
        _ if options.op == Op::Range && options.size.min() == 0 => {
            refuse("a range needs an object with bytes")
        }
        _ if options.op == Op::Multipart && options.size.fixed().is_none() => {
            refuse("a multipart upload has one --size")
        }
        _ if options.duration.is_zero() => refuse("--duration must be longer than 0"),
        _ if options.rate.is_some_and(|rate| !(rate.is_finite() && rate > 0.0)) => {
            refuse("--rate must be above 0")
        }
        _ => Ok(()),
    }
}

/// Puts the keys that the run works on.
fn load(shared: &Arc<Shared>) -> Result<(), Stop> {
    let options = &shared.options;
    let room =
        usize::try_from(PRELOAD_BYTES_IN_FLIGHT_MAX / options.size.max().max(1)).unwrap_or(usize::MAX).max(1);
    let connections = options.concurrency.max(PRELOAD_CONNECTIONS_MIN).min(room);
    let phase = Arc::new(Phase::new(Work::Load, options, connections));
    let threads = start(shared, &phase, connections)?;
    let mut progress = Progress::new(format!("put {} keys", options.keys));
    while !threads.iter().all(JoinHandle::is_finished) {
        std::thread::sleep(WATCH_EVERY);
        progress.show(phase.done() as f64 / options.keys as f64, phase.done());
    }
    drop(progress);
    let record = join(threads);
    match record.errors.first_key_value() {
        Some((first, _)) => {
            Err(Stop::Preload { count: record.error_count(), of: options.keys, first: first.clone() })
        }
        None => Ok(()),
    }
}

fn measure(shared: &Arc<Shared>) -> Result<(Record, Observation), Stop> {
    let options = &shared.options;
    let phase = Arc::new(Phase::new(Work::Measure, options, options.concurrency));
    let threads = start(shared, &phase, options.concurrency)?;
    let progress = Progress::new(format!("{} {}", options.op.name(), options.size));
    let observation = observe(&shared.target, &phase, progress);
    Ok((join(threads), observation))
}

/// Threads with a runtime each, which share the connections between them.
fn start(
    shared: &Arc<Shared>,
    phase: &Arc<Phase>,
    connections: usize,
) -> Result<Vec<JoinHandle<Record>>, Stop> {
    let threads = shared.options.threads.min(connections);
    let mut handles = Vec::new();
    for thread in 0..threads {
        let runtime = runtime()?;
        let entered = runtime.enter();
        let workers = (thread..connections).step_by(threads);
        let workers = workers.map(|index| Worker::new(Arc::clone(shared), Arc::clone(phase), index));
        let workers = workers.collect::<Result<Vec<_>, Failure>>();
        let workers = workers.map_err(|cause| Stop::Step { step: "make the clock".to_owned(), cause })?;
        drop(entered);
        let name = format!("s3bench-{thread}");
        handles.push(std::thread::Builder::new().name(name).spawn(move || work(&runtime, workers))?);
    }
    Ok(handles)
}

fn work(runtime: &Runtime, workers: Vec<Worker>) -> Record {
    runtime.block_on(async {
        let mut tasks = tokio::task::JoinSet::new();
        for worker in workers {
            tasks.spawn(worker.run());
        }
        let mut sum = Record::default();
        for record in tasks.join_all().await {
            sum.add(record);
        }
        sum
    })
}

fn join(threads: Vec<JoinHandle<Record>>) -> Record {
    let mut sum = Record::default();
    for thread in threads {
        sum.add(thread.join().expect("a worker does not panic"));
    }
    sum
}

pub(super) fn runtime() -> Result<Runtime, Stop> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

/// Looks at the server at both ends of the window, and at its memory in between.
fn observe(target: &Target, phase: &Phase, mut progress: Progress) -> Observation {
    sleep_until(phase.from);
    let counters = metrics::scrape(&target.metrics);
    let (cpu_before, own_before) = (cost::cpu(&target.processes), cost::own_cpu());
    let moved_before = cost::device_bytes(&target.processes);
    let mut peaks = BTreeMap::new();
    let mut next_look = phase.from;
    while Instant::now() < phase.until && !phase.is_over() {
        if next_look <= Instant::now() {
            keep_peaks(&mut peaks, cost::resident(&target.processes));
            next_look += MEMORY_SAMPLE_EVERY;
        }
        let behind = phase.from.elapsed().as_secs_f64();
        progress.show(behind / (phase.until - phase.from).as_secs_f64(), phase.done());
        std::thread::sleep(WATCH_EVERY.min(phase.until.saturating_duration_since(Instant::now())));
    }
    let (cpu_after, own_after) = (cost::cpu(&target.processes), cost::own_cpu());
    let cpu = cpu_after
        .iter()
        .map(|(role, spent)| (role.clone(), spent.since(cpu_before.get(role).unwrap_or(&Spent::default()))));
    Observation {
        seconds: (phase.end() - phase.from).as_secs_f64(),
        cpu: cpu.collect(),
        device_bytes: cost::device_bytes(&target.processes)
            .into_iter()
            .map(|(role, moved)| {
                let before = moved_before.get(&role).copied().unwrap_or_default();
                (role, moved.since(&before))
            })
            .collect(),
        memory: cost::memory(&target.processes, &peaks),
        client_cpu_s: own_after - own_before,
        metrics: metrics::growth(&counters, &metrics::scrape(&target.metrics)),
        never_sent: phase.schedule.as_ref().map_or(0, |schedule| schedule.never_sent(phase.until)),
    }
}

fn keep_peaks(peaks: &mut BTreeMap<String, u64>, now: BTreeMap<String, u64>) {
    for (role, bytes) in now {
        let peak = peaks.entry(role).or_insert(0);
        *peak = bytes.max(*peak);
    }
}

fn sleep_until(moment: Instant) {
    std::thread::sleep(moment.saturating_duration_since(Instant::now()));
}
