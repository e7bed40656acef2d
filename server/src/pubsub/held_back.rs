//! Requests that wait until their connection has taken what it asked for before.
//!
//! What a session missed, and a list of who is there, do not count against what may wait for it, so the bound is here:
//! while a megabyte of it waits to be written, who asks for more is neither answered nor read.

use bytes::Bytes;
use hubcast_hub::Input;
use hubcast_protocol::request::{Action, Start};
use std::collections::{HashMap, VecDeque};

/// By slot, all that came behind the first request that has to wait. No more is read meanwhile, so that this is never
/// more than one read brought.
#[derive(Debug, Default)]
pub(super) struct HeldBack {
    by_slot: HashMap<u32, VecDeque<Waiting>>,
    /// What a connection has asked for since the last turn that is large.
    asked: HashMap<u32, usize>,
}

#[derive(Debug)]
enum Waiting {
    Input(Input),
    /// The answer to a ping that came behind requests.
    Pong(Bytes),
}

impl HeldBack {
    /// Gives an input back that may be performed in the next turn; any other waits.
    pub(super) fn admit(&mut self, slot: u32, input: Input, is_backlogged: impl Fn() -> bool) -> Option<Input> {
        if let Some(waiting) = self.by_slot.get_mut(&slot) {
            waiting.push_back(Waiting::Input(input));
            return None;
        }
        let share = share_of_turn(&input);
        if share > 0 {
            let asked = self.asked.entry(slot).or_default();
            if *asked + share > IN_A_TURN || is_backlogged() {
                self.by_slot.insert(slot, VecDeque::from([Waiting::Input(input)]));
                return None;
            }
            *asked += share;
        }
        Some(input)
    }

    /// Gives a pong back that may be sent after the next turn; one behind something that waits, waits too.
    pub(super) fn admit_pong(&mut self, slot: u32, pong: Bytes) -> Option<Bytes> {
        let Some(waiting) = self.by_slot.get_mut(&slot) else { return Some(pong) };
        waiting.push_back(Waiting::Pong(pong));
        None
    }

    /// After a turn: moves what may be performed in the next one to `inputs`, the pongs between them to `pongs`, and
    /// tells `release` of the connections of which nothing waits any more.
    pub(super) fn end_turn(
        &mut self,
        inputs: &mut Vec<Input>,
        pongs: &mut Vec<(u32, Bytes)>,
        is_backlogged: impl Fn(u32) -> bool,
        mut release: impl FnMut(u32),
    ) {
        self.asked.clear();
        self.by_slot.retain(|&slot, waiting| {
            let mut asked = 0;
            while let Some(next) = waiting.front() {
                let share = next.share_of_turn();
                if share > 0 && (asked + share > IN_A_TURN || is_backlogged(slot)) {
                    return true;
                }
                asked += share;
                match waiting.pop_front() {
                    Some(Waiting::Input(input)) => inputs.push(input),
                    Some(Waiting::Pong(pong)) => pongs.push((slot, pong)),
                    None => {}
                }
            }
            release(slot);
            false
        });
    }

    /// A connection is gone: what it asked for still takes effect, but for what it alone would have heard of.
    pub(super) fn close(&mut self, slot: u32, inputs: &mut Vec<Input>) {
        let waiting = self.by_slot.remove(&slot).into_iter().flatten();
        inputs.extend(waiting.filter_map(|waiting| match waiting {
            Waiting::Input(input) if share_of_turn(&input) == 0 => Some(input),
            Waiting::Input(_) | Waiting::Pong(_) => None,
        }));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_slot.is_empty()
    }

    /// Whether something of a connection waits.
    pub(super) fn has(&self, slot: u32) -> bool {
        self.by_slot.contains_key(&slot)
    }
}

impl Waiting {
    fn share_of_turn(&self) -> usize {
        match self {
            Self::Input(input) => share_of_turn(input),
            Self::Pong(_) => 0,
        }
    }
}

/// How much of what a connection may ask for in a turn an input takes, because its answer may be large.
fn share_of_turn(input: &Input) -> usize {
    let Input::Request { request: Ok(request), .. } = input else { return 0 };
    match &request.action {
        Action::Subscribe(subscribe) if subscribe.start != Start::Live => 1,
        Action::Presence(_) => 1,
        // A replay is encoded by and by, this at once.
        Action::History(_) => IN_A_TURN,
        _ => 0,
    }
}

