//! The model's answers to requests, after the engine has answered.

use super::histories::Repeated;
use super::{Model, topic_of};
use crate::seen::Seen;
use hubcast_hub::engine::Outcome;
use hubcast_protocol::event::{Entry, Gap, GapReason, History, Pong, Published, Subscribed, Unsubscribed};
use hubcast_protocol::request::{Action, Publish, ReadHistory, Start, Subscribe};
use hubcast_protocol::{ErrorCode, Event, Request, RequestId, Target, Topic};
use std::time::Instant;

impl Model {
    /// Carries out a request. If the session is gone, a publication is still published and a history is still opened;
    /// nothing else happens, and no reply is sent. `heard`: whether a publication's topic had subscribers when the
    /// engine was asked.
    pub(super) fn take_effect(
        &mut self,
        now: Instant,
        who: usize,
        Request { id, action }: Request,
        heard: bool,
    ) -> Vec<Seen> {
        match action {
            Action::Publish(publish) => self.publish(now, who, id, publish, heard),
            Action::Subscribe(subscribe) => self.subscribe(now, who, id, subscribe),
            _ if !self.peers[who].here => Vec::new(),
            Action::Unsubscribe(target) => self.unsubscribe(now, who, id, target),
            Action::Ping => id.map(|id| self.sent(who, Event::Pong(Pong { id }))).into_iter().collect(),
            Action::Identify(identify) => self.identify(who, id, &identify),
            Action::Authenticate(_) => unreachable!("the caller verifies tokens"),
            Action::History(read) => self.read(now, who, id, read),
            Action::Presence(topic) => match self.presence(id.clone(), topic) {
                Ok(presence) => vec![self.sent(who, Event::Presence(presence))],
                Err(code) => self.refused(who, id, code),
            },
        }
    }

    /// Opens the history, adds the subscription, and sends the reply, the gaps, the missed publications and the join.
    fn subscribe(&mut self, now: Instant, who: usize, id: Option<RequestId>, subscribe: Subscribe) -> Vec<Seen> {
        let Subscribe { target, start, presence: watches, .. } = subscribe;
        let is_new = !self.listens(who, &target);
        let topic = topic_of(target.clone());
        let opened = self.histories.open(now, &target, &start);
        if !self.peers[who].here {
            topic.filter(|topic| !self.is_in_use(topic)).inspect(|topic| self.histories.release(now, topic));
            return Vec::new();
        }
        if is_new {
            self.subscriptions.push((who, target.clone()));
        }
        let (epoch, offset) = (opened.position.map(|at| at.epoch), opened.position.map(|at| at.offset));
        let count = u32::try_from(opened.missed.len()).expect("a script is short");
        let (recovered, replayed) = (opened.recovered, (start != Start::Live).then_some(count));
        let (about, presence) = (target.into(), watches && topic.as_ref().is_some_and(|topic| self.announces(topic)));
        let reply = Subscribed { id, about, epoch, offset, recovered, replayed, presence };
        let mut seen = vec![self.sent(who, Event::Subscribed(reply))];
        for (topic, position) in opened.lost {
            let (epoch, offset) = (position.map(|at| at.epoch), position.map(|at| at.offset));
            let reason = GapReason::NotRecoverable;
            seen.push(self.sent(who, Event::Gap(Gap { topic, from: None, to: None, epoch, offset, reason })));
        }
        if !opened.missed.is_empty() {
            seen.push(Seen::Replayed { session: self.peers[who].session, missed: opened.missed });
        }
        if let Some(topic) = topic {
            seen.extend(self.come(who, &topic, watches, is_new));
        }
        seen
    }

    /// Removes the subscription, if there is one, and replies in any case.
    fn unsubscribe(&mut self, now: Instant, who: usize, id: Option<RequestId>, target: Target) -> Vec<Seen> {
        let mut seen = Vec::new();
        let was_subscribed = self.listens(who, &target);
        self.subscriptions.retain(|(whose, what)| *whose != who || *what != target);
        if let Some(topic) = topic_of(target.clone()).filter(|_| was_subscribed) {
            self.watching.retain(|(whose, what)| *whose != who || *what != topic);
            seen.extend(self.leave(now, who, &topic, false));
        }
        seen.push(self.sent(who, Event::Unsubscribed(Unsubscribed { id, about: target.into(), reason: None })));
        seen
    }

    /// Ends a subscription to a topic by its name: updates the history if it was the last one, and announces the
    /// leave.
    pub(super) fn leave(&mut self, now: Instant, who: usize, topic: &Topic, lost: bool) -> Vec<Seen> {
        if !self.is_in_use(topic) {
            self.histories.release(now, topic);
        }
        self.go(now, who, topic, lost)
    }

    /// Publishes once for each key: a repetition gets the first outcome and is not delivered.
    fn publish(&mut self, now: Instant, who: usize, id: Option<RequestId>, publish: Publish, heard: bool) -> Vec<Seen> {
        let Publish { topic, payload, echo, key } = publish;
        let (user, _) = self.names(who);
        match self.histories.repeated(now, user.as_deref(), &topic, key.as_ref()) {
            Repeated::No => {}
            Repeated::With(outcome) => return self.published(who, id, topic, (outcome, true)),
            Repeated::Elsewhere if self.peers[who].here => return self.refused(who, id, ErrorCode::InvalidRequest),
            Repeated::Elsewhere => return Vec::new(),
        }
        let publication = self.histories.publish(now, topic.clone(), payload, heard);
        let hears = |other: usize| self.hears(other, &topic) && (echo || other != who);
        let hearers = (0..self.peers.len()).filter(|&other| hears(other));
        let by: Vec<_> = hearers.map(|other| self.peers[other].session).collect();
        let outcome = Outcome { position: publication.position(), receivers: by.len() as u64 };
        if let Some(key) = key {
            self.histories.remember(now, user, &topic, key, outcome);
        }
        let heard = (!by.is_empty()).then(|| Seen::heard(publication, by));
        heard.into_iter().chain(self.published(who, id, topic, (outcome, false))).collect()
    }

    /// The reply to a publication, if it has an id and its session is connected.
    fn published(
        &self,
        who: usize,
        id: Option<RequestId>,
        topic: Topic,
        (outcome, duplicate): (Outcome, bool),
    ) -> Vec<Seen> {
        if id.is_none() || !self.peers[who].here {
            return Vec::new();
        }
        let Outcome { position, receivers } = outcome;
        let (epoch, offset) = (position.map(|position| position.epoch), position.map(|position| position.offset));
        vec![self.sent(who, Event::Published(Published { id, topic, epoch, offset, receivers, duplicate }))]
    }

    /// The reply to a `history` request. Without an id there is only a refusal.
    fn read(&self, now: Instant, who: usize, id: Option<RequestId>, read: ReadHistory) -> Vec<Seen> {
        let Some((end, publications)) = self.histories.read(now, &read) else {
            return self.refused(who, id, ErrorCode::NoHistory);
        };
        let Some(id) = id else { return Vec::new() };
        let entries = publications.iter().filter_map(|publication| {
            Some(Entry::new(publication.position()?.offset, publication.payload().clone(), None))
        });
        let messages = entries.collect();
        let history = History { id, topic: read.topic, epoch: end.epoch, offset: end.offset, messages };
        vec![self.sent(who, Event::History(history))]
    }
}
