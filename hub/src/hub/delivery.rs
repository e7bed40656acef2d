//! The receivers of a publication.

use super::Hub;
use crate::effect::ListKey;
use crate::patterns::Walk;
use crate::subscriptions::Listing;
use crate::{Effect, Effects, Publication, Receiver, SessionId, engine::Engine};
use hubcast_protocol::{Owner, Topic};

/// The patterns that match one topic.
#[derive(Debug, Default)]
pub(super) struct Matched {
    pub(super) topic: Option<Topic>,
    pub(super) walk: Walk,
    /// The version of the patterns for which this is valid.
    pub(super) version: u64,
    /// The number of this look-up.
    pub(super) number: u64,
}

impl<E: Engine> Hub<E> {
    /// The sessions that a publication to this topic would reach now.
    pub fn subscribers(&mut self, topic: &Topic) -> Vec<SessionId> {
        let mut effects = Effects::default();
        self.deliver(&Publication::new(topic.clone(), "".into(), None), None, &mut effects);
        let receivers = effects.iter().find_map(|effect| match effect {
            Effect::Deliver { receivers, .. } => Some(effects.receivers(receivers)),
            _ => None,
        });
        receivers.unwrap_or_default().iter().map(|receiver| receiver.session).collect()
    }

    /// Delivers a publication to each of its receivers once, except one session. Returns the number of receivers.
    ///
    /// A private topic reaches only its owner. Any other topic reaches its own subscribers and those of every pattern
    /// that matches.
    pub(super) fn deliver(&mut self, publication: &Publication, except: Option<u32>, effects: &mut Effects) -> usize {
        let topic = publication.topic();
        match topic.owner() {
            Some(Owner::Client(client)) => {
                let owner = self.by_client.get(&client).filter(|&&owner| Some(owner) != except);
                let owner = owner.map(|&owner| &self.subscriptions.sessions[owner as usize]);
                let listening = owner.and_then(|owner| Some(Receiver { session: owner.id, slow: owner.direct? }));
                effects.deliver_to(publication, listening)
            }
            Some(Owner::User(_)) => {
                let Some(&channel) = self.topics.get(topic) else { return 0 };
                let key = ListKey { topic: self.subscriptions.version(channel), patterns: (0, 0), except };
                effects.deliver(publication, key, |receivers| self.subscriptions.list(&[channel], except, receivers))
            }
            Some(Owner::Nobody) => 0,
            None => {
                self.find(topic, usize::MAX, effects);
                let key = self.list_key(topic, except);
                let Self { topics, subscriptions, matched, channels_reached, .. } = self;
                effects.deliver(publication, key, |receivers| {
                    channels_reached.clear();
                    channels_reached.extend(in_order(topics.get(topic), &matched.walk));
                    subscriptions.list(channels_reached, except, receivers)
                })
            }
        }
    }

    /// Whether a topic has subscribers. Call it after all matching patterns are found.
    pub(super) fn has_subscribers(&self, topic: &Topic) -> bool {
        let any_pattern = topic.owner().is_none() && !self.matched.walk.channels().is_empty();
        any_pattern || self.topics.contains_key(topic)
    }

    /// Finds the patterns that match a topic, unless that looks at more than `most` nodes. Returns whether it has
    /// found all. While the patterns stay the same, publications to one topic in a row share one look-up.
    pub(super) fn find(&mut self, topic: &Topic, most: usize, effects: &mut Effects) -> bool {
        let Self { patterns, matched, .. } = self;
        if topic.owner().is_some() {
            return true;
        }
        if patterns.is_empty() {
            matched.walk.clear();
            matched.topic = None;
            return true;
        }
        let is_known = matched.version == patterns.version() && matched.topic.as_ref() == Some(topic);
        if !is_known {
            matched.walk.restart();
            (matched.version, matched.topic) = (patterns.version(), Some(topic.clone()));
            matched.number += 1;
        }
        if !matched.walk.is_over() {
            let looked_at = matched.walk.go_on(patterns, topic, most);
            effects.add_work(NODE_NS * looked_at as u64);
        }
        matched.walk.is_over()
    }

    /// Whether listing the receivers of a publication looks at more than `most` members.
    pub(super) fn are_many(&self, topic: &Topic, except: Option<u32>, most: usize, effects: &Effects) -> bool {
        let any_pattern = topic.owner().is_none() && !self.matched.walk.channels().is_empty();
        any_pattern && !effects.has_list(self.list_key(topic, except)) && {
            let subscriptions = in_order(self.topics.get(topic), &self.matched.walk);
            self.subscriptions.are_more_than(most, subscriptions)
        }
    }

    /// The key of the list of a topic's receivers, once all matching patterns are found.
    pub(super) fn list_key(&self, topic: &Topic, except: Option<u32>) -> ListKey {
        let any_pattern = !self.matched.walk.channels().is_empty();
        let patterns = if any_pattern { (self.matched.number, self.subscriptions.pattern_version()) } else { (0, 0) };
        let topic = self.topics.get(topic).map_or(0, |own| self.subscriptions.version(*own));
        ListKey { topic, patterns, except }
    }

    /// Starts a list of the receivers of a publication.
    pub(super) fn listing(&self, topic: &Topic, walk: &Walk, except: Option<u32>) -> Listing {
        Listing::new(in_order(self.topics.get(topic), walk).collect(), except)
    }
}

/// The channels of a topic, its own first. A session in several channels is listed as it is in the first.
fn in_order<'a>(own: Option<&u32>, walk: &'a Walk) -> impl Iterator<Item = u32> + 'a {
    own.copied().into_iter().chain(walk.channels().iter().copied())
}

/// Approximate cost in nanoseconds of looking at one node of the patterns.
pub(super) const NODE_NS: u64 = 150;
