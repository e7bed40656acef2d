//! What becomes of each request.

use super::Hub;
use crate::engine::{Answer, Engine, Opened, Question};
use crate::roster::Place;
use crate::{Effects, SessionId};
use hubcast_protocol::event::{Pong, Published, Subscribed, Unsubscribed};
use hubcast_protocol::request::{Action, Publish, Subscribe, Target};
use hubcast_protocol::{ErrorCode, Event, Fault, Owner, Refused, Request, RequestId, Topic};
use std::time::Instant;

/// What is left to do when the engine has answered.
#[derive(Debug)]
pub(super) struct Pending {
    /// Whose request it was; `None` when the session is gone.
    pub(super) session: Option<u32>,
    id: Option<RequestId>,
    then: Then,
}

#[derive(Debug)]
enum Then {
    Deliver { topic: Topic, echo: bool },
    Subscribe(Target),
}

impl<E: Engine> Hub<E> {
    /// Carries out one request of a session that waits for nothing.
    pub(super) fn perform(
        &mut self,
        now: Instant,
        session: u32,
        request: Result<Request, Refused>,
        effects: &mut Effects,
    ) {
        let Request { id, action } = match request {
            Ok(request) => request,
            Err(refused) => return self.refuse(session, refused, effects),
        };
        let fault = match action {
            Action::Publish(publish) => match self.may_publish(&publish) {
                Ok(()) => return self.publish(now, session, id, publish, effects),
                Err(fault) => fault,
            },
            Action::Subscribe(subscribe) => match self.may_subscribe(session, &subscribe.target) {
                Ok(()) => return self.subscribe(now, session, id, subscribe, effects),
                Err(fault) => fault,
            },
            Action::Unsubscribe(target) => return self.unsubscribe(session, id, target, effects),
            Action::Ping => {
                if let Some(id) = id {
                    effects.send(self.id(session), Event::Pong(Pong { id }));
                }
                return;
            }
            Action::History(_) => Fault::new(ErrorCode::NoHistory, "this topic keeps no history"),
            Action::Presence(_) => Fault::new(ErrorCode::NoPresence, "this topic keeps no presence"),
        };
        self.refuse(session, Refused { id, fault }, effects);
    }

    /// Goes on with a request after the engine's answer.
    pub(super) fn settle(&mut self, pending: Pending, answer: Answer, effects: &mut Effects) {
        let Pending { session, id, then } = pending;
        match (then, answer) {
            (Then::Deliver { topic, echo }, Answer::Published(publication)) => {
                let except = if echo { None } else { session };
                let receivers = self.deliver(&publication, except, effects) as u64;
                if let (Some(session), Some(id)) = (session, id) {
                    let offset = publication.position().map(|position| position.offset);
                    let published = Published { id: Some(id), topic, offset, receivers };
                    effects.send(self.id(session), Event::Published(published));
                }
            }
            (Then::Subscribe(target), Answer::Opened(opened)) => {
                if let Some(session) = session {
                    self.go_live(session, id, target, &opened, effects);
                }
            }
            (_, Answer::Failed(fault)) => {
                if let Some(session) = session {
                    self.refuse(session, Refused { id, fault }, effects);
                }
            }
            (then, answer) => panic!("an engine answered {answer:?} where {then:?} was to follow"),
        }
    }

    fn may_publish(&self, publish: &Publish) -> Result<(), Fault> {
        self.check_topic(&publish.topic)
    }

    fn publish(&mut self, now: Instant, session: u32, id: Option<RequestId>, publish: Publish, effects: &mut Effects) {
        let Publish { topic, payload, echo, key: _ } = publish;
        let then = Then::Deliver { topic: topic.clone(), echo };
        let pending = Pending { session: Some(session), id, then };
        self.consult(now, pending, Question::Publish { topic, payload }, effects);
    }

    fn may_subscribe(&self, session: u32, target: &Target) -> Result<(), Fault> {
        let limits = &self.settings.limits;
        let peer = &self.rosters.sessions[session as usize];
        match target {
            Target::Topic(topic) => {
                self.check_topic(topic)?;
                match topic.owner() {
                    Some(Owner::Client(client)) if client == peer.client => return Ok(()),
                    Some(_) => return Err(Fault::new(ErrorCode::Forbidden, "this topic is private to somebody else")),
                    None => {}
                }
            }
            Target::Pattern(pattern) if pattern.as_str().len() > limits.topic => {
                return Err(too_long(ErrorCode::InvalidPattern, "pattern", limits.topic));
            }
            Target::Pattern(_) => {}
        }
        if peer.subscriptions.len() >= limits.subscriptions && !self.is_subscribed(session, target) {
            let reason = format!("a connection has at most {} subscriptions", limits.subscriptions);
            return Err(Fault::new(ErrorCode::LimitExceeded, reason));
        }
        Ok(())
    }

    fn subscribe(
        &mut self,
        now: Instant,
        session: u32,
        id: Option<RequestId>,
        subscribe: Subscribe,
        effects: &mut Effects,
    ) {
        let Subscribe { target, start, .. } = subscribe;
        let pending = Pending { session: Some(session), id, then: Then::Subscribe(target.clone()) };
        self.consult(now, pending, Question::Open { target, start }, effects);
    }

    /// Answers a subscribe and puts the session where publications reach it, in one step.
    fn go_live(&mut self, session: u32, id: Option<RequestId>, target: Target, opened: &Opened, effects: &mut Effects) {
        let roster = match &target {
            Target::Topic(topic) if topic.owner().is_some() => {
                self.rosters.sessions[session as usize].hears_direct = true;
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
        };
        if let Some(roster) = roster.filter(|&roster| !self.rosters.has(roster, session)) {
            self.rosters.join(roster, session);
        }
        let subscribed = Subscribed {
            id,
            about: target.into(),
            epoch: opened.position.map(|position| position.epoch),
            offset: opened.position.map(|position| position.offset),
            recovered: opened.recovered,
            replayed: None,
        };
        effects.send(self.id(session), Event::Subscribed(subscribed));
    }

    fn unsubscribe(&mut self, session: u32, id: Option<RequestId>, target: Target, effects: &mut Effects) {
        let peer = &mut self.rosters.sessions[session as usize];
        match &target {
            Target::Topic(topic) if topic.owner() == Some(Owner::Client(peer.client)) => peer.hears_direct = false,
            _ => {
                if let Some(roster) = self.roster_of(&target) {
                    let emptied = self.rosters.leave(roster, session);
                    self.forget(emptied);
                }
            }
        }
        effects.send(self.id(session), Event::Unsubscribed(Unsubscribed { id, about: target.into() }));
    }

    fn check_topic(&self, topic: &Topic) -> Result<(), Fault> {
        match self.settings.limits.topic {
            most if topic.as_str().len() > most => Err(too_long(ErrorCode::InvalidTopic, "topic", most)),
            _ => Ok(()),
        }
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

    fn id(&self, session: u32) -> SessionId {
        self.rosters.sessions[session as usize].id
    }
}

fn too_long(code: ErrorCode, what: &str, most: usize) -> Fault {
    Fault::new(code, format!("a {what} has at most {most} bytes"))
}
