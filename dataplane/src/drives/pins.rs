//! Lives that are being read: a segment is not given back under a read.
//!
//! A pin is a courtesy, not what keeps bytes right: a read that comes too late finds no record of its life and looks the
//! piece up again. Each core counts its own, so that cores do not meet; the keeper asks them all, seldom.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use crate::index::Life;

/// The pins of one core on one drive.
#[derive(Debug, Default)]
pub(super) struct Pins(Mutex<HashMap<Life, u32>>);

impl Pins {
    /// Pins a life until the answer is dropped.
    pub(super) fn pin(&self, life: Life) -> Pin<'_> {
        *self.0.lock().entry(life).or_default() += 1;
        Pin { pins: self, life }
    }

    fn has(&self, life: Life) -> bool {
        self.0.lock().contains_key(&life)
    }
}

/// A life that is being read.
#[derive(Debug)]
pub(super) struct Pin<'a> {
    pins: &'a Pins,
    life: Life,
}

impl Drop for Pin<'_> {
    fn drop(&mut self) {
        let mut pinned = self.pins.0.lock();
        if let Some(count) = pinned.get_mut(&self.life) {
            *count -= 1;
            if *count == 0 {
                pinned.remove(&self.life);
            }
        }
    }
}

/// All cores' pins on one drive.
#[derive(Debug, Default)]
pub(super) struct AllPins(Mutex<Vec<Weak<Pins>>>);

impl AllPins {
    /// Pins for one more core.
    pub(super) fn join(&self) -> Arc<Pins> {
        let pins = Arc::new(Pins::default());
        let mut all = self.0.lock();
        all.retain(|core| core.strong_count() > 0);
        all.push(Arc::downgrade(&pins));
        pins
    }

    pub(super) fn have(&self, life: Life) -> bool {
        self.0.lock().iter().filter_map(Weak::upgrade).any(|core| core.has(life))
    }
}
