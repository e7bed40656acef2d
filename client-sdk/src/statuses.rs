//! The status of a client over time.

use crate::machine::Status;
use tokio::sync::watch;

/// Follows the status of a client. [`Client::statuses`](crate::Client::statuses) makes one.
///
/// A status that lasts shorter than the program takes to ask may be skipped; the latest one never is.
#[derive(Clone, Debug)]
pub struct Statuses(watch::Receiver<Status>);

impl Statuses {
    pub(crate) fn new(statuses: watch::Receiver<Status>) -> Self {
        Self(statuses)
    }

    /// The current status.
    pub fn current(&self) -> Status {
        self.0.borrow().clone()
    }

    /// Waits for a change since the last call, and returns the new status; `None` when the client is closed and its last
    /// status was returned. Dropping the future loses no change.
    pub async fn changed(&mut self) -> Option<Status> {
        self.0.changed().await.ok()?;
        Some(self.0.borrow_and_update().clone())
    }

    /// Waits for a status that fits, which may be the current one, and returns it; `None` when the client is closed and
    /// its last status does not fit. Dropping the future loses no change.
    pub async fn wait_for(&mut self, fits: impl FnMut(&Status) -> bool) -> Option<Status> {
        self.0.wait_for(fits).await.ok().map(|status| status.clone())
    }
}
