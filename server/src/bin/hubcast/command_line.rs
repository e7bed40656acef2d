//! The command line and its help.

mod explain;

use crate::commands::bench::args::BenchArgs;
use crate::commands::completions::{self, CompletionsArgs};
use crate::commands::explain::{self as explaining, ExplainArgs};
use crate::commands::health::{self, HealthArgs};
use crate::commands::history::{self, HistoryArgs};
use crate::commands::hooks::{self, HookTestArgs};
use crate::commands::key::{self, KeyArgs};
use crate::commands::man::ManArgs;
use crate::commands::presence::{self, PresenceArgs};
use crate::commands::publish::args::{self as publishing, PubArgs};
use crate::commands::question::Question;
use crate::commands::record::args::{self as recording, RecordArgs};
use crate::commands::replay::args::{self as replaying, ReplayArgs};
use crate::commands::sub::args::{self as subscribing, SubArgs};
use crate::commands::token::{InspectArgs, MakeArgs, inspect, make};
use crate::commands::top::args::{self as watching, TopArgs};
use crate::settings::options::Options;
use crate::settings::resolve::CliArgs;
use clap::error::ErrorKind;
use clap::{ArgMatches, Args, Command, FromArgMatches};
use explain::explain;
use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The command to carry out.
#[derive(Debug)]
pub(crate) enum Task {
    /// Run the server.
    Serve(CliArgs),
    /// Print the settings in force.
    CheckConfig(CliArgs),
    /// Put load on a server.
    Bench(BenchArgs),
    /// Answer a question.
    Ask(Box<Question>),
    /// Print what is published.
    Sub(Box<SubArgs>),
    /// Publish messages.
    Pub(Box<PubArgs>),
    /// Record what is published.
    Record(Box<RecordArgs>),
    /// Publish a recording again.
    Replay(Box<ReplayArgs>),
    /// Show what a server does.
    Top(Box<TopArgs>),
    /// Print what a topic keeps.
    History(Box<HistoryArgs>),
    /// Print who is subscribed.
    Presence(Box<PresenceArgs>),
    /// Try the hooks of a configuration.
    TestHooks(HookTestArgs, CliArgs),
    /// Ask a server whether it is alive; with the settings, if they say where it is.
    Health(Box<HealthArgs>, Option<CliArgs>),
    /// Write manual pages.
    Man(ManArgs),
    /// Write completions for a shell.
    Completions(CompletionsArgs),
}

/// Reads a command line and the environment.
pub(crate) fn read(line: &[OsString]) -> Result<Task, clap::Error> {
    let (command, words) = chosen(line);
    let matches = command.clone().try_get_matches_from(words);
    let matches = matches.map_err(|error| explain(error, &command, words))?;
    Ok(match command.get_name() {
        BENCH => Task::Bench(BenchArgs::from_arg_matches(&matches)?),
        CHECK_CONFIG => Task::CheckConfig(SettingsArgs::from_arg_matches(&matches)?.given(matches)),
        KEY => Task::Ask(Box::new(Question::Key(KeyArgs::from_arg_matches(&matches)?))),
        SUB => Task::Sub(Box::new(SubArgs::from_arg_matches(&matches)?)),
        PUB => Task::Pub(Box::new(PubArgs::from_arg_matches(&matches)?)),
        RECORD => Task::Record(Box::new(RecordArgs::from_arg_matches(&matches)?)),
        REPLAY => Task::Replay(Box::new(ReplayArgs::from_arg_matches(&matches)?)),
        TOP => Task::Top(Box::new(TopArgs::from_arg_matches(&matches)?)),
        HISTORY => Task::History(Box::new(HistoryArgs::from_arg_matches(&matches)?)),
        PRESENCE => Task::Presence(Box::new(PresenceArgs::from_arg_matches(&matches)?)),
        HOOKS => {
            let Some((_, matches)) = matches.subcommand() else {
                return Err(clap::Error::new(ErrorKind::MissingSubcommand));
            };
            let args = HookTestArgs::from_arg_matches(matches)?;
            let given = settings_of(args.config.as_deref())?;
            Task::TestHooks(args, given)
        }
        HEALTH => {
            let args = HealthArgs::from_arg_matches(&matches)?;
            let given = args.needs_settings().then(|| settings_of(args.config.as_deref())).transpose()?;
            Task::Health(Box::new(args), given)
        }
        MAN => Task::Man(ManArgs::from_arg_matches(&matches)?),
        COMPLETIONS => Task::Completions(CompletionsArgs::from_arg_matches(&matches)?),
        TOKEN => Task::Ask(Box::new(about_token(&matches)?)),
        EXPLAIN => {
            let args = ExplainArgs::from_arg_matches(&matches)?;
            let given = settings_of(args.config.as_deref())?;
            Task::Ask(Box::new(Question::Explain(args, given)))
        }
        _ => Task::Serve(SettingsArgs::from_arg_matches(&matches)?.given(matches)),
    })
}

