//! A chart as SVG. Its colours come from the style of the page.

use std::fmt;

/// Lines over a common axis, the lowest one first.
pub(super) struct Chart {
    pub(super) x: Scale,
    pub(super) y: Scale,
    pub(super) lines: Vec<Line>,
}

/// One line; with a name it has a label at its end.
pub(super) struct Line {
    pub(super) name: &'static str,
    pub(super) points: Vec<(f64, f64)>,
    /// Whether the area under it is filled.
    pub(super) is_filled: bool,
}

/// An axis: its range, its marks, and their texts.
pub(super) struct Scale {
    least: f64,
    most: f64,
    is_logarithmic: bool,
    marks: Vec<f64>,
    text: fn(f64) -> String,
}

impl Scale {
    /// An axis from zero to a round number.
    pub(super) fn from_zero(values: impl Iterator<Item = f64>, text: fn(f64) -> String) -> Self {
        let most = round_up(values.fold(0.0, f64::max));
        Self { least: 0.0, most, is_logarithmic: false, marks: vec![0.0, most / 2.0, most], text }
    }

    /// An axis from zero to the largest value.
    pub(super) fn linear(values: impl Iterator<Item = f64>, text: fn(f64) -> String) -> Self {
        let most = values.fold(0.0, f64::max).max(f64::MIN_POSITIVE);
        Self { least: 0.0, most, is_logarithmic: false, marks: vec![0.0, most / 2.0, most], text }
    }

    /// An axis on which each mark is ten times the one before.
    pub(super) fn logarithmic(values: impl Iterator<Item = f64>, text: fn(f64) -> String) -> Self {
        let (least, most) = values
            .filter(|value| *value > 0.0)
            .fold((f64::INFINITY, 0.0), |(least, most), value| (value.min(least), value.max(most)));
        let (first, last) = if least <= most { (least.log10().floor(), most.log10().ceil()) } else { (0.0, 1.0) };
        let last = last.max(first + 1.0);
        let powers = std::iter::successors(Some(first), |power| Some(power + 1.0)).take_while(|power| *power <= last);
        let marks = powers.map(|power| 10_f64.powf(power)).collect();
        Self { least: first, most: last, is_logarithmic: true, marks, text }
    }

    /// Where a value is, from 0 to 1.
    fn place(&self, value: f64) -> f64 {
        let value = if self.is_logarithmic { value.max(f64::MIN_POSITIVE).log10() } else { value };
        ((value - self.least) / (self.most - self.least)).clamp(0.0, 1.0)
    }
}

impl fmt::Display for Chart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.lines.iter().all(|line| line.points.is_empty()) {
            return f.write_str("<p class=none>Nothing was measured.</p>");
        }
        let across = |x: f64| LEFT + self.x.place(x) * (WIDTH - LEFT - RIGHT);
        let up = |y: f64| HEIGHT - BOTTOM - self.y.place(y) * (HEIGHT - BOTTOM - TOP);
        write!(f, "<svg viewBox='0 0 {WIDTH} {HEIGHT}' role=img>")?;
        for mark in &self.y.marks {
            let (y, text) = (up(*mark), (self.y.text)(*mark));
            write!(f, "<path class=grid d='M{LEFT} {y:.1}H{:.1}'/>", WIDTH - RIGHT)?;
            write!(f, "<text x='{:.1}' y='{:.1}' text-anchor=end>{text}</text>", LEFT - 8.0, y + 4.0)?;
        }
        for mark in &self.x.marks {
            let (x, text) = (across(*mark), (self.x.text)(*mark));
            write!(f, "<text x='{x:.1}' y='{:.1}' text-anchor=middle>{text}</text>", HEIGHT - 4.0)?;
        }
        let mut highest = f64::INFINITY;
        for (number, line) in self.lines.iter().enumerate() {
            let mut path = String::new();
            for (index, (x, y)) in line.points.iter().enumerate() {
                let command = if index == 0 { 'M' } else { 'L' };
                path += &format!("{command}{:.1} {:.1}", across(*x), up(*y));
            }
            let (Some((first, _)), Some((last, value))) = (line.points.first(), line.points.last()) else { continue };
            if line.is_filled {
                let floor = HEIGHT - BOTTOM;
                write!(f, "<path class=area d='{path}L{:.1} {floor}L{:.1} {floor}Z'/>", across(*last), across(*first))?;
            }
            write!(f, "<path class='line line-{number}' d='{path}'/>")?;
            // Each line ends above the one before it, and so does its name.
            let (x, y) = (across(*last) + 6.0, (up(*value) + 4.0).min(highest - NAME));
            highest = y;
            write!(f, "<text class='name line-{number}' x='{x:.1}' y='{y:.1}'>{}</text>", line.name)?;
        }
        f.write_str("</svg>")
    }
}

/// The next round number: 1, 2, 2.5 or 5 with zeros.
fn round_up(value: f64) -> f64 {
    if value <= 0.0 {
        return 1.0;
    }
    let unit = 10_f64.powf(value.log10().floor());
    let step = [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().find(|step| step * unit >= value);
    step.unwrap_or(10.0) * unit
}

const WIDTH: f64 = 880.0;
const HEIGHT: f64 = 240.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 44.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 26.0;
/// The height of the name of a line.
const NAME: f64 = 14.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_end_at_round_numbers() {
        assert_eq!([0.0, 3.0, 21.0, 1_000.0].map(round_up), [1.0, 5.0, 25.0, 1_000.0]);
        let scale = Scale::logarithmic([3.0, 420.0].into_iter(), |value| value.to_string());
        assert_eq!(scale.marks, [1.0, 10.0, 100.0, 1_000.0]);
        assert!((scale.place(10.0) - 1.0 / 3.0).abs() < 1e-9);
    }

    #[test]
    fn a_chart_of_nothing_says_so() {
        let scale = || Scale::logarithmic(std::iter::empty(), |value| value.to_string());
        let lines = vec![Line { name: "p50", points: Vec::new(), is_filled: false }];
        assert!(Chart { x: scale(), y: scale(), lines }.to_string().contains("Nothing was measured"));
    }
}
