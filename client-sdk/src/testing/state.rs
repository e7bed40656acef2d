//! The hub of a test server, and the connections to it.

mod effects;

use super::line::{Line, PingDue, ToServer};
use super::tokens::{self, Tokens};
use crate::machine::Input;
use hubcast_hub::{
    Access, Admission, Effects, Hub, Identity, Input as HubInput, Operation, SessionId, Settings, Snapshot, Whom,
};
use hubcast_protocol::{AccessToken, Action, ClientId, CloseCode, Event, Request, RequestId, Topic, typed};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

#[derive(Debug)]
pub(super) struct ServerState {
    settings: Settings,
    /// `None` while the server is stopped.
    hub: Option<Hub>,
    /// The snapshot that the next hub restores.
    kept: Snapshot,
    effects: Effects,
    lines: BTreeMap<SessionId, Line>,
    /// The sessions of connections that the server has closed, until the hub knows.
    closed: Vec<SessionId>,
    last_session: u32,
    seeds: u64,
    /// The sessions of the test itself, which last for one request.
    asked: u64,
    /// What the hub has answered to the test itself.
    answer: Option<Event>,
    pub(super) to_server: Duration,
    pub(super) to_client: Duration,
    /// What each handshake is answered with, if it is refused.
    pub(super) refusal: Option<Refusal>,
    /// New connections get no answer.
    is_silent: bool,
    pub(super) tokens: Tokens,
}

/// How a server refuses a handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    /// The pause that the header `Retry-After` names, in seconds.
    pub(crate) retry_after: Option<u64>,
    /// The reason in the body, for people.
    pub(crate) reason: Option<Cow<'static, str>>,
}

/// The answer of a server to a handshake.
#[derive(Debug)]
pub(super) enum Handshake {
    Done(SessionId, mpsc::UnboundedReceiver<Input>),
    Refused(Refusal),
    /// The server is stopped.
    Stopped,
    /// There is no answer at all.
    Silent,
}