/// The question of `hubcast token make` or `hubcast token inspect`.
fn about_token(matches: &ArgMatches) -> Result<Question, clap::Error> {
    // Variables count only where the command line leaves it to them.
    let given = |config: Option<&Path>, is_other: bool| {
        let is_set = [CONFIG_VARIABLE, TOKENS_VARIABLE].iter().any(|name| env::var_os(name).is_some());
        (!is_other && (config.is_some() || is_set)).then(|| settings_of(config)).transpose()
    };
    match matches.subcommand() {
        Some((MAKE, matches)) => {
            let args = MakeArgs::from_arg_matches(matches)?;
            let given = given(args.config.as_deref(), args.secret_file.is_some())?;
            Ok(Question::MakeToken(args, given))
        }
        Some((_, matches)) => {
            let args = InspectArgs::from_arg_matches(matches)?;
            let given = given(args.config.as_deref(), false)?;
            Ok(Question::InspectToken(args, given))
        }
        None => Err(clap::Error::new(ErrorKind::MissingSubcommand)),
    }
}

/// The settings that a server would have with this file and the same variables.
fn settings_of(config: Option<&Path>) -> Result<CliArgs, clap::Error> {
    let command = settings(PROGRAM);
    let mut words = vec![OsString::from(PROGRAM)];
    if let Some(config) = config {
        words.extend(["--config".into(), config.into()]);
    }
    let matches = command.clone().try_get_matches_from(&words);
    let matches = matches.map_err(|error| explain(error, &command, &words))?;
    Ok(SettingsArgs::from_arg_matches(&matches)?.given(matches))
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
    #[arg(long, env = CONFIG_VARIABLE, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    options: Options,
}

impl SettingsArgs {
    fn given(self, matches: ArgMatches) -> CliArgs {
        CliArgs { config: self.config, options: self.options, socket: None, matches }
    }
}

/// A command with all settings. The variables are hidden in the help: their names follow one rule, which the help
/// states once.
fn settings(name: &'static str) -> Command {
    SettingsArgs::augment_args(Command::new(name)).mut_args(|arg| arg.hide_env(true))
}

/// The program and its subcommands.
pub(crate) fn command() -> Command {
    settings(PROGRAM)
        .version(env!("CARGO_PKG_VERSION"))
        .about(ABOUT)
        .after_help(AFTER_HELP)
        .args_conflicts_with_subcommands(true)
        .disable_help_subcommand(true)
        .subcommand(SubArgs::augment_args(Command::new(SUB)).about(ABOUT_SUB).after_help(subscribing::AFTER_HELP))
        .subcommand(PubArgs::augment_args(Command::new(PUB)).about(ABOUT_PUB).after_help(publishing::AFTER_HELP))
        .subcommand(
            HistoryArgs::augment_args(Command::new(HISTORY)).about(ABOUT_HISTORY).after_help(history::AFTER_HELP),
        )
        .subcommand(
            PresenceArgs::augment_args(Command::new(PRESENCE)).about(ABOUT_PRESENCE).after_help(presence::AFTER_HELP),
        )
        .subcommand(
            RecordArgs::augment_args(Command::new(RECORD)).about(ABOUT_RECORD).after_help(recording::AFTER_HELP),
        )
        .subcommand(
            ReplayArgs::augment_args(Command::new(REPLAY)).about(ABOUT_REPLAY).after_help(replaying::AFTER_HELP),
        )
        .subcommand(TopArgs::augment_args(Command::new(TOP)).about(ABOUT_TOP).after_help(watching::AFTER_HELP))
        .subcommand(settings(CHECK_CONFIG).about(ABOUT_CHECK_CONFIG))
        .subcommand(KeyArgs::augment_args(Command::new(KEY)).about(ABOUT_KEY).after_help(key::AFTER_HELP))
        .subcommand(token())
        .subcommand(hooks())
        .subcommand(
            ExplainArgs::augment_args(Command::new(EXPLAIN)).about(ABOUT_EXPLAIN).after_help(explaining::AFTER_HELP),
        )
        .subcommand(BenchArgs::augment_args(Command::new(BENCH)).about(ABOUT_BENCH))
        .subcommand(HealthArgs::augment_args(Command::new(HEALTH)).about(ABOUT_HEALTH).after_help(health::AFTER_HELP))
        .subcommand(ManArgs::augment_args(Command::new(MAN)).about(ABOUT_MAN))
        .subcommand(
            CompletionsArgs::augment_args(Command::new(COMPLETIONS))
                .about(ABOUT_COMPLETIONS)
                .after_help(completions::AFTER_HELP),
        )
}

fn token() -> Command {
    let make = MakeArgs::augment_args(Command::new(MAKE)).about(ABOUT_MAKE).after_help(make::AFTER_HELP);
    let inspect = InspectArgs::augment_args(Command::new(INSPECT)).about(ABOUT_INSPECT);
    Command::new(TOKEN)
        .about(ABOUT_TOKEN)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .disable_help_subcommand(true)
        .subcommand(make)
        .subcommand(inspect.after_help(inspect::AFTER_HELP))
}

