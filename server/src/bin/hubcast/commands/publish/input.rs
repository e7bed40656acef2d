//! Where the messages come from.

use super::args::PubArgs;
use crate::commands::client::exit::Failure;
use crate::commands::client::lines::{MAX_LINE, read_lines};
use hubcast_client::Payload;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use std::fmt;
use std::io::{self, IsTerminal, Read};
use std::vec;
use tokio::sync::mpsc;

/// The messages of a run, in their order.
pub(super) struct Input {
    from: From,
    is_json: bool,
    taken: u64,
    left: u64,
}

enum From {
    /// One message, again and again.
    Message(Payload),
    /// The lines of standard input: those that are read, and those that come.
    Lines(vec::IntoIter<String>, mpsc::Receiver<Result<Vec<String>, String>>),
}

/// One message, and which one it is: of standard input, the number of its line.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) number: u64,
    pub(super) payload: Payload,
    /// Whether it is a line of standard input.
    is_of_input: bool,
}

impl Input {
    /// Reads the one message, or begins to read the lines.
    ///
    /// # Errors
    /// When there is no message, or the one that there is cannot be published.
    pub(super) fn open(args: &PubArgs) -> Result<Self, Failure> {
        let message = args.message.as_deref().filter(|message| *message != "-");
        let (from, left) = match message {
            Some(_) if args.whole => {
                return Err(Failure::misused("--whole publishes standard input, and not a message"));
            }
            Some(text) => {
                let payload = payload(text.to_owned(), args.json)
                    .map_err(|why| Failure::misused(format!("the message: {why}")))?;
                (From::Message(payload), args.count.unwrap_or(1))
            }
            None if args.message.is_none() && io::stdin().is_terminal() => {
                return Err(Failure::misused(
                    "there is no message; give it as an argument, or - to type the messages line by line",
                ));
            }
            None if args.whole => {
                let text = whole().map_err(|why| Failure::failed(format!("standard input: {why}")))?;
                let payload =
                    payload(text, args.json).map_err(|why| Failure::failed(format!("standard input: {why}")))?;
                (From::Message(payload), args.count.unwrap_or(1))
            }
            None if args.key.is_some() => {
                return Err(Failure::misused("--key is the key of one message; for lines there is --key-prefix"));
            }
            None => (From::Lines(Vec::new().into_iter(), read_lines(io::stdin())), args.count.unwrap_or(u64::MAX)),
        };
        Ok(Self { from, is_json: args.json, taken: 0, left })
    }

    /// The next message; `None` at the end. A future that is dropped has taken nothing.
    pub(super) async fn next(&mut self) -> Result<Option<Line>, Failure> {
        if self.left == 0 {
            return Ok(None);
        }
        let (read, batches) = match &mut self.from {
            From::Message(payload) => {
                (self.left, self.taken) = (self.left - 1, self.taken + 1);
                return Ok(Some(Line { number: self.taken, payload: payload.clone(), is_of_input: false }));
            }
            From::Lines(read, batches) => (read, batches),
        };
        if read.as_slice().is_empty() {
            match batches.recv().await {
                None => return Ok(None),
                Some(Err(why)) => return Err(Failure::failed(format!("standard input: {why}"))),
                Some(Ok(lines)) => *read = lines.into_iter(),
            }
        }
        let Some(text) = read.next() else { return Ok(None) };
        (self.left, self.taken) = (self.left - 1, self.taken + 1);
        let number = self.taken;
        match payload(text, self.is_json) {
            Ok(payload) => Ok(Some(Line { number, payload, is_of_input: true })),
            Err(why) => Err(Failure::failed(format!("standard input: line {number}: {why}"))),
        }
    }
}

/// The payload of a text.
fn payload(text: String, is_json: bool) -> Result<Payload, String> {
    if !is_json {
        return Ok(Payload::Text(text.into()));
    }
    let json: &RawValue = serde_json::from_str(&text).map_err(|error| format!("this is no JSON: {error}"))?;
    if json.get() == "null" {
        return Err("null cannot be a message, because for the server it is an empty text".to_owned());
    }
    Payload::from_json(json).map_err(|error| error.to_string())
}

/// All of standard input.
fn whole() -> Result<String, String> {
    let mut bytes = Vec::new();
    let read = io::stdin().take(MAX_LINE as u64 + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if read > MAX_LINE {
        return Err(format!("it has more than {MAX_LINE} bytes"));
    }
    String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())
}

impl Serialize for Line {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.payload.serialize(serializer)
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.is_of_input {
            true => write!(f, "line {}", self.number),
            false => f.write_str("the message"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_json_is_refused() {
        assert_eq!(payload("{\"a\": 1}".into(), true).unwrap().as_plain(), "{\"a\": 1}");
        assert_eq!(payload("{\"a\": 1}".into(), false).unwrap(), Payload::from("{\"a\": 1}"));
        assert!(payload("{".into(), true).unwrap_err().starts_with("this is no JSON: EOF"));
        assert!(payload(" null ".into(), true).is_err());
    }
}
