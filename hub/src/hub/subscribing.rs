//! Subscribing and unsubscribing.

use super::Hub;
use super::pending::{Continuation, Pending, PendingSubscribe, too_long};
use crate::engine::{Engine, EngineNotice, EngineRequest, SubscribeState};
use crate::subscriptions::ChannelKey;
use crate::{Effects, ResumeOutcome};
use hubcast_protocol::event::{Gap, GapReason, Subscribed, Unsubscribed};
use hubcast_protocol::request::{Start, Subscribe, Target};
use hubcast_protocol::{Epoch, ErrorCode, ErrorReply, Event, Owner, RequestId, Slow, Topic};
use std::time::Instant;

impl<E: Engine> Hub<E> {
    /// Checks all that a subscribe needs: permission and room.
    pub(super) fn may_subscribe(
        &self,
        session: u32,
        subscribe: &Subscribe,
        effects: &mut Effects,
    ) -> Result<(), ErrorReply> {
        self.check_length(&subscribe.target)?;
        self.may_subscribe_so(session, subscribe)?;
        self.check_room(session, &subscribe.target, effects)
    }

    /// Checks that a session has room for one more subscription.
    pub(super) fn check_room(&self, session: u32, target: &Target, effects: &mut Effects) -> Result<(), ErrorReply> {
        let limits = &self.settings.limits;
        let peer = &self.subscriptions.sessions[session as usize];
        if matches!(target, Target::Topic(topic) if topic.owner().is_some()) || self.is_subscribed(session, target) {
            return Ok(());
        }
        if peer.counted() >= limits.subscriptions {
            let reason = format!("a connection has at most {} subscriptions", limits.subscriptions);
            return Err(ErrorReply::new(ErrorCode::LimitExceeded, reason));
        }
        self.check_user_subscriptions(session, effects)
    }

    /// Checks that a topic or pattern is no longer than it may be.
    pub(super) fn check_length(&self, target: &Target) -> Result<(), ErrorReply> {
        let most = self.settings.limits.topic;
        match target {
            Target::Topic(topic) => self.check_topic(topic),
            Target::Pattern(pattern) if pattern.as_str().len() > most => {
                Err(too_long(ErrorCode::InvalidPattern, "pattern", most))
            }
            Target::Pattern(_) => Ok(()),
        }
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
        let known_epoch = match &start {
            Start::After(after) | Start::AfterOrLast(after, _) => Some(after.epoch),
            _ => None,
        };
        let wants_past = start != Start::Live;
        let target_asked = target.clone();
        let subscribe =
            PendingSubscribe { target: target_asked, slow, presence, wants_past, known_epoch, opened: None };
        let pending = Pending::new(Some(session), id, Continuation::Subscribe(subscribe));
        self.ask_engine(now, pending, EngineRequest::Open { target, start }, effects);
    }

    /// Answers a subscribe, sends what was missed, and adds the session to the channel, in one step.
    pub(super) fn go_live(
        &mut self,
        now: Instant,
        session: u32,
        id: Option<RequestId>,
        subscribe: PendingSubscribe,
        effects: &mut Effects,
    ) {
        let PendingSubscribe { target, slow, presence, wants_past, known_epoch, opened } = subscribe;
        let opened = opened.unwrap_or_default();
        self.count_resume(&opened, known_epoch);
        let channel = self.open_channel(session, &target, slow);
        self.count_search(channel, session, effects);
        let joined = match channel {
            Some(channel) if !self.subscriptions.update(channel, session, slow) => {
                self.subscriptions.join(channel, session, slow);
                if let Target::Topic(topic) = &target {
                    self.note_user_topic(session, topic, true);
                }
                self.report_subscribed(session, &target, self.subscriptions.count(channel) == 1, effects);
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
            presence: presence && self.has_presence_events(&target),
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
                // A new subscribe replaces all settings of the subscription.
                false => self.unwatch(now, session, &topic),
            }
            if joined {
                self.announce_join(&topic, session, effects);
            }
        }
    }

