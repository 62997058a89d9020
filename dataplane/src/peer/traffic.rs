//! What a node counts of its dealings with others, summed over its cores, for the scrape.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::PeerError;
use super::client::Reply;
use crate::drives::stats::Count;
use crate::metrics::Writer;

/// By node; one is never forgotten, as there are few.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    asked: Mutex<HashMap<Arc<str>, Arc<Asked>>>,
    /// Requests of any node, done or refused by a drive.
    pub(super) served: Count,
    /// Requests of any node that it may not make, or not so.
    pub(super) refused: Count,
}

/// What another node was asked.
#[derive(Debug, Default)]
pub(super) struct Asked {
    /// What its drives answered, be it that they cannot.
    answered: Count,
    refused: Count,
    failed: Count,
    /// Payloads alone.
    bytes_sent: Count,
    bytes_received: Count,
}

impl Asked {
    /// `sent`: bytes of the request's payload.
    pub(super) fn count(&self, sent: usize, outcome: Result<&Reply, &PeerError>) {
        match outcome {
            Ok(_) | Err(PeerError::Drive(_)) => self.answered.add(1),
            Err(PeerError::Denied(_)) => self.refused.add(1),
            Err(_) => self.failed.add(1),
        }
        self.bytes_sent.add(sent as u64);
        if let Ok((_, Some(payload))) = outcome {
            self.bytes_received.add(payload.len() as u64);
        }
    }
}

impl Traffic {
    pub(super) fn with(&self, node: &Arc<str>) -> Arc<Asked> {
        Arc::clone(self.asked.lock().entry(Arc::clone(node)).or_default())
    }

    /// `reached`: whether a node answered when it was asked last for its drives.
    pub(super) fn write(&self, writer: &mut Writer, reached: impl Fn(&str) -> bool) {
        let mut asked: Vec<_> =
            self.asked.lock().iter().map(|(node, asked)| (Arc::clone(node), Arc::clone(asked))).collect();
        asked.sort_by(|one, other| one.0.cmp(&other.0));
        for (node, asked) in asked {
            let node = ("node", &*node);
            let meaning = "1 while another node's drives take fragments of this one";
            writer.gauge("holdfast_peer_reachable", meaning, &[node], u8::from(reached(node.1)));
            for (outcome, count) in
                [("answered", &asked.answered), ("refused", &asked.refused), ("failed", &asked.failed)]
            {
                let labels = [node, ("outcome", outcome)];
                let meaning = "Requests to another node, by outcome";
                writer.counter("holdfast_peer_requests_total", meaning, &labels, count.value());
            }
            let sent = asked.bytes_sent.value();
            writer.counter("holdfast_peer_bytes_sent_total", "Bytes of fragments sent to it", &[node], sent);
            let received = asked.bytes_received.value();
            let meaning = "Bytes of fragments that it answered with";
            writer.counter("holdfast_peer_bytes_received_total", meaning, &[node], received);
        }
        let served = self.served.value();
        writer.counter(
            "holdfast_peer_served_total",
            "Requests of other nodes that were carried out",
            &[],
            served,
        );
        let refused = self.refused.value();
        writer.counter(
            "holdfast_peer_refused_total",
            "Requests of other nodes that were refused",
            &[],
            refused,
        );
    }
}

#[cfg(test)]
mod tests {
    use holdfast_protocol::peer::{Answer, Denial};

    use super::*;
    use crate::rt::Chunk;

    #[test]
    fn outcomes_and_bytes_are_counted_by_node() {
        let (traffic, one) = (Traffic::default(), Arc::from("one"));
        let asked = traffic.with(&one);
        let piece = (Answer::Done, Some(Chunk::from(bytes::Bytes::from_static(b"12345"))));
        asked.count(0, Ok(&piece));
        traffic.with(&one).count(7, Err(&PeerError::Late));
        asked.count(0, Err(&PeerError::Denied(Denial::NoTicket)));
        traffic.refused.add(1);
        let mut writer = Writer::default();
        traffic.write(&mut writer, |node| node == "one");
        let text = writer.finish();
        for line in [
            "holdfast_peer_reachable{node=\"one\"} 1",
            "holdfast_peer_requests_total{node=\"one\",outcome=\"answered\"} 1",
            "holdfast_peer_requests_total{node=\"one\",outcome=\"refused\"} 1",
            "holdfast_peer_requests_total{node=\"one\",outcome=\"failed\"} 1",
            "holdfast_peer_bytes_sent_total{node=\"one\"} 7",
            "holdfast_peer_bytes_received_total{node=\"one\"} 5",
            "holdfast_peer_served_total 0",
            "holdfast_peer_refused_total 1",
        ] {
            assert!(text.lines().any(|there| there == line), "{line} is not in\n{text}");
        }
    }
}
