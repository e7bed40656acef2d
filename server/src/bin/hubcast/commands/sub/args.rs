//! The flags of `hubcast sub`.

use crate::commands::client::exit::{Failure, exit_codes};
use crate::commands::listen::args::{ListenArgs, position};
use crate::commands::listen::streams::Wanted;
use clap::Args;
use hubcast_client::Position;
use std::path::PathBuf;

/// What to subscribe to, from where on, and how to print it.
#[derive(Args, Clone, Debug)]
pub(crate) struct SubArgs {
    #[command(flatten)]
    pub(super) listen: ListenArgs,

    /// Begin after this position of the one topic
    #[arg(long, value_name = "EPOCH:OFFSET", value_parser = position, conflicts_with = "resume")]
    pub(super) since: Option<Position>,

    /// Begin after the positions in this file, and keep them there: at the next run nothing is missing
    #[arg(long, value_name = "FILE")]
    pub(super) resume: Option<PathBuf>,

    /// Print one JSON object a line for each message, gap and resume, and for each join and leave
    #[arg(long)]
    pub(super) json: bool,

    /// Print messages byte for byte also on a terminal: they can move its cursor
    #[arg(long, conflicts_with = "json")]
    pub(super) raw: bool,

    /// End each message with a zero byte and not with a line end
    #[arg(short = '0', long)]
    pub(super) null: bool,

    /// Print the time before each message: the server's if it says it, and else that of its arrival
    #[arg(short, long)]
    pub(super) time: bool,

    /// Print the topic before each message
    #[arg(long = "topics")]
    pub(super) topics_first: bool,

    /// Also tell who joins and leaves the topics: in the lines of --json, and else on standard error
    #[arg(long, requires = "topics")]
    pub(super) presence: bool,
}

impl SubArgs {
    pub(super) fn wanted(&self) -> Wanted<'_> {
        Wanted { since: self.since, presence: self.presence, ..self.listen.wanted() }
    }

    /// Checks what a parser of single flags cannot.
    pub(super) fn check(&self) -> Result<(), Failure> {
        if self.since.is_some() && (self.listen.topics.len() != 1 || !self.listen.patterns.is_empty()) {
            return Err(Failure::misused("--since is a position of one topic; for more, use --resume"));
        }
        self.listen.check()
    }
}

/// The end of the help.
pub(crate) const AFTER_HELP: &str = concat!(
    "\
Standard output has the messages only, one a line, as soon as they come. Gaps,
lost connections and errors go to standard error. On a terminal, control
characters of messages are shown as escapes.

\x1b[1;4mExamples:\x1b[0m
  hubcast sub world                        one topic, until Ctrl-C
  hubcast sub -p 'orders.>' --topics       all orders, with their topics
  hubcast sub world --last 1 -n 1          the current value
  hubcast sub world --resume world.json    go on where the last run ended
  hubcast sub world --json | jq .message   for programs

",
    exit_codes!()
);
