//! The model's presence: the members of topics, and their joins and leaves.

use super::{Model, is_private};
use crate::seen::Seen;
use hubcast_hub::{Identity, MemberName, PresencePolicy};
use hubcast_protocol::event::{Identified, Member, Presence, Present};
use hubcast_protocol::request::Identify;
use hubcast_protocol::{AnonymousId, ErrorCode, Event, Payload, RequestId, Target, Topic};
use std::time::Instant;

/// A member of a topic whose connection was lost, and which may be back before `until`.
pub(super) struct GracePeriod {
    until: Instant,
    who: usize,
    topic: Topic,
}

impl Model {
    /// The answer to a `presence` request. Members are the sessions that subscribed to the topic by its name, and the
    /// lost ones within their grace time.
    pub(super) fn presence(&self, id: Option<RequestId>, topic: Topic) -> Result<Presence, ErrorCode> {
        self.presence_rule(&topic).ok_or(ErrorCode::NoPresence)?;
        let id = id.ok_or(ErrorCode::InvalidRequest)?;
        let target = Target::Topic(topic.clone());
        let there = self.subscriptions.iter().filter(|(_, what)| *what == target).map(|(who, _)| *who);
        let waiting = self.grace.iter().filter(|departure| departure.topic == topic);
        let clients: Vec<_> =
            there.chain(waiting.map(|departure| departure.who)).map(|who| self.present(who)).collect();
        Ok(Presence { id, topic, count: clients.len() as u64, clients })
    }

    /// A session subscribed to a topic. With `watches` it gets joins and leaves from now on, without it none. If the
    /// subscription `is_new`, the others get a join, unless a lost connection of the same member is replaced. They get a
    /// leave and a join if the member shows something else of itself now.
    pub(super) fn come(&mut self, who: usize, topic: &Topic, watches: bool, is_new: bool) -> Vec<Seen> {
        let Some(rule) = self.presence_rule(topic) else { return Vec::new() };
        self.watching.retain(|(whose, what)| *whose != who || what != topic);
        if watches && rule.events {
            self.watching.push((who, topic.clone()));
        }
        if !is_new {
            return Vec::new();
        }
        let is_back = |departure: &GracePeriod| {
            departure.topic == *topic && self.names(who) != (None, None) && self.names(departure.who) == self.names(who)
        };
        match self.grace.iter().position(is_back) {
            Some(back) => {
                let before = self.grace.remove(back).who;
                if self.info(before) == self.info(who) {
                    return Vec::new();
                }
                let leave = Event::Leave(self.member(topic, before));
                let mut seen = self.notify_watchers(topic, Some(who), &leave);
                seen.extend(self.notify_watchers(topic, Some(who), &Event::Join(self.member(topic, who))));
                seen
            }
            None => self.notify_watchers(topic, Some(who), &Event::Join(self.member(topic, who))),
        }
    }

    /// A session left a topic, or lost its connection. A lost one stays a member for the grace time.
    pub(super) fn go(&mut self, now: Instant, who: usize, topic: &Topic, lost: bool) -> Vec<Seen> {
        let Some(rule) = self.presence_rule(topic) else { return Vec::new() };
        if lost && !rule.grace.is_zero() {
            self.grace.push(GracePeriod { until: now + rule.grace, who, topic: topic.clone() });
            return Vec::new();
        }
        self.notify_watchers(topic, Some(who), &Event::Leave(self.member(topic, who)))
    }

    /// The leaves of the members whose grace time is over.
    pub(super) fn depart(&mut self, now: Instant) -> Vec<Seen> {
        let over: Vec<_> = self.grace.extract_if(.., |departure| departure.until <= now).collect();
        let leaves = over.iter().map(|GracePeriod { topic, who, .. }| {
            self.notify_watchers(topic, None, &Event::Leave(self.member(topic, *who)))
        });
        leaves.flatten().collect()
    }

    /// Sends an event to all sessions that watch a topic, without the peer `except`.
    fn notify_watchers(&self, topic: &Topic, except: Option<usize>, event: &Event) -> Vec<Seen> {
        let watchers = self.watching.iter().filter(|(who, what)| what == topic && Some(*who) != except);
        watchers.map(|(who, _)| self.sent(*who, event.clone())).collect()
    }

    /// What a join or leave says about a member.
    fn member(&self, topic: &Topic, who: usize) -> Member {
        Member::new(topic.clone(), self.present(who))
    }

    /// What presence says about a peer.
    fn present(&self, who: usize) -> Present {
        let mut present = Present::new(self.peers[who].client);
        (present.user, present.anonymous) = self.names(who);
        present.info = self.info(who);
        present.unverified = present.anonymous.is_some() && present.info.is_some();
        present
    }

    /// The name of a peer: as a user, or as an anonymous member.
    pub(super) fn names(&self, who: usize) -> (Option<Box<str>>, Option<AnonymousId>) {
        match self.peers[who].identity.as_ref().map(|identity| &identity.name) {
            Some(MemberName::User(user)) => (Some(user.clone()), None),
            Some(MemberName::Anonymous(id)) => (None, Some(*id)),
            Some(MemberName::ApiKey(_)) | None => (None, None),
        }
    }

    fn info(&self, who: usize) -> Option<Payload> {
        self.peers[who].identity.as_ref().and_then(|identity| identity.info.clone())
    }

    /// A client says who it is. It may once, while it has no subscription but its private topic.
    pub(super) fn identify(&mut self, who: usize, id: Option<RequestId>, identify: &Identify) -> Vec<Seen> {
        let is_user = matches!(self.names(who), (Some(_), _));
        let has_subscriptions = self.subscriptions.iter().any(|(whose, what)| *whose == who && !is_private(what));
        if !is_user && (self.peers[who].identity.is_some() || has_subscriptions) {
            return self.refused(who, id, ErrorCode::InvalidRequest);
        }
        if !is_user {
            let name = MemberName::Anonymous(AnonymousId::of(&identify.secret));
            self.peers[who].identity = Some(Identity { name, info: identify.info.clone() }.into());
        }
        let (user, anonymous) = self.names(who);
        let answer = |id| self.sent(who, Event::Identified(Identified { id: Some(id), user, anonymous }));
        id.map(answer).into_iter().collect()
    }

    /// Whether a topic has joins and leaves.
    pub(super) fn announces(&self, topic: &Topic) -> bool {
        self.presence_rule(topic).is_some_and(|rule| rule.events)
    }

    /// The presence policy of a topic, if it has presence.
    fn presence_rule(&self, topic: &Topic) -> Option<PresencePolicy> {
        self.settings.rules.of(topic).presence.clone()
    }
}
