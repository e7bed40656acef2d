//! The program `hubcast`: reads its configuration, then serves, explains the configuration, or loads a server.

mod allocator;
mod bench;
mod checks;
mod cli;
mod descriptors;
mod effective;
mod endpoints;
mod file;
mod logging;
mod options;
mod startup;
mod state_dir;
mod topics;
mod units;

use cli::{Given, Task};
use effective::Effective;
use std::env;
use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

fn main() -> ExitCode {
    let line: Vec<OsString> = env::args_os().collect();
    match cli::read(&line) {
        Err(usage) => usage.exit(),
        Ok(Task::Serve(given)) => {
            allocator::give_back_what_is_freed();
            with_configuration(&given, startup::serve)
        }
        Ok(Task::CheckConfig(given)) => with_configuration(&given, print),
        Ok(Task::Bench(args)) => exit_code(bench::run(args), FAILED),
    }
}

fn with_configuration(given: &Given, task: fn(&Effective) -> anyhow::Result<()>) -> ExitCode {
    match Effective::of(given) {
        Ok(effective) => exit_code(task(&effective), FAILED),
        Err(wrong) => exit_code(Err(wrong), MISCONFIGURED),
    }
}

fn print(effective: &Effective) -> anyhow::Result<()> {
    let listing = effective.listing(&effective.config()?);
    io::stdout().write_all(listing.as_bytes())?;
    Ok(())
}

fn exit_code(outcome: anyhow::Result<()>, failure: u8) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(failure)
        }
    }
}

const FAILED: u8 = 1;
const MISCONFIGURED: u8 = 2;
