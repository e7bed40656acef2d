//! `hubcast bench`: loads a server that speaks the plain dialect, and says what it gave for how much CPU and memory.
//!
//! The loader shares a small machine with what it measures, so it must be far cheaper than any server: one thread, a
//! framing of its own that reads in place, and no allocation for a delivery.

mod churn;
mod connection;
mod crowd;
mod faults;
mod frame;
mod load;
mod progress;
mod publisher;
mod report;
mod stamp;
mod tally;
mod usage;

use self::connection::Target;
use self::report::Report;
use self::usage::Process;
use crate::units::Period;
use anyhow::{Context, bail, ensure};
use clap::Args;
use serde::Serialize;
use std::thread;
use std::time::Duration;
use tokio::runtime::{Builder, LocalOptions};

/// What to load the server with
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

    /// Further connections that subscribe and hear nothing; with --subscribers 0 and --pid the memory of one is told
    #[arg(long, value_name = "N", default_value_t = 0)]
    idle: u32,

    /// Instead of publishing, let N clients at once connect, subscribe, receive one message and leave, over and over
    #[arg(long, value_name = "N", conflicts_with_all = ["topics", "subscribers", "publishers", "outstanding", "rate", "idle"],
          value_parser = clap::value_parser!(u32).range(1..))]
    churn: Option<u32>,

    /// How long to measure
    #[arg(long, value_name = "TIME", default_value = "10s")]
    duration: Period,

    /// How long to run before measuring
    #[arg(long, value_name = "TIME", default_value = "2s")]
    warmup: Period,

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
    ensure!(args.topics.saturating_mul(args.publishers) <= 65_535, "there can be 65,535 publishers at most");
    allow_connections(args.connections())?;
    let server = args.pid.map(Process::with_id).transpose()?;
    // One pass over every ready socket between two looks at the selector: fewer system calls for the same work.
    let mut runtime = Builder::new_current_thread();
    runtime.enable_all().event_interval(1024);
    if args.rate.is_none() && args.connections() >= CROWD {
        // Out of work, a crowd's loader rests for a moment: it then finds many sockets ready instead of one, and the
        // server need not wake it for each, which clients on other machines would not ask of it either.
        runtime.on_thread_park(|| thread::sleep(REST));
    }
    let runtime = runtime.build_local(LocalOptions::default())?;
    let json = args.json;
    let report: Report = runtime.block_on(async {
        match args.churn {
            Some(clients) => churn::run(args, clients, target, server).await,
            None => crowd::run(args, target, server).await,
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

/// Open files of the loader that are not connections.
const SPARE_FILES: u64 = 64;

/// From this many connections on, [`REST`] is short against the time their deliveries take.
const CROWD: u64 = 100;

/// A rest of the loader; the kernel makes some 70 µs of it.
const REST: Duration = Duration::from_micros(20);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_positive_and_finite() {
        assert_eq!(rate("62.5"), Ok(62.5));
        assert!(rate("0").is_err());
        assert!(rate("NaN").is_err());
    }
}
