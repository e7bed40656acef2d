//! The command line and its help.

use crate::commands::bench::args::BenchArgs;
use crate::settings::options::Options;
use crate::settings::resolve::CliArgs;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{ArgMatches, Args, Command, CommandFactory, FromArgMatches, Parser, Subcommand};
use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

/// The command to carry out.
#[derive(Debug)]
pub(crate) enum Task {
    /// Run the server.
    Serve(CliArgs),
    /// Print the settings in force.
    CheckConfig(CliArgs),
    /// Put load on a server.
    Bench(BenchArgs),
}

/// Reads a command line and the environment.
pub(crate) fn read(line: &[OsString]) -> Result<Task, clap::Error> {
    let command = command();
    let mut matches =
        command.clone().try_get_matches_from(line).map_err(|error| name_the_variable(error, &command, line))?;
    let cli = Cli::from_arg_matches(&matches)?;
    Ok(match (cli.task, matches.remove_subcommand()) {
        (Some(CliTask::Bench(args)), _) => Task::Bench(args),
        (Some(CliTask::CheckConfig(settings)), Some((_, matches))) => Task::CheckConfig(settings.given(matches)),
        _ => Task::Serve(cli.settings.given(matches)),
    })
}

/// Whether a command line that cannot be read, or the environment, asks the server for a log in JSON.
pub(crate) fn wants_json_log(line: &[OsString]) -> bool {
    let words: Vec<_> = line.iter().skip(1).map(|word| word.to_string_lossy()).collect();
    if words.first().is_some_and(|word| command().find_subcommand(&**word).is_some()) {
        return false;
    }
    let flag = words.windows(2).filter(|pair| pair[0] == LOG_FORMAT).map(|pair| &*pair[1]);
    let flag = flag.chain(words.iter().filter_map(|word| word.strip_prefix(LOG_FORMAT)?.strip_prefix('='))).last();
    flag.map_or_else(|| env::var("HUBCAST_LOG_FORMAT").is_ok_and(|format| format == JSON), |format| format == JSON)
}

const LOG_FORMAT: &str = "--log-format";
const JSON: &str = "json";

#[derive(Parser)]
#[command(name = "hubcast", version, about = ABOUT, after_help = AFTER_HELP)]
#[command(args_conflicts_with_subcommands = true, disable_help_subcommand = true)]
struct Cli {
    #[command(flatten)]
    settings: SettingsArgs,
    #[command(subcommand)]
    task: Option<CliTask>,
}

#[derive(Subcommand)]
enum CliTask {
    /// Print the configuration in force, and where each value comes from
    CheckConfig(Box<SettingsArgs>),
    /// Put load on a server and measure what it delivers
    Bench(BenchArgs),
}

#[derive(Args)]
struct SettingsArgs {
    /// Read settings from this TOML file; without it no file is read
    #[arg(long, env = "HUBCAST_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    options: Options,
}

impl SettingsArgs {
    fn given(self, matches: ArgMatches) -> CliArgs {
        CliArgs { config: self.config, options: self.options, matches }
    }
}

/// The command, with variables hidden in its help: their names follow one rule, which the help states once.
fn command() -> Command {
    let quiet = |command: Command| command.mut_args(|arg| arg.hide_env(true));
    quiet(Cli::command()).mut_subcommand("check-config", quiet)
}

/// Names the variable in an error if the value came from the environment: clap names the flag, but the operator wrote
/// the variable.
fn name_the_variable(mut error: clap::Error, command: &Command, line: &[OsString]) -> clap::Error {
    if !matches!(error.kind(), ErrorKind::ValueValidation | ErrorKind::InvalidValue) {
        return error;
    }
    let Some(ContextValue::String(shown)) = error.get(ContextKind::InvalidArg) else { return error };
    let flag = shown.split_whitespace().next().unwrap_or_default();
    let origin_of = |word: &OsString| word.to_str().is_some_and(|word| word.split('=').next() == Some(flag));
    if line.iter().any(origin_of) {
        return error;
    }
    let arg = command.get_arguments().find(|arg| arg.get_long() == flag.strip_prefix("--"));
    if let Some(variable) = arg.and_then(|arg| arg.get_env()) {
        let variable = variable.to_string_lossy().into_owned();
        error.insert(ContextKind::InvalidArg, ContextValue::String(variable));
    }
    error
}

const ABOUT: &str = "A WebSocket publish/subscribe server";

const AFTER_HELP: &str = "\
\x1b[1;4mUnits:\x1b[0m
  DURATION  a number with ms, s, m or h: 500ms, 25s, 2m
  SIZE      bytes, or a number with KiB, MiB or GiB: 65536, 64KiB, 1MiB

\x1b[1;4mOne meaning, three ways\x1b[0m (each goes before those below it, all go before the default):
  --max-frame 32KiB          a flag
  HUBCAST_MAX_FRAME=32KiB    an environment variable
  max_frame = \"32KiB\"        a line of the file that --config names

\x1b[1;4mExamples:\x1b[0m
  hubcast                                        serve this machine alone, on port 8080
  hubcast --listen 0.0.0.0:8080 --workers 2      serve the network, on two cores
  hubcast --config hubcast.toml --ping 15s       a file, and one value that goes before it
  hubcast --origins https://example.org          let in the pages of one site
  hubcast check-config --config hubcast.toml     see what would be in force, and why

\x1b[1;4mExit codes:\x1b[0m
  0 stopped as asked, also in a hurry; 1 failed; 2 wrong usage or configuration; 130, 143 by a third signal

\x1b[1;4mSignals:\x1b[0m
  SIGTERM, SIGINT  send the connections away one by one; a second one cuts who is left; a third ends the process
                   at once, and only then is nothing left in the state folder
  SIGHUP           where standard input was a terminal at the start, the same as the first SIGTERM: a terminal sends
                   it when it is closed; otherwise it is logged and ignored
  Before the server listens, SIGTERM and SIGINT end the process at once";

#[cfg(test)]
mod tests {
    use super::*;
    use clap::parser::ValueSource;

    fn line(words: &[&str]) -> Vec<OsString> {
        ["hubcast"].iter().chain(words).map(OsString::from).collect()
    }

    #[test]
    fn the_command_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn no_subcommand_runs_the_server() {
        let Ok(Task::Serve(given)) = read(&line(&["--ping", "15s"])) else { panic!("not a task to serve") };
        assert_eq!(given.options.ping.to_string(), "15s");
        assert_eq!(given.matches.value_source("ping"), Some(ValueSource::CommandLine));
        assert_eq!(given.matches.value_source("linger"), Some(ValueSource::DefaultValue));
    }

    #[test]
    fn check_config_takes_the_same_settings() {
        let words = ["check-config", "--config", "some.toml", "--workers=2"];
        let Ok(Task::CheckConfig(given)) = read(&line(&words)) else { panic!("not a task to check") };
        assert_eq!(given.config, Some(PathBuf::from("some.toml")));
        assert_eq!(given.matches.value_source("workers"), Some(ValueSource::CommandLine));
    }

    #[test]
    fn a_setting_before_the_subcommand_is_refused_rather_than_forgotten() {
        assert!(read(&line(&["--workers", "2", "check-config"])).is_err());
    }
}
