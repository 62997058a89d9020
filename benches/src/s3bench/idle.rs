//! What connections cost that are open and ask nothing: resident memory of the server before them and with them.

use super::connection::{Connection, Sink};
use super::cost;
use super::failure::{Failure, Stop};
use super::operations::{Client, plain};
use super::options::{IdleOptions, TargetOptions};
use super::report::line;
use super::run::runtime;
use super::shared::Shared;
use super::target::Target;
use super::transport::Transport;
use super::{progress::Progress, rows};
use crate::limits::{DESCRIPTORS_BESIDE, MEMORY_READS, OPENING_MAX};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// The server's memory, all processes together.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Footprint {
    /// Sum of VmRSS: what processes share counts once for each.
    pub(crate) rss_bytes: u64,
    /// Sum of proportional set sizes: what they share counts once.
    pub(crate) pss_bytes: u64,
}

/// Memory with so many connections at rest.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Level {
    pub(crate) asked: usize,
    /// Still open when the memory was read.
    pub(crate) open: usize,
    /// Connections that the server refused, or that failed, by name of the failure.
    pub(crate) refused: BTreeMap<String, u64>,
    /// Closed by the server between their request and the look at its memory.
    pub(crate) closed: usize,
    pub(crate) memory: Footprint,
    /// What one connection added, by RSS and by PSS; below 0 when the server gave memory back meanwhile.
    pub(crate) rss_bytes_per_connection: f64,
    pub(crate) pss_bytes_per_connection: f64,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct Idle {
    pub(crate) endpoint: String,
    /// After a first request, before the connections.
    pub(crate) before: Footprint,
    pub(crate) levels: Vec<Level>,
}

/// Opens the connections level by level, holds them, and reads the server's memory at each.
///
/// # Errors
/// No target, no process to look at, more connections than this process may have descriptors.
pub(crate) fn run(options: &IdleOptions) -> Result<Idle, Stop> {
    let target = Target::of(&options.target)?;
    if target.processes.is_empty() {
        return Err(Stop::Options("whose memory? give --pids or --data-dir".to_owned()));
    }
    let mut counts = options.connections.clone();
    counts.sort_unstable();
    allow_descriptors(counts.last().copied().unwrap_or(0) as u64 + DESCRIPTORS_BESIDE)?;
    let shared = Arc::new(Shared::new(target, one_connection(&options.target)));
    runtime()?.block_on(async {
        Client::new(Arc::clone(&shared), 0).ensure_bucket().await?;
        tokio::time::sleep(options.settle).await;
        let before = footprint(&shared.target).await;
        let (mut open, mut levels) = (Vec::new(), Vec::new());
        for asked in counts {
            levels.push(level(&shared, asked, before, &mut open, options.settle).await);
        }
        Ok(Idle { endpoint: shared.target.endpoint.clone(), before, levels })
    })
}

/// A run's options, for the parts that make requests.
fn one_connection(target: &TargetOptions) -> super::options::RunOptions {
    rows::ROWS[0].options(target, Duration::ZERO, Duration::ZERO)
}

async fn level(
    shared: &Arc<Shared>,
    asked: usize,
    before: Footprint,
    open: &mut Vec<Transport>,
    settle: Duration,
) -> Level {
    let mut refused = BTreeMap::new();
    let mut progress = Progress::new(format!("{asked} idle connections"));
    let missing = asked.saturating_sub(open.len());
    let mut opened = 0;
    while opened < missing {
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..OPENING_MAX.min(missing - opened) {
            tasks.spawn(rest(Arc::clone(shared)));
            opened += 1;
        }
        for result in tasks.join_all().await {
            match result {
                Ok(transport) => open.push(transport),
                Err(failure) => *refused.entry(failure.name()).or_default() += 1,
            }
        }
        progress.show(open.len() as f64 / asked as f64, open.len() as u64);
    }
    tokio::time::sleep(settle).await;
    let held = open.len();
    open.retain(|transport| !transport.is_closed());
    let memory = footprint(&shared.target).await;
    let per = |with: u64, without: u64| (with as f64 - without as f64) / open.len().max(1) as f64;
    Level {
        asked,
        open: open.len(),
        refused,
        closed: held - open.len(),
        memory,
        rss_bytes_per_connection: per(memory.rss_bytes, before.rss_bytes),
        pss_bytes_per_connection: per(memory.pss_bytes, before.pss_bytes),
    }
}

