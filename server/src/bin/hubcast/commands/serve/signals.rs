//! The signals that stop the server, one step further with each.

use crate::logging::RunningLog;
use hubcast_server::Hurry;
use std::io::{self, IsTerminal};
use std::mem;
use std::process;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use tokio::runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Notify, oneshot};

/// The signals, which a thread of its own follows: whatever else the process waits for, such as a name server, a disk
/// or the reader of the log, a signal is obeyed.
pub(crate) struct Signals(Arc<Mutex<Stage>>);

/// How far the process has come, which says what the next SIGTERM or SIGINT does.
enum Stage {
    /// Nothing is served yet: the process ends at once.
    Starting,
    /// The drain begins.
    Serving { begin_drain: oneshot::Sender<()>, hurry: Hurry, reload: Arc<Notify> },
    /// The drain is hurried.
    Draining { hurry: Hurry },
    /// The process ends at once.
    Hurrying,
}

/// What the thread listens to.
struct Listeners {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
    /// Without a listener, a log or state file that reaches the limit of `ulimit -f` would end the process by SIGXFSZ.
    /// With one, the write fails, and this is logged.
    _file_size: Signal,
}

impl Signals {
    /// Starts the thread. From here on none of these signals ends the process by itself.
    ///
    /// # Errors
    /// The system gives no thread, or no signal handler.
    pub(crate) fn follow(log: RunningLog) -> io::Result<Self> {
        let stage = Arc::new(Mutex::new(Stage::Starting));
        let runtime = runtime::Builder::new_current_thread().enable_io().build()?;
        let mut listeners = {
            let _context = runtime.enter();
            Listeners::new()?
        };
        let (of_thread, has_terminal) = (Arc::clone(&stage), io::stdin().is_terminal());
        let follow = async move {
            loop {
                let signal = listeners.next().await;
                let exit_code = of_thread.lock().unwrap_or_else(PoisonError::into_inner).obey(signal, has_terminal);
                if let Some(code) = exit_code {
                    log.flush();
                    process::exit(code);
                }
            }
        };
        thread::Builder::new().name("signals".to_owned()).spawn(move || runtime.block_on(follow))?;
        Ok(Self(stage))
    }

    /// The process serves from here on: the future completes with the first signal that asks for a drain, and the next
    /// one hurries it. SIGHUP notifies `reload`.
    pub(crate) fn drain_on_stop(&self, hurry: Hurry, reload: Arc<Notify>) -> impl Future<Output = ()> + use<> {
        let (begin_drain, begun) = oneshot::channel();
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Stage::Serving { begin_drain, hurry, reload };
        async {
            // The sender is in the thread, which never ends.
            let _ = begun.await;
        }
    }
}

impl Stage {
    /// Goes one step further; with an exit code, the process ends at once. `has_terminal` says whether standard input
    /// was a terminal at the start: SIGHUP stops such a server, because a terminal sends it when it is closed.
    fn obey(&mut self, signal: SignalKind, has_terminal: bool) -> Option<i32> {
        if signal == SignalKind::hangup() {
            match self {
                Self::Starting | Self::Serving { .. } if has_terminal => {
                    tracing::info!("SIGHUP: standard input was a terminal at the start, which counts as closed now");
                }
                Self::Serving { reload, .. } => {
                    reload.notify_one();
                    return None;
                }
                // The settings are just being read, or do not matter any more. A terminal that is closed sends it more than
                // once.
                Self::Starting | Self::Draining { .. } | Self::Hurrying => return None,
            }
        }
        match mem::replace(self, Self::Hurrying) {
            Self::Starting => {
                tracing::info!("stopped before the server was listening");
                return Some(0);
            }
            Self::Serving { begin_drain, hurry, .. } => {
                tracing::info!("draining; SIGTERM or SIGINT hurries it");
                // Fails only where the server has failed.
                let _ = begin_drain.send(());
                *self = Self::Draining { hurry };
            }
            Self::Draining { hurry } => {
                tracing::warn!(
                    "hurrying: the connections that are left are cut, and the state is saved; one more signal ends the process at once"
                );
                hurry.now();
            }
            Self::Hurrying => return Some(128 + signal.as_raw_value()),
        }
        None
    }
}

impl Listeners {
    fn new() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
            _file_size: signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()))?,
        })
    }

    async fn next(&mut self) -> SignalKind {
        tokio::select! {
            _ = self.interrupt.recv() => SignalKind::interrupt(),
            _ = self.terminate.recv() => SignalKind::terminate(),
            _ = self.hangup.recv() => SignalKind::hangup(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    fn serving() -> (Stage, oneshot::Receiver<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let hurry = hubcast_server::Server::bind(hubcast_server::Config::default(), [listener]).unwrap().hurry();
        let (begin_drain, begun) = oneshot::channel();
        (Stage::Serving { begin_drain, hurry, reload: Arc::default() }, begun)
    }

    #[test]
    fn before_anything_is_served_a_signal_ends_the_process_at_once() {
        for (signal, has_terminal, exit_code) in [
            (SignalKind::terminate(), false, Some(0)),
            (SignalKind::interrupt(), true, Some(0)),
            (SignalKind::hangup(), true, Some(0)),
            (SignalKind::hangup(), false, None),
        ] {
            assert_eq!(Stage::Starting.obey(signal, has_terminal), exit_code, "{signal:?}");
        }
    }

    #[test]
    fn each_signal_goes_one_step_further_and_the_third_ends_the_process() {
        let (mut stage, mut begun) = serving();
        assert_eq!(stage.obey(SignalKind::hangup(), false), None);
        assert!(begun.try_recv().is_err(), "without a terminal SIGHUP changes nothing");
        assert_eq!(stage.obey(SignalKind::terminate(), false), None);
        assert!(matches!(stage, Stage::Draining { .. }) && begun.try_recv().is_ok());
        assert_eq!(stage.obey(SignalKind::interrupt(), false), None);
        assert!(matches!(stage, Stage::Hurrying));
        assert_eq!(stage.obey(SignalKind::terminate(), false), Some(143));
    }

    #[test]
    fn a_terminal_that_sends_sighup_again_does_not_hurry_the_drain() {
        let (mut stage, mut begun) = serving();
        for _ in 0..3 {
            assert_eq!(stage.obey(SignalKind::hangup(), true), None);
            assert!(matches!(stage, Stage::Draining { .. }));
        }
        assert!(begun.try_recv().is_ok());
    }
}
