//! The commands of the program.

use super::effect::{Answer, Effect, Effects, Failure};
use super::input::{Command, Source, SubscribeRequest, SubscriptionId, Ticket};
use super::status::Closed;
use super::token_state::Need;
use super::{Closing, Machine, after};
use hubcast_protocol::request::{Action, Key, Publish};
use hubcast_protocol::typed;
use std::time::Instant;

impl Machine {
    pub(super) fn command(&mut self, now: Instant, ticket: Ticket, command: Command, effects: &mut Effects) {
        if self.closed.is_some() || self.closing.is_some() {
            return self.command_at_the_end(ticket, &command, effects);
        }
        let action = match command {
            Command::Connect => return self.connect(now, ticket, effects),
            Command::ConnectLazily | Command::Reconnect => {
                if self.connection.may_connect() {
                    self.attempt(now, effects);
                }
                return effects.push(Effect::Complete(ticket, Ok(Answer::Connected)));
            }
            Command::Close => return self.close(now, ticket, effects),
            Command::Subscribe(subscription, listen) => {
                return self.subscribe(now, ticket, subscription, listen, effects);
            }
            Command::Publish(publish) => Action::Publish(self.keyed(publish)),
            Command::History(history) => Action::History(history),
            Command::Presence(topic) => Action::Presence(topic),
            Command::Ping => Action::Ping,
        };
        self.call(now, ticket, action, None, effects);
    }

    /// Completes a command while the client is closed or closing. A second close is completed together with the first.
    fn command_at_the_end(&mut self, ticket: Ticket, command: &Command, effects: &mut Effects) {
        let result = match (command, &mut self.closing) {
            (Command::Close, Some(closing)) => return closing.tickets.push(ticket),
            (Command::Close, None) => Ok(Answer::Closed),
            _ => {
                let why = self.closed.clone().unwrap_or(Closed::ByUser);
                Err(Failure::Closed { why, key: None })
            }
        };
        effects.push(Effect::Complete(ticket, result));
    }

    fn connect(&mut self, now: Instant, ticket: Ticket, effects: &mut Effects) {
        if self.connection.state().is_some() {
            effects.push(Effect::Complete(ticket, Ok(Answer::Connected)));
            return;
        }
        self.connecting = Some((ticket, after(now, self.config.connect_timeout)));
        self.attempt(now, effects);
    }

    /// Makes an attempt; if a token is missing, it begins with asking for that. Until the first welcome, each address of the server has its share of the connect timeout: one
    /// that is silent must not use up the time of the others.
    pub(super) fn attempt(&mut self, now: Instant, effects: &mut Effects) {
        let timeout = match self.connecting {
            Some(_) => self.config.attempt_timeout.min(self.config.connect_timeout / self.config.addresses.max(1)),
            None => self.config.attempt_timeout,
        };
        match self.need_for_attempt(now) {
            Need::Met(token) => self.connection.connect(now, timeout, token, effects),
            Need::Token => {
                self.connection.prepare();
                self.ask_token(effects);
            }
        }
    }

    /// Gives up subscriptions that are not confirmed, and begins to wait for the answers to all other calls.
    fn close(&mut self, now: Instant, ticket: Ticket, effects: &mut Effects) {
        for subscription in self.calls.subscriptions() {
            self.give_up(subscription, Failure::Closed { why: Closed::ByUser, key: None }, effects);
        }
        self.closing = Some(Closing { tickets: vec![ticket], until: after(now, self.config.close_timeout) });
    }

    fn subscribe(
        &mut self,
        now: Instant,
        ticket: Ticket,
        id: SubscriptionId,
        listen: SubscribeRequest,
        effects: &mut Effects,
    ) {
        if listen.source != Source::Direct && self.calls.is_full() {
            effects.push(Effect::Complete(ticket, Err(Failure::QueueFull)));
            return;
        }
        self.subscriptions.insert(id, listen);
        match self.subscriptions.subscribe(id) {
            Some(subscribe) => self.call(now, ticket, Action::Subscribe(subscribe), Some(id), effects),
            // The server sends the private topics without a request, so there is nothing to wait for.
            None => {
                if self.connection.is_ready() {
                    self.subscriptions.go_direct(id, effects);
                }
                effects.push(Effect::Complete(ticket, Ok(Answer::Subscribed { begin: None, presence: false })));
            }
        }
    }

    /// Adds a call, and sends it now or as soon as there is a connection.
    fn call(
        &mut self,
        now: Instant,
        ticket: Ticket,
        action: Action,
        subscription: Option<SubscriptionId>,
        effects: &mut Effects,
    ) {
        if self.calls.is_full() {
            effects.push(Effect::Complete(ticket, Err(Failure::QueueFull)));
            return;
        }
        let id = self.next_id();
        self.calls.insert(now, id, ticket, action, subscription);
        self.send_waiting(now, effects);
        // A call that must wait fails at once if it is larger than the server takes.
        if let Some(call) = self.calls.get(id).filter(|call| !call.was_sent()) {
            let size = typed::encode_request(&call.request).len();
            if size as u64 > self.message_limit {
                self.fail_as_too_large(id, size, effects);
            }
        }
    }

    /// Ends a subscription that the program gives up, also one that is not confirmed yet.
    pub(super) fn give_up(&mut self, subscription: SubscriptionId, failure: Failure, effects: &mut Effects) {
        if let Some(call) = self.calls.remove_subscribe(subscription) {
            effects.push(Effect::Complete(call.ticket, Err(failure)));
        }
        self.unsubscribe(subscription);
    }

    /// Forgets a subscription. The server must be asked for a change if no other subscription shares the target, or if
    /// the others want less.
    pub(super) fn unsubscribe(&mut self, subscription: SubscriptionId) {
        if let Some(target) = self.subscriptions.remove(subscription) {
            let wanted = self.subscriptions.options(&target);
            self.server_view.mark_stale(target, wanted);
        }
    }

    /// Gives a publish a number, unless it has a key. The number is the id of its request, because calls are sent and
    /// sent again in the order of their ids.
    fn keyed(&self, publish: Publish) -> Publish {
        let number = || Key::Number { producer: self.producer.clone(), sequence: self.last_id + 1 };
        Publish { key: Some(publish.key.unwrap_or_else(number)), ..publish }
    }
}
