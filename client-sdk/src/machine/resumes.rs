//! The requests that resume subscriptions after a reconnect.

use super::input::SubscriptionId;
use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

/// The subscriptions that must be resumed, in groups of one request each, and the requests that are not answered.
#[derive(Debug, Default)]
pub(super) struct Resumes {
    waiting: VecDeque<Vec<SubscriptionId>>,
    /// Groups that the server refused for a while.
    defer: VecDeque<Vec<SubscriptionId>>,
    asked: BTreeMap<u64, Resume>,
}

/// One request that is not answered, for subscriptions to one target whose starts one request can cover.
#[derive(Debug)]
struct Resume {
    subscriptions: Vec<SubscriptionId>,
    deadline: Instant,
}

impl Resumes {
    /// A session begins; each of these groups must be resumed by one request.
    pub(super) fn begin(&mut self, waiting: Vec<Vec<SubscriptionId>>) {
        *self = Self { waiting: waiting.into(), ..Self::default() };
    }

    /// The next group that was not requested yet.
    pub(super) fn next(&mut self) -> Option<Vec<SubscriptionId>> {
        self.waiting.pop_front()
    }

    /// The next group that must be requested once more.
    pub(super) fn next_put_off(&mut self) -> Option<Vec<SubscriptionId>> {
        self.defer.pop_front()
    }

    /// Records a request for these subscriptions.
    pub(super) fn ask(&mut self, request: u64, subscriptions: Vec<SubscriptionId>, deadline: Instant) {
        self.asked.insert(request, Resume { subscriptions, deadline });
    }

    /// Forgets a request that is answered, and returns its subscriptions.
    pub(super) fn answered(&mut self, request: u64) -> Option<Vec<SubscriptionId>> {
        self.asked.remove(&request).map(|resume| resume.subscriptions)
    }

    /// Puts a refused group at the end; it is requested again later.
    pub(super) fn defer(&mut self, subscriptions: Vec<SubscriptionId>) {
        self.defer.push_back(subscriptions);
    }

    /// Puts a group at the front; it is requested again at once.
    pub(super) fn again(&mut self, subscriptions: Vec<SubscriptionId>) {
        self.waiting.push_front(subscriptions);
    }

    pub(super) fn cut(&mut self) {
        *self = Self::default();
    }

    /// Whether there are groups that were not requested yet.
    pub(super) fn are_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// The deadline of the oldest request.
    pub(super) fn timeout(&self) -> Option<Instant> {
        self.asked.first_key_value().map(|(_, resume)| resume.deadline)
    }
}
