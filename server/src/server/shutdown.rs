//! A server that is stopping can be requested that nobody wants to wait any longer.

use std::future::pending;
use tokio::sync::watch;

/// Hurries a server that drains; got by [`Server::hurry`](crate::Server::hurry), and useful from any thread.
///
/// [`Server::run`](crate::Server::run) comes back as it does after a whole drain, with the histories in the state folder.
#[derive(Clone, Debug, Default)]
pub struct Hurry(watch::Sender<bool>);

/// Hears of the hurry, for one worker.
#[derive(Clone, Debug)]
pub(crate) struct Hurried(watch::Receiver<bool>);

impl Hurry {
    /// Has every connection that is left sent away and cut at once. Before the shutdown began it changes nothing until
    /// then; a second time it changes nothing at all.
    pub fn now(&self) {
        self.0.send_replace(true);
    }

    pub(crate) fn subscribe(&self) -> Hurried {
        Hurried(self.0.subscribe())
    }
}

impl Hurried {
    /// Waits until somebody wants the server to hurry.
    pub(crate) async fn requested(&mut self) {
        if self.0.wait_for(|hurried| *hurried).await.is_err() {
            // Nobody is left who could.
            pending::<()>().await;
        }
    }
}
