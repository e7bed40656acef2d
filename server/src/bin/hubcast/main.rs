//! The program `hubcast`: reads its configuration, then serves, answers a question about it, is a client of a server, or
//! loads one.

mod allocator;
mod command_line;
mod commands;
mod logging;
mod settings;

use command_line::Task;
use commands::answer::Answer;
use commands::bench;
use logging::{Format, Level, Log};
use settings::resolve::{self, CliArgs, Resolved, resolve};
use settings::{activation, descriptors};
use std::env;
use std::ffi::OsString;
use std::net::TcpListener;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

fn main() -> ExitCode {
    let line: Vec<OsString> = env::args_os().collect();
    match command_line::read(&line) {
        Err(usage) if usage.use_stderr() && command_line::wants_json_log(&line) => {
            refuse(Format::Json, usage.to_string().trim_end())
        }
        Err(usage) => usage.exit(),
        Ok(Task::Serve(given)) => {
            allocator::give_back_what_is_freed();
            start(given)
        }
        Ok(Task::CheckConfig(given)) => match resolve(&given) {
            Ok(resolved) => exit_code(commands::check_config::run(&resolved)),
            Err(wrong) => refuse(Format::Text, &format!("{wrong:#}")),
        },
        Ok(Task::Sub(args)) => commands::sub::run(&args),
        Ok(Task::Pub(args)) => commands::publish::run(&args),
        Ok(Task::Record(args)) => commands::record::run(&args),
        Ok(Task::Replay(args)) => commands::replay::run(&args),
        Ok(Task::Top(args)) => commands::top::run(&args),
        Ok(Task::History(args)) => commands::history::run(&args),
        Ok(Task::Presence(args)) => commands::presence::run(&args),
        Ok(Task::TestHooks(args, given)) => match commands::hooks::run(&args, &given) {
            Ok(code) => code,
            Err(wrong) => refuse(Format::Text, &format!("{wrong:#}")),
        },
        Ok(Task::Health(args, given)) => commands::health::run(&args, given.as_ref()),
        Ok(Task::Man(args)) => print(commands::man::run(&args, command_line::command())),
        Ok(Task::Completions(args)) => print(commands::completions::run(&args, command_line::command())),
        Ok(Task::Bench(args)) => exit_code(bench::run(args)),
        Ok(Task::Ask(question)) => match question.answer(unix_now()) {
            Ok(answer) => answer.print().unwrap_or_else(|error| exit_code(Err(error))),
            Err(wrong) => refuse(Format::Text, &format!("{wrong:#}")),
        },
    }
}

/// Reads the settings, and serves with the sockets that the process was started with, if there are some.
fn start(mut given: CliArgs) -> ExitCode {
    let resolved = activation::take().and_then(|sockets| {
        given.socket = activation::widest(&sockets)?;
        Ok((resolve(&given)?, sockets))
    });
    match resolved {
        Ok((resolved, sockets)) => serve(&given, &resolved, sockets),
        Err(wrong) => refuse(resolve::log_format(&given), &format!("{wrong:#}")),
    }
}

/// Once there are settings there is a log, and whoever reads it must find there why the server has ended.
fn serve(given: &CliArgs, resolved: &Resolved, sockets: Vec<TcpListener>) -> ExitCode {
    // Before the log, which has a thread: see `reserve_fds`.
    let config = resolve::config(resolved);
    if let Ok(config) = &config {
        descriptors::reserve_fds(config.max_connections);
    }
    let options = &resolved.settings.options;
    let log = Log { level: options.log_level, format: options.log_format };
    let log = match log.start() {
        Ok(log) => log,
        Err(error) => {
            log.refuse(&format!("cannot start the thread of the log: {error}"));
            return ExitCode::from(FAILED);
        }
    };
    let ended = config.and_then(|config| commands::serve::run(config, given, resolved, sockets, &log));
    if let Err(error) = &ended {
        log.last_words(&format!("{error:#}"));
    }
    log.flush();
    ended.map_or(ExitCode::from(FAILED), |()| ExitCode::SUCCESS)
}

fn print(answer: anyhow::Result<Answer>) -> ExitCode {
    answer.and_then(|answer| answer.print()).unwrap_or_else(|error| exit_code(Err(error)))
}

/// Says what is wrong with the command line or the settings.
fn refuse(format: Format, why: &str) -> ExitCode {
    Log { level: Level::Error, format }.refuse(why);
    ExitCode::from(MISCONFIGURED)
}

fn exit_code(outcome: anyhow::Result<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            Log { level: Level::Error, format: Format::Text }.refuse(&format!("{error:#}"));
            ExitCode::from(FAILED)
        }
    }
}

/// Seconds since 1970-01-01 UTC.
fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

const FAILED: u8 = 1;
const MISCONFIGURED: u8 = 2;
