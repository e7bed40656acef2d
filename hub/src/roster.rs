//! Who listens where: one roster for each topic or pattern in use.
//!
//! A roster and a session point at each other by index, so that joining, leaving and disconnecting cost what the
//! session itself has and never a walk over others.

mod listing;

pub(crate) use listing::Listing;

use crate::session::{Seat, Session};
use crate::sparse::{release_list, release_slab};
use crate::{Receiver, SessionId};
use hubcast_protocol::{Slow, Topic};
use slab::Slab;

/// All sessions and all rosters, kept consistent with each other.
#[derive(Debug, Default)]
pub(crate) struct Rosters {
    pub(crate) sessions: Slab<Session>,
    /// Boxed, because a slab stays as large as it ever was.
    rosters: Slab<Box<Roster>>,
    deliveries: u64,
    /// Counts every change of any roster.
    changes: u64,
    /// The last one of a pattern's roster.
    pattern_change: u64,
}

/// Who listens to one topic or pattern.
#[derive(Debug)]
struct Roster {
    of: Place,
    members: Vec<Member>,
    /// The number of its last change, which no other change of any roster has.
    version: u64,
}

/// What a roster is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Topic(Topic),
    /// A node of the pattern trie.
    Pattern(u32),
    /// Those who are told who comes to a topic and goes.
    Presence(Topic),
}

/// One session in a roster. Sixteen bytes or fewer: a fan-out reads nothing but these.
#[derive(Clone, Copy, Debug)]
struct Member {
    id: SessionId,
    session: u32,
    /// Its place in the session's list.
    seat: u32,
    slow: Slow,
}

impl Rosters {
    /// Opens a roster without members; it is the caller's to close it when the last one leaves.
    pub(crate) fn open(&mut self, of: Place) -> u32 {
        let roster = index(self.rosters.insert(Box::new(Roster { of, members: Vec::new(), version: 0 })));
        self.note_change(roster);
        roster
    }

    /// A number that stays the same as long as the roster has the same members with the same wishes in the same order, and
    /// that no other roster ever has.
    pub(crate) fn version(&self, roster: u32) -> u64 {
        self.rosters[roster as usize].version
    }

    /// A number that stays the same as long as this is so of the rosters of all patterns.
    pub(crate) fn pattern_version(&self) -> u64 {
        self.pattern_change
    }

    /// Whether the session is in the roster, by looking through the shorter of their lists.
    pub(crate) fn has(&self, roster: u32, session: u32) -> bool {
        self.seat(roster, session).is_some()
    }

    /// How many entries are looked through to find a session in a roster.
    pub(crate) fn cost_to_find(&self, roster: u32, session: u32) -> usize {
        let seats = &self.sessions[session as usize].subscriptions;
        seats.len().min(self.count(roster))
    }

    /// Puts a session, which is not in it yet, into the roster.
    pub(crate) fn join(&mut self, roster: u32, session: u32, slow: Slow) {
        let theirs = &mut self.sessions[session as usize];
        let members = &mut self.rosters[roster as usize].members;
        // Most sessions and most topics have one subscription: no room for four.
        reserve_first(members);
        reserve_first(&mut theirs.subscriptions);
        members.push(Member { id: theirs.id, session, seat: index(theirs.subscriptions.len()), slow });
        theirs.subscriptions.push(Seat { roster, index: index(members.len() - 1) });
        self.note_change(roster);
    }

    /// Takes a session out of a roster; says what the roster was for when it was the last one there.
    pub(crate) fn leave(&mut self, roster: u32, session: u32) -> Option<Place> {
        let seat = self.seat(roster, session)?;
        self.vacate(session, seat)
    }

    /// Takes a session out of the roster it joined last; `None` when it is in none.
    pub(crate) fn leave_any(&mut self, session: u32) -> Option<Option<Place>> {
        let seat = self.sessions[session as usize].subscriptions.len().checked_sub(1)?;
        Some(self.vacate(session, seat))
    }

