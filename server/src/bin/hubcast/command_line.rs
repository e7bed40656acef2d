//! The command line and its help.

mod explain;

use crate::commands::bench::args::BenchArgs;
use crate::settings::options::Options;
use crate::settings::resolve::CliArgs;
use clap::{ArgMatches, Args, Command, FromArgMatches};
use explain::explain;
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
    let (command, words) = chosen(line);
    let matches = command.clone().try_get_matches_from(words);
    let matches = matches.map_err(|error| explain(error, &command, words))?;
    Ok(match command.get_name() {
        BENCH => Task::Bench(BenchArgs::from_arg_matches(&matches)?),
        CHECK_CONFIG => Task::CheckConfig(SettingsArgs::from_arg_matches(&matches)?.given(matches)),
        _ => Task::Serve(SettingsArgs::from_arg_matches(&matches)?.given(matches)),
    })
}

/// The command that the first word chooses, and its words.
///
/// A subcommand is parsed alone: otherwise clap also validates the variables of the program, although they have no
/// effect on the subcommand, or a flag of the subcommand goes before them.
fn chosen(line: &[OsString]) -> (Command, &[OsString]) {
    let command = command();
    match line.get(1).and_then(|word| command.find_subcommand(word)) {
        Some(subcommand) => {
            let in_usage = format!("{} {}", command.get_name(), subcommand.get_name());
            (subcommand.clone().bin_name(in_usage), &line[1..])
        }
        None => (command, line),
    }
}

/// Whether a command line that cannot be read, or the environment, asks the server for a log in JSON.
pub(crate) fn wants_json_log(line: &[OsString]) -> bool {
    let words: Vec<_> = line.iter().skip(1).map(|word| word.to_string_lossy()).collect();
    if chosen(line).0.get_name() != PROGRAM {
        return false;
    }
    let flag = words.windows(2).filter(|pair| pair[0] == LOG_FORMAT).map(|pair| &*pair[1]);
    let flag = flag.chain(words.iter().filter_map(|word| word.strip_prefix(LOG_FORMAT)?.strip_prefix('='))).last();
    flag.map_or_else(|| env::var("HUBCAST_LOG_FORMAT").is_ok_and(|format| format == JSON), |format| format == JSON)
}

const LOG_FORMAT: &str = "--log-format";
const JSON: &str = "json";

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

/// The program and its subcommands, with variables hidden in the help: their names follow one rule, which the help
/// states once.
fn command() -> Command {
    let settings = |name| SettingsArgs::augment_args(Command::new(name)).mut_args(|arg| arg.hide_env(true));
    settings(PROGRAM)
        .version(env!("CARGO_PKG_VERSION"))
        .about(ABOUT)
        .after_help(AFTER_HELP)
        .args_conflicts_with_subcommands(true)
        .disable_help_subcommand(true)
        .subcommand(settings(CHECK_CONFIG).about(ABOUT_CHECK_CONFIG))
        .subcommand(BenchArgs::augment_args(Command::new(BENCH)).about(ABOUT_BENCH))
}

const PROGRAM: &str = "hubcast";
const CHECK_CONFIG: &str = "check-config";
const BENCH: &str = "bench";

const ABOUT: &str = "A WebSocket publish/subscribe server";
const ABOUT_CHECK_CONFIG: &str = "Print the configuration in force, and where each value comes from";
const ABOUT_BENCH: &str = "Put load on a server and measure what it delivers";

const AFTER_HELP: &str = "\
\x1b[1;4mUnits:\x1b[0m
  DURATION  a number with ms, s, m or h: 500ms, 25s, 2m
  SIZE      bytes, or a number with KiB, MiB or GiB: 65536, 64KiB, 1MiB

\x1b[1;4mThree ways to set a value\x1b[0m (each goes before the ways below it):
  --max-frame 32KiB          a flag
  HUBCAST_MAX_FRAME=32KiB    an environment variable
  max_frame = \"32KiB\"        a line of the file that --config names

\x1b[1;4mExamples:\x1b[0m
  hubcast                                     this machine alone, on port 8080
  hubcast --listen 0.0.0.0:8080 --open        the network; all may do all
  hubcast --config hubcast.toml --ping 15s    a file, and one value before it
  hubcast --origins https://example.org       let in the pages of one site
  hubcast check-config --config hubcast.toml  see each value and its source

\x1b[1;4mExit codes:\x1b[0m
  0         stopped as asked, also in a hurry
  1         failed
  2         wrong usage or configuration
  130, 143  ended by a third signal

\x1b[1;4mSignals:\x1b[0m
  SIGTERM, SIGINT  the first one sends the connections away one by one, the
                   second one cuts those that are left, the third one ends the
                   process at once and stores nothing in the state folder
  SIGHUP           the same as the first SIGTERM if standard input was a
                   terminal at the start, because a terminal sends it when it
                   is closed; otherwise it is logged and ignored
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
    fn a_terminal_of_80_columns_breaks_no_line_of_the_help_after_the_flags() {
        let plain = AFTER_HELP.replace("\x1b[1;4m", "").replace("\x1b[0m", "");
        for line in plain.lines() {
            assert!(line.len() < 80, "{line}");
        }
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
