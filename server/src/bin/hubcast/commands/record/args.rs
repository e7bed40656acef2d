//! The flags of `hubcast record`.

use crate::commands::client::exit::{Failure, exit_codes};
use crate::commands::client::options::{ClientOptions, some_time};
use crate::commands::sub::args::SlowText;
use crate::commands::sub::streams::Wanted;
use crate::settings::units::DurationText;
use clap::Args;
use hubcast_protocol::Pattern;
use std::path::{Path, PathBuf};

/// What to record, and into which file.
#[derive(Args, Clone, Debug)]
pub(crate) struct RecordArgs {
    /// The topics; in their names nothing is a wildcard
    #[arg(value_name = "TOPIC", required_unless_present = "patterns")]
    topics: Vec<String>,

    /// All topics that match: * stands for one part between dots, and > at the end for one or more
    #[arg(short, long = "pattern", value_name = "PATTERN")]
    patterns: Vec<Pattern>,

    /// The file to write; without it, or with -, standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Replace the file if there is one
    #[arg(long, requires = "output")]
    force: bool,

    /// Begin with the last n messages of each topic that the server still has
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    last: Option<u32>,

    /// End after so many messages
    #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) count: Option<u64>,

    /// End when no message has come for so long
    #[arg(long, value_name = "TIME", value_parser = some_time)]
    pub(super) wait: Option<DurationText>,

    /// End after so long
    #[arg(long, value_name = "TIME", value_parser = some_time)]
    pub(super) timeout: Option<DurationText>,

    /// What the server does when this client is too slow
    #[arg(long, value_name = "HOW", default_value = "disconnect")]
    slow: SlowText,

    #[command(flatten)]
    pub(super) client: ClientOptions,
}

impl RecordArgs {
    /// Checks what a parser of single flags cannot.
    pub(super) fn check(&self) -> Result<(), Failure> {
        if self.last.is_some() && self.topics.is_empty() {
            return Err(Failure::misused("--last begins with the last messages of topics, and there is no topic"));
        }
        Ok(())
    }

    pub(super) fn wanted(&self) -> Wanted<'_> {
        Wanted {
            topics: &self.topics,
            patterns: &self.patterns,
            last: self.last,
            since: None,
            presence: false,
            slow: self.slow.into(),
        }
    }

    /// The file, and whether it may be replaced; `None` for standard output.
    pub(super) fn file(&self) -> Option<(&Path, bool)> {
        self.output.as_deref().filter(|path| *path != Path::new("-")).map(|path| (path, self.force))
    }
}

/// The end of the help.
pub(crate) const AFTER_HELP: &str = concat!(
    "\
The recording has JSON lines: a header, and then each message with its time in
microseconds since the start, its topic and its position. What is missing has a
line too.

\x1b[1;4mExamples:\x1b[0m
  hubcast record -p 'orders.>' -o orders.jsonl     until Ctrl-C
  hubcast record world --timeout 1m | gzip > w.gz  one minute
  hubcast replay orders.jsonl                      publish it again

",
    exit_codes!()
);
