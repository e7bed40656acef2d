//! Requests that wait for a connection or for their answer.

use super::config::Config;
use super::connection_state::after;
use super::effect::{Answer, Failure};
use super::input::{SubscriptionId, Ticket};
use hubcast_protocol::request::{Action, Key, PRODUCER_WINDOW, Publish, Request};
use hubcast_protocol::{ErrorCode, Event, RequestId};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// Every command that needs an answer of the server and is not completed, by the id of its request.
///
/// A call stays here when its connection breaks, and is sent again on the next one. That is safe: reads change nothing,
/// a repeated subscribe has no effect, and a publish carries a key or a number. At most [`PRODUCER_WINDOW`] publishes
/// with a number are sent and not answered, which is as many numbers as the server remembers. So none of these numbers
/// is ever older than what the server remembers.
#[derive(Debug)]
pub(super) struct Calls {
    /// In the order of the commands. That is also the order of the deadlines, because all calls have the same timeout.
    open: BTreeMap<u64, Call>,
    /// Publishes without echo that were given up, and that this connection may still answer.
    silent: BTreeSet<u64>,
    /// How many publishes with a number were sent, on any connection, and are still in `open`.
    unanswered: usize,
    most: usize,
    timeout: Duration,
}

#[derive(Debug)]
pub(super) struct Call {
    pub(super) ticket: Ticket,
    pub(super) request: Request,
    /// The subscription that this call makes, if it is a first subscribe.
    pub(super) subscription: Option<SubscriptionId>,
    deadline: Instant,
    sent: Sent,
}

/// On which connections a call was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sent {
    Never,
    /// On this connection only.
    Here,
    /// On an earlier connection, where the server may have carried it out.
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

    /// The id of the first call after this id.
    pub(super) fn first_after(&self, id: u64) -> Option<u64> {
        self.open.range(id.saturating_add(1)..).next().map(|(id, _)| *id)
    }

    /// Records that the call is sent on this connection.
    pub(super) fn sent(&mut self, id: u64) {
        if let Some(call) = self.open.get_mut(&id).filter(|call| call.sent == Sent::Never) {
            call.sent = Sent::Here;
            self.unanswered += usize::from(call.is_numbered());
        }
    }

    /// Whether this call may be sent now: the server must still remember its number if it has to be sent again. That
    /// holds for a call that was sent before, because it is counted already.
    pub(super) fn may_be_sent(&self, id: u64) -> bool {
        self.unanswered < PRODUCER_WINDOW || self.get(id).is_some_and(|call| call.was_sent() || !call.is_numbered())
    }

    /// Removes the call that an event answers. `None` if no call has this id, or if the event does not fit its request.
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

    /// Removes the first subscribe of a subscription, if it is not answered yet.
    pub(super) fn remove_subscribe(&mut self, subscription: SubscriptionId) -> Option<Call> {
        let mut calls = self.open.iter();
        let (&id, _) = calls.find(|(_, call)| call.subscription == Some(subscription))?;
        self.open.remove(&id)
    }

    /// Removes the oldest call whose deadline has passed, and returns it with its id.
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

    /// Removes every read and ping that was sent. Called when an answer was too large: it is not known which request it
    /// answered.
    pub(super) fn take_questions(&mut self) -> Vec<Call> {
        let questions = self.open.extract_if(.., |_, call| {
            let is_question = matches!(call.request.action, Action::History(_) | Action::Presence(_) | Action::Ping);
            is_question && call.was_sent()
        });
        questions.map(|(_, call)| call).collect()
    }

    /// Whether `id` belongs to a publish without echo that was given up; forgets it.
    pub(super) fn take_silent(&mut self, id: &RequestId) -> bool {
        matches!(id, RequestId::Number(id) if self.silent.remove(id))
    }

    /// Called when the connection is gone: given-up publishes will not be answered, and calls that were sent may have
    /// been carried out.
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

    /// The key of a publish, for an error whose outcome is unknown.
    pub(super) fn into_key(self) -> Option<Key> {
        match self.request.action {
            Action::Publish(publish) => publish.key,
            _ => None,
        }
    }

    /// The result for a call that failed. It is `Uncertain` for a publish that an earlier connection may have carried
    /// to the server, and for one whose number the server has forgotten.
    pub(super) fn failed(self, failure: Failure) -> (Ticket, Result<Answer, Failure>) {
        let is_forgotten = matches!(&failure, Failure::Refused(refused) if refused.code == ErrorCode::SequenceTooOld);
        let (ticket, is_uncertain) = (self.ticket, self.sent == Sent::Before || is_forgotten);
        let failure = match self.into_key() {
            Some(key) if is_uncertain => Failure::Uncertain { why: Box::new(failure), key },
            _ => failure,
        };
        (ticket, Err(failure))
    }

    /// The result for a call that was not answered in time.
    pub(super) fn timed_out(self) -> (Ticket, Result<Answer, Failure>) {
        (self.ticket, Err(Failure::Timeout { key: self.into_key() }))
    }
}
