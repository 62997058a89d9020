//! `holdfast admin drive` and `object-redundancy`: requests, and what people see of the answers.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::admin::{escaped, list, text};
use super::table::bytes;

#[derive(Debug, Subcommand)]
pub(super) enum DriveCommand {
    /// Show all drives.
    List,
    /// Show one drive: what it holds, how far scrub and drain are, which repairs wait.
    Status(Which),
    /// Move what is on a drive to the others of its node; it gets nothing new.
    Drain {
        #[command(flatten)]
        which: Which,
        /// Take a drain back.
        #[arg(long, conflicts_with = "force")]
        cancel: bool,
        /// Even where too few drives remain to hold each fragment of a blob apart: what has nowhere to go stays until a
        /// drive is added.
        #[arg(long)]
        force: bool,
    },
    /// Declare a drive gone for good: what it held is rebuilt elsewhere at once. Cannot be taken back.
    Replace {
        #[command(flatten)]
        which: Which,
        /// Even though the drive answers.
        #[arg(long)]
        force: bool,
    },
}

/// One drive, by its number or its id; `drive list` shows both.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(super) struct Which {
    /// Number of its backend.
    #[arg(long, value_name = "N")]
    backend: Option<u32>,
    /// Its id.
    #[arg(long, value_name = "ID")]
    drive: Option<String>,
}

impl Which {
    fn path(&self, verb: &str) -> String {
        let name = self.drive.clone().or(self.backend.map(|id| id.to_string())).unwrap_or_default();
        format!("/v1/drives/{}{verb}", escaped(&name))
    }
}

impl DriveCommand {
    /// The request this command is.
    pub(super) fn wire(&self) -> (&'static str, String, Option<Value>) {
        match self {
            Self::List => ("GET", "/v1/drives".to_owned(), None),
            Self::Status(which) => ("GET", which.path(""), None),
            Self::Drain { which, cancel, force } => {
                ("POST", which.path("/drain"), Some(json!({ "cancel": cancel, "force": force })))
            }
            Self::Replace { which, force } => {
                ("POST", which.path("/replace"), Some(json!({ "force": force })))
            }
        }
    }

    pub(super) fn human(&self, answer: &Value) -> String {
        match self {
            Self::List => drives(answer),
            _ => status(answer),
        }
    }
}

fn drives(answer: &Value) -> String {
    let mut rows = answer.clone();
    for row in rows.as_array_mut().into_iter().flatten() {
        row["scrub"] = scrub(row).into();
    }
    let fields = [
        "backend_id",
        "node",
        "label",
        "state",
        "used_bytes",
        "free_bytes",
        "live_bytes",
        "pieces",
        "rotten",
        "scrub",
        "drive_id",
    ];
    list(&rows, &fields)
}

fn number(item: &Value, field: &str) -> u64 {
    item[field].as_u64().unwrap_or(0)
}

/// `37 % of pass 3`, or when there was one.
fn scrub(drive: &Value) -> String {
    let scrub = &drive["scrub"];
    let passes = number(scrub, "passes");
    match (scrub["started_ms"].is_null(), number(scrub, "total_bytes")) {
        (false, total) if total > 0 => {
            let percent = number(scrub, "done_bytes").min(total) as f64 * 100.0 / total as f64;
            format!("{percent:.0} % of pass {}", passes + 1)
        }
        (false, _) => format!("pass {}", passes + 1),
        (true, _) if passes > 0 => format!("{passes} done"),
        (true, _) => "none yet".to_owned(),
    }
}

fn status(answer: &Value) -> String {
    let mut lines: Vec<(&str, String)> = vec![
        ("backend", text(answer, "backend_id")),
        ("drive", text(answer, "drive_id")),
        ("node", format!("{} ({})", text(answer, "node"), text(answer, "node_id"))),
        ("path", text(answer, "label")),
        ("state", format!("{} (node says {})", text(answer, "state"), text(answer, "reported_state"))),
        ("connected", text(answer, "connected")),
        ("reported", text(answer, "reported_ms")),
        ("space", format!("{} used, {} free", text(answer, "used_bytes"), text(answer, "free_bytes"))),
        (
            "pieces",
            format!(
                "{}, {} in segments of {}",
                text(answer, "pieces"),
                text(answer, "live_bytes"),
                text(answer, "segment_bytes")
            ),
        ),
        ("errors", format!("{}, {} rotten", text(answer, "errors"), text(answer, "rotten"))),
        ("scrub", scrub_line(answer)),
    ];
    if answer["drain"].is_object() {
        lines.push(("drain", drain_line(&answer["drain"])));
    }
    lines.push((
        "repairs",
        format!("{} open, {} failed", text(answer, "repairs_open"), text(answer, "repairs_failed")),
    ));
    lines.push(("below", format!("{} blobs below their redundancy", text(answer, "blobs_below_desired"))));
    lines.iter().map(|(name, line)| format!("{name:<11}{line}\n")).collect()
}

