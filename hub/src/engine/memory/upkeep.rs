//! Keeps histories within their bytes and within their time.

use super::{EXPIRY_SLACK, Memory};
use crate::sparse::release_map;
use hubcast_protocol::Topic;
use std::time::Instant;

/// What was dropped because all histories together took more than they may; what a rule's size or time drops is not
/// counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Evicted {
    /// Publications, those of forgotten histories among them.
    pub publications: u64,
    /// Histories that were forgotten with their epochs.
    pub histories: u64,
}

impl Memory {
    /// After a history was used: accounts for it, keeps all of them within bounds, and plans its next look-over.
    pub(super) fn account(&mut self, now: Instant, id: u32) {
        self.histories.touch(id);
        while self.histories.bytes() > self.most_bytes && self.evict(id) {}
        if self.histories.contains(id) {
            self.schedule_expiry(now, id);
        }
    }

    /// Drops what goes first where all histories take more than they may; says whether there was something to drop.
    ///
    /// A topic's share is what all may take, divided by the number of histories, and at least `MIN_SHARE_BYTES`. The
    /// one furthest above it goes first, which is the largest, as all have the same share. While all take more than
    /// they may, the largest takes more than that quotient: the largest is never below the average. So whether it is
    /// above its share depends on the minimum alone, and nothing has to be divided or walked through.
    fn evict(&mut self, just_used: u32) -> bool {
        if let Some(largest) = self.histories.largest() {
            self.evict_oldest_of(largest);
            return true;
        }
        let Some(unused) = self.histories.least_recently_used() else { return false };
        let history = self.histories.get(unused);
        // Where somebody listens, or a position is just being told, only publications go, and the epoch stays.
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

    /// Looks over histories whose time has come: drops what is too old, and forgets those that nobody could resume from
    /// any more. What is too much for one call, or what `has_subscribers` does not answer, stays due.
    pub(super) fn look_over(&mut self, now: Instant, has_subscribers: &mut dyn FnMut(&Topic) -> Option<bool>) {
        let mut may_drop = MAX_DROPPED;
        for _ in 0..MAX_EXPIRY_CHECKS {
            let Some(&(_, id)) = self.due.first().filter(|(at, _)| *at <= now) else { return };
            let size = self.size(now);
            let history = self.histories.get_mut(id);
            may_drop -= history.trim_some(now, size, may_drop);
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

    fn forget(&mut self, id: u32) {
        let history = self.histories.remove(id);
        if let Some(at) = history.expires_at() {
            self.due.remove(&(at, id));
        }
        self.by_topic.remove(history.topic());
        release_map(&mut self.by_topic);
    }
}

/// Histories that one call looks over.
const MAX_EXPIRY_CHECKS: usize = 64;

/// Publications that one call drops because their time is over.
const MAX_DROPPED: usize = 4096;
