//! Where a publication goes.

use super::Hub;
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
                self.reach(topic, effects);
                let Self { rosters, reached, list_key, .. } = self;
                list_key.versions.clear();
                list_key.versions.extend(reached.iter().map(|roster| rosters.version(*roster)));
                list_key.except = except;
                effects.deliver(publication, list_key, |receivers| rosters.list(reached, except, receivers))
            }
        }
    }

    /// Whether somebody would hear a publication to this topic.
    pub(super) fn is_heard(&mut self, topic: &Topic, effects: &mut Effects) -> bool {
        if topic.owner().is_some() {
            return false;
        }
        self.reach(topic, effects);
        !self.reached.is_empty()
    }

    /// Finds the rosters that a publication to an open topic reaches. What patterns match is looked up once for
    /// publication after publication to one topic, while the patterns stay the same.
    fn reach(&mut self, topic: &Topic, effects: &mut Effects) {
        let Self { topics, patterns, reached, matched, .. } = self;
        reached.clear();
        // The topic's own roster first: whoever is in several is listed as he is in the first.
        reached.extend(topics.get(topic));
        if patterns.is_empty() {
            return;
        }
        if matched.version != patterns.version() || matched.topic.as_ref() != Some(topic) {
            matched.rosters.clear();
            let looked_at = patterns.matching(topic, &mut matched.rosters);
            effects.add_work(LOOKED_AT * looked_at as u64);
            (matched.version, matched.topic) = (patterns.version(), Some(topic.clone()));
        }
        reached.extend(&matched.rosters);
    }
}

/// The rosters of the patterns that match one topic.
#[derive(Debug, Default)]
pub(super) struct Matched {
    topic: Option<Topic>,
    /// The patterns' version for which this is so.
    version: u64,
    rosters: Vec<u32>,
}

/// Nanoseconds that it takes to look at a node of the patterns, about.
const LOOKED_AT: u64 = 60;
