//! Carrying out requests.

use super::Hub;
use super::pending::{Continuation, Pending, too_long};
use super::work::Work;
use crate::effect::COLLECT_NS;
use crate::engine::{
    Engine, EngineNotice, EngineRequest, EngineResponse, HistoryPage, Keyed, Outcome, Publisher, Ticket,
};
use crate::{Effects, HistoryAnswer, MemberName, Permission, SessionId, Source};
use hubcast_protocol::event::{Author, Pong, Published};
use hubcast_protocol::request::{Action, Publish, ReadHistory};
use hubcast_protocol::{ErrorCode, ErrorReply, Event, RejectedRequest, Request, RequestId, Topic};
use std::collections::VecDeque;
use std::time::Instant;

impl<E: Engine> Hub<E> {
    /// Carries out one request of a session that has no open question.
    pub(super) fn perform(
        &mut self,
        now: Instant,
        session: u32,
        request: Result<Request, RejectedRequest>,
        effects: &mut Effects,
    ) {
        if !self.check_standing(now, session, &request, effects) {
            return;
        }
        let Request { id, action } = match request {
            Ok(request) => request,
            Err(refused) => return self.refuse(session, refused, effects),
        };
        let fault = match action {
            Action::Publish(publish) => match self.may_publish(now, session, &publish.topic) {
                Ok(()) => return self.publish(now, session, id, publish, effects),
                Err(fault) => fault,
            },
            Action::Subscribe(subscribe) => match self.may_subscribe(session, &subscribe, effects) {
                Ok(()) => return self.subscribe(now, session, id, subscribe, effects),
                Err(fault) => fault,
            },
            Action::Unsubscribe(target) => match self.check_length(&target) {
                Ok(()) => return self.unsubscribe(now, session, id, target, effects),
                Err(fault) => fault,
            },
            Action::Ping => {
                if let Some(id) = id {
                    effects.send(self.id(session), Event::Pong(Pong { id }));
                }
                return;
            }
            Action::Identify(identify) => match self.identify(session, identify) {
                Ok(()) => {
                    effects.add_work(HASH_NS);
                    if self.subscriptions.sessions[session as usize].user().is_none() {
                        self.report_identified(session, effects);
                    }
                    if id.is_some() {
                        effects.send(self.id(session), self.identified(session, id));
                    }
                    return;
                }
                Err(fault) => fault,
            },
            Action::Authenticate(_) => ErrorReply::new(ErrorCode::UnknownAction, "this server takes no tokens"),
            Action::History(read) => match self.may_read(session, Permission::History, &read.topic) {
                Ok(()) => return self.read_history(now, session, id, read, effects),
                Err(fault) => fault,
            },
            Action::Presence(topic) => {
                let may = self.may_read(session, Permission::Presence, &topic);
                let answer = may.and_then(|()| self.presence(id.clone(), topic, effects));
                match answer {
                    Ok(event) => return effects.send(self.id(session), event),
                    Err(fault) => fault,
                }
            }
        };
        self.refuse(session, RejectedRequest { id, fault }, effects);
    }

    /// Finishes a request after the engine's answer.
    pub(super) fn complete(&mut self, now: Instant, pending: Pending, answer: EngineResponse, effects: &mut Effects) {
        let Pending { session, id, then, .. } = pending;
        match (then, answer) {
            (Continuation::Deliver { topic, key, echo }, EngineResponse::Published(publication)) => {
                let except = if echo { None } else { session };
                let receivers = self.deliver(&publication, except, effects) as u64;
                let source = self.source(session);
                self.counters.count_publication(source, publication.payload().as_plain().len(), receivers);
                let outcome = Outcome { position: publication.position(), receivers };
                if let Some(key) = key {
                    self.engine.tell(now, EngineNotice::Delivered { topic: &topic, key: &key, outcome });
                }
                self.answer_publish(session, id, topic, (outcome, false), effects);
            }
            (Continuation::Deliver { topic, .. }, EngineResponse::Repeated(outcome)) => {
                let source = self.source(session);
                self.counters.duplicates[source] += 1;
                self.answer_publish(session, id, topic, (outcome, true), effects);
            }
            (Continuation::Subscribe(mut subscribe), EngineResponse::Opened(opened)) => match session {
                Some(session) => {
                    effects.add_work(COLLECT_NS * opened.missed.len() as u64);
                    subscribe.add(opened);
                    self.go_live(now, session, id, subscribe, effects);
                }
                None => self.abort_subscribe(now, &subscribe),
            },
            (Continuation::Subscribe(mut subscribe), EngineResponse::OpenedPart(opened, rest)) => match session {
                Some(session) => {
                    effects.add_work(COLLECT_NS * opened.missed.len() as u64);
                    subscribe.add(opened);
                    self.suspend(now, self.id(session), Work::Open { id, subscribe, rest }, effects);
                }
                None => self.abort_subscribe(now, &subscribe),
            },
            (Continuation::TellHistory(topic), EngineResponse::HistoryPage(excerpt)) => {
                if let (Some(session), Some(id)) = (session, id) {
                    let HistoryPage { position, publications } = excerpt;
                    effects.answer_history(self.id(session), HistoryAnswer { id, topic, position, publications });
                }
            }
            (then, EngineResponse::Failed(fault)) => {
                if let Continuation::Subscribe(subscribe) = then {
                    self.abort_subscribe(now, &subscribe);
                }
                if let Some(session) = session {
                    self.refuse(session, RejectedRequest { id, fault }, effects);
                }
            }
            (then, answer) => panic!("an engine answered {answer:?} where {then:?} was to follow"),
        }
    }

