//! Requests that wait for a connection or for their answer.

use super::config::Config;
use super::connection_state::after;
use super::effect::{Answer, Failure};
use super::input::{SubscriptionId, Ticket};
use hubcast_protocol::request::{Action, Key, PRODUCER_WINDOW, Publish, Request};
use hubcast_protocol::{ErrorCode, Event, RequestId};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// Every command that is not completed yet and needs an answer of the server, by the id of its request.
///
/// A call stays here when its connection breaks, and is sent again on the next one: reads change nothing, a
/// subscribe is the same as once, and a publish carries its key or number. Of those with a number as many are sent at most
/// as the server remembers: so none of them is ever below what it knows.
#[derive(Debug)]
pub(super) struct Calls {
    /// In the order of the commands, which is also that of the deadlines: all wait equally long.
    open: BTreeMap<u64, Call>,
    /// Publishes that were given up while this connection may still answer them, of those that do not come back to us.
    silent: BTreeSet<u64>,
    /// Publishes with a number that were sent, on whatever connection, and are still here.
    unanswered: usize,
    most: usize,
    timeout: Duration,
}

#[derive(Debug)]
pub(super) struct Call {
    pub(super) ticket: Ticket,
    pub(super) request: Request,
    /// Whose first subscribe this is.
    pub(super) subscription: Option<SubscriptionId>,
    deadline: Instant,
    sent: Sent,
}

/// On which connections a call was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sent {
    Never,
    /// On this one and on none before.
    Here,
    /// On an earlier one, which may have carried it to its end.
    Before,
}

impl Calls {
    pub(super) fn new(config: &Config) -> Self {
        let (open, silent) = (BTreeMap::new(), BTreeSet::new());
        Self { open, silent, unanswered: 0, most: config.queue, timeout: config.request_timeout }
    }

    pub(super) fn insert(
        &mut self,
        now: Instant,
        id: u64,
        ticket: Ticket,
        action: Action,
        subscription: Option<SubscriptionId>,
    ) {
        let request = Request::new(RequestId::Number(id), action);
        self.open
            .insert(id, Call { ticket, request, subscription, deadline: after(now, self.timeout), sent: Sent::Never });
    }

    pub(super) fn get(&self, id: u64) -> Option<&Call> {
        self.open.get(&id)
    }

    /// The first call with a greater id than this.
    pub(super) fn first_after(&self, id: u64) -> Option<u64> {
        self.open.range(id.saturating_add(1)..).next().map(|(id, _)| *id)
    }

    /// It is sent on this connection.
    pub(super) fn sent(&mut self, id: u64) {
        if let Some(call) = self.open.get_mut(&id).filter(|call| call.sent == Sent::Never) {
            call.sent = Sent::Here;
            self.unanswered += usize::from(call.is_numbered());
        }
    }

    /// Whether the server will still know this publish when it has to be sent again. One that was sent before, it does.
    pub(super) fn may_be_sent(&self, id: u64) -> bool {
        self.unanswered < PRODUCER_WINDOW || self.get(id).is_some_and(|call| call.was_sent() || !call.is_numbered())
    }

    /// Takes the call out that an event answers; `None` when nothing, or something else, was asked with this id.
    pub(super) fn answered(&mut self, id: &RequestId, answer: &Event) -> Option<Call> {
        let RequestId::Number(id) = id else { return None };
        let fits = match (&self.open.get(id)?.request.action, answer) {
            (Action::Subscribe(asked), Event::Subscribed(reply)) => asked.target == reply.about.clone().into(),
            (Action::Publish(_), Event::Published(_))
            | (Action::History(_), Event::History(_))
            | (Action::Presence(_), Event::Presence(_))
            | (Action::Ping, Event::Pong(_))
            | (_, Event::Error(_)) => true,
            _ => false,
        };
        if fits { self.remove(*id) } else { None }
    }

    pub(super) fn remove(&mut self, id: u64) -> Option<Call> {
        let call = self.open.remove(&id)?;
        self.unanswered -= usize::from(call.was_sent() && call.is_numbered());
        Some(call)
    }

