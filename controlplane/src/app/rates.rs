//! How much of something each node may still have: so much a second, and so much saved up.

use std::collections::HashMap;

use parking_lot::Mutex;
use tokio::time::Instant;
use uuid::Uuid;

/// One entry per node.
pub(crate) struct Rates {
    burst: f64,
    per_second: f64,
    left: Mutex<HashMap<Uuid, (f64, Instant)>>,
}

impl Rates {
    pub(crate) fn new(burst: u64, per_second: f64) -> Self {
        Self { burst: burst as f64, per_second, left: Mutex::default() }
    }

    /// False: too many for now, and none of these count.
    pub(crate) fn take(&self, node_id: Uuid, count: usize, now: Instant) -> bool {
        let mut nodes = self.left.lock();
        let (left, at) = nodes.entry(node_id).or_insert((self.burst, now));
        let more = now.duration_since(*at).as_secs_f64() * self.per_second;
        (*left, *at) = ((*left + more).min(self.burst), now);
        let enough = *left >= count as f64;
        if enough {
            *left -= count as f64;
        }
        enough
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;
    use uuid::Uuid;

    use super::Rates;

    #[test]
    fn a_node_that_asks_too_much_waits_and_the_others_do_not() {
        let (rates, began) = (Rates::new(20, 10.0), Instant::now());
        let (greedy, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        assert!(rates.take(greedy, 20, began));
        assert!(!rates.take(greedy, 1, began));
        assert!(rates.take(other, 1, began));
        let later = began + Duration::from_secs(1);
        assert!(rates.take(greedy, 10, later));
        assert!(!rates.take(greedy, 1, later));
        let much_later = later + Duration::from_secs(3600);
        assert!(!rates.take(greedy, 21, much_later), "what it saves up has a bound");
        assert!(rates.take(greedy, 20, much_later));
    }
}
