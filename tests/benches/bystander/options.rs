//! What can be said on the command line.

use crate::wire::Dialect;
use anyhow::{Context, Result, ensure};
use clap::Parser;
use std::env;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Attacks a server in each of the ways that the table below names, and shows how long a bystander waits meanwhile.
#[derive(Debug, Parser)]
#[command(name = "bystander")]
pub(crate) struct Options {
    /// Rows to run, all if none is named; `--list` shows them
    pub(crate) rows: Vec<String>,

    /// The hubcast under attack [default: the one that stands in the target folder of this bench]
    #[arg(long, value_name = "PATH")]
    pub(crate) bin: Option<PathBuf>,

    /// Its workers
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub(crate) workers: usize,

    /// How long an attack goes on where it has no end of its own
    #[arg(long, default_value_t = 6, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=120))]
    pub(crate) seconds: u64,

    /// Another server of the plain dialect, for the rows that need no more; {port} is where it shall listen
    #[arg(long, value_name = "COMMAND", conflicts_with_all = ["bin", "workers"])]
    pub(crate) command: Option<String>,

    /// Print one JSON object for each row
    #[arg(long)]
    pub(crate) json: bool,

    /// Say what rows there are
    #[arg(long)]
    pub(crate) list: bool,

    /// What cargo says to every bench.
    #[arg(long, hide = true)]
    bench: bool,

    /// Be the bystander's process.
    #[arg(long, hide = true)]
    pub(crate) as_bystander: Option<SocketAddr>,

    /// Speak this dialect as a bystander.
    #[arg(long, hide = true, default_value = "typed")]
    pub(crate) as_dialect: Dialect,
}

impl Options {
    /// The program under attack.
    pub(crate) fn program(&self) -> Result<PathBuf> {
        let program = match &self.bin {
            Some(path) => path.clone(),
            // This program stands in `deps` beside it.
            None => env::current_exe()?.parent().and_then(|deps| deps.parent()).context("no folder")?.join("hubcast"),
        };
        let built = "build it with: cargo build --release, or name another with --bin";
        ensure!(program.is_file(), "there is no {}; {built}", program.display());
        Ok(program)
    }
}
