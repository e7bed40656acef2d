//! The program `hubcast`: reads its configuration, then serves, explains the configuration, or loads a server.

mod allocator;
mod command_line;
mod commands;
mod logging;
mod settings;

use command_line::Task;
use commands::bench;
use logging::Log;
use settings::resolve::{CliArgs, Resolved, resolve};
use std::env;
use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

fn main() -> ExitCode {
    let line: Vec<OsString> = env::args_os().collect();
    match command_line::read(&line) {
        Err(usage) => usage.exit(),
        Ok(Task::Serve(given)) => {
            allocator::give_back_what_is_freed();
            with_settings(&given, serve)
        }
        Ok(Task::CheckConfig(given)) => with_settings(&given, check_config),
        Ok(Task::Bench(args)) => exit_code(bench::run(args), FAILED),
    }
}

fn with_settings(given: &CliArgs, command: fn(&Resolved) -> ExitCode) -> ExitCode {
    match resolve(given) {
        Ok(resolved) => command(&resolved),
        Err(wrong) => exit_code(Err(wrong), MISCONFIGURED),
    }
}

/// Once there are settings there is a log, and whoever reads it must find there why the server has ended.
fn serve(resolved: &Resolved) -> ExitCode {
    let options = &resolved.settings.options;
    let log = Log { level: options.log_level, format: options.log_format };
    log.start();
    match commands::serve::run(resolved) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log.last_words(&format!("{error:#}"));
            ExitCode::from(FAILED)
        }
    }
}

fn check_config(resolved: &Resolved) -> ExitCode {
    exit_code(commands::check_config::run(resolved), FAILED)
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
