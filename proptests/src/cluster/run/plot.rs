//! Directed trouble: what chance alone seldom puts together, again and again within one history.
//!
//! Each plot has a leader, a standby, one node that it is about (`lone`) and the others. What it breaks is whole again at its
//! end, and the next act has another cast.

use std::collections::BTreeMap;

use super::{Cluster, Setting};
use crate::cluster::control::place_of;
use crate::cluster::world::{Place, TERMS, WRITES};
use crate::sim::rng::Rng;

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plot {
    /// The leader is stopped gently, and the lone node does not hear its goodbye.
    Farewell,
    /// The leader cannot prolong its term, reads on, and has the lone node alone; the others go to the next leader.
    OldLeader,
    /// Commits wait for a lock in the database; meanwhile their leader dies with the lone node, and the next leader begins.
    LateBatch,
    /// For longer than a commit waits, the lone node hears nobody, and is heard.
    DeafNode,
    /// The lone node hears as late as a lease is long; then nobody hears it any more.
    LateAnswers,
    /// The lone node's connections break, and what it then hears comes late.
    LateWelcome,
    /// The lone node's connections break, and it reaches nobody.
    LostSession,
    /// The machine of the leader and the lone node is suspended for longer than a term.
    Asleep,
}

impl Plot {
    pub const ALL: [Self; 8] = [
        Self::Farewell,
        Self::OldLeader,
        Self::LateBatch,
        Self::DeafNode,
        Self::LateAnswers,
        Self::LateWelcome,
        Self::LostSession,
        Self::Asleep,
    ];

    /// How long clients write: enough for one long act, or several short ones.
    fn length_ms(self) -> u64 {
        match self {
            Self::DeafNode => 25_000,
            Self::Asleep => 22_000,
            Self::OldLeader | Self::LateBatch => 18_000,
            Self::Farewell | Self::LateAnswers | Self::LateWelcome | Self::LostSession => 14_000,
        }
    }
}

impl Setting {
    /// The same with this plot, and what it needs. In one of four the rest of the trouble goes on.
    #[must_use]
    pub fn with(self, plot: Plot) -> Self {
        Self {
            nodes: self.nodes.max(3),
            controls: 2,
            keys: self.keys + 2,
            length_ms: plot.length_ms(),
            think_ms: self.think_ms.min(100),
            trouble_ms: if self.seed.is_multiple_of(4) { self.trouble_ms } else { 0 },
            plot: Some(plot),
            ..self
        }
    }
}

/// From the choice of a cast until its act, so that what it reads is cached.
const GATHERING_MS: u64 = 500;
/// How long its clients look on.
const WATCHED_MS: u64 = 20_000;

type Step = Box<dyn FnOnce(&mut Cluster)>;

pub(super) struct Director {
    rng: Rng,
    setting: Setting,
    next_ms: u64,
    /// Who plays in the act that begins next, and whose clients have gathered.
    cast: Option<Cast>,
    /// By time, and by order within it.
    steps: BTreeMap<(u64, usize), Step>,
}

/// Who plays in an act that begins now.
struct Cast {
    leader_number: u32,
    leader: Place,
    standby: Place,
    lone: Place,
    /// One of the others.
    unheard: Place,
    others: Vec<Place>,
}

/// An act that is being written.
#[derive(Default)]
struct Act(Vec<(u64, Step)>);

impl Act {
    fn at(&mut self, after_ms: u64, step: impl FnOnce(&mut Cluster) + 'static) {
        self.0.push((after_ms, Box::new(step)));
    }

    fn cut(&mut self, after_ms: u64, from: Place, to: Place) {
        self.at(after_ms, move |cluster| cluster.world.cut(from, to));
    }

    fn part(&mut self, after_ms: u64, one: Place, other: Place) {
        self.cut(after_ms, one, other);
        self.cut(after_ms, other, one);
    }

    fn slow(&mut self, after_ms: u64, from: Place, to: Place, ms: u64) {
        self.at(after_ms, move |cluster| cluster.world.slow(from, to, ms));
    }

    fn heal(&mut self, after_ms: u64) {
        self.at(after_ms, |cluster| cluster.world.heal_all());
    }
}

impl Director {
    pub(super) fn new(setting: Setting) -> Self {
        let rng = Rng::new(setting.seed ^ 0xd12e);
        Self { rng, setting, next_ms: 1_500, cast: None, steps: BTreeMap::new() }
    }

