//! The task that runs a client: one machine, one connection, one clock.

mod address;
mod command;
mod connection;
mod deadline;
mod dial;
mod endpoint;
mod log;
mod place;
mod proxy;
mod received;
mod refusal;
mod socket;
mod transport;

pub(crate) use address::{Address, shown};
pub(crate) use command::DriverCommand;
pub(crate) use dial::Dialer;
pub(crate) use endpoint::{Endpoint, Remote};
pub(crate) use proxy::{Proxy, ProxyChoice};

use crate::inbox::{Inbox, QueueBounds, QueueTotal};
use crate::machine::{
    Answer, Closed, Command, Config, Delivery, Effect, Effects, Failure, Input, Machine, Source, State, Status,
    SubscribeRequest, SubscriptionId, Ticket,
};
use crate::machine::{GivenToken, TokenFailure};
use crate::room::Permit;
use crate::token::TokenSource;
use command::Reply;
use connection::Connection;
use deadline::Deadline;
use received::Received;
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;
use tokio::sync::{mpsc, watch};

/// Passes all inputs to the machine and carries out its effects, until the machine is closed.
///
/// The driver makes no decisions: the machine decides everything that a user can observe.
pub(crate) struct Driver {
    machine: Machine,
    effects: Effects,
    /// Effects that are not carried out yet.
    due: VecDeque<Effect>,
    connection: Connection,
    tokens: TokenSource,
    /// The program is asked for a token.
    asking: Option<Asking>,
    deadline: Deadline,
    commands: mpsc::UnboundedReceiver<DriverCommand>,
    /// All handles of the program are dropped: no command can come any more.
    is_orphaned: bool,
    last_ticket: u64,
    /// Where the result of each command goes, and its room among the waiting requests.
    replies: HashMap<Ticket, (Reply, Option<Permit>)>,
    /// Publishers to wake when all effects are carried out.
    publishers: Vec<Waker>,
    inboxes: HashMap<SubscriptionId, Arc<Inbox>>,
    /// The bytes that wait in all of `inboxes`.
    queues: Arc<QueueTotal>,
    /// The most inputs of one turn, and the bytes of frames after which it takes no more: what the smallest queue of a
    /// subscription has room for. So a reader on the same thread, which reads between two turns, loses none.
    batch: QueueBounds,
    status: watch::Sender<Status>,
}

/// A question to the program for a token.
type Asking = Pin<Box<dyn Future<Output = Result<GivenToken, TokenFailure>> + Send>>;

impl Driver {
    /// Starts a driver on the current runtime.
    pub(crate) fn spawn(
        (endpoint, tokens): (Endpoint, TokenSource),
        config: Config,
        seed: u128,
        queues: Arc<QueueTotal>,
        request_bytes: usize,
    ) -> (mpsc::UnboundedSender<DriverCommand>, watch::Receiver<Status>) {
        // Unbounded, because dropping a subscription cannot wait. The machine bounds the number of waiting requests.
        let (sender, commands) = mpsc::unbounded_channel();
        let (status, watcher) = watch::channel(Status {
            state: State::Connecting,
            client: None,
            user: None,
            last_loss: None,
            attempt: 0,
            retry_at: None,
        });
        let driver = Self {
            machine: Machine::new(config, seed),
            effects: Effects::new(),
            due: VecDeque::new(),
            connection: Connection::new(endpoint, request_bytes),
            tokens,
            asking: None,
            deadline: Deadline::default(),
            commands,
            is_orphaned: false,
            last_ticket: 0,
            replies: HashMap::new(),
            publishers: Vec::new(),
            inboxes: HashMap::new(),
            queues,
            batch: QueueBounds { items: BATCH, bytes: BATCH_BYTES },
            status,
        };
        tokio::spawn(driver.run());
        (sender, watcher)
    }

    async fn run(mut self) {
        while !self.machine.is_closed() {
            let may_have_more = poll_fn(|context| self.poll_turn(context)).await;
            self.carry_out().await;
            if may_have_more {
                // The readers and publishers that were woken come first: they may be on this thread.
                tokio::task::yield_now().await;
            }
        }
        // Commands that are still in the channel are answered too. Closing the channel makes later ones fail.
        self.commands.close();
        while let Some(order) = self.commands.recv().await {
            self.order(now(), order);
            self.carry_out().await;
        }
    }

