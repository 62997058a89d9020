//! Medians and spreads over rounds. A ratio is made of two turns of the same round, which ran next to each other.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The middle of some values, and how far they lie apart.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Spread {
    pub(super) median: f64,
    pub(super) min: f64,
    pub(super) max: f64,
}

impl Spread {
    /// `None` of nothing.
    pub(super) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = values.into_iter().filter(|value| value.is_finite()).collect();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let middle = sorted.len() / 2;
        let median = if sorted.len() % 2 == 1 {
            sorted[middle]
        } else {
            f64::midpoint(sorted[middle - 1], sorted[middle])
        };
        Some(Self { median, min, max })
    }

    /// Of the rounds in which both have a value, ours over theirs.
    pub(super) fn ratio(ours: &[Option<f64>], theirs: &[Option<f64>]) -> Option<Self> {
        let pairs = ours.iter().zip(theirs).filter_map(|(ours, theirs)| Some((*ours)? / (*theirs)?));
        Self::of(pairs)
    }
}

/// `3.1 (2.9-3.4)`.
impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = if self.median < 0.995 { 2 } else { 1 };
        write!(f, "{:.digits$} ({:.digits$}-{:.digits$})", self.median, self.min, self.max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_pair_the_turns_of_a_round() {
        let ratio = Spread::ratio(&[Some(10.0), Some(20.0), None], &[Some(5.0), Some(5.0), Some(1.0)]);
        assert_eq!(ratio, Some(Spread { median: 3.0, min: 2.0, max: 4.0 }));
        // a peer that did nothing is no ratio
        assert_eq!(Spread::ratio(&[Some(10.0)], &[Some(0.0)]), None);
        assert_eq!(Spread::of([3.0, 1.0, 2.0]).expect("a spread").to_string(), "2.0 (1.0-3.0)");
        assert_eq!(Spread::of([0.5]).expect("a spread").to_string(), "0.50 (0.50-0.50)");
        assert_eq!(Spread::of([]), None);
    }
}
