//! `hubcast replay`: publishes a recording again, in its order and at its pace.

pub(crate) mod args;
mod input;

use self::args::{ReplayArgs, Speed};
use self::input::{Input, Line};
use super::client::connect::connect;
use super::client::exit::Failure;
use super::client::running::{self, Stop};
use super::client::terminal::Terminal;
use super::publish::faults::Faults;
use super::publish::window::Window;
use super::recording::Recorded;
use hubcast_client::{Client, PublishError};
use hubcast_protocol::Payload;
use indicatif::{ProgressBar, ProgressStyle};
use std::fmt;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Runs the command and returns its exit code.
pub(crate) fn run(args: &ReplayArgs) -> ExitCode {
    let terminal = Terminal::new(&args.client.server);
    running::run(terminal, |stop| replay(args, terminal, stop))
}

async fn replay(args: &ReplayArgs, terminal: Terminal, mut stop: Stop) -> Result<(), Failure> {
    if args.repeats && args.file == "-" {
        return Err(Failure::misused("--loop reads a recording again and again, which standard input cannot give"));
    }
    let (mut input, header) = tokio::select! {
        biased;
        () = stop.requested() => return Ok(()),
        opened = Input::open(&args.file) => opened?,
    };
    let client = connect(&args.client, terminal, &mut stop, |builder| builder).await?;
    terminal.detail(&header.origin());
    let mut run = Run::new(args, client, terminal);
    let outcome = run.play(&mut input, &mut stop).await;
    // What was sent before a wrong line is confirmed all the same.
    let settled = if stop.exit_code().is_none() { run.settle(&mut stop).await } else { Ok(()) };
    // After a signal this waits for what is not confirmed; without one everything is.
    let unanswered = run.client.close().await.err().map_or(0, |error| error.unanswered);
    run.progress.finish_and_clear();
    if unanswered > 0 {
        terminal.warn(&format!("it is not known whether {unanswered} messages were published"));
    }
    run.take_faults().await?;
    outcome?;
    settled?;
    let published = run.sent.saturating_sub(run.faults.count());
    terminal.detail(&format!("{published} of {} messages were published", run.sent));
    run.faults.verdict()
}

/// A replay under way.
struct Run<'a> {
    args: &'a ReplayArgs,
    client: Client,
    terminal: Terminal,
    window: Window<Number>,
    sent: u64,
    faults: Faults,
    progress: ProgressBar,
}

/// Which line of the recording a message is of.
struct Number(u64);

impl<'a> Run<'a> {
    fn new(args: &'a ReplayArgs, client: Client, terminal: Terminal) -> Self {
        let progress = if terminal.is_quiet() { ProgressBar::hidden() } else { ProgressBar::new_spinner() };
        let style = ProgressStyle::with_template("{spinner} {human_pos} messages, {per_sec}, {msg} of the recording");
        let progress = progress.with_style(style.expect("the template above is well formed"));
        Self { args, client, terminal, window: Window::default(), sent: 0, faults: Faults::new(terminal), progress }
    }

    /// Sends the recording, again and again if that is asked for, until the first signal. What was sent is not confirmed
    /// yet.
    async fn play(&mut self, input: &mut Input, stop: &mut Stop) -> Result<(), Failure> {
        loop {
            let before = self.sent;
            self.play_once(input, stop).await?;
            if !self.args.repeats || stop.exit_code().is_some() {
                return Ok(());
            }
            if self.sent == before {
                return Err(Failure::failed("there is no message in the recording that --loop could repeat"));
            }
            *input = Input::open(&self.args.file).await?.0;
        }
    }

    async fn play_once(&mut self, input: &mut Input, stop: &mut Stop) -> Result<(), Failure> {
        let start = Instant::now();
        loop {
            let line = tokio::select! {
                biased;
                () = stop.requested() => return Ok(()),
                line = input.next() => line?,
            };
            let Some(Line { number, at, recorded }) = line else { return Ok(()) };
            if !self.wait_until(due(start, at, self.args.speed), stop).await? {
                return Ok(());
            }
            match recorded {
                Recorded::Message { topic, payload } => {
                    self.progress.set_message(shown(at));
                    if !self.send(Number(number), &topic, &payload, stop).await? {
                        return Ok(());
                    }
                }
                Recorded::Gap(gap) => self.progress.suspend(|| self.terminal.warn(&gap.told())),
                Recorded::Unknown => {}
            }
        }
    }

