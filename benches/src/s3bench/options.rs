//! The command line.

use super::choice::Access;
use super::rows::Rows;
use super::sizes::{Sizes, parse_size};
use clap::{Args, Parser, Subcommand, ValueEnum};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;

/// A load generator for any S3 endpoint that also says what the server spent.
#[derive(Parser, Debug)]
#[command(name = "s3bench", version, args_conflicts_with_subcommands = true)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    pub run: RunOptions,
}

#[derive(Subcommand, Debug)]
pub enum Command {
    /// Rows of the matrix in one go, as one table
    Suite(SuiteOptions),
    /// What open connections without a request cost the server in memory
    Idle(IdleOptions),
    /// PUT, GET and LIST at a few thousand objects and at a million: what growth costs
    Growth(super::growth::GrowthOptions),
    /// Draws saved runs: throughput and CPU per operation as bars, latency percentiles as curves
    Plot(PlotOptions),
    /// What so many nodes and such a database hold for a mix, and what is full first, from saved runs
    Capacity(super::capacity::CapacityOptions),
}

/// Where the server is and which processes it consists of.
#[derive(Args, Clone, Debug)]
pub struct TargetOptions {
    /// `http://host:port` or `https://host:port`
    #[arg(long)]
    pub endpoint: Option<String>,
    /// Certificates to believe over https, PEM; the system's unless said
    #[arg(long)]
    pub ca: Option<PathBuf>,
    /// Data directory of a running `holdfast dev`: endpoint, credentials, process ids and metrics come from it
    #[arg(long)]
    pub data_dir: Option<PathBuf>,
    /// Made when it is missing
    #[arg(long, default_value = "s3bench")]
    pub bucket: String,
    #[arg(long, env = "AWS_ACCESS_KEY_ID", hide_env_values = true)]
    pub access_key: Option<String>,
    #[arg(long, env = "AWS_SECRET_ACCESS_KEY", hide_env_values = true)]
    pub secret_key: Option<String>,
    #[arg(long)]
    pub region: Option<String>,
    /// Processes of the server; their children and threads are counted with them
    #[arg(long, value_delimiter = ',')]
    pub pids: Vec<u32>,
    /// Prometheus addresses to read before and after (`http://host:port/metrics`)
    #[arg(long, value_delimiter = ',')]
    pub metrics: Vec<String>,
}

#[derive(Args, Clone, Debug)]
pub struct RunOptions {
    #[command(flatten)]
    pub target: TargetOptions,
    #[arg(long, value_enum, default_value = "get")]
    pub op: Op,
    /// Bytes of an object: 4KiB, 10MB, 1000; or a distribution: by weights 4KiB:70,64KiB:25,1MiB:5, uniform:MIN:MAX,
    /// lognormal:MEDIAN:SIGMA:MAX (the last two as 64 sizes, each the middle of an equal share). A key's number decides
    /// which size it has
    #[arg(long, visible_alias = "sizes", default_value = "4KiB", value_parser = Sizes::parse)]
    pub size: Sizes,
    /// How reads choose among the keys: uniform, zipf (theta 0.99) or zipf:THETA
    #[arg(long, default_value = "uniform", value_parser = Access::parse)]
    pub access: Access,
    /// Connections, each with one operation in flight
    #[arg(long, short, default_value_t = 32)]
    pub concurrency: usize,
    /// Threads of the client; 1 leaves the other cores to the server
    #[arg(long, default_value_t = 1)]
    pub threads: usize,
    #[arg(long, default_value = "10s", value_parser = parse_duration)]
    pub duration: Duration,
    #[arg(long, default_value = "2s", value_parser = parse_duration)]
    pub warmup: Duration,
    /// Objects that reads, listings, ranges and deletes work on; put before the run
    #[arg(long, default_value_t = 1000)]
    pub keys: u64,
    /// The keys are there from an earlier run with --keep
    #[arg(long)]
    pub no_preload: bool,
    /// PUT over the same --keys names instead of a new name each time
    #[arg(long)]
    pub overwrite: bool,
    /// Leave what was written
    #[arg(long)]
    pub keep: bool,
    #[arg(long, value_enum, default_value = "signed")]
    pub payload: Payload,
    /// Bytes of one range
    #[arg(long, default_value = "64KiB", value_parser = parse_size)]
    pub range_size: u64,
    /// Bytes of one part
    #[arg(long, default_value = "8MiB", value_parser = parse_size)]
    pub part_size: u64,
    /// Shares of --op mixed
    #[arg(long, default_value = "get=45,put=15,delete=10,head=30", value_parser = Mix::parse)]
    pub mix: Mix,
    /// Compare the bytes of one read in this many (0: none); lengths are checked always
    #[arg(long, default_value_t = 16)]
    pub verify_every: u64,
    /// Open loop: operations per second, due by the clock whether or not earlier ones were answered
    #[arg(long)]
    pub rate: Option<f64>,
    /// An operation that takes longer is an error
    #[arg(long, default_value = "60s", value_parser = parse_duration)]
    pub timeout: Duration,
    /// Names of the run start with it
    #[arg(long, default_value = "s3bench")]
    pub prefix: String,
    #[arg(long)]
    pub json: bool,
}

