//! `hubcast record`: writes what is published, and when, into a file that `hubcast replay` publishes again.

pub(crate) mod args;
mod output;

use self::args::RecordArgs;
use self::output::Output;
use super::client::connect::shown_address;
use super::client::exit::Failure;
use super::client::output::closed;
use super::client::running::{self, Stop};
use super::client::terminal::Terminal;
use super::listen;
use super::listen::body::Body;
use super::listen::streams::{Item, Streams};
use super::listen::told::{gap_of, message_event};
use super::recording::{self, Header};
use hubcast_client::Event;
use hubcast_protocol::Target;
use indicatif::{ProgressBar, ProgressStyle};
use std::future::pending;
use std::pin::pin;
use std::process::ExitCode;
use std::time::Instant;

/// Runs the command and returns its exit code.
pub(crate) fn run(args: &RecordArgs) -> ExitCode {
    let terminal = Terminal::new(&args.listen.client.server);
    running::run(terminal, |stop| record(args, terminal, stop))
}

async fn record(args: &RecordArgs, terminal: Terminal, mut stop: Stop) -> Result<(), Failure> {
    let options = &args.listen.client;
    args.listen.check()?;
    let opened = listen::open(options, args.listen.wanted(), None, terminal, &mut stop).await?;
    let Some((client, mut streams)) = opened else { return Ok(()) };
    // Only now: a command that cannot subscribe leaves no file, and replaces none.
    let mut recorder = Recorder::new(Output::open(args.file(), terminal)?, terminal);
    recorder.output.push(&Header::new(&shown_address(&options.server)).line());
    let outcome = recorder.follow(args, &mut stop, &mut streams).await;
    drop(streams);
    // Nothing waits for an answer.
    let _ = client.close().await;
    // What was recorded before a failure is stored too.
    let stored = recorder.finish();
    outcome.and(stored)
}

/// A recording under way.
struct Recorder {
    output: Output,
    terminal: Terminal,
    start: Instant,
    messages: u64,
    gaps: u64,
    /// Whether something could not be written.
    is_cut: bool,
    progress: ProgressBar,
}

impl Recorder {
    fn new(output: Output, terminal: Terminal) -> Self {
        // A counter would be in between the lines on a terminal.
        let is_counted = !output.is_standard() && !terminal.is_quiet();
        let progress = if is_counted { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
        let style = ProgressStyle::with_template("{spinner} {human_pos} messages, {per_sec}, {elapsed}");
        let progress = progress.with_style(style.expect("the template above is well formed"));
        Self { output, terminal, start: Instant::now(), messages: 0, gaps: 0, is_cut: false, progress }
    }

    /// Writes what comes until it is enough.
    async fn follow(&mut self, args: &RecordArgs, stop: &mut Stop, streams: &mut Streams) -> Result<(), Failure> {
        let mut limits = args.listen.limits(self.start);
        let is_standard = self.output.is_standard();
        let mut closed = pin!(async { if is_standard { closed().await } else { pending().await } });
        self.flush()?;
        loop {
            let item = tokio::select! {
                biased;
                () = stop.requested() => return Ok(()),
                closed = &mut closed => return Err(closed),
                () = limits.over() => return limits.verdict(),
                item = streams.next(self.output.is_empty()) => item,
            };
            match item {
                Item::Event(at, event) => {
                    let is_message = self.write(&streams.target(at), &event);
                    limits.count(is_message);
                    if !self.output.is_full() && !limits.are_reached() {
                        continue;
                    }
                }
                Item::Idle => {}
                Item::Ended(why) => return Err(why),
            }
            self.flush()?;
            if limits.are_reached() {
                return Ok(());
            }
        }
    }

    /// Adds the line of an event. Returns whether it is a message.
    fn write(&mut self, target: &Target, event: &Event<Body>) -> bool {
        let at = self.start.elapsed();
        match event {
            Event::Message(message) => {
                self.output.push(&recording::line(at, &message_event(message)));
                self.messages += 1;
                self.progress.inc(1);
                return true;
            }
            Event::Gap(gap) => {
                self.output.push(&recording::line(at, &gap_of(target, gap)));
                self.gaps += 1;
                self.progress.suspend(|| self.terminal.warn(&gap.to_string()));
            }
            // After a gap, or nothing is missing.
            _ => {}
        }
        false
    }

    fn flush(&mut self) -> Result<(), Failure> {
        self.output.flush().inspect_err(|_| self.is_cut = true)
    }

    /// Stores what is written, and says how much it is.
    fn finish(mut self) -> Result<(), Failure> {
        self.progress.finish_and_clear();
        let is_standard = self.output.is_standard();
        self.flush()?;
        self.output.finish()?;
        if self.is_cut {
            // The error of the cut says what there is to say.
            return Ok(());
        }
        let (messages, gaps) = (self.messages, self.gaps);
        let text = match gaps {
            0 => format!("{messages} messages are recorded, without a gap"),
            _ => format!("{messages} messages are recorded, with {gaps} gaps"),
        };
        match is_standard {
            true => self.terminal.detail(&text),
            false => self.terminal.note(&text),
        }
        Ok(())
    }
}
