//! Presence: the members of a topic, the sessions that get `join` and `leave` events, and the grace periods.
//!
//! The members of a topic are the members of its own channel. So presence adds no cost to a join or leave except for
//! the events to the sessions that asked for them.

use super::Hub;
use super::grace::GracePeriod;
use super::work::Work;
use crate::effect::COLLECT_NS;
use crate::engine::Engine;
use crate::session::Session;
use crate::subscriptions::ChannelKey;
use crate::{Effects, Identity, MemberName, PresencePolicy, SessionId};
use hubcast_protocol::event::{Identified, Member, Presence, Present};
use hubcast_protocol::request::Identify;
use hubcast_protocol::{AnonymousId, ClientId, ErrorCode, ErrorReply, Event, RequestId, Slow, Target, Topic};
use std::sync::Arc;
use std::time::Instant;

impl<E: Engine> Hub<E> {
    /// Answers `presence`: counts all members and names the first thousand.
    pub(super) fn presence(
        &self,
        id: Option<RequestId>,
        topic: Topic,
        effects: &mut Effects,
    ) -> Result<Event, ErrorReply> {
        if self.presence_rule(&topic).is_none() {
            return Err(ErrorReply::new(ErrorCode::NoPresence, "this topic keeps no presence"));
        }
        let id = id.ok_or(ErrorReply::new(ErrorCode::InvalidRequest, "presence needs an id"))?;
        let channel = self.topics.get(&topic).copied();
        let members = channel.into_iter().flat_map(|channel| self.subscriptions.members(channel));
        let members = members.map(|session| present(session.client, session.identity.as_deref()));
        let waiting = self.grace.of(&topic).map(|leaver| present(leaver.client, leaver.identity.as_deref()));
        let count = channel.map_or(0, |channel| self.subscriptions.count(channel)) + self.grace.count(&topic);
        let clients: Vec<_> = members.chain(waiting).take(MAX_NAMED_CLIENTS).collect();
        let shown = clients.iter().filter_map(|present| present.info.as_ref()).map(|info| info.as_plain().len());
        effects.add_work(COLLECT_NS * clients.len() as u64 + shown.sum::<usize>() as u64 / COPIED_BYTES_PER_NS);
        Ok(Event::Presence(Presence { id, topic, count: count as u64, clients }))
    }

    /// Takes what a client without a user says of itself. A user stays what its token says.
    pub(super) fn identify(&mut self, session: u32, identify: Identify) -> Result<(), ErrorReply> {
        let peer = &mut self.subscriptions.sessions[session as usize];
        if peer.user().is_some() {
            return Ok(());
        }
        if peer.identity.is_some() || !peer.memberships.is_empty() {
            let reason = "a connection identifies itself once, while it has no subscription";
            return Err(ErrorReply::new(ErrorCode::InvalidRequest, reason));
        }
        let name = MemberName::Anonymous(AnonymousId::of(&identify.secret));
        peer.identity = Some(Arc::new(Identity { name, info: identify.info }));
        Ok(())
    }

    /// The answer to `identify`.
    pub(super) fn identified(&self, session: u32, id: Option<RequestId>) -> Event {
        let (user, anonymous) = names(self.subscriptions.sessions[session as usize].identity.as_deref());
        Event::Identified(Identified { id, user, anonymous })
    }

