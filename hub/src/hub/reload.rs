//! New rules, limits and grants, while sessions are connected.

use super::{Hub, is_open_to_all};
use crate::rules::RuleIndex;
use crate::{Admission, Effects, Limits, Reporting, SessionId, TopicRules, engine::Engine};
use hubcast_protocol::Topic;
use std::time::Instant;

impl Hub {
    /// Puts other rules, limits and grants in force, and what it reports, all at once. What is about a topic counts from its
    /// next use on: its history keeps its publications until then. Of sessions that were not reported to be connected, their
    /// end is not reported either.
    ///
    /// Sessions that are connected keep their subscriptions. The caller then hands in [`Input::Review`](crate::Input::Review)
    /// for each of them, which ends what is no longer granted. Returns whether anything could have been.
    pub fn reload(&mut self, rules: TopicRules, limits: Limits, admission: Admission, reporting: Reporting) -> bool {
        let was_open = self.is_open_to_all;
        self.engine.reload(rules.clone());
        self.rules = RuleIndex::new(rules.clone());
        self.has_authors = rules.list.iter().any(|rule| rule.policy.author);
        (self.settings.rules, self.settings.limits, self.settings.admission) = (rules, limits, admission);
        self.settings.reporting = reporting;
        self.is_open_to_all = is_open_to_all(&self.settings);
        self.count_present();
        !(was_open && self.is_open_to_all)
    }

    /// Counts the members of topics with presence anew, because other topics may have it now.
    fn count_present(&mut self) {
        let has_presence = |topic: &Topic| self.rules.of(topic).presence.is_some();
        let topics = self.topics.iter().filter(|(topic, _)| has_presence(topic));
        self.present = topics.map(|(_, channel)| self.subscriptions.count(*channel) as u64).sum();
    }
}

impl<E: Engine> Hub<E> {
    /// Ends those subscriptions of a session that are not granted any more.
    pub(super) fn review_session(&mut self, now: Instant, session: SessionId, effects: &mut Effects) {
        if let Some(&session) = self.by_id.get(&session) {
            let left = self.subscriptions.sessions[session as usize].memberships.len();
            self.review(now, session, left, None, effects);
        }
    }
}
