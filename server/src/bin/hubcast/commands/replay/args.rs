//! The flags of `hubcast replay`.

use crate::commands::client::exit::exit_codes;
use crate::commands::client::options::ClientOptions;
use clap::Args;

/// What to publish again, where, and how fast.
#[derive(Args, Clone, Debug)]
pub(crate) struct ReplayArgs {
    /// The recording; - is standard input
    #[arg(value_name = "FILE|-")]
    pub(super) file: String,

    /// How many times as fast as it was recorded, such as 2x or 0.5x; max does not wait at all
    #[arg(long, value_name = "2x|max", default_value = "1x", value_parser = speed)]
    pub(super) speed: Speed,

    /// Publish what was recorded of one topic to another one; the first = divides the two
    #[arg(long = "map", value_name = "FROM=TO", value_parser = mapping)]
    pub(super) maps: Vec<(String, String)>,

    /// Begin again at the end, until Ctrl-C
    #[arg(long = "loop")]
    pub(super) repeats: bool,

    #[command(flatten)]
    pub(super) client: ClientOptions,
}

impl ReplayArgs {
    /// The topic that takes the messages of a recorded one.
    pub(super) fn topic<'a>(&'a self, recorded: &'a str) -> &'a str {
        self.maps.iter().find(|(from, _)| from == recorded).map_or(recorded, |(_, to)| to)
    }
}

/// The speed of a replay.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Speed {
    /// So many times as fast as it was recorded.
    Times(f64),
    /// As fast as the server takes it.
    Max,
}

/// Reads a speed, such as `2x`.
fn speed(text: &str) -> Result<Speed, &'static str> {
    if text == "max" {
        return Ok(Speed::Max);
    }
    match text.strip_suffix('x').unwrap_or(text).parse::<f64>() {
        Ok(times) if (0.001..=1_000_000.0).contains(&times) => Ok(Speed::Times(times)),
        _ => Err("a speed is a number from 0.001 to 1000000 with x, such as 2x, or max"),
    }
}

/// Reads a pair of topics.
fn mapping(text: &str) -> Result<(String, String), &'static str> {
    let (from, to) = text.split_once('=').ok_or("two topics with = between them, such as orders=test.orders")?;
    Ok((from.to_owned(), to.to_owned()))
}

/// The end of the help.
pub(crate) const AFTER_HELP: &str = concat!(
    "\
The command ends when the server has confirmed every message. At most 256 are
under way at a time, in the order of the recording. Gaps of the recording are
told on standard error.

\x1b[1;4mExamples:\x1b[0m
  hubcast replay orders.jsonl                     as it was recorded
  hubcast replay orders.jsonl --speed max         as fast as the server takes it
  hubcast replay w.jsonl --map world=test --loop  for tests of a page
  gunzip < w.gz | hubcast replay -

",
    exit_codes!()
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_speed_is_a_factor_or_the_most() {
        assert_eq!(speed("2x"), Ok(Speed::Times(2.0)));
        assert_eq!(speed("0.5"), Ok(Speed::Times(0.5)));
        assert_eq!(speed("max"), Ok(Speed::Max));
        for wrong in ["", "x", "0x", "-1x", "NaN", "inf", "2y"] {
            assert!(speed(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_first_equals_sign_divides_a_mapping() {
        assert_eq!(mapping("a=b=c"), Ok(("a".into(), "b=c".into())));
        assert!(mapping("a").is_err());
    }
}
