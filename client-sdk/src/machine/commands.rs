//! What the program wants.

use super::effect::{Answer, Closed, Effect, Effects, Failure};
use super::input::{Command, Source, SubscribeRequest, SubscriptionId, Ticket};
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

    /// What becomes of a command when the client is closed or closing. The answer to a second close comes with that
    /// to the first.
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
        if self.link.state().is_some() {
            effects.push(Effect::Complete(ticket, Ok(Answer::Connected)));
            return;
        }
        self.connecting = Some((ticket, after(now, self.config.connect_timeout)));
        self.link.connect(now, effects);
    }

    /// Stops listening at once, and waits for the answers to everything else.
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
            // The private topics come without asking, so that there is nothing to wait for.
            None => {
                if self.link.is_ready() {
                    self.subscriptions.go_direct(id, effects);
                }
                effects.push(Effect::Complete(ticket, Ok(Answer::Subscribed)));
            }
        }
    }

    /// Asks the server, now or as soon as there is a connection.
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
        // What has to wait is told at once that the server it waits for would not take it.
        if let Some(call) = self.calls.get(id).filter(|call| !call.was_sent()) {
            let size = typed::encode_request(&call.request).len();
            if size as u64 > self.message_limit {
                self.fail_as_too_large(id, size, effects);
            }
        }
    }

    /// Ends a subscription that its user gives up, also where it is still being made.
    pub(super) fn give_up(&mut self, subscription: SubscriptionId, failure: Failure, effects: &mut Effects) {
        if let Some(call) = self.calls.remove_subscribe(subscription) {
            effects.push(Effect::Complete(call.ticket, Err(failure)));
        }
        self.unsubscribe(subscription);
    }

    /// Forgets a subscription; the server is told when nobody else shares its target, or those who do want less.
    pub(super) fn unsubscribe(&mut self, subscription: SubscriptionId) {
        if let Some(target) = self.subscriptions.remove(subscription) {
            let wanted = self.subscriptions.wishes(&target);
            self.told.mark_stale(target, wanted);
        }
    }

    /// Its number is that of its request: calls are sent and sent again in the order of their requests.
    fn keyed(&self, publish: Publish) -> Publish {
        let number = || Key::Number { producer: self.producer.clone(), sequence: self.last_id + 1 };
        Publish { key: Some(publish.key.unwrap_or_else(number)), ..publish }
    }
}
