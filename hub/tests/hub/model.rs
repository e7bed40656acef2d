//! What the hub is to do, as simply as it can be said: lists that are searched from one end to the other, and
//! [`Pattern::matches`](hubcast_protocol::Pattern::matches) for every subscription on every publication.

use crate::alphabet::{Deed, Place, Script};
use crate::seen::Seen;
use hubcast_hub::{Input, Publication, SessionId, Settings};
use hubcast_protocol::event::{Closing, Limits, Pong, Published, Refusal, Subscribed, Unsubscribed, Welcome};
use hubcast_protocol::request::{Action, Publish, Start, Subscribe};
use hubcast_protocol::{ClientId, CloseCode, ErrorCode, Event, Fault, Refused, Request, RequestId, Target, Topic};
use std::time::{Duration, Instant};

/// Everyone who ever was, and everything that somebody listens to.
pub(crate) struct Model {
    settings: Settings,
    engine: Place,
    peers: Vec<Peer>,
    subscriptions: Vec<(usize, Target)>,
    /// What an engine elsewhere has not answered, oldest first.
    open: Vec<(usize, Request)>,
}

struct Peer {
    session: SessionId,
    client: ClientId,
    here: bool,
    /// Whether the engine owes it an answer.
    asks: bool,
    /// What it sent and has not been looked at.
    unread: Vec<Result<Request, Refused>>,
    /// Until when its requests so far would have taken at the rate it is granted.
    busy_until: Instant,
}

impl Model {
    /// The model of a script's hub.
    pub(crate) fn new(script: &Script) -> Self {
        let (settings, engine) = (script.settings.clone(), script.engine);
        Self { settings, engine, peers: Vec::new(), subscriptions: Vec::new(), open: Vec::new() }
    }

    /// What the hub is to do about this.
    pub(crate) fn perform(&mut self, now: Instant, deed: &Deed) -> Vec<Seen> {
        match deed {
            Deed::Tell(input) => self.hear(now, input),
            Deed::Answer if self.open.is_empty() => Vec::new(),
            Deed::Answer => {
                let (who, request) = self.open.remove(0);
                self.peers[who].asks = false;
                let mut seen = self.take_effect(who, request);
                seen.extend(self.read_on(who));
                seen
            }
        }
    }

    fn hear(&mut self, now: Instant, input: &Input) -> Vec<Seen> {
        match input {
            Input::Connect { session, client } => self.connect(now, *session, *client),
            Input::Request { session, request } => match self.who(*session) {
                Some(who) => self.receive(now, who, request.clone()),
                None => Vec::new(),
            },
            Input::SendAway { session, code, reason, reconnect_in_ms } => match self.who(*session) {
                Some(who) => {
                    let closing = Closing { code: *code, reason: reason.clone(), reconnect_in_ms: *reconnect_in_ms };
                    vec![self.told(who, Event::Closing(closing)), Seen::Closed { session: *session, code: *code }]
                }
                None => Vec::new(),
            },
            Input::Disconnect { session } => {
                if let Some(who) = self.who(*session) {
                    self.peers[who].here = false;
                    self.subscriptions.retain(|(whose, _)| *whose != who);
                }
                Vec::new()
            }
            Input::Reply(_) => unreachable!("a script says `Answer`"),
        }
    }

    fn connect(&mut self, now: Instant, session: SessionId, client: ClientId) -> Vec<Seen> {
        let who = self.peers.len();
        self.peers.push(Peer { session, client, here: true, asks: false, unread: Vec::new(), busy_until: now });
        self.subscriptions.push((who, own_topic(client)));
        let limits = Limits {
            message: self.settings.message as u64,
            topic: self.settings.limits.topic as u64,
            subscriptions: self.settings.limits.subscriptions as u64,
        };
        let server = self.settings.server.clone();
        let welcome = Welcome { client, user: None, server, ping: self.settings.ping_ms, limits };
        vec![self.told(who, Event::Welcome(welcome))]
    }

    fn receive(&mut self, now: Instant, who: usize, mut request: Result<Request, Refused>) -> Vec<Seen> {
        if let Some(rate) = self.settings.limits.requests_per_second {
            let peer = &mut self.peers[who];
            let busy_until = peer.busy_until.max(now) + Duration::from_secs(1) / rate;
            if busy_until > now + Duration::from_secs(2) {
                return vec![Seen::Closed { session: peer.session, code: CloseCode::RATE_LIMIT }];
            }
            if busy_until > now + Duration::from_secs(1) {
                let id = request.map_or_else(|refused| refused.id, |request| request.id);
                request = Err(Refused { id, fault: Fault::new(ErrorCode::RateLimited, "") });
            }
            peer.busy_until = busy_until;
        }
        self.peers[who].unread.push(request);
        self.read_on(who)
    }

    /// Goes through what a peer has sent until the engine owes it an answer.
    fn read_on(&mut self, who: usize) -> Vec<Seen> {
        let mut seen = Vec::new();
        while self.peers[who].here && !self.peers[who].asks && !self.peers[who].unread.is_empty() {
            let request = self.peers[who].unread.remove(0);
            seen.extend(self.consider(who, request));
        }
        seen
    }

