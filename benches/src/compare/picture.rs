//! The picture beside the table: medians of every row and system as bars.

use super::figures::Figures;
use super::saved::{RowResult, Saved};
use super::table::OURS;
use crate::s3bench::plot::{Bars, charts};

pub(super) fn draw(saved: &Saved) -> Result<String, String> {
    let others = saved.systems.keys().map(String::as_str).filter(|name| *name != OURS);
    let systems: Vec<&str> = std::iter::once(OURS).chain(others).collect();
    let chart = |figure: fn(&Figures) -> Option<f64>| -> Vec<Bars> {
        let bars = |row: &RowResult| Bars {
            row: row.name.clone(),
            values: systems.iter().map(|system| Some(row.spread(system, figure)?.median)).collect(),
        };
        saved.rows.iter().map(bars).collect()
    };
    let per_cpu_s = chart(|figures| Some(figures.server.as_ref()?.operations_per_cpu_s));
    let per_s = chart(|figures| Some(figures.operations_per_s));
    charts(&systems, &[("Operations per server CPU-second", per_cpu_s), ("Operations per second", per_s)])
}

#[cfg(test)]
mod tests {
    use super::super::saved::SystemNote;
    use super::super::saved::tests::{result, turn};
    use super::super::system::Durable;
    use super::*;

    #[test]
    fn every_row_and_system_is_in_it() {
        let mut saved = Saved::default();
        saved.put(result("put 4KiB c=32", vec![turn(1, OURS, 30.0, 20.0), turn(1, "other", 3.0, 2.0)]));
        for system in [OURS, "other"] {
            let (version, setup) = ("1".to_owned(), "as it comes".to_owned());
            let note = SystemNote { version, setup, durable: Durable::Yes, missing: None };
            saved.systems.insert(system.to_owned(), note);
        }
        let svg = draw(&saved).expect("drawn");
        for word in ["4KiB c=32", "other", OURS, "per server CPU-second"] {
            assert!(svg.contains(word), "{word}");
        }
    }
}
