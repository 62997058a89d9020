//! Counting which fragments of a blob made it: is the write safe, may it still become so, who is late.

use crate::limits::FRAGMENTS_MAX;

/// Fragments that must be durable before a blob may be committed.
///
/// One more than suffice to read it where the class has parity to spare (two or more), so that a drive may die the moment
/// after and the blob is still there. With one parity fragment that rule would stop all writes while one drive is out, so
/// there as many as suffice are enough, the late one is waited for longer (see `blob::write`), and repair makes up the rest.
/// Without parity it is all of them.
#[must_use]
pub fn write_quorum(data: usize, parity: usize) -> usize {
    if parity >= 2 { data + 1 } else { data }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Not enough yet, but those still out may suffice.
    Pending,
    Reached,
    /// Too many have failed.
    Impossible,
}

/// Outcomes of the fragments of one blob. A failure is final: nothing makes a failed fragment good again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tally {
    fragments: u8,
    quorum: u8,
    proven: u64,
    failed: u64,
}

impl Tally {
    #[must_use]
    pub fn new(fragments: usize, quorum: usize) -> Self {
        assert!(quorum <= fragments && fragments <= FRAGMENTS_MAX as usize, "quorum {quorum} of {fragments}");
        Self { fragments: fragments as u8, quorum: quorum as u8, proven: 0, failed: 0 }
    }

    pub fn succeeded(&mut self, index: u8) {
        assert!(index < self.fragments, "fragment {index} of {}", self.fragments);
        self.proven |= (1 << index) & !self.failed;
    }

    pub fn failed(&mut self, index: u8) {
        assert!(index < self.fragments, "fragment {index} of {}", self.fragments);
        self.failed |= 1 << index;
        self.proven &= !self.failed;
    }

    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let possible = u32::from(self.fragments) - self.failed.count_ones();
        if self.proven.count_ones() >= self.quorum.into() {
            Verdict::Reached
        } else if possible < self.quorum.into() {
            Verdict::Impossible
        } else {
            Verdict::Pending
        }
    }

    /// Every fragment has an outcome.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.laggards().next().is_none()
    }

    /// Fragments without an outcome.
    pub fn laggards(&self) -> impl Iterator<Item = u8> + use<> {
        let done = self.proven | self.failed;
        (0..self.fragments).filter(move |i| done & (1 << i) == 0)
    }

    #[must_use]
    pub fn is_failed(&self, index: u8) -> bool {
        self.failed & (1 << index) != 0
    }

    /// Bit i: fragment i is good.
    #[must_use]
    pub fn proven(&self) -> u64 {
        self.proven
    }

    #[must_use]
    pub fn quorum(&self) -> usize {
        self.quorum.into()
    }

    /// Fragments that are good or may still become so.
    #[must_use]
    pub fn possible(&self) -> usize {
        usize::from(self.fragments) - self.failed.count_ones() as usize
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn quorums_by_class() {
        assert_eq!(
            [(2, 2), (4, 2), (1, 2), (3, 1), (1, 0), (4, 0)].map(|(k, m)| write_quorum(k, m)),
            [3, 5, 2, 3, 1, 4]
        );
    }

    #[test]
    fn a_failure_is_final() {
        let mut tally = Tally::new(3, 2);
        tally.succeeded(1);
        tally.failed(1);
        tally.succeeded(1);
        assert_eq!((tally.proven(), tally.verdict()), (0, Verdict::Pending));
        tally.failed(0);
        assert_eq!(tally.verdict(), Verdict::Impossible);
        assert_eq!(tally.laggards().collect::<Vec<_>>(), [2]);
    }

    proptest! {
        /// Oracle: sets.
        #[test]
        fn a_tally_is_two_sets(
            (n, quorum) in (1usize..33).prop_flat_map(|n| (Just(n), 0..=n)),
            events in prop::collection::vec((0u8..32, any::<bool>()), 0..64),
        ) {
            let (mut good, mut bad) = (std::collections::BTreeSet::new(), std::collections::BTreeSet::new());
            let mut tally = Tally::new(n, quorum);
            for (index, ok) in events.into_iter().filter(|(i, _)| usize::from(*i) < n) {
                if ok { tally.succeeded(index); good.insert(index); } else { tally.failed(index); bad.insert(index); }
            }
            good.retain(|i| !bad.contains(i));
            let expected = match good.len() {
                g if g >= quorum => Verdict::Reached,
                _ if n - bad.len() < quorum => Verdict::Impossible,
                _ => Verdict::Pending,
            };
            prop_assert_eq!(tally.verdict(), expected);
            prop_assert_eq!(tally.proven(), good.iter().fold(0u64, |bits, i| bits | 1 << i));
            prop_assert_eq!(tally.is_settled(), good.len() + bad.len() == n);
            prop_assert_eq!(tally.possible(), n - bad.len());
        }
    }
}
