//! The flags of the commands that subscribe, and how a position is written.

use super::limits::Limits;
use super::streams::Wanted;
use crate::commands::client::exit::Failure;
use crate::commands::client::options::{ClientOptions, some_time};
use crate::settings::units::DurationText;
use clap::{Args, ValueEnum};
use hubcast_client::{Epoch, Position, Slow};
use hubcast_protocol::Pattern;
use std::time::Instant;

/// What to subscribe to, and for how long.
#[derive(Args, Clone, Debug)]
pub(crate) struct ListenArgs {
    /// The topics; in their names nothing is a wildcard
    #[arg(value_name = "TOPIC", required_unless_present = "patterns")]
    pub(crate) topics: Vec<String>,

    /// All topics that match: * stands for one part between dots, and > at the end for one or more
    #[arg(short, long = "pattern", value_name = "PATTERN")]
    pub(crate) patterns: Vec<Pattern>,

    /// Begin with the last n messages of each topic that the server still has
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    last: Option<u32>,

    /// End after so many messages
    #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,

    /// End when no message has come for so long
    #[arg(long, value_name = "TIME", value_parser = some_time)]
    wait: Option<DurationText>,

    /// End after so long
    #[arg(long, value_name = "TIME", value_parser = some_time)]
    timeout: Option<DurationText>,

    /// What the server does when this client is too slow
    #[arg(long, value_name = "HOW", default_value = "disconnect")]
    slow: SlowText,

    #[command(flatten)]
    pub(crate) client: ClientOptions,
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

impl ListenArgs {
    /// Checks what a parser of single flags cannot.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        if self.last.is_some() && self.topics.is_empty() {
            return Err(Failure::misused("--last begins with the last messages of topics, and there is no topic"));
        }
        Ok(())
    }

    /// What to subscribe to, without joins and leaves, and without a position.
    pub(crate) fn wanted(&self) -> Wanted<'_> {
        Wanted {
            topics: &self.topics,
            patterns: &self.patterns,
            last: self.last,
            since: None,
            presence: false,
            slow: self.slow.into(),
        }
    }

    /// When it is enough.
    pub(crate) fn limits(&self, now: Instant) -> Limits {
        Limits::new(self.count, self.wait, self.timeout, now)
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
