//! The review of a session's subscriptions after what is granted has changed.

use super::super::work::Work;
use super::Hub;
use crate::subscriptions::ChannelKey;
use crate::{Effects, Permission, engine::Engine};
use hubcast_protocol::event::{EndReason, Gap, Unsubscribed};
use hubcast_protocol::{Event, Target, Topic};
use std::time::Instant;

impl<E: Engine> Hub<E> {
    /// Ends those of the first `left` subscriptions that are not granted any more, the last one first. Then sends
    /// `answer`, if there is one. The work is done in parts, because a session may have many subscriptions and many grants.
    pub(in crate::hub) fn review(
        &mut self,
        now: Instant,
        session: u32,
        mut left: usize,
        answer: Option<Box<Event>>,
        effects: &mut Effects,
    ) {
        let most = self.at_a_time(REVIEW_NS);
        for _ in 0..most.min(left) {
            left -= 1;
            effects.add_work(REVIEW_NS);
            self.review_one(now, session, left, effects);
        }
        match (left, answer) {
            (0, Some(answer)) => effects.send(self.id(session), *answer),
            (0, None) => {}
            (_, answer) => self.suspend(now, self.id(session), Work::Review { left, answer }, effects),
        }
    }

    /// Ends one subscription if it is not granted. The last subscription takes its place; that one is reviewed already.
    fn review_one(&mut self, now: Instant, session: u32, number: usize, effects: &mut Effects) {
        let Some(place) = self.subscriptions.places(session).nth(number).cloned() else { return };
        let peer = &self.subscriptions.sessions[session as usize];
        match place {
            ChannelKey::Topic(topic) => {
                if self.may(peer, Permission::Subscribe, &topic).is_err() {
                    self.end_subscription(now, session, topic.into(), EndReason::Forbidden, effects);
                }
            }
            ChannelKey::Pattern(node) => {
                let pattern = self.patterns.pattern(node);
                if self.may_all(peer, Permission::Subscribe, &pattern).is_err() {
                    self.end_subscription(now, session, pattern.into(), EndReason::Forbidden, effects);
                }
            }
            ChannelKey::Presence(topic) => {
                if self.may(peer, Permission::Presence, &topic).is_err() {
                    self.end_watching(now, session, topic, effects);
                }
            }
        }
    }

    /// Ends a subscription without a request of its session, and says so.
    pub(super) fn end_subscription(
        &mut self,
        now: Instant,
        session: u32,
        target: Target,
        reason: EndReason,
        effects: &mut Effects,
    ) {
        self.leave(now, session, &target, effects);
        let unsubscribed = Unsubscribed { id: None, about: target.into(), reason: Some(reason) };
        effects.send(self.id(session), Event::Unsubscribed(unsubscribed));
    }

    fn end_watching(&mut self, now: Instant, session: u32, topic: Topic, effects: &mut Effects) {
        self.unwatch(now, session, &topic);
        effects.send(self.id(session), Event::Gap(Gap::of_presence(topic)));
    }
}

/// Approximate cost of reviewing one subscription with many grants, in nanoseconds.
const REVIEW_NS: u64 = 5_000;
