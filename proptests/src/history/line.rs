//! One line of a history: its JSON form, and its form for people.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Op {
    Put,
    Copy,
    Complete,
    Delete,
    Get,
    Head,
    List,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    Ok,
    /// The condition did not hold.
    #[serde(alias = "no")]
    Refused,
    /// Nothing was done, for certain.
    Failed,
    Unknown,
}

/// One operation of one client; what its fields mean is told in [`super`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    pub client: u64,
    pub op: Op,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub key: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub if_none_match: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub if_match: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub listed: BTreeMap<String, String>,
    pub call_us: u64,
    /// Of an unknown outcome it is of no importance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub return_us: Option<u64>,
    pub outcome: Outcome,
}

impl Line {
    /// An operation that was called and whose outcome nobody knows yet.
    #[must_use]
    pub fn called(client: u64, op: Op, key: &str, call_us: u64) -> Self {
        Self {
            client,
            op,
            key: key.to_owned(),
            value: None,
            seen: None,
            source: None,
            if_none_match: false,
            if_match: None,
            prefix: None,
            after: None,
            until: None,
            listed: BTreeMap::new(),
            call_us,
            return_us: None,
            outcome: Outcome::Unknown,
        }
    }

    /// The same with its end.
    #[must_use]
    pub fn returned(self, return_us: u64, outcome: Outcome) -> Self {
        Self { return_us: Some(return_us), outcome, ..self }
    }
}

/// A line that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {number}: {why}")]
pub struct LineError {
    /// From 1.
    pub number: usize,
    pub why: String,
}

/// Reads JSON lines; empty ones are skipped.
///
/// # Errors
/// The first line that is not one of a history.
pub fn parse(text: &str) -> Result<Vec<Line>, LineError> {
    text.lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty())
        .map(|(index, line)| {
            serde_json::from_str(line)
                .map_err(|error| LineError { number: index + 1, why: error.to_string() })
        })
        .collect()
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let returned = self.return_us.map_or_else(|| "...".to_owned(), |at| at.to_string());
        write!(f, "[{:>9} {:>9}] client {} {:?}", self.call_us, returned, self.client, self.op)?;
        match self.op {
            Op::List => write!(f, " {}* -> {:?}", self.prefix.as_deref().unwrap_or_default(), self.listed)?,
            Op::Get | Op::Head => {
                write!(f, " {} -> {}", self.key, self.seen.as_deref().unwrap_or("absent"))?;
            }
            _ => {
                write!(f, " {}", self.key)?;
                if let Some(source) = &self.source {
                    write!(f, " from {source}")?;
                }
                if self.op != Op::Delete {
                    write!(f, " = {}", self.value.as_deref().unwrap_or("?"))?;
                }
            }
        }
        if self.if_none_match {
            write!(f, " if absent")?;
        }
        if let Some(expected) = &self.if_match {
            write!(f, " if {expected}")?;
        }
        write!(f, ": {:?}", self.outcome)
    }
}
