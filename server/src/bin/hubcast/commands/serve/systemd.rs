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
    pub(super) async fn watch(self, mut pulse: Pulse, status: &str) -> Infallible {
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

/// Tells that a reload was asked for, and is done.
pub(super) fn reloaded() {
    if let Ok(now) = NotifyState::monotonic_usec_now() {
        tell(&[Reloading, now]);
        tell(&[Ready]);
    }
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, ?states, "cannot tell the service manager");
    }
}

/// Signs of life within the time after which the server is restarted.
const SIGNS: u32 = 4;