fn hooks() -> Command {
    let test = HookTestArgs::augment_args(Command::new(TEST)).about(ABOUT_TEST).after_help(hooks::AFTER_HELP);
    Command::new(HOOKS)
        .about(ABOUT_HOOKS)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .disable_help_subcommand(true)
        .subcommand(test)
}

const CONFIG_VARIABLE: &str = "HUBCAST_CONFIG";
const TOKENS_VARIABLE: &str = "HUBCAST_TOKENS";

const PROGRAM: &str = "hubcast";
const SUB: &str = "sub";
const PUB: &str = "pub";
const HISTORY: &str = "history";
const PRESENCE: &str = "presence";
const RECORD: &str = "record";
const REPLAY: &str = "replay";
const TOP: &str = "top";
const CHECK_CONFIG: &str = "check-config";
const KEY: &str = "key";
const TOKEN: &str = "token";
const MAKE: &str = "make";
const INSPECT: &str = "inspect";
const EXPLAIN: &str = "explain";
const HOOKS: &str = "hooks";
const TEST: &str = "test";
const BENCH: &str = "bench";
const HEALTH: &str = "health";
const MAN: &str = "man";
const COMPLETIONS: &str = "completions";

const ABOUT: &str = "A WebSocket publish/subscribe server";
const ABOUT_SUB: &str = "Subscribe, and print what is published";
const ABOUT_PUB: &str = "Publish a message, or each line of standard input";
const ABOUT_HISTORY: &str = "Print what a topic keeps";
const ABOUT_PRESENCE: &str = "Print who is subscribed to a topic";
const ABOUT_RECORD: &str = "Record what is published, and when";
const ABOUT_REPLAY: &str = "Publish a recording again, at its pace";
const ABOUT_TOP: &str = "Show what a server does at the moment";
const ABOUT_CHECK_CONFIG: &str = "Print the configuration in force, and where each value comes from";
const ABOUT_KEY: &str = "Make an API key for a backend";
const ABOUT_TOKEN: &str = "Make a token for a try, or look at one";
const ABOUT_MAKE: &str = "Make a token, signed with the secret of the configuration";
const ABOUT_INSPECT: &str = "Show what is in a token, and whether the server accepts it";
const ABOUT_EXPLAIN: &str = "Say whether a user or key may do something, and why";
const ABOUT_HOOKS: &str = "Try the programs that are told what happens";
const ABOUT_TEST: &str = "Send one event to each hook, and say what came back";
const ABOUT_BENCH: &str = "Put load on a server and measure what it delivers";
const ABOUT_HEALTH: &str = "Ask a server whether it is alive";
const ABOUT_MAN: &str = "Print the manual page, or write the pages of all commands";
const ABOUT_COMPLETIONS: &str = "Print what a shell needs to complete commands and flags";

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
  hubcast key --id backend >> hubcast.toml    let a backend in
  hubcast sub world                           print what is published
  hubcast pub world 'Hello world!'            publish

\x1b[1;4mExit codes:\x1b[0m
  0         stopped as asked, also in a hurry
  1         failed
  2         wrong usage or configuration
  4         refused: a token, or what explain was asked about
  130, 143  ended by a third signal

\x1b[1;4mSignals:\x1b[0m
  SIGTERM, SIGINT  the first one sends the connections away one by one, the
                   second one cuts those that are left, the third one ends the
                   process at once and stores nothing in the state folder
  SIGHUP           the same as the first SIGTERM if standard input was a
                   terminal at the start, because a terminal sends it when it
                   is closed; otherwise the settings are read anew, and what
                   can change is put in force
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
        for text in [
            AFTER_HELP,
            key::AFTER_HELP,
            make::AFTER_HELP,
            inspect::AFTER_HELP,
            explaining::AFTER_HELP,
            subscribing::AFTER_HELP,
            publishing::AFTER_HELP,
            history::AFTER_HELP,
            presence::AFTER_HELP,
            hooks::AFTER_HELP,
            health::AFTER_HELP,
            completions::AFTER_HELP,
        ] {
            let plain = text.replace("\x1b[1;4m", "").replace("\x1b[0m", "");
            for line in plain.lines() {
                assert!(line.len() < 80, "{line}");
            }
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
    fn a_question_about_a_token_needs_no_configuration() {
        let Ok(Task::Ask(question)) = read(&line(&["token", "inspect", "-"])) else { panic!("not a question") };
        assert!(matches!(*question, Question::InspectToken(_, None)));
        let words = ["token", "make", "--config", "some.toml", "--user", "ada"];
        let Ok(Task::Ask(question)) = read(&line(&words)) else { panic!("not a question") };
        let Question::MakeToken(_, Some(given)) = *question else { panic!("without settings") };
        assert_eq!(given.config, Some(PathBuf::from("some.toml")));
        assert!(read(&line(&["token", "make", "--config", "a", "--secret-file", "b", "--user", "ada"])).is_err());
        assert!(read(&line(&["explain", "--token", "a", "--key-id", "b", "publish", "c"])).is_err());
    }

    #[test]
    fn a_setting_before_the_subcommand_is_refused_rather_than_forgotten() {
        assert!(read(&line(&["--workers", "2", "check-config"])).is_err());
    }
}
