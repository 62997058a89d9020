//! How a process logs: JSON for machines or lines for people, filtered by `HOLDFAST_LOG`.

use std::io::IsTerminal as _;

use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;

/// Shape of a log line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    Json,
    #[default]
    Pretty,
}

/// Starts logging to standard error. `filter` is tracing's syntax (`info`, `holdfast_dataplane=debug,warn`); the
/// environment variable `HOLDFAST_LOG` wins over it. A second call does nothing.
///
/// # Errors
/// When the filter does not parse: the sentence names it.
pub fn init(format: LogFormat, filter: &str) -> Result<(), String> {
    let from_env = std::env::var("HOLDFAST_LOG").ok().filter(|text| !text.is_empty());
    let text = from_env.as_deref().unwrap_or(filter);
    let filter = EnvFilter::try_new(text)
        .map_err(|error| format!("the log filter `{text}` does not parse: {error}; try `info` or `debug`"))?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let started = match format {
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
        LogFormat::Pretty => builder.with_target(false).compact().try_init(),
    };
    drop(started);
    Ok(())
}
