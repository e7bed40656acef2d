//! The naive model of the hub: what the hub must do, written as simply as possible. All data is in lists that are
//! searched from end to end, and [`Pattern::matches`](hubcast_protocol::Pattern::matches) is called for every
//! subscription on every publication.

mod histories;
mod presence;
mod requests;

use crate::alphabet::{Deed, Place, Script};
use crate::seen::Seen;
use histories::Histories;
use hubcast_hub::{HistorySnapshot, Identity, Input, SessionId, Settings};
use hubcast_protocol::event::{Closing, Limits, Refusal, Welcome};
use hubcast_protocol::request::{Action, Publish, ReadHistory, Subscribe};
use hubcast_protocol::{
    ClientId, CloseCode, ErrorCode, ErrorReply, Event, Owner, RejectedRequest, Request, RequestId, Target, Topic,
};
use presence::GracePeriod;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// All sessions that ever were, and all subscriptions, histories and waiting requests.
pub(crate) struct Model {
    settings: Settings,
    engine: Place,
    /// Every session in the order of connecting, also those that are gone. The other fields name a session by its
    /// index here.
    peers: Vec<Peer>,
    /// Each subscription: the peer and what it subscribed to. Private topics are included.
    subscriptions: Vec<(usize, Target)>,
    /// Each peer that gets the joins and leaves of a topic, with the topic.
    watching: Vec<(usize, Topic)>,
    /// Lost sessions whose leave is not announced yet.
    grace: Vec<GracePeriod>,
    histories: Histories,
    /// The questions that an engine elsewhere has not answered, oldest first: the peer, its request, and for a
    /// publication whether the topic had subscribers when the question was asked.
    open: Vec<(usize, Request, bool)>,
}

/// One session.
struct Peer {
    session: SessionId,
    client: ClientId,
    identity: Option<Arc<Identity>>,
    /// Whether it is connected.
    here: bool,
    /// Whether it exceeded the rate limit so far that it was closed. Its further requests are ignored.
    cut: bool,
    /// Whether a question of this session waits for the engine.
    asks: bool,
    /// Its requests that wait behind that question, oldest first.
    unread: Vec<Result<Request, RejectedRequest>>,
    /// The time at which all its requests so far would be done, at the rate that the limit allows.
    busy_until: Instant,
}

impl Model {
    /// The model of a script's hub, before the first line.
    pub(crate) fn new(script: &Script) -> Self {
        let settings = script.settings.clone();
        Self {
            histories: Histories::new(&settings),
            settings,
            engine: script.engine,
            peers: Vec::new(),
            subscriptions: Vec::new(),
            watching: Vec::new(),
            grace: Vec::new(),
            open: Vec::new(),
        }
    }

    /// The effects that the hub must have for this deed. `kept` are the histories that the hub has after the deed; the
    /// model follows them, because the hub may choose within bounds when it forgets a history.
    pub(crate) fn perform(&mut self, now: Instant, deed: &Deed, kept: &[HistorySnapshot]) -> Vec<Seen> {
        let seen = match deed {
            Deed::Tell(input) => self.hear(now, input),
            Deed::Wait(waited) => {
                let (subscriptions, open) = (&self.subscriptions, &self.open);
                let has_subscribers = |topic: &Topic| subscriptions.iter().any(|(_, what)| reaches(what, topic));
                let is_wanted = |topic: &Topic| open.iter().any(|(_, request, _)| opens(request, topic));
                self.histories.forget(now, *waited, kept, has_subscribers, is_wanted);
                self.depart(now)
            }
            Deed::EngineResponse if self.open.is_empty() => Vec::new(),
            Deed::EngineResponse => {
                let (who, request, heard) = self.open.remove(0);
                self.peers[who].asks = false;
                let mut seen = self.take_effect(now, who, request, heard);
                seen.extend(self.read_on(now, who));
                seen
            }
            Deed::Restart { kept } => {
                self.restart(now, *kept);
                Vec::new()
            }
        };
        Seen::settled(seen)
    }

    /// Another process takes over, with a new seed. It has the histories and keys of this one, or none.
    fn restart(&mut self, now: Instant, kept: bool) {
        self.settings.seed += 1;
        self.grace.clear();
        self.open.clear();
        let fresh = Histories::new(&self.settings);
        let before = std::mem::replace(&mut self.histories, fresh);
        if kept {
            self.histories = before.restored(now, &self.settings);
        }
    }