#[derive(Args, Clone, Debug)]
pub struct SuiteOptions {
    #[command(flatten)]
    pub target: TargetOptions,
    /// Which rows
    #[arg(long, value_enum, default_value = "short")]
    pub rows: Rows,
    /// Instead the rows with these words in their name, for example `--only "put 1MiB,64MiB"`
    #[arg(long, value_delimiter = ',', conflicts_with = "rows")]
    pub only: Vec<String>,
    /// Measured time of each row; twice that for 64 MiB
    #[arg(long, default_value = "10s", value_parser = parse_duration)]
    pub duration: Duration,
    #[arg(long, default_value = "2s", value_parser = parse_duration)]
    pub warmup: Duration,
    /// Also write the JSON to this file
    #[arg(long)]
    pub out: Option<PathBuf>,
    /// JSON alone on standard output
    #[arg(long)]
    pub json: bool,
}

#[derive(Args, Clone, Debug)]
pub struct IdleOptions {
    #[command(flatten)]
    pub target: TargetOptions,
    /// How many; each has made one signed request before it rests
    #[arg(long, value_delimiter = ',', default_value = "1000,10000")]
    pub connections: Vec<usize>,
    /// Rest before the server's memory is read
    #[arg(long, default_value = "3s", value_parser = parse_duration)]
    pub settle: Duration,
    #[arg(long)]
    pub json: bool,
}

#[derive(Args, Clone, Debug)]
pub struct PlotOptions {
    /// What `--json` or `suite --out` wrote; runs of the same row stand beside each other, named as their files are
    #[arg(required = true)]
    pub runs: Vec<PathBuf>,
    #[arg(long, default_value = "s3bench.svg")]
    pub out: PathBuf,
}

#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Op {
    Put,
    Get,
    Head,
    Delete,
    List,
    Range,
    Multipart,
    Mixed,
}

impl Op {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Put => "put",
            Self::Get => "get",
            Self::Head => "head",
            Self::Delete => "delete",
            Self::List => "list",
            Self::Range => "range",
            Self::Multipart => "multipart",
            Self::Mixed => "mixed",
        }
    }

    /// Works on keys that must be there before.
    pub(crate) fn needs_keys(self) -> bool {
        !matches!(self, Self::Put | Self::Multipart)
    }
}

/// How a PUT's payload is hashed and signed.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Payload {
    /// The body's SHA-256 in the head
    Signed,
    /// UNSIGNED-PAYLOAD
    Unsigned,
    /// STREAMING-AWS4-HMAC-SHA256-PAYLOAD: 64 KiB chunks, each signed
    Streaming,
    /// STREAMING-UNSIGNED-PAYLOAD-TRAILER with a CRC32, as today's SDKs send over https
    Trailer,
    /// STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER with a CRC32, as they send over http
    SignedTrailer,
}

impl Payload {
    /// As the command line names it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Signed => "signed",
            Self::Unsigned => "unsigned",
            Self::Streaming => "streaming",
            Self::Trailer => "trailer",
            Self::SignedTrailer => "signed-trailer",
        }
    }
}

/// Shares of a mixed run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mix(pub Vec<(Op, u32)>);

impl Mix {
    /// 45 GET, 15 PUT, 10 DELETE, 30 HEAD.
    pub(crate) fn of_the_matrix() -> Self {
        Self(vec![(Op::Get, 45), (Op::Put, 15), (Op::Delete, 10), (Op::Head, 30)])
    }

    fn parse(text: &str) -> Result<Self, String> {
        let mut shares = Vec::new();
        for item in text.split(',') {
            let (name, share) =
                item.split_once('=').ok_or_else(|| format!("`{item}` is not operation=share"))?;
            let op = Op::from_str(name, true)?;
            if matches!(op, Op::Mixed | Op::Multipart | Op::List) {
                return Err(format!("`{name}` cannot be part of a mix: get, put, head, delete, range can"));
            }
            shares.push((op, share.parse::<u32>().map_err(|error| format!("`{share}`: {error}"))?));
        }
        let total: u64 = shares.iter().map(|(_, share)| u64::from(*share)).sum();
        if total == 0 { Err("all shares are 0".to_owned()) } else { Ok(Self(shares)) }
    }

    /// The operation for a random number.
    pub(crate) fn pick(&self, random: u64) -> Op {
        let total: u64 = self.0.iter().map(|(_, share)| u64::from(*share)).sum();
        let mut left = random % total;
        for (op, share) in &self.0 {
            match left.checked_sub(u64::from(*share)) {
                Some(rest) => left = rest,
                None => return *op,
            }
        }
        unreachable!("a number below the sum of the shares falls into one")
    }
}

pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    let (number, factor) = match text {
        _ if text.ends_with("ms") => (&text[..text.len() - 2], 0.001),
        _ if text.ends_with('s') => (&text[..text.len() - 1], 1.0),
        _ if text.ends_with('m') => (&text[..text.len() - 1], 60.0),
        _ => (text, 1.0),
    };
    let seconds: f64 = number.parse().map_err(|_| format!("`{text}` is not a duration such as 10s"))?;
    Duration::try_from_secs_f64(seconds * factor).map_err(|error| format!("`{text}`: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units() {
        assert_eq!(parse_duration("250ms"), Ok(Duration::from_millis(250)));
        assert!(parse_duration("-1s").is_err() && parse_duration("soon").is_err());
    }

    #[test]
    fn a_mix_gives_each_operation_its_share() {
        let mix = Mix::parse("get=45,put=15,delete=10,head=30").expect("a mix");
        assert_eq!(mix, Mix::of_the_matrix());
        let puts = (0..1000).filter(|random| mix.pick(*random) == Op::Put).count();
        assert_eq!(puts, 150);
        assert!(Mix::parse("get=0").is_err() && Mix::parse("list=1").is_err() && Mix::parse("get").is_err());
    }

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }
}
