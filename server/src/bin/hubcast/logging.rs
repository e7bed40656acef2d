//! The log on standard error: for people by default, JSON for machines.

mod writer;

use clap::ValueEnum;
use serde::Serialize;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::env;
use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::panic::{self, PanicHookInfo};
use std::str::FromStr;
use std::thread;
use tracing::dispatcher::{self, Dispatch};
use tracing::field;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use writer::LogWriter;

/// How important an event must be to be logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Level {
    Off,
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

/// How an event is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Format {
    Text,
    Json,
}

/// What is logged, and how it is written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Log {
    pub(crate) level: Level,
    pub(crate) format: Format,
}

/// The log of this process, which a thread of its own writes.
#[derive(Clone, Debug)]
pub(crate) struct RunningLog {
    log: Log,
    writer: LogWriter,
}

impl Log {
    /// Logs from here on, panics too; called once.
    ///
    /// # Errors
    /// The system gives no thread to write the log.
    pub(crate) fn start(self) -> io::Result<RunningLog> {
        let running = RunningLog { log: self, writer: LogWriter::start(io::stderr())? };
        // Fails only where there is a log already.
        let _ = dispatcher::set_global_default(self.writing_to(running.lines()));
        let of_panics = running.clone();
        panic::set_hook(Box::new(move |panicked| of_panics.whatever_the_level(|| tell(panicked))));
        Ok(running)
    }

    /// Says why the program ends before its log is started.
    pub(crate) fn refuse(self, why: &str) {
        match self.format {
            // Whoever closes standard error still gets the exit code.
            Format::Text => _ = writeln!(io::stderr(), "error: {why}"),
            Format::Json => dispatcher::with_default(&self.at_error().writing_to(io::stderr), || say(why)),
        }
    }

    /// The same log, where nothing less important than an error is written.
    fn at_error(self) -> Self {
        Self { level: Level::Error, ..self }
    }

    fn writing_to<W>(self, writer: W) -> Dispatch
    where
        W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
    {
        let log = tracing_subscriber::fmt().with_writer(writer).with_max_level(self.level.filter());
        // By default the library reports a failed write on standard error. If that fails too, it panics.
        let log = log.log_internal_errors(false);
        match self.format {
            Format::Text => {
                let colours = io::stderr().is_terminal() && env::var_os("NO_COLOR").is_none();
                Dispatch::new(log.with_ansi(colours).finish())
            }
            Format::Json => Dispatch::new(log.json().flatten_event(true).finish()),
        }
    }
}

impl RunningLog {
    /// Says why the program ends.
    pub(crate) fn last_words(&self, why: &str) {
        self.whatever_the_level(|| say(why));
    }

    /// Waits until what was logged is written, for a second at most. Called before the process ends.
    pub(crate) fn flush(&self) {
        self.writer.flush();
    }

    /// Calls `say`; what it logs is written also where the log is off. A log that is off is silent about what happens,
    /// and not about the end of the program.
    fn whatever_the_level(&self, say: impl FnOnce()) {
        if self.log.level == Level::Off {
            dispatcher::with_default(&self.log.at_error().writing_to(self.lines()), say);
        } else {
            say();
        }
    }

    fn lines(&self) -> impl Fn() -> LogWriter + Send + Sync + use<> {
        let writer = self.writer.clone();
        move || writer.clone()
    }
}

fn say(why: &str) {
    tracing::error!(target: "hubcast", "{why}");
}

/// Logs a panic in one event, which a line of its own to standard error would not be.
fn tell(panicked: &PanicHookInfo<'_>) {
    let thread = thread::current();
    let thread = thread.name().unwrap_or("unnamed");
    let location = panicked.location().map(field::display);
    let backtrace = Backtrace::capture();
    let backtrace = (backtrace.status() == BacktraceStatus::Captured).then(|| field::display(backtrace));
    let what = panicked.payload_as_str().unwrap_or("without a message");
    tracing::error!(target: "hubcast", thread, location, backtrace, "a fault of the server (panic): {what}");
}

impl Level {
    fn filter(self) -> LevelFilter {
        match self {
            Self::Off => LevelFilter::OFF,
            Self::Error => LevelFilter::ERROR,
            Self::Warn => LevelFilter::WARN,
            Self::Info => LevelFilter::INFO,
            Self::Debug => LevelFilter::DEBUG,
            Self::Trace => LevelFilter::TRACE,
        }
    }
}

impl FromStr for Level {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let not_a_level = "not a level; write \"off\", \"error\", \"warn\", \"info\", \"debug\" or \"trace\"";
        <Self as ValueEnum>::from_str(text, false).map_err(|_| not_a_level)
    }
}

impl FromStr for Format {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        <Self as ValueEnum>::from_str(text, false).map_err(|_| "not a format; write \"text\" or \"json\"")
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_name(self, f)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_name(self, f)
    }
}

/// The name by which a value is also read.
fn write_name(value: &impl ValueEnum, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    value.to_possible_value().map_or(Ok(()), |value| f.write_str(value.get_name()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;
    use std::sync::{Arc, Mutex};

    /// What was written to a log.
    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_panic_is_one_event_of_the_log() {
        let (log, origin_of) = (Log { level: Level::Error, format: Format::Json }, Written::default());
        let writer = origin_of.clone();
        let before = panic::take_hook();
        panic::set_hook(Box::new(tell));
        let caught = dispatcher::with_default(&log.writing_to(move || writer.clone()), || {
            panic::catch_unwind(|| panic!("two\nlines"))
        });
        panic::set_hook(before);
        assert!(caught.is_err());
        let event: Value = serde_json::from_slice(&origin_of.0.lock().unwrap()).unwrap();
        assert_eq!(event["message"], "a fault of the server (panic): two\nlines");
        assert_eq!(event["level"], "ERROR");
        assert!(event["location"].as_str().unwrap().contains("logging.rs:"), "{event}");
    }
}
