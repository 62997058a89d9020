//! One figure of every row as bars, systems beside each other, on a logarithmic scale: rows differ a thousandfold.

use super::{Drawn, colour};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// Share of a row's width that its bars take.
const FILLED: f64 = 0.8;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// A row's bars.
pub(crate) struct Bars {
    pub(crate) row: String,
    /// One for each system; what is not above 0 is left out.
    pub(crate) values: Vec<Option<f64>>,
}

pub(super) fn draw(area: &Area<'_>, title: &str, names: &[&str], rows: &[Bars]) -> Drawn<()> {
    let values: Vec<Vec<Option<f64>>> =
        rows.iter().map(|row| row.values.iter().map(|value| value.filter(|v| *v > 0.0)).collect()).collect();
    let (low, high) = decades(values.iter().flatten().flatten().copied());
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(34)
        .y_label_area_size(64)
        .build_cartesian_2d(0.0..rows.len() as f64, (low..high).log_scale())?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .disable_x_axis()
        .light_line_style(TRANSPARENT)
        .y_label_formatter(&|value| short(*value))
        .draw()?;
    let width = FILLED / names.len() as f64;
    for (system, name) in names.iter().enumerate() {
        let style = colour(system).filled();
        let bars = values.iter().enumerate().filter_map(|(group, values)| {
            let left = group as f64 + (1.0 - FILLED) / 2.0 + width * system as f64;
            Some(Rectangle::new([(left, low), (left + width * 0.95, values[system]?)], style))
        });
        chart
            .draw_series(bars)?
            .label(*name)
            .legend(move |(x, y)| Rectangle::new([(x, y - 5), (x + 12, y + 5)], style));
    }
    let plotting = chart.plotting_area();
    let above = text(11, VPos::Bottom);
    let below = text(12, VPos::Top);
    for (at, row) in rows.iter().enumerate() {
        for (system, value) in values[at].iter().enumerate() {
            if let Some(value) = value {
                let middle = at as f64 + (1.0 - FILLED) / 2.0 + width * (system as f64 + 0.475);
                let label = EmptyElement::at((middle, *value)) + Text::new(short(*value), (0, -2), &above);
                plotting.draw(&label)?;
            }
        }
        // two lines: the operation, and what to
        let (op, what) = row.row.split_once(' ').unwrap_or((&row.row, ""));
        let label = EmptyElement::at((at as f64 + 0.5, low))
            + Text::new(op.to_owned(), (0, 5), &below)
            + Text::new(what.to_owned(), (0, 19), &below);
        plotting.draw(&label)?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.3))
        .draw()?;
    Ok(())
}

fn text(pixels: i32, vertical: VPos) -> TextStyle<'static> {
    ("sans-serif", pixels).into_text_style(&(1, 1)).pos(Pos::new(HPos::Center, vertical))
}

/// The powers of ten around all values, with room above for the numbers and the legend.
pub(super) fn decades(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (low, high) = values.fold((f64::INFINITY, 0.0_f64), |(low, high), v| (low.min(v), high.max(v)));
    if high == 0.0 {
        return (1.0, 10.0);
    }
    let low = 10f64.powf(low.log10().floor());
    // a bar that ends at the floor would not be seen
    (low / 2.0, (high * 4.0).max(low * 10.0))
}

/// Three digits and a thousand's letter: 40526 is 40.5k.
pub(super) fn short(value: f64) -> String {
    let (value, unit) = match value {
        _ if value >= 1e6 => (value / 1e6, "M"),
        _ if value >= 1e3 => (value / 1e3, "k"),
        _ => (value, ""),
    };
    match value {
        _ if value >= 100.0 => format!("{value:.0}{unit}"),
        _ if value >= 10.0 && value.fract() > 0.05 => format!("{value:.1}{unit}"),
        _ if value >= 10.0 || value.fract() == 0.0 => format!("{value:.0}{unit}"),
        _ if value >= 1.0 => format!("{value:.1}{unit}"),
        _ => format!("{value:.2}{unit}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        for (value, expected) in [
            (40_526.0, "40.5k"),
            (6.7, "6.7"),
            (100.0, "100"),
            (1000.0, "1k"),
            (0.25, "0.25"),
            (2.5e6, "2.5M"),
        ] {
            assert_eq!(short(value), expected);
        }
    }

    #[test]
    fn all_values_fit_on_the_scale() {
        let (low, high) = decades([6.7, 40_526.0].into_iter());
        assert!(low < 6.7 && high > 40_526.0);
        assert_eq!(decades(std::iter::empty()), (1.0, 10.0));
    }
}
