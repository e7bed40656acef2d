//! `hubcast pub`: publishes a message, or each line of standard input.

pub(crate) mod args;
pub(crate) mod faults;
mod input;
mod pace;
mod sender;
pub(crate) mod window;

use self::args::PubArgs;
use self::faults::Faults;
use self::input::Input;
use self::pace::Pace;
use self::sender::Sender;
use super::client::connect::connect;
use super::client::exit::Failure;
use super::client::running::{self, Stop};
use super::client::terminal::Terminal;
use hubcast_client::PublishError;
use indicatif::{ProgressBar, ProgressStyle};
use std::process::ExitCode;
use std::time::Duration;

/// Runs the command and returns its exit code.
pub(crate) fn run(args: &PubArgs) -> ExitCode {
    let terminal = Terminal::new(&args.client.server);
    running::run(terminal, |stop| publish(args, terminal, stop))
}

async fn publish(args: &PubArgs, terminal: Terminal, mut stop: Stop) -> Result<(), Failure> {
    let mut input = Input::open(args)?;
    let client = connect(&args.client, terminal, &mut stop, |builder| match args.no_wait {
        true => builder.close_timeout(Duration::ZERO),
        false => builder,
    })
    .await?;
    let mut run = Run {
        sender: Sender::new(&client, args),
        pace: args.rate.map(|rate| Pace::new(rate.0)),
        faults: Faults::new(terminal),
        progress: args.progress.then(progress),
    };
    let outcome = run.send_all(&mut input, &mut stop).await;
    if outcome.is_ok() && stop.exit_code().is_none() && !args.no_wait {
        run.settle(&mut stop).await?;
    }
    // After a signal this waits for what is not confirmed; without one everything is.
    let unanswered = client.close().await.err().filter(|_| !args.no_wait).map_or(0, |error| error.unanswered);
    if unanswered > 0 {
        terminal.warn(&format!("it is not known whether {unanswered} messages were published"));
    }
    if !args.no_wait {
        run.take_faults().await?;
    }
    if let Some(bar) = &run.progress {
        bar.finish_and_clear();
    }
    outcome?;
    let sent = run.sender.sent();
    terminal.detail(&format!("{} of {sent} messages were published", sent.saturating_sub(run.faults.count())));
    run.faults.verdict()
}

/// A run under way.
struct Run {
    sender: Sender,
    pace: Option<Pace>,
    faults: Faults,
    progress: Option<ProgressBar>,
}

impl Run {
    /// Sends all that there is, until the first signal. What was sent is not confirmed yet.
    async fn send_all(&mut self, input: &mut Input, stop: &mut Stop) -> Result<(), Failure> {
        loop {
            let line = tokio::select! {
                biased;
                () = stop.requested() => return Ok(()),
                line = input.next() => line?,
                // While the input is quiet, a refusal is told at once.
                (line, why) = self.sender.next_failure() => {
                    self.faults.take(&line, why)?;
                    continue;
                }
            };
            let Some(line) = line else { return Ok(()) };
            if let Some(pace) = &mut self.pace {
                tokio::select! {
                    biased;
                    () = stop.requested() => return Ok(()),
                    () = pace.next() => {}
                }
            }
            tokio::select! {
                biased;
                () = stop.requested() => return Ok(()),
                failure = self.sender.send(line) => {
                    if let Some((line, why)) = failure {
                        self.faults.take(&line, why)?;
                    }
                }
            }
            if let Some(bar) = &self.progress {
                bar.inc(1);
            }
        }
    }

    /// Waits until everything is confirmed, or until the first signal.
    async fn settle(&mut self, stop: &mut Stop) -> Result<(), Failure> {
        loop {
            tokio::select! {
                biased;
                () = stop.requested() => return Ok(()),
                failure = self.sender.settle() => match failure {
                    Some((line, why)) => self.faults.take(&line, why)?,
                    None => return Ok(()),
                }
            }
        }
    }

    /// Takes the outcomes that are there, after the client is closed.
    async fn take_faults(&mut self) -> Result<(), Failure> {
        while let Some((line, why)) = self.sender.settle().await {
            if !matches!(why, PublishError::Closed { .. }) {
                self.faults.take(&line, why)?;
            }
        }
        Ok(())
    }
}

/// A counter on standard error; none if that is not a terminal.
fn progress() -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {human_pos} messages, {per_sec}");
    ProgressBar::new_spinner().with_style(style.expect("the template above is well formed"))
}
