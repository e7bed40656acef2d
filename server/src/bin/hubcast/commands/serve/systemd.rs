//! What systemd, or another service manager of the same protocol, is told: that the server is ready, that it stops, and
//! that its workers still work. Without `NOTIFY_SOCKET` in the environment nothing is told.
//!
//! The variable stays in the environment: the server starts no other program that could take it for its own.

use hubcast_server::Pulse;
use sd_notify::NotifyState::{self, Ready, Reloading, Status, Stopping, Watchdog};
use std::convert::Infallible;
use std::env;
use std::future::pending;
use std::time::Duration;
use tokio::time::sleep;

/// A service manager that wants to be told.
pub(super) struct Systemd {
    /// The service manager restarts a server that shows no sign of life for this long, if it watches.
    limit: Option<Duration>,
}

impl Systemd {
    /// `None` if no service manager wants to be told.
    pub(super) fn of_environment() -> Option<Self> {
        env::var_os("NOTIFY_SOCKET")
            .map(|_| Self { limit: sd_notify::watchdog_enabled().filter(|time| !time.is_zero()) })
    }

    /// How often an idle worker must take a turn, so that its sign of life comes in time.
    pub(super) fn turn_every(&self) -> Duration {
        self.limit.map_or(Duration::from_secs(60), |limit| limit / (2 * SIGNS))
    }

    /// Tells that the server is ready once all workers have begun. From then on gives a sign of life after all workers
    /// have taken a turn again, and none while one of them hangs.
    pub(super) async fn watch(self, pulse: Pulse, status: &str) -> Infallible {
        self.watch_and(pulse, status, tell).await
    }

    async fn watch_and(self, mut pulse: Pulse, status: &str, tell: impl Fn(&[NotifyState<'_>])) -> Infallible {
        while !pulse.without_turn().is_empty() {
            sleep(Duration::from_millis(5)).await;
        }
        tell(&[Ready, Status(status)]);
        let Some(limit) = self.limit else { return pending().await };
        let mut known = Vec::new();
        loop {
            sleep(limit / SIGNS).await;
            let hanging = pulse.without_turn();
            if hanging.is_empty() {
                tell(&[Watchdog]);
            } else if hanging != known {
                tracing::warn!(workers = ?hanging, ?limit, "workers take no turn; systemd restarts the server if that lasts");
            }
            known = hanging;
        }
    }
}

/// Tells that the connections are being sent away.
pub(super) fn stopping() {
    tell(&[Stopping, Status("sending the connections away")]);
}

/// Tells that a reload begins. It is over when [`reloaded`] is told.
pub(super) fn reloading() {
    if let Ok(now) = NotifyState::monotonic_usec_now() {
        tell(&[Reloading, now]);
    }
}

/// Tells that a reload is over.
pub(super) fn reloaded() {
    tell(&[Ready]);
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, ?states, "cannot tell the service manager");
    }
}

/// Signs of life within the time after which the server is restarted.
const SIGNS: u32 = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use hubcast_server::{Arrival, Closed, Config, Disconnect, Message, Outbound, Peer, Server, Service};
    use std::io::Write;
    use std::net::{SocketAddr, TcpListener, TcpStream};
    use std::sync::mpsc::{self, Receiver};
    use std::sync::{Arc, Mutex};
    use std::thread;
    use std::time::Instant;

    /// A service that needs a lock for each request.
    struct Locking(Arc<Mutex<()>>);

    impl Service for Locking {
        fn accepts(&self, _path: &str) -> bool {
            drop(self.0.lock());
            false
        }

        fn opened(&mut self, _peer: Peer, _arrival: Arrival, _out: &mut Outbound<'_>) {}

        fn message(&mut self, _peer: Peer, _message: Message<'_>, _out: &mut Outbound<'_>) {}

        fn closed(&mut self, _peer: Peer, _closed: Closed) {}

        fn disconnect(&mut self, _peer: Peer, _why: Disconnect, _out: &mut Outbound<'_>) {}

        fn turn(&mut self, _now: Instant, _out: &mut Outbound<'_>) {}
    }

    /// Starts a server with two workers that is watched. Returns its address, and what the service manager is told.
    fn watched(lock: &Arc<Mutex<()>>) -> (SocketAddr, Receiver<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut server = Server::bind(Config { workers: Some(2), ..Config::default() }, [listener]).unwrap();
        let (address, lock, (told, tells)) = (server.local_addr().unwrap(), Arc::clone(lock), mpsc::channel());
        let systemd = Systemd { limit: Some(LIMIT) };
        let pulse = server.pulse(systemd.turn_every());
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let tell = |states: &[NotifyState<'_>]| {
                // The test may be over.
                let _ = told.send(states.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "));
            };
            runtime.block_on(async {
                tokio::select! {
                    ended = server.run_service(|| Locking(Arc::clone(&lock)), pending()) => ended.unwrap(),
                    never = systemd.watch_and(pulse, "well", tell) => match never {},
                }
            });
        });
        (address, tells)
    }

    const LIMIT: Duration = Duration::from_millis(400);
    const PATIENCE: Duration = Duration::from_secs(20);

    #[test]
    fn while_one_worker_waits_for_a_lock_there_is_no_sign_of_life() {
        let lock = Arc::<Mutex<()>>::default();
        let (address, told) = watched(&lock);
        assert_eq!(told.recv_timeout(PATIENCE).unwrap(), "READY=1 STATUS=well");
        assert_eq!(told.recv_timeout(PATIENCE).unwrap(), "WATCHDOG=1");
        let held = lock.lock().unwrap();
        let mut client = TcpStream::connect(address).unwrap();
        client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        // Some come before the worker reads the request; then there are none.
        let until = Instant::now() + PATIENCE / 4;
        while told.recv_timeout(2 * LIMIT).is_ok() {
            assert!(Instant::now() < until, "a sign of life comes, although a worker hangs");
        }
        drop(held);
        assert_eq!(told.recv_timeout(PATIENCE).unwrap(), "WATCHDOG=1");
    }
}
