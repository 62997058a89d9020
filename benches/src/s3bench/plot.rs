//! Pictures of saved runs: throughput and server CPU per operation as bars, systems beside each other; latency percentiles as
//! curves, one panel per row.

mod bars;
mod curves;

pub(crate) use bars::Bars;

use super::failure::Stop;
use super::options::PlotOptions;
use super::report::Report;
use plotters::prelude::*;
use std::path::Path;

/// Runs of one file: one system, or one version of it.
struct System {
    name: String,
    runs: Vec<Report>,
}

/// One row with each system's run of it, where there is one.
struct Group<'a> {
    name: String,
    /// In the order of the systems.
    runs: Vec<Option<&'a Report>>,
}

/// Pixels.
const WIDTH: u32 = 1400;
/// Of a chart with many, so that the numbers above them stand apart.
const BAR_WIDTH: u32 = 30;
const BARS_HEIGHT: u32 = 360;
const CURVES_HEIGHT: u32 = 320;
const CURVES_PER_LINE: usize = 3;

/// Colours that colour-blind people tell apart (Okabe and Ito).
const COLOURS: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(230, 159, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(213, 94, 0),
];

fn colour(system: usize) -> RGBColor {
    COLOURS[system % COLOURS.len()]
}

/// Draws the runs of all files into one SVG.
///
/// # Errors
/// A file that cannot be read, or holds no run.
pub(super) fn run(options: &PlotOptions) -> Result<String, Stop> {
    let systems = options.runs.iter().map(|path| load(path)).collect::<Result<Vec<_>, Stop>>()?;
    let svg = draw(&systems).map_err(|cause| Stop::Options(format!("cannot draw: {cause}")))?;
    std::fs::write(&options.out, svg)?;
    Ok(format!("{}\n", options.out.display()))
}

/// One report, or what a suite wrote.
fn load(path: &Path) -> Result<System, Stop> {
    let refuse = |cause: String| Stop::Options(format!("{} is no saved run: {cause}", path.display()));
    let text = std::fs::read(path).map_err(|error| refuse(error.to_string()))?;
    let value: serde_json::Value =
        serde_json::from_slice(&text).map_err(|error| refuse(error.to_string()))?;
    let rows = value.get("rows").cloned().unwrap_or_else(|| serde_json::Value::Array(vec![value]));
    let runs: Vec<Report> = serde_json::from_value(rows).map_err(|error| refuse(error.to_string()))?;
    if runs.is_empty() {
        return Err(refuse("it has no rows".to_owned()));
    }
    let name = path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
    Ok(System { name, runs })
}

/// Rows in the order in which they first appear.
fn groups(systems: &[System]) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for report in systems.iter().flat_map(|system| &system.runs) {
        let name = report.row_name();
        if groups.iter().all(|group| group.name != name) {
            let runs = systems.iter().map(|system| middle(&system.runs, &name)).collect();
            groups.push(Group { name, runs });
        }
    }
    groups
}

/// Of a system's runs of one row, the middle one by throughput.
fn middle<'a>(runs: &'a [Report], name: &str) -> Option<&'a Report> {
    let mut same: Vec<&Report> = runs.iter().filter(|report| report.row_name() == name).collect();
    same.sort_by(|a, b| a.all.operations_per_s.total_cmp(&b.all.operations_per_s));
    same.get(same.len() / 2).copied()
}

fn figures(groups: &[Group<'_>], figure: impl Fn(&Report) -> Option<f64>) -> Vec<Bars> {
    let bars = |group: &Group<'_>| Bars {
        row: group.name.clone(),
        values: group.runs.iter().map(|run| run.and_then(&figure)).collect(),
    };
    groups.iter().map(bars).collect()
}

