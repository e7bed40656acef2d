//! What the server knows of this client's subscriptions, and which of it must be updated.

use hubcast_protocol::Target;
use hubcast_protocol::request::Slow;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// The options that were sent on this connection, by target.
#[derive(Debug, Default)]
pub(super) struct ServerView {
    options: HashMap<Target, SubscriptionOptions>,
    /// Targets that no subscription shares any more, or whose options have changed.
    outdated: BTreeSet<Target>,
    /// Targets that the operator has subscribed this connection to, and no subscription asked for.
    by_operator: BTreeSet<Target>,
    /// Updates for such targets that are not answered.
    asked: BTreeMap<u64, PendingUpdate>,
}

/// The options of all subscriptions that share a target, combined.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct SubscriptionOptions {
    pub(super) presence: bool,
    pub(super) slow: Slow,
}

/// An update that is not answered.
#[derive(Debug)]
struct PendingUpdate {
    target: Target,
    before: Option<SubscriptionOptions>,
    after: Option<SubscriptionOptions>,
}

impl ServerView {
    /// Records a subscribe with these options.
    pub(super) fn tell(&mut self, target: &Target, options: SubscriptionOptions) {
        self.options.insert(target.clone(), options);
    }

    /// The server has no subscription to the target any more, or never had one.
    pub(super) fn forget(&mut self, target: &Target) {
        self.options.remove(target);
        self.outdated.remove(target);
        self.by_operator.remove(target);
    }

    /// A subscription has left the target; `wanted` is what the others want, if there are any.
    pub(super) fn mark_stale(&mut self, target: Target, wanted: Option<SubscriptionOptions>) {
        if self.get(&target).is_some_and(|known| Some(known) != wanted) {
            self.outdated.insert(target);
        }
    }

    pub(super) fn next_outdated(&mut self) -> Option<Target> {
        self.outdated.pop_first()
    }

    /// The operator has subscribed this connection to a target.
    pub(super) fn subscribed_by_operator(&mut self, target: Target) {
        if self.get(&target).is_none() {
            self.by_operator.insert(target);
        }
    }

    /// Whether the server has a subscription to the target that no subscription here wants as it is: it is outdated, or
    /// the operator has made it. After this call that is no longer noted: the caller updates it in another way.
    pub(super) fn take_outdated(&mut self, target: &Target) -> bool {
        self.by_operator.remove(target) | self.outdated.remove(target)
    }

    /// Records an update with these options; with `None` it is an unsubscribe.
    pub(super) fn ask(&mut self, request: u64, target: Target, options: Option<SubscriptionOptions>) {
        let before = match options {
            Some(options) => self.options.insert(target.clone(), options),
            None => self.options.remove(&target),
        };
        self.asked.insert(request, PendingUpdate { target, before, after: options });
    }

    /// Forgets an update that the server has answered.
    pub(super) fn answered(&mut self, request: u64) {
        self.asked.remove(&request);
    }

    /// The server refused an update for a while: it must be sent again. `false` if `request` is no update.
    pub(super) fn defer(&mut self, request: u64) -> bool {
        let Some(PendingUpdate { target, before, after }) = self.asked.remove(&request) else { return false };
        if self.get(&target) == after {
            match before {
                Some(before) => _ = self.options.insert(target.clone(), before),
                None => _ = self.options.remove(&target),
            }
        }
        self.outdated.insert(target);
        true
    }

    pub(super) fn cut(&mut self) {
        *self = Self::default();
    }

    pub(super) fn get(&self, target: &Target) -> Option<SubscriptionOptions> {
        self.options.get(target).copied()
    }

    /// How many updates are not answered.
    pub(super) fn in_flight(&self) -> usize {
        self.asked.len()
    }
}
