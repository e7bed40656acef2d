//! `hubcast bench`: loads a server that speaks the plain dialect, and says what it gave for how much CPU and memory.
//!
//! The loader shares a small machine with what it measures, so it must be far cheaper than any server: one thread, a
//! framing of its own that reads in place, and no allocation for a delivery.

pub(crate) mod args;
mod churn;
mod connection;
mod crowd;
mod faults;
mod frame;
mod load;
mod pace;
mod progress;
mod publisher;
mod report;
mod stamp;
mod tally;
mod usage;

use self::args::BenchArgs;
use self::connection::Target;
use self::report::Report;
use self::usage::Process;
use anyhow::{Context, bail, ensure};
use std::io::{self, Write};
use std::thread;
use std::time::Duration;
use tokio::runtime::{Builder, LocalOptions};

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
    let text = if json { serde_json::to_string(&report)? + "\n" } else { report.to_string() };
    io::stdout().write_all(text.as_bytes()).context("cannot print the report")?;
    report.verdict()
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

/// Open files of the loader that are not connections.
const SPARE_FILES: u64 = 64;

/// From this many connections on, [`REST`] is short against the time their deliveries take.
const CROWD: u64 = 100;

/// A rest of the loader; the kernel makes some 70 µs of it.
const REST: Duration = Duration::from_micros(20);
