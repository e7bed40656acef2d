//! The flags that all client commands have.

use crate::settings::units::DurationText;
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// Which server, as whom, and how much is said about it.
#[derive(Args, Clone, Debug)]
#[expect(clippy::doc_markdown, reason = "a help has no marks around names")]
pub(crate) struct ClientOptions {
    #[command(flatten)]
    pub(crate) server: ServerOptions,

    /// The token to show to the server; other users of this machine can see it in the list of processes. The variable
    /// HUBCAST_TOKEN hides it from them
    #[arg(long, value_name = "TOKEN", conflicts_with = "token_file", help_heading = CONNECTION)]
    pub(super) token: Option<String>,

    /// Read the token from this file, again whenever the next one is needed
    #[arg(long, value_name = "FILE", help_heading = CONNECTION)]
    pub(super) token_file: Option<PathBuf>,
}

/// Which server, how to reach it, and how much is said about it.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = CONNECTION)]
#[expect(clippy::doc_markdown, reason = "a help has no marks around names")]
pub(crate) struct ServerOptions {
    /// The address of the server
    #[arg(
        id = "server",
        short,
        long = "server",
        value_name = "URL",
        env = "HUBCAST_URL",
        default_value = "ws://127.0.0.1:8080/socket"
    )]
    pub(crate) url: String,

    /// How long to try until there is a first connection
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = some_time)]
    pub(crate) connect_timeout: DurationText,

    /// Trust only the root certificates in this PEM file, for wss://
    #[arg(long, value_name = "FILE")]
    pub(super) ca: Option<PathBuf>,

    /// Trust any certificate: whoever is between you and the server can read and change everything
    #[arg(long, conflicts_with = "ca")]
    pub(super) insecure: bool,

    /// Say what the client does, on standard error
    #[arg(short, long)]
    pub(super) verbose: bool,

    /// Say nothing but errors
    #[arg(short, long, conflicts_with = "verbose")]
    pub(super) quiet: bool,

    /// When to use colours; NO_COLOR and CLICOLOR_FORCE count for auto
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub(super) color: Color,
}

const CONNECTION: &str = "Connection";

/// When to use colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal.
    Auto,
    /// Also into a file or a pipe.
    Always,
    /// Never.
    Never,
}

/// A duration that is longer than nothing.
pub(crate) fn some_time(text: &str) -> Result<DurationText, &'static str> {
    match text.parse::<DurationText>()? {
        time if time.0.is_zero() => Err("must be longer than nothing"),
        time => Ok(time),
    }
}
