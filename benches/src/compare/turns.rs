//! The run: rows one after the other, in each the systems in turns.

use super::error::CompareError;
use super::figures::Figures;
use super::machine::Origin;
use super::options::{Cli, Plan};
use super::rows::{QUICK, Row};
use super::saved::{RowResult, Saved, SystemNote, Turn};
use super::session::Session;
use super::system::{Kind, Running};
use super::{error::at, garage, holdfast, install, picture, seaweedfs, table};
use crate::limits::{REST_CORES_MAX, REST_LOOK, REST_PATIENCE};
use crate::s3bench::{self, cost, options::RunOptions};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::time::Instant;

pub(super) fn run(cli: &Cli) -> Result<(), CompareError> {
    let path = cli.out.join("compare.json");
    if cli.list_rows {
        return say(&Row::all()
            .map(|row| {
                format!(
                    "{:28} {}
",
                    row.name(),
                    row.command()
                )
            })
            .collect::<String>());
    }
    if cli.tables_only {
        return publish(cli, &Saved::read(&path)?);
    }
    if cfg!(debug_assertions) && !cli.quick {
        return Err(CompareError::Options(
            "this is a debug build, whose figures mean nothing: cargo build --release, then target/release/compare".to_owned(),
        ));
    }
    let (kinds, plan) = (cli.kinds()?, cli.plan()?);
    let rows = if cli.quick { vec![QUICK] } else { Row::chosen(&cli.rows, cli.memory)? };
    let session = Session::open(cli)?;
    let mut saved = if cli.append && !cli.quick { Saved::read(&path)? } else { Saved::default() };
    let kinds = take_part(cli, &session, &kinds, &mut saved)?;
    for together in rows.chunk_by(|one, other| one.data() == other.data()) {
        let together = Together { session: &session, plan: &plan, kinds: &kinds, rows: together };
        for result in together.run()? {
            saved.put(result);
        }
        // what was measured is kept, whatever comes after
        if !cli.quick {
            saved.write(&path)?;
        }
    }
    publish(cli, &saved)
}

/// Notes each system; those that cannot be had are said and left out.
fn take_part(
    cli: &Cli,
    session: &Session,
    kinds: &[Kind],
    saved: &mut Saved,
) -> Result<Vec<Kind>, CompareError> {
    let may_install = !cli.no_install && !cli.quick;
    let mut taking_part = Vec::new();
    for kind in kinds {
        let version = match kind {
            Kind::Holdfast => Ok(holdfast::version(session)?),
            Kind::Seaweedfs { .. } => {
                install::weed(session, may_install).map(|weed| install::version_line(&weed, &["version"]))
            }
            Kind::Garage { .. } => install::garage(session, may_install)
                .map(|garage| install::version_line(&garage, &["--version"])),
            Kind::Url(_) => Ok(String::new()),
        };
        let setup = match kind {
            Kind::Holdfast => holdfast::SETUP,
            Kind::Seaweedfs { fsync: false } => seaweedfs::SETUP,
            Kind::Seaweedfs { fsync: true } => seaweedfs::SETUP_FSYNC,
            Kind::Garage { fsync: false } => garage::SETUP,
            Kind::Garage { fsync: true } => garage::SETUP_FSYNC,
            Kind::Url(_) => "as its owner set it up",
        };
        let missing = version.as_ref().err().map(ToString::to_string);
        match &missing {
            Some(why) => eprintln!("compare: without {}: {why}", kind.name()),
            None => taking_part.push(kind.clone()),
        }
        let note = SystemNote {
            version: version.unwrap_or_default(),
            setup: setup.to_owned(),
            durable: kind.durable(),
            missing,
        };
        saved.systems.insert(kind.name(), note);
    }
    Ok(taking_part)
}

