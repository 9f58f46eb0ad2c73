//! Curves over the steps of a run.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Color, Style};
use ratatui::symbols::Marker;
use ratatui::text::Line;
use ratatui::widgets::{Axis, Block, Chart, Dataset, GraphType};

use super::text::number;

/// One line of a chart.
pub struct Curve {
    pub name: &'static str,
    pub color: Color,
    pub points: Vec<(f64, f64)>,
}

/// Draws curves in a frame with a title, which says what their colours are. `range` is that of the values, where it is
/// known beforehand.
pub fn draw(frame: &mut Frame, area: Rect, title: Line, curves: &[Curve], range: Option<[f64; 2]>) {
    let all = || curves.iter().flat_map(|curve| &curve.points);
    let bounds = |of: fn(&(f64, f64)) -> f64| {
        let least = all().map(of).fold(f64::INFINITY, f64::min);
        let most = all().map(of).fold(f64::NEG_INFINITY, f64::max);
        // A single value, or none, still needs a range to stand in.
        if least < most {
            [least, most]
        } else if least.is_finite() {
            [least - 0.5, least + 0.5]
        } else {
            [0.0, 1.0]
        }
    };
    let (x, y) = (bounds(|point| point.0), range.unwrap_or_else(|| bounds(|point| point.1)));
    let datasets = curves.iter().map(|curve| {
        let marker = if curve.points.len() > 1 { Marker::Braille } else { Marker::Dot };
        Dataset::default()
            .marker(marker)
            .graph_type(GraphType::Line)
            .style(Style::new().fg(curve.color))
            .data(&curve.points)
    });
    let axis = |bounds: [f64; 2], label: fn(f64) -> String| {
        Axis::default().bounds(bounds).style(Style::new().dim()).labels(bounds.map(|end| Line::from(label(end))))
    };
    let chart = Chart::new(datasets.collect())
        .block(Block::bordered().title(title))
        .x_axis(axis(x, |step| format!("{step:.0}")))
        .y_axis(axis(y, number));
    frame.render_widget(chart, area);
}
