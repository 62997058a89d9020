//! Refusals are logged once per node and reason in a while: who is refused a thousand times a second fills no disk.

use std::collections::HashMap;
use std::fmt;

use holdfast_protocol::peer::Denial;
use parking_lot::Mutex;

use crate::limits::{PEER_WARN_EVERY_MS, PEER_WARNINGS_MAX};
use crate::rt::boottime_ms;

/// What there is to warn of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Warning {
    /// This node refused a request of the other.
    Refused(Denial),
    /// The other refused one of this node's.
    WasRefused(Denial),
    /// Whoever answers at its address is another.
    Impostor(Denial),
    /// It sent what it should not.
    Lied(&'static str),
    /// It has more connections than are good for the others.
    TooMany,
    /// A connection that did not come to a greeting.
    NoHandshake,
}

/// Who was warned of, for what, and when (boot time, ms).
#[derive(Debug, Default)]
pub(super) struct Warnings(Mutex<HashMap<(String, Warning), u64>>);

impl Warnings {
    /// Logs it unless that was done a moment ago; `detail` is logged with it.
    pub(super) fn warn(&self, node: &str, warning: Warning, detail: &dyn fmt::Display) {
        if !self.is_news(node, warning, boottime_ms()) {
            return;
        }
        match warning {
            Warning::Refused(denial) => {
                tracing::warn!(node, reason = %denial, %detail, "refused a request of another node");
            }
            Warning::WasRefused(denial) => {
                tracing::warn!(node, reason = %denial, %detail, "another node refuses our requests");
            }
            Warning::Impostor(denial) => {
                tracing::warn!(node, reason = %denial, %detail, "whoever answers for a node is not that node");
            }
            Warning::Lied(what) => {
                tracing::warn!(node, what, %detail, "another node sent what it should not; it was not used");
            }
            Warning::TooMany => {
                tracing::warn!(node, most = %detail, "closed a connection of another node: it has too many to this core");
            }
            Warning::NoHandshake => {
                tracing::warn!(from = node, %detail, "a connection of a node failed in its TLS handshake");
            }
        }
    }

    fn is_news(&self, node: &str, warning: Warning, now_ms: u64) -> bool {
        let mut told = self.0.lock();
        if told.len() >= PEER_WARNINGS_MAX {
            told.retain(|_, at| now_ms < *at + PEER_WARN_EVERY_MS);
        }
        let full = told.len() >= PEER_WARNINGS_MAX;
        match told.get_mut(&(node.to_owned(), warning)) {
            Some(at) if now_ms < *at + PEER_WARN_EVERY_MS => return false,
            Some(at) => *at = now_ms,
            None if full => return false,
            None => drop(told.insert((node.to_owned(), warning), now_ms)),
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_is_logged_once_in_a_while() {
        let warnings = Warnings::default();
        let denied = Warning::Refused(Denial::NoTicket);
        assert!(warnings.is_news("a", denied, 1000));
        assert!(!warnings.is_news("a", denied, 1000 + PEER_WARN_EVERY_MS - 1));
        assert!(warnings.is_news("b", denied, 1000));
        assert!(warnings.is_news("a", Warning::Refused(Denial::RevokedNode), 1000));
        assert!(warnings.is_news("a", denied, 1000 + PEER_WARN_EVERY_MS));
        for other in 0..2 * PEER_WARNINGS_MAX {
            warnings.is_news(&format!("node {other}"), denied, 2000);
        }
        assert!(warnings.0.lock().len() <= PEER_WARNINGS_MAX);
    }
}
