//! The state that all clones and subscriptions of a client share.

use crate::driver::DriverCommand;
use crate::inbox::{Inbox, QueueBounds, QueueTotal};
use crate::machine::{Answer, Closed, Command, Delivery, Ended, Failure, State, Status, SubscriptionId};
use hubcast_protocol::MemberSecret;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::{mpsc, oneshot, watch};

/// The channel to the driver, and the settings that all clones and subscriptions of a client share.
#[derive(Debug)]
pub(crate) struct Shared {
    commands: mpsc::UnboundedSender<DriverCommand>,
    pub(crate) status: watch::Receiver<Status>,
    last_subscription: AtomicU64,
    /// The bounds of a subscription's queue, unless the subscription sets its own.
    pub(crate) queue: QueueBounds,
    pub(crate) queues: Arc<QueueTotal>,
    pub(crate) topics_per_pattern: usize,
    pub(crate) secret: MemberSecret,
}

impl Shared {
    pub(crate) fn new(
        commands: mpsc::UnboundedSender<DriverCommand>,
        status: watch::Receiver<Status>,
        queue: QueueBounds,
        queues: Arc<QueueTotal>,
        topics_per_pattern: usize,
        secret: MemberSecret,
    ) -> Self {
        Self { commands, status, last_subscription: AtomicU64::new(0), queue, queues, topics_per_pattern, secret }
    }

    /// An empty queue for one subscription.
    pub(crate) fn inbox(&self, bounds: QueueBounds) -> Arc<Inbox> {
        Arc::new(Inbox::new(bounds, self.queues.clone()))
    }

    pub(crate) fn next_subscription(&self) -> SubscriptionId {
        SubscriptionId(self.last_subscription.fetch_add(1, Ordering::Relaxed))
    }

    /// Sends a command to the driver and waits for its completion.
    pub(crate) async fn call(&self, command: Command, inbox: Option<Arc<Inbox>>) -> Result<Answer, Failure> {
        let (reply, answer) = oneshot::channel();
        self.tell(DriverCommand::Command { command, inbox, reply });
        // The driver is gone only when the client is closed.
        answer.await.unwrap_or_else(|_| Err(Failure::Closed { why: self.closed(), key: None }))
    }

    pub(crate) fn tell(&self, order: DriverCommand) {
        if let Err(mpsc::error::SendError(DriverCommand::Subscribe(_, inbox))) = self.commands.send(order) {
            inbox.push(Delivery::Ended(Ended::Closed(self.closed())));
        }
    }

    pub(crate) fn closed(&self) -> Closed {
        match &self.status.borrow().state {
            State::Closed(why) => why.clone(),
            _ => Closed::ByUser,
        }
    }
}
