//! The page of a run: one file without anything from elsewhere, to look at and to send to others.

mod chart;

use self::chart::{Chart, Line, Scale};
use super::report::{Report, whole};
use indicatif::BinaryBytes;
use std::fmt::Write;

/// The page as HTML.
pub(super) fn of(report: &Report) -> String {
    let mut page = String::from(include_str!("page/head.html"));
    let _ = write!(page, "<h1>{} <small>{}</small></h1>\n<dl class=figures>", escaped(&report.asked().url), VERSION);
    for (name, value, unit) in figures(report) {
        let _ = write!(page, "<div><dt>{name}</dt><dd>{value}<small>{unit}</small></dd></div>");
    }
    page.push_str("</dl>\n");
    for (title, what, chart) in charts(report) {
        let _ = writeln!(page, "<section><h2>{title}</h2><p>{what}</p>{chart}</section>");
    }
    page.push_str("<section><h2>What ran</h2>");
    for line in report.to_string().lines() {
        let (name, value) = line.split_at_checked(12).unwrap_or((line, ""));
        let _ = write!(page, "<p class=fact><b>{}</b> {}</p>", escaped(name.trim()), escaped(value));
    }
    for (name, value) in facts(report) {
        let _ = write!(page, "<p class=fact><b>{name}</b> {}</p>", escaped(&value));
    }
    page.push_str("</section>\n</main>\n");
    page
}

fn figures(report: &Report) -> Vec<(&'static str, String, &'static str)> {
    let mut figures = vec![(report.unit(), whole(report.per_second()), "/s")];
    for (name, microseconds) in report.latency().map(|latency| latency.named()).unwrap_or_default() {
        if name != "p90" {
            let (value, unit) = time(microseconds);
            figures.push((name, value, unit));
        }
    }
    figures.push(("faults", if report.faults.none() { "0".to_owned() } else { "some".to_owned() }, ""));
    figures
}

fn charts(report: &Report) -> Vec<(&'static str, &'static str, String)> {
    let moments = report.timeline();
    let over_time = |value: &dyn Fn(&super::timeline::Moment) -> Option<f64>| {
        moments.iter().filter_map(|moment| Some((moment.seconds, value(moment)?))).collect::<Vec<_>>()
    };
    let seconds = |x: f64| format!("{x:.0} s");
    let rate = Chart {
        x: Scale::linear(moments.iter().map(|moment| moment.seconds), seconds),
        y: Scale::from_zero(moments.iter().map(|moment| moment.per_second), short),
        lines: vec![Line { name: "", points: over_time(&|moment| Some(moment.per_second)), is_filled: true }],
    };
    let at = |index: usize| {
        over_time(&move |moment: &super::timeline::Moment| Some(moment.latency_us.as_ref()?.named()[index].1))
    };
    let names = [("p50", at(0)), ("p99", at(2)), ("max", at(4))];
    let all = names.iter().flat_map(|(_, points)| points.iter().map(|(_, y)| *y)).collect::<Vec<_>>();
    let latency = Chart {
        x: Scale::linear(moments.iter().map(|moment| moment.seconds), seconds),
        y: Scale::logarithmic(all.into_iter(), |y| joined(time(y))),
        lines: names.into_iter().map(|(name, points)| Line { name, points, is_filled: false }).collect(),
    };
    // The axis of the quantiles has as much room for 99 to 99.9 % as for 90 to 99 %.
    let curve: Vec<_> = report.curve().iter().filter(|(quantile, _)| *quantile < 1.0).copied().collect();
    let curve: Vec<_> = curve.into_iter().map(|(quantile, us)| (1.0 / (1.0 - quantile), us.max(0.1))).collect();
    let percentiles = Chart {
        x: Scale::logarithmic(curve.iter().map(|(x, _)| *x), |x| format!("{} %", 100.0 - 100.0 / x)),
        y: Scale::logarithmic(curve.iter().map(|(_, y)| *y), |y| joined(time(y))),
        lines: vec![Line { name: "", points: curve, is_filled: true }],
    };
    vec![
        ("Throughput", "What came in each part of the measurement, for each second.", rate.to_string()),
        ("Latency over time", WHAT_LATENCY_IS, latency.to_string()),
        ("Latency by percentile", "So many of all were as fast as this, or faster.", percentiles.to_string()),
    ]
}

fn facts(report: &Report) -> Vec<(&'static str, String)> {
    let machine = report.machine();
    let mut facts = vec![("cores", machine.cores.to_string())];
    facts.extend(machine.processor.clone().map(|name| ("processor", name)));
    facts.extend(machine.memory_bytes.map(|bytes| ("memory", BinaryBytes(bytes).to_string())));
    facts.extend(machine.kernel.clone().map(|name| ("kernel", name)));
    facts
}

/// A time in microseconds, with a unit in which it is short.
fn time(microseconds: f64) -> (String, &'static str) {
    let (value, unit) = match microseconds {
        us if us < 1_000.0 => (us, "µs"),
        us if us < 1_000_000.0 => (us / 1_000.0, "ms"),
        us => (us / 1_000_000.0, "s"),
    };
    (if value < 9.95 { format!("{value:.1}") } else { format!("{value:.0}") }, unit)
}

fn joined((value, unit): (String, &str)) -> String {
    format!("{} {unit}", value.strip_suffix(".0").unwrap_or(&value))
}

/// A count in few characters.
fn short(count: f64) -> String {
    match count {
        count if count >= 1_000_000.0 => format!("{} M", count / 1_000_000.0),
        count if count >= 1_000.0 => format!("{} k", count / 1_000.0),
        count => format!("{count}"),
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

const VERSION: &str = concat!("hubcast bench ", env!("CARGO_PKG_VERSION"));
const WHAT_LATENCY_IS: &str = "From the time at which a message was due until a subscriber had it. Each step of the scale is ten times the one below.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_from_outside_is_text() {
        assert_eq!(escaped("ws://<b>\"&"), "ws://&lt;b&gt;&quot;&amp;");
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!(joined(time(0.4)), "0.4 µs");
        assert_eq!(joined(time(10.0)), "10 µs");
        assert_eq!(joined(time(2_500.0)), "2.5 ms");
        assert_eq!([short(500.0), short(20_000.0), short(2_500_000.0)], ["500", "20 k", "2.5 M"]);
    }
}
