//! Deferred requests: they wait until their connection has taken earlier answers.
//!
//! Missed publications and presence lists do not count against the connection's outbox, so their bound is here. While
//! more than `outbox` bytes of them wait to be written, a connection that asks for more gets no answer and is not
//! read.

use crate::schedule::Item;
use hubcast_hub::Input;
use hubcast_protocol::request::{Action, Start};
use std::collections::{BTreeMap, HashMap, VecDeque};

/// By slot: the first request that has to wait, and everything that came after it. The connection is not read
/// meanwhile, so this is never more than what one read brought.
#[derive(Debug, Default)]
pub(super) struct DeferredRequests {
    by_slot: BTreeMap<u32, VecDeque<Item>>,
    /// By slot: the cost of the large answers that the connection has asked for since the last turn, in units of
    /// [`answer_cost`].
    asked: HashMap<u32, usize>,
}

impl DeferredRequests {
    /// Returns the item if it may take effect in the next turn. Otherwise the item is deferred.
    pub(super) fn admit(&mut self, slot: u32, item: Item, is_backlogged: impl Fn() -> bool) -> Option<Item> {
        if let Some(waiting) = self.by_slot.get_mut(&slot) {
            waiting.push_back(item);
            return None;
        }
        let share = answer_cost(&item);
        if share > 0 {
            let asked = self.asked.entry(slot).or_default();
            if *asked + share > MAX_ANSWERS_PER_TURN || is_backlogged() {
                self.by_slot.insert(slot, VecDeque::from([item]));
                return None;
            }
            *asked += share;
        }
        Some(item)
    }

    /// Called after a turn. Gives `admitted` the items that may take effect in the next turn, and calls `release` for
    /// each connection of which nothing is deferred any more.
    pub(super) fn end_turn(
        &mut self,
        mut admitted: impl FnMut(u32, Item),
        is_backlogged: impl Fn(u32) -> bool,
        mut release: impl FnMut(u32),
    ) {
        self.asked.clear();
        self.by_slot.retain(|&slot, waiting| {
            let mut asked = 0;
            while let Some(next) = waiting.front() {
                let share = answer_cost(next);
                if share > 0 && (asked + share > MAX_ANSWERS_PER_TURN || is_backlogged(slot)) {
                    return true;
                }
                asked += share;
                waiting.pop_front().into_iter().for_each(|item| admitted(slot, item));
            }
            release(slot);
            false
        });
    }

    /// Called when a connection is gone. Its deferred requests still take effect, except what concerns this connection
    /// alone: pongs, and requests for a large answer.
    pub(super) fn close(&mut self, slot: u32, admitted: impl FnMut(Item)) {
        let waiting = self.by_slot.remove(&slot).into_iter().flatten();
        waiting.filter(|item| matches!(item, Item::Input(_)) && answer_cost(item) == 0).for_each(admitted);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_slot.is_empty()
    }

    /// Whether any request of a connection is deferred.
    pub(super) fn has(&self, slot: u32) -> bool {
        self.by_slot.contains_key(&slot)
    }
}

/// Cost of a large answer that an item asks for; 0 if its answer is small. A connection may spend
/// [`MAX_ANSWERS_PER_TURN`] in a turn.
fn answer_cost(item: &Item) -> usize {
    let Item::Input(Input::Request { request: Ok(request), .. }) = item else { return 0 };
    match &request.action {
        Action::Subscribe(subscribe) if subscribe.start != Start::Live => 1,
        // A replay is encoded in parts, as the socket takes it; but all bytes of a history's answer are counted at
        // once, and all of a presence list are encoded at once: up to a kilobyte and a quarter for each member.
        Action::History(_) | Action::Presence(_) => MAX_ANSWERS_PER_TURN,
        _ => 0,
    }
}

