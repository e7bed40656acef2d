//! What a command prints that answers a question, and how it ends.

use anyhow::Context;
use std::io::{self, Write};
use std::process::ExitCode;

/// The answer of a command.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    /// For standard output.
    pub(crate) output: String,
    /// Lines for standard error, which come first.
    pub(crate) notes: Vec<String>,
    /// Whether the answer is no, such as for a token that the server would refuse.
    pub(crate) is_refused: bool,
}

impl Answer {
    /// Prints the answer, and returns the exit code.
    ///
    /// # Errors
    /// When an output is closed.
    pub(crate) fn print(&self) -> anyhow::Result<ExitCode> {
        let notes: String = self.notes.iter().map(|note| format!("{note}\n")).collect();
        io::stderr().write_all(notes.as_bytes()).context("cannot write to standard error")?;
        let mut output = io::stdout();
        output.write_all(self.output.as_bytes()).and_then(|()| output.flush()).context("cannot print the answer")?;
        Ok(if self.is_refused { ExitCode::from(REFUSED) } else { ExitCode::SUCCESS })
    }
}

/// The exit code of an answer that is no.
const REFUSED: u8 = 4;
