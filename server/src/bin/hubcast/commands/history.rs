//! `hubcast history`: prints what a topic keeps.

use super::client::connect::ask;
use super::client::exit::{Failure, exit_codes};
use super::client::options::ClientOptions;
use super::client::running;
use super::client::terminal::Terminal;
use super::listen::args::position;
use super::listen::body::Body;
use super::sub::printer::{Format, Printer};
use clap::Args;
use hubcast_client::{Client, History, Position};
use std::process::ExitCode;

/// Whose history, and which part of it.
#[derive(Args, Clone, Debug)]
pub(crate) struct HistoryArgs {
    /// The topic
    topic: String,

    /// Only what came after this position
    #[arg(long, value_name = "EPOCH:OFFSET", value_parser = position)]
    since: Option<Position>,

    /// At most so many messages: the last ones, or with --since the first ones after it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,

    /// Print one JSON object a line, with topic and position
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    client: ClientOptions,
}

/// Runs the command and returns its exit code.
pub(crate) fn run(args: &HistoryArgs) -> ExitCode {
    let terminal = Terminal::new(&args.client.server);
    running::run(terminal, |stop| ask(&args.client, terminal, stop, |client| print(args, terminal, client)))
}

/// Reads the history part by part, and prints it.
async fn print(args: &HistoryArgs, terminal: Terminal, client: Client) -> Result<(), Failure> {
    let format = if args.json { Format::Json } else { Format::Text };
    let mut printer = Printer::with(format, terminal);
    let (mut since, mut left) = (args.since, args.limit.unwrap_or(u64::MAX));
    let mut is_first = true;
    while left > 0 {
        let part = u32::try_from(left.min(PART)).unwrap_or(u32::MAX);
        let History { epoch, offset, messages, .. } =
            client.history::<Body>(args.topic.as_str(), since, Some(part)).await?;
        if since.is_some_and(|since| since.epoch != epoch) {
            terminal.warn("the history that the position is of is gone; this one is another");
            if !is_first {
                break;
            }
        }
        let Some(last) = messages.iter().filter_map(|message| Some(message.as_ref().ok()?.position?.offset)).max()
        else {
            break;
        };
        if let Some(first) = messages.first().and_then(|message| message.as_ref().ok()?.position)
            && since.is_some_and(|since| since.epoch == epoch && since.offset + 1 < first.offset)
        {
            terminal.warn(&format!("messages before offset {} are not kept any more", first.offset));
        }
        left = left.saturating_sub(messages.len() as u64);
        for message in messages {
            printer.message(&message.map_err(|error| Failure::failed(error.to_string()))?);
        }
        printer.flush()?;
        // Without a position the answer is the end of the history.
        if since.is_none() || last >= offset {
            break;
        }
        (since, is_first) = (Some(Position { epoch, offset: last }), false);
    }
    Ok(())
}

/// The messages that are asked for at a time; a server gives no more in one answer.
const PART: u64 = 1_000;

/// The end of the help.
pub(crate) const AFTER_HELP: &str = concat!(
    "\
\x1b[1;4mExamples:\x1b[0m
  hubcast history world                   what the topic keeps, oldest first
  hubcast history world --limit 1 --json  the current value and its position

",
    exit_codes!()
);
