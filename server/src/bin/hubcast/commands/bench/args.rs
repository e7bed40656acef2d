//! The flags of `hubcast bench`.

use crate::settings::units::{DurationText, Size};
use clap::Args;
use serde::Serialize;
use std::path::PathBuf;
use std::time::Duration;

/// The load and how to measure it
#[derive(Args, Clone, Debug, Serialize)]
pub(crate) struct BenchArgs {
    /// The address of the server; it must speak the plain dialect
    #[arg(default_value = "ws://127.0.0.1:8080/socket")]
    pub(super) url: String,

    /// For wss://: trust the certificates in this PEM file
    #[arg(long, value_name = "FILE")]
    #[serde(skip)]
    pub(super) ca: Option<PathBuf>,

    /// The number of topics
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) topics: u32,

    /// Subscribers of each topic, one connection each; with 0 nothing is published
    #[arg(long, visible_alias = "clients", value_name = "N", default_value_t = 100)]
    pub(super) subscribers: u32,

    /// Publishers of each topic, one connection each; they do not subscribe
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) publishers: u32,

    /// Publications of one publisher that may be under way to subscribers at the same time [default: 1]
    #[arg(long, value_name = "N", conflicts_with = "rate", value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub(super) outstanding: Option<u32>,

    /// Publications for each second, of all publishers together. They are sent on schedule even if the server is
    /// slower; latency is then counted from the scheduled time
    #[arg(long, value_name = "PER_SECOND", value_parser = rate)]
    pub(super) rate: Option<f64>,

    /// The size of a message, such as 128 or 4KiB
    #[arg(long, visible_alias = "size", value_name = "SIZE", default_value = "128", value_parser = payload)]
    pub(super) payload: u32,

    /// Further connections that subscribe and receive nothing; with --subscribers 0 and --pid the report has the memory
    /// for each
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(super) idle: u32,

    /// Instead of the above, N clients at the same time connect, subscribe, receive one message and close, again and
    /// again
    #[arg(long, value_name = "N", conflicts_with_all = ["topics", "subscribers", "publishers", "outstanding", "rate", "idle"],
          value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) churn: Option<u32>,

    /// How long to measure
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = some_time)]
    pub(super) duration: DurationText,

    /// How long to run before measuring
    #[arg(long, value_name = "TIME", default_value = "2s")]
    pub(super) warmup: DurationText,

    /// The server's process id on this machine, to report its CPU and memory
    #[arg(long)]
    #[serde(skip)]
    pub(super) pid: Option<u32>,

    /// Write what was done from moment to moment to this file, as comma-separated values
    #[arg(long, value_name = "FILE")]
    #[serde(skip)]
    pub(super) csv: Option<PathBuf>,

    /// Write a page with charts to this file: throughput and latency over time, and all percentiles
    #[arg(long, value_name = "FILE")]
    #[serde(skip)]
    pub(super) html: Option<PathBuf>,

    /// Print the report as JSON
    #[arg(long)]
    #[serde(skip)]
    pub(super) json: bool,
}

impl BenchArgs {
    /// Whether a file shows what was done from moment to moment.
    pub(super) fn wants_timeline(&self) -> bool {
        self.csv.is_some() || self.html.is_some()
    }

    pub(super) fn connections(&self) -> u64 {
        let crowd = u64::from(self.topics) * (u64::from(self.subscribers) + u64::from(self.publishers));
        self.churn.map_or(crowd + u64::from(self.idle), u64::from)
    }
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if (0.001..=10_000_000.0).contains(&rate) => Ok(rate),
        _ => Err("must be a number from 0.001 to 10000000".to_owned()),
    }
}

fn payload(text: &str) -> Result<u32, String> {
    let Size(bytes) = text.parse()?;
    u32::try_from(bytes)
        .ok()
        .filter(|bytes| (25..=131_072).contains(bytes))
        .ok_or("must be from 25 to 128KiB".to_owned())
}

fn some_time(text: &str) -> Result<DurationText, &'static str> {
    match text.parse()? {
        DurationText(Duration::ZERO) => Err("must be longer than nothing"),
        time => Ok(time),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_positive_and_finite() {
        assert_eq!(rate("62.5"), Ok(62.5));
        assert!(rate("0").is_err());
        assert!(rate("NaN").is_err());
    }

    #[test]
    fn a_message_has_a_size() {
        assert_eq!(payload("128"), Ok(128));
        assert_eq!(payload("4KiB"), Ok(4096));
        assert_eq!(payload("24"), Err("must be from 25 to 128KiB".to_owned()));
    }

    #[test]
    fn a_measurement_takes_some_time() {
        assert_eq!(some_time("0s"), Err("must be longer than nothing"));
        assert_eq!(some_time("1ms"), Ok(DurationText(Duration::from_millis(1))));
        assert!(some_time("fast").unwrap_err().starts_with("not a duration"));
    }
}