/// The short table to standard output, both to DIR/compare.md, the short one into the README, and a picture.
fn publish(cli: &Cli, saved: &Saved) -> Result<(), CompareError> {
    let short = table::short(saved);
    if !cli.quick {
        let path = cli.out.join("compare.md");
        at(format!("write {}", path.display()), std::fs::write(&path, table::page(saved)))?;
        let path = cli.out.join("compare.svg");
        let svg =
            picture::draw(saved).map_err(|cause| CompareError::Options(format!("cannot draw: {cause}")))?;
        at(format!("write {}", path.display()), std::fs::write(&path, svg))?;
    }
    if let Some(path) = &cli.readme {
        let text = at(format!("read {}", path.display()), std::fs::read_to_string(path))?;
        let with = table::placed(&text, &short).ok_or_else(|| {
            let (begin, end) = (table::BEGIN, table::END);
            CompareError::Options(format!("{} lacks the lines {begin} and {end}", path.display()))
        })?;
        at(format!("write {}", path.display()), std::fs::write(path, with))?;
    }
    say(&short)
}

fn say(text: &str) -> Result<(), CompareError> {
    // a closed pipe (`| head`) is no reason to fail
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
    Ok(())
}

/// Rows that share their data, hence a start of the systems.
struct Together<'a> {
    session: &'a Session,
    plan: &'a Plan,
    kinds: &'a [Kind],
    rows: &'a [Row],
}

impl Together<'_> {
    fn run(&self) -> Result<Vec<RowResult>, CompareError> {
        let names = self.rows.iter().map(Row::name).collect::<Vec<_>>().join(", ");
        self.session.tell(&format!("{names}: starting"));
        let mut systems = Vec::new();
        for kind in self.kinds.iter().filter(|kind| self.rows.iter().any(|row| self.asks(row, kind))) {
            let dir = self.session.fresh_dir(&kind.name())?;
            systems.push(kind.start(self.session, &dir)?);
        }
        self.session.tell("all up, putting what reads need");
        let mut done = Vec::new();
        let mut unusable = BTreeMap::new();
        for (index, row) in self.rows.iter().enumerate() {
            done.push(self.row(row, index == 0, &systems, &mut unusable)?);
        }
        for system in &systems {
            if let Some(pid) = system.started {
                self.session.children.stop(pid);
            }
            self.session.remove(&self.session.work_dir.join(&system.name))?;
        }
        Ok(done)
    }

    /// A row that only reads leaves out whoever reads like another that takes part.
    fn asks(&self, row: &Row, kind: &Kind) -> bool {
        row.writes() || kind.reads_like().is_none_or(|other| !self.kinds.contains(&other))
    }

    /// `unusable`: systems that could not take the keys, and why.
    fn row(
        &self,
        row: &Row,
        first: bool,
        systems: &[Running],
        unusable: &mut BTreeMap<String, String>,
    ) -> Result<RowResult, CompareError> {
        let origin = Origin::now(&self.session.work_dir);
        let asked: BTreeSet<String> =
            self.kinds.iter().filter(|kind| self.asks(row, kind)).map(Kind::name).collect();
        let mut turns = Vec::new();
        let rounds = row.rounds(self.plan);
        for round in 1..=rounds {
            if row.uses_keys_up() || (first && round == 1) {
                for system in systems.iter().filter(|system| asked.contains(&system.name)) {
                    self.load(row, round, system, unusable)?;
                }
            }
            for system in systems.iter().filter(|system| asked.contains(&system.name)) {
                let turn = match unusable.get(&system.name) {
                    Some(why) => failed(round, system, why.clone()),
                    None => self.turn(row, round, system, systems)?,
                };
                self.session.tell(&format!("{} {round}/{rounds} {}", row.name(), table::told(&turn)));
                turns.push(turn);
            }
        }
        let like = |kind: &Kind| Some((kind.name(), kind.reads_like()?.name()));
        let reads_like = self.kinds.iter().filter(|kind| !self.asks(row, kind)).filter_map(like).collect();
        Ok(RowResult {
            name: row.name(),
            command: row.command(),
            wanted: row.wanted(),
            reads_only: !row.writes(),
            origin,
            rounds,
            turns,
            reads_like,
        })
    }

    fn load(
        &self,
        row: &Row,
        round: u32,
        system: &Running,
        unusable: &mut BTreeMap<String, String>,
    ) -> Result<(), CompareError> {
        if unusable.contains_key(&system.name) {
            return Ok(());
        }
        if let Err(why) = self.bench(row.load(round), system)? {
            unusable.insert(system.name.clone(), why);
        }
        Ok(())
    }

    /// One system is asked, the others have come to rest and wait.
    fn turn(
        &self,
        row: &Row,
        round: u32,
        system: &Running,
        systems: &[Running],
    ) -> Result<Turn, CompareError> {
        let others: Vec<(String, u32)> = systems
            .iter()
            .filter(|other| other.name != system.name)
            .flat_map(|other| other.roots.clone())
            .collect();
        self.session.sync();
        let everyone: Vec<(String, u32)> = systems.iter().flat_map(|system| system.roots.clone()).collect();
        let rested = come_to_rest(&everyone);
        let (began, before) = (Instant::now(), cpu_seconds(&others));
        let result = self.bench(row.turn(self.plan, round), system)?;
        let others_cores = (cpu_seconds(&others) - before) / began.elapsed().as_secs_f64();
        let (figures, failed) = match result {
            Ok(figures) => (Some(figures), None),
            Err(why) => (None, Some(why)),
        };
        Ok(Turn { round, system: system.name.clone(), figures, failed, others_cores, others_busy: !rested })
    }

    /// A run of the load generator. What a system cannot do is told in the inner result.
    fn bench(
        &self,
        mut options: RunOptions,
        system: &Running,
    ) -> Result<Result<Figures, String>, CompareError> {
        system.aim(&mut options.target);
        let report = s3bench::run::run(&options);
        if self.session.children.is_closed() {
            return Err(CompareError::Interrupted);
        }
        let died = system.started.is_some_and(|pid| self.session.children.has_ended(pid));
        Ok(match report {
            _ if died => Err("its process ended".to_owned()),
            Ok(report) => serde_json::to_value(report)
                .ok()
                .and_then(|report| Figures::of(&report))
                .ok_or_else(|| "s3bench's report lacks figures".to_owned()),
            Err(stop) => Err(stop.to_string()),
        })
    }
}

