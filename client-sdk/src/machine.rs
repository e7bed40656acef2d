//! The client without its socket: what happened goes in, what is to be done comes out.
//!
//! A [`Machine`] knows no socket, no clock and no runtime. Whoever drives it, the driver of this crate or a
//! simulation in virtual time, passes every [`Input`] to [`Machine::handle`], carries out the [`Effect`]s in order, and
//! calls [`Machine::handle_timeout`] when [`Machine::poll_timeout`] has come. The same seed and inputs give the same
//! effects.

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
mod subscription_state;
mod subscriptions;

pub use config::{Backoff, Config};
pub use effect::{
    Answer, Closed, Delivery, Effect, Effects, Ended, Failure, Gap, GapReason, Published, Refused, Resumed, State,
    Status,
};
pub use input::{Command, Disconnection, Input, Source, SubscribeRequest, SubscriptionId, Ticket};

use calls::Calls;
use connection_state::{ConnectionState, Due, after};
use hubcast_protocol::{ClientId, CloseCode};
use outgoing::Outgoing;
use resumes::Resumes;
use server_view::ServerView;
use std::time::Instant;
use subscriptions::Subscriptions;

/// One client: connects, subscribes, publishes, and does it again when the connection breaks.
///
/// It starts with [`Command::Connect`] and ends with [`Command::Close`], or when the server says not to come back.
/// Every command is completed exactly once; after the end, at once.
#[derive(Debug)]
pub struct Machine {
    config: Config,
    link: ConnectionState,
    calls: Calls,
    subscriptions: Subscriptions,
    outgoing: Outgoing,
    resumes: Resumes,
    told: ServerView,
    /// What the session takes as one request, in bytes.
    message_limit: u64,
    last_id: u64,
    /// Under this name the server knows the numbers of what is published.
    producer: Box<str>,
    /// When that is tried again which the server could not take for a while, and how often in a row that happened.
    retry_at: Option<Instant>,
    refusals: u32,
    /// Until then nothing is sent that can wait: the server counts how often it is asked.
    is_limited: bool,
    connecting: Option<(Ticket, Instant)>,
    closing: Option<Closing>,
    closed: Option<Closed>,
    /// Why the last connection ended, for who waits for the first.
    last_loss: String,
    client: Option<ClientId>,
    user: Option<Box<str>>,
    status: Option<Status>,
}

/// What is still to be waited for before the end.
#[derive(Debug)]
struct Closing {
    tickets: Vec<Ticket>,
    until: Instant,
}

impl Machine {
    /// A machine that waits for [`Command::Connect`]. The seed decides its random pauses and the name under which it
    /// numbers its publications: clients of one server need different ones, and none that another can guess.
    pub fn new(config: Config, seed: u128) -> Self {
        let (producer, random) = random::split(seed);
        Self {
            producer,
            link: ConnectionState::new(&config, random),
            calls: Calls::new(&config),
            subscriptions: Subscriptions::new(config.topics_per_pattern),
            outgoing: Outgoing::new(config.queue),
            resumes: Resumes::default(),
            told: ServerView::default(),
            config,
            message_limit: u64::MAX,
            last_id: 0,
            retry_at: None,
            refusals: 0,
            is_limited: false,
            connecting: None,
            closing: None,
            closed: None,
            last_loss: "no attempt came to an end".to_owned(),
            client: None,
            user: None,
            status: None,
        }
    }

    /// Takes one input and pushes what it causes.
    pub fn handle(&mut self, now: Instant, input: Input, effects: &mut Effects) {
        match input {
            Input::Command(ticket, command) => self.command(now, ticket, command, effects),
            Input::Unsubscribe(subscription) => self.give_up(subscription, Failure::Unsubscribed, effects),
            Input::Connected => self.link.connected(),
            Input::Heard => self.link.heard(now),
            Input::Frame(text) => self.frame(now, &text, effects),
            Input::Disconnected(why) if self.link.is_open() => self.disconnected(now, why, effects),
            // Of a connection that was given up already.
            Input::Disconnected(_) => {}
        }
        self.settle(now, effects);
    }

