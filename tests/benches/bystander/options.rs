//! The options of the command line.

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
    /// Rows to run; all rows if none is named. `--list` shows them
    pub(crate) rows: Vec<String>,

    /// Path of the hubcast program under attack [default: the one in the target folder of this bench]
    #[arg(long, value_name = "PATH")]
    pub(crate) bin: Option<PathBuf>,

    /// Number of workers of the server
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub(crate) workers: usize,

    /// Need tokens, which every client shows: each is a user of its own
    #[arg(long, conflicts_with = "command")]
    pub(crate) tokens: bool,

    /// Seconds that an attack lasts if it has no end of its own
    #[arg(long, default_value_t = 6, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=120))]
    pub(crate) seconds: u64,

    /// Command that starts another server of the plain dialect, for the rows that need no more; {port} is its port
    #[arg(long, value_name = "COMMAND", conflicts_with_all = ["bin", "workers"])]
    pub(crate) command: Option<String>,

    /// Print one JSON object for each row
    #[arg(long)]
    pub(crate) json: bool,

    /// List the rows
    #[arg(long)]
    pub(crate) list: bool,

    /// The flag that cargo gives to every bench.
    #[arg(long, hide = true)]
    bench: bool,

    /// Run as the process of a bystander.
    #[arg(long, hide = true)]
    pub(crate) as_bystander: Option<SocketAddr>,

    /// The dialect that the bystander speaks.
    #[arg(long, hide = true, default_value = "typed")]
    pub(crate) as_dialect: Dialect,
}

impl Options {
    /// The path of the program under attack.
    pub(crate) fn program(&self) -> Result<PathBuf> {
        let program = match &self.bin {
            Some(path) => path.clone(),
            // This bench is in the folder `deps` beside the program.
            None => env::current_exe()?.parent().and_then(|deps| deps.parent()).context("no folder")?.join("hubcast"),
        };
        let built = "build it with: cargo build --release, or name another with --bin";
        ensure!(program.is_file(), "there is no {}; {built}", program.display());
        Ok(program)
    }
}