fn failed(round: u32, system: &Running, why: String) -> Turn {
    Turn {
        round,
        system: system.name.clone(),
        figures: None,
        failed: Some(why),
        others_cores: 0.0,
        others_busy: false,
    }
}

/// Waits until all of them use next to nothing: what they do after they answered (flushing, merging, deleting) is not done in
/// another's turn. False when patience ended first.
fn come_to_rest(roots: &[(String, u32)]) -> bool {
    let until = Instant::now() + REST_PATIENCE;
    loop {
        let (began, before) = (Instant::now(), cpu_seconds(roots));
        std::thread::sleep(REST_LOOK);
        if (cpu_seconds(roots) - before) / began.elapsed().as_secs_f64() < REST_CORES_MAX {
            return true;
        }
        if Instant::now() > until {
            return false;
        }
    }
}

fn cpu_seconds(roots: &[(String, u32)]) -> f64 {
    cost::cpu(roots).values().map(cost::Spent::total_s).sum()
}

#[cfg(test)]
mod tests {
    use super::come_to_rest;

    #[test]
    fn who_does_nothing_is_at_rest() {
        let mut sleeper = std::process::Command::new("sleep").arg("5").spawn().expect("sleep");
        assert!(come_to_rest(&[("sleep".to_owned(), sleeper.id())]));
        sleeper.kill().expect("killed");
        sleeper.wait().expect("reaped");
    }
}
