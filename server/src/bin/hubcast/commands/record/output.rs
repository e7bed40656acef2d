//! Where a recording is written to.

use crate::commands::client::exit::Failure;
use crate::commands::client::terminal::Terminal;
use crate::commands::printable;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

/// A file or standard output. It keeps lines until [`Output::flush`].
#[derive(Debug)]
pub(super) struct Output {
    to: To,
    lines: String,
}

#[derive(Debug)]
enum To {
    File(File, PathBuf),
    /// Standard output, and whether it is a terminal.
    Standard(bool),
}

impl Output {
    /// Standard output, or a new file. A file that is there is replaced only by force.
    pub(super) fn open(file: Option<(&Path, bool)>, terminal: Terminal) -> Result<Self, Failure> {
        let Some((path, may_replace)) = file else {
            return Ok(Self { to: To::Standard(terminal.shows_output), lines: String::new() });
        };
        let mut options = OpenOptions::new();
        options.write(true).create_new(!may_replace).create(may_replace).truncate(may_replace);
        let file = options.open(path).map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists => {
                Failure::misused(format!("--output {}: there is a file already; --force replaces it", path.display()))
            }
            _ => Failure::misused(format!("--output {}: {error}", path.display())),
        })?;
        Ok(Self { to: To::File(file, path.to_owned()), lines: String::new() })
    }

    /// Adds a line, with its end.
    pub(super) fn push(&mut self, line: &str) {
        match self.to {
            // What is escaped stands in strings, and the escapes are those of JSON.
            To::Standard(true) => {
                printable::push_line(line.trim_end(), &mut self.lines);
                self.lines.push('\n');
            }
            _ => self.lines.push_str(line),
        }
    }

    /// Whether everything is written.
    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Whether so much waits that it should be written now.
    pub(super) fn is_full(&self) -> bool {
        self.lines.len() >= FULL
    }

    /// Whether people see the recording itself, or another program reads it.
    pub(super) fn is_standard(&self) -> bool {
        matches!(self.to, To::Standard(_))
    }

    /// Writes all lines.
    pub(super) fn flush(&mut self) -> Result<(), Failure> {
        let written = match &mut self.to {
            To::File(file, path) => file
                .write_all(self.lines.as_bytes())
                .map_err(|error| Failure::failed(format!("cannot write to {}: {error}", path.display()))),
            To::Standard(_) => {
                let mut output = io::stdout();
                let written = output.write_all(self.lines.as_bytes()).and_then(|()| output.flush());
                written.map_err(|error| Failure::output(&error))
            }
        };
        self.lines.clear();
        self.lines.shrink_to(FULL);
        written
    }

    /// Writes all lines, and has a file stored on its disk.
    pub(super) fn finish(mut self) -> Result<(), Failure> {
        self.flush()?;
        match &self.to {
            // A pipe, or a device, stores nothing.
            To::File(file, path) if path.is_file() => {
                file.sync_data().map_err(|error| Failure::failed(format!("cannot store {}: {error}", path.display())))
            }
            _ => Ok(()),
        }
    }
}

/// So many bytes are written at once at most, apart from the last line of them.
const FULL: usize = 64 << 10;
