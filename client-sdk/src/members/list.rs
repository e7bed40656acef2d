//! The list itself: what an answer says, and the joins and leaves after it.

use hubcast_protocol::event::{Member, Presence, Present};
use hubcast_protocol::{AnonymousId, ClientId};
use std::collections::HashSet;

/// The members of a topic at one moment.
///
/// A member is a connection. A person with two connections, such as two devices, is there twice: see
/// [`MemberList::people`].
#[derive(Clone, Debug, Default)]
pub struct MemberList {
    named: Vec<Present>,
    count: u64,
    is_current: bool,
    /// Grows with each change.
    version: u64,
}

impl MemberList {
    /// The members that are known by name, those that have been there longest first. The server names at most 1,000,
    /// and no more are kept: then there are fewer than [`count`](Self::count) says.
    pub fn members(&self) -> &[Present] {
        &self.named
    }

    /// The number of members, also of those that are not named.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The named members without repetitions: of each user and of each anonymous member, one connection.
    pub fn people(&self) -> impl Iterator<Item = &Present> {
        let mut seen = HashSet::new();
        self.named.iter().filter(move |present| seen.insert(Person::of(present)))
    }

    /// Whether the list is up to date. It is not while there is no connection, nor until the server has answered after
    /// that: a program may show it greyed out.
    pub fn is_current(&self) -> bool {
        self.is_current
    }

    pub(super) fn version(&self) -> u64 {
        self.version
    }

    pub(super) fn outdate(&mut self) {
        if self.is_current {
            self.is_current = false;
            self.version += 1;
        }
    }

    /// Takes an answer of the server.
    pub(super) fn set(&mut self, presence: Presence) {
        (self.named, self.count, self.is_current) = (presence.clients, presence.count, true);
        self.version += 1;
    }

    /// Takes a join. One of a member that is there already is of no account.
    pub(super) fn join(&mut self, member: Member) {
        if self.place(member.client).is_some() {
            return;
        }
        self.count += 1;
        self.version += 1;
        if self.named.len() < MOST_NAMED {
            self.named.push(member.into_present());
        }
    }

    /// Takes a leave. A user or an anonymous member that came back within its grace time leaves with another client
    /// than it joined with.
    pub(super) fn leave(&mut self, member: &Member) {
        let person = (member.user.as_deref(), member.anonymous);
        let same = |present: &Present| (present.user.as_deref(), present.anonymous) == person;
        let of_person = || self.named.iter().position(same).filter(|_| person != (None, None));
        match self.place(member.client).or_else(of_person) {
            Some(place) => drop(self.named.remove(place)),
            // One that is not named, or not there.
            None if self.count <= self.named.len() as u64 => return,
            None => {}
        }
        self.count -= 1;
        self.version += 1;
    }

    fn place(&self, client: ClientId) -> Option<usize> {
        self.named.iter().position(|present| present.client == client)
    }
}

/// Who a member is, as far as it is known.
#[derive(PartialEq, Eq, Hash)]
enum Person<'a> {
    User(&'a str),
    Anonymous(AnonymousId),
    Unknown(ClientId),
}

impl<'a> Person<'a> {
    fn of(present: &'a Present) -> Self {
        match (&present.user, present.anonymous) {
            (Some(user), _) => Self::User(user),
            (None, Some(id)) => Self::Anonymous(id),
            (None, None) => Self::Unknown(present.client),
        }
    }
}

/// The most members that are kept by name: as many as one answer of the server names.
const MOST_NAMED: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;
    use hubcast_protocol::MemberSecret;

    fn member(client: u8, person: Option<u128>) -> Member {
        let mut present = Present::new(ClientId::from_random([client; 16]));
        present.anonymous = person.map(|bits| AnonymousId::of(&MemberSecret::from_random(bits)));
        Member::new("room".into(), present)
    }

    #[test]
    fn a_join_and_a_leave_count_once() {
        let mut list = MemberList::default();
        [1, 2, 2].into_iter().for_each(|client| list.join(member(client, None)));
        [2, 2, 3].into_iter().for_each(|client| list.leave(&member(client, None)));
        assert_eq!((list.count(), list.members().len()), (1, 1));
        assert_eq!(list.members()[0].client, ClientId::from_random([1; 16]));
    }

    #[test]
    fn one_that_came_back_leaves_by_its_identity() {
        let mut list = MemberList::default();
        list.join(member(1, Some(7)));
        list.join(member(2, None));
        // It came back as client 3, without a join.
        list.leave(&member(3, Some(7)));
        assert_eq!(list.members()[0].client, ClientId::from_random([2; 16]));
        assert_eq!(list.count(), 1);
    }

    #[test]
    fn a_person_with_two_connections_is_one() {
        let mut list = MemberList::default();
        [(1, Some(7)), (2, Some(7)), (3, None), (4, None)].into_iter().for_each(|(c, p)| list.join(member(c, p)));
        assert_eq!((list.count(), list.people().count()), (4, 3));
    }

    #[test]
    fn more_than_a_thousand_are_counted_and_not_named() {
        let mut list = MemberList::default();
        let named = (0..1000_u32).map(|n| ClientId::from_random(u128::from(n).to_be_bytes()));
        let clients = named.map(Present::new);
        let id = 1_u64.try_into().unwrap();
        list.set(Presence { id, topic: "room".into(), count: 1500, clients: clients.collect() });
        list.join(member(9, None));
        assert_eq!((list.count(), list.members().len()), (1501, 1000));
        list.leave(&member(9, None));
        assert_eq!((list.count(), list.members().len()), (1500, 1000));
    }
}
