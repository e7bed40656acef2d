//! The hub of a test server, and the connections to it.

use crate::machine::{Disconnection, Input};
use hubcast_hub::{Effect, Effects, Hub, Input as HubInput, Publication, SessionId, Settings, Snapshot};
use hubcast_protocol::{ClientId, CloseCode, typed};
use std::collections::BTreeMap;
use std::time::Instant;
use tokio::sync::mpsc;

#[derive(Debug)]
pub(super) struct ServerState {
    settings: Settings,
    /// `None` while the server is stopped.
    hub: Option<Hub>,
    /// The snapshot that the next hub restores.
    kept: Snapshot,
    effects: Effects,
    clients: BTreeMap<SessionId, mpsc::UnboundedSender<Input>>,
    last_session: u32,
    seeds: u64,
}

impl ServerState {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            hub: Some(Hub::new(settings.clone())),
            settings,
            kept: Snapshot::default(),
            effects: Effects::default(),
            clients: BTreeMap::new(),
            last_session: 0,
            seeds: 0,
        }
    }

    /// Opens a connection; `None` while the server is stopped.
    pub(super) fn open(&mut self, now: Instant) -> Option<(SessionId, mpsc::UnboundedReceiver<Input>)> {
        self.hub.as_ref()?;
        self.last_session += 1;
        let session = SessionId(self.last_session);
        let (client, incoming) = mpsc::unbounded_channel();
        self.clients.insert(session, client);
        let id = ClientId::from_random(u128::from(self.last_session).to_be_bytes());
        self.handle(now, HubInput::connect(session, id));
        Some((session, incoming))
    }

    /// Takes a frame from a client.
    pub(super) fn take(&mut self, now: Instant, session: SessionId, text: &str) {
        self.handle(now, HubInput::Request { session, request: typed::decode(text) });
    }

    pub(super) fn leave(&mut self, now: Instant, session: SessionId, lost: bool) {
        if self.clients.remove(&session).is_some() {
            self.handle(now, HubInput::Closed { session, lost });
        }
    }

    pub(super) fn cut(&mut self, now: Instant) {
        let sessions: Vec<SessionId> = self.clients.keys().copied().collect();
        sessions.into_iter().for_each(|session| self.leave(now, session, true));
    }

    pub(super) fn stop(&mut self, now: Instant) {
        if let Some(hub) = self.hub.take() {
            self.kept = hub.save(now);
            let why = Disconnection::Closed { code: CloseCode::RESTARTING, reason: "restarting".to_owned() };
            for client in std::mem::take(&mut self.clients).into_values() {
                // The client may have dropped its end.
                let _ = client.send(Input::Disconnected(why.clone()));
            }
        }
    }

    pub(super) fn crash(&mut self) {
        self.hub = None;
        self.kept = Snapshot::default();
        self.clients.clear();
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

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if let Some(hub) = &mut self.hub {
            hub.handle_timeout(now, &mut self.effects);
            self.carry_out(now);
        }
    }

    pub(super) fn next_seed(&mut self) -> u64 {
        self.seeds += 1;
        self.seeds
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.hub.as_ref()?.poll_timeout()
    }

    pub(super) fn connections(&self) -> usize {
        self.clients.len()
    }

    fn handle(&mut self, now: Instant, input: HubInput) {
        if let Some(hub) = &mut self.hub {
            hub.handle(now, input, &mut self.effects);
            self.carry_out(now);
        }
    }

    fn carry_out(&mut self, now: Instant) {
        let mut effects = std::mem::take(&mut self.effects);
        let mut closed = Vec::new();
        for effect in effects.iter() {
            match effect {
                Effect::Send { session, event } => self.tell(*session, Input::Frame(typed::encode(event))),
                Effect::Notify { event, receivers } => {
                    let frame = typed::encode(event);
                    for receiver in effects.receivers(receivers) {
                        self.tell(receiver.session, Input::Frame(frame.clone()));
                    }
                }
                Effect::Deliver { publication, receivers } => {
                    let frame = frame(publication);
                    for receiver in effects.receivers(receivers) {
                        self.tell(receiver.session, Input::Frame(frame.clone()));
                    }
                }
                Effect::Replay { session, missed } => {
                    missed.iter().for_each(|missed| self.tell(*session, Input::Frame(frame(missed))));
                }
                Effect::History { session, answer } => {
                    self.tell(*session, Input::Frame(typed::encode(&answer.to_event())));
                }
                Effect::Close { session, code, reason } => {
                    let why = Disconnection::Closed { code: *code, reason: reason.clone().into_owned() };
                    self.tell(*session, Input::Disconnected(why));
                    closed.push(*session);
                }
                // Only an engine outside the hub's process needs this effect.
                Effect::Ask(_) => {}
            }
        }
        effects.clear();
        self.effects = effects;
        closed.into_iter().for_each(|session| self.leave(now, session, true));
    }

    fn tell(&self, session: SessionId, input: Input) {
        if let Some(client) = self.clients.get(&session) {
            // The client may have dropped its end.
            let _ = client.send(input);
        }
    }
}

fn frame(publication: &Publication) -> String {
    typed::encode_message(publication.topic(), publication.position(), publication.payload())
}

/// Any odd number: additions of it do not repeat a seed, and so epochs do not repeat.
const SEED_STEP: u64 = 0x2545_F491_4F6C_DD1D;
