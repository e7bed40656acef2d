//! Where the messages come from.

use super::args::PubArgs;
use crate::commands::client::exit::Failure;
use hubcast_client::Payload;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use std::fmt;
use std::io::{self, BufRead, BufReader, IsTerminal, Read};
use std::thread;
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
            None => (From::Lines(Vec::new().into_iter(), read_lines()), args.count.unwrap_or(u64::MAX)),
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

/// Reads lines in a thread of its own. It waits when two batches are read and not taken, so little is kept in memory
/// however large the input is.
fn read_lines() -> mpsc::Receiver<Result<Vec<String>, String>> {
    let (give, batches) = mpsc::channel(1);
    thread::spawn(move || {
        let mut lines = Lines::new(BufReader::with_capacity(CHUNK, io::stdin().lock()));
        while let Some(batch) = lines.next_batch() {
            let is_over = batch.is_err();
            if give.blocking_send(batch).is_err() || is_over {
                return;
            }
        }
    });
    batches
}

/// Lines of a reader.
struct Lines<R> {
    from: R,
    number: u64,
    /// The beginning of a line whose end is not read yet.
    begun: Vec<u8>,
    is_over: bool,
    fault: Option<String>,
}

impl<R: BufRead> Lines<R> {
    fn new(from: R) -> Self {
        Self { from, number: 0, begun: Vec::new(), is_over: false, fault: None }
    }

    /// The lines that can be read without waiting, but at least one; `None` at the end. The lines before a fault come
    /// before it.
    fn next_batch(&mut self) -> Option<Result<Vec<String>, String>> {
        let mut lines = Vec::new();
        while lines.is_empty() && !self.is_over {
            if let Err(why) = self.read(&mut lines) {
                (self.fault, self.is_over) = (Some(why), true);
            }
        }
        match lines.is_empty() {
            true => self.fault.take().map(Err),
            false => Some(Ok(lines)),
        }
    }

    /// Reads once.
    fn read(&mut self, lines: &mut Vec<String>) -> Result<(), String> {
        let chunk = match self.from.fill_buf() {
            Ok(chunk) => chunk,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            Err(error) => return Err(error.to_string()),
        };
        let read = chunk.len();
        if read == 0 {
            self.is_over = true;
            if !self.begun.is_empty() {
                lines.push(line(&mut self.number, std::mem::take(&mut self.begun))?);
            }
            return Ok(());
        }
        for part in chunk.split_inclusive(|byte| *byte == b'\n') {
            let (text, is_whole) = part.strip_suffix(b"\n").map_or((part, false), |text| (text, true));
            if self.begun.len() + text.len() > MAX_LINE {
                return Err(format!("line {}: it has more than {MAX_LINE} bytes", self.number + 1));
            }
            self.begun.extend_from_slice(text);
            if is_whole {
                lines.push(line(&mut self.number, std::mem::take(&mut self.begun))?);
            }
        }
        self.from.consume(read);
        Ok(())
    }
}

fn line(number: &mut u64, bytes: Vec<u8>) -> Result<String, String> {
    *number += 1;
    String::from_utf8(bytes).map_err(|_| format!("line {number}: it is not UTF-8"))
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

/// The most bytes of a line, and of a message.
const MAX_LINE: usize = 16 << 20;

/// So much is read at once, in bytes.
const CHUNK: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> (Vec<String>, Option<String>) {
        // A small buffer, so that lines are cut anywhere.
        let mut lines = Lines::new(BufReader::with_capacity(3, bytes));
        let mut all = Vec::new();
        while let Some(batch) = lines.next_batch() {
            match batch {
                Ok(batch) => all.extend(batch),
                Err(why) => return (all, Some(why)),
            }
        }
        (all, None)
    }

    #[test]
    fn each_line_is_a_message_and_so_is_an_empty_one() {
        assert_eq!(
            read(b"one\n\nthree\r\nlast"),
            (vec!["one".into(), "".into(), "three\r".into(), "last".into()], None)
        );
        assert_eq!(read(b""), (vec![], None));
        assert_eq!(read(b"\n"), (vec![String::new()], None));
    }

    #[test]
    fn a_fault_is_told_with_its_line_after_those_before_it() {
        let (lines, fault) = read(b"one\ntw\xffo\nthree\n");
        assert_eq!((lines.as_slice(), fault.as_deref()), (&["one".to_owned()][..], Some("line 2: it is not UTF-8")));
        let long = [b"short\n".as_slice(), &vec![b'x'; MAX_LINE + 1]].concat();
        let (lines, fault) = read(&long);
        assert_eq!(lines, ["short"]);
        assert!(fault.unwrap().starts_with("line 2: it has more than 16777216 bytes"));
    }

    #[test]
    fn what_is_no_json_is_refused() {
        assert_eq!(payload("{\"a\": 1}".into(), true).unwrap().as_plain(), "{\"a\": 1}");
        assert_eq!(payload("{\"a\": 1}".into(), false).unwrap(), Payload::from("{\"a\": 1}"));
        assert!(payload("{".into(), true).unwrap_err().starts_with("this is no JSON: EOF"));
        assert!(payload(" null ".into(), true).is_err());
    }
}
