//! Runs a program against the real node and the model, and compares after each step.

mod check;
mod steps;

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::authority::Tally;
use super::disk::Outage;
use super::executor::{Crashed, World};
use super::model::Model;
use super::node::{Machine, Node, Place};
use super::program::Step;

/// How a program is run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Setting {
    pub seed: u64,
    pub machine: Machine,
    /// A crash at this I/O point, counted from the first step on.
    pub crash: Option<(u64, Outage)>,
    /// Which disk may be bad.
    pub bad_disk: usize,
    /// Of 100 commits, how many requests and answers are lost.
    pub unreliable: (u64, u64),
    /// At the end everything is deleted, and all space must come back.
    pub reclaim: bool,
}

/// What a run saw.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// I/O points from the first step to the last.
    pub points: u64,
    pub crashes: u64,
    pub answered: u64,
    /// Answers that said 5xx: legitimate only while something is wrong.
    pub refused: u64,
    pub trace: u64,
    pub tally: Tally,
}

/// What went wrong, for people.
#[derive(Clone, Debug)]
pub struct Failure {
    pub step: usize,
    pub what: String,
}

/// Runs `program`.
///
/// # Errors
/// The first step after which something a user was promised does not hold; a panic of ours is one too.
pub fn run(program: &[Step], setting: Setting) -> Result<Report, Failure> {
    let at = std::cell::Cell::new(0);
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let world = World::enter(setting.seed);
        let mut run = Run::new(&world, setting);
        run.all(program, &at)
    }));
    outcome.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without a word");
        Err(Failure { step: at.get(), what: format!("panicked: {text}") })
    })
}

/// A run under way.
struct Run<'w> {
    // Dropped first: what a node holds ends inside its world.
    node: Option<Node>,
    place: Place,
    world: &'w World,
    model: Model,
    setting: Setting,
    report: Report,
    /// What the next crash is, when one is planned.
    outage: Outage,
    /// A disk is bad, or was and may have left thin blobs; requests may be refused.
    troubled: bool,
    /// Its bytes were damaged: no other disk may lose any.
    damaged: bool,
    writes: u64,
    /// Claims of repair that were held against the drives.
    claims_checked: usize,
}

impl<'w> Run<'w> {
    fn new(world: &'w World, setting: Setting) -> Self {
        let mut place = Place::new(setting.machine);
        let node = place.start().unwrap_or_else(|Crashed| panic!("no crash is planned yet"));
        place.authority.unreliable(setting.unreliable.0, setting.unreliable.1);
        Self {
            node: Some(node),
            place,
            world,
            model: Model::default(),
            setting,
            report: Report::default(),
            outage: Outage::Power,
            troubled: setting.unreliable != (0, 0),
            damaged: false,
            writes: setting.seed << 20,
            claims_checked: 0,
        }
    }

    fn all(&mut self, program: &[Step], at: &std::cell::Cell<usize>) -> Result<Report, Failure> {
        let first = self.world.disks.points();
        if let Some((point, outage)) = self.setting.crash {
            self.outage = outage;
            self.world.disks.crash_at(Some(first + point));
        }
        for (number, step) in program.iter().enumerate() {
            at.set(number);
            tracing::debug!(number, ?step, "step");
            let done = self.step(step).and_then(|()| self.surely(Self::check_claims));
            done.map_err(|what| Failure { step: number, what })?;
        }
        at.set(program.len());
        self.report.points = self.world.disks.points() - first;
        let ending = |what| Failure { step: program.len(), what };
        self.surely(|run| run.check_all()).map_err(ending)?;
        if self.setting.reclaim {
            self.reclaim().map_err(ending)?;
        }
        self.report.trace = self.world.trace();
        self.report.tally = self.place.authority.tally();
        Ok(self.report.clone())
    }

    /// Does something that a planned crash may interrupt; then the node comes back, and everything is looked at.
    fn surely(
        &mut self,
        act: impl Fn(&mut Self) -> Result<Result<(), String>, Crashed>,
    ) -> Result<(), String> {
        match act(self) {
            Ok(outcome) => outcome,
            Err(Crashed) => self.recover(),
        }
    }

    /// Comes back, as often as it takes, and holds all there is against the model.
    fn recover(&mut self) -> Result<(), String> {
        loop {
            self.report.crashes += 1;
            let node = self.node.take();
            self.place.come_back(node, self.outage);
            let Ok(node) = self.place.start() else { continue };
            self.node = Some(node);
            if let Ok(outcome) = self.check_all() {
                return outcome.map_err(|what| format!("after a crash ({:?}): {what}", self.outage));
            }
        }
    }
}
