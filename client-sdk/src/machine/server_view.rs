//! What the server knows of the program's wishes, and what it has to be told because they changed.

use hubcast_protocol::Target;
use hubcast_protocol::request::Slow;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// The wishes that were sent on this connection, target by target.
#[derive(Debug, Default)]
pub(super) struct ServerView {
    wishes: HashMap<Target, Wishes>,
    /// Nobody listens there any more, or those who do want something else.
    outdated: BTreeSet<Target>,
    /// Requests about such targets that are not answered.
    asked: BTreeMap<u64, PendingUpdate>,
}

/// What all who share a target want together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Wishes {
    pub(super) presence: bool,
    pub(super) slow: Slow,
}

/// A request that is to bring the server up to date.
#[derive(Debug)]
struct PendingUpdate {
    target: Target,
    before: Option<Wishes>,
    after: Option<Wishes>,
}

impl ServerView {
    /// A subscribe with these wishes was sent.
    pub(super) fn tell(&mut self, target: &Target, wishes: Wishes) {
        self.wishes.insert(target.clone(), wishes);
    }

    /// The server does not hold the target any more, or never did.
    pub(super) fn forget(&mut self, target: &Target) {
        self.wishes.remove(target);
        self.outdated.remove(target);
    }

    /// Somebody has left the target, and this is what the others want, if there are any.
    pub(super) fn mark_stale(&mut self, target: Target, wanted: Option<Wishes>) {
        if self.get(&target).is_some_and(|told| Some(told) != wanted) {
            self.outdated.insert(target);
        }
    }

    pub(super) fn next_outdated(&mut self) -> Option<Target> {
        self.outdated.pop_first()
    }

    /// Whether the server was to be told something about the target; then that is settled otherwise now.
    pub(super) fn take_outdated(&mut self, target: &Target) -> bool {
        self.outdated.remove(target)
    }

    /// A request with these wishes was sent; with `None` an unsubscribe.
    pub(super) fn ask(&mut self, request: u64, target: Target, wishes: Option<Wishes>) {
        let before = match wishes {
            Some(wishes) => self.wishes.insert(target.clone(), wishes),
            None => self.wishes.remove(&target),
        };
        self.asked.insert(request, PendingUpdate { target, before, after: wishes });
    }

    /// The server answered, whatever it was.
    pub(super) fn answered(&mut self, request: u64) {
        self.asked.remove(&request);
    }

    /// The server wants to be asked again later; says whether that was about a request of this kind.
    pub(super) fn defer(&mut self, request: u64) -> bool {
        let Some(PendingUpdate { target, before, after }) = self.asked.remove(&request) else { return false };
        if self.get(&target) == after {
            match before {
                Some(before) => _ = self.wishes.insert(target.clone(), before),
                None => _ = self.wishes.remove(&target),
            }
        }
        self.outdated.insert(target);
        true
    }

    pub(super) fn cut(&mut self) {
        *self = Self::default();
    }

    pub(super) fn get(&self, target: &Target) -> Option<Wishes> {
        self.wishes.get(target).copied()
    }

    /// How many requests are not answered.
    pub(super) fn in_flight(&self) -> usize {
        self.asked.len()
    }
}
