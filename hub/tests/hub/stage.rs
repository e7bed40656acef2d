//! A hub with a few sessions that speak and hear frames of the typed dialect.

use crate::alphabet::Place;
use crate::driver::Driver;
use hubcast_hub::{Effect, Input, SessionId, Settings};
use hubcast_protocol::{ClientId, CloseCode, typed};
use std::{collections::HashMap, time::Duration};

/// Who is on, and the frames that each has not looked at yet.
pub(crate) struct Stage {
    driver: Driver,
    names: u32,
    frames: HashMap<SessionId, Vec<String>>,
}

impl Stage {
    /// A hub as it comes.
    pub(crate) fn new() -> Self {
        Self::with(Settings::default(), Place::Embedded)
    }

    /// A hub with other settings, or with its engine elsewhere.
    pub(crate) fn with(settings: Settings, engine: Place) -> Self {
        Self { driver: Driver::new(settings, engine), names: 0, frames: HashMap::new() }
    }

    /// A session with a name that no session had, which has looked at its welcome.
    pub(crate) fn connect(&mut self) -> SessionId {
        self.names += 1;
        let session = SessionId(self.names);
        self.tell(Input::Connect { session, client: id_of(session) });
        self.hears(session);
        session
    }

    /// A frame comes.
    pub(crate) fn says(&mut self, session: SessionId, frame: &str) {
        self.tell(Input::Request { session, request: typed::decode(frame) });
    }

    /// The frames that came since it last looked; a close is one too.
    pub(crate) fn hears(&mut self, session: SessionId) -> Vec<String> {
        self.frames.remove(&session).unwrap_or_default()
    }

    /// What the session hears after it said something.
    pub(crate) fn answer(&mut self, session: SessionId, frame: &str) -> Vec<String> {
        self.says(session, frame);
        self.hears(session)
    }

    /// The connection is gone.
    pub(crate) fn disconnect(&mut self, session: SessionId) {
        self.tell(Input::Disconnect { session });
    }

    /// The server wants the session gone.
    pub(crate) fn send_away(&mut self, session: SessionId, reconnect_in_ms: Option<u64>) {
        let (code, reason) = (CloseCode::RESTARTING, "restarting".into());
        self.tell(Input::SendAway { session, code, reason, reconnect_in_ms });
    }

    /// Anything else happens.
    pub(crate) fn tell(&mut self, input: Input) {
        self.driver.tell(input);
        self.deal_out();
    }

    /// An engine elsewhere answers its oldest question.
    pub(crate) fn engine_answers(&mut self) {
        self.driver.answer();
        self.deal_out();
    }

    /// Time passes.
    pub(crate) fn wait(&mut self, time: Duration) {
        self.driver.wait(time);
    }

    /// Everyone goes, and nothing may be left.
    pub(crate) fn ends(mut self) {
        for session in (1..=self.names).map(SessionId) {
            self.disconnect(session);
        }
        while self.driver.is_waiting() {
            self.engine_answers();
        }
        assert!(self.driver.hub().is_empty(), "{:?}", self.driver.hub());
    }

    fn deal_out(&mut self) {
        let effects = self.driver.effects();
        let mut write = |session: SessionId, frame| self.frames.entry(session).or_default().push(frame);
        for effect in effects.iter() {
            match effect {
                Effect::Send { session, event } => write(*session, typed::encode(event)),
                Effect::Deliver { publication, receivers } => {
                    let (topic, payload) = (publication.topic(), publication.payload());
                    let frame = typed::encode_message(topic, publication.position(), payload);
                    for receiver in effects.receivers(receivers) {
                        write(receiver.session, frame.clone());
                    }
                }
                Effect::Close { session, code, reason } => write(*session, format!("close {code} {reason}")),
                Effect::Ask(_) => {}
            }
        }
    }
}

/// The id of a stage's session, which is its private topic.
pub(crate) fn id_of(session: SessionId) -> ClientId {
    let [.., last] = session.0.to_be_bytes();
    ClientId::from_random([0xa0 + last; 16])
}
