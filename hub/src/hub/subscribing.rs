//! How a session comes to listen and stops.

use super::Hub;
use super::pending::{Pending, Then, Wish, too_long};
use crate::Effects;
use crate::engine::{Engine, Notice, Question};
use crate::roster::Place;
use hubcast_protocol::event::{Gap, GapReason, Subscribed, Unsubscribed};
use hubcast_protocol::request::{Start, Subscribe, Target};
use hubcast_protocol::{ErrorCode, Event, Fault, Owner, RequestId, Slow, Topic};
use std::time::Instant;

impl<E: Engine> Hub<E> {
    pub(super) fn may_subscribe(&self, session: u32, target: &Target) -> Result<(), Fault> {
        let limits = &self.settings.limits;
        let peer = &self.rosters.sessions[session as usize];
        match target {
            Target::Topic(topic) => {
                self.check_topic(topic)?;
                self.check_owner(session, topic)?;
                if topic.owner().is_some() {
                    return Ok(());
                }
            }
            Target::Pattern(pattern) if pattern.as_str().len() > limits.topic => {
                return Err(too_long(ErrorCode::InvalidPattern, "pattern", limits.topic));
            }
            Target::Pattern(_) => {}
        }
        if peer.subscriptions.len() - peer.watching as usize >= limits.subscriptions
            && !self.is_subscribed(session, target)
        {
            let reason = format!("a connection has at most {} subscriptions", limits.subscriptions);
            return Err(Fault::new(ErrorCode::LimitExceeded, reason));
        }
        Ok(())
    }

    pub(super) fn subscribe(
        &mut self,
        now: Instant,
        session: u32,
        id: Option<RequestId>,
        subscribe: Subscribe,
        effects: &mut Effects,
    ) {
        let Subscribe { target, start, presence, slow } = subscribe;
        let wish = Wish { target: target.clone(), slow, presence, wants_past: start != Start::Live, opened: None };
        let pending = Pending::new(Some(session), id, Then::Subscribe(wish));
        self.consult(now, pending, Question::Open { target, start }, effects);
    }

    /// Answers a subscribe, tells what was missed, and puts the session where publications reach it, in one step.
    pub(super) fn go_live(
        &mut self,
        now: Instant,
        session: u32,
        id: Option<RequestId>,
        wish: Wish,
        effects: &mut Effects,
    ) {
        let Wish { target, slow, presence, wants_past, opened } = wish;
        let opened = opened.unwrap_or_default();
        let roster = self.open_roster(session, &target, slow);
        self.count_search(roster, session, effects);
        let joined = match roster {
            Some(roster) if !self.rosters.update(roster, session, slow) => {
                self.rosters.join(roster, session, slow);
                true
            }
            _ => false,
        };
        let to = self.id(session);
        let subscribed = Subscribed {
            id,
            about: target.clone().into(),
            epoch: opened.position.map(|position| position.epoch),
            offset: opened.position.map(|position| position.offset),
            recovered: opened.recovered,
            replayed: wants_past.then(|| u32::try_from(opened.missed.len()).unwrap_or(u32::MAX)),
        };
        effects.send(to, Event::Subscribed(subscribed));
        for (topic, position) in opened.lost {
            let (epoch, offset) = (position.map(|position| position.epoch), position.map(|position| position.offset));
            let reason = GapReason::NotRecoverable;
            effects.send(to, Event::Gap(Gap { topic, from: None, to: None, epoch, offset, reason }));
        }
        if !opened.missed.is_empty() {
            effects.replay(to, opened.missed);
        }
        if let Target::Topic(topic) = target {
            match presence {
                true => self.watch(session, &topic, slow),
                // A subscribe says anew all that the subscription is to be.
                false => self.unwatch(now, session, &topic),
            }
            if joined {
                self.tell_come(&topic, session, effects);
            }
        }
    }

    /// A subscription does not come about: the engine took its topic for used.
    pub(super) fn give_up(&mut self, now: Instant, wish: &Wish) {
        if let Target::Topic(topic) = &wish.target
            && !self.topics.contains_key(topic)
        {
            self.tell_unused(now, topic);
        }
    }

    /// Tells the engine that nobody listens to a topic by its name, unless somebody is about to: the notice would
    /// overtake the answer.
    pub(super) fn tell_unused(&mut self, now: Instant, topic: &Topic) {
        // With the embedded engine no question is ever open.
        if !self.pending.values().any(|pending| pending.then.opens(topic)) {
            self.engine.tell(now, Notice::Unused(topic));
        }
    }

    /// The roster that a subscription belongs in; a session's own topic has none.
    fn open_roster(&mut self, session: u32, target: &Target, slow: Slow) -> Option<u32> {
        match target {
            Target::Topic(topic) if topic.owner().is_some() => {
                self.rosters.sessions[session as usize].direct = Some(slow);
                None
            }
            Target::Topic(topic) => Some(match self.topics.get(topic) {
                Some(&roster) => roster,
                None => {
                    let roster = self.rosters.open(Place::Topic(topic.clone()));
                    self.topics.insert(topic.clone(), roster);
                    roster
                }
            }),
            Target::Pattern(pattern) => {
                let rosters = &mut self.rosters;
                Some(self.patterns.insert(pattern, |node| rosters.open(Place::Pattern(node))))
            }
        }
    }

    pub(super) fn unsubscribe(
        &mut self,
        now: Instant,
        session: u32,
        id: Option<RequestId>,
        target: Target,
        effects: &mut Effects,
    ) {
        let peer = &mut self.rosters.sessions[session as usize];
        match &target {
            Target::Topic(topic) if topic.owner() == Some(Owner::Client(peer.client)) => peer.direct = None,
            _ => self.leave(now, session, &target, effects),
        }
        effects.send(self.id(session), Event::Unsubscribed(Unsubscribed { id, about: target.into() }));
    }

    fn leave(&mut self, now: Instant, session: u32, target: &Target, effects: &mut Effects) {
        let roster = self.roster_of(target);
        self.count_search(roster, session, effects);
        let Some(roster) = roster.filter(|&roster| self.rosters.has(roster, session)) else { return };
        let emptied = self.rosters.leave(roster, session);
        self.forget(now, emptied);
        if let Target::Topic(topic) = target {
            self.unwatch(now, session, topic);
            self.tell_left(topic, session, effects);
        }
    }

    /// Notes what it takes to find out whether a session is in a roster, and to change that.
    fn count_search(&self, roster: Option<u32>, session: u32, effects: &mut Effects) {
        let entries = roster.map_or(0, |roster| self.rosters.cost_to_find(roster, session));
        effects.add_work(CHANGED + LOOKED_THROUGH * entries as u64);
    }

    fn is_subscribed(&self, session: u32, target: &Target) -> bool {
        self.roster_of(target).is_some_and(|roster| self.rosters.has(roster, session))
    }

    fn roster_of(&self, target: &Target) -> Option<u32> {
        match target {
            Target::Topic(topic) => self.topics.get(topic).copied(),
            Target::Pattern(pattern) => self.patterns.find(pattern),
        }
    }
}

/// Nanoseconds that it takes to come to a topic or pattern, or to leave it, and to look at one entry on the way, about.
const CHANGED: u64 = 3_000;
const LOOKED_THROUGH: u64 = 4;