/// One SVG of charts below each other, each a title and its rows; `names` are the systems'.
pub(crate) fn charts(names: &[&str], charts: &[(&str, Vec<Bars>)]) -> Result<String, String> {
    let rows = charts.iter().map(|(_, rows)| rows.len()).max().unwrap_or(0);
    let width = WIDTH.max((rows * names.len()) as u32 * BAR_WIDTH);
    let mut svg = String::new();
    let mut drawn = || -> Drawn<()> {
        let height = BARS_HEIGHT * charts.len() as u32;
        let root = SVGBackend::with_string(&mut svg, (width, height)).into_drawing_area();
        root.fill(&WHITE)?;
        for (area, (title, rows)) in root.split_evenly((charts.len(), 1)).iter().zip(charts) {
            bars::draw(area, title, names, rows)?;
        }
        Ok(root.present()?)
    };
    drawn().map_err(|error| error.to_string())?;
    Ok(svg)
}

type Drawn<T> = Result<T, Box<dyn std::error::Error>>;

fn draw(systems: &[System]) -> Drawn<String> {
    let groups = groups(systems);
    let names: Vec<&str> = systems.iter().map(|system| system.name.as_str()).collect();
    let lines = groups.len().div_ceil(CURVES_PER_LINE);
    let height = 2 * BARS_HEIGHT + lines as u32 * CURVES_HEIGHT;
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, (WIDTH, height)).into_drawing_area();
        root.fill(&WHITE)?;
        let (throughput, rest) = root.split_vertically(BARS_HEIGHT);
        let (cpu, rest) = rest.split_vertically(BARS_HEIGHT);
        let per_second = figures(&groups, |report| Some(report.all.operations_per_s));
        bars::draw(&throughput, "Operations per second", &names, &per_second)?;
        let micros = |report: &Report| report.server.as_ref().map(|server| 1e6 / server.operations_per_cpu_s);
        let micros = figures(&groups, micros);
        bars::draw(&cpu, "Server CPU per operation, us (less is better)", &names, &micros)?;
        for (panel, group) in rest.split_evenly((lines, CURVES_PER_LINE)).iter().zip(&groups) {
            curves::draw(panel, &names, group)?;
        }
        root.present()?;
    }
    Ok(svg)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn report(op: &str, per_second: f64) -> serde_json::Value {
        json!({
            "endpoint": "http://x", "op": op, "size_bytes": 4096, "sizes": "4KiB", "access": "uniform",
            "concurrency": 32, "payload": "signed", "rate": null, "never_sent": 0, "seconds": 10.0,
            "operations": 1000, "operations_per_s": per_second, "bytes_per_s": 4096.0,
            "latency_us": {"p50": 100, "p90": 200, "p99": 300, "p99_9": 400, "max": 500,
                           "percentiles": {"50": 100, "90": 200, "99": 300}},
            "errors": {}, "verified": 0, "server": null, "client_cpu_s": 1.0, "client_is_the_limit": false,
            "metrics": {}, "leftovers": null
        })
    }

    #[test]
    fn rows_of_several_files_stand_beside_each_other() {
        let dir = tempfile::tempdir().expect("a directory");
        let (one, two) = (dir.path().join("ours.json"), dir.path().join("theirs.json"));
        let rows = json!({"rows": [report("get", 10.0), report("get", 30.0), report("get", 20.0), report("put", 5.0)]});
        std::fs::write(&one, rows.to_string()).expect("written");
        std::fs::write(&two, report("get", 7.0).to_string()).expect("written");
        let systems = [load(&one).expect("a suite"), load(&two).expect("a run")];
        let groups = groups(&systems);
        let shown: Vec<(&str, Vec<Option<f64>>)> = groups
            .iter()
            .map(|group| {
                let rates = group.runs.iter().map(|run| run.map(|run| run.all.operations_per_s));
                (group.name.as_str(), rates.collect())
            })
            .collect();
        assert_eq!(
            shown,
            [("get 4KiB c=32", vec![Some(20.0), Some(7.0)]), ("put 4KiB c=32", vec![Some(5.0), None])]
        );
        let svg = draw(&systems).expect("a picture");
        for text in ["get 4KiB c=32", "put 4KiB c=32", "ours", "theirs"] {
            assert!(svg.contains(text), "{text}");
        }
    }

    #[test]
    fn what_is_no_run_is_refused_by_name() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("x.json");
        std::fs::write(&path, "{\"rows\": []}").expect("written");
        assert!(load(&path).err().expect("refused").to_string().contains("no rows"));
        std::fs::write(&path, "{}").expect("written");
        assert!(load(&path).is_err());
    }
}
