//! A handle that shortens the drain of a server.

use std::future::pending;
use tokio::sync::watch;

/// Shortens the drain of a server. [`Server::hurry`](crate::Server::hurry) returns it; any thread may use it.
///
/// [`Server::run`](crate::Server::run) returns as after a full drain, with the histories in the state folder.
#[derive(Clone, Debug, Default)]
pub struct Hurry(watch::Sender<bool>);

/// The receiving side, for one worker.
#[derive(Clone, Debug)]
pub(crate) struct Hurried(watch::Receiver<bool>);

impl Hurry {
    /// Closes and cuts all connections that are left at once. If the shutdown has not begun, this happens as soon as it
    /// begins. A second call has no effect.
    pub fn now(&self) {
        self.0.send_replace(true);
    }

    pub(crate) fn subscribe(&self) -> Hurried {
        Hurried(self.0.subscribe())
    }
}

impl Hurried {
    /// Waits until the server should shorten its drain.
    pub(crate) async fn requested(&mut self) {
        if self.0.wait_for(|hurried| *hurried).await.is_err() {
            // All handles are dropped, so no request can come.
            pending::<()>().await;
        }
    }
}
