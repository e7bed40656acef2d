//! The hub itself: who is connected, and what becomes of each input.

mod delivery;
mod requests;

use crate::engine::{Ask, Engine, Memory, Question, Reply, Ticket};
use crate::patterns::Patterns;
use crate::rate::{Bucket, Verdict};
use crate::roster::{Place, Rosters, index};
use crate::session::Session;
use crate::{Effect, Effects, Input, SessionId, Settings};
use hubcast_protocol::event::{Closing, Limits, Refusal, Welcome};
use hubcast_protocol::{ClientId, CloseCode, ErrorCode, Event, Fault, Refused, Request, Topic};
use requests::Pending;
use std::collections::HashMap;
use std::time::Instant;

/// Everything subscribers share: feed it with [`Hub::handle`], carry out the [`Effects`].
///
/// There is one way in and nothing to drain: all that an input causes is in the effects when the call returns. A
/// client's fault is an event for that client; only a fault of the caller, such as connecting a session twice,
/// panics.
#[derive(Debug)]
pub struct Hub<E = Memory> {
    settings: Settings,
    engine: E,
    by_id: HashMap<SessionId, u32>,
    by_client: HashMap<ClientId, u32>,
    topics: HashMap<Topic, u32>,
    patterns: Patterns,
    rosters: Rosters,
    pending: HashMap<Ticket, Pending>,
    last_ticket: u64,
    /// Room for the rosters that one publication reaches.
    reached: Vec<u32>,
}

impl Hub {
    /// A hub with the embedded engine.
    pub fn new(settings: Settings) -> Self {
        Self::with_engine(settings, Memory::default())
    }
}

impl<E: Engine> Hub<E> {
    /// A hub that asks `engine`.
    pub fn with_engine(settings: Settings, engine: E) -> Self {
        Self {
            settings,
            engine,
            by_id: HashMap::new(),
            by_client: HashMap::new(),
            topics: HashMap::new(),
            patterns: Patterns::new(),
            rosters: Rosters::default(),
            pending: HashMap::new(),
            last_ticket: 0,
            reached: Vec::new(),
        }
    }

    /// Takes one input and pushes what it causes.
    ///
    /// # Panics
    /// When a session connects under a name that is connected.
    pub fn handle(&mut self, now: Instant, input: Input, effects: &mut Effects) {
        match input {
            Input::Connect { session, client } => self.connect(now, session, client, effects),
            Input::Request { session, request } => {
                if let Some(&session) = self.by_id.get(&session) {
                    self.take_request(now, session, request, effects);
                }
            }
            Input::SendAway { session, code, reason, reconnect_in_ms } => {
                if self.by_id.contains_key(&session) {
                    let closing = Closing { code, reason: reason.clone(), reconnect_in_ms };
                    effects.send(session, Event::Closing(closing));
                    effects.push(Effect::Close { session, code, reason });
                }
            }
            Input::Disconnect { session } => self.disconnect(session),
            Input::Reply(reply) => self.take_reply(now, reply, effects),
        }
    }

    /// Whether nothing is left: no session, no topic, no pattern, no open question.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
            && self.by_client.is_empty()
            && self.rosters.sessions.is_empty()
            && self.rosters.len() == 0
            && self.topics.is_empty()
            && self.patterns.is_empty()
            && self.pending.is_empty()
    }

    /// How many sessions are connected.
    pub fn sessions(&self) -> usize {
        self.by_id.len()
    }

    fn connect(&mut self, now: Instant, id: SessionId, client: ClientId, effects: &mut Effects) {
        let limits = &self.settings.limits;
        let bucket = limits.requests_per_second.map(|rate| Bucket::new(now, rate));
        let welcome = Welcome {
            client,
            user: None,
            server: self.settings.server.clone(),
            ping: self.settings.ping_ms,
            limits: Limits {
                message: self.settings.message as u64,
                topic: limits.topic as u64,
                subscriptions: limits.subscriptions as u64,
            },
        };
        let session = index(self.rosters.sessions.insert(Session::new(id, client, bucket)));
        assert!(self.by_id.insert(id, session).is_none(), "session {id:?} is connected already");
        assert!(self.by_client.insert(client, session).is_none(), "client {client} is connected already");
        effects.send(id, Event::Welcome(welcome));
    }

    fn disconnect(&mut self, id: SessionId) {
        let Some(session) = self.by_id.remove(&id) else { return };
        while let Some(emptied) = self.rosters.leave_any(session) {
            self.forget(emptied);
        }
        let session = self.rosters.sessions.remove(session as usize);
        self.by_client.remove(&session.client);
        if let Some(waiting) = session.waiting
            && let Some(pending) = self.pending.get_mut(&waiting.ticket)
        {
            pending.session = None;
        }
    }

    /// Drops what led to a roster that has no members any more.
    fn forget(&mut self, emptied: Option<Place>) {
        match emptied {
            Some(Place::Topic(topic)) => _ = self.topics.remove(&topic),
            Some(Place::Pattern(node)) => self.patterns.remove(node),
            None => {}
        }
    }

    /// Counts a frame against the rate limit, then performs it or lets it wait behind an open question.
    fn take_request(&mut self, now: Instant, session: u32, request: Result<Request, Refused>, effects: &mut Effects) {
        let peer = &mut self.rosters.sessions[session as usize];
        let request = match peer.bucket.as_mut().map_or(Verdict::Pass, |bucket| bucket.take(now)) {
            Verdict::Pass => request,
            Verdict::Refuse => Err(Refused {
                id: request.map_or_else(|refused| refused.id, |request| request.id),
                fault: Fault::new(ErrorCode::RateLimited, "too many requests, slow down"),
            }),
            Verdict::SendAway => {
                let reason = "too many requests".into();
                return effects.push(Effect::Close { session: peer.id, code: CloseCode::RATE_LIMIT, reason });
            }
        };
        match &mut peer.waiting {
            Some(waiting) => waiting.requests.push_back(request),
            None => self.perform(now, session, request, effects),
        }
    }

    /// Goes on where a question was left open, then with what waited behind it.
    fn take_reply(&mut self, now: Instant, reply: Reply, effects: &mut Effects) {
        let Some(pending) = self.pending.remove(&reply.ticket) else { return };
        let session = pending.session;
        let waiting = session.and_then(|session| self.rosters.sessions[session as usize].waiting.take());
        self.settle(pending, reply.answer, effects);
        let (Some(session), Some(mut waiting)) = (session, waiting) else { return };
        while let Some(request) = waiting.requests.pop_front() {
            self.perform(now, session, request, effects);
            if let Some(again) = &mut self.rosters.sessions[session as usize].waiting {
                again.requests = waiting.requests;
                return;
            }
        }
    }

    /// Asks the engine, and settles the answer now or when it comes.
    fn consult(&mut self, now: Instant, pending: Pending, question: Question, effects: &mut Effects) {
        self.last_ticket += 1;
        let ticket = Ticket(self.last_ticket);
        match self.engine.ask(now, Ask { ticket, question }) {
            Ok(answer) => self.settle(pending, answer, effects),
            Err(ask) => {
                if let Some(session) = pending.session {
                    self.rosters.sessions[session as usize].wait_for(ticket);
                }
                self.pending.insert(ticket, pending);
                effects.push(Effect::Ask(ask));
            }
        }
    }

    fn refuse(&self, session: u32, refused: Refused, effects: &mut Effects) {
        let refusal = Refusal::new(refused.id, refused.fault);
        effects.send(self.rosters.sessions[session as usize].id, Event::Error(refusal));
    }
}
