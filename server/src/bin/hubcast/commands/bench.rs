//! `hubcast bench`: puts load on a server that speaks the plain dialect, and reports what it did with how much CPU and
//! memory.
//!
//! The loader shares a small machine with the server that it measures, so it must use far less CPU than any server. It
//! has one thread, parses frames in place with its own code, and allocates nothing for a delivery.

pub(crate) mod args;
mod churn;
mod connection;
mod crowd;
mod faults;
mod files;
mod frame;
mod latency;
mod load;
mod machine;
mod pace;
mod page;
mod progress;
mod publisher;
mod report;
mod stamp;
mod stream;
mod tally;
mod timeline;
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

/// Runs the load and prints the report. Fails if the server made an error.
///
/// # Errors
/// When the server cannot be reached, refuses a request, or delivers anything other than what was published.
pub(crate) fn run(args: BenchArgs) -> anyhow::Result<()> {
    let target = Target::parse(&args.url, args.ca.as_deref())?;
    ensure!(args.topics.saturating_mul(args.publishers) <= 65_535, "there can be 65,535 publishers at most");
    allow_connections(args.connections())?;
    files::check(&args)?;
    let server = args.pid.map(Process::with_id).transpose()?;
    // The runtime serves all ready sockets before it polls the selector again: fewer system calls for the same work.
    let mut runtime = Builder::new_current_thread();
    runtime.enable_all().event_interval(1024);
    if args.rate.is_none() && args.connections() >= CROWD {
        // With many connections, the loader sleeps for a moment when it has no work. Then it finds many sockets ready
        // instead of one, and the server need not wake it for each. Clients on other machines would not need to be
        // woken by the server either.
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
    files::write(&report)?;
    report.verdict()
}

/// Raises the soft limit of open files to what `connections` need.
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

/// From this number of connections on, [`REST`] is short compared to the time that their deliveries take.
const CROWD: u64 = 100;

/// The sleep of a loader without work; the kernel extends it to about 70 µs.
const REST: Duration = Duration::from_micros(20);
