//! Which session listens where: one channel for each topic or pattern in use.
//!
//! A channel and a session refer to each other by index. So joining, leaving and disconnecting cost what the session
//! itself has, and never walk over other sessions.

mod listing;

pub(crate) use listing::Listing;

use crate::session::{Membership, Session};
use crate::sparse::{release_list, release_slab};
use crate::{Receiver, SessionId};
use hubcast_protocol::{Slow, Topic};
use slab::Slab;

/// All sessions and all channels, kept consistent with each other.
#[derive(Debug, Default)]
pub(crate) struct Subscriptions {
    pub(crate) sessions: Slab<Session>,
    /// Boxed, because a slab never shrinks below the largest size it had.
    channels: Slab<Box<Channel>>,
    deliveries: u64,
    /// A counter of all changes of all channels.
    changes: u64,
    /// The value of `changes` at the last change of a pattern's channel.
    pattern_change: u64,
    /// Members of the channels of each kind.
    to_topics: u64,
    to_patterns: u64,
    watching: u64,
}

/// The sessions that listen to one topic or pattern.
#[derive(Debug)]
struct Channel {
    of: ChannelKey,
    members: Vec<Member>,
    /// The value of `changes` at its last change; no other channel has the same.
    version: u64,
}

/// What a channel is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ChannelKey {
    Topic(Topic),
    /// A node of the pattern trie.
    Pattern(u32),
    /// The sessions that get `join` and `leave` events of a topic.
    Presence(Topic),
}

impl ChannelKey {
    /// Whether it is a subscription of its own: not the events of a topic that has one, nor what is private to a user.
    fn is_counted(&self) -> bool {
        match self {
            Self::Topic(topic) => topic.owner().is_none(),
            Self::Pattern(_) => true,
            Self::Presence(_) => false,
        }
    }
}

/// One session in a channel. At most 16 bytes, because a fan-out reads only these.
#[derive(Clone, Copy, Debug)]
struct Member {
    id: SessionId,
    session: u32,
    /// Its index in the session's list of memberships.
    membership: u32,
    slow: Slow,
}

impl Subscriptions {
    /// Opens a channel without members. The caller must remove it when the last member leaves.
    pub(crate) fn open(&mut self, of: ChannelKey) -> u32 {
        let channel = index(self.channels.insert(Box::new(Channel { of, members: Vec::new(), version: 0 })));
        self.note_change(channel);
        channel
    }

    /// A number that stays the same while the channel has the same members with the same [`Slow`] in the same order.
    /// No other channel ever has this number.
    pub(crate) fn version(&self, channel: u32) -> u64 {
        self.channels[channel as usize].version
    }

    /// A number that stays the same while no channel of any pattern changes.
    pub(crate) fn pattern_version(&self) -> u64 {
        self.pattern_change
    }

    /// Whether the session is in the channel. Searches the shorter of their two lists.
    pub(crate) fn has(&self, channel: u32, session: u32) -> bool {
        self.membership(channel, session).is_some()
    }

    /// The number of entries that a search for a session in a channel looks through.
    pub(crate) fn cost_to_find(&self, channel: u32, session: u32) -> usize {
        let memberships = &self.sessions[session as usize].memberships;
        memberships.len().min(self.count(channel))
    }

    /// Adds a session to a channel that it is not in yet.
    pub(crate) fn join(&mut self, channel: u32, session: u32, slow: Slow) {
        let theirs = &mut self.sessions[session as usize];
        let members = &mut self.channels[channel as usize].members;
        // Most sessions and most topics have one subscription: reserve room for one, not for four.
        reserve_first(members);
        reserve_first(&mut theirs.memberships);
        members.push(Member { id: theirs.id, session, membership: index(theirs.memberships.len()), slow });
        theirs.memberships.push(Membership { channel, index: index(members.len() - 1) });
        *self.count_of(channel) += 1;
        self.note_change(channel);
    }

    /// How many subscriptions to topics there are.
    pub(crate) fn to_topics(&self) -> u64 {
        self.to_topics
    }

    /// How many subscriptions to patterns there are.
    pub(crate) fn to_patterns(&self) -> u64 {
        self.to_patterns
    }

    /// The count to which a subscription to this channel belongs.
    fn count_of(&mut self, channel: u32) -> &mut u64 {
        match &self.channels[channel as usize].of {
            ChannelKey::Topic(_) => &mut self.to_topics,
            ChannelKey::Pattern(_) => &mut self.to_patterns,
            ChannelKey::Presence(_) => &mut self.watching,
        }
    }

