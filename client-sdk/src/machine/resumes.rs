//! The requests that bring subscriptions back after a reconnect.

use super::input::SubscriptionId;
use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

/// What is to be resumed, and what the server has been asked to resume.
#[derive(Debug, Default)]
pub(super) struct Resumes {
    waiting: VecDeque<Vec<SubscriptionId>>,
    /// What the server could not take for a while.
    defer: VecDeque<Vec<SubscriptionId>>,
    asked: BTreeMap<u64, Resume>,
}

/// One request that brings back subscriptions which stood at the same place.
#[derive(Debug)]
struct Resume {
    subscriptions: Vec<SubscriptionId>,
    deadline: Instant,
}

impl Resumes {
    /// A session begins in which all of these are to be resumed, those of one request together.
    pub(super) fn begin(&mut self, waiting: Vec<Vec<SubscriptionId>>) {
        *self = Self { waiting: waiting.into(), ..Self::default() };
    }

    /// The next to be asked for that was not refused yet.
    pub(super) fn next(&mut self) -> Option<Vec<SubscriptionId>> {
        self.waiting.pop_front()
    }

    /// The next to be asked for once more.
    pub(super) fn next_put_off(&mut self) -> Option<Vec<SubscriptionId>> {
        self.defer.pop_front()
    }

    /// Remembers that a request for these was sent.
    pub(super) fn ask(&mut self, request: u64, subscriptions: Vec<SubscriptionId>, deadline: Instant) {
        self.asked.insert(request, Resume { subscriptions, deadline });
    }

    /// Takes out those whose request the server has answered.
    pub(super) fn answered(&mut self, request: u64) -> Option<Vec<SubscriptionId>> {
        self.asked.remove(&request).map(|resume| resume.subscriptions)
    }

    /// These are asked for again later, after all others.
    pub(super) fn defer(&mut self, subscriptions: Vec<SubscriptionId>) {
        self.defer.push_back(subscriptions);
    }

    pub(super) fn cut(&mut self) {
        *self = Self::default();
    }

    /// Whether some have not been asked for at all.
    pub(super) fn are_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// By when the server has to have answered the oldest request.
    pub(super) fn timeout(&self) -> Option<Instant> {
        self.asked.first_key_value().map(|(_, resume)| resume.deadline)
    }
}
