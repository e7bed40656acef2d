//! Accepts connections from the listener, and distributes them to the workers in turn.

use crate::listener::limit::{ConnectionLimit, Permit};
use crate::log::warnings::Paced;
use rustix::io::Errno;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Accepts connections until it is dropped. When the process has no more descriptors, it closes the oldest connection
/// that is not a WebSocket, and waits a little longer each time. Connections that are not accepted wait in the
/// listener's queue. Each time that the system gives none is noted by `note_failure`.
pub(crate) async fn accept_all<S>(
    mut accept: impl AsyncFnMut() -> io::Result<S>,
    limit: Arc<ConnectionLimit>,
    mut deal: impl FnMut(S, Permit),
    note_failure: impl Fn(),
) {
    let (mut wait, mut warnings) = (ACCEPT_BACKOFF_MIN, Paced::default());
    let mut in_a_row = 0;
    loop {
        match accept().await {
            Ok(stream) => {
                wait = ACCEPT_BACKOFF_MIN;
                deal(stream, limit.admit().await);
                in_a_row += 1;
                if in_a_row == ACCEPTS_PER_ROUND {
                    // When many connections come at once, the open connections are served in between.
                    in_a_row = 0;
                    tokio::task::yield_now().await;
                }
            }
            Err(fault) if concerns_one_peer(&fault) => {}
            Err(fault) => {
                note_failure();
                if let Some(times) = warnings.note(Instant::now()) {
                    tracing::warn!(times, %fault, advice = advice(&fault), "cannot accept connections; they wait");
                }
                limit.close_oldest();
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(ACCEPT_BACKOFF_MAX);
            }
        }
    }
}

/// What an operator can do about the error.
fn advice(fault: &io::Error) -> &'static str {
    match Errno::from_io_error(fault) {
        Some(Errno::MFILE) => {
            "the process has as many files open as it may: raise its limit, or lower `max_connections`"
        }
        Some(Errno::NFILE) => {
            "the system has as many files open as it can: raise its limit, or close what else is open"
        }
        Some(Errno::NOBUFS | Errno::NOMEM) => "the system is short of memory: give it more, or lower `max_connections`",
        _ => "the server tries again, every second at the latest",
    }
}

/// Whether the error belongs to a connection that was closed before it was accepted.
fn concerns_one_peer(fault: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(fault.kind(), ConnectionAborted | ConnectionReset | Interrupted)
}

/// Connections that are accepted before other tasks get their turn.
const ACCEPTS_PER_ROUND: u32 = 8;

const ACCEPT_BACKOFF_MIN: Duration = Duration::from_millis(10);
const ACCEPT_BACKOFF_MAX: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::io::Errno;
    use std::cell::Cell;
    use std::future::{pending, poll_fn};
    use std::pin::pin;
    use std::task::Poll;
    use tokio::runtime::Builder;
    use tokio::sync::Notify;

    /// Whether a connection that comes after these errors is accepted without waiting. It is always accepted in the
    /// end.
    fn is_dealt_at_once(faults: &[Errno]) -> bool {
        let mut script = faults.iter().map(|fault| Err((*fault).into())).chain([Ok(())]);
        let accept = async || match script.next() {
            Some(accepted) => accepted,
            None => pending().await,
        };
        let (assigned, went_on) = (Cell::new(false), Notify::new());
        let runtime = Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let deal = |(), _| {
                assigned.set(true);
                went_on.notify_one();
            };
            let mut accepting = pin!(accept_all(accept, ConnectionLimit::new(1, None), deal, || {}));
            let ended = poll_fn(|context| Poll::Ready(accepting.as_mut().poll(context).is_ready())).await;
            assert!(!ended, "it accepts until it is dropped");
            let at_once = assigned.get();
            tokio::select! {
                () = accepting => false,
                () = went_on.notified() => at_once,
            }
        })
    }

    #[test]
    fn who_is_gone_before_it_is_accepted_keeps_nobody_waiting() {
        for gone in [Errno::CONNABORTED, Errno::CONNRESET, Errno::INTR] {
            assert!(is_dealt_at_once(&[gone]), "{gone}");
        }
        assert!(is_dealt_at_once(&[Errno::CONNABORTED; 100]));
    }

    #[test]
    fn a_fault_of_the_process_is_waited_out() {
        for short_of in [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM] {
            assert!(!is_dealt_at_once(&[short_of]), "{short_of}");
        }
    }
}
