//! From a history to one small history per key.

use std::collections::{BTreeMap, HashMap};

use super::line::{Line, LineError, Op, Outcome};

/// What a write asks of the key as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    Always,
    Absent,
    Is(u32),
}

/// What one operation did to one key, or saw of it. Values are numbers of this key's ETags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Saw(Option<u32>),
    /// `None`: a value that nobody knows.
    Wrote(Option<u32>, When),
    Removed(When),
    /// Its condition did not hold.
    Refused(When),
}

impl What {
    /// It changes nothing.
    pub(super) fn only_looks(self) -> bool {
        matches!(self, Self::Saw(_) | Self::Refused(_))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Step {
    /// Index of its line.
    pub(super) line: usize,
    pub(super) call_us: u64,
    /// `None`: it may take effect at any time, or never.
    pub(super) return_us: Option<u64>,
    pub(super) what: What,
}

#[derive(Default)]
struct Key {
    values: HashMap<String, u32>,
    steps: Vec<Step>,
}

impl Key {
    fn value(&mut self, etag: &str) -> u32 {
        let next = u32::try_from(self.values.len()).unwrap_or(u32::MAX);
        *self.values.entry(etag.to_owned()).or_insert(next)
    }
}

/// The steps of each key, in the order of the lines.
pub(super) fn split(history: &[Line]) -> Result<BTreeMap<String, Vec<Step>>, LineError> {
    let mut keys: BTreeMap<String, Key> = BTreeMap::new();
    for line in history {
        for name in [&line.key].into_iter().chain(&line.source).chain(line.listed.keys()) {
            if !name.is_empty() {
                keys.entry(name.clone()).or_default();
            }
        }
    }
    for (index, line) in history.iter().enumerate() {
        let wrong = |why: &str| LineError { number: index + 1, why: why.to_owned() };
        let looks = matches!(line.op, Op::Get | Op::Head | Op::List);
        let return_us = match line.outcome {
            Outcome::Failed => continue,
            Outcome::Unknown if looks => continue,
            Outcome::Unknown => None,
            Outcome::Ok | Outcome::Refused => {
                Some(line.return_us.ok_or_else(|| wrong("an answered operation needs return_us"))?)
            }
        };
        if return_us.is_some_and(|end| end < line.call_us) {
            return Err(wrong("it returned before it was called"));
        }
        if line.key.is_empty() != (line.op == Op::List) {
            return Err(wrong("a list has a prefix, everything else a key"));
        }
        let mut add = |name: &str, what: &dyn Fn(&mut Key) -> What| {
            let key = keys.entry(name.to_owned()).or_default();
            let what = what(key);
            key.steps.push(Step { line: index, call_us: line.call_us, return_us, what });
        };
        let when = |key: &mut Key| match &line.if_match {
            Some(etag) => When::Is(key.value(etag)),
            None if line.if_none_match => When::Absent,
            None => When::Always,
        };
        let refused = line.outcome == Outcome::Refused;
        if refused && line.if_match.is_none() && !line.if_none_match {
            return Err(wrong("only a condition can refuse; say failed or unknown"));
        }
        match line.op {
            _ if refused => add(&line.key, &|key| What::Refused(when(key))),
            Op::Get | Op::Head => {
                add(&line.key, &|key| What::Saw(line.seen.as_deref().map(|etag| key.value(etag))));
            }
            Op::Delete => add(&line.key, &|key| What::Removed(when(key))),
            Op::Put | Op::Copy | Op::Complete => {
                if line.value.is_none() && line.outcome == Outcome::Ok {
                    return Err(wrong("a write that was done has a value"));
                }
                add(&line.key, &|key| {
                    What::Wrote(line.value.as_deref().map(|etag| key.value(etag)), when(key))
                });
                if let (Some(source), Some(value), Outcome::Ok) = (&line.source, &line.value, line.outcome) {
                    add(source, &|key| What::Saw(Some(key.value(value))));
                }
            }
            Op::List => {
                let inside: Vec<String> = keys.keys().filter(|key| in_range(line, key)).cloned().collect();
                if let Some(stray) = line.listed.keys().find(|key| !in_range(line, key)) {
                    return Err(wrong(&format!("{stray} was listed and is not in the range")));
                }
                for name in inside {
                    let key = keys.entry(name.clone()).or_default();
                    let seen = line.listed.get(&name).map(|etag| key.value(etag));
                    let what = What::Saw(seen);
                    key.steps.push(Step { line: index, call_us: line.call_us, return_us, what });
                }
            }
        }
    }
    Ok(keys.into_iter().map(|(name, key)| (name, key.steps)).collect())
}

fn in_range(list: &Line, key: &str) -> bool {
    key.starts_with(list.prefix.as_deref().unwrap_or_default())
        && list.after.as_deref().is_none_or(|after| key > after)
        && list.until.as_deref().is_none_or(|until| key <= until)
}
