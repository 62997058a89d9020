//! The model: a map from keys to bytes, and for what is not known yet, each possibility.
//!
//! An operation that was not answered may have happened or not; whatever is seen first of the key decides, and holds from
//! then on.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::rng::Rng;

/// What a key holds.
pub type Value = Option<Rc<Vec<u8>>>;

/// A bucket as it must be.
#[derive(Clone, Debug, Default)]
pub struct Model {
    /// Keys that are not here are absent for certain.
    keys: BTreeMap<String, Vec<Value>>,
}

impl Model {
    /// What the key may hold: one value when it is certain.
    #[must_use]
    pub fn possible(&self, key: &str) -> Vec<Value> {
        self.keys.get(key).cloned().unwrap_or_else(|| vec![None])
    }

    /// A change was sent: from now on it may have happened.
    pub fn begin(&mut self, key: &str, values: Vec<Value>) {
        let possible = self.keys.entry(key.to_owned()).or_insert_with(|| vec![None]);
        possible.extend(values);
    }

    /// It did, or what was seen says so.
    pub fn settle(&mut self, key: &str, values: Vec<Value>) {
        self.keys.insert(key.to_owned(), values);
    }

    pub fn keys(&self) -> impl Iterator<Item = &String> {
        self.keys.keys()
    }

    /// Holds what was seen against what may be, and remembers it.
    ///
    /// # Errors
    /// What a user would call lost or wrong.
    pub fn see(&mut self, key: &str, seen: &Value) -> Result<(), String> {
        let possible = self.possible(key);
        if possible.contains(seen) {
            self.settle(key, vec![seen.clone()]);
            return Ok(());
        }
        let expected: Vec<String> = possible.iter().map(describe).collect();
        Err(format!("{key}: seen {}, expected {}", describe(seen), expected.join(" or ")))
    }
}

fn describe(value: &Value) -> String {
    match value {
        None => "nothing".to_owned(),
        Some(bytes) => format!("{} bytes ({:02x?}...)", bytes.len(), &bytes[..bytes.len().min(6)]),
    }
}

/// Bytes that no other write of the same world has: reading another's is noticed.
#[must_use]
pub fn content(number: u64, len: usize) -> Rc<Vec<u8>> {
    let mut bytes = vec![0; len];
    Rng::new(number).fill(&mut bytes);
    Rc::new(bytes)
}
