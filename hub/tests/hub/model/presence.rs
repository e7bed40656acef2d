//! Who is there.

use super::Model;
use crate::seen::Seen;
use hubcast_hub::PresencePolicy;
use hubcast_protocol::event::{Member, Presence, Present};
use hubcast_protocol::{ErrorCode, Event, RequestId, Target, Topic};
use std::time::Instant;

/// One who was lost and may be back.
pub(super) struct GracePeriod {
    until: Instant,
    who: usize,
    topic: Topic,
}

impl Model {
    /// Members are those who subscribed to the topic itself, and those who may be back.
    pub(super) fn presence(&self, id: Option<RequestId>, topic: Topic) -> Result<Presence, ErrorCode> {
        self.presence_rule(&topic).ok_or(ErrorCode::NoPresence)?;
        let id = id.ok_or(ErrorCode::InvalidRequest)?;
        let target = Target::Topic(topic.clone());
        let there = self.subscriptions.iter().filter(|(_, what)| *what == target).map(|(who, _)| *who);
        let waiting = self.grace.iter().filter(|departure| departure.topic == topic);
        let clients: Vec<_> = there
            .chain(waiting.map(|departure| departure.who))
            .map(|who| Present { client: self.peers[who].client, user: self.user(who), info: None })
            .collect();
        Ok(Presence { id, topic, count: clients.len() as u64, clients })
    }

    /// Somebody subscribed to a topic, for the first time if it `is_new`, and watches from now on or does not.
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
            departure.topic == *topic && self.user(who).is_some() && self.user(departure.who) == self.user(who)
        };
        match self.grace.iter().position(is_back) {
            Some(back) => {
                self.grace.remove(back);
                Vec::new()
            }
            None => self.notify_watchers(topic, Some(who), &Event::Join(self.member(topic, who))),
        }
    }

    /// Somebody left a topic, or lost the connection.
    pub(super) fn go(&mut self, now: Instant, who: usize, topic: &Topic, lost: bool) -> Vec<Seen> {
        let Some(rule) = self.presence_rule(topic) else { return Vec::new() };
        if lost && !rule.grace.is_zero() {
            self.grace.push(GracePeriod { until: now + rule.grace, who, topic: topic.clone() });
            return Vec::new();
        }
        self.notify_watchers(topic, Some(who), &Event::Leave(self.member(topic, who)))
    }

    /// Tells of those who did not come back in time.
    pub(super) fn depart(&mut self, now: Instant) -> Vec<Seen> {
        let over: Vec<_> = self.grace.extract_if(.., |departure| departure.until <= now).collect();
        let leaves = over.iter().map(|GracePeriod { topic, who, .. }| {
            self.notify_watchers(topic, None, &Event::Leave(self.member(topic, *who)))
        });
        leaves.flatten().collect()
    }

    fn notify_watchers(&self, topic: &Topic, except: Option<usize>, event: &Event) -> Vec<Seen> {
        let watchers = self.watching.iter().filter(|(who, what)| what == topic && Some(*who) != except);
        watchers.map(|(who, _)| self.sent(*who, event.clone())).collect()
    }

    fn member(&self, topic: &Topic, who: usize) -> Member {
        Member { topic: topic.clone(), client: self.peers[who].client, user: self.user(who) }
    }

    fn user(&self, who: usize) -> Option<Box<str>> {
        self.peers[who].identity.as_ref().map(|identity| identity.user.clone())
    }

    fn presence_rule(&self, topic: &Topic) -> Option<PresencePolicy> {
        self.settings.rules.of(topic).presence.clone()
    }
}
