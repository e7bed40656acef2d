//! The task that runs a client: one machine, one connection, one clock.

mod connection;
mod endpoint;
mod socket;
mod transport;

pub(crate) use endpoint::{Address, Endpoint};

use crate::inbox::Inbox;
use crate::machine::{
    Answer, Command, Config, Delivery, Effect, Effects, Failure, Input, Machine, Source, State, Status,
    SubscribeRequest, SubscriptionId, Ticket,
};
use crate::publisher::Promise;
use crate::room::Permit;
use connection::Connection;
use hubcast_protocol::request::Publish;
use std::collections::HashMap;
use std::future::{pending, poll_fn};
use std::sync::Arc;
use std::task::Waker;
use std::time::Instant;
use tokio::sync::{mpsc, oneshot, watch};

/// Passes all inputs to the machine and carries out its effects, until the machine is closed.
///
/// The driver makes no decisions: the machine decides everything that a user can observe.
#[derive(Debug)]
pub(crate) struct Driver {
    machine: Machine,
    effects: Effects,
    connection: Connection,
    commands: mpsc::UnboundedReceiver<DriverCommand>,
    /// All handles of the program are dropped: no command can come any more.
    is_orphaned: bool,
    last_ticket: u64,
    /// Where the result of each command goes, and its room among the waiting requests.
    replies: HashMap<Ticket, (Reply, Option<Permit>)>,
    /// Publishers to wake when all effects are carried out.
    publishers: Vec<Waker>,
    inboxes: HashMap<SubscriptionId, Arc<Inbox>>,
    status: watch::Sender<Status>,
}

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
    /// Subscribes to the private topics.
    Subscribe(SubscriptionId, Arc<Inbox>),
    /// Ends a subscription.
    Unsubscribe(SubscriptionId),
}

/// Where the result of a command goes.
#[derive(Debug)]
enum Reply {
    Once(oneshot::Sender<Result<Answer, Failure>>),
    Publisher(Promise),
}

enum Happened {
    DriverCommand(Option<DriverCommand>),
    Socket(Input),
    Deadline,
}

impl Driver {
    /// Starts a driver on the current runtime.
    pub(crate) fn spawn(
        endpoint: Endpoint,
        config: Config,
        seed: u128,
    ) -> (mpsc::UnboundedSender<DriverCommand>, watch::Receiver<Status>) {
        // Unbounded, because dropping a subscription cannot wait. The machine bounds the number of waiting requests.
        let (sender, commands) = mpsc::unbounded_channel();
        let (status, watcher) = watch::channel(Status { state: State::Connecting, client: None, user: None });
        let driver = Self {
            machine: Machine::new(config, seed),
            effects: Effects::new(),
            connection: Connection::new(endpoint),
            commands,
            is_orphaned: false,
            last_ticket: 0,
            replies: HashMap::new(),
            publishers: Vec::new(),
            inboxes: HashMap::new(),
            status,
        };
        tokio::spawn(driver.run());
        (sender, watcher)
    }

    async fn run(mut self) {
        while !self.machine.is_closed() {
            match self.next().await {
                Happened::DriverCommand(Some(order)) => self.order(order),
                Happened::DriverCommand(None) => {
                    self.is_orphaned = true;
                    self.command(Command::Close, None);
                }
                Happened::Socket(input) => self.machine.handle(now(), input, &mut self.effects),
                Happened::Deadline => self.machine.handle_timeout(now(), &mut self.effects),
            }
            self.carry_out().await;
        }
        // Commands that are still in the channel are answered too. Closing the channel makes later ones fail.
        self.commands.close();
        while let Some(order) = self.commands.recv().await {
            self.order(order);
            self.carry_out().await;
        }
    }

    async fn next(&mut self) -> Happened {
        let deadline = self.machine.poll_timeout();
        tokio::select! {
            order = self.commands.recv(), if !self.is_orphaned => Happened::DriverCommand(order),
            input = poll_fn(|context| self.connection.poll(context)) => Happened::Socket(input),
            () = sleep_until(deadline) => Happened::Deadline,
        }
    }

    fn order(&mut self, order: DriverCommand) {
        match order {
            DriverCommand::Command { command, inbox, reply, permit } => {
                if let (Command::Subscribe(id, _), Some(inbox)) = (&command, inbox) {
                    self.inboxes.insert(*id, inbox);
                }
                self.command(command, Some((Reply::Once(reply), permit)));
            }
            DriverCommand::Publish { publish, promise, permit } => {
                self.command(Command::Publish(publish), Some((Reply::Publisher(promise), Some(permit))));
            }
            DriverCommand::Subscribe(id, inbox) => {
                if self.machine.is_closed() {
                    return end(&inbox, &self.status);
                }
                self.inboxes.insert(id, inbox);
                self.command(Command::Subscribe(id, SubscribeRequest::live(Source::Direct)), None);
            }
            DriverCommand::Unsubscribe(id) => {
                self.inboxes.remove(&id);
                self.machine.handle(now(), Input::Unsubscribe(id), &mut self.effects);
            }
        }
    }

    fn command(&mut self, command: Command, reply: Option<(Reply, Option<Permit>)>) {
        self.last_ticket += 1;
        let ticket = Ticket(self.last_ticket);
        if let Some(reply) = reply {
            self.replies.insert(ticket, reply);
        }
        self.machine.handle(now(), Input::Command(ticket, command), &mut self.effects);
    }

    async fn carry_out(&mut self) {
        let mut effects = std::mem::take(&mut self.effects);
        for effect in effects.drain(..) {
            match effect {
                Effect::Connect => self.connection.open(),
                Effect::Send(text) => self.connection.send(text),
                Effect::Close(code) => self.connection.close(code).await,
                Effect::Deliver(id, delivery) => self.deliver(id, delivery),
                Effect::Complete(ticket, result) => match self.replies.remove(&ticket) {
                    // The caller may have stopped waiting and dropped its receiver.
                    Some((Reply::Once(reply), _)) => _ = reply.send(result),
                    Some((Reply::Publisher(promise), _)) => self.publishers.extend(promise.keep(result)),
                    None => {}
                },
                Effect::Status(status) => _ = self.status.send_replace(status),
            }
        }
        self.effects = effects;
        self.publishers.drain(..).for_each(Waker::wake);
    }

    fn deliver(&mut self, id: SubscriptionId, delivery: Delivery) {
        let inbox = match delivery {
            Delivery::Ended(_) => self.inboxes.remove(&id),
            _ => self.inboxes.get(&id).cloned(),
        };
        if let Some(inbox) = inbox {
            inbox.push(delivery);
        }
    }
}

impl Drop for Driver {
    /// Ends all subscriptions: a runtime that shuts down drops its tasks in the middle, and no reader or publisher may
    /// wait for ever.
    fn drop(&mut self) {
        self.publishers.drain(..).for_each(Waker::wake);
        self.inboxes.values().for_each(|inbox| end(inbox, &self.status));
    }
}

fn end(inbox: &Inbox, status: &watch::Sender<Status>) {
    let why = match &status.borrow().state {
        State::Closed(why) => why.clone(),
        _ => crate::machine::Closed::ByUser,
    };
    inbox.push(Delivery::Ended(why.into()));
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => pending().await,
    }
}

/// The runtime's clock, which a test may pause.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
