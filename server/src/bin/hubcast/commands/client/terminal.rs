//! What a client command says on standard error, and what it must know about the two outputs.

use super::options::{Color, ServerOptions};
use crate::commands::printable;
use std::env;
use std::io::{self, IsTerminal, Write};

/// The two outputs. Standard output has data only; all that is said goes to standard error.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terminal {
    /// Whether people read standard output, so that messages must not steer their terminal.
    pub(crate) shows_output: bool,
    /// Whether standard output has colours.
    pub(crate) colors_output: bool,
    colors_notes: bool,
    is_verbose: bool,
    is_quiet: bool,
}

impl Terminal {
    /// Looks at the outputs, the flags and the environment.
    pub(crate) fn new(options: &ServerOptions) -> Self {
        let shows_output = io::stdout().is_terminal();
        Self {
            shows_output,
            colors_output: has_colors(options.color, shows_output),
            colors_notes: has_colors(options.color, io::stderr().is_terminal()),
            is_verbose: options.verbose,
            is_quiet: options.quiet,
        }
    }

    /// Says what went wrong.
    pub(crate) fn error(self, what: &str) {
        self.say("error: ", RED, what);
    }

    /// Says what may matter to the user, unless the command is to be quiet.
    pub(crate) fn warn(self, what: &str) {
        if !self.is_quiet {
            self.say("warning: ", YELLOW, what);
        }
    }

    /// Says what happens, unless the command is to be quiet.
    pub(crate) fn note(self, what: &str) {
        if !self.is_quiet {
            self.say("", "", what);
        }
    }

    /// Says what only interests somebody who asks for it.
    pub(crate) fn detail(self, what: &str) {
        if self.is_verbose {
            self.say("", "", what);
        }
    }

    /// Whether only errors are to be said.
    pub(crate) fn is_quiet(self) -> bool {
        self.is_quiet
    }

    fn say(self, label: &str, color: &str, what: &str) {
        let what = printable::line(what);
        let text = match self.colors_notes && !label.is_empty() {
            true => format!("{color}{label}{RESET}{what}\n"),
            false => format!("{label}{what}\n"),
        };
        // Where nobody reads it, there is nobody to tell that.
        let _ = io::stderr().write_all(text.as_bytes());
    }
}

/// Whether a stream has colours. `NO_COLOR` (<https://no-color.org>) goes before `CLICOLOR_FORCE`.
fn has_colors(choice: Color, is_terminal: bool) -> bool {
    let is_set = |name: &str| env::var_os(name).is_some_and(|value| !value.is_empty());
    match choice {
        Color::Always => true,
        Color::Never => false,
        Color::Auto if is_set("NO_COLOR") => false,
        Color::Auto => {
            is_terminal || is_set("CLICOLOR_FORCE") && env::var_os("CLICOLOR_FORCE").is_some_and(|v| v != "0")
        }
    }
}

const RED: &str = "\x1b[31m";
const YELLOW: &str = "\x1b[33m";
/// What is beside a message: its topic and time.
pub(crate) const DIM: &str = "\x1b[2m";
/// Back to the colours of the terminal.
pub(crate) const RESET: &str = "\x1b[0m";