    /// Takes out the first subscribe of a subscription, if it is still under way.
    pub(super) fn remove_subscribe(&mut self, subscription: SubscriptionId) -> Option<Call> {
        let mut calls = self.open.iter();
        let (&id, _) = calls.find(|(_, call)| call.subscription == Some(subscription))?;
        self.open.remove(&id)
    }

    /// Takes out the oldest call, with its id, if it has waited long enough.
    pub(super) fn expired(&mut self, now: Instant) -> Option<(u64, Call)> {
        let (&id, _) = self.open.first_key_value().filter(|(_, oldest)| oldest.deadline <= now)?;
        let call = self.remove(id)?;
        if matches!(&call.request.action, Action::Publish(publish) if !publish.echo) {
            self.silent.insert(id);
            if self.silent.len() > self.most {
                self.silent.pop_first();
            }
        }
        Some((id, call))
    }

    /// Takes out every question that was sent: the answer to one of them cannot be taken, nobody knows to which.
    pub(super) fn take_questions(&mut self) -> Vec<Call> {
        let questions = self.open.extract_if(.., |_, call| {
            let is_question = matches!(call.request.action, Action::History(_) | Action::Presence(_) | Action::Ping);
            is_question && call.was_sent()
        });
        questions.map(|(_, call)| call).collect()
    }

    /// Whether this answers a publish that was given up and does not come back to us.
    pub(super) fn take_silent(&mut self, id: &RequestId) -> bool {
        matches!(id, RequestId::Number(id) if self.silent.remove(id))
    }

    /// The connection is gone: what was given up is not answered any more, and what was sent may have been done.
    pub(super) fn cut(&mut self) {
        self.silent.clear();
        for call in self.open.values_mut().filter(|call| call.sent == Sent::Here) {
            call.sent = Sent::Before;
        }
    }

    pub(super) fn take_all(&mut self) -> impl Iterator<Item = Call> + use<> {
        self.unanswered = 0;
        std::mem::take(&mut self.open).into_values()
    }

    pub(super) fn subscriptions(&self) -> Vec<SubscriptionId> {
        self.open.values().filter_map(|call| call.subscription).collect()
    }

    pub(super) fn timeout(&self) -> Option<Instant> {
        self.open.first_key_value().map(|(_, call)| call.deadline)
    }

    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    pub(super) fn is_full(&self) -> bool {
        self.open.len() >= self.most
    }
}

impl Call {
    /// Whether it was sent, on this connection or on an earlier one.
    pub(super) fn was_sent(&self) -> bool {
        self.sent != Sent::Never
    }

    fn is_numbered(&self) -> bool {
        matches!(&self.request.action, Action::Publish(Publish { key: Some(Key::Number { .. }), .. }))
    }

    /// The key of a publish, to be handed back when nobody knows whether it happened.
    pub(super) fn into_key(self) -> Option<Key> {
        match self.request.action {
            Action::Publish(publish) => publish.key,
            _ => None,
        }
    }

    /// What the program is told when the call failed: of a publication that an earlier connection may have carried to
    /// the server, that nobody knows. Nor does the server of one whose number it has forgotten.
    pub(super) fn failed(self, failure: Failure) -> (Ticket, Result<Answer, Failure>) {
        let is_forgotten = matches!(&failure, Failure::Refused(refused) if refused.code == ErrorCode::SequenceTooOld);
        let (ticket, is_uncertain) = (self.ticket, self.sent == Sent::Before || is_forgotten);
        let failure = match self.into_key() {
            Some(key) if is_uncertain => Failure::Uncertain { why: Box::new(failure), key },
            _ => failure,
        };
        (ticket, Err(failure))
    }

    /// What the program is told when no answer came.
    pub(super) fn timed_out(self) -> (Ticket, Result<Answer, Failure>) {
        (self.ticket, Err(Failure::Timeout { key: self.into_key() }))
    }
}
