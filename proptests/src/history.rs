//! Histories of S3 operations, and whether they could have come from one bucket that does one thing at a time.
//!
//! A history is checked for *linearisability per key*: there is an order of the operations on that key, in which an
//! operation that had returned before another was called comes first, and in which each saw what a map would show.
//!
//! # One line of JSON per operation
//!
//! ```json
//! {"client":1,"op":"put","key":"b/k","value":"E1","call_us":10,"return_us":25,"outcome":"ok"}
//! {"client":2,"op":"put","key":"b/k","value":"E2","if_none_match":true,"call_us":11,"return_us":30,"outcome":"refused"}
//! {"client":2,"op":"put","key":"b/k","value":"E3","if_match":"E1","call_us":40,"outcome":"unknown"}
//! {"client":1,"op":"get","key":"b/k","seen":"E1","call_us":50,"return_us":60,"outcome":"ok"}
//! {"client":1,"op":"head","key":"b/z","seen":null,"call_us":50,"return_us":60,"outcome":"ok"}
//! {"client":1,"op":"copy","key":"b/z","source":"b/k","value":"E1","call_us":61,"return_us":69,"outcome":"ok"}
//! {"client":1,"op":"list","prefix":"b/","listed":{"b/k":"E1","b/z":"E1"},"call_us":70,"return_us":80,"outcome":"ok"}
//! {"client":1,"op":"delete","key":"b/k","call_us":81,"return_us":90,"outcome":"ok"}
//! ```
//!
//! - `op`: `put`, `copy`, `complete` (of a multipart upload) write `value`; `delete` removes; `get`, `head` and `list` look.
//! - `key`: `BUCKET/KEY`. No key exists at the beginning: what was there before is a `put` at 0.
//! - `value`, `seen`: the ETag; distinct bodies make the check sharp, equal ones are legal. `seen: null` is a 404.
//!   A write whose ETag its client never learned (a copy of unknown outcome) may leave `value` out: it matches any.
//! - `if_none_match: true` is `If-None-Match: *`; `if_match` names the ETag (writes and deletes).
//! - `call_us`, `return_us`: one clock for all clients (of one machine: its monotonic clock).
//! - `outcome`: `ok`; `refused`: the condition did not hold, which is an observation too (412, and 404 for an `if_match`);
//!   `failed`: nothing was done, for certain; `unknown`: it may take effect at any time from its call on, or never (a
//!   timeout, a connection that ended, most 5xx). Repeat nothing by itself: an SDK's own retries must be off, since a
//!   second attempt is another operation.
//! - `list`: all the keys of the history that begin with `prefix`, are above `after` and not above `until` (both may be
//!   left out; a page that was truncated says its last key as `until`) and not in `listed` are seen absent.
//!
//! # What is checked of operations on several keys
//!
//! A listing is, for each key in its range, a read at some moment between its call and its return; not the same moment for all.
//! A copy is a write to its key, and a read of `source` within the same interval.

mod check;
mod keys;
mod line;
mod shrink;
#[cfg(test)]
mod tests;

use std::fmt;

pub use check::Verdict;
pub use line::{Line, LineError, Op, Outcome, parse};

/// Why a history is none of a correct store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offence {
    pub key: String,
    /// Indices into the history, by call: every write to the key until then and the fewest observations that contradict them.
    pub lines: Vec<usize>,
}

/// What came of checking a history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    pub keys: usize,
    pub operations: usize,
    pub offences: Vec<Offence>,
    /// Keys whose search was given up.
    pub undecided: Vec<String>,
}

impl Report {
    #[must_use]
    pub fn is_linearisable(&self) -> bool {
        self.offences.is_empty() && self.undecided.is_empty()
    }
}

/// Checks every key of a history.
///
/// # Errors
/// A line that makes no sense, by its index.
pub fn check(history: &[Line]) -> Result<Report, LineError> {
    let keys = keys::split(history)?;
    let mut report =
        Report { keys: keys.len(), operations: history.len(), offences: Vec::new(), undecided: Vec::new() };
    for (key, steps) in keys {
        match check::check(&steps) {
            Verdict::Linearisable => {}
            Verdict::Undecided => report.undecided.push(key),
            Verdict::Impossible => {
                let mut lines: Vec<usize> = shrink::shrink(steps).iter().map(|step| step.line).collect();
                lines.dedup();
                report.offences.push(Offence { key, lines });
            }
        }
    }
    Ok(report)
}

/// An offence with its lines, for people.
pub struct Told<'a>(pub &'a Offence, pub &'a [Line]);

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(offence, history) = self;
        writeln!(f, "no order of these operations on {} explains what they saw:", offence.key)?;
        offence.lines.iter().try_for_each(|line| writeln!(f, "  {:>6}  {}", line + 1, history[*line]))
    }
}