    /// Lists every member of these rosters once, as it is in the first that it is in, except one session; says how many it
    /// has looked at.
    pub(crate) fn list(&mut self, rosters: &[u32], except: Option<u32>, list: &mut Vec<Receiver>) -> usize {
        if let [only] = rosters {
            let members = &self.rosters[*only as usize].members;
            let heard = members.iter().filter(|member| Some(member.session) != except);
            list.extend(heard.map(|member| Receiver { session: member.id, slow: member.slow }));
            return members.len();
        }
        self.deliveries += 1;
        for roster in rosters {
            for member in &self.rosters[*roster as usize].members {
                let session = &mut self.sessions[member.session as usize];
                if session.listed_in != self.deliveries && Some(member.session) != except {
                    session.listed_in = self.deliveries;
                    list.push(Receiver { session: member.id, slow: member.slow });
                }
            }
        }
        rosters.iter().map(|roster| self.cost_of(*roster)).sum()
    }

    /// Whether to list the members of these rosters, of which there are several, takes a look at more than `most` members.
    pub(crate) fn are_more_than(&self, most: usize, rosters: impl Iterator<Item = u32>) -> bool {
        let costs = rosters.scan(0, |sum, roster| {
            *sum += self.cost_of(roster);
            Some(*sum)
        });
        costs.skip(1).any(|sum| sum > most)
    }

    /// Members that it costs as much to look at as at those of this roster.
    fn cost_of(&self, roster: u32) -> usize {
        self.count(roster) + OPENED
    }

    /// Changes what a member wants when it cannot keep up; says whether the session is a member.
    pub(crate) fn update(&mut self, roster: u32, session: u32, slow: Slow) -> bool {
        let Some(seat) = self.seat(roster, session) else { return false };
        let place = self.sessions[session as usize].subscriptions[seat].index;
        let member = &mut self.rosters[roster as usize].members[place as usize];
        if std::mem::replace(&mut member.slow, slow) != slow {
            self.note_change(roster);
        }
        true
    }

    /// What the rosters are for that a session is in.
    pub(crate) fn places(&self, session: u32) -> impl Iterator<Item = &Place> {
        let seats = self.sessions[session as usize].subscriptions.iter();
        seats.map(|seat| &self.rosters[seat.roster as usize].of)
    }

    /// Whether a session listens somewhere, and wherever it does something may be left out.
    pub(crate) fn may_lag(&self, session: u32) -> bool {
        let seats = self.sessions[session as usize].subscriptions.iter();
        let rosters = seats.map(|seat| (&self.rosters[seat.roster as usize], seat.index));
        let mut listens = rosters.filter(|(roster, _)| !matches!(roster.of, Place::Presence(_))).peekable();
        listens.peek().is_some()
            && listens.all(|(roster, index)| roster.members[index as usize].slow != Slow::Disconnect)
    }

    /// How many members a roster has.
    pub(crate) fn count(&self, roster: u32) -> usize {
        self.rosters[roster as usize].members.len()
    }

    /// The members of a roster.
    pub(crate) fn members(&self, roster: u32) -> impl Iterator<Item = &Session> {
        self.rosters[roster as usize].members.iter().map(|member| &self.sessions[member.session as usize])
    }

    /// How many rosters are open.
    pub(crate) fn len(&self) -> usize {
        self.rosters.len()
    }

    fn note_change(&mut self, roster: u32) {
        self.changes += 1;
        let roster = &mut self.rosters[roster as usize];
        roster.version = self.changes;
        if matches!(roster.of, Place::Pattern(_)) {
            self.pattern_change = self.changes;
        }
    }

    fn seat(&self, roster: u32, session: u32) -> Option<usize> {
        let seats = &self.sessions[session as usize].subscriptions;
        let members = &self.rosters[roster as usize].members;
        if seats.len() <= members.len() {
            seats.iter().position(|seat| seat.roster == roster)
        } else {
            members.iter().find(|member| member.session == session).map(|member| member.seat as usize)
        }
    }

