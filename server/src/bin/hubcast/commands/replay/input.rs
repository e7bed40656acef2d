//! Reads a recording line by line, so that it can be of any length.

use crate::commands::client::exit::Failure;
use crate::commands::client::lines::read_lines;
use crate::commands::recording::{self, Header, Recorded};
use std::fs::File;
use std::io::stdin;
use std::time::Duration;
use std::vec;
use tokio::sync::mpsc;

/// A recording, from its header on.
pub(super) struct Input {
    /// The name of the file, for errors.
    name: String,
    read: vec::IntoIter<String>,
    batches: mpsc::Receiver<Result<Vec<String>, String>>,
    /// The number of the line that was taken last.
    number: u64,
}

/// A line of the recording.
pub(super) struct Line {
    pub(super) number: u64,
    /// The time since the start of the recording.
    pub(super) at: Duration,
    pub(super) recorded: Recorded,
}

impl Input {
    /// Opens a recording and reads its header.
    ///
    /// # Errors
    /// When it cannot be read, or is no recording.
    pub(super) async fn open(file: &str) -> Result<(Self, Header), Failure> {
        let (name, batches) = match file {
            "-" => ("standard input".to_owned(), read_lines(stdin())),
            path => {
                let file = File::open(path).map_err(|error| Failure::misused(format!("{path}: {error}")))?;
                (path.to_owned(), read_lines(file))
            }
        };
        let mut input = Self { name, read: Vec::new().into_iter(), batches, number: 0 };
        let first = input.next_text().await?.ok_or_else(|| Failure::misused(format!("{}: it is empty", input.name)))?;
        let header = Header::read(&first).map_err(|why| Failure::misused(format!("{}: {why}", input.name)))?;
        Ok((input, header))
    }

    /// The next line; `None` at the end. A future that is dropped has taken nothing.
    ///
    /// # Errors
    /// When a line cannot be read, or is none of a recording. The error has the number of the line.
    pub(super) async fn next(&mut self) -> Result<Option<Line>, Failure> {
        loop {
            let Some(text) = self.next_text().await? else { return Ok(None) };
            // Who edits a recording may leave empty lines.
            if text.trim().is_empty() {
                continue;
            }
            let (at, recorded) = recording::read(&text)
                .map_err(|why| Failure::failed(format!("{}: line {}: {why}", self.name, self.number)))?;
            return Ok(Some(Line { number: self.number, at, recorded }));
        }
    }

    async fn next_text(&mut self) -> Result<Option<String>, Failure> {
        if self.read.as_slice().is_empty() {
            match self.batches.recv().await {
                None => return Ok(None),
                Some(Err(why)) => return Err(Failure::failed(format!("{}: {why}", self.name))),
                Some(Ok(lines)) => self.read = lines.into_iter(),
            }
        }
        self.number += 1;
        Ok(self.read.next())
    }
}
