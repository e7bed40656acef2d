//! The files of a run: a table of its moments for programs, and a page for people.

use super::args::BenchArgs;
use super::page;
use super::report::Report;
use anyhow::Context;
use std::fmt::Write;
use std::fs::{self, OpenOptions};
use std::path::Path;

/// Says before the run, and not after it, that a file cannot be written. What is in it stays until then.
///
/// # Errors
/// When one of the files that are asked for cannot be written.
pub(super) fn check(args: &BenchArgs) -> anyhow::Result<()> {
    for path in [&args.csv, &args.html].into_iter().flatten() {
        let opened = OpenOptions::new().append(true).create(true).open(path);
        opened.with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// Writes the files that are asked for.
///
/// # Errors
/// When one of them cannot be written.
pub(super) fn write(report: &Report) -> anyhow::Result<()> {
    let asked = report.asked();
    if let Some(path) = &asked.csv {
        put(path, &table(report))?;
    }
    if let Some(path) = &asked.html {
        put(path, &page::of(report))?;
    }
    Ok(())
}

fn put(path: &Path, text: &str) -> anyhow::Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// Comma-separated values (RFC 4180): a line for each moment.
fn table(report: &Report) -> String {
    let mut lines = format!("seconds,{}_per_second,p50_us,p90_us,p99_us,p999_us,max_us\r\n", report.unit());
    for moment in report.timeline() {
        let _ = write!(lines, "{:.3},{:.1}", moment.seconds, moment.per_second);
        let latency = moment.latency_us.as_ref().map(|latency| latency.named().map(|(_, us)| format!("{us:.1}")));
        for value in latency.unwrap_or_default() {
            let _ = write!(lines, ",{value}");
        }
        lines.push_str("\r\n");
    }
    lines
}
