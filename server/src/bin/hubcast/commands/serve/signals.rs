//! The signals that stop the server, one step further with each.

use hubcast_server::Hurry;
use std::io::{self, IsTerminal};
use std::process;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Listens to the signals from when it is made: none of them ends the process by itself any more.
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
    /// Whether the terminal that the server was started from goes with SIGHUP.
    has_terminal: bool,
}

impl Signals {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
            has_terminal: io::stdin().is_terminal(),
        })
    }

    /// Resolves with the first signal that asks for a drain. From then on the next one hurries it, and one more ends
    /// the process.
    pub(crate) async fn stop(mut self, hurry: Hurry) {
        while self.next().await == SignalKind::hangup() {
            if self.has_terminal {
                tracing::info!("the terminal was closed");
                break;
            }
            tracing::info!("ignored SIGHUP: there is nothing to reload, a change of the configuration needs a restart");
        }
        tracing::info!("draining; SIGTERM or SIGINT hurries it");
        tokio::spawn(async move {
            self.next_to_stop().await;
            tracing::warn!(
                "hurrying: who is left is cut, and what is kept is stored; one more signal ends the process at once"
            );
            hurry.now();
            let signal = self.next_to_stop().await;
            process::exit(128 + signal.as_raw_value());
        });
    }

    /// The next signal of those who want the end. A terminal that is closed sends SIGHUP more than once.
    async fn next_to_stop(&mut self) -> SignalKind {
        loop {
            let signal = self.next().await;
            if signal != SignalKind::hangup() {
                return signal;
            }
        }
    }

    async fn next(&mut self) -> SignalKind {
        tokio::select! {
            _ = self.interrupt.recv() => SignalKind::interrupt(),
            _ = self.terminate.recv() => SignalKind::terminate(),
            _ = self.hangup.recv() => SignalKind::hangup(),
        }
    }
}
