//! The flags of `hubcast pub`.

use crate::commands::client::exit::exit_codes;
use crate::commands::client::options::ClientOptions;
use clap::Args;

/// What to publish, where, and how fast.
#[derive(Args, Clone, Debug)]
pub(crate) struct PubArgs {
    /// The topic
    pub(super) topic: String,

    /// The message. With - or without one, each line of standard input is a message
    #[arg(value_name = "MESSAGE|-")]
    pub(super) message: Option<String>,

    /// Publish all of standard input as one message
    #[arg(long)]
    pub(super) whole: bool,

    /// Publish JSON values; anything else is refused. Without this, each message is text
    #[arg(long)]
    pub(super) json: bool,

    /// Publish the message so many times; of standard input, at most so many lines
    #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) count: Option<u64>,

    /// At most so many messages in a second, minute or hour, such as 100/s
    #[arg(long, value_name = "N/s", value_parser = rate)]
    pub(super) rate: Option<Rate>,

    /// Publish the one message under this key: while the server remembers it, the same key publishes nothing again
    #[arg(long, value_name = "KEY", conflicts_with_all = ["key_prefix", "count"])]
    pub(super) key: Option<String>,

    /// Publish the messages under the keys PREFIX-1, PREFIX-2 and so on, so that a second run repeats nothing
    #[arg(long, value_name = "PREFIX")]
    pub(super) key_prefix: Option<String>,

    /// Subscriptions of this connection do not get the messages
    #[arg(long)]
    pub(super) no_echo: bool,

    /// Show how many messages are sent, if standard error is a terminal
    #[arg(long)]
    pub(super) progress: bool,

    /// Do not wait until the server has confirmed the messages; one that is refused may not be told
    #[arg(long)]
    pub(super) no_wait: bool,

    #[command(flatten)]
    pub(super) client: ClientOptions,
}

/// Messages in a second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rate(pub(super) f64);

/// Reads a rate, such as `100/s` or `20/m`.
fn rate(text: &str) -> Result<Rate, &'static str> {
    let (number, unit) = text.split_once('/').unwrap_or((text, "s"));
    let seconds = match unit {
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3_600.0,
        _ => return Err("a rate is a number with /s, /m or /h: 100/s"),
    };
    match number.parse::<f64>() {
        Ok(number) if (0.001..=10_000_000.0).contains(&number) => Ok(Rate(number / seconds)),
        _ => Err("a rate is a number from 0.001 to 10000000 with /s, /m or /h: 100/s"),
    }
}

/// The end of the help.
pub(crate) const AFTER_HELP: &str = concat!(
    "\
The command ends when the server has confirmed every message. At most 256 are
under way at a time. After Ctrl-C it waits for them, two seconds at most.

\x1b[1;4mExamples:\x1b[0m
  hubcast pub world 'Hello world!'          one message
  hubcast pub world < lines.txt             one message a line
  hubcast pub world --json '{\"degrees\": 21}'
  hubcast pub orders --key-prefix import-7 --json < orders.jsonl
                                            can be run again after a failure

",
    exit_codes!()
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_has_a_unit_of_time() {
        assert_eq!(rate("100/s"), Ok(Rate(100.0)));
        assert_eq!(rate("30/m"), Ok(Rate(0.5)));
        assert_eq!(rate("2"), Ok(Rate(2.0)));
        for wrong in ["", "/s", "0/s", "NaN/s", "1/d", "-1/s"] {
            assert!(rate(wrong).is_err(), "{wrong}");
        }
    }
}
