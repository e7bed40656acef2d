//! The state that all clones and subscriptions of a client share.

use crate::driver::DriverCommand;
use crate::inbox::{Inbox, QueueBounds, QueueTotal};
use crate::machine::{Answer, Closed, Command, Delivery, Ended, Failure, State, Status, SubscriptionId};
use crate::room::{Room, cost};
use hubcast_protocol::{MemberSecret, Topic};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::{mpsc, oneshot, watch};

/// The channel to the driver, and the settings that all clones and subscriptions of a client share.
#[derive(Debug)]
pub(crate) struct Shared {
    commands: mpsc::UnboundedSender<DriverCommand>,
    pub(crate) status: watch::Receiver<Status>,
    last_subscription: AtomicU64,
    pub(crate) queues: Queues,
    pub(crate) room: Room,
    pub(crate) secret: MemberSecret,
}

/// The bounds of what waits for the program's subscriptions.
#[derive(Debug)]
pub(crate) struct Queues {
    /// The bounds of each queue, unless the subscription sets its own.
    pub(crate) each: QueueBounds,
    /// The bytes of all queues together.
    pub(crate) all: Arc<QueueTotal>,
    /// The most topics under one pattern whose positions are kept.
    pub(crate) topics: usize,
}

impl Shared {
    pub(crate) fn new(
        commands: mpsc::UnboundedSender<DriverCommand>,
        status: watch::Receiver<Status>,
        queues: Queues,
        room: Room,
        secret: MemberSecret,
    ) -> Self {
        Self { commands, status, last_subscription: AtomicU64::new(0), queues, room, secret }
    }

    /// An empty queue for one subscription.
    pub(crate) fn inbox(&self, bounds: QueueBounds) -> Arc<Inbox> {
        Arc::new(Inbox::new(bounds, self.queues.all.clone()))
    }

    pub(crate) fn next_subscription(&self) -> SubscriptionId {
        SubscriptionId(self.last_subscription.fetch_add(1, Ordering::Relaxed))
    }

    /// Sends a command to the driver and waits for its completion. Fails at once if there is no room for the request.
    pub(crate) async fn call(&self, command: Command, inbox: Option<Arc<Inbox>>) -> Result<Answer, Failure> {
        let permit = match command {
            Command::Connect | Command::Reconnect | Command::Close => None,
            _ => Some(self.room.try_take(cost(&command)).ok_or(Failure::QueueFull)?),
        };
        let (reply, answer) = oneshot::channel();
        self.tell(DriverCommand::Command { command, inbox, reply, permit });
        // The driver is gone only when the client is closed.
        answer.await.unwrap_or_else(|_| Err(Failure::Closed { why: self.closed(), key: None }))
    }

    /// Sends a command to the driver, without waiting for its completion.
    pub(crate) fn begin(&self, command: Command) {
        let (reply, _) = oneshot::channel();
        self.tell(DriverCommand::Command { command, inbox: None, reply, permit: None });
    }

    /// Asks for the members of a topic; the answer goes into this queue. Without room for the request, the answer is a
    /// failure.
    pub(crate) fn ask_members(&self, topic: Topic, inbox: Arc<Inbox>) {
        let command = Command::Presence(topic.clone());
        match self.room.try_take(cost(&command)) {
            None => inbox.push(Delivery::Presence(Err(Failure::QueueFull))),
            permit => self.tell(DriverCommand::AskMembers { topic, inbox, permit }),
        }
    }

    pub(crate) fn tell(&self, order: DriverCommand) {
        if let Err(mpsc::error::SendError(DriverCommand::Subscribe(_, inbox))) = self.commands.send(order) {
            inbox.push(Delivery::Ended(Ended::Closed(self.closed())));
        }
    }

    pub(crate) fn closed(&self) -> Closed {
        match &self.status.borrow().state {
            State::Closed(why) => why.clone(),
            // The driver sets the status before it drops anything.
            _ => Closed::RuntimeGone,
        }
    }
}
