//! The flags of `hubcast top`.

use crate::commands::client::options::{ServerOptions, some_time};
use crate::settings::units::DurationText;
use clap::{Args, ValueEnum};

/// How often to look, and in which order to show it.
#[derive(Args, Clone, Debug)]
#[expect(clippy::doc_markdown, reason = "a help has no marks around names")]
pub(crate) struct TopArgs {
    /// The time from one look at the server to the next one
    #[arg(short, long, value_name = "TIME", default_value = "1s", value_parser = some_time)]
    pub(super) interval: DurationText,

    /// What comes first: topics by rate or subscribers, slow clients by outbox or lag
    #[arg(long, value_name = "BY", default_value = "rate")]
    pub(super) sort: Sort,

    /// The most topics, and the most clients, that are shown
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) rows: u16,

    /// Look once, print it as text, and end
    #[arg(long)]
    pub(super) once: bool,

    /// The API key, which must have manage; other users of this machine can see it in the list of processes. The
    /// variable HUBCAST_API_KEY hides it from them
    #[arg(long, value_name = "KEY")]
    pub(super) api_key: Option<String>,

    #[command(flatten)]
    pub(super) server: ServerOptions,
}

/// The order of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Sort {
    /// Topics with the most publications in a second.
    Rate,
    /// Topics with the most subscribers.
    Subscribers,
    /// Clients for which the most bytes wait.
    Outbox,
    /// Clients whose sockets have taken nothing for the longest time.
    Lag,
}

impl Sort {
    /// The one after this one.
    pub(super) fn next(self) -> Self {
        match self {
            Self::Rate => Self::Subscribers,
            Self::Subscribers => Self::Outbox,
            Self::Outbox => Self::Lag,
            Self::Lag => Self::Rate,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Rate => "rate",
            Self::Subscribers => "subscribers",
            Self::Outbox => "outbox",
            Self::Lag => "lag",
        }
    }
}

/// The end of the help.
pub(crate) const AFTER_HELP: &str = "\
\x1b[1;4mKeys:\x1b[0m
  q  quit    s  next order    /  show only what contains a text
  p  pause   ?  help          Ctrl-C  quit

\x1b[1;4mExamples:\x1b[0m
  HUBCAST_API_KEY=hc_... hubcast top
  hubcast top --once --sort outbox    as text, for scripts

\x1b[1;4mExit codes:\x1b[0m
  0         done
  1         failed, such as an answer that is none
  2         wrong usage, such as no terminal
  3         with --once: the server does not answer in time
  4         with --once: the server refuses the key
  130, 143  ended by SIGINT or SIGTERM";
