//! The tables, as Markdown: the short one for the README, the long one for DIR/compare.md.

use super::figures::Figures;
use super::machine::Origin;
use super::ratio::Spread;
use super::saved::{RowResult, Saved, Turn};
use super::system::Durable;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

pub(super) const BEGIN: &str = "<!-- compare:begin -->";
pub(super) const END: &str = "<!-- compare:end -->";

pub(super) const OURS: &str = "holdfast";

/// Who is ahead, a line per row.
pub(super) fn short(saved: &Saved) -> String {
    let mut out = caption(saved);
    out.push_str(
        "\n| row | ops/s | ops per CPU-s | best peer: ops per CPU-s | ratio | wanted | same, durable peers only | fastest peer: ops/s | ratio | PSS MiB (RSS) | leanest peer |\n\
         |---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for row in &saved.rows {
        let line = Line { saved, row };
        let cells = [
            row.name.clone(),
            line.median(OURS, per_s),
            line.median(OURS, per_cpu_s),
            line.best(per_cpu_s, false),
            line.ratio(per_cpu_s, false),
            row.wanted.map_or_else(|| "-".to_owned(), |wanted| format!("{wanted}")),
            line.ratio(per_cpu_s, true),
            line.best(per_s, false),
            line.ratio(per_s, false),
            line.memory(OURS),
            line.leanest(),
        ];
        put(&mut out, &cells);
    }
    out
}

/// The page: the short table, every system's figures, how each was set up, what went wrong.
pub(super) fn page(saved: &Saved) -> String {
    let mut out = format!("# Holdfast beside its peers\n\n{}\n", short(saved));
    put_figures(&mut out, saved);
    put_errors(&mut out, saved);
    put_systems(&mut out, saved);
    put_rows(&mut out, saved);
    out
}

/// The text with the short table between its marks; `None` without marks.
pub(super) fn placed(text: &str, table: &str) -> Option<String> {
    let begin = text.find(BEGIN)? + BEGIN.len();
    let end = begin + text[begin..].find(END)?;
    Some(format!("{}\n{table}{}", &text[..begin], &text[end..]))
}

/// A turn in one line, for who waits.
pub(super) fn told(turn: &Turn) -> String {
    let mut text = match (&turn.figures, &turn.failed) {
        (Some(figures), _) => {
            let cpu =
                per_cpu_s(figures).map_or_else(String::new, |value| format!(", {} per CPU-s", number(value)));
            let errors = if figures.errors.is_empty() {
                String::new()
            } else {
                format!(", errors {:?}", figures.errors)
            };
            format!("{}: {} ops/s{cpu}{errors}", turn.system, number(figures.operations_per_s))
        }
        (None, why) => format!("{}: failed: {}", turn.system, why.as_deref().unwrap_or_default()),
    };
    if turn.others_busy {
        write!(text, " (the others were busy: {:.2} cores)", turn.others_cores).expect("a String takes all");
    }
    text
}

/// How to read it, with where it came from.
fn caption(saved: &Saved) -> String {
    let origins: Vec<&Origin> = saved.rows.iter().map(|row| &row.origin).collect();
    let each = |of: fn(&Origin) -> &str| -> String {
        let values: BTreeSet<&str> =
            origins.iter().map(|origin| of(origin)).filter(|value| !value.is_empty()).collect();
        values.into_iter().collect::<Vec<_>>().join(", ")
    };
    let rounds: BTreeSet<String> = saved.rows.iter().map(|row| row.rounds.to_string()).collect();
    let commands: BTreeSet<&str> = origins.iter().map(|origin| origin.command.as_str()).collect();
    let made_by = match commands.first() {
        Some(command) if commands.len() == 1 => format!("`{command}`"),
        _ => format!("{} runs of `compare --append`", commands.len()),
    };
    let versions = versions(saved);
    let cores = origins.first().map_or(0, |origin| origin.cores);
    format!(
        "{date}, commit {commit}, {cores} cores ({cpu}), kernel {kernel}, {file_system}; load generator on the same cores. \
         {versions}. Medians of {rounds} turns of each (A B C A B C); a ratio is Holdfast over the peer in the same round, median (lowest-highest). \
         CPU is that of all processes of a system, PostgreSQL included. Memory: PSS at the end, and the highest sum of RSS, which counts pages that processes share once for each. \
         Holdfast flushes before every answer and keeps 4 drives with 2 parity, so it writes each byte twice; peers keep one copy, and those marked \\* do \
         not flush names and bytes before they answer a write. Made by {made_by}.\n",
        date = each(|origin| &origin.date[..origin.date.len().min(10)]),
        commit = each(|origin| &origin.commit),
        cpu = each(|origin| &origin.cpu),
        kernel = each(|origin| &origin.kernel),
        file_system = each(|origin| &origin.file_system),
        rounds = rounds.into_iter().collect::<Vec<_>>().join(" or "),
    )
}