    /// Counts what a subscription got of the past.
    fn count_resume(&mut self, opened: &SubscribeState, known_epoch: Option<Epoch>) {
        let Some(recovered) = opened.recovered else { return self.counters.replayed += opened.missed.len() as u64 };
        let epoch = opened.position.map(|position| position.epoch);
        let outcome = match recovered {
            true => ResumeOutcome::Complete,
            false if epoch.is_some() && known_epoch.is_some() && epoch != known_epoch => ResumeOutcome::NewEpoch,
            false => ResumeOutcome::Gap,
        };
        self.counters.resumes[outcome] += 1;
        self.counters.replayed += opened.missed.len() as u64;
    }

    /// Cancels a subscription. The engine already counts its topic as used, so it must learn that it is not.
    pub(super) fn abort_subscribe(&mut self, now: Instant, subscribe: &PendingSubscribe) {
        if let Target::Topic(topic) = &subscribe.target
            && !self.topics.contains_key(topic)
        {
            self.tell_unused(now, topic);
        }
    }

    /// Tells the engine that no session listens to a topic by its name. Not while a subscribe to it waits for the
    /// engine: the notice would overtake the answer.
    pub(super) fn tell_unused(&mut self, now: Instant, topic: &Topic) {
        // With the embedded engine, no question is ever open.
        if !self.pending.values().any(|pending| pending.then.opens(topic)) {
            self.engine.tell(now, EngineNotice::Unused(topic));
        }
    }

    /// The channel of a subscription, opened if needed; a session's own topic has none.
    pub(super) fn open_channel(&mut self, session: u32, target: &Target, slow: Slow) -> Option<u32> {
        match target {
            Target::Topic(topic) if matches!(topic.owner(), Some(Owner::Client(_) | Owner::Nobody)) => {
                self.subscriptions.sessions[session as usize].direct = Some(slow);
                None
            }
            Target::Topic(topic) => Some(match self.topics.get(topic) {
                Some(&channel) => channel,
                None => {
                    let channel = self.subscriptions.open(ChannelKey::Topic(topic.clone()));
                    self.topics.insert(topic.clone(), channel);
                    channel
                }
            }),
            Target::Pattern(pattern) => {
                let subscriptions = &mut self.subscriptions;
                Some(self.patterns.insert(pattern, |node| subscriptions.open(ChannelKey::Pattern(node))))
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
        let peer = &mut self.subscriptions.sessions[session as usize];
        match &target {
            Target::Topic(topic) if topic.owner() == Some(Owner::Client(peer.client)) => peer.direct = None,
            _ => self.leave(now, session, &target, effects),
        }
        effects.send(self.id(session), Event::Unsubscribed(Unsubscribed { id, about: target.into(), reason: None }));
    }

    pub(super) fn leave(&mut self, now: Instant, session: u32, target: &Target, effects: &mut Effects) {
        let channel = self.channel_of(target);
        self.count_search(channel, session, effects);
        let Some(channel) = channel.filter(|&channel| self.subscriptions.has(channel, session)) else { return };
        let emptied = self.subscriptions.leave(channel, session);
        self.report_unsubscribed(session, target, emptied.as_ref(), effects);
        self.forget(now, emptied);
        if let Target::Topic(topic) = target {
            self.note_user_topic(session, topic, false);
            self.unwatch(now, session, topic);
            self.announce_left(topic, session, effects);
        }
    }

    /// Counts the work of finding out whether a session is in a channel, and of changing that.
    fn count_search(&self, channel: Option<u32>, session: u32, effects: &mut Effects) {
        let entries = channel.map_or(0, |channel| self.subscriptions.cost_to_find(channel, session));
        effects.add_work(CHANGE_NS + ENTRY_NS * entries as u64);
    }

    pub(super) fn is_subscribed(&self, session: u32, target: &Target) -> bool {
        self.channel_of(target).is_some_and(|channel| self.subscriptions.has(channel, session))
    }

    fn channel_of(&self, target: &Target) -> Option<u32> {
        match target {
            Target::Topic(topic) => self.topics.get(topic).copied(),
            Target::Pattern(pattern) => self.patterns.find(pattern),
        }
    }
}

/// Approximate cost of joining or leaving a topic or pattern, in nanoseconds.
const CHANGE_NS: u64 = 3_000;

/// Approximate cost of looking at one entry in the search, in nanoseconds.
const ENTRY_NS: u64 = 4;