    /// Waits until something happens. Then writes what waits, and passes what has happened to the machine: a batch of
    /// inputs from the connection, and a batch of commands. So neither waits for long while there is much of the other,
    /// and what follows from one batch is written at once. `true` if there may be more.
    fn poll_turn(&mut self, context: &mut Context<'_>) -> Poll<bool> {
        let now = now();
        let (inputs, may_have_more_inputs) = self.take_inputs(now, context);
        let commands = self.take_commands(now, context);
        let has_token = self.take_token(now, context);
        let is_due = self.deadline.poll(self.machine.poll_timeout(), context);
        if is_due {
            self.machine.handle_timeout(now, &mut self.effects);
        }
        match (inputs, commands) {
            (0, 0) if !is_due && !has_token => Poll::Pending,
            _ => Poll::Ready(may_have_more_inputs || commands == BATCH),
        }
    }

    /// Passes inputs to the machine: at most one batch of them, and one frame over its bytes. Returns their
    /// number, and whether there may be more.
    fn take_inputs(&mut self, now: Instant, context: &mut Context<'_>) -> (usize, bool) {
        let (mut taken, mut bytes) = (0, 0);
        while taken < self.batch.items && (taken == 0 || bytes < self.batch.bytes) {
            let Poll::Ready(received) = self.connection.poll(context) else { return (taken, false) };
            // What follows from the begin or end of a connection is carried out before the next input.
            let mut goes_on = true;
            match received {
                Received::Frame(text) => {
                    bytes += text.len();
                    self.machine.handle_frame(now, &text, &mut self.effects);
                }
                Received::Input(input) => {
                    match &input {
                        Input::Frame(text) => bytes += text.len(),
                        Input::Heard => {}
                        _ => goes_on = false,
                    }
                    self.machine.handle(now, input, &mut self.effects);
                }
            }
            taken += 1;
            if !goes_on || self.machine.is_closed() {
                break;
            }
        }
        (taken, true)
    }

    /// Passes the program's token to the machine, if it has come. Returns whether it has.
    fn take_token(&mut self, now: Instant, context: &mut Context<'_>) -> bool {
        let Some(asking) = &mut self.asking else { return false };
        let Poll::Ready(given) = asking.as_mut().poll(context) else { return false };
        self.asking = None;
        if let Err(TokenFailure::Failed(reason)) = &given {
            log::no_token(reason);
        }
        self.machine.handle(now, Input::Token(given), &mut self.effects);
        true
    }

    fn take_commands(&mut self, now: Instant, context: &mut Context<'_>) -> usize {
        for taken in 0..BATCH {
            if self.is_orphaned {
                return taken;
            }
            match self.commands.poll_recv(context) {
                Poll::Ready(Some(order)) => self.order(now, order),
                Poll::Ready(None) => {
                    self.is_orphaned = true;
                    self.command(now, Command::Close, None);
                }
                Poll::Pending => return taken,
            }
        }
        BATCH
    }

    fn order(&mut self, now: Instant, order: DriverCommand) {
        match order {
            DriverCommand::Command { command, inbox, reply, permit } => {
                if let (Command::Subscribe(id, _), Some(inbox)) = (&command, inbox) {
                    self.add(*id, inbox);
                }
                self.command(now, command, Some((Reply::Once(reply), permit)));
            }
            DriverCommand::Publish { publish, promise, permit } => {
                self.command(now, Command::Publish(publish), Some((Reply::Publisher(promise), Some(permit))));
            }
            DriverCommand::AskMembers { topic, inbox, permit } => {
                self.command(now, Command::Presence(topic), Some((Reply::Members(inbox), permit)));
            }
            DriverCommand::Subscribe(id, inbox) => {
                if self.machine.is_closed() {
                    return end(&inbox, &self.status);
                }
                self.add(id, inbox);
                self.command(now, Command::Subscribe(id, SubscribeRequest::live(Source::Direct)), None);
            }
            DriverCommand::Unsubscribe(id) => {
                self.inboxes.remove(&id);
                self.machine.handle(now, Input::Unsubscribe(id), &mut self.effects);
            }
        }
    }

    fn add(&mut self, id: SubscriptionId, inbox: Arc<Inbox>) {
        let QueueBounds { items, bytes } = inbox.bounds();
        self.batch.items = self.batch.items.min(items);
        self.batch.bytes = self.batch.bytes.min(bytes / BYTES_OF_A_QUEUE);
        self.inboxes.insert(id, inbox);
    }

