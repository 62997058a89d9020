//! Is there an order? The search of Wing and Gong, remembering what was tried as Lowe does.
//!
//! Calls and returns stand in one linked list by time. An operation can come next when its call stands before the first
//! return that is left. Choosing it takes both out; meeting a return means that the choices so far were wrong.
//! An operation of unknown outcome has a call and no return: it may come at any time and need not come at all.
//!
//! Two shortcuts keep it fast and change no verdict: what only looks and agrees with the value now is taken at once, since
//! it can stand here in any order in which it stands later; and known operations are tried before unknown ones.

use std::collections::HashSet;

use super::keys::{Step, What, When};

/// Choices tried for one key before it counts as undecided: a minute of one core, and a hundred times what real histories take.
pub(super) const STEPS_MAX: usize = 20_000_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Linearisable,
    Impossible,
    /// The search was given up.
    Undecided,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum State {
    Absent,
    Is(u32),
    /// Present, with a value that nobody knows.
    Some,
}

/// `None`: cannot be known.
fn holds(when: When, state: State) -> Option<bool> {
    match (when, state) {
        (When::Always, _) => Some(true),
        (When::Absent, state) => Some(state == State::Absent),
        (When::Is(_), State::Some) => None,
        (When::Is(value), state) => Some(state == State::Is(value)),
    }
}

/// The state after it, when it can happen in this one.
fn after(state: State, what: What) -> Option<State> {
    match what {
        What::Saw(None) => (state == State::Absent).then_some(state),
        What::Saw(Some(value)) => {
            (state == State::Some || state == State::Is(value)).then_some(State::Is(value))
        }
        What::Wrote(value, when) => {
            (holds(when, state) != Some(false)).then(|| value.map_or(State::Some, State::Is))
        }
        What::Removed(when) => (holds(when, state) != Some(false)).then_some(State::Absent),
        What::Refused(when) => (holds(when, state) != Some(true)).then_some(state),
    }
}

/// What was chosen, and the state before.
struct Choice {
    step: usize,
    before: State,
    /// There was no need to look at anything else.
    forced: bool,
}

/// A linked list of events: `2 * step` is its call, `2 * step + 1` its return, the last node both ends.
struct Events {
    next: Vec<usize>,
    previous: Vec<usize>,
    end: usize,
    returns: usize,
}

impl Events {
    fn new(steps: &[Step]) -> Self {
        let mut order: Vec<(u64, bool, usize)> = Vec::new();
        for (index, step) in steps.iter().enumerate() {
            order.push((step.call_us, false, 2 * index));
            order.extend(step.return_us.map(|at| (at, true, 2 * index + 1)));
        }
        // Equal times are concurrent: calls first.
        order.sort_unstable();
        let end = 2 * steps.len();
        let mut events = Self {
            next: vec![end; end + 1],
            previous: vec![end; end + 1],
            end,
            returns: order.len() - steps.len(),
        };
        let mut last = end;
        for (_, _, event) in order {
            events.next[last] = event;
            events.previous[event] = last;
            last = event;
        }
        events.next[last] = end;
        events.previous[end] = last;
        events
    }

    fn first(&self) -> usize {
        self.next[self.end]
    }

    fn unlink(&mut self, event: usize) {
        let (previous, next) = (self.previous[event], self.next[event]);
        self.next[previous] = next;
        self.previous[next] = previous;
    }

    /// Undoes the latest `unlink` that was not undone.
    fn relink(&mut self, event: usize) {
        let (previous, next) = (self.previous[event], self.next[event]);
        self.next[previous] = event;
        self.previous[next] = event;
    }

    fn take(&mut self, index: usize, step: &Step) {
        self.unlink(2 * index);
        if step.return_us.is_some() {
            self.unlink(2 * index + 1);
            self.returns -= 1;
        }
    }

    fn put_back(&mut self, index: usize, step: &Step) {
        if step.return_us.is_some() {
            self.relink(2 * index + 1);
            self.returns += 1;
        }
        self.relink(2 * index);
    }
}

/// Whether one key's steps have an order.
pub(super) fn check(steps: &[Step]) -> Verdict {
    let mut search = Search {
        steps,
        events: Events::new(steps),
        state: State::Absent,
        chosen: Vec::new(),
        tried: HashSet::new(),
        fingerprint: 0,
    };
    search.run()
}

struct Search<'a> {
    steps: &'a [Step],
    events: Events,
    state: State,
    chosen: Vec<Choice>,
    tried: HashSet<(u128, State)>,
    /// Of the set of chosen steps. Two sets share one by a chance of 2^-128, which would be a false alarm, never a false pass.
    fingerprint: u128,
}

impl Search<'_> {
    fn run(&mut self) -> Verdict {
        let mut tries = 0;
        let mut from = None;
        while self.events.returns > 0 {
            tries += 1;
            if tries > STEPS_MAX {
                return Verdict::Undecided;
            }
            let looked = if from.is_none() { self.looks_now() } else { None };
            let next = looked.map(|step| (step, true)).or_else(|| self.next(from).map(|step| (step, false)));
            match next {
                Some((step, forced)) => {
                    self.choose(step, forced);
                    from = None;
                }
                None => match self.undo() {
                    Some(step) => from = Some(step),
                    None => return Verdict::Impossible,
                },
            }
        }
        Verdict::Linearisable
    }

    /// Steps that may come next, by call.
    fn candidates(&self) -> impl Iterator<Item = usize> {
        let mut event = self.events.first();
        std::iter::from_fn(move || {
            (event != self.events.end && event.is_multiple_of(2)).then(|| {
                let step = event / 2;
                event = self.events.next[event];
                step
            })
        })
    }

    /// One that only looks and agrees.
    fn looks_now(&self) -> Option<usize> {
        self.candidates().find(|step| {
            let what = self.steps[*step].what;
            what.only_looks() && after(self.state, what) == Some(self.state)
        })
    }

    /// The next choice that was not tried: after `from`, known ones before unknown ones.
    fn next(&mut self, from: Option<usize>) -> Option<usize> {
        let order = |step: usize| (self.steps[step].return_us.is_none(), self.steps[step].call_us, step);
        let mut open: Vec<usize> = self
            .candidates()
            .filter(|step| from.is_none_or(|from| order(*step) > order(from)))
            .filter(|step| after(self.state, self.steps[*step].what).is_some())
            .collect();
        open.sort_unstable_by_key(|step| order(*step));
        open.into_iter().find(|step| {
            let Some(state) = after(self.state, self.steps[*step].what) else { return false };
            self.tried.insert((self.fingerprint ^ print_of(*step), state))
        })
    }

    fn choose(&mut self, step: usize, forced: bool) {
        self.chosen.push(Choice { step, before: self.state, forced });
        self.state = after(self.state, self.steps[step].what).unwrap_or(self.state);
        self.fingerprint ^= print_of(step);
        self.events.take(step, &self.steps[step]);
    }

    /// Takes back the latest choice that had alternatives.
    fn undo(&mut self) -> Option<usize> {
        loop {
            let choice = self.chosen.pop()?;
            self.events.put_back(choice.step, &self.steps[choice.step]);
            self.fingerprint ^= print_of(choice.step);
            self.state = choice.before;
            if !choice.forced {
                return Some(choice.step);
            }
        }
    }
}

/// 128 bits that look random: two rounds of the finaliser of SplitMix64.
fn print_of(step: usize) -> u128 {
    let half = |salt: u64| {
        let mut bits = (step as u64).wrapping_add(salt).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    };
    u128::from(half(1)) << 64 | u128::from(half(0x5851_f42d_4c95_7f2d))
}
