//! What a seed makes of a history: how many of everything, and how much trouble.

use super::plot::Plot;
use crate::sim::rng::Rng;

/// What a history is made of.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    pub seed: u64,
    pub nodes: u32,
    pub controls: u32,
    pub keys: u64,
    pub clients_per_node: u64,
    /// How long clients write, milliseconds.
    pub length_ms: u64,
    pub think_ms: u64,
    /// Milliseconds between two troubles, on average; 0: none.
    pub trouble_ms: u64,
    /// Trouble that is directed; `None`: all is left to chance.
    pub plot: Option<Plot>,
}

impl Setting {
    /// The setting of a seed: 2-5 nodes, 1-2 control planes; every third has a plot.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        let mut rng = Rng::new(seed ^ 0x5e77);
        let plot = rng.chance(1, 3).then(|| *rng.pick(&Plot::ALL));
        let setting = Self {
            seed,
            nodes: 2 + u32::try_from(rng.below(4)).unwrap_or(0),
            controls: 1 + u32::from(rng.below(4) > 0),
            keys: rng.within(2..5),
            clients_per_node: rng.within(1..4),
            length_ms: rng.within(8_000..30_000),
            think_ms: rng.within(20..200),
            trouble_ms: rng.within(500..4_000),
            plot: None,
        };
        plot.map_or(setting, |plot| setting.with(plot))
    }
}
