//! The hub itself: its state, and the dispatch of each input.

mod authority;
mod delivery;
mod grace;
mod inspect;
mod pending;
mod presence;
mod reload;
mod reporting;
mod requests;
mod subscribing;
mod timeouts;
mod work;

use crate::counters::RequestKind;
use crate::effect::COLLECT_NS;
use crate::engine::{Engine, EngineCall, EngineReply, EngineRequest, Memory, Snapshot, Ticket};
use crate::patterns::Patterns;
use crate::rate::{Bucket, Verdict};
use crate::rules::RuleIndex;
use crate::session::{MAX_WAITING_REQUESTS, Session};
use crate::sparse::{release_map, release_slab};
use crate::subscriptions::{ChannelKey, Subscriptions, index};
use crate::{
    Access, Counters, Credentials, Effect, Effects, Identity, Input, MemberName, Permission, SessionId, Settings,
    TopicAccess,
};
use delivery::Matched;
use grace::GracePeriods;
use hubcast_protocol::event::{Closing, Limits, Refusal, Welcome};
use hubcast_protocol::request::{Action, Publish};
use hubcast_protocol::{ClientId, CloseCode, ErrorCode, ErrorReply, Event, RejectedRequest, Request, Topic};
pub use inspect::{Page, SessionInfo, TopicInfo};
use pending::Pending;
use reporting::report_disconnected;
use std::collections::{BTreeSet, HashMap};
use std::mem;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Instant;
use work::UnfinishedInput;

/// Everything subscribers share. Feed it with [`Hub::begin`] (or [`Hub::handle`], which also does the rest) and carry out the [`Effects`].
///
/// Inputs are the only way in. When the call returns, everything that the input causes is in the effects; there is
/// nothing else to collect. A client's error becomes an event for that client. Only an error of the caller, such as
/// connecting a session twice, panics.
#[derive(Debug)]
pub struct Hub<E = Memory> {
    settings: Settings,
    rules: RuleIndex,
    engine: E,
    /// The index of each session in `subscriptions.sessions`. A variable `session` of type `u32` is such an index; a
    /// [`SessionId`] is the name that the caller uses.
    by_id: HashMap<SessionId, u32>,
    by_client: HashMap<ClientId, u32>,
    topics: HashMap<Topic, u32>,
    /// For each topic, the channel of the sessions that get its `join` and `leave` events.
    watched: HashMap<Topic, u32>,
    grace: GracePeriods,
    patterns: Patterns,
    subscriptions: Subscriptions,
    pending: HashMap<Ticket, Pending>,
    last_ticket: u64,
    /// By private topic of a user: the user's sessions that have unsubscribed from it.
    muted: HashMap<Topic, Vec<u32>>,
    /// The sessions that wait to authenticate, or whose token ends, with the time.
    authority_due: BTreeSet<(Instant, u32)>,
    waiting_to_authenticate: usize,
    /// Whether everybody may do everything, but for what is private.
    is_open_to_all: bool,
    /// Whether any topic's rule asks for authors.
    has_authors: bool,
    /// The caller's wall clock at a time, in milliseconds since 1970-01-01 UTC.
    wall_clock: Option<(Instant, u64)>,
    /// The rate limits of users and API keys that publish.
    publication_buckets: HashMap<MemberName, Bucket>,
    sweep_buckets_at: usize,
    /// Members of topics with presence, each as often as it is a member.
    present: u64,
    counters: Counters,
    /// Buffer, used again: the channels that one publication reaches.
    channels_reached: Vec<u32>,
    /// The patterns that matched the last topic looked up.
    matched: Matched,
    /// The unfinished input, if there is one.
    begun: Option<UnfinishedInput>,
    /// Whether the current work is done to its end, without being split into parts.
    is_at_once: bool,
}

impl Hub {
    /// A hub with the embedded engine.
    pub fn new(settings: Settings) -> Self {
        let missed = usize::try_from(settings.work_at_once / COLLECT_NS).unwrap_or(usize::MAX);
        let engine = Memory::new(settings.rules.clone(), settings.history_max_bytes, settings.seed)
            .counted_by(settings.live_bytes.clone())
            .answering_in_parts(NonZeroUsize::new(missed).unwrap_or(NonZeroUsize::MIN));
        Self::with_engine(settings, engine)
    }