fn scrub_line(answer: &Value) -> String {
    let (short, scrub) = (scrub(answer), &answer["scrub"]);
    if scrub["estimated_end_ms"].is_null() {
        return format!("{short}, last finished {}", text(scrub, "finished_ms"));
    }
    format!("{short}, done about {}", text(scrub, "estimated_end_ms"))
}

pub(super) fn drain_line(drain: &Value) -> String {
    let mut line = format!(
        "{} pieces ({}) left, {}/s, {}",
        number(drain, "left_pieces"),
        text(drain, "left_bytes"),
        bytes(number(drain, "bytes_per_second")),
        drain["estimated_seconds"].as_u64().map_or("no estimate".to_owned(), about)
    );
    if number(drain, "stuck_pieces") > 0 {
        let why = drain["stuck_why"].as_str().unwrap_or("no other drive may take them, add one");
        line += &format!("; {} STUCK: {why}", number(drain, "stuck_pieces"));
    }
    line
}

fn about(seconds: u64) -> String {
    let (hours, minutes) = (seconds / 3600, seconds % 3600 / 60);
    match (hours, minutes) {
        (0, 0) => format!("about {seconds} s"),
        (0, _) => format!("about {minutes} min"),
        _ => format!("about {hours} h {minutes} min"),
    }
}

/// An object's redundancy for people.
pub(super) fn redundancy(answer: &Value) -> String {
    let verdict = match (answer["whole"] == true, answer["can_lose"].as_i64()) {
        (_, None) => "it has no bytes".to_owned(),
        (true, Some(more)) => format!("whole; can lose {more} fragments"),
        (false, Some(more)) if more >= 0 => format!("NOT WHOLE; can still lose {more} fragments"),
        (false, Some(_)) => "LOST: fewer fragments than the code needs".to_owned(),
    };
    let mut rows = answer["parts"].clone();
    for row in rows.as_array_mut().into_iter().flatten() {
        let missing: Vec<String> =
            row["missing"].as_array().into_iter().flatten().map(ToString::to_string).collect();
        row["missing"] = missing.join(",").into();
    }
    let table = list(&rows, &["number", "op_id", "size", "desired", "needed", "proven", "missing", "repair"]);
    format!("{}/{}: {verdict}\n\n{table}", text(answer, "bucket"), text(answer, "key"))
}

#[cfg(test)]
mod tests {
    use super::{about, drives, redundancy, status};
    use serde_json::json;

    #[test]
    fn progress_is_told_in_words() {
        let mut drive = json!({
            "backend_id": 3, "node": "n", "label": "/d", "state": "draining", "reported_state": "active",
            "used_bytes": 1024, "free_bytes": 2048, "pieces": 7, "rotten": 1,
            "scrub": { "passes": 2, "started_ms": 5, "done_bytes": 37, "total_bytes": 100, "estimated_end_ms": null },
            "drain": { "left_pieces": 5, "left_bytes": 4096, "stuck_pieces": 2, "bytes_per_second": 2048, "estimated_seconds": 2 },
        });
        assert!(drives(&json!([drive])).contains("37 % of pass 3"));
        let shown = status(&drive);
        assert!(shown.contains("5 pieces (4.0 KiB) left, 2.0 KiB/s, about 2 s; 2 STUCK"), "{shown}");
        drive["drain"] = json!(null);
        assert!(!status(&drive).contains("drain "));
        assert_eq!(
            (about(59), about(61), about(7300)),
            ("about 59 s".into(), "about 1 min".into(), "about 2 h 1 min".into())
        );
    }

    #[test]
    fn an_object_that_misses_fragments_is_not_called_whole() {
        let answer = json!({ "bucket": "b", "key": "k", "whole": false, "can_lose": 1,
            "parts": [{ "number": 0, "desired": 4, "proven": 3, "missing": [2], "repair": "waiting" }] });
        let shown = redundancy(&answer);
        assert!(shown.starts_with("b/k: NOT WHOLE; can still lose 1"), "{shown}");
    }
}
