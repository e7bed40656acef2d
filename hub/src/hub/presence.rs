//! Who is there: members of a topic, those who are told of them, and those who may be back soon.
//!
//! A topic's own channel is the list of its members, so presence costs a join or a leave nothing beyond telling those
//! who asked to be told.

use super::Hub;
use super::grace::GracePeriod;
use super::work::Work;
use crate::engine::Engine;
use crate::session::Session;
use crate::subscriptions::ChannelKey;
use crate::{Effects, Identity, PresencePolicy, SessionId};
use hubcast_protocol::event::{Member, Presence, Present};
use hubcast_protocol::{ClientId, ErrorCode, ErrorReply, Event, RequestId, Slow, Topic};
use std::time::Instant;

impl<E: Engine> Hub<E> {
    /// Answers `presence`: all are counted, the first thousand are named.
    pub(super) fn presence(&self, id: Option<RequestId>, topic: Topic) -> Result<Event, ErrorReply> {
        if self.presence_rule(&topic).is_none() {
            return Err(ErrorReply::new(ErrorCode::NoPresence, "this topic keeps no presence"));
        }
        let id = id.ok_or(ErrorReply::new(ErrorCode::InvalidRequest, "presence needs an id"))?;
        let channel = self.topics.get(&topic).copied();
        let members = channel.into_iter().flat_map(|channel| self.subscriptions.members(channel));
        let members = members.map(|session| present(session.client, session.identity.as_deref()));
        let waiting = self.grace.of(&topic).map(|leaver| present(leaver.client, leaver.identity.as_deref()));
        let count = channel.map_or(0, |channel| self.subscriptions.count(channel)) + self.grace.count(&topic);
        let clients = members.chain(waiting).take(NAMED).collect();
        Ok(Event::Presence(Presence { id, topic, count: count as u64, clients }))
    }

    /// Lets a session be told who comes to a topic and goes, as its subscription wants it.
    pub(super) fn watch(&mut self, session: u32, topic: &Topic, slow: Slow) {
        if self.presence_rule(topic).is_none_or(|rule| !rule.events) {
            return;
        }
        let channel = match self.watched.get(topic) {
            Some(&channel) => channel,
            None => {
                let channel = self.subscriptions.open(ChannelKey::Presence(topic.clone()));
                self.watched.insert(topic.clone(), channel);
                channel
            }
        };
        if !self.subscriptions.update(channel, session, slow) {
            self.subscriptions.join(channel, session, slow);
            self.subscriptions.sessions[session as usize].watching += 1;
        }
    }

    /// Takes a session off the list of those who are told.
    pub(super) fn unwatch(&mut self, now: Instant, session: u32, topic: &Topic) {
        let Some(&channel) = self.watched.get(topic) else { return };
        if self.subscriptions.has(channel, session) {
            let emptied = self.subscriptions.leave(channel, session);
            self.forget(now, emptied);
            self.subscriptions.sessions[session as usize].watching -= 1;
        }
    }

    /// A session is now a member of a topic: tells the others, unless it is a user who is back in time.
    pub(super) fn announce_join(&mut self, topic: &Topic, session: u32, effects: &mut Effects) {
        if self.presence_rule(topic).is_none() {
            return;
        }
        let peer = &self.subscriptions.sessions[session as usize];
        let back = peer.user().is_some_and(|user| self.grace.cancel(topic, user));
        if !back {
            let event = Event::Join(member(topic, peer.client, peer.identity.as_deref()));
            self.notify_watchers(topic, Some(session), event, effects);
        }
    }

    /// The topics with presence that a session is a member of.
    pub(super) fn present_in(&self, session: u32) -> Vec<Topic> {
        let topics = self.subscriptions.places(session).filter_map(|place| match place {
            ChannelKey::Topic(topic) => Some(topic),
            ChannelKey::Pattern(_) | ChannelKey::Presence(_) => None,
        });
        topics.filter(|topic| self.presence_rule(topic).is_some()).cloned().collect()
    }

    /// A session has unsubscribed from a topic: tells the others.
    pub(super) fn announce_left(&mut self, topic: &Topic, session: u32, effects: &mut Effects) {
        if self.presence_rule(topic).is_some() {
            let peer = &self.subscriptions.sessions[session as usize];
            let event = Event::Leave(member(topic, peer.client, peer.identity.as_deref()));
            self.notify_watchers(topic, None, event, effects);
        }
    }

    /// A session is no longer a member of topics: tells the others, from the last topic on, and leaves over what is too
    /// much for now.
    pub(super) fn announce_gone(
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
            self.announce_gone_from(now, topic, &gone, lost, effects);
        }
        if !topics.is_empty() {
            self.suspend(now, id, Work::Leave { gone, topics, lost }, effects);
        }
    }

    /// A session is no longer a member of a topic: tells the others now or, when it was lost, after the grace time.
    fn announce_gone_from(&mut self, now: Instant, topic: Topic, gone: &Session, lost: bool, effects: &mut Effects) {
        let grace = self.presence_rule(&topic).map(|rule| rule.grace).filter(|grace| lost && !grace.is_zero());
        match grace {
            Some(grace) => {
                let departure =
                    GracePeriod { until: now + grace, client: gone.client, identity: gone.identity.clone() };
                if let Some((topic, given_up)) = self.grace.insert(topic, departure) {
                    self.announce_leave(&topic, given_up.client, given_up.identity.as_deref(), effects);
                }
            }
            None => self.announce_leave(&topic, gone.client, gone.identity.as_deref(), effects),
        }
    }

    /// Tells of one who was lost and has not come back in time; says how many are told of him, if there is such a one.
    pub(super) fn announce_expired(&mut self, now: Instant, effects: &mut Effects) -> Option<usize> {
        let (topic, departure) = self.grace.take_overdue(now)?;
        self.announce_leave(&topic, departure.client, departure.identity.as_deref(), effects);
        Some(self.watchers(&topic))
    }

    /// How many are told who comes to a topic and goes.
    pub(super) fn watchers(&self, topic: &Topic) -> usize {
        self.watched.get(topic).map_or(0, |channel| self.subscriptions.count(*channel))
    }

    fn announce_leave(&mut self, topic: &Topic, client: ClientId, identity: Option<&Identity>, effects: &mut Effects) {
        self.notify_watchers(topic, None, Event::Leave(member(topic, client, identity)), effects);
    }

    fn notify_watchers(&mut self, topic: &Topic, except: Option<u32>, event: Event, effects: &mut Effects) {
        if let Some(channel) = self.watched.get(topic) {
            effects.tell(event, |receivers| self.subscriptions.list(std::slice::from_ref(channel), except, receivers));
        }
    }

    fn presence_rule(&self, topic: &Topic) -> Option<&PresencePolicy> {
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