    /// Empties one seat of a session. The last seat and the last member each move into the gap.
    fn vacate(&mut self, session: u32, seat: usize) -> Option<Place> {
        let seats = &mut self.sessions[session as usize].subscriptions;
        let left = seats.swap_remove(seat);
        if let Some(moved) = seats.get(seat) {
            self.rosters[moved.roster as usize].members[moved.index as usize].seat = index(seat);
        }
        release_list(seats);
        let members = &mut self.rosters[left.roster as usize].members;
        members.swap_remove(left.index as usize);
        if let Some(moved) = members.get(left.index as usize) {
            self.sessions[moved.session as usize].subscriptions[moved.seat as usize].index = left.index;
        }
        release_list(members);
        if !members.is_empty() {
            self.note_change(left.roster);
            return None;
        }
        let of = self.rosters.remove(left.roster as usize).of;
        release_slab(&mut self.rosters);
        Some(of)
    }
}

/// A slab's key as the four bytes in which it is kept.
pub(crate) fn index(key: usize) -> u32 {
    u32::try_from(key).expect("a process has fewer than 2^32 sessions, topics and patterns")
}

fn reserve_first<T>(list: &mut Vec<T>) {
    if list.is_empty() {
        list.reserve_exact(1);
    }
}

/// Members that it costs as much to look at as to find the roster they are in.
const OPENED: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use hubcast_protocol::ClientId;
    use proptest::{collection::vec, prelude::*};

    fn with_sessions(count: u8) -> Rosters {
        let mut rosters = Rosters::default();
        for number in 0..count {
            let client = ClientId::from_random([number; 16]);
            rosters.sessions.insert(Session::new(SessionId(number.into()), client, None, None));
        }
        rosters
    }

    /// Whether every seat leads to a member that leads back to it, and there are no other members.
    fn is_consistent(all: &Rosters) -> bool {
        let seats = all.sessions.iter().flat_map(|(session, theirs)| {
            (0..).zip(&theirs.subscriptions).map(move |(number, seat)| (index(session), number, seat))
        });
        let lead_back = seats.clone().all(|(session, number, seat)| {
            let member = all.rosters[seat.roster as usize].members[seat.index as usize];
            (member.session, member.seat, member.id) == (session, number, all.sessions[session as usize].id)
        });
        lead_back && seats.count() == all.rosters.iter().map(|(_, roster)| roster.members.len()).sum::<usize>()
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn seats_and_members_point_at_each_other_whoever_comes_and_goes(
            steps in vec((0..5u32, 0..5usize), 1..80),
        ) {
            let mut all = with_sessions(5);
            let mut open = [None; 5];
            for (session, topic) in steps {
                let roster = *open[topic].get_or_insert_with(|| all.open(Place::Pattern(index(topic))));
                if all.has(roster, session) {
                    if let Some(place) = all.leave(roster, session) {
                        prop_assert_eq!(place, Place::Pattern(index(topic)));
                        open[topic] = None;
                    }
                } else {
                    all.join(roster, session, Slow::Drop);
                }
                prop_assert!(is_consistent(&all), "{:?}", all);
            }
        }
    }

    #[test]
    fn a_crowd_that_has_gone_leaves_its_room_behind_for_no_one() {
        let mut all = with_sessions(200);
        let roster = all.open(Place::Pattern(0));
        (0..200).for_each(|session| all.join(roster, session, Slow::Drop));
        (1..200).for_each(|session| _ = all.leave(roster, session));
        assert!(all.rosters[roster as usize].members.capacity() < 10, "{:?}", all.rosters[roster as usize]);
        assert_eq!(all.leave(roster, 0), Some(Place::Pattern(0)));
        assert_eq!(all.len(), 0);
    }

    #[test]
    fn one_subscription_takes_the_room_of_one() {
        let mut all = with_sessions(1);
        let roster = all.open(Place::Pattern(0));
        all.join(roster, 0, Slow::Drop);
        assert_eq!(all.sessions[0].subscriptions.capacity(), 1);
        assert_eq!(all.rosters[roster as usize].members.capacity(), 1);
    }
}
