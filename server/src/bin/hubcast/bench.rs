//! `hubcast bench`: loads a server that speaks the plain dialect, and says what it gave for how much CPU and memory.
//!
//! The loader shares a small machine with what it measures, so it must be far cheaper than any server: one thread, a
//! framing of its own that reads in place, and no allocation for a delivery.

mod churn;
mod connection;
mod crowd;
mod frame;
mod load;
mod progress;
mod report;
mod server_process;
mod stamp;
mod tally;

use self::connection::Target;
use self::progress::Progress;
use self::report::Report;
use self::server_process::Process;
use anyhow::{Context, bail, ensure};
use clap::Args;
use serde::Serialize;
use std::time::Duration;
use tokio::runtime::{Builder, LocalOptions};

/// What to load the server with.
#[derive(Args, Clone, Debug, Serialize)]
pub(crate) struct BenchArgs {
    /// The server; it must speak the plain dialect
    #[arg(default_value = "ws://127.0.0.1:8080/socket")]
    url: String,

    /// Topics published to
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    topics: u32,

    /// Connections subscribed to each topic; with 0 nothing is published
    #[arg(long, value_name = "N", default_value_t = 100)]
    subscribers: u32,

    /// Connections publishing to each topic; they do not subscribe
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    publishers: u32,

    /// Publications of one publisher that may be on their way to subscribers at once [default: 1]
    #[arg(long, value_name = "N", conflicts_with = "rate", value_parser = clap::value_parser!(u32).range(1..=65_536))]
    outstanding: Option<u32>,

    /// Publications a second, of all publishers together, sent on schedule however the server keeps up; latency then
    /// counts from the scheduled time
    #[arg(long, value_name = "PER_SECOND", value_parser = rate)]
    rate: Option<f64>,

    /// Bytes of a message
    #[arg(long, value_name = "BYTES", default_value_t = 128, value_parser = clap::value_parser!(u32).range(25..=131_072))]
    payload: u32,

    /// Further connections that subscribe and hear nothing
    #[arg(long, value_name = "N", default_value_t = 0)]
    idle: u32,

    /// Instead of publishing, let N clients at once connect, subscribe, receive one message and leave, over and over
    #[arg(long, value_name = "N", conflicts_with_all = ["topics", "subscribers", "publishers", "outstanding", "rate", "idle"],
          value_parser = clap::value_parser!(u32).range(1..))]
    churn: Option<u32>,

    /// How long to measure, as 10s, 500ms or 2m
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration)]
    #[serde(skip)]
    duration: Duration,

    /// How long to run before measuring
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = duration)]
    #[serde(skip)]
    warmup: Duration,

    /// The server's process on this machine, to report its CPU and memory
    #[arg(long)]
    #[serde(skip)]
    pid: Option<u32>,

    /// Print the report as JSON
    #[arg(long)]
    #[serde(skip)]
    json: bool,
}

/// Runs the load, prints the report, and fails if the server did.
///
/// # Errors
/// When the server cannot be reached, refuses, or delivers anything else than what was published.
pub(crate) fn run(args: BenchArgs) -> anyhow::Result<()> {
    let target = Target::parse(&args.url)?;
    ensure!(args.topics.saturating_mul(args.publishers) <= 65_536, "there can be 65,536 publishers at most");
    allow_connections(args.connections())?;
    let server = args.pid.map(Process::with_id).transpose()?;
    // One pass over every ready socket between two looks at the selector: fewer system calls for the same work.
    let runtime =
        Builder::new_current_thread().enable_all().event_interval(1024).build_local(LocalOptions::default())?;
    let json = args.json;
    let report: Report = runtime.block_on(async {
        let progress = Progress::new();
        match args.churn {
            Some(clients) => churn::run(args, clients, target, server, &progress).await,
            None => crowd::run(args, target, server, &progress).await,
        }
    })?;
    if json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        print!("{report}");
    }
    report.verdict()
}

impl BenchArgs {
    fn connections(&self) -> u64 {
        let crowd = u64::from(self.topics) * (u64::from(self.subscribers) + u64::from(self.publishers));
        self.churn.map_or(crowd + u64::from(self.idle), u64::from)
    }
}

/// Raises the soft limit of open files as far as `connections` need it.
fn allow_connections(connections: u64) -> anyhow::Result<()> {
    let needed = connections + SPARE_FILES;
    let allowed = rlimit::increase_nofile_limit(needed).context("cannot read the limit of open files")?;
    if allowed < needed {
        bail!("{connections} connections need {needed} open files, but only {allowed} are allowed (see `ulimit -Hn`)");
    }
    Ok(())
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if (0.001..=10_000_000.0).contains(&rate) => Ok(rate),
        _ => Err("must be a number from 0.001 to 10000000".to_owned()),
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let unit_at = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let seconds = match unit {
        "ms" => 0.001,
        "s" | "" => 1.0,
        "m" => 60.0,
        _ => return Err("the unit must be ms, s or m".to_owned()),
    };
    let number: f64 = number.trim().parse().map_err(|_| "must be a number and a unit, as 10s".to_owned())?;
    Duration::try_from_secs_f64(number * seconds)
        .ok()
        .filter(|d| *d <= Duration::from_secs(86_400))
        .ok_or_else(|| "must be from 0s to a day".to_owned())
}

/// Open files of the loader that are not connections.
const SPARE_FILES: u64 = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_a_number_and_a_unit() {
        assert_eq!(duration("10s"), Ok(Duration::from_secs(10)));
        assert_eq!(duration("1.5"), Ok(Duration::from_millis(1500)));
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        assert!(duration("s").is_err());
        assert!(duration("-1s").is_err());
        assert!(duration("3h").is_err());
    }

    #[test]
    fn a_rate_is_positive_and_finite() {
        assert_eq!(rate("62.5"), Ok(62.5));
        assert!(rate("0").is_err());
        assert!(rate("NaN").is_err());
    }
}
