//! What is counted, for Prometheus: each core (and each other thread) has counters of its own, summed at scrape.
//!
//! Counters are relaxed atomics on cache lines of one thread, so counting costs a plain add. What other modules count
//! themselves they hand in as closures ([`register`]), read at scrape.

mod core;
mod text;

use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;

pub use self::core::{CoreMetrics, core};
pub use text::Writer;

/// Writes a module's metrics into a scrape.
pub type Source = Box<dyn Fn(&mut Writer) + Send + Sync>;

/// Adds a module's metrics to every scrape. `name` tells sources apart; the same name again replaces the earlier one.
pub fn register(name: &'static str, source: impl Fn(&mut Writer) + Send + Sync + 'static) {
    let mut sources = sources().lock();
    sources.retain(|(known, _)| *known != name);
    sources.push((name, Arc::new(Box::new(source))));
}

/// All metrics in Prometheus' text format.
#[must_use]
pub fn scrape() -> String {
    let mut writer = Writer::default();
    self::core::write(&mut writer);
    // Not under the lock: a source may take its time.
    let sources: Vec<_> = sources().lock().iter().map(|(_, source)| Arc::clone(source)).collect();
    for source in sources {
        source(&mut writer);
    }
    writer.finish()
}

type Sources = Mutex<Vec<(&'static str, Arc<Source>)>>;

fn sources() -> &'static Sources {
    static SOURCES: OnceLock<Sources> = OnceLock::new();
    SOURCES.get_or_init(Sources::default)
}

#[cfg(test)]
mod tests;
