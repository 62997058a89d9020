//! `holdfast admin node`: requests, and what people see of the answers.

use clap::Subcommand;
use serde_json::{Value, json};

use super::admin::{escaped, list, text};
use super::drive::drain_line;

#[derive(Debug, Subcommand)]
pub(super) enum NodeCommand {
    /// Print a token with which one machine becomes a node: `holdfast-dataplane join --token-file FILE --data-dir DIR`.
    Invite {
        /// What the node is called; without it, it says itself.
        #[arg(long, default_value = "")]
        name: String,
        /// How long the token is good for: 90s, 30m, 1h, 2d.
        #[arg(long, value_name = "TIME", default_value = "1h", value_parser = seconds)]
        expires: u32,
    },
    /// Show all nodes.
    List,
    /// Show one node, by its id or its name.
    Show { node: String },
    /// Move everything that is on a node to other nodes; it gets nothing new. When `node show` says `drained`, it may be revoked.
    Drain {
        node: String,
        /// Take a drain back, of the node and of all its drives.
        #[arg(long)]
        cancel: bool,
    },
    /// Throw a node out. Returns when no node serves it any more; cannot be taken back.
    Revoke { node: String },
}

impl NodeCommand {
    /// The request this command is.
    pub(super) fn wire(&self) -> (&'static str, String, Option<Value>) {
        let path = |node: &str, verb: &str| format!("/v1/nodes/{}{verb}", escaped(node));
        match self {
            Self::Invite { name, expires } => (
                "POST",
                "/v1/nodes/invitations".to_owned(),
                Some(json!({ "name": name, "expires_seconds": expires })),
            ),
            Self::List => ("GET", "/v1/nodes".to_owned(), None),
            Self::Show { node } => ("GET", path(node, ""), None),
            Self::Drain { node, cancel } => ("POST", path(node, "/drain"), Some(json!({ "cancel": cancel }))),
            Self::Revoke { node } => ("DELETE", path(node, ""), None),
        }
    }

    /// For standard output; of an invitation the token and nothing else.
    pub(super) fn human(&self, answer: &Value) -> String {
        match self {
            Self::Invite { .. } => format!("{}\n", text(answer, "token")),
            Self::List => {
                let fields = [
                    "node_id",
                    "name",
                    "state",
                    "connected",
                    "region",
                    "certificate_until_ms",
                    "last_seen_ms",
                    "build",
                ];
                list(answer, &fields)
            }
            Self::Show { .. } | Self::Drain { .. } => show(answer),
            Self::Revoke { .. } => format!(
                "{} ({}) is revoked: {} nodes acknowledged, {} leases ran out, after {} ms\n",
                text(answer, "name"),
                text(answer, "node_id"),
                text(answer, "acknowledged"),
                text(answer, "expired"),
                text(answer, "waited_ms")
            ),
        }
    }

    /// For standard error: what to do next.
    pub(super) fn note(&self, answer: &Value) -> Option<String> {
        matches!(self, Self::Invite { .. }).then(|| {
            format!(
                "The token above is good once, until {}, and trusts the authority {}.\nOn the machine: holdfast-dataplane join \
                 --token-file FILE --data-dir DIR",
                text(answer, "expires_ms"),
                text(answer, "ca_sha256")
            )
        })
    }
}

fn show(answer: &Value) -> String {
    let backends: Vec<String> =
        answer["backends"].as_array().into_iter().flatten().map(ToString::to_string).collect();
    let mut lines = vec![
        ("node", text(answer, "node_id")),
        ("name", text(answer, "name")),
        ("state", text(answer, "state")),
        (
            "connected",
            format!(
                "{} (record lease {}, access lease {})",
                text(answer, "connected"),
                text(answer, "lease_live"),
                text(answer, "access_live")
            ),
        ),
        ("region", text(answer, "region")),
        ("build", text(answer, "build")),
        ("first seen", text(answer, "first_seen_ms")),
        ("last seen", text(answer, "last_seen_ms")),
        ("certificate", format!("until {}", text(answer, "certificate_until_ms"))),
        ("revoked", text(answer, "revoked_ms")),
        ("backends", if backends.is_empty() { "-".to_owned() } else { backends.join(",") }),
    ];
    if answer["drain"].is_object() {
        lines.push(("drain", drain_line(&answer["drain"])));
    }
    lines.iter().map(|(name, line)| format!("{name:<12}{line}\n")).collect()
}

/// `90s`, `30m`, `1h`, `2d` in seconds.
pub(super) fn seconds(text: &str) -> Result<u32, String> {
    let wrong = || format!("{text:?} is not a time such as 90s, 30m, 1h or 2d");
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(wrong)?;
    let unit = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err(wrong()),
    };
    number.parse::<u32>().ok().and_then(|number| number.checked_mul(unit)).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::{NodeCommand, seconds, show};
    use serde_json::json;

    #[test]
    fn times_as_people_write_them() {
        assert_eq!((seconds("90s"), seconds("30m"), seconds("1h")), (Ok(90), Ok(1800), Ok(3600)));
        assert_eq!(seconds("2d"), Ok(172_800));
        for bad in ["", "h", "1", "1w", "-1h", "99999999d", "1 h", "1é"] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_token_stands_alone_on_standard_output() {
        let invite = NodeCommand::Invite { name: String::new(), expires: 60 };
        let answer = json!({ "token": "hfj1-x", "expires_ms": 0, "ca_sha256": "ab" });
        assert_eq!(invite.human(&answer), "hfj1-x\n");
        assert!(invite.note(&answer).expect("a note").contains("until 1970"));
        assert!(show(&json!({ "name": "a", "backends": [1, 2] })).contains("backends    1,2"));
    }

    #[test]
    fn how_far_a_drain_is_stands_below_the_node() {
        let drain =
            json!({ "left_pieces": 3, "left_bytes": 10, "stuck_pieces": 2, "stuck_why": "it needs 4 nodes" });
        let shown = show(&json!({ "name": "a", "state": "draining", "drain": drain }));
        assert!(
            shown.contains("drain       3 pieces") && shown.contains("2 STUCK: it needs 4 nodes"),
            "{shown}"
        );
    }
}