    /// Removes a session from a channel. Returns what the channel was for if it is empty now.
    pub(crate) fn leave(&mut self, channel: u32, session: u32) -> Option<ChannelKey> {
        let membership = self.membership(channel, session)?;
        self.remove(session, membership)
    }

    /// Removes a session from the channel it joined last; `None` when it is in none. The inner value is as for
    /// `leave`.
    pub(crate) fn leave_any(&mut self, session: u32) -> Option<Option<ChannelKey>> {
        let membership = self.sessions[session as usize].memberships.len().checked_sub(1)?;
        Some(self.remove(session, membership))
    }

    /// Lists every member of these channels once, except one session. A member of several channels is listed as it is
    /// in the first of them. Returns the number of members looked at.
    pub(crate) fn list(&mut self, channels: &[u32], except: Option<u32>, list: &mut Vec<Receiver>) -> usize {
        if let [only] = channels {
            let members = &self.channels[*only as usize].members;
            let heard = members.iter().filter(|member| Some(member.session) != except);
            list.extend(heard.map(|member| Receiver { session: member.id, slow: member.slow }));
            return members.len();
        }
        self.deliveries += 1;
        for channel in channels {
            for member in &self.channels[*channel as usize].members {
                let session = &mut self.sessions[member.session as usize];
                if session.listed_in != self.deliveries && Some(member.session) != except {
                    session.listed_in = self.deliveries;
                    list.push(Receiver { session: member.id, slow: member.slow });
                }
            }
        }
        channels.iter().map(|channel| self.cost_of(*channel)).sum()
    }

    /// Whether listing the members of these channels, of which there are at least two, looks at more than `most`
    /// members.
    pub(crate) fn are_more_than(&self, most: usize, channels: impl Iterator<Item = u32>) -> bool {
        let costs = channels.scan(0, |sum, channel| {
            *sum += self.cost_of(channel);
            Some(*sum)
        });
        costs.skip(1).any(|sum| sum > most)
    }

    /// The cost of listing this channel, in members looked at.
    fn cost_of(&self, channel: u32) -> usize {
        self.count(channel) + OPEN_COST
    }

    /// Changes a member's [`Slow`]. Returns whether the session is a member.
    pub(crate) fn update(&mut self, channel: u32, session: u32, slow: Slow) -> bool {
        let Some(membership) = self.membership(channel, session) else { return false };
        let place = self.sessions[session as usize].memberships[membership].index;
        let member = &mut self.channels[channel as usize].members[place as usize];
        if std::mem::replace(&mut member.slow, slow) != slow {
            self.note_change(channel);
        }
        true
    }

    /// The keys of the channels that a session is in.
    pub(crate) fn places(&self, session: u32) -> impl Iterator<Item = &ChannelKey> {
        let memberships = self.sessions[session as usize].memberships.iter();
        memberships.map(|membership| &self.channels[membership.channel as usize].of)
    }

    /// Whether a session has subscriptions, and all of them allow publications to be left out.
    pub(crate) fn may_skip(&self, session: u32) -> bool {
        let memberships = self.sessions[session as usize].memberships.iter();
        let channels = memberships.map(|membership| (&self.channels[membership.channel as usize], membership.index));
        let mut listens = channels.filter(|(channel, _)| channel.of.is_counted()).peekable();
        listens.peek().is_some()
            && listens.all(|(channel, index)| channel.members[index as usize].slow != Slow::Disconnect)
    }

    /// How many members a channel has.
    pub(crate) fn count(&self, channel: u32) -> usize {
        self.channels[channel as usize].members.len()
    }

    /// The indexes of the members of a channel.
    pub(crate) fn member_sessions(&self, channel: u32) -> impl Iterator<Item = u32> {
        self.channels[channel as usize].members.iter().map(|member| member.session)
    }

    /// The members of a channel.
    pub(crate) fn members(&self, channel: u32) -> impl Iterator<Item = &Session> {
        self.channels[channel as usize].members.iter().map(|member| &self.sessions[member.session as usize])
    }

    /// What the channel at an index below [`capacity`](Self::capacity) is for, if there is one.
    pub(crate) fn key(&self, index: u32) -> Option<&ChannelKey> {
        self.channels.get(index as usize).map(|channel| &channel.of)
    }

    /// The number of indexes of channels; some may be unused.
    pub(crate) fn capacity(&self) -> usize {
        self.channels.capacity()
    }

    /// How many channels are open.
    pub(crate) fn len(&self) -> usize {
        self.channels.len()
    }

    fn note_change(&mut self, channel: u32) {
        self.changes += 1;
        let channel = &mut self.channels[channel as usize];
        channel.version = self.changes;
        if matches!(channel.of, ChannelKey::Pattern(_)) {
            self.pattern_change = self.changes;
        }
    }