    /// The effects of one input. An input about a session that is not connected has none.
    fn hear(&mut self, now: Instant, input: &Input) -> Vec<Seen> {
        match input {
            Input::Connect { session, client, identity, .. } => self.connect(now, *session, *client, identity.clone()),
            Input::Request { session, request } => match self.who(*session) {
                Some(who) => self.receive(now, who, request.clone()),
                None => Vec::new(),
            },
            Input::Disconnect { session, code, reason, reconnect_in_ms } => match self.who(*session) {
                Some(who) => {
                    let closing = Closing { code: *code, reason: reason.clone(), reconnect_in_ms: *reconnect_in_ms };
                    vec![self.sent(who, Event::Closing(closing)), Seen::Closed { session: *session, code: *code }]
                }
                None => Vec::new(),
            },
            Input::Closed { session, lost } => match self.who(*session) {
                Some(who) => self.disconnect(now, who, *lost),
                None => Vec::new(),
            },
            Input::Authenticate { .. } | Input::Operate { .. } | Input::Review { .. } => {
                unreachable!("the scripts have none")
            }
            Input::Reply(_) => unreachable!("a script says `EngineResponse`"),
            Input::Continue { .. } => unreachable!("a script tells all at once"),
        }
    }

    /// Adds a peer, subscribes it to its private topic and welcomes it.
    fn connect(
        &mut self,
        now: Instant,
        session: SessionId,
        client: ClientId,
        identity: Option<Arc<Identity>>,
    ) -> Vec<Seen> {
        let who = self.peers.len();
        let (unread, busy_until) = (Vec::new(), now);
        self.peers.push(Peer { session, client, identity, here: true, cut: false, asks: false, unread, busy_until });
        self.subscriptions.push((who, own_topic(client)));
        self.subscriptions.extend(self.user_topic(who).map(|topic| (who, topic)));
        let limits = Limits {
            message: self.settings.message as u64,
            topic: self.settings.limits.topic as u64,
            subscriptions: self.settings.limits.subscriptions as u64,
        };
        let server = self.settings.server.clone();
        let (user, _) = self.names(who);
        vec![self.sent(who, Event::Welcome(Welcome { client, user, server, ping: self.settings.ping_ms, limits }))]
    }

    /// Removes a peer's subscriptions. Its presence ends at once, or after the grace time if the connection was
    /// `lost`.
    fn disconnect(&mut self, now: Instant, who: usize, lost: bool) -> Vec<Seen> {
        self.peers[who].here = false;
        self.watching.retain(|(whose, _)| *whose != who);
        let theirs = self.subscriptions.extract_if(.., |(whose, _)| *whose == who);
        let topics: Vec<_> = theirs.filter_map(|(_, target)| topic_of(target)).collect();
        topics.into_iter().flat_map(|topic| self.leave(now, who, &topic, lost)).collect()
    }

    /// Takes a request: applies the rate limit, then appends the request to those of its session.
    fn receive(&mut self, now: Instant, who: usize, mut request: Result<Request, RejectedRequest>) -> Vec<Seen> {
        let peer = &mut self.peers[who];
        if peer.cut {
            return Vec::new();
        }
        if let Some(rate) = self.settings.limits.requests_per_second {
            let busy_until = peer.busy_until.max(now) + Duration::from_secs(1) / rate;
            if busy_until > now + Duration::from_secs(2) {
                peer.cut = true;
                return vec![Seen::Closed { session: peer.session, code: CloseCode::RATE_LIMIT }];
            }
            if busy_until > now + Duration::from_secs(1) {
                let id = request.map_or_else(|refused| refused.id, |request| request.id);
                request = Err(RejectedRequest { id, fault: ErrorReply::new(ErrorCode::RateLimited, "") });
            }
            peer.busy_until = busy_until;
        }
        peer.unread.push(request);
        self.read_on(now, who)
    }

    /// Carries out the waiting requests of a peer, until one of them asks an engine elsewhere. Of a peer that is gone
    /// only publications are carried out.
    fn read_on(&mut self, now: Instant, who: usize) -> Vec<Seen> {
        let mut seen = Vec::new();
        while !self.peers[who].asks && !self.peers[who].unread.is_empty() {
            let request = self.peers[who].unread.remove(0);
            let publishes = matches!(&request, Ok(Request { action: Action::Publish(_), .. }));
            if self.peers[who].here || publishes {
                seen.extend(self.consider(now, who, request));
            }
        }
        seen
    }

    /// Refuses a request, or carries it out, or asks the engine first.
    fn consider(&mut self, now: Instant, who: usize, request: Result<Request, RejectedRequest>) -> Vec<Seen> {
        let request = match request {
            Ok(request) => request,
            Err(RejectedRequest { id, fault }) => return self.refused(who, id, fault.code),
        };
        if let Err(code) = self.check(who, &request.action) {
            return if self.peers[who].here { self.refused(who, request.id, code) } else { Vec::new() };
        }
        let (asks_the_engine, heard) = match &request.action {
            Action::Publish(publish) => (true, self.has_subscribers(&publish.topic)),
            Action::Subscribe(_) | Action::History(_) => (true, false),
            Action::Unsubscribe(_)
            | Action::Presence(_)
            | Action::Ping
            | Action::Identify(_)
            | Action::Authenticate(_) => (false, false),
        };
        if asks_the_engine && self.engine == Place::Elsewhere {
            self.peers[who].asks = true;
            self.open.push((who, request, heard));
            return vec![Seen::Asked];
        }
        self.take_effect(now, who, request, heard)
    }

