//! One line on a terminal that says how far a run is; nothing where standard error is none.

use crate::limits::{PROGRESS_BAR_CHARS, PROGRESS_EVERY};
use std::io::{IsTerminal, Write, stderr};
use std::time::Instant;

/// The line; it goes away when this is dropped.
pub(super) struct Progress {
    label: String,
    is_shown: bool,
    next: Instant,
}

impl Progress {
    pub(super) fn new(label: String) -> Self {
        Self { label, is_shown: stderr().is_terminal(), next: Instant::now() }
    }

    /// `share` is 0 to 1; `done` operations are behind.
    pub(super) fn show(&mut self, share: f64, done: u64) {
        if !self.is_shown || Instant::now() < self.next {
            return;
        }
        self.next = Instant::now() + PROGRESS_EVERY;
        // a terminal that is gone is no reason to fail
        let _ = write!(stderr(), "\r{}\x1b[K", line(&self.label, share, done));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.is_shown {
            let _ = write!(stderr(), "\r\x1b[K");
        }
    }
}

fn line(label: &str, share: f64, done: u64) -> String {
    let share = share.clamp(0.0, 1.0);
    let full = (share * PROGRESS_BAR_CHARS as f64) as usize;
    let bar = "#".repeat(full) + &".".repeat(PROGRESS_BAR_CHARS - full);
    format!("{label} [{bar}] {:3.0} %  {done} operations", share * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_fills_and_stays_within_its_width() {
        assert_eq!(
            line("get", 0.5, 7),
            format!("get [{}{}]  50 %  7 operations", "#".repeat(15), ".".repeat(15))
        );
        assert_eq!(line("get", 7.0, 0), format!("get [{}] 100 %  0 operations", "#".repeat(30)));
    }
}