    fn membership(&self, channel: u32, session: u32) -> Option<usize> {
        let memberships = &self.sessions[session as usize].memberships;
        let members = &self.channels[channel as usize].members;
        if memberships.len() <= members.len() {
            memberships.iter().position(|membership| membership.channel == channel)
        } else {
            members.iter().find(|member| member.session == session).map(|member| member.membership as usize)
        }
    }

    /// Removes one membership of a session. The last membership and the last member each move into the freed index.
    fn remove(&mut self, session: u32, membership: usize) -> Option<ChannelKey> {
        let memberships = &mut self.sessions[session as usize].memberships;
        let left = memberships.swap_remove(membership);
        if let Some(moved) = memberships.get(membership) {
            self.channels[moved.channel as usize].members[moved.index as usize].membership = index(membership);
        }
        release_list(memberships);
        *self.count_of(left.channel) -= 1;
        let members = &mut self.channels[left.channel as usize].members;
        members.swap_remove(left.index as usize);
        if let Some(moved) = members.get(left.index as usize) {
            self.sessions[moved.session as usize].memberships[moved.membership as usize].index = left.index;
        }
        release_list(members);
        if !members.is_empty() {
            self.note_change(left.channel);
            return None;
        }
        let of = self.channels.remove(left.channel as usize).of;
        release_slab(&mut self.channels);
        Some(of)
    }
}

/// A slab's key as the `u32` in which it is stored.
pub(crate) fn index(key: usize) -> u32 {
    u32::try_from(key).expect("a process has fewer than 2^32 sessions, topics and patterns")
}

fn reserve_first<T>(list: &mut Vec<T>) {
    if list.is_empty() {
        list.reserve_exact(1);
    }
}

/// The cost of finding a channel, in members looked at.
const OPEN_COST: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use hubcast_protocol::ClientId;
    use proptest::{collection::vec, prelude::*};

    fn with_sessions(count: u8) -> Subscriptions {
        let mut channels = Subscriptions::default();
        for number in 0..count {
            let client = ClientId::from_random([number; 16]);
            channels.sessions.insert(Session::new(SessionId(number.into()), client, None, None));
        }
        channels
    }

    /// Whether every membership leads to a member that leads back to it, and no other members exist.
    fn is_consistent(all: &Subscriptions) -> bool {
        let memberships = all.sessions.iter().flat_map(|(session, theirs)| {
            (0..).zip(&theirs.memberships).map(move |(number, membership)| (index(session), number, membership))
        });
        let lead_back = memberships.clone().all(|(session, number, membership)| {
            let member = all.channels[membership.channel as usize].members[membership.index as usize];
            (member.session, member.membership, member.id) == (session, number, all.sessions[session as usize].id)
        });
        lead_back && memberships.count() == all.channels.iter().map(|(_, channel)| channel.members.len()).sum::<usize>()
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn memberships_and_members_point_at_each_other_after_every_change(
            steps in vec((0..5u32, 0..5usize), 1..80),
        ) {
            let mut all = with_sessions(5);
            let mut open = [None; 5];
            for (session, topic) in steps {
                let channel = *open[topic].get_or_insert_with(|| all.open(ChannelKey::Pattern(index(topic))));
                if all.has(channel, session) {
                    if let Some(place) = all.leave(channel, session) {
                        prop_assert_eq!(place, ChannelKey::Pattern(index(topic)));
                        open[topic] = None;
                    }
                } else {
                    all.join(channel, session, Slow::Drop);
                }
                prop_assert!(is_consistent(&all), "{:?}", all);
            }
        }
    }

    #[test]
    fn a_crowd_that_has_gone_leaves_its_room_behind_for_no_one() {
        let mut all = with_sessions(200);
        let channel = all.open(ChannelKey::Pattern(0));
        (0..200).for_each(|session| all.join(channel, session, Slow::Drop));
        (1..200).for_each(|session| _ = all.leave(channel, session));
        assert!(all.channels[channel as usize].members.capacity() < 10, "{:?}", all.channels[channel as usize]);
        assert_eq!(all.leave(channel, 0), Some(ChannelKey::Pattern(0)));
        assert_eq!(all.len(), 0);
    }

    #[test]
    fn one_subscription_takes_the_room_of_one() {
        let mut all = with_sessions(1);
        let channel = all.open(ChannelKey::Pattern(0));
        all.join(channel, 0, Slow::Drop);
        assert_eq!(all.sessions[0].memberships.capacity(), 1);
        assert_eq!(all.channels[channel as usize].members.capacity(), 1);
    }
}
