//! Measures the Rust client of hubcast, and async-nats with JetStream, one run for each call. `../run` calls it in turns.
//!
//! Each run prints one number: messages a second.

mod flood;
mod hubcast;
mod nats;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(about)]
struct Arguments {
    /// Threads of the client's runtime: 1 is tokio's `current_thread` runtime.
    #[arg(long, global = true, default_value_t = 1)]
    threads: usize,
    /// The bytes of one message.
    #[arg(long, global = true, default_value_t = 128)]
    bytes: usize,
    /// The measured messages. A tenth of them comes before, to warm up.
    #[arg(long, global = true, default_value_t = 200_000)]
    count: u64,
    #[command(subcommand)]
    run: Run,
}

#[derive(Subcommand)]
enum Run {
    /// Publishes to hubcast in order, acknowledged, 256 under way.
    Hubcast { url: String },
    /// Publishes to hubcast by single futures, in order, acknowledged, 256 under way.
    Futures { url: String },
    /// Publishes to a JetStream stream in memory in order, acknowledged, 256 under way.
    Nats { url: String },
    /// Receives from hubcast by a typed subscription. Starts `flood` on the core `flood_core`.
    Receive {
        url: String,
        #[arg(long)]
        flood_core: Option<usize>,
    },
    /// Publishes at full speed and without answers, by a WebSocket without a library.
    Flood { address: String },
}

fn main() -> Result<()> {
    let Arguments { threads, bytes, count, run } = Arguments::parse();
    let runtime = match threads {
        1 => tokio::runtime::Builder::new_current_thread().enable_all().build()?,
        threads => tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build()?,
    };
    let rate = match run {
        Run::Hubcast { url } => runtime.block_on(on_a_task(hubcast::publish(url, bytes, count))),
        Run::Futures { url } => runtime.block_on(on_a_task(hubcast::publish_by_futures(url, bytes, count))),
        Run::Nats { url } => runtime.block_on(on_a_task(nats::publish(url, bytes, count))),
        Run::Receive { url, flood_core } => {
            runtime.block_on(on_a_task(hubcast::receive(url, bytes, count, flood_core)))
        }
        Run::Flood { address } => return flood::flood(&address, bytes, count + count / 10),
    }?;
    println!("{rate:.0}");
    Ok(())
}

/// Runs the measured code as a task of its own: the future of `block_on` itself is polled less directly.
async fn on_a_task(run: impl Future<Output = Result<f64>> + Send + 'static) -> Result<f64> {
    tokio::spawn(run).await?
}