    /// Makes a session get the `join` and `leave` events of a topic, with the `slow` of its subscription.
    pub(super) fn watch(&mut self, session: u32, topic: &Topic, slow: Slow) {
        if !self.announces(topic) {
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

    /// Stops sending a session the `join` and `leave` events of a topic.
    pub(super) fn unwatch(&mut self, now: Instant, session: u32, topic: &Topic) {
        let Some(&channel) = self.watched.get(topic) else { return };
        if self.subscriptions.has(channel, session) {
            let emptied = self.subscriptions.leave(channel, session);
            self.forget(now, emptied);
            self.subscriptions.sessions[session as usize].watching -= 1;
        }
    }

    /// Sends `join` for a new member of a topic, unless it is one that is back within its grace period. If it shows
    /// something else of itself than before, the others get a `leave` and a `join`, so that they know.
    pub(super) fn announce_join(&mut self, topic: &Topic, session: u32, effects: &mut Effects) {
        if self.presence_rule(topic).is_none() {
            return;
        }
        self.present += 1;
        let peer = &self.subscriptions.sessions[session as usize];
        let (client, identity) = (peer.client, peer.identity.clone());
        let before = identity.as_ref().and_then(|identity| self.grace.cancel(topic, &identity.name));
        if let Some(before) = before {
            if before.identity == identity {
                return;
            }
            let event = Event::Leave(member(topic, before.client, before.identity.as_deref()));
            self.notify_watchers(topic, Some(session), event, effects);
        }
        let event = Event::Join(member(topic, client, identity.as_deref()));
        self.notify_watchers(topic, Some(session), event, effects);
    }

    /// The topics with presence in which a session is a member.
    pub(super) fn present_in(&self, session: u32) -> Vec<Topic> {
        let topics = self.subscriptions.places(session).filter_map(|place| match place {
            ChannelKey::Topic(topic) => Some(topic),
            ChannelKey::Pattern(_) | ChannelKey::Presence(_) => None,
        });
        topics.filter(|topic| self.presence_rule(topic).is_some()).cloned().collect()
    }

    /// Sends `leave` for a session that has unsubscribed from a topic.
    pub(super) fn announce_left(&mut self, topic: &Topic, session: u32, effects: &mut Effects) {
        if self.presence_rule(topic).is_some() {
            self.present -= 1;
            let peer = &self.subscriptions.sessions[session as usize];
            let event = Event::Leave(member(topic, peer.client, peer.identity.as_deref()));
            self.notify_watchers(topic, None, event, effects);
        }
    }

    /// Sends `leave` for a session that is gone, from the last of the topics on. Leaves the topics that are too many
    /// for one call as unfinished work.
    pub(super) fn announce_gone(
        &mut self,
        now: Instant,
        id: SessionId,
        gone: Session,
        mut topics: Vec<Topic>,
        lost: bool,
        effects: &mut Effects,
    ) {
        let (most, mut announced) = (self.max_announced(), 0);
        while announced < most
            && let Some(topic) = topics.pop()
        {
            announced += self.watchers(&topic);
            self.announce_gone_from(now, topic, &gone, lost, effects);
        }
        if !topics.is_empty() {
            self.suspend(now, id, Work::Leave { gone, topics, lost }, effects);
        }
    }

    /// Sends `leave` for a session that is gone from a topic: now or, when its connection was lost, after the grace
    /// time.
    fn announce_gone_from(&mut self, now: Instant, topic: Topic, gone: &Session, lost: bool, effects: &mut Effects) {
        let grace = self.presence_rule(&topic).map(|rule| rule.grace).filter(|grace| lost && !grace.is_zero());
        match grace {
            Some(grace) => {
                let period = GracePeriod { until: now + grace, client: gone.client, identity: gone.identity.clone() };
                if let Some((topic, given_up)) = self.grace.insert(topic, period) {
                    self.announce_leave(&topic, given_up.client, given_up.identity.as_deref(), effects);
                }
            }
            None => self.announce_leave(&topic, gone.client, gone.identity.as_deref(), effects),
        }
    }

    /// Sends `leave` for one member whose grace period has ended. Returns the number of receivers; `None` when no
    /// period has ended.
    pub(super) fn announce_expired(&mut self, now: Instant, effects: &mut Effects) -> Option<usize> {
        let (topic, period) = self.grace.take_overdue(now)?;
        self.announce_leave(&topic, period.client, period.identity.as_deref(), effects);
        Some(self.watchers(&topic))
    }

    /// How many sessions get the `join` and `leave` events of a topic.
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

    /// Whether a subscription to this target can have `join` and `leave` events.
    pub(super) fn has_presence_events(&self, target: &Target) -> bool {
        matches!(target, Target::Topic(topic) if self.announces(topic))
    }

    fn announces(&self, topic: &Topic) -> bool {
        self.presence_rule(topic).is_some_and(|rule| rule.events)
    }

    fn presence_rule(&self, topic: &Topic) -> Option<&PresencePolicy> {
        self.rules.of(topic).presence.as_ref()
    }
}

fn present(client: ClientId, identity: Option<&Identity>) -> Present {
    let mut present = Present::new(client);
    (present.user, present.anonymous) = names(identity);
    present.info = identity.and_then(|identity| identity.info.clone());
    present.unverified = present.anonymous.is_some() && present.info.is_some();
    present
}

fn member(topic: &Topic, client: ClientId, identity: Option<&Identity>) -> Member {
    Member::new(topic.clone(), present(client, identity))
}

/// The name of a member, as a user or as an anonymous one.
pub(super) fn names(identity: Option<&Identity>) -> (Option<Box<str>>, Option<AnonymousId>) {
    match identity.map(|identity| &identity.name) {
        Some(MemberName::User(user)) => (Some(user.clone()), None),
        Some(MemberName::Anonymous(id)) => (None, Some(*id)),
        Some(MemberName::ApiKey(_)) | None => (None, None),
    }
}

/// Approximate bytes that are copied in a nanosecond.
const COPIED_BYTES_PER_NS: u64 = 8;

/// The most members that one answer names.
const MAX_NAMED_CLIENTS: usize = 1000;
