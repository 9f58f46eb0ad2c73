//! A small line plot as SVG. Colours and fonts come from the page's style sheet by class, so that one drawing
//! serves light, dark and print.

use std::fmt::Write;

/// Size of the drawing and of its margins, in the units of its view box (pixels on a phone).
const WIDTH: f64 = 300.0;
const HEIGHT: f64 = 214.0;
const LEFT: f64 = 42.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 26.0;
const BOTTOM: f64 = 38.0;
/// Least distance of two labels at the ends of lines.
const LABEL_GAP: f64 = 15.0;

/// What is drawn.
pub struct Plot {
    /// What the horizontal axis counts.
    pub x_label: &'static str,
    /// What the vertical axis counts.
    pub y_label: &'static str,
    /// The horizontal axis is logarithmic, and each point, of which there are few, is marked.
    pub logarithmic: bool,
    /// Values are shares: the axis is 0 to 100 %.
    pub percent: bool,
    /// A horizontal line with its name.
    pub reference: Option<(&'static str, f64)>,
    pub lines: Vec<PlotLine>,
}

/// One line of a plot.
pub struct PlotLine {
    /// Stands at its end; empty for none.
    pub label: &'static str,
    /// Its style: `line-{class}` and `band-{class}`.
    pub class: &'static str,
    /// In the order of `x`.
    pub points: Vec<Point>,
}

/// One measurement, with the interval around it where there is one.
#[derive(Clone, Copy)]
pub struct Point {
    pub x: f64,
    pub y: f64,
    pub band: Band,
}

/// The lower and the upper end of an interval.
pub type Band = Option<(f64, f64)>;

/// From values to places in the drawing.
struct Scale {
    /// Of logarithms, where that axis is logarithmic.
    x: (f64, f64),
    logarithmic: bool,
    y: (f64, f64),
}

impl Scale {
    fn x(&self, value: f64) -> f64 {
        let value = if self.logarithmic { value.ln() } else { value };
        LEFT + (value - self.x.0) / (self.x.1 - self.x.0) * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, value: f64) -> f64 {
        HEIGHT - BOTTOM - (value - self.y.0) / (self.y.1 - self.y.0) * (HEIGHT - TOP - BOTTOM)
    }
}

impl Plot {
    /// The drawing, described in words for those who do not see it. `None` without a point to draw. All text in
    /// it is the program's own, so nothing needs to be escaped but the name, which is the caller's task.
    pub fn svg(&self, description: &str) -> Option<String> {
        let scale = self.scale()?;
        let mut svg = format!("<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{description}\">");
        self.axes(&mut svg, &scale);
        for line in &self.lines {
            band(&mut svg, line, &scale);
        }
        for line in &self.lines {
            polyline(&mut svg, line, &scale);
        }
        self.labels(&mut svg, &scale);
        svg.push_str("</svg>");
        Some(svg)
    }

    fn scale(&self) -> Option<Scale> {
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let logarithmic = self.logarithmic;
        let x = extent(points().map(|point| if logarithmic { point.x.ln() } else { point.x }))?;
        let y = extent(points().flat_map(|point| {
            let (low, high) = point.band.unwrap_or((point.y, point.y));
            [low, high]
        }))?;
        let y = if self.percent {
            (0.0, 1.0)
        } else {
            let step = tick_step(y.0.min(0.0), y.1);
            ((y.0.min(0.0) / step).floor() * step, (y.1 / step).ceil() * step)
        };
        Some(Scale { x: widen(x), logarithmic, y: widen(y) })
    }

