//! One row's latency by percentile, a curve per system. The axis is that of HDR plots: each nine takes the same width.

use super::bars::{decades, short};
use super::{Drawn, Group, colour};
use plotters::coord::Shift;
use plotters::prelude::*;

pub(super) fn draw(
    area: &DrawingArea<SVGBackend<'_>, Shift>,
    names: &[&str],
    group: &Group<'_>,
) -> Drawn<()> {
    let curve = |run: &Option<&super::Report>| -> Vec<(f64, f64)> {
        let curve = run.map(|run| run.all.latency_us.curve()).unwrap_or_default();
        curve.into_iter().map(|(percentile, us)| (nines(percentile), us as f64 / 1e3)).collect()
    };
    let curves: Vec<Vec<(f64, f64)>> = group.runs.iter().map(curve).collect();
    let points = || curves.iter().flatten();
    let (low, high) = decades(points().map(|(_, ms)| *ms));
    let right = points().map(|(nines, _)| *nines).fold(2.0, f64::max);
    let mut chart = ChartBuilder::on(area)
        .caption(format!("{}: latency ms by percentile", group.name), ("sans-serif", 14))
        .margin(10)
        .x_label_area_size(26)
        .y_label_area_size(48)
        .build_cartesian_2d(0.0..right * 1.02, (low..high).log_scale())?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .x_labels(right.ceil() as usize + 1)
        .x_label_formatter(&|nines| percentile(*nines))
        .y_label_formatter(&|ms| short(*ms))
        .draw()?;
    for (system, (name, curve)) in names.iter().zip(curves).enumerate() {
        let colour = colour(system);
        chart
            .draw_series(LineSeries::new(curve.clone(), colour.stroke_width(2)))?
            .label(*name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 14, y)], colour.stroke_width(2)));
        chart.draw_series(curve.into_iter().map(|point| Circle::new(point, 2, colour.filled())))?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.3))
        .draw()?;
    Ok(())
}

/// 90 is 1, 99 is 2, 99.9 is 3.
fn nines(percentile: f64) -> f64 {
    -(1.0 - percentile / 100.0).log10()
}

/// The other way round, as text.
fn percentile(nines: f64) -> String {
    let digits = (nines - 2.0).max(0.0).ceil() as usize;
    format!("{:.digits$}", (1.0 - 10f64.powf(-nines)) * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_nine_is_one_step() {
        for (text, expected) in [("0", 0.0), ("90", 1.0), ("99", 2.0), ("99.9", 3.0), ("99.99", 4.0)] {
            assert!((nines(text.parse().expect("a number")) - expected).abs() < 1e-9);
            assert_eq!(percentile(expected), text);
        }
    }
}
