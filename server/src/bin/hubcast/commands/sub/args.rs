//! The flags of `hubcast sub`.

use super::streams::Wanted;
use crate::commands::client::exit::{Failure, exit_codes};
use crate::commands::client::options::{ClientOptions, some_time};
use crate::settings::units::DurationText;
use clap::{Args, ValueEnum};
use hubcast_client::{Epoch, Position, Slow};
use hubcast_protocol::Pattern;
use std::path::PathBuf;

/// What to subscribe to, from where on, and how to print it.
#[derive(Args, Clone, Debug)]
pub(crate) struct SubArgs {
    /// The topics; in their names nothing is a wildcard
    #[arg(value_name = "TOPIC", required_unless_present = "patterns")]
    pub(super) topics: Vec<String>,

    /// All topics that match: * stands for one part between dots, and > at the end for one or more
    #[arg(short, long = "pattern", value_name = "PATTERN")]
    pub(super) patterns: Vec<Pattern>,

    /// Begin with the last n messages of each topic that the server still has
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) last: Option<u32>,

    /// Begin after this position of the one topic
    #[arg(long, value_name = "EPOCH:OFFSET", value_parser = position, conflicts_with = "resume")]
    pub(super) since: Option<Position>,

    /// Begin after the positions in this file, and keep them there: at the next run nothing is missing
    #[arg(long, value_name = "FILE")]
    pub(super) resume: Option<PathBuf>,

    /// End after so many messages
    #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) count: Option<u64>,

    /// End when no message has come for so long
    #[arg(long, value_name = "TIME", value_parser = some_time)]
    pub(super) wait: Option<DurationText>,

    /// End after so long
    #[arg(long, value_name = "TIME", value_parser = some_time)]
    pub(super) timeout: Option<DurationText>,

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

    /// What the server does when this client is too slow
    #[arg(long, value_name = "HOW", default_value = "disconnect")]
    pub(super) slow: SlowText,

    #[command(flatten)]
    pub(super) client: ClientOptions,
}

/// What the server does with a connection that is too slow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SlowText {
    /// It closes the connection; the client connects again and gets what it missed.
    Disconnect,
    /// It leaves out the oldest messages, and says so.
    Drop,
    /// It keeps the newest message of each topic, and says so.
    Latest,
}

impl SubArgs {
    pub(super) fn wanted(&self) -> Wanted<'_> {
        Wanted {
            topics: &self.topics,
            patterns: &self.patterns,
            last: self.last,
            since: self.since,
            presence: self.presence,
            slow: self.slow.into(),
        }
    }

    /// Checks what a parser of single flags cannot.
    pub(super) fn check(&self) -> Result<(), Failure> {
        if self.since.is_some() && (self.topics.len() != 1 || !self.patterns.is_empty()) {
            return Err(Failure::misused("--since is a position of one topic; for more, use --resume"));
        }
        if self.last.is_some() && self.topics.is_empty() {
            return Err(Failure::misused("--last begins with the last messages of topics, and there is no topic"));
        }
        Ok(())
    }
}

impl From<SlowText> for Slow {
    fn from(text: SlowText) -> Self {
        match text {
            SlowText::Disconnect => Self::Disconnect,
            SlowText::Drop => Self::Drop,
            SlowText::Latest => Self::Latest,
        }
    }
}

/// Reads a position, such as `k3Jx9a:17`.
pub(crate) fn position(text: &str) -> Result<Position, &'static str> {
    let (epoch, offset) = text.rsplit_once(':').ok_or("a position is EPOCH:OFFSET, such as k3Jx9a:17")?;
    let epoch: Epoch = epoch.parse().map_err(|_| "an epoch has at most 15 bytes")?;
    match offset.parse() {
        Ok(offset @ 0..=Position::MAX_OFFSET) => Ok(Position { epoch, offset }),
        _ => Err("an offset is a whole number up to 9007199254740992"),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_an_epoch_and_an_offset() {
        assert_eq!(position("a:b:7").unwrap(), Position { epoch: "a:b".parse().unwrap(), offset: 7 });
        for wrong in ["", "7", "a:", "a:-1", "a:9007199254740993", "sixteen bytes...:1"] {
            assert!(position(wrong).is_err(), "{wrong}");
        }
    }
}
