//! Runs a client command, and ends it on a signal.
//!
//! The connection and the signals have a thread of their own. The command runs on the main thread: if it waits for a
//! slow reader of standard output, the connection lives on, and a signal is still obeyed.

use super::exit::{FAILED, Failure};
use super::terminal::Terminal;
use std::io;
use std::process::{self, ExitCode};
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;
use tokio::runtime::{Builder, Handle};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::time::timeout;

/// Says when the command is to end.
#[derive(Clone, Debug)]
pub(crate) struct Stop(watch::Receiver<Option<u8>>);

impl Stop {
    /// Waits for the first SIGINT or SIGTERM.
    pub(crate) async fn requested(&mut self) {
        // The sender is in the thread, which never ends before the process.
        let _ = self.0.wait_for(Option::is_some).await;
    }

    /// The exit code for the signal that came, if one did.
    pub(crate) fn exit_code(&self) -> Option<u8> {
        *self.0.borrow()
    }
}

/// Runs a command, says why it failed, and returns its exit code.
pub(crate) fn run<F>(terminal: Terminal, command: impl FnOnce(Stop) -> F) -> ExitCode
where
    F: Future<Output = Result<(), Failure>>,
{
    let (runtime, stop) = match start() {
        Ok(started) => started,
        Err(error) => {
            terminal.error(&format!("cannot start: {error}"));
            return ExitCode::from(FAILED);
        }
    };
    let outcome = runtime.block_on(command(stop.clone()));
    if let Err(failure) = &outcome
        && !failure.why.is_empty()
    {
        terminal.error(&failure.why);
    }
    let code = outcome.err().map_or(0, |failure| failure.code);
    ExitCode::from(stop.exit_code().unwrap_or(code))
}

/// Starts the thread of the connection and of the signals.
fn start() -> io::Result<(Handle, Stop)> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let handle = runtime.handle().clone();
    let (tell, stop) = watch::channel(None);
    let signals = {
        let _context = runtime.enter();
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
    };
    thread::Builder::new().name("connection".to_owned()).spawn(move || runtime.block_on(follow(signals, tell)))?;
    Ok((handle, Stop(stop)))
}

/// Tells the command about the first signal. The second one ends the process at once, and so does a command that does
/// not end by itself.
async fn follow(mut signals: (Signal, Signal), tell: watch::Sender<Option<u8>>) {
    let code = next(&mut signals).await;
    let _ = tell.send(Some(code));
    let code = timeout(GRACE, next(&mut signals)).await.unwrap_or(code);
    if let Some(restore) = BEFORE_EXIT.get() {
        restore();
    }
    process::exit(code.into());
}

/// Has this called before a signal ends the process at once. Only the first function counts.
pub(crate) fn before_exit(restore: fn()) {
    let _ = BEFORE_EXIT.set(restore);
}

static BEFORE_EXIT: OnceLock<fn()> = OnceLock::new();

async fn next((interrupt, terminate): &mut (Signal, Signal)) -> u8 {
    tokio::select! {
        _ = interrupt.recv() => INTERRUPTED,
        _ = terminate.recv() => TERMINATED,
    }
}

/// The longest time from the first signal to the end: more than a publisher waits for its confirmations.
const GRACE: Duration = Duration::from_secs(4);

/// 128 and the number of the signal.
const INTERRUPTED: u8 = 130;
const TERMINATED: u8 = 143;
