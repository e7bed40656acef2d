//! The logic of the client, without a socket: inputs go in, effects come out.
//!
//! A [`Machine`] knows no socket, no clock and no runtime. Its caller is the driver of this crate, or a simulation in
//! virtual time. The caller passes every [`Input`] to [`Machine::handle`], carries out the [`Effect`]s in order, and
//! calls [`Machine::handle_timeout`] at the time that [`Machine::poll_timeout`] gives. The same seed and inputs give
//! the same effects.

mod calls;
mod commands;
mod config;
mod connection_state;
mod effect;
mod input;
mod outgoing;
mod progress;
mod random;
mod resumes;
mod sending;
mod server_view;
mod session;
mod status;
mod subscription_state;
mod subscriptions;
mod token;
mod token_state;

pub use config::{Backoff, Config};
pub use effect::{Answer, Delivery, Effect, Effects, Ended, Failure, Gap, GapReason, Published, Refused, Resumed};
pub use input::{Command, Disconnection, Input, Source, SubscribeRequest, SubscriptionId, Ticket};
pub use status::{Closed, Loss, State, Status};
pub use token::{GivenToken, TokenFailure, TokenReason};

use calls::Calls;
use connection_state::{ConnectionState, Due, after};
use hubcast_protocol::{ClientId, CloseCode};
use outgoing::Outgoing;
use resumes::Resumes;
use server_view::ServerView;
use std::time::Instant;
use subscriptions::Subscriptions;
use token_state::TokenState;

/// One client: it connects, subscribes and publishes, and does so again after the connection breaks.
///
/// It starts with [`Command::Connect`]. It ends with [`Command::Close`], when the first connection fails, or when the
/// server says not to reconnect. Every command is completed exactly once; after the end, at once.
#[derive(Debug)]
pub struct Machine {
    config: Config,
    connection: ConnectionState,
    calls: Calls,
    subscriptions: Subscriptions,
    outgoing: Outgoing,
    resumes: Resumes,
    tokens: TokenState,
    server_view: ServerView,
    /// The largest request that this session takes, in bytes.
    message_limit: u64,
    last_id: u64,
    /// The name under which the server remembers the numbers of this client's publications.
    producer: Box<str>,
    /// When requests that the server refused for a while are sent again; `refusals` counts how often in a row that
    /// happened.
    retry_at: Option<Instant>,
    refusals: u32,
    /// Until `retry_at`, only new requests are sent: the server said that it is asked too often.
    is_limited: bool,
    connecting: Option<(Ticket, Instant)>,
    closing: Option<Closing>,
    closed: Option<Closed>,
    /// How the last connection ended, or why the last attempt failed.
    last_loss: Option<Loss>,
    client: Option<ClientId>,
    user: Option<Box<str>>,
    status: Option<Status>,
}

/// The commands that asked to close, and how long they wait for unanswered requests.
#[derive(Debug)]
struct Closing {
    tickets: Vec<Ticket>,
    until: Instant,
}

impl Machine {
    /// A machine that waits for [`Command::Connect`]. The seed determines its random pauses, and the name under which
    /// it numbers its publications. Clients of one server need different seeds that others cannot guess.
    pub fn new(config: Config, seed: u128) -> Self {
        let (producer, random) = random::split(seed);
        Self {
            producer,
            connection: ConnectionState::new(&config, random),
            calls: Calls::new(&config),
            subscriptions: Subscriptions::new(config.topics_per_pattern),
            outgoing: Outgoing::new(config.queue),
            resumes: Resumes::default(),
            tokens: TokenState::default(),
            server_view: ServerView::default(),
            config,
            message_limit: u64::MAX,
            last_id: 0,
            retry_at: None,
            refusals: 0,
            is_limited: false,
            connecting: None,
            closing: None,
            closed: None,
            last_loss: None,
            client: None,
            user: None,
            status: None,
        }
    }