/// Large answers that one connection gets in a turn.
const IN_A_TURN: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use hubcast_hub::SessionId;
    use hubcast_protocol::typed;

    fn input(text: &str) -> Input {
        Input::Request { session: SessionId(1), request: typed::decode(text) }
    }

    fn past() -> Input {
        input(r#"{"action":"subscribe","topic":"t","last":1}"#)
    }

    fn live() -> Input {
        input(r#"{"action":"publish","topic":"t"}"#)
    }

    #[test]
    fn who_asks_for_more_than_it_has_taken_waits_with_all_that_follows() {
        let mut held = HeldBack::default();
        assert!(held.admit(1, past(), || false).is_some());
        assert!(held.admit(1, live(), || true).is_some());
        assert!(held.admit(1, past(), || true).is_none());
        assert!(held.admit(1, live(), || true).is_none());
        assert!(held.admit(2, past(), || false).is_some(), "another connection has taken all");

        let (mut inputs, mut released) = (Vec::new(), Vec::new());
        held.end_turn(&mut inputs, &mut Vec::new(), |_| true, |slot| released.push(slot));
        assert!(inputs.is_empty() && released.is_empty() && !held.is_empty());
        held.end_turn(&mut inputs, &mut Vec::new(), |_| false, |slot| released.push(slot));
        assert_eq!((inputs.len(), released), (2, vec![1]));
        assert!(held.is_empty());
    }

    #[test]
    fn only_so_many_replays_are_made_for_one_connection_in_a_turn() {
        let mut held = HeldBack::default();
        let at_once = (0..10).filter(|_| held.admit(1, past(), || false).is_some()).count();
        assert_eq!(at_once, IN_A_TURN);
        let mut turns = Vec::new();
        while !held.is_empty() {
            let mut inputs = Vec::new();
            held.end_turn(&mut inputs, &mut Vec::new(), |_| false, |_| {});
            turns.push(inputs.len());
        }
        assert_eq!(turns, [4, 2]);
    }

    #[test]
    fn a_history_is_answered_alone() {
        let history = || input(r#"{"id":1,"action":"history","topic":"t"}"#);
        let presence = || input(r#"{"id":1,"action":"presence","topic":"t"}"#);
        let mut held = HeldBack::default();
        assert!(held.admit(1, history(), || false).is_some());
        for waits in [presence(), presence(), history(), presence()] {
            assert!(held.admit(1, waits, || false).is_none());
        }
        let mut turns = Vec::new();
        while !held.is_empty() {
            let mut inputs = Vec::new();
            held.end_turn(&mut inputs, &mut Vec::new(), |_| false, |_| {});
            turns.push(inputs.len());
        }
        assert_eq!(turns, [2, 1, 1]);
    }

    #[test]
    fn a_pong_waits_behind_what_came_before_its_ping() {
        let pong = Bytes::from_static(b"pong");
        let mut held = HeldBack::default();
        assert_eq!(held.admit_pong(1, pong.clone()), Some(pong.clone()), "nothing waits");
        assert!(held.admit(1, past(), || true).is_none());
        assert_eq!(held.admit_pong(1, pong.clone()), None);
        assert_eq!(held.admit_pong(2, pong.clone()), Some(pong.clone()), "another connection");

        let (mut inputs, mut pongs) = (Vec::new(), Vec::new());
        held.end_turn(&mut inputs, &mut pongs, |_| true, |_| {});
        assert!(pongs.is_empty());
        held.end_turn(&mut inputs, &mut pongs, |_| false, |_| {});
        assert_eq!((inputs.len(), pongs), (1, vec![(1, pong)]));
    }

    #[test]
    fn what_waits_of_a_connection_that_is_gone_takes_effect_without_the_past() {
        let mut held = HeldBack::default();
        assert!(held.admit(1, past(), || true).is_none());
        assert!(held.admit(1, live(), || true).is_none());
        assert!(held.admit_pong(1, Bytes::new()).is_none());
        let mut inputs = Vec::new();
        held.close(1, &mut inputs);
        assert!(matches!(&inputs[..], [only] if share_of_turn(only) == 0), "{inputs:?}");
        assert!(held.is_empty());
    }
}