    /// When [`Machine::handle_timeout`] is to be called, if nothing else happens before.
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.closed.is_some() {
            return None;
        }
        let deadlines = [
            self.link.timeout(),
            self.calls.timeout(),
            self.resumes.timeout(),
            self.retry_at,
            self.connecting.map(|(_, until)| until),
            self.closing.as_ref().map(|closing| closing.until),
        ];
        deadlines.into_iter().flatten().min()
    }

    /// Does what is due; with nothing due it does nothing.
    pub fn handle_timeout(&mut self, now: Instant, effects: &mut Effects) {
        if self.closed.is_some() {
            return;
        }
        match self.connecting {
            Some((_, until)) if until <= now => {
                let reason = std::mem::take(&mut self.last_loss);
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
        match self.link.due(now) {
            Some(Due::Connect) => self.link.connect(now, effects),
            Some(Due::GiveUp(why)) => self.abandon(now, why, effects),
            None => {}
        }
        if passed(self.retry_at) {
            (self.retry_at, self.is_limited) = (None, false);
        }
    }

    /// Whether it is over: nothing is sent or delivered any more, and every command fails at once.
    pub fn is_closed(&self) -> bool {
        self.closed.is_some()
    }

    /// Gives up a connection that does not do what it should.
    fn abandon(&mut self, now: Instant, why: &str, effects: &mut Effects) {
        if self.link.is_open() {
            effects.push(Effect::Close(CloseCode::PING_TIMEOUT));
            self.disconnected(now, Disconnection::Lost { reason: why.to_owned(), retry_after: None }, effects);
        }
    }

    fn disconnected(&mut self, now: Instant, why: Disconnection, effects: &mut Effects) {
        if let Disconnection::TooLarge { .. } = &why {
            for question in self.calls.take_questions() {
                let (ticket, result) = question.failed(Failure::AnswerTooLarge);
                effects.push(Effect::Complete(ticket, result));
            }
        }
        self.subscriptions.cut();
        self.calls.cut();
        self.outgoing.cut(matches!(why, Disconnection::Closed { code: CloseCode::RATE_LIMIT, .. }));
        self.resumes.cut();
        self.told.cut();
        (self.retry_at, self.is_limited) = (None, false);
        match why {
            Disconnection::Closed { code, reason } if !code.may_reconnect() => {
                self.link.lost(now, None);
                self.end(Closed::ByServer { code, reason }, effects);
            }
            // Where a session once was, something stands in its place for a while, such as a proxy.
            Disconnection::Rejected { reason } if self.client.is_none() => {
                self.link.lost(now, None);
                self.end(Closed::Rejected { reason }, effects);
            }
            Disconnection::Rejected { reason } | Disconnection::TooLarge { reason } => {
                self.last_loss = reason;
                self.link.lost(now, None);
            }
            Disconnection::Closed { code, reason } => {
                self.last_loss = format!("the server closed the connection: {reason} ({code})");
                self.link.lost(now, None);
            }
            Disconnection::Lost { reason, retry_after } => {
                self.last_loss = reason;
                self.link.lost(now, retry_after);
            }
        }
    }

    /// Whatever happened: sends what may be sent, ends when there is nothing left to wait for, and says how the client
    /// stands.
    fn settle(&mut self, now: Instant, effects: &mut Effects) {
        self.send_waiting(now, effects);
        if let Some(closing) = &self.closing
            && (self.calls.len() == 0 || closing.until <= now)
        {
            self.end(Closed::ByUser, effects);
        }
        let state = match &self.closed {
            Some(why) => Some(State::Closed(why.clone())),
            None => self.link.state(),
        };
        let Some(state) = state else { return };
        if self.status.as_ref().is_none_or(|status| status.state != state || status.client != self.client) {
            let status = Status { state, client: self.client, user: self.user.clone() };
            effects.push(Effect::Status(status.clone()));
            self.status = Some(status);
        }
    }

    /// Closes what there is, fails what is unanswered, and tells everyone.
    fn end(&mut self, why: Closed, effects: &mut Effects) {
        self.link.close(CloseCode::NORMAL, effects);
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