    /// Where the publications of a session come from.
    fn source(&self, session: Option<u32>) -> Source {
        let identity = session.and_then(|session| self.subscriptions.sessions[session as usize].identity.as_deref());
        match identity.map(|identity| &identity.name) {
            Some(MemberName::ApiKey(_)) => Source::Http,
            _ => Source::Client,
        }
    }

    /// Publishes now, unless finding the receivers takes long.
    fn publish(&mut self, now: Instant, session: u32, id: Option<RequestId>, publish: Publish, effects: &mut Effects) {
        let except = (!publish.echo).then_some(session);
        match self.search(&publish.topic, except, effects) {
            Some(search) => self.suspend(now, self.id(session), Work::Publish { id, publish, search }, effects),
            None => self.publish_now(now, session, id, publish, effects),
        }
    }

    /// Publishes, once all matching patterns are found.
    pub(super) fn publish_now(
        &mut self,
        now: Instant,
        session: u32,
        id: Option<RequestId>,
        publish: Publish,
        effects: &mut Effects,
    ) {
        let by = publish.key.as_ref().map(|_| self.subscriptions.sessions[session as usize].publisher());
        self.ask_for_position(now, (Some(session), by), id, publish, effects);
    }

    /// Asks the engine for the position of a publication. `by` is present if the publication has a key.
    fn ask_for_position(
        &mut self,
        now: Instant,
        (session, by): (Option<u32>, Option<Publisher>),
        id: Option<RequestId>,
        publish: Publish,
        effects: &mut Effects,
    ) {
        let Publish { topic, payload, echo, key } = publish;
        let key = by.zip(key).map(|(by, key)| Keyed { by, key });
        let has_subscribers = self.has_subscribers(&topic);
        let author = self.author(now, session, &topic);
        let then = Continuation::Deliver { topic: topic.clone(), key: key.clone(), echo };
        let pending = Pending::new(session, id, then);
        self.ask_engine(now, pending, EngineRequest::Publish { topic, payload, author, key, has_subscribers }, effects);
    }

    /// Who publishes, if the topic's rule asks for that.
    fn author(&self, now: Instant, session: Option<u32>, topic: &Topic) -> Option<Box<Author>> {
        if !self.has_authors || !self.rules.of(topic).author {
            return None;
        }
        let user = session.and_then(|session| self.subscriptions.sessions[session as usize].user().map(Into::into));
        let (since, unix_ms) = self.wall_clock?;
        let passed = u64::try_from(now.saturating_duration_since(since).as_millis()).unwrap_or(u64::MAX);
        Some(Box::new(Author { user, time: unix_ms.saturating_add(passed) }))
    }

    /// Publishes, one after another, what a session sent that is now gone.
    pub(super) fn publish_left_behind(
        &mut self,
        now: Instant,
        mut left: VecDeque<(Publisher, Publish)>,
        effects: &mut Effects,
    ) {
        while let Some((by, publish)) = left.pop_front() {
            if self.check_topic(&publish.topic).is_ok() {
                self.find(&publish.topic, usize::MAX, effects);
                self.ask_for_position(now, (None, Some(by)), None, publish, effects);
                if let Some(pending) = self.pending.get_mut(&Ticket(self.last_ticket)) {
                    pending.orphaned = left;
                    return;
                }
            }
        }
    }

    fn answer_publish(
        &self,
        session: Option<u32>,
        id: Option<RequestId>,
        topic: Topic,
        (outcome, is_duplicate): (Outcome, bool),
        effects: &mut Effects,
    ) {
        if let (Some(session), Some(id)) = (session, id) {
            let Outcome { position, receivers } = outcome;
            let (epoch, offset) = (position.map(|position| position.epoch), position.map(|position| position.offset));
            let published = Published { id: Some(id), topic, epoch, offset, receivers, duplicate: is_duplicate };
            effects.send(self.id(session), Event::Published(published));
        }
    }

    /// Checks that a session may publish to a topic now.
    fn may_publish(&mut self, now: Instant, session: u32, topic: &Topic) -> Result<(), ErrorReply> {
        self.check_topic(topic)?;
        self.may(&self.subscriptions.sessions[session as usize], Permission::Publish, topic)?;
        self.check_user_rate(now, session)
    }

    /// Checks that a session may read a topic's history, or its presence.
    fn may_read(&self, session: u32, permission: Permission, topic: &Topic) -> Result<(), ErrorReply> {
        self.check_topic(topic)?;
        self.may(&self.subscriptions.sessions[session as usize], permission, topic)
    }

    fn read_history(
        &mut self,
        now: Instant,
        session: u32,
        id: Option<RequestId>,
        mut read: ReadHistory,
        effects: &mut Effects,
    ) {
        read.limit = Some(read.limit.unwrap_or(u32::MAX).min(MAX_HISTORY_PAGE));
        let then = Continuation::TellHistory(read.topic.clone());
        self.ask_engine(now, Pending::new(Some(session), id, then), EngineRequest::Read(read), effects);
    }

    pub(super) fn check_topic(&self, topic: &Topic) -> Result<(), ErrorReply> {
        match self.settings.limits.topic {
            most if topic.as_str().len() > most => Err(too_long(ErrorCode::InvalidTopic, "topic", most)),
            _ => Ok(()),
        }
    }

    pub(super) fn id(&self, session: u32) -> SessionId {
        self.subscriptions.sessions[session as usize].id
    }
}

/// Approximate cost of hashing a member's secret, in nanoseconds.
const HASH_NS: u64 = 1_000;

/// The most publications in one answer to `history`.
const MAX_HISTORY_PAGE: u32 = 1000;