    fn consider(&mut self, who: usize, request: Result<Request, Refused>) -> Vec<Seen> {
        let request = match request {
            Ok(request) => request,
            Err(Refused { id, fault }) => return self.refused(who, id, fault.code),
        };
        if let Err(code) = self.check(who, &request.action) {
            return self.refused(who, request.id, code);
        }
        let asks_the_engine = matches!(request.action, Action::Publish(_) | Action::Subscribe(_));
        if asks_the_engine && self.engine == Place::Elsewhere {
            self.peers[who].asks = true;
            self.open.push((who, request));
            return vec![Seen::Asked];
        }
        self.take_effect(who, request)
    }

    fn check(&self, who: usize, action: &Action) -> Result<(), ErrorCode> {
        let limits = &self.settings.limits;
        match action {
            Action::Publish(publish) if publish.topic.as_str().len() > limits.topic => Err(ErrorCode::InvalidTopic),
            Action::Subscribe(Subscribe { target, .. }) => {
                let own = own_topic(self.peers[who].client);
                let theirs = self.subscriptions.iter().filter(|(whose, what)| *whose == who && *what != own).count();
                match target {
                    Target::Topic(topic) if topic.as_str().len() > limits.topic => Err(ErrorCode::InvalidTopic),
                    Target::Pattern(pattern) if pattern.as_str().len() > limits.topic => Err(ErrorCode::InvalidPattern),
                    target if *target == own || self.listens(who, target) => Ok(()),
                    Target::Topic(topic) if topic.owner().is_some() => Err(ErrorCode::Forbidden),
                    _ if theirs >= limits.subscriptions => Err(ErrorCode::LimitExceeded),
                    _ => Ok(()),
                }
            }
            Action::History(_) => Err(ErrorCode::NoHistory),
            Action::Presence(_) => Err(ErrorCode::NoPresence),
            Action::Publish(_) | Action::Unsubscribe(_) | Action::Ping => Ok(()),
        }
    }

    /// Does what was asked. Of one who is gone only the publication is left.
    fn take_effect(&mut self, who: usize, Request { id, action }: Request) -> Vec<Seen> {
        match action {
            Action::Publish(publish) => self.publish(who, id, publish),
            _ if !self.peers[who].here => Vec::new(),
            Action::Subscribe(Subscribe { target, start, .. }) => {
                if !self.listens(who, &target) {
                    self.subscriptions.push((who, target.clone()));
                }
                let recovered = matches!(start, Start::After(_) | Start::AfterEach(_)).then_some(false);
                let about = target.into();
                let subscribed = Subscribed { id, about, epoch: None, offset: None, recovered, replayed: None };
                vec![self.told(who, Event::Subscribed(subscribed))]
            }
            Action::Unsubscribe(target) => {
                self.subscriptions.retain(|(whose, what)| *whose != who || *what != target);
                vec![self.told(who, Event::Unsubscribed(Unsubscribed { id, about: target.into() }))]
            }
            Action::Ping => id.map(|id| self.told(who, Event::Pong(Pong { id }))).into_iter().collect(),
            Action::History(_) | Action::Presence(_) => unreachable!("refused before"),
        }
    }

    fn publish(&self, who: usize, id: Option<RequestId>, publish: Publish) -> Vec<Seen> {
        let Publish { topic, payload, echo, .. } = publish;
        let hears = |other: usize| self.hears(other, &topic) && (echo || other != who);
        let hearers = (0..self.peers.len()).filter(|&other| hears(other));
        let by: Vec<_> = hearers.map(|other| self.peers[other].session).collect();
        let receivers = by.len() as u64;
        let mut seen = Vec::new();
        if !by.is_empty() {
            seen.push(Seen::heard(Publication::new(topic.clone(), payload, None), by));
        }
        if id.is_some() && self.peers[who].here {
            seen.push(self.told(who, Event::Published(Published { id, topic, offset: None, receivers })));
        }
        seen
    }

    fn refused(&self, who: usize, id: Option<RequestId>, code: ErrorCode) -> Vec<Seen> {
        vec![self.told(who, Event::Error(Refusal::new(id, Fault::new(code, ""))))]
    }

    fn told(&self, who: usize, event: Event) -> Seen {
        Seen::told(self.peers[who].session, event)
    }

    fn who(&self, session: SessionId) -> Option<usize> {
        self.peers.iter().position(|peer| peer.here && peer.session == session)
    }

    fn listens(&self, who: usize, target: &Target) -> bool {
        self.subscriptions.iter().any(|(whose, what)| *whose == who && what == target)
    }

    fn hears(&self, who: usize, topic: &Topic) -> bool {
        self.subscriptions.iter().any(|(whose, what)| match what {
            _ if *whose != who => false,
            Target::Topic(what) => what == topic,
            Target::Pattern(pattern) => pattern.matches(topic),
        })
    }
}

fn own_topic(client: ClientId) -> Target {
    Target::Topic(client.to_string().into())
}
