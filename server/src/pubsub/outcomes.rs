//! The outcome of joins and leaves in one turn: at most one announcement for each member of a topic.

use hubcast_protocol::{ClientId, Event, Topic};
use std::collections::HashMap;

/// Joins and leaves of one turn. A member that joined and left again, or left and came back, is where it was before:
/// nothing is announced. But if a `presence` request was answered in between, that answer is not true any more, and
/// the change is announced.
#[derive(Debug, Default)]
pub(super) struct Outcomes {
    by_member: HashMap<(Topic, ClientId), Outcome>,
    /// Number of joins and leaves so far; `answered` is that number at the last answer to `presence`.
    noted: u64,
    answered: u64,
}

/// The joins and leaves of one member in this turn.
#[derive(Debug)]
struct Outcome {
    /// Whether the first one was a join, so that the member was not there before.
    was_join: bool,
    /// The number of the first one.
    noted: u64,
    /// The notification that announces the outcome, by its number; none if there is nothing to announce.
    announced: Option<usize>,
}

/// What to announce after a join or a leave.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Announcement {
    /// The number of an earlier notification that is not to be sent, because this event came after it.
    pub(super) withdrawn: Option<usize>,
    /// Whether the new event is to be announced.
    pub(super) is_announced: bool,
}

impl Outcomes {
    /// Notes an event for many sessions. If it is announced, its notification gets this number.
    pub(super) fn note(&mut self, event: &Event, number: usize) -> Announcement {
        let (member, is_join) = match event {
            Event::Join(member) => (member, true),
            Event::Leave(member) => (member, false),
            _ => return Announcement { withdrawn: None, is_announced: true },
        };
        self.noted += 1;
        let first = Outcome { was_join: is_join, noted: self.noted, announced: None };
        let outcome = self.by_member.entry((member.topic.clone(), member.client)).or_insert(first);
        let is_announced = outcome.was_join == is_join || self.answered >= outcome.noted;
        let withdrawn = std::mem::replace(&mut outcome.announced, is_announced.then_some(number));
        Announcement { withdrawn, is_announced }
    }

    /// Notes that a `presence` request has been answered.
    pub(super) fn note_answer(&mut self) {
        self.answered = self.noted;
    }

    /// Removes everything, at the end of the turn.
    pub(super) fn clear(&mut self) {
        if self.noted > 0 {
            *self = Self::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hubcast_protocol::event::{Member, Present};
    use proptest::{collection::vec, prelude::*};
    use std::collections::BTreeSet;

    fn event(client: u8, is_join: bool) -> Event {
        let member = Member::new("room".into(), Present::new(ClientId::from_random([client; 16])));
        if is_join { Event::Join(member) } else { Event::Leave(member) }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Members 0 to 3 join and leave; step 4 is a `presence` request.
        #[test]
        fn each_member_is_announced_once_and_every_answer_and_what_follows_it_add_up(steps in vec(0..5u8, 0..40)) {
            let (mut outcomes, mut there, mut announced) = (Outcomes::default(), BTreeSet::from([0, 1]), Vec::new());
            let before = there.clone();
            // For each answer: the number of announcements before it, and the list that was answered.
            let mut answers = vec![(0, before)];
            for step in steps {
                if step == 4 {
                    outcomes.note_answer();
                    answers.push((announced.len(), there.clone()));
                    continue;
                }
                let is_join = there.insert(step) || !there.remove(&step);
                let Announcement { withdrawn, is_announced } = outcomes.note(&event(step, is_join), announced.len());
                if let Some(withdrawn) = withdrawn {
                    announced[withdrawn] = None;
                }
                if is_announced {
                    announced.push(Some((step, is_join)));
                }
            }
            let members: Vec<u8> = announced.iter().flatten().map(|(member, _)| *member).collect();
            prop_assert_eq!(members.len(), members.iter().collect::<BTreeSet<_>>().len(), "{:?}", announced);
            for (from, mut view) in answers {
                for (member, is_join) in announced[from..].iter().flatten() {
                    if *is_join { view.insert(*member) } else { view.remove(member) };
                }
                prop_assert_eq!(&view, &there, "after {} of {:?}", from, announced);
            }
        }
    }

    #[test]
    fn a_member_that_is_where_it_was_is_not_announced() {
        let mut outcomes = Outcomes::default();
        assert!(outcomes.note(&event(1, true), 0).is_announced);
        assert_eq!(outcomes.note(&event(1, false), 1), Announcement { withdrawn: Some(0), is_announced: false });
        assert_eq!(outcomes.note(&event(1, true), 1), Announcement { withdrawn: None, is_announced: true });
        outcomes.clear();
        assert!(outcomes.note(&event(1, false), 0).is_announced, "another turn");
    }
}