/// A connection that has made one signed request.
async fn rest(shared: Arc<Shared>) -> Result<Transport, Failure> {
    let mut connection = Connection::open(&shared.target.door).await?;
    let mut client = Client::new(shared, 0);
    let path = client.bucket_path();
    client.exchange(&mut connection, &plain("HEAD", &path, "", &[]), &[], Sink::Discard).await?;
    Ok(connection.into_transport())
}

async fn footprint(target: &Target) -> Footprint {
    let (mut rss, mut pss) = (0, 0);
    for _ in 0..MEMORY_READS {
        let (one_rss, one_pss) = cost::footprint(&target.processes);
        (rss, pss) = (rss + one_rss, pss + one_pss);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Footprint { rss_bytes: rss / u64::from(MEMORY_READS), pss_bytes: pss / u64::from(MEMORY_READS) }
}

/// Raises the soft limit of descriptors as far as needed, the hard one too where that is allowed.
fn allow_descriptors(needed: u64) -> Result<(), Stop> {
    let now = getrlimit(Resource::Nofile);
    if now.current.is_none_or(|current| current >= needed) {
        return Ok(());
    }
    let maximum = now.maximum.map(|maximum| maximum.max(needed));
    let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(needed), maximum });
    raised.map_err(|error| {
        Stop::Options(format!(
            "{needed} descriptors are needed, {} are allowed (ulimit -Hn): {error}",
            now.maximum.map_or_else(|| "any".to_owned(), |maximum| maximum.to_string())
        ))
    })
}

impl Idle {
    pub(super) fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("plain JSON") + "\n"
    }

    pub(super) fn to_table(&self) -> String {
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        let mut out = format!("connections at rest, {}\n", self.endpoint);
        let memory = |memory: &Footprint| {
            format!("RSS {:.1} MiB, PSS {:.1} MiB", mib(memory.rss_bytes), mib(memory.pss_bytes))
        };
        line(&mut out, "before", memory(&self.before));
        for level in &self.levels {
            let per = format!(
                "{:.2} KiB RSS, {:.2} KiB PSS per connection",
                level.rss_bytes_per_connection / 1024.0,
                level.pss_bytes_per_connection / 1024.0
            );
            line(&mut out, &level.open.to_string(), format!("{}: {per}", memory(&level.memory)));
            if level.open < level.asked {
                line(&mut out, "remark", level.shortfall());
            }
        }
        out
    }
}

impl Level {
    fn shortfall(&self) -> String {
        let mut why: Vec<String> =
            self.refused.iter().map(|(name, count)| format!("{count} x {name}")).collect();
        if self.closed > 0 {
            why.push(format!("{} closed while they rested", self.closed));
        }
        format!(
            "{} connections were asked for, the server held {}: {}",
            self.asked,
            self.open,
            why.join(", ")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_refuses_is_said_to() {
        let memory = Footprint { rss_bytes: 3 << 20, pss_bytes: 2 << 20 };
        let level = Level {
            asked: 10_000,
            open: 8192,
            refused: BTreeMap::from([("503 SlowDown".to_owned(), 1800)]),
            closed: 8,
            memory,
            rss_bytes_per_connection: 2048.0,
            pss_bytes_per_connection: -1024.0,
        };
        let idle = Idle { endpoint: "http://x".to_owned(), before: memory, levels: vec![level] };
        let table = idle.to_table();
        assert!(table.contains("2.00 KiB RSS, -1.00 KiB PSS per connection"), "{table}");
        assert!(table.contains("held 8192: 1800 x 503 SlowDown, 8 closed while they rested"), "{table}");
    }

    #[test]
    fn descriptors_beyond_any_limit_are_refused_with_the_number() {
        let stop = allow_descriptors(u64::MAX / 2).expect_err("no kernel has so many");
        assert!(stop.to_string().contains("descriptors are needed"), "{stop}");
    }
}