/// Systems that took part, with the versions that they tell.
fn versions(saved: &Saved) -> String {
    let mut systems: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, note) in saved.systems.iter().filter(|(_, note)| note.missing.is_none()) {
        systems.entry(&note.version).or_default().push(name);
    }
    let texts: Vec<String> =
        systems.iter().map(|(version, names)| format!("{} `{version}`", names.join(", "))).collect();
    texts.join("; ")
}

/// A row with what is known about its systems.
struct Line<'a> {
    saved: &'a Saved,
    row: &'a RowResult,
}

impl Line<'_> {
    fn median(&self, system: &str, figure: fn(&Figures) -> Option<f64>) -> String {
        self.row.spread(system, figure).map_or_else(|| "-".to_owned(), |spread| number(spread.median))
    }

    /// The peer with the highest median. Who answered nothing is no peer of the row.
    fn leader(&self, figure: fn(&Figures) -> Option<f64>, durable: bool) -> Option<(&str, f64)> {
        let peers = self
            .row
            .systems()
            .into_iter()
            .filter(|name| *name != OURS && (!durable || self.is_durable(name)));
        let medians = peers.filter_map(|name| Some((name, self.row.spread(name, figure)?.median)));
        medians.filter(|(_, median)| *median > 0.0).max_by(|one, other| one.1.total_cmp(&other.1))
    }

    fn best(&self, figure: fn(&Figures) -> Option<f64>, durable: bool) -> String {
        self.leader(figure, durable).map_or_else(
            || "-".to_owned(),
            |(name, median)| format!("{} {}", self.marked(name), number(median)),
        )
    }

    fn ratio(&self, figure: fn(&Figures) -> Option<f64>, durable: bool) -> String {
        let ratio = self.leader(figure, durable).and_then(|(name, _)| {
            Spread::ratio(&self.row.by_round(OURS, figure), &self.row.by_round(name, figure))
        });
        ratio.map_or_else(|| "-".to_owned(), |ratio| ratio.to_string())
    }

    /// Proportional size at the end, and the highest sum of resident sizes.
    fn memory(&self, system: &str) -> String {
        format!("{} ({})", self.median(system, pss_mib), self.median(system, rss_mib))
    }

    fn leanest(&self) -> String {
        let peers = self.row.systems().into_iter().filter(|name| *name != OURS);
        let medians = peers.filter_map(|name| Some((name, self.row.spread(name, pss_mib)?.median)));
        let least = medians.min_by(|one, other| one.1.total_cmp(&other.1));
        least.map_or_else(|| "-".to_owned(), |(name, _)| format!("{name} {}", self.memory(name)))
    }

    /// Reads have nothing to flush: there everyone is durable.
    fn is_durable(&self, name: &str) -> bool {
        self.row.reads_only || self.saved.systems.get(name).is_some_and(|note| note.durable == Durable::Yes)
    }

    fn marked(&self, name: &str) -> String {
        if self.is_durable(name) { name.to_owned() } else { format!("{name}\\*") }
    }
}