    /// Every history, idempotency key and producer as of now, for another hub to [`restore`](Hub::restore).
    pub fn save(&self, now: Instant) -> Snapshot {
        self.engine.save(now)
    }

    /// Until then, keeps publications beyond the size of their history, as long as the bound on all histories allows
    /// it. Called when a server stops: its clients are disconnected, and come back to the next server.
    pub fn await_return(&mut self, until: Instant) {
        self.engine.await_return(until);
    }

    /// Adds what another hub saved, as far as the rules of this hub still keep it. Where both have an entry, this
    /// hub's own counts: the history of a topic, the outcome of a key, the numbers of a producer.
    pub fn restore(&mut self, now: Instant, saved: Snapshot) {
        self.engine.restore(now, saved);
    }
}

impl<E: Engine> Hub<E> {
    /// A hub that uses `engine`.
    pub fn with_engine(settings: Settings, engine: E) -> Self {
        Self {
            is_open_to_all: is_open_to_all(&settings),
            has_authors: settings.rules.list.iter().any(|rule| rule.policy.author),
            rules: RuleIndex::new(settings.rules.clone()),
            settings,
            engine,
            by_id: HashMap::new(),
            by_client: HashMap::new(),
            topics: HashMap::new(),
            watched: HashMap::new(),
            grace: GracePeriods::default(),
            patterns: Patterns::new(),
            subscriptions: Subscriptions::default(),
            pending: HashMap::new(),
            last_ticket: 0,
            muted: HashMap::new(),
            authority_due: BTreeSet::new(),
            waiting_to_authenticate: 0,
            wall_clock: None,
            publication_buckets: HashMap::new(),
            sweep_buckets_at: 0,
            present: 0,
            counters: Counters::default(),
            channels_reached: Vec::new(),
            matched: Matched::default(),
            begun: None,
            is_at_once: false,
        }
    }

    /// Takes one input and pushes what it causes.
    ///
    /// # Panics
    /// When a session connects under a [`SessionId`] or a client id that is already connected, and when an engine
    /// gives an answer of another kind than the question needs.
    pub fn handle(&mut self, now: Instant, input: Input, effects: &mut Effects) {
        self.finish(now, input, effects);
    }

    /// Takes one input. Part of its work may be left as unfinished.
    #[inline]
    fn take(&mut self, now: Instant, input: Input, effects: &mut Effects) {
        match input {
            Input::Connect { session, client, identity, credentials } => {
                let bucket = self.bucket(now, identity.as_deref());
                let session = Session::new(session, client, identity, bucket);
                self.connect(now, session, credentials, effects);
            }
            Input::Request { session, request } => {
                if let Some(&session) = self.by_id.get(&session) {
                    self.take_request(now, session, request, effects);
                }
            }
            Input::Disconnect { session, code, reason, reconnect_in_ms } => {
                if self.by_id.contains_key(&session) {
                    let closing = Closing { code, reason: reason.clone(), reconnect_in_ms };
                    effects.send(session, Event::Closing(closing));
                    effects.push(Effect::Close { session, code, reason });
                }
            }
            Input::Closed { session, lost } => self.closed(now, session, lost, effects),
            Input::Authenticate { session, id, outcome } => {
                if let Some(&session) = self.by_id.get(&session)
                    && !self.subscriptions.sessions[session as usize].cut
                {
                    self.authenticate(now, session, id, outcome, effects);
                }
            }
            Input::Operate { session, id, whom, operation } => {
                self.operate(now, (session, id), &whom, &operation, effects);
            }
            Input::Reply(reply) => self.take_reply(now, reply, effects),
            Input::Review { session } => self.review_session(now, session, effects),
            // Nothing is left to continue.
            Input::Continue { .. } => {}
        }
    }

    /// Sets the wall clock, for topics that say when a message was published. `unix_ms` is in milliseconds since
    /// 1970-01-01 UTC. The hub counts on from there.
    pub fn set_wall_clock(&mut self, now: Instant, unix_ms: u64) {
        self.wall_clock = Some((now, unix_ms));
    }

    /// Whether any topic says when a message was published, so that the wall clock is needed.
    pub fn needs_wall_clock(&self) -> bool {
        self.has_authors
    }

    /// The engine, for reading.
    pub fn engine(&self) -> &E {
        &self.engine
    }

