//! How many connections each source address may hold: one that opens them and says nothing does not keep out the others.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;

/// Counts connections by address.
#[derive(Debug)]
pub(crate) struct Sources {
    at_most: usize,
    held: Mutex<HashMap<IpAddr, usize>>,
}

/// One connection's place; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    sources: Arc<Sources>,
    source: IpAddr,
}

impl Sources {
    pub(crate) fn new(at_most: usize) -> Arc<Self> {
        Arc::new(Self { at_most, held: Mutex::default() })
    }

    /// `None`: this address has as many as it may.
    pub(crate) fn place(self: &Arc<Self>, source: IpAddr) -> Option<Place> {
        let source = source.to_canonical();
        let mut held = self.held.lock();
        let count = held.entry(source).or_insert(0);
        if *count >= self.at_most {
            return None;
        }
        *count += 1;
        Some(Place { sources: Arc::clone(self), source })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = self.sources.held.lock();
        let Some(count) = held.get_mut(&self.source) else { return };
        *count -= 1;
        if *count == 0 {
            held.remove(&self.source);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Sources;

    #[test]
    fn one_address_does_not_keep_out_another() {
        let sources = Sources::new(2);
        let (one, other) = ("10.0.0.1".parse().expect("an address"), "10.0.0.2".parse().expect("an address"));
        let first = sources.place(one).expect("room");
        let mapped = "::ffff:10.0.0.1".parse().expect("an address");
        let _second = sources.place(mapped).expect("room");
        assert!(sources.place(one).is_none());
        assert!(sources.place(other).is_some());
        drop(first);
        assert!(sources.place(one).is_some());
        assert_eq!(sources.held.lock().len(), 1, "who holds none is forgotten");
    }
}