impl ServerState {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            hub: Some(Hub::new(settings.clone())),
            settings,
            kept: Snapshot::default(),
            effects: Effects::default(),
            lines: BTreeMap::new(),
            closed: Vec::new(),
            last_session: 0,
            seeds: 0,
            asked: 0,
            answer: None,
            to_server: Duration::ZERO,
            to_client: Duration::ZERO,
            refusal: None,
            is_silent: false,
            tokens: Tokens::default(),
        }
    }

    /// Opens a connection, which belongs to a user or to nobody.
    pub(super) fn open(&mut self, now: Instant, user: Option<&str>, token: Option<&AccessToken>) -> Handshake {
        match (&self.hub, &self.refusal) {
            _ if self.is_silent => return Handshake::Silent,
            (None, _) => return Handshake::Stopped,
            (Some(_), Some(refusal)) => return Handshake::Refused(refusal.clone()),
            (Some(_), None) => {}
        }
        let login = match token.map(|token| self.tokens.verify(now, token)) {
            Some(Ok(login)) => Some(login),
            Some(Err(fault)) => return Handshake::Refused(unauthorized(fault.reason)),
            None => None,
        };
        self.last_session += 1;
        let session = SessionId(self.last_session);
        let (receiver, incoming) = mpsc::unbounded_channel();
        let client = ClientId::from_random(u128::from(self.last_session).to_be_bytes());
        self.lines.insert(session, Line::new(now, client, receiver));
        let (named, shown) = login.map(|login| (login.identity, login.credentials)).unzip();
        // A user whose test makes no token for it may do everything.
        let credentials = shown.or_else(|| user.filter(|_| self.tokens.are_required).map(|_| tokens::of_all(None)));
        let identity = named.or_else(|| user.map(|user| Arc::new(Identity::user(user))));
        self.handle(now, HubInput::Connect { session, client, identity, credentials });
        Handshake::Done(session, incoming)
    }

    /// Sends something from a client to the server.
    pub(super) fn send(&mut self, now: Instant, session: SessionId, content: ToServer) {
        if let Some(line) = self.lines.get_mut(&session) {
            line.send(now, self.to_server, content);
            self.take_arrived(now, session);
        }
    }

    /// Breaks a connection. Both ends notice it at once, and what is on its way is lost.
    pub(super) fn cut(&mut self, now: Instant, session: SessionId) {
        if self.lines.remove(&session).is_some() {
            self.handle(now, HubInput::Closed { session, lost: true });
        }
    }

    /// Closes a connection, as the operator of a server does.
    pub(super) fn kick(&mut self, now: Instant, session: SessionId, code: CloseCode, reason: String) {
        let reconnect_in_ms = code.may_reconnect().then_some(0);
        self.handle(now, HubInput::Disconnect { session, code, reason: reason.into(), reconnect_in_ms });
    }

    pub(super) fn stop(&mut self, now: Instant) {
        if let Some(hub) = self.hub.take() {
            self.kept = hub.save(now);
            for session in self.sessions() {
                self.close(now, session, CloseCode::RESTARTING, "restarting");
            }
        }
    }

    pub(super) fn crash(&mut self) {
        self.hub = None;
        self.kept = Snapshot::default();
        self.lines.clear();
    }

    pub(super) fn restart(&mut self, now: Instant) {
        if self.hub.is_none() {
            // A restarted server makes other epochs than the one before.
            self.settings.seed = self.settings.seed.wrapping_add(SEED_STEP);
            let mut hub = Hub::new(self.settings.clone());
            hub.restore(now, std::mem::take(&mut self.kept));
            self.hub = Some(hub);
        }
    }

    /// Lets nothing arrive any more, on any connection.
    pub(super) fn hold(&mut self) {
        self.is_silent = true;
        self.lines.values_mut().for_each(|line| line.is_held = true);
    }

    /// Lets everything arrive again that was sent in the meantime.
    pub(super) fn release(&mut self) {
        self.is_silent = false;
        self.lines.values_mut().for_each(|line| line.is_held = false);
    }

    /// Performs one request of the test itself, which has no connection. `None` while the server is stopped.
    pub(super) fn ask(&mut self, now: Instant, request: Request) -> Option<Event> {
        self.as_test(now, HubInput::Request { session: TEST, request: Ok(request) });
        self.answer.take()
    }

    /// Does something to the sessions of a client, as an operator.
    pub(super) fn operate(&mut self, now: Instant, client: ClientId, operation: Operation) {
        let (id, whom) = (RequestId::Number(1), Whom::Client(client));
        self.as_test(now, HubInput::Operate { session: TEST, id, whom, operation });
    }

    /// Passes an input of the test itself to the hub.
    fn as_test(&mut self, now: Instant, input: HubInput) {
        if self.hub.is_none() {
            return;
        }
        self.asked += 1;
        // The ids of connections are numbers below 2^32.
        let client = ClientId::from_random((u128::from(self.asked) << 64).to_be_bytes());
        let credentials = self.tokens.are_required.then(|| tokens::of_all(Some("test")));
        self.handle(now, HubInput::Connect { session: TEST, client, identity: None, credentials });
        self.answer = None;
        self.handle(now, input);
        self.handle(now, HubInput::Closed { session: TEST, lost: false });
    }

    /// The connections that a publication to this topic would reach.
    pub(super) fn subscribers(&mut self, topic: &Topic) -> Vec<ClientId> {
        let sessions = self.hub.as_mut().map(|hub| hub.subscribers(topic)).unwrap_or_default();
        sessions.iter().filter_map(|session| Some(self.lines.get(session)?.client)).collect()
    }

    pub(super) fn next_seed(&mut self) -> u64 {
        self.seeds += 1;
        self.seeds
    }

    /// The open connections.
    pub(super) fn sessions(&self) -> Vec<SessionId> {
        self.lines.iter().filter(|(_, line)| !line.is_closed).map(|(session, _)| *session).collect()
    }

    /// The session of the open connection with this id.
    pub(super) fn session_of(&self, client: ClientId) -> Option<SessionId> {
        let mut open = self.lines.iter().filter(|(_, line)| !line.is_closed);
        open.find(|(_, line)| line.client == client).map(|(session, _)| *session)
    }

    pub(super) fn line_of(&mut self, session: SessionId) -> Option<&mut Line> {
        self.lines.get_mut(&session)
    }

    /// When [`ServerState::handle_timeout`] has to be called.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let every = Duration::from_millis(self.settings.ping_ms);
        let lines = self.lines.values();
        let of_lines = lines.flat_map(|line| [line.next_arrival(), line.next_ping(every).map(|(at, _)| at)]).flatten();
        of_lines.chain(self.hub.as_ref().and_then(Hub::poll_timeout)).min()
    }

    /// Does what is due: what has arrived is handed over, quiet clients are pinged, and the hub does its own work.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        let every = Duration::from_millis(self.settings.ping_ms);
        for session in self.lines.keys().copied().collect::<Vec<_>>() {
            self.take_arrived(now, session);
            let Some(line) = self.lines.get_mut(&session) else { continue };
            match line.next_ping(every).filter(|(at, _)| *at <= now) {
                Some((_, PingDue::Ping)) => {
                    line.note_ping(now);
                    self.pass(now, session, Input::Heard, 0);
                }
                Some((_, PingDue::Close)) => self.close(now, session, CloseCode::PING_TIMEOUT, "no answer to a ping"),
                None => {}
            }
        }
        if let Some(hub) = &mut self.hub {
            hub.handle_timeout(now, &mut self.effects);
        }
        self.carry_out(now);
    }

    /// Reads a request. Tokens are verified here, as a server does before it asks its hub.
    fn read(&self, now: Instant, session: SessionId, text: &str) -> HubInput {
        match typed::decode(text) {
            Ok(Request { id, action: Action::Authenticate(token) }) => {
                HubInput::Authenticate { session, id, outcome: self.tokens.verify(now, &token) }
            }
            request => HubInput::Request { session, request },
        }
    }

    /// Lets only those do something whose token grants it. Histories stay; connections are lost.
    pub(super) fn require_tokens(&mut self) {
        self.tokens.are_required = true;
        self.settings.admission = Admission { default: Access::Granted, token_required: true, ..Admission::default() };
        if self.hub.is_some() {
            let now = super::now();
            self.stop(now);
            self.lines.clear();
            self.restart(now);
        }
    }

    /// Takes what has arrived on one connection, at both of its ends.
    fn take_arrived(&mut self, now: Instant, session: SessionId) {
        while let Some(line) = self.lines.get_mut(&session) {
            line.hand_over(now);
            let loses_answer = line.loses_answer;
            match line.receive(now) {
                Some(ToServer::Request(text)) => {
                    if loses_answer {
                        // Without the line, the client gets no answer and notices the loss.
                        self.lines.remove(&session);
                    }
                    let input = self.read(now, session, &text);
                    self.handle(now, input);
                    if loses_answer {
                        self.handle(now, HubInput::Closed { session, lost: true });
                    }
                }
                Some(ToServer::Pong) => {}
                Some(ToServer::Closed { lost }) => {
                    self.lines.remove(&session);
                    self.handle(now, HubInput::Closed { session, lost });
                }
                None => {
                    if line.is_closed && line.is_drained() {
                        self.lines.remove(&session);
                    }
                    return;
                }
            }
        }
    }
}

/// The answer to a handshake without a valid token.
fn unauthorized(reason: Cow<'static, str>) -> Refusal {
    Refusal { status: 401, retry_after: None, reason: Some(reason) }
}

/// The session of the test itself. Those of connections count from 1.
const TEST: SessionId = SessionId(0);

/// Any odd number: additions of it do not repeat a seed, and so epochs do not repeat.
const SEED_STEP: u64 = 0x2545_F491_4F6C_DD1D;