    /// Takes one input and pushes the effects that follow from it.
    pub fn handle(&mut self, now: Instant, input: Input, effects: &mut Effects) {
        match input {
            Input::Command(ticket, command) => self.command(now, ticket, command, effects),
            Input::Unsubscribe(subscription) => self.give_up(subscription, Failure::Unsubscribed, effects),
            Input::Connected => self.connection.connected(),
            Input::Token(given) => self.token(now, given, effects),
            Input::Heard => self.connection.heard(now),
            Input::Frame(text) => return self.handle_frame(now, &text, effects),
            Input::Disconnected(why) if self.connection.is_open() => self.disconnected(now, &why, effects),
            // From a connection that was given up already.
            Input::Disconnected(_) => {}
        }
        self.settle(now, effects);
    }

    /// The same as [`Input::Frame`], for a caller that does not own the text.
    pub fn handle_frame(&mut self, now: Instant, text: &str, effects: &mut Effects) {
        self.frame(now, text, effects);
        self.settle(now, effects);
    }

    /// When [`Machine::handle_timeout`] must be called, unless another input changes this time.
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.closed.is_some() {
            return None;
        }
        let deadlines = [
            self.connection.timeout(),
            self.calls.timeout(),
            self.resumes.timeout(),
            self.tokens.timeout(),
            self.retry_at,
            self.connecting.map(|(_, until)| until),
            self.closing.as_ref().map(|closing| closing.until),
        ];
        deadlines.into_iter().flatten().min()
    }

    /// Does what is due at `now`; does nothing if nothing is due.
    pub fn handle_timeout(&mut self, now: Instant, effects: &mut Effects) {
        if self.closed.is_some() {
            return;
        }
        match self.connecting {
            Some((_, until)) if until <= now => {
                let nothing = match self.connection.is_preparing() {
                    true => "the program has not given a token yet",
                    false => "no attempt came to an end",
                };
                let reason = self.last_loss.as_ref().map_or(nothing, |loss| &loss.reason).to_owned();
                self.end(Closed::NoConnection { within: self.config.connect_timeout, reason }, effects);
            }
            _ => self.do_what_is_due(now, effects),
        }
        self.settle(now, effects);
    }

    fn do_what_is_due(&mut self, now: Instant, effects: &mut Effects) {
        let passed = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        while let Some((id, call)) = self.calls.expired(now) {
            self.outgoing.done(id);
            let subscription = call.subscription;
            let (ticket, result) = call.timed_out();
            effects.push(Effect::Complete(ticket, result));
            if let Some(subscription) = subscription {
                self.unsubscribe(subscription);
            }
        }
        if passed(self.resumes.timeout()) {
            self.abandon(now, "a subscription was not confirmed in time", effects);
        }
        if passed(self.tokens.timeout()) {
            self.ask_token(effects);
        }
        match self.connection.due(now) {
            Some(Due::Connect) => self.attempt(now, effects),
            Some(Due::GiveUp(why)) => self.abandon(now, why, effects),
            None => {}
        }
        if passed(self.retry_at) {
            (self.retry_at, self.is_limited) = (None, false);
        }
    }

    /// Whether the client is closed: nothing is sent or delivered any more, and every command is completed at once.
    pub fn is_closed(&self) -> bool {
        self.closed.is_some()
    }

    /// Ends the client at once, because its caller cannot go on: nothing is sent any more, and every command is
    /// completed.
    pub fn stop(&mut self, why: Closed, effects: &mut Effects) {
        if self.closed.is_none() {
            self.end(why, effects);
            self.report(effects);
        }
    }

    /// Gives up a connection whose server does not answer in time.
    fn abandon(&mut self, now: Instant, why: &str, effects: &mut Effects) {
        if self.connection.is_open() {
            effects.push(Effect::Close(CloseCode::PING_TIMEOUT));
            self.disconnected(now, &Disconnection::Lost { reason: why.to_owned(), retry_after: None }, effects);
        }
    }

    fn disconnected(&mut self, now: Instant, why: &Disconnection, effects: &mut Effects) {
        if let Disconnection::TooLarge { .. } = why {
            for question in self.calls.take_questions() {
                let (ticket, result) = question.failed(Failure::AnswerTooLarge);
                effects.push(Effect::Complete(ticket, result));
            }
        }
        self.subscriptions.cut();
        self.calls.cut();
        self.outgoing.cut(matches!(why, Disconnection::Closed { code: CloseCode::RATE_LIMIT, .. }));
        self.resumes.cut();
        self.tokens.cut(why);
        self.server_view.cut();
        (self.retry_at, self.is_limited) = (None, false);
        let loss = Loss::from(why);
        let retry_after = match why {
            Disconnection::Lost { retry_after, .. } => *retry_after,
            _ => None,
        };
        match why {
            Disconnection::TokenRefused { .. } if self.has_another_token() => {
                self.connection.prepare_again();
                self.ask_token(effects);
            }
            _ if loss.is_refusal => self.connection.refused(now),
            _ => self.connection.lost(now, retry_after),
        }
        if let Some(end) = self.end_after(why) {
            self.end(end, effects);
        }
        self.last_loss = Some(loss);
    }

    /// Whether the client ends with this disconnection, and why.
    fn end_after(&self, why: &Disconnection) -> Option<Closed> {
        let attempts = self.connection.attempts();
        let reason = Loss::from(why).reason;
        match why {
            Disconnection::TokenRefused { reason } if self.tokens.are_refused() => {
                Some(Closed::TokenRefused { reason: reason.clone() })
            }
            Disconnection::TokenRefused { .. } if self.connection.is_preparing() => None,
            Disconnection::Closed { code, reason } if !code.may_reconnect() => {
                Some(Closed::ByServer { code: *code, reason: reason.clone() })
            }
            // If there was a session before, something temporary may answer instead of the server, such as a proxy: try
            // a few times more.
            Disconnection::Rejected { status, .. }
                if self.client.is_none() || self.connection.refusals() >= self.config.max_refusals =>
            {
                Some(Closed::Rejected { reason, status: *status })
            }
            _ if self.config.max_attempts.is_some_and(|most| attempts > 0 && attempts >= most) => {
                Some(Closed::GivenUp { attempts, reason })
            }
            _ => None,
        }
    }

    /// The last step of every input and timeout. Sends what may be sent, closes if nothing is left to wait for, and
    /// reports a changed status.
    fn settle(&mut self, now: Instant, effects: &mut Effects) {
        self.send_waiting(now, effects);
        if let Some(closing) = &self.closing
            && (self.calls.len() == 0 || closing.until <= now)
        {
            self.end(Closed::ByUser, effects);
        }
        self.report(effects);
    }

    /// Reports the status, if it has changed.
    fn report(&mut self, effects: &mut Effects) {
        let state = match &self.closed {
            Some(why) => Some(State::Closed(why.clone())),
            None => self.connection.state(),
        };
        let Some(state) = state else { return };
        let (attempt, retry_at) = (self.connection.attempts(), self.connection.retry_at());
        let is_known = self.status.as_ref().is_some_and(|status| {
            (&status.state, status.client, status.attempt, status.retry_at) == (&state, self.client, attempt, retry_at)
        });
        if !is_known {
            let (client, user, last_loss) = (self.client, self.user.clone(), self.last_loss.clone());
            let status = Status { state, client, user, last_loss, attempt, retry_at };
            effects.push(Effect::Status(status.clone()));
            self.status = Some(status);
        }
    }

    /// Closes the connection, fails every unanswered call, and ends every subscription.
    fn end(&mut self, why: Closed, effects: &mut Effects) {
        self.connection.close(CloseCode::NORMAL, effects);
        self.closed = Some(why.clone());
        let unfinished = self.calls.len();
        for call in self.calls.take_all() {
            if let Some(subscription) = call.subscription {
                self.subscriptions.remove(subscription);
            }
            let ticket = call.ticket;
            let failure = Failure::Closed { why: why.clone(), key: call.into_key() };
            effects.push(Effect::Complete(ticket, Err(failure)));
        }
        if let Some((ticket, _)) = self.connecting.take() {
            effects.push(Effect::Complete(ticket, Err(Failure::Closed { why: why.clone(), key: None })));
        }
        let everyone = self.subscriptions.ids();
        self.subscriptions.end(&everyone, &Ended::Closed(why), effects);
        let closed = if unfinished == 0 { Ok(Answer::Closed) } else { Err(Failure::Unfinished(unfinished)) };
        for ticket in self.closing.take().into_iter().flat_map(|closing| closing.tickets) {
            effects.push(Effect::Complete(ticket, closed.clone()));
        }
    }

    fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }
}
