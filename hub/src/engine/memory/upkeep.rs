//! The bounds of histories: their bytes and their age.

use super::{EXPIRY_SLACK, Memory};
use crate::sparse::release_map;
use hubcast_protocol::Topic;
use std::time::Instant;

/// What was dropped because all histories together were over their bound. What a rule's size or time drops does not
/// count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Evicted {
    /// Publications, including those of forgotten histories.
    pub publications: u64,
    /// Histories that were forgotten, with their epochs.
    pub histories: u64,
}

impl Memory {
    /// Called after a history was used. Updates its bytes, keeps all histories within their bound, and plans its next
    /// look-over.
    pub(super) fn account(&mut self, now: Instant, id: u32) {
        self.histories.touch(id);
        while self.histories.bytes() > self.most_bytes && self.evict(id) {}
        if self.histories.contains(id) {
            self.schedule_expiry(now, id);
        }
    }

    /// Drops one publication or one history, when all histories are over their bound. Returns whether there was one to
    /// drop.
    ///
    /// A topic's share is the bound divided by the number of histories, and at least `MIN_SHARE_BYTES`. The history
    /// furthest above its share is dropped from first. As all have the same share, this is the largest. While all
    /// together are over the bound, the largest takes more than that quotient, because the largest is never below the
    /// average. So whether it is above its share depends on the minimum alone, and there is no need to divide or to
    /// walk through the histories.
    fn evict(&mut self, just_used: u32) -> bool {
        if let Some(largest) = self.histories.largest() {
            self.evict_oldest_of(largest);
            return true;
        }
        let Some(unused) = self.histories.least_recently_used() else { return false };
        let history = self.histories.get(unused);
        // If the history has a subscriber, or a client is about to get its position, only publications go, and the
        // epoch stays.
        if history.in_use || (unused == just_used && !history.is_empty()) {
            self.evict_oldest_of(unused);
        } else {
            self.evicted.publications += history.len() as u64;
            self.evicted.histories += 1;
            self.forget(unused);
        }
        true
    }

    fn evict_oldest_of(&mut self, id: u32) {
        self.histories.get_mut(id).drop_oldest();
        self.histories.recount(id);
        self.evicted.publications += 1;
    }

    /// Looks over the histories that are due: drops publications that are too old, and forgets histories that no client
    /// can resume from. What is too much for one call, or what `has_subscribers` does not answer, stays due.
    pub(super) fn look_over(&mut self, now: Instant, has_subscribers: &mut dyn FnMut(&Topic) -> Option<bool>) {
        let mut may_drop = MAX_DROPPED;
        for _ in 0..MAX_EXPIRY_CHECKS {
            let Some(&(_, id)) = self.due.first().filter(|(at, _)| *at <= now) else { return };
            let size = self.size(now);
            let history = self.histories.get_mut(id);
            let dropped = history.trim_some(now, size, may_drop);
            self.dropped += dropped;
            may_drop -= usize::try_from(dropped.sum()).unwrap_or(may_drop);
            let history = self.histories.get_mut(id);
            let is_expired = if may_drop == 0 { None } else { history.is_expired(now, &mut *has_subscribers) };
            self.histories.recount(id);
            let Some(is_expired) = is_expired else { return };
            self.due.pop_first();
            self.histories.get_mut(id).take_expiry();
            if is_expired {
                self.forget(id);
            } else {
                self.schedule_expiry(now, id);
            }
        }
    }

    fn schedule_expiry(&mut self, now: Instant, id: u32) {
        if let Some(at) = self.histories.get_mut(id).schedule_expiry(now + EXPIRY_SLACK) {
            self.due.insert((at, id));
        }
    }

    pub(super) fn forget(&mut self, id: u32) {
        let history = self.histories.remove(id);
        if let Some(at) = history.expires_at() {
            self.due.remove(&(at, id));
        }
        self.by_topic.remove(history.topic());
        release_map(&mut self.by_topic);
    }
}

/// Most histories that one call looks over.
const MAX_EXPIRY_CHECKS: usize = 64;

/// Most publications that one call drops because of their age.
const MAX_DROPPED: usize = 4096;
