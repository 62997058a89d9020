//! The shortest history of a key that is still impossible: first the earliest end, then without what is not needed.
//!
//! Only what looks is left out: without a write, what others saw of it would be an offence of its own.

use super::check::{Verdict, check};
use super::keys::Step;

/// Histories longer than this are only cut, not thinned: thinning checks once per observation.
const THINNED_MAX: usize = 2_000;

pub(super) fn shrink(steps: Vec<Step>) -> Vec<Step> {
    let mut ends: Vec<u64> = steps.iter().filter_map(|step| step.return_us).collect();
    ends.sort_unstable();
    ends.dedup();
    // A history that has an order has one at every earlier moment too.
    let first = ends.partition_point(|end| check(&until(&steps, *end)) != Verdict::Impossible);
    let mut kept = ends.get(first).map_or(steps.clone(), |end| until(&steps, *end));
    if kept.len() <= THINNED_MAX {
        for index in (0..kept.len()).rev() {
            if kept[index].what.only_looks() {
                let mut without = kept.clone();
                without.remove(index);
                if check(&without) == Verdict::Impossible {
                    kept = without;
                }
            }
        }
    }
    kept.sort_by_key(|step| (step.call_us, step.line));
    kept
}

/// What was known at that moment.
fn until(steps: &[Step], end_us: u64) -> Vec<Step> {
    let called = steps.iter().filter(|step| step.call_us <= end_us);
    let known = called.map(|step| Step { return_us: step.return_us.filter(|at| *at <= end_us), ..*step });
    known.filter(|step| step.return_us.is_some() || !step.what.only_looks()).collect()
}
