//! The flags of `hubcast record`.

use crate::commands::client::exit::exit_codes;
use crate::commands::listen::args::ListenArgs;
use clap::Args;
use std::path::{Path, PathBuf};

/// What to record, and into which file.
#[derive(Args, Clone, Debug)]
pub(crate) struct RecordArgs {
    #[command(flatten)]
    pub(super) listen: ListenArgs,

    /// The file to write; without it, or with -, standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Replace the file if there is one
    #[arg(long, requires = "output")]
    force: bool,
}

impl RecordArgs {
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
