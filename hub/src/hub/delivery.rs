//! Where a publication goes.

use super::Hub;
use crate::effect::ListKey;
use crate::{Effects, Publication, Receiver, engine::Engine};
use hubcast_protocol::{Owner, Topic};

impl<E: Engine> Hub<E> {
    /// Delivers a publication to everyone who listens, once each, except one session; says how many they are.
    ///
    /// A private topic reaches its owner and nobody else; any other topic reaches its own subscribers and those of
    /// every pattern that matches.
    pub(super) fn deliver(&mut self, publication: &Publication, except: Option<u32>, effects: &mut Effects) -> usize {
        let topic = publication.topic();
        match topic.owner() {
            Some(Owner::Client(client)) => {
                let owner = self.by_client.get(&client).filter(|&&owner| Some(owner) != except);
                let owner = owner.map(|&owner| &self.rosters.sessions[owner as usize]);
                let listening = owner.and_then(|owner| Some(Receiver { session: owner.id, slow: owner.direct? }));
                effects.deliver_to(publication, listening)
            }
            Some(Owner::User(_) | Owner::Nobody) => 0,
            None => {
                let own = self.reach(topic, effects);
                let Self { rosters, matched, reached, .. } = self;
                let any_pattern = !matched.rosters.is_empty();
                let patterns = if any_pattern { (matched.number, rosters.pattern_version()) } else { (0, 0) };
                let topic = own.map_or(0, |own| rosters.version(own));
                effects.deliver(publication, ListKey { topic, patterns, except }, |receivers| {
                    reached.clear();
                    // The topic's own roster first: whoever is in several is listed as he is in the first.
                    reached.extend(own);
                    reached.extend(&matched.rosters);
                    rosters.list(reached, except, receivers)
                })
            }
        }
    }

    /// Whether somebody would hear a publication to this topic.
    pub(super) fn is_heard(&mut self, topic: &Topic, effects: &mut Effects) -> bool {
        if topic.owner().is_some() {
            return false;
        }
        self.reach(topic, effects).is_some() || !self.matched.rosters.is_empty()
    }

    /// Finds the rosters that a publication to an open topic reaches: gives the topic's own one; those of the patterns that
    /// match are in `matched` then. They are looked up once for publication after publication to one topic, while the
    /// patterns stay the same.
    fn reach(&mut self, topic: &Topic, effects: &mut Effects) -> Option<u32> {
        let Self { topics, patterns, matched, .. } = self;
        let is_known = matched.version == patterns.version() && matched.topic.as_ref() == Some(topic);
        if patterns.is_empty() {
            matched.rosters.clear();
            matched.topic = None;
        } else if !is_known {
            matched.rosters.clear();
            let looked_at = patterns.matching(topic, &mut matched.rosters);
            effects.add_work(LOOKED_AT * looked_at as u64);
            (matched.version, matched.topic) = (patterns.version(), Some(topic.clone()));
            matched.number += 1;
        }
        topics.get(topic).copied()
    }
}

/// The rosters of the patterns that match one topic.
#[derive(Debug, Default)]
pub(super) struct Matched {
    topic: Option<Topic>,
    /// The patterns' version for which this is so.
    version: u64,
    /// Which look-up this is.
    number: u64,
    rosters: Vec<u32>,
}

/// Nanoseconds that it takes to look at a node of the patterns, about.
const LOOKED_AT: u64 = 60;
