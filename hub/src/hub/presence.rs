//! Who is there: members of a topic, those who are told of them, and those who may be back soon.
//!
//! A topic's own roster is the list of its members, so presence costs a join or a leave nothing beyond telling those
//! who asked to be told.

use super::Hub;
use super::departures::Departure;
use super::work::Work;
use crate::engine::Engine;
use crate::roster::Place;
use crate::session::Session;
use crate::{Effects, Identity, PresenceRule, SessionId};
use hubcast_protocol::event::{Member, Presence, Present};
use hubcast_protocol::{ClientId, ErrorCode, Event, Fault, RequestId, Slow, Topic};
use std::time::Instant;

impl<E: Engine> Hub<E> {
    /// Answers `presence`: all are counted, the first thousand are named.
    pub(super) fn presence(&self, id: Option<RequestId>, topic: Topic) -> Result<Event, Fault> {
        if self.presence_rule(&topic).is_none() {
            return Err(Fault::new(ErrorCode::NoPresence, "this topic keeps no presence"));
        }
        let id = id.ok_or(Fault::new(ErrorCode::InvalidRequest, "presence needs an id"))?;
        let roster = self.topics.get(&topic).copied();
        let members = roster.into_iter().flat_map(|roster| self.rosters.members(roster));
        let members = members.map(|session| present(session.client, session.identity.as_deref()));
        let departing = self.departures.of(&topic).map(|leaver| present(leaver.client, leaver.identity.as_deref()));
        let count = roster.map_or(0, |roster| self.rosters.count(roster)) + self.departures.count(&topic);
        let clients = members.chain(departing).take(NAMED).collect();
        Ok(Event::Presence(Presence { id, topic, count: count as u64, clients }))
    }

    /// Lets a session be told who comes to a topic and goes, as its subscription wants it.
    pub(super) fn watch(&mut self, session: u32, topic: &Topic, slow: Slow) {
        if self.presence_rule(topic).is_none_or(|rule| !rule.events) {
            return;
        }
        let roster = match self.watched.get(topic) {
            Some(&roster) => roster,
            None => {
                let roster = self.rosters.open(Place::Presence(topic.clone()));
                self.watched.insert(topic.clone(), roster);
                roster
            }
        };
        if !self.rosters.update(roster, session, slow) {
            self.rosters.join(roster, session, slow);
            self.rosters.sessions[session as usize].watching += 1;
        }
    }

    /// Takes a session off the list of those who are told.
    pub(super) fn unwatch(&mut self, now: Instant, session: u32, topic: &Topic) {
        let Some(&roster) = self.watched.get(topic) else { return };
        if self.rosters.has(roster, session) {
            let emptied = self.rosters.leave(roster, session);
            self.forget(now, emptied);
            self.rosters.sessions[session as usize].watching -= 1;
        }
    }

    /// A session is now a member of a topic: tells the others, unless it is a user who is back in time.
    pub(super) fn tell_come(&mut self, topic: &Topic, session: u32, effects: &mut Effects) {
        if self.presence_rule(topic).is_none() {
            return;
        }
        let peer = &self.rosters.sessions[session as usize];
        let back = peer.user().is_some_and(|user| self.departures.cancel(topic, user));
        if !back {
            let event = Event::Join(member(topic, peer.client, peer.identity.as_deref()));
            self.tell_watchers(topic, Some(session), event, effects);
        }
    }

    /// The topics with presence that a session is a member of.
    pub(super) fn present_in(&self, session: u32) -> Vec<Topic> {
        let topics = self.rosters.places(session).filter_map(|place| match place {
            Place::Topic(topic) => Some(topic),
            Place::Pattern(_) | Place::Presence(_) => None,
        });
        topics.filter(|topic| self.presence_rule(topic).is_some()).cloned().collect()
    }

    /// A session has unsubscribed from a topic: tells the others.
    pub(super) fn tell_left(&mut self, topic: &Topic, session: u32, effects: &mut Effects) {
        if self.presence_rule(topic).is_some() {
            let peer = &self.rosters.sessions[session as usize];
            let event = Event::Leave(member(topic, peer.client, peer.identity.as_deref()));
            self.tell_watchers(topic, None, event, effects);
        }
    }

    /// A session is no longer a member of topics: tells the others, from the last topic on, and leaves over what is too
    /// much for now.
    pub(super) fn tell_gone(
        &mut self,
        now: Instant,
        id: SessionId,
        gone: Session,
        mut topics: Vec<Topic>,
        lost: bool,
        effects: &mut Effects,
    ) {
        let (most, mut told) = (self.most_told(), 0);
        while told < most
            && let Some(topic) = topics.pop()
        {
            told += self.watchers(&topic);
            self.tell_gone_from(now, topic, &gone, lost, effects);
        }
        if !topics.is_empty() {
            self.leave_over(now, id, Work::Leave { gone, topics, lost }, effects);
        }
    }

    /// A session is no longer a member of a topic: tells the others now or, when it was lost, after the grace time.
    fn tell_gone_from(&mut self, now: Instant, topic: Topic, gone: &Session, lost: bool, effects: &mut Effects) {
        let grace = self.presence_rule(&topic).map(|rule| rule.grace).filter(|grace| lost && !grace.is_zero());
        match grace {
            Some(grace) => {
                let departure = Departure { until: now + grace, client: gone.client, identity: gone.identity.clone() };
                if let Some((topic, given_up)) = self.departures.insert(topic, departure) {
                    self.tell_leave(&topic, given_up.client, given_up.identity.as_deref(), effects);
                }
            }
            None => self.tell_leave(&topic, gone.client, gone.identity.as_deref(), effects),
        }
    }

    /// Tells of one who was lost and has not come back in time; says how many are told of him, if there is such a one.
    pub(super) fn tell_departure(&mut self, now: Instant, effects: &mut Effects) -> Option<usize> {
        let (topic, departure) = self.departures.take_overdue(now)?;
        self.tell_leave(&topic, departure.client, departure.identity.as_deref(), effects);
        Some(self.watchers(&topic))
    }

    /// How many are told who comes to a topic and goes.
    pub(super) fn watchers(&self, topic: &Topic) -> usize {
        self.watched.get(topic).map_or(0, |roster| self.rosters.count(*roster))
    }

    fn tell_leave(&mut self, topic: &Topic, client: ClientId, identity: Option<&Identity>, effects: &mut Effects) {
        self.tell_watchers(topic, None, Event::Leave(member(topic, client, identity)), effects);
    }

    fn tell_watchers(&mut self, topic: &Topic, except: Option<u32>, event: Event, effects: &mut Effects) {
        if let Some(roster) = self.watched.get(topic) {
            effects.tell(event, |receivers| self.rosters.list(std::slice::from_ref(roster), except, receivers));
        }
    }

    fn presence_rule(&self, topic: &Topic) -> Option<&PresenceRule> {
        self.rules.of(topic).presence.as_ref()
    }
}

fn present(client: ClientId, identity: Option<&Identity>) -> Present {
    let (user, info) = match identity {
        Some(identity) => (Some(identity.user.clone()), identity.info.clone()),
        None => (None, None),
    };
    Present { client, user, info }
}

fn member(topic: &Topic, client: ClientId, identity: Option<&Identity>) -> Member {
    Member { topic: topic.clone(), client, user: identity.map(|identity| identity.user.clone()) }
}

/// Members that one answer names.
const NAMED: usize = 1000;
