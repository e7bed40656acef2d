//! The program `hubcast`: reads its configuration, then serves, explains the configuration, or loads a server.

mod allocator;
mod bench;
mod checks;
mod cli;
mod descriptors;
mod effective;
mod endpoints;
mod environment;
mod file;
mod listening;
mod logging;
mod options;
mod signals;
mod startup;
mod state_dir;
mod topics;
mod units;

use cli::{Given, Task};
use effective::Effective;
use logging::Log;
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
            with_configuration(&given, serve)
        }
        Ok(Task::CheckConfig(given)) => with_configuration(&given, check),
        Ok(Task::Bench(args)) => exit_code(bench::run(args), FAILED),
    }
}

fn with_configuration(given: &Given, task: fn(&Effective) -> ExitCode) -> ExitCode {
    match Effective::of(given) {
        Ok(effective) => task(&effective),
        Err(wrong) => exit_code(Err(wrong), MISCONFIGURED),
    }
}

/// Once there is a configuration there is a log, and whoever reads it must find there why the server has ended.
fn serve(effective: &Effective) -> ExitCode {
    let log = Log { level: effective.options.log_level, format: effective.options.log_format };
    log.start();
    match startup::serve(effective) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log.last_words(&format!("{error:#}"));
            ExitCode::from(FAILED)
        }
    }
}

fn check(effective: &Effective) -> ExitCode {
    if !effective.ignored.is_empty() {
        let variables = effective.ignored.join(", ");
        let _ = writeln!(io::stderr(), "warning: there are no settings of these names, they are ignored: {variables}");
    }
    let print = || Ok(io::stdout().write_all(effective.listing(&effective.config()?).as_bytes())?);
    exit_code(print(), FAILED)
}

fn exit_code(outcome: anyhow::Result<()>, failure: u8) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Whoever closes standard error still gets the exit code.
            let _ = writeln!(io::stderr(), "error: {error:#}");
            ExitCode::from(failure)
        }
    }
}

const FAILED: u8 = 1;
const MISCONFIGURED: u8 = 2;
