//! The log on standard error: for people by default, JSON for machines.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use std::env;
use std::fmt;
use std::io::{self, IsTerminal};
use tracing::level_filters::LevelFilter;

/// How important an event must be to be logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Level {
    Off,
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

/// How an event is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Format {
    Text,
    Json,
}

/// Logs from here on; called once.
pub(crate) fn start(level: Level, format: Format) {
    let log = tracing_subscriber::fmt().with_writer(io::stderr).with_max_level(level.filter());
    match format {
        Format::Text => log.with_ansi(io::stderr().is_terminal() && env::var_os("NO_COLOR").is_none()).init(),
        Format::Json => log.json().flatten_event(true).init(),
    }
}

impl Level {
    fn filter(self) -> LevelFilter {
        match self {
            Self::Off => LevelFilter::OFF,
            Self::Error => LevelFilter::ERROR,
            Self::Warn => LevelFilter::WARN,
            Self::Info => LevelFilter::INFO,
            Self::Debug => LevelFilter::DEBUG,
            Self::Trace => LevelFilter::TRACE,
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_name(self, f)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_name(self, f)
    }
}

/// The name by which a value is also read.
fn write_name(value: &impl ValueEnum, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    value.to_possible_value().map_or(Ok(()), |value| f.write_str(value.get_name()))
}