/// Large answers that one connection gets in one turn, at most.
const MAX_ANSWERS_PER_TURN: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use hubcast_hub::SessionId;
    use hubcast_protocol::typed;

    fn input(text: &str) -> Item {
        Item::Input(Input::Request { session: SessionId(1), request: typed::decode(text) })
    }

    /// What may take effect in the next turn. `is_backlogged` says which connections have not taken their earlier
    /// answers.
    fn next_turn(deferred: &mut DeferredRequests, is_backlogged: impl Fn(u32) -> bool) -> (Vec<Item>, Vec<u32>) {
        let (mut items, mut released) = (Vec::new(), Vec::new());
        deferred.end_turn(|_, item| items.push(item), is_backlogged, |slot| released.push(slot));
        (items, released)
    }

    fn past() -> Item {
        input(r#"{"action":"subscribe","topic":"t","last":1}"#)
    }

    fn live() -> Item {
        input(r#"{"action":"publish","topic":"t"}"#)
    }

    #[test]
    fn who_asks_for_more_than_it_has_taken_waits_with_all_that_follows() {
        let mut deferred = DeferredRequests::default();
        assert!(deferred.admit(1, past(), || false).is_some());
        assert!(deferred.admit(1, live(), || true).is_some());
        assert!(deferred.admit(1, past(), || true).is_none());
        assert!(deferred.admit(1, live(), || true).is_none());
        assert!(deferred.admit(2, past(), || false).is_some(), "another connection has taken all");

        let (items, released) = next_turn(&mut deferred, |_| true);
        assert!(items.is_empty() && released.is_empty() && !deferred.is_empty());
        let (items, released) = next_turn(&mut deferred, |_| false);
        assert_eq!((items.len(), released), (2, vec![1]));
        assert!(deferred.is_empty());
    }

    #[test]
    fn only_so_many_replays_are_made_for_one_connection_in_a_turn() {
        let mut deferred = DeferredRequests::default();
        let at_once = (0..10).filter(|_| deferred.admit(1, past(), || false).is_some()).count();
        assert_eq!(at_once, MAX_ANSWERS_PER_TURN);
        let mut turns = Vec::new();
        while !deferred.is_empty() {
            turns.push(next_turn(&mut deferred, |_| false).0.len());
        }
        assert_eq!(turns, [4, 2]);
    }

    #[test]
    fn a_history_and_a_list_of_members_are_answered_alone() {
        let history = || input(r#"{"id":1,"action":"history","topic":"t"}"#);
        let presence = || input(r#"{"id":1,"action":"presence","topic":"t"}"#);
        let mut deferred = DeferredRequests::default();
        assert!(deferred.admit(1, history(), || false).is_some());
        for blocked in [past(), past(), history(), presence()] {
            assert!(deferred.admit(1, blocked, || false).is_none());
        }
        let mut turns = Vec::new();
        while !deferred.is_empty() {
            turns.push(next_turn(&mut deferred, |_| false).0.len());
        }
        assert_eq!(turns, [2, 1, 1]);
    }

    #[test]
    fn a_pong_waits_behind_what_came_before_its_ping() {
        let pong = || Item::Pong(Bytes::from_static(b"pong"));
        let mut deferred = DeferredRequests::default();
        assert!(deferred.admit(1, pong(), || true).is_some(), "nothing waits");
        assert!(deferred.admit(1, past(), || true).is_none());
        assert!(deferred.admit(1, pong(), || false).is_none());
        assert!(deferred.admit(2, pong(), || false).is_some(), "another connection");

        assert!(next_turn(&mut deferred, |_| true).0.is_empty());
        let items = next_turn(&mut deferred, |_| false).0;
        assert!(matches!(&items[..], [Item::Input(_), Item::Pong(_)]), "{items:?}");
    }

    #[test]
    fn what_waits_of_a_connection_that_is_gone_takes_effect_without_the_past() {
        let mut deferred = DeferredRequests::default();
        for blocked in [past(), live(), Item::Pong(Bytes::new())] {
            assert!(deferred.admit(1, blocked, || true).is_none());
        }
        let mut items = Vec::new();
        deferred.close(1, |item| items.push(item));
        assert!(matches!(&items[..], [only] if answer_cost(only) == 0), "{items:?}");
        assert!(deferred.is_empty());
    }
}