fn put_figures(out: &mut String, saved: &Saved) {
    out.push_str(
        "## Every system\n\nMedian (lowest-highest) of the rounds. Durable: what a power cut just after the answer leaves.\n\n\
         | row | system | durable | ops/s | MB/s | p50 ms | p99 ms | ops per CPU-s | CPU cores | RSS MiB | PSS MiB | errors | others, cores |\n\
         |---|---|---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for row in &saved.rows {
        for system in row.systems() {
            let spread = |figure: fn(&Figures) -> Option<f64>| {
                row.spread(system, figure).map_or_else(|| "-".to_owned(), |spread| wide(&spread))
            };
            let turns = || row.turns.iter().filter(|turn| turn.system == system);
            let errors: u64 =
                turns().filter_map(|turn| turn.figures.as_ref()).map(Figures::error_count).sum();
            let failed = turns().filter(|turn| turn.failed.is_some()).count();
            let durable = saved.systems.get(system).map_or("unknown", |note| note.durable.text());
            let cells = [
                row.name.clone(),
                system.to_owned(),
                if row.reads_only { "reads".to_owned() } else { durable.to_owned() },
                spread(per_s),
                spread(|figures| Some(figures.bytes_per_s / 1e6)),
                spread(|figures| Some(figures.p50_us as f64 / 1e3)),
                spread(|figures| Some(figures.p99_us as f64 / 1e3)),
                spread(per_cpu_s),
                spread(|figures| {
                    let seconds = figures.operations as f64 / figures.operations_per_s;
                    figures.server.as_ref().map(|server| server.cpu_s / seconds)
                }),
                spread(rss_mib),
                spread(pss_mib),
                if failed > 0 { format!("{errors}, {failed} turns failed") } else { errors.to_string() },
                Spread::of(turns().map(|turn| turn.others_cores))
                    .map_or_else(String::new, |spread| format!("{:.2}", spread.max)),
            ];
            put(out, &cells);
        }
        for (system, like) in &row.reads_like {
            writeln!(out, "| {} | {system} | reads | as {like} | | | | | | | | | |", row.name)
                .expect("a String takes all");
        }
    }
    out.push('\n');
}

/// What failed, by name, and whose client was the limit: nothing of it is dropped.
fn put_errors(out: &mut String, saved: &Saved) {
    let mut lines = BTreeSet::new();
    for (row, turn) in saved.rows.iter().flat_map(|row| row.turns.iter().map(move |turn| (row, turn))) {
        let place = format!("- {}, {}", row.name, turn.system);
        if let Some(why) = &turn.failed {
            lines.insert(format!("{place}: failed: {why}\n"));
        }
        let Some(figures) = &turn.figures else { continue };
        if !figures.errors.is_empty() {
            let errors: Vec<String> =
                figures.errors.iter().map(|(name, count)| format!("{count} x {name}")).collect();
            lines.insert(format!("{place}, round {}: {}\n", turn.round, errors.join(", ")));
        }
        if figures.client_is_the_limit {
            lines.insert(format!(
                "{place}: the load generator used up its core; operations per second are its own limit\n"
            ));
        }
        if turn.others_busy {
            lines.insert(format!("{place}, round {}: the others had not come to rest\n", turn.round));
        }
    }
    if !lines.is_empty() {
        writeln!(out, "## Errors and remarks\n\n{}", lines.into_iter().collect::<String>())
            .expect("a String takes all");
    }
}

fn put_systems(out: &mut String, saved: &Saved) {
    out.push_str("## How each was set up\n\n| system | version | setup | durable |\n|---|---|---|---|\n");
    for (name, note) in &saved.systems {
        let setup =
            note.missing.as_ref().map_or_else(|| note.setup.clone(), |why| format!("no part taken: {why}"));
        put(out, &[name.clone(), note.version.clone(), setup, note.durable.text().to_owned()]);
    }
    out.push('\n');
}

fn put_rows(out: &mut String, saved: &Saved) {
    out.push_str(
        "## What each row ran\n\n| row | command | date | commit | load before |\n|---|---|---|---|---|\n",
    );
    for row in &saved.rows {
        let Origin { date, commit, load, .. } = &row.origin;
        put(
            out,
            &[row.name.clone(), format!("`{}`", row.command), date.clone(), commit.clone(), load.clone()],
        );
    }
}

fn put(out: &mut String, cells: &[String]) {
    writeln!(out, "| {} |", cells.join(" | ")).expect("a String takes all");
}

fn per_s(figures: &Figures) -> Option<f64> {
    Some(figures.operations_per_s)
}

fn per_cpu_s(figures: &Figures) -> Option<f64> {
    figures.server.as_ref().map(|server| server.operations_per_cpu_s)
}

fn rss_mib(figures: &Figures) -> Option<f64> {
    figures.server.as_ref().map(|server| (server.rss_peak_bytes >> 20) as f64)
}

