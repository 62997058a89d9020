//! What goes wrong, and when: partitions both ways and one way, broken connections, pauses, suspends, crashes, clocks that jump.

use std::sync::atomic::Ordering::Relaxed;

use super::{Cluster, Setting};
use crate::cluster::control::place_of;
use crate::cluster::world::{DATABASE, Place};
use crate::sim::rng::Rng;

pub(super) struct Trouble {
    rng: Rng,
    setting: Setting,
    next_ms: u64,
    /// What ends when.
    ends: Vec<(u64, End)>,
}

enum End {
    Heal(Place, Place),
    StartNode(u32),
    StartControl(u32),
}

impl Trouble {
    pub(super) fn new(setting: Setting) -> Self {
        let rng = Rng::new(setting.seed ^ 0x7e0b);
        // The first leader and the first sessions come up in peace.
        Self { rng, setting, next_ms: 1_500, ends: Vec::new() }
    }

    pub(super) fn act(&mut self, cluster: &mut Cluster) {
        let now_ms = cluster.world.now_ms();
        let (due, later) = std::mem::take(&mut self.ends).into_iter().partition(|(at, _)| *at <= now_ms);
        self.ends = later;
        let due: Vec<(u64, End)> = due;
        for (_, end) in due {
            match end {
                End::Heal(from, to) => cluster.world.heal(from, to),
                End::StartNode(number) => cluster.replace_node(number),
                End::StartControl(number) => cluster.replace_control(number),
            }
        }
        if self.setting.trouble_ms > 0 && now_ms >= self.next_ms {
            self.next_ms = now_ms + self.rng.within(1..2 * self.setting.trouble_ms);
            self.begin(cluster, now_ms);
        }
    }

    /// Mostly short, sometimes longer than a lease, rarely longer than a term.
    fn how_long(&mut self) -> u64 {
        match self.rng.below(10) {
            0..5 => self.rng.within(50..1_000),
            5..9 => self.rng.within(1_000..5_000),
            _ => self.rng.within(5_000..16_000),
        }
    }

    fn begin(&mut self, cluster: &mut Cluster, now_ms: u64) {
        let until_ms = now_ms + self.how_long();
        match self.rng.below(100) {
            0..35 => self.partition(cluster, until_ms),
            35..50 => cluster.world.break_one(),
            50..68 => {
                let place = self.process(cluster);
                cluster.paused.push((place, until_ms));
            }
            68..76 => {
                let place = self.process(cluster);
                cluster.suspend(place, until_ms - now_ms);
            }
            76..90 => self.crash(cluster, until_ms),
            _ => {
                let hour_ms = 3_600_000;
                let (at, wrong) = (self.rng.draw(), self.rng.below(6 * hour_ms));
                let count = cluster.processes().count().max(1) as u64;
                if let Some(process) = cluster.processes().nth(usize::try_from(at % count).unwrap_or(0)) {
                    let offset = wrong.cast_signed() - 3 * hour_ms.cast_signed();
                    process.machine.unix_offset_ms.store(offset, Relaxed);
                }
            }
        }
    }

    /// Any process.
    fn process(&mut self, cluster: &Cluster) -> Place {
        let places = cluster.places();
        *self.rng.pick(&places[..places.len() - 1])
    }

    /// Between a node and a control plane, or one of these and the database.
    fn partition(&mut self, cluster: &mut Cluster, until_ms: u64) {
        let control = place_of(u32::try_from(self.rng.below(self.setting.controls.into())).unwrap_or(0));
        let other = match self.rng.below(4) {
            0 => DATABASE,
            _ => Place(u32::try_from(self.rng.below(self.setting.nodes.into())).unwrap_or(0)),
        };
        let ways = match self.rng.below(3) {
            0 => vec![(control, other)],
            1 => vec![(other, control)],
            _ => vec![(control, other), (other, control)],
        };
        for (from, to) in ways {
            cluster.world.cut(from, to);
            self.ends.push((until_ms, End::Heal(from, to)));
        }
    }

    fn crash(&mut self, cluster: &mut Cluster, until_ms: u64) {
        let silent = self.rng.chance(1, 3);
        let at = self.rng.index(cluster.nodes.len() + cluster.controls.len());
        let number = u32::try_from(at).unwrap_or(0);
        if at < cluster.nodes.len() {
            if cluster.nodes[at].is_some() {
                cluster.kill(Place(number), silent);
                self.ends.push((until_ms, End::StartNode(number)));
            }
        } else {
            let number = number - self.setting.nodes;
            if cluster.controls[number as usize].is_some() {
                match self.rng.chance(1, 3) {
                    true => cluster.stop_control(number),
                    false => cluster.kill(place_of(number), silent),
                }
                self.ends.push((until_ms, End::StartControl(number)));
            }
        }
    }
}