    fn command(&mut self, now: Instant, command: Command, reply: Option<(Reply, Option<Permit>)>) {
        self.last_ticket += 1;
        let ticket = Ticket(self.last_ticket);
        if let Some(reply) = reply {
            self.replies.insert(ticket, reply);
        }
        self.machine.handle(now, Input::Command(ticket, command), &mut self.effects);
    }

    /// Carries out all effects. If the runtime goes while this waits for the end of a connection, the rest is in `due`.
    async fn carry_out(&mut self) {
        // From a vector to a deque and back, nothing is copied and no memory is taken.
        self.due = std::mem::take(&mut self.effects).into();
        while let Some(effect) = self.due.pop_front() {
            match effect {
                Effect::Close(code) => self.connection.close(code).await,
                effect => self.apply(effect),
            }
        }
        self.effects = std::mem::take(&mut self.due).into();
        self.publishers.drain(..).for_each(Waker::wake);
    }

    /// Carries out an effect other than [`Effect::Close`].
    fn apply(&mut self, effect: Effect) {
        match effect {
            Effect::Connect(token) => self.connection.open(token),
            Effect::Send(text) => self.connection.send(text),
            Effect::AskToken(reason) => {
                log::asks_token(reason);
                let tokens = self.tokens.clone();
                self.asking = Some(Box::pin(tokens.ask(reason)));
            }
            Effect::Close(_) => {}
            Effect::Deliver(id, delivery) => self.deliver(id, delivery),
            Effect::Complete(ticket, result) => match self.replies.remove(&ticket) {
                // The caller may have stopped waiting and dropped its receiver.
                Some((Reply::Once(reply), _)) => _ = reply.send(result),
                Some((Reply::Members(inbox), _)) => inbox.push(Delivery::Presence(match result {
                    Ok(Answer::Presence(presence)) => Ok(Box::new(presence)),
                    // Every other answer belongs to another command.
                    Ok(_) => Err(Failure::Unsubscribed),
                    Err(failure) => Err(failure),
                })),
                Some((Reply::Publisher(promise), _)) => self.publishers.extend(promise.keep(result)),
                None => {}
            },
            Effect::Status(status) => self.note(status),
        }
    }

    fn note(&self, status: Status) {
        log::status(&status);
        self.status.send_replace(status);
    }

    fn deliver(&mut self, id: SubscriptionId, delivery: Delivery) {
        log::delivery(&delivery);
        let inbox = match delivery {
            Delivery::Ended(_) => self.inboxes.remove(&id),
            _ => self.inboxes.get(&id).cloned(),
        };
        if let Some(inbox) = inbox {
            inbox.push(delivery);
        }
        if self.queues.is_exceeded() {
            self.make_room();
        }
    }

    /// Drops from the fullest queue, until an eighth of the bound of all queues is free. So this work is rare.
    fn make_room(&self) {
        while !self.queues.has_room()
            && let Some(fullest) = self.inboxes.values().max_by_key(|inbox| inbox.bytes())
            && fullest.bytes() > 0
        {
            fullest.drop_half();
        }
    }
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver").field("machine", &self.machine).finish_non_exhaustive()
    }
}

impl Drop for Driver {
    /// Completes everything, and says why: a runtime that shuts down drops its tasks in the middle, and a task that
    /// panics is dropped too. No reader, publisher or caller may wait for ever, or take the client for alive.
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.machine.stop(Closed::RuntimeGone, &mut self.effects);
            let effects = self.due.drain(..).chain(self.effects.drain(..)).collect::<Effects>();
            effects.into_iter().for_each(|effect| self.apply(effect));
        } else if !matches!(self.status.borrow().state, State::Closed(_)) {
            // The machine may be what has panicked, and is not asked for anything.
            let mut status = self.status.borrow().clone();
            (status.state, status.retry_at) = (State::Closed(Closed::Panicked), None);
            self.note(status);
        }
        self.publishers.drain(..).for_each(Waker::wake);
        self.inboxes.values().for_each(|inbox| end(inbox, &self.status));
    }
}

fn end(inbox: &Inbox, status: &watch::Sender<Status>) {
    let why = match &status.borrow().state {
        State::Closed(why) => why.clone(),
        _ => Closed::RuntimeGone,
    };
    inbox.push(Delivery::Ended(why.into()));
}

/// The runtime's clock, which a test may pause.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// The most inputs, and the most commands, of one turn.
const BATCH: usize = 128;

/// A short message takes some eight times the bytes of its frame in a queue.
const BYTES_OF_A_QUEUE: usize = 8;

/// The bytes of received frames after which a turn takes no more.
const BATCH_BYTES: usize = 64 * 1024;