fn pss_mib(figures: &Figures) -> Option<f64> {
    figures.server.as_ref().map(|server| (server.pss_bytes >> 20) as f64)
}

fn wide(spread: &Spread) -> String {
    if spread.min == spread.max {
        number(spread.median)
    } else {
        format!("{} ({}-{})", number(spread.median), number(spread.min), number(spread.max))
    }
}

/// Three figures or more, thousands apart: `12,345`, `123`, `12.3`, `1.23`.
fn number(value: f64) -> String {
    match value {
        _ if value >= 999.5 => {
            let digits = format!("{value:.0}");
            let first = (digits.len() - 1) % 3 + 1;
            let rest = digits.as_bytes()[first..]
                .chunks(3)
                .map(|three| format!(",{}", String::from_utf8_lossy(three)));
            digits[..first].to_owned() + &rest.collect::<String>()
        }
        _ if value >= 99.95 => format!("{value:.0}"),
        _ if value >= 9.995 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::saved::tests::{result, turn};
    use super::super::saved::{Saved, SystemNote};
    use super::*;

    fn saved() -> Saved {
        let mut saved = Saved::default();
        for (name, durable, missing) in [
            ("holdfast", Durable::Yes, None),
            ("fast", Durable::No, None),
            ("safe", Durable::Yes, None),
            ("gone", Durable::Yes, Some("it is not installed".to_owned())),
        ] {
            let (version, setup) = (format!("{name} 1"), "as it comes".to_owned());
            saved.systems.insert(name.to_owned(), SystemNote { version, setup, durable, missing });
        }
        let mut turns = Vec::new();
        for round in [1, 2] {
            let more = f64::from(round - 1);
            turns.push(turn(round, "holdfast", 2000.0, 4000.0 + 400.0 * more));
            turns.push(turn(round, "fast", 1000.0, 2000.0));
            turns.push(turn(round, "safe", 4000.0, 500.0));
        }
        saved.put(result("put 4KiB c=32", turns));
        saved
    }

    /// Cells of the row's line.
    fn cells(table: &str) -> Vec<String> {
        let line = table.lines().find(|line| line.starts_with("| put 4KiB")).expect("a line");
        line.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect()
    }

    #[test]
    fn the_best_peer_of_each_figure_is_named_with_its_ratio() {
        let line = cells(&short(&saved()));
        assert_eq!(line[2], "4,200");
        assert_eq!(
            (line[3].as_str(), line[4].as_str(), line[5].as_str()),
            ("fast\\* 2,000", "2.1 (2.0-2.2)", "4")
        );
        assert_eq!(line[6], "8.4 (8.0-8.8)");
        assert_eq!((line[7].as_str(), line[8].as_str()), ("safe 4,000", "0.50 (0.50-0.50)"));
    }

    #[test]
    fn failures_and_absences_are_shown() {
        let mut saved = saved();
        let turns = &mut saved.rows[0].turns;
        turns[1].figures = None;
        turns[1].failed = Some("501 NotImplemented".to_owned());
        turns[2].figures.as_mut().expect("figures").errors.insert("503 SlowDown".to_owned(), 7);
        let page = page(&saved);
        assert!(page.contains("- put 4KiB c=32, fast: failed: 501 NotImplemented"), "{page}");
        assert!(page.contains("- put 4KiB c=32, safe, round 1: 7 x 503 SlowDown"), "{page}");
        assert!(
            page.contains("1 turns failed") && page.contains("no part taken: it is not installed"),
            "{page}"
        );
        // one round of it is left: a ratio of that alone
        assert_eq!(cells(&short(&saved))[4], "2.2 (2.2-2.2)");
    }

    #[test]
    fn the_readme_keeps_what_is_around_the_table() {
        let text = format!("a\n{BEGIN}\nold\n{END}\nb\n");
        assert_eq!(placed(&text, "new\n").expect("marks"), format!("a\n{BEGIN}\nnew\n{END}\nb\n"));
        assert_eq!(placed("no marks", "new"), None);
    }

    #[test]
    fn numbers_keep_three_figures() {
        let texts = [0.0, 1.234, 12.34, 99.97, 123.4, 999.7, 1234.0, 1_234_567.0].map(number);
        assert_eq!(texts, ["0.00", "1.23", "12.3", "100", "123", "1,000", "1,234", "1,234,567"]);
    }
}
