//! Random histories of a register that does one thing at a time, told by clients who saw it with delays.

use crate::sim::rng::Rng;

use super::super::{Line, Op, Outcome, check};

const CLIENTS: u64 = 5;

fn name(value: u64) -> String {
    format!("etag-{value}")
}

/// Each operation takes effect at a moment within its interval; one in eight is never heard of again.
fn generate(seed: u64, operations: u64) -> Vec<Line> {
    let mut rng = Rng::new(seed);
    let mut state: Option<u64> = None;
    let mut now = 1_000;
    let mut lines = Vec::new();
    for value in 1..=operations {
        now += 1 + rng.below(10);
        let call_us = now - rng.below(40);
        let return_us = now + rng.below(40);
        let op = [Op::Put, Op::Put, Op::Get, Op::Get, Op::Head, Op::Delete][rng.below(6) as usize];
        let mut line = Line::called(rng.below(CLIENTS), op, "b/k", call_us);
        match (op, rng.below(3)) {
            (Op::Put, 0) => line.if_none_match = true,
            (Op::Put | Op::Delete, 1) => line.if_match = Some(name(state.unwrap_or(value / 2))),
            _ => {}
        }
        let holds = (!line.if_none_match || state.is_none())
            && line.if_match.as_ref().is_none_or(|etag| state.map(name).as_ref() == Some(etag));
        match op {
            Op::Put => line.value = Some(name(value)),
            Op::Delete => {}
            _ => line.seen = state.map(name),
        }
        let lost = rng.below(8) == 0;
        if holds && !(lost && rng.below(2) == 0) {
            match op {
                Op::Put => state = Some(value),
                Op::Delete => state = None,
                _ => {}
            }
        }
        lines.push(match (lost, holds) {
            (true, _) => line,
            (false, true) => line.returned(return_us, Outcome::Ok),
            (false, false) => line.returned(return_us, Outcome::Refused),
        });
    }
    lines
}

#[test]
fn what_a_register_did_is_always_linearisable() {
    for seed in 0..300 {
        let history = generate(seed, 60);
        let report = check(&history).expect("a history");
        assert!(report.is_linearisable(), "seed {seed}: {report:?}");
    }
}

#[test]
fn a_long_history_is_decided() {
    let report = check(&generate(7, 5_000)).expect("a history");
    assert!(report.is_linearisable(), "{report:?}");
}

#[test]
fn one_swapped_value_is_usually_noticed() {
    let mut noticed = 0;
    for seed in 0..300 {
        let mut history = generate(seed, 60);
        let reads: Vec<usize> = (0..history.len())
            .filter(|at| history[*at].op == Op::Get && history[*at].seen.is_some())
            .collect();
        let (Some(first), Some(last)) = (reads.first().copied(), reads.last().copied()) else { continue };
        let swapped = history[first].seen.clone();
        history[first].seen = history[last].seen.clone();
        history[last].seen = swapped;
        noticed += u32::from(!check(&history).expect("a history").is_linearisable());
    }
    assert!(noticed > 200, "{noticed} of 300");
}
