//! What the program's handles send to the driver, and where the results go.

use crate::inbox::Inbox;
use crate::machine::{Answer, Command, Failure, SubscriptionId};
use crate::room::Permit;
use crate::window::Promise;
use hubcast_protocol::Topic;
use hubcast_protocol::request::Publish;
use std::sync::Arc;
use tokio::sync::oneshot;

/// Messages from the program's handles to the driver.
#[derive(Debug)]
pub(crate) enum DriverCommand {
    /// A command for the machine. Its result goes to `reply`; the deliveries of a subscribe go to `inbox`.
    Command {
        command: Command,
        inbox: Option<Arc<Inbox>>,
        reply: oneshot::Sender<Result<Answer, Failure>>,
        permit: Option<Permit>,
    },
    /// A publication of a publisher. Its result goes to `promise`.
    Publish { publish: Publish, promise: Promise, permit: Permit },
    /// Asks for the members of a topic; the answer goes into the queue of a subscription.
    AskMembers { topic: Topic, inbox: Arc<Inbox>, permit: Option<Permit> },
    /// Subscribes to the private topics.
    Subscribe(SubscriptionId, Arc<Inbox>),
    /// Ends a subscription.
    Unsubscribe(SubscriptionId),
}

/// Where the result of a command goes.
#[derive(Debug)]
pub(super) enum Reply {
    Once(oneshot::Sender<Result<Answer, Failure>>),
    /// The answer to `presence`, which goes into the queue of a subscription.
    Members(Arc<Inbox>),
    Publisher(Promise),
}