    fn axes(&self, svg: &mut String, scale: &Scale) {
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        for value in ticks(scale.y, self.percent.then_some(0.25)) {
            let y = scale.y(value);
            horizontal(svg, "grid", y);
            let text = if self.percent { format!("{:.0} %", value * 100.0) } else { number(value, scale.y) };
            words(svg, "tick", (LEFT - 6.0, y + 4.0), "end", &text);
        }
        let along = if self.logarithmic { decades(scale.x) } else { ticks(scale.x, None) };
        for value in along.into_iter().filter(|value| value.fract() == 0.0) {
            words(svg, "tick", (scale.x(value), bottom + 16.0), "middle", &format!("{value:.0}"));
        }
        horizontal(svg, "axis", bottom);
        words(svg, "name", ((LEFT + right) / 2.0, HEIGHT - 5.0), "middle", self.x_label);
        if let Some((name, value)) = self.reference {
            let y = scale.y(value);
            horizontal(svg, "chance-line", y);
            words(svg, "chance-name", (right, y + 13.0), "end", name);
        }
        words(svg, "name", (0.0, 11.0), "start", self.y_label);
    }

    /// The names of the lines at their ends, moved apart where the lines end close together.
    fn labels(&self, svg: &mut String, scale: &Scale) {
        let ends = self.lines.iter().filter(|line| !line.label.is_empty());
        let mut ends: Vec<(&PlotLine, f64)> =
            ends.filter_map(|line| line.points.last().map(|point| (line, scale.y(point.y)))).collect();
        ends.sort_by(|a, b| a.1.total_cmp(&b.1));
        for index in 1..ends.len() {
            let above = ends[index - 1].1;
            let near = above + LABEL_GAP - ends[index].1;
            if near > 0.0 {
                ends[index - 1].1 -= near / 2.0;
                ends[index].1 += near / 2.0;
            }
        }
        for (line, y) in ends {
            words(svg, &format!("end end-{}", line.class), (WIDTH - RIGHT + 6.0, y + 4.0), "start", line.label);
        }
    }
}

fn horizontal(svg: &mut String, class: &str, y: f64) {
    let right = WIDTH - RIGHT;
    put(svg, format_args!("<line class=\"{class}\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>"));
}

fn words(svg: &mut String, class: &str, (x, y): (f64, f64), anchor: &str, text: &str) {
    let place = format_args!("x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\"");
    put(svg, format_args!("<text class=\"{class}\" {place}>{text}</text>"));
}

fn polyline(svg: &mut String, line: &PlotLine, scale: &Scale) {
    let path = path(line.points.iter().map(|point| (point.x, point.y)), scale);
    put(svg, format_args!("<polyline class=\"line line-{}\" points=\"{path}\"/>", line.class));
    let marked = if scale.logarithmic || line.points.len() == 1 { &line.points[..] } else { &[] };
    for point in marked {
        let (x, y) = (scale.x(point.x), scale.y(point.y));
        put(svg, format_args!("<circle class=\"dot dot-{}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\"/>", line.class));
    }
}

fn band(svg: &mut String, line: &PlotLine, scale: &Scale) {
    let banded = || line.points.iter().filter_map(|point| point.band.map(|(low, high)| (point.x, low, high)));
    if banded().count() >= 2 {
        let back = banded().collect::<Vec<_>>().into_iter().rev().map(|(x, low, _)| (x, low));
        let path = path(banded().map(|(x, _, high)| (x, high)).chain(back), scale);
        put(svg, format_args!("<polygon class=\"band band-{}\" points=\"{path}\"/>", line.class));
    }
}

fn path(points: impl Iterator<Item = (f64, f64)>, scale: &Scale) -> String {
    points.map(|(x, y)| format!("{:.1},{:.1}", scale.x(x), scale.y(y))).collect::<Vec<_>>().join(" ")
}

/// Least and greatest; `None` for nothing or for what is not finite.
fn extent(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
    (low.is_finite() && high.is_finite()).then_some((low, high))
}

/// A range that is one point has no scale.
fn widen((low, high): (f64, f64)) -> (f64, f64) {
    if high > low { (low, high) } else { (low, low + 1.0) }
}

/// A round distance between ticks that gives three to six of them.
fn tick_step(low: f64, high: f64) -> f64 {
    let raw = (high - low).max(1e-9) / 4.0;
    let magnitude = 10f64.powf(raw.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().find(|step| step * magnitude >= raw * 0.999);
    step.unwrap_or(10.0) * magnitude
}

fn ticks((low, high): (f64, f64), step: Option<f64>) -> Vec<f64> {
    let step = step.unwrap_or_else(|| tick_step(low, high));
    let (first, last) = ((low / step - 1e-6).ceil() as i64, (high / step + 1e-6).floor() as i64);
    (first..=last).map(|index| index as f64 * step).collect()
}

/// 1, 2, 5, 10 and so on between two logarithms.
fn decades((low, high): (f64, f64)) -> Vec<f64> {
    let powers = (0..18).map(|power| 10f64.powi(power));
    let all = powers.flat_map(|power| [1.0, 2.0, 5.0].map(|step| step * power));
    all.filter(|value| (low - 1e-9..=high + 1e-9).contains(&value.ln())).collect()
}

/// As many decimals as the ticks need.
fn number(value: f64, (low, high): (f64, f64)) -> String {
    let decimals = (-tick_step(low, high).log10().floor()).max(0.0) as usize;
    format!("{value:.decimals$}")
}

/// Writing to a string cannot fail.
fn put(text: &mut String, arguments: std::fmt::Arguments) {
    let _ = text.write_fmt(arguments);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot(values: &[f64]) -> Plot {
        let points = values.iter().enumerate().map(|(x, &y)| Point { x: x as f64, y, band: Some((y - 0.1, y + 0.1)) });
        let line = PlotLine { label: "B", class: "b", points: points.collect() };
        let (x_label, y_label) = ("step", "answers right");
        Plot { x_label, y_label, logarithmic: false, percent: false, reference: None, lines: vec![line] }
    }

    #[test]
    fn the_greatest_value_stands_highest() {
        let svg = plot(&[0.0, 50.0, 20.0]).svg("x").unwrap();
        let points = svg.split("<polyline").nth(1).unwrap().split('"').nth(3).unwrap();
        let heights: Vec<f64> = points.split(' ').map(|xy| xy.split_once(',').unwrap().1.parse().unwrap()).collect();
        assert!(heights[1] < heights[2] && heights[2] < heights[0], "{heights:?}");
        assert!(heights.iter().all(|height| (TOP..=HEIGHT - BOTTOM).contains(height)), "{heights:?}");
    }

    #[test]
    fn nothing_to_draw_draws_nothing() {
        assert!(plot(&[]).svg("x").is_none());
        assert!(plot(&[f64::INFINITY]).svg("x").is_none());
        let one = plot(&[3.0]).svg("x").unwrap();
        assert!(one.contains("<circle") && !one.contains("NaN") && !one.contains("inf"));
    }

    #[test]
    fn as_many_times_more_is_as_far_on_a_logarithmic_axis() {
        let mut plot = Plot { logarithmic: true, ..plot(&[0.5; 3]) };
        plot.lines[0].points.iter_mut().zip([10.0, 40.0, 160.0]).for_each(|(point, x)| point.x = x);
        let svg = plot.svg("x").unwrap();
        let places: Vec<f64> =
            svg.split("cx=\"").skip(1).map(|rest| rest.split('"').next().unwrap().parse().unwrap()).collect();
        assert_eq!(places.len(), 3, "each is marked");
        assert!((places[1] - places[0] - (places[2] - places[1])).abs() < 0.11, "{places:?}");
        assert!(svg.contains(">20</text>") && svg.contains(">100</text>") && !svg.contains(">0</text>"), "{svg}");
    }

    #[test]
    fn ticks_are_round() {
        assert_eq!(ticks((0.0, 200.0), None), [0.0, 50.0, 100.0, 150.0, 200.0]);
        assert_eq!(ticks((0.0, 60.0), None), [0.0, 20.0, 40.0, 60.0]);
        assert_eq!(number(0.2, (0.0, 1.0)), "0.2");
        assert_eq!(ticks((0.0, 1.0), Some(0.25)).len(), 5);
        assert_eq!(decades((6f64.ln(), 200f64.ln())), [10.0, 20.0, 50.0, 100.0, 200.0]);
    }
}