    /// The limits and permissions that the hub checks before it asks the engine.
    fn check(&self, who: usize, action: &Action) -> Result<(), ErrorCode> {
        let limits = &self.settings.limits;
        let own = own_topic(self.peers[who].client);
        let is_own = |target: &Target| *target == own || Some(target) == self.user_topic(who).as_ref();
        match action {
            Action::Publish(Publish { topic, .. }) | Action::History(ReadHistory { topic, .. })
                if topic.as_str().len() > limits.topic =>
            {
                Err(ErrorCode::InvalidTopic)
            }
            Action::Presence(topic) if topic.as_str().len() > limits.topic => Err(ErrorCode::InvalidTopic),
            Action::History(ReadHistory { topic, .. }) | Action::Presence(topic)
                if topic.owner().is_some() && !is_own(&topic.clone().into()) =>
            {
                Err(ErrorCode::Forbidden)
            }
            Action::Subscribe(Subscribe { target: Target::Topic(topic), .. })
            | Action::Unsubscribe(Target::Topic(topic))
                if topic.as_str().len() > limits.topic =>
            {
                Err(ErrorCode::InvalidTopic)
            }
            Action::Subscribe(Subscribe { target: Target::Pattern(pattern), .. })
            | Action::Unsubscribe(Target::Pattern(pattern))
                if pattern.as_str().len() > limits.topic =>
            {
                Err(ErrorCode::InvalidPattern)
            }
            Action::Subscribe(Subscribe { target, .. }) => {
                let theirs = self.subscriptions.iter().filter(|(whose, what)| *whose == who && !is_own(what)).count();
                match target {
                    target if is_own(target) || self.listens(who, target) => Ok(()),
                    Target::Topic(topic) if topic.owner().is_some() => Err(ErrorCode::Forbidden),
                    _ if theirs >= limits.subscriptions => Err(ErrorCode::LimitExceeded),
                    _ => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }

    /// The error reply to a request.
    fn refused(&self, who: usize, id: Option<RequestId>, code: ErrorCode) -> Vec<Seen> {
        vec![self.sent(who, Event::Error(Refusal::new(id, ErrorReply::new(code, ""))))]
    }

    /// An event to the session of a peer.
    fn sent(&self, who: usize, event: Event) -> Seen {
        Seen::sent(self.peers[who].session, event)
    }

    /// The connected peer with this session id.
    fn who(&self, session: SessionId) -> Option<usize> {
        self.peers.iter().position(|peer| peer.here && peer.session == session)
    }

    /// Whether a peer has exactly this subscription.
    fn listens(&self, who: usize, target: &Target) -> bool {
        self.subscriptions.iter().any(|(whose, what)| *whose == who && what == target)
    }

    /// The private topic of a peer's user.
    fn user_topic(&self, who: usize) -> Option<Target> {
        let (user, _) = self.names(who);
        user.map(|user| Target::Topic(format!("@{user}").into()))
    }

    /// Whether a topic is subscribed to by its name, or such a subscription waits for the engine.
    fn is_in_use(&self, topic: &Topic) -> bool {
        self.subscriptions.iter().any(|(_, what)| *what == topic.clone().into())
            || self.open.iter().any(|(_, request, _)| opens(request, topic))
    }

    /// Whether a topic with a history has subscribers, by its name or by a pattern.
    fn has_subscribers(&self, topic: &Topic) -> bool {
        topic_of(topic.clone().into()).is_some() && (0..self.peers.len()).any(|who| self.hears(who, topic))
    }

    /// Whether a peer gets what is published to a topic.
    fn hears(&self, who: usize, topic: &Topic) -> bool {
        self.subscriptions.iter().any(|(whose, what)| *whose == who && reaches(what, topic))
    }
}

/// Whether a subscription to `target` gets what is published to `topic`.
fn reaches(target: &Target, topic: &Topic) -> bool {
    match target {
        Target::Topic(name) => name == topic,
        Target::Pattern(pattern) => pattern.matches(topic),
    }
}

/// Whether a request subscribes to this topic by its name.
fn opens(request: &Request, topic: &Topic) -> bool {
    matches!(&request.action, Action::Subscribe(Subscribe { target: Target::Topic(wanted), .. }) if wanted == topic)
}

/// Whether a target is the private topic of one client.
fn is_private(target: &Target) -> bool {
    matches!(target, Target::Topic(topic) if topic.owner().is_some())
}

/// The private topic of a client, as a target.
fn own_topic(client: ClientId) -> Target {
    Target::Topic(client.to_string().into())
}

/// The topic of a subscription, if it is by its name to a topic that may have a history. The private topic of a
/// connection has none.
fn topic_of(target: Target) -> Option<Topic> {
    match target {
        Target::Topic(topic) if !matches!(topic.owner(), Some(Owner::Client(_) | Owner::Nobody)) => Some(topic),
        _ => None,
    }
}