    /// Waits for the time of a line. Meanwhile a refusal is told at once. Returns `false` if a signal came first.
    async fn wait_until(&mut self, due: Option<Instant>, stop: &mut Stop) -> Result<bool, Failure> {
        let Some(due) = due.filter(|due| *due > Instant::now()) else { return Ok(true) };
        loop {
            let failed = tokio::select! {
                biased;
                () = stop.requested() => return Ok(false),
                () = tokio::time::sleep_until(due.into()) => return Ok(true),
                failed = self.window.settle(), if !self.window.is_empty() => failed,
            };
            self.take(failed)?;
        }
    }

    /// Sends a message. Returns `false` if a signal came first.
    async fn send(&mut self, number: Number, topic: &str, payload: &Payload, stop: &mut Stop) -> Result<bool, Failure> {
        let publish = self.client.publish(self.args.topic(topic), payload);
        let failed = tokio::select! {
            biased;
            () = stop.requested() => return Ok(false),
            failed = self.window.send(number, payload.as_plain().len(), publish) => failed,
        };
        self.sent += 1;
        self.progress.inc(1);
        self.take(failed)?;
        Ok(true)
    }

    /// Waits until everything is confirmed, or until the first signal.
    async fn settle(&mut self, stop: &mut Stop) -> Result<(), Failure> {
        while !self.window.is_empty() {
            let failed = tokio::select! {
                biased;
                () = stop.requested() => return Ok(()),
                failed = self.window.settle() => failed,
            };
            self.take(failed)?;
        }
        Ok(())
    }

    /// Takes the outcomes that are there, after the client is closed.
    async fn take_faults(&mut self) -> Result<(), Failure> {
        while let Some((number, why)) = self.window.settle().await {
            if !matches!(why, PublishError::Closed { .. }) {
                self.faults.take(&number, why)?;
            }
        }
        Ok(())
    }

    fn take(&mut self, failed: Option<(Number, PublishError)>) -> Result<(), Failure> {
        match failed {
            Some((number, why)) => self.progress.suspend(|| self.faults.take(&number, why)),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}", self.0)
    }
}

/// When a line is to be published; `None` for at once.
fn due(start: Instant, at: Duration, speed: Speed) -> Option<Instant> {
    match speed {
        Speed::Max => None,
        // A recording may say any time.
        Speed::Times(times) => {
            let after = Duration::try_from_secs_f64(at.as_secs_f64() / times).unwrap_or(LONGEST);
            Some(start + after.min(LONGEST))
        }
    }
}

/// A time of the recording, such as `2:05`.
fn shown(at: Duration) -> String {
    let seconds = at.as_secs();
    match (seconds / 3_600, seconds / 60 % 60, seconds % 60) {
        (0, minutes, seconds) => format!("{minutes}:{seconds:02}"),
        (hours, minutes, seconds) => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}

/// More than anybody waits, and less than the clock can add.
const LONGEST: Duration = Duration::from_secs(1_000 * 365 * 86_400);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_due_by_its_time_and_the_speed() {
        let start = Instant::now();
        let after = |seconds, speed| due(start, Duration::from_secs(seconds), speed).map(|due| (due - start).as_secs());
        assert_eq!(after(10, Speed::Times(1.0)), Some(10));
        assert_eq!(after(10, Speed::Times(2.0)), Some(5));
        assert_eq!(after(10, Speed::Max), None);
        assert_eq!(after(u64::MAX, Speed::Times(0.001)), Some(LONGEST.as_secs()));
    }

    #[test]
    fn a_time_is_shown_in_minutes_and_hours() {
        assert_eq!(shown(Duration::from_secs(125)), "2:05");
        assert_eq!(shown(Duration::from_secs(3_725)), "1:02:05");
    }
}