    /// Whether the hub holds nothing: no session, topic, pattern, open question or unfinished work.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
            && self.by_client.is_empty()
            && self.subscriptions.sessions.is_empty()
            && self.subscriptions.len() == 0
            && self.topics.is_empty()
            && self.watched.is_empty()
            && self.grace.is_empty()
            && self.patterns.is_empty()
            && self.pending.is_empty()
            && self.muted.is_empty()
            && self.authority_due.is_empty()
            && self.waiting_to_authenticate == 0
            && self.present == 0
            && self.begun.is_none()
    }

    /// Whether a session has subscriptions, and all of them are `drop` or `latest`.
    pub fn may_skip(&self, session: SessionId) -> bool {
        self.by_id.get(&session).is_some_and(|&session| self.subscriptions.may_skip(session))
    }

    /// How many sessions are connected.
    pub fn sessions(&self) -> usize {
        self.by_id.len()
    }

    /// The limit of a session's requests.
    fn bucket(&self, now: Instant, identity: Option<&Identity>) -> Option<Bucket> {
        let is_api_key = identity.is_some_and(|identity| matches!(identity.name, MemberName::ApiKey(_)));
        self.settings.limits.requests_per_second.filter(|_| !is_api_key).map(|rate| Bucket::new(now, rate))
    }

    fn connect(
        &mut self,
        now: Instant,
        session: Session,
        credentials: Option<Arc<Credentials>>,
        effects: &mut Effects,
    ) {
        let (id, client) = (session.id, session.client);
        let limits = &self.settings.limits;
        let welcome = Welcome {
            client,
            user: session.user().map(Into::into),
            server: self.settings.server.clone(),
            ping: self.settings.ping_ms,
            limits: Limits {
                message: self.settings.message as u64,
                topic: limits.topic as u64,
                subscriptions: limits.subscriptions as u64,
            },
        };
        let session = index(self.subscriptions.sessions.insert(session));
        assert!(self.by_id.insert(id, session).is_none(), "session {id:?} is connected already");
        assert!(self.by_client.insert(client, session).is_none(), "client {client} is connected already");
        effects.send(id, Event::Welcome(welcome));
        self.admit(now, session, credentials, effects);
        self.report_connected(session, effects);
    }

    fn closed(&mut self, now: Instant, id: SessionId, lost: bool, effects: &mut Effects) {
        let Some(session) = self.by_id.remove(&id) else { return };
        effects.add_work(LEAVE_NS * self.subscriptions.sessions[session as usize].memberships.len() as u64);
        let mut present = self.present_in(session);
        present.reverse();
        self.present -= present.len() as u64;
        let left = self.granted_publications(session);
        self.report_leaving(session, lost, effects);
        self.dismiss(session);
        while let Some(emptied) = self.subscriptions.leave_any(session) {
            self.report_vacant(emptied.as_ref(), effects);
            self.forget(now, emptied);
        }
        let mut session = self.subscriptions.sessions.remove(session as usize);
        report_disconnected(&session, lost, effects);
        self.by_client.remove(&session.client);
        release_map(&mut self.by_id);
        release_map(&mut self.by_client);
        release_slab(&mut self.subscriptions.sessions);
        if let Some(waiting) = session.waiting.take()
            && let Some(pending) = self.pending.get_mut(&waiting.ticket)
        {
            pending.session = None;
            pending.orphaned = left.into_iter().map(|publish| (session.publisher(), publish)).collect();
        }
        self.announce_gone(now, id, session, present, lost, effects);
    }

    /// The publications that a session has sent, that still wait for the engine, and that it may publish. They take
    /// effect even when the session is gone.
    fn granted_publications(&self, session: u32) -> Vec<Publish> {
        let peer = &self.subscriptions.sessions[session as usize];
        let waiting = peer.waiting.iter().flat_map(|waiting| &waiting.requests);
        let publications = waiting.filter_map(|request| match &request.as_ref().ok()?.action {
            Action::Publish(publish) => Some(publish),
            _ => None,
        });
        let granted = publications.filter(|publish| self.may(peer, Permission::Publish, &publish.topic).is_ok());
        granted.cloned().collect()
    }

    /// Removes the topic or pattern of a channel that has no members any more.
    fn forget(&mut self, now: Instant, emptied: Option<ChannelKey>) {
        match emptied {
            Some(ChannelKey::Topic(topic)) => {
                self.topics.remove(&topic);
                release_map(&mut self.topics);
                self.tell_unused(now, &topic);
            }
            Some(ChannelKey::Pattern(node)) => self.patterns.remove(node),
            Some(ChannelKey::Presence(topic)) => {
                self.watched.remove(&topic);
                release_map(&mut self.watched);
            }
            None => {}
        }
    }

    /// Counts a request against the rate limit. Then performs it, or queues it behind the session's open question.
    fn take_request(
        &mut self,
        now: Instant,
        session: u32,
        request: Result<Request, RejectedRequest>,
        effects: &mut Effects,
    ) {
        self.counters.requests[RequestKind::of(&request)] += 1;
        let peer = &mut self.subscriptions.sessions[session as usize];
        if peer.cut {
            return;
        }
        let request = match peer.bucket.as_mut().map_or(Verdict::Pass, |bucket| bucket.take(now)) {
            Verdict::Pass => request,
            Verdict::Refuse => {
                Err(turned_down(request, ErrorReply::new(ErrorCode::RateLimited, "too many requests, slow down")))
            }
            Verdict::Disconnect => {
                peer.cut = true;
                let reason = "too many requests".into();
                return effects.push(Effect::Close { session: peer.id, code: CloseCode::RATE_LIMIT, reason });
            }
        };
        match &mut peer.waiting {
            Some(waiting) if waiting.requests.len() < MAX_WAITING_REQUESTS => waiting.requests.push_back(request),
            // The session did nothing wrong: the engine answers too slowly.
            Some(_) => {
                let fault =
                    ErrorReply::new(ErrorCode::Unavailable, "too many requests wait for an answer, try again later");
                self.refuse(session, turned_down(request, fault), effects);
            }
            None => self.perform(now, session, request, effects),
        }
    }

    /// Completes the request that waited for this answer, then performs the requests that waited behind it.
    fn take_reply(&mut self, now: Instant, reply: EngineReply, effects: &mut Effects) {
        let Some(mut pending) = self.pending.remove(&reply.ticket) else { return };
        let (session, orphaned) = (pending.session, mem::take(&mut pending.orphaned));
        let waiting = session.and_then(|session| self.subscriptions.sessions[session as usize].waiting.take());
        self.complete(now, pending, reply.answer, effects);
        self.publish_left_behind(now, orphaned, effects);
        let (Some(session), Some(mut waiting)) = (session, waiting) else { return };
        while let Some(request) = waiting.requests.pop_front() {
            self.perform(now, session, request, effects);
            if let Some(again) = &mut self.subscriptions.sessions[session as usize].waiting {
                again.requests = waiting.requests;
                return;
            }
        }
    }

    /// Asks the engine. If it answers at once, completes the request; else keeps it until the answer comes.
    fn ask_engine(&mut self, now: Instant, pending: Pending, question: EngineRequest, effects: &mut Effects) {
        self.last_ticket += 1;
        let ticket = Ticket(self.last_ticket);
        match self.engine.ask(now, EngineCall { ticket, question }) {
            Ok(answer) => self.complete(now, pending, answer, effects),
            Err(ask) => {
                if let Some(session) = pending.session {
                    self.subscriptions.sessions[session as usize].wait_for(ticket);
                }
                self.pending.insert(ticket, pending);
                effects.push(Effect::Ask(ask));
            }
        }
    }

    fn refuse(&mut self, session: u32, refused: RejectedRequest, effects: &mut Effects) {
        self.counters.refusals[refused.fault.code] += 1;
        let refusal = Refusal::new(refused.id, refused.fault);
        effects.send(self.subscriptions.sessions[session as usize].id, Event::Error(refusal));
    }
}

/// Whether no rule and no setting restricts anything.
fn is_open_to_all(settings: &Settings) -> bool {
    let mut rules = settings.rules.list.iter();
    settings.admission.default == Access::Anyone
        && !settings.admission.token_required
        && rules.all(|rule| rule.policy.access == TopicAccess::default())
}

/// A request that is refused with `fault`, whatever it contains.
fn turned_down(request: Result<Request, RejectedRequest>, fault: ErrorReply) -> RejectedRequest {
    RejectedRequest { id: request.map_or_else(|refused| refused.id, |request| request.id), fault }
}

/// Approximate cost of any input, in nanoseconds.
const INPUT_NS: u64 = 500;

/// Approximate cost of leaving one subscription, in nanoseconds.
const LEAVE_NS: u64 = 300;