    pub(super) fn act(&mut self, cluster: &mut Cluster) {
        let now_ms = cluster.world.now_ms();
        let Some(plot) = self.setting.plot else { return };
        while let Some(next) = self.steps.first_entry().filter(|next| next.key().0 <= now_ms) {
            next.remove()(cluster);
        }
        if !self.steps.is_empty() || now_ms < self.next_ms {
            return;
        }
        let Some(cast) = self.cast.take() else {
            self.cast = self.choose(cluster);
            self.next_ms = now_ms + GATHERING_MS;
            return;
        };
        let Act(steps) = self.write(plot, &cast, cluster);
        let last_ms = steps.iter().map(|(after_ms, _)| *after_ms).max().unwrap_or(0);
        self.next_ms = now_ms + last_ms + self.rng.within(1_000..2_500);
        let timed = steps.into_iter().enumerate();
        self.steps.extend(timed.map(|(order, (after_ms, step))| ((now_ms + after_ms, order), step)));
    }

    /// `None`: nobody leads.
    fn choose(&mut self, cluster: &mut Cluster) -> Option<Cast> {
        let leader = cluster.leader()?;
        let until_ms = cluster.world.now_ms() + WATCHED_MS;
        let mut others: Vec<Place> = (0..self.setting.nodes).map(Place).collect();
        let lone = others.remove(self.rng.index(others.len()));
        let unheard = *self.rng.pick(&others);
        cluster.watch(lone, until_ms);
        cluster.watch(unheard, until_ms);
        let standby = (leader + 1) % self.setting.controls;
        Some(Cast {
            leader_number: leader,
            leader: place_of(leader),
            standby: place_of(standby),
            lone,
            unheard,
            others,
        })
    }

    /// The steps, by milliseconds after now.
    fn write(&mut self, plot: Plot, cast: &Cast, cluster: &Cluster) -> Act {
        let &Cast { leader_number, leader, standby, lone, .. } = cast;
        let mut act = Act::default();
        match plot {
            Plot::Farewell => {
                act.part(0, leader, lone);
                act.at(self.rng.within(0..150), move |cluster| cluster.stop_control(leader_number));
                act.heal(3_000);
                act.at(3_000, move |cluster| cluster.replace_control(leader_number));
            }
            Plot::OldLeader => self.old_leader(&mut act, cast, cluster),
            Plot::LateBatch => {
                act.slow(0, leader, WRITES, 12_000);
                let end_ms = self.rng.within(300..700);
                act.at(end_ms, move |cluster| {
                    cluster.kill(leader, false);
                    cluster.kill(lone, false);
                });
                act.heal(end_ms);
                act.at(end_ms + 500, move |cluster| cluster.replace_node(lone.0));
                act.at(14_000, move |cluster| cluster.replace_control(leader_number));
            }
            Plot::DeafNode => {
                act.cut(0, leader, lone);
                act.cut(0, standby, lone);
                act.heal(23_000);
            }
            Plot::LateAnswers => {
                act.slow(0, leader, lone, 1_400);
                act.cut(self.rng.within(200..1_000), lone, leader);
                act.heal(5_000);
            }
            Plot::LateWelcome => {
                act.slow(0, leader, lone, self.rng.within(600..1_400));
                act.at(0, move |cluster| cluster.world.break_between(leader, lone));
                act.heal(2_500);
            }
            Plot::LostSession => {
                act.part(0, leader, lone);
                act.part(0, standby, lone);
                act.at(0, move |cluster| cluster.world.break_between(leader, lone));
                act.heal(2_500);
            }
            Plot::Asleep => {
                let gap_ms = self.rng.within(14_000..16_000);
                act.at(0, move |cluster| {
                    cluster.suspend(leader, gap_ms);
                    cluster.suspend(lone, gap_ms);
                });
                act.heal(gap_ms + 3_000);
            }
        }
        act
    }

    /// The moments are those of the term's end, which stands when nobody can prolong it any more.
    fn old_leader(&mut self, act: &mut Act, cast: &Cast, cluster: &Cluster) {
        let &Cast { leader, lone, .. } = cast;
        let now_ms = cluster.world.now_ms();
        let end_ms = cluster.world.database(|database, _| database.expires_ms()).saturating_sub(now_ms);
        let before = |ms: u64| end_ms.saturating_sub(ms);
        act.cut(0, leader, TERMS);
        // The others find their way to the next leader in time.
        for other in &cast.others {
            act.part(before(1_600), leader, *other);
        }
        if self.rng.chance(2, 3) {
            // What lies there when the lone node goes on makes it stay with the old leader, without a lease.
            act.slow(before(2_200), leader, lone, 600);
            let until_ms = now_ms + end_ms + 600;
            act.at(before(1_500), move |cluster| {
                cluster.world.slow(leader, lone, 0);
                cluster.paused.push((lone, until_ms));
            });
        }
        Self::unacknowledged(act, end_ms + 900, cast);
        act.heal(end_ms + 3_500);
    }

    /// For a while one of the others does not hear the next leader: commits stay pending there until its lease has run out.
    fn unacknowledged(act: &mut Act, after_ms: u64, cast: &Cast) {
        let &Cast { standby, unheard, .. } = cast;
        act.cut(after_ms, standby, unheard);
        act.at(after_ms + 1_500, move |cluster| cluster.world.heal(standby, unheard));
    }
}
