//! The stage of the scenes: a hub with a few sessions, which send and receive frames of the typed dialect.

use crate::alphabet::Place;
use crate::driver::Driver;
use hubcast_hub::{
    Credentials, Effect, HistoryPolicy, HistorySnapshot, Identity, Input, Lifecycle, Memory, Publication, Receiver,
    Retention, SessionId, Settings, TopicPolicy, TopicRule, TopicRules,
};
use hubcast_protocol::event::Subscribed;
use hubcast_protocol::{ClientId, CloseCode, Event, Position, typed};
use std::cell::Ref;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A hub, and the frames that each session has received and not read yet.
pub(crate) struct Stage {
    driver: Driver,
    /// The number of sessions so far, which is the id of the last one.
    names: u32,
    /// The unread frames of each session, oldest first.
    frames: HashMap<SessionId, Vec<String>>,
}

impl Stage {
    /// A hub whose topics keep no history, with the embedded engine.
    pub(crate) fn new() -> Self {
        Self::forgetful(Place::Embedded)
    }

    /// A hub whose topics keep no history, with the engine in this place.
    pub(crate) fn forgetful(engine: Place) -> Self {
        Self::with(keeping(TopicPolicy { history: None, ..TopicPolicy::default() }), engine)
    }

    /// A hub with these settings and the engine in this place.
    pub(crate) fn with(settings: Settings, engine: Place) -> Self {
        Self { driver: Driver::new(settings, engine), names: 0, frames: HashMap::new() }
    }

    /// Connects a session with a new id, and reads its welcome.
    pub(crate) fn connect(&mut self) -> SessionId {
        self.names += 1;
        let session = SessionId(self.names);
        self.tell(Input::connect(session, id_of(session)));
        self.hears(session);
        assert!(!self.driver.hub().is_empty(), "what says that it is empty in the end must see this session");
        session
    }

    /// Connects a session of this user with a new id, and reads its welcome.
    pub(crate) fn connect_as(&mut self, user: &str) -> SessionId {
        self.names += 1;
        let session = SessionId(self.names);
        let identity = Some(Identity::user(user).into());
        self.tell(Input::Connect { session, client: id_of(session), identity, credentials: None });
        self.hears(session);
        session
    }

    /// Connects a session with an identity and credentials, and reads its welcome.
    pub(crate) fn enter(
        &mut self,
        identity: Option<Arc<Identity>>,
        credentials: Option<Arc<Credentials>>,
    ) -> SessionId {
        let session = self.enter_unread(identity, credentials);
        self.frames.entry(session).or_default().remove(0);
        session
    }

    /// Connects a session with an identity and credentials. Its welcome is not read.
    pub(crate) fn enter_unread(
        &mut self,
        identity: Option<Arc<Identity>>,
        credentials: Option<Arc<Credentials>>,
    ) -> SessionId {
        self.names += 1;
        let session = SessionId(self.names);
        self.tell(Input::Connect { session, client: id_of(session), identity, credentials });
        session
    }

    /// The time of the hub.
    pub(crate) fn now(&self) -> Instant {
        self.driver.now()
    }

    /// Lets this time pass without calling the hub's timeouts.
    pub(crate) fn sleep(&mut self, time: Duration) {
        self.driver.sleep(time);
    }

    /// Sets the hub's wall clock.
    pub(crate) fn set_wall_clock(&mut self, unix_ms: u64) {
        self.driver.set_wall_clock(unix_ms);
    }

    /// Subscribes a session to a topic with a history. Returns the position in the reply: the end of the history.
    pub(crate) fn position(&mut self, session: SessionId, topic: &str) -> Position {
        self.says(session, &format!(r#"{{"action":"subscribe","topic":"{topic}"}}"#));
        self.hears(session);
        let position = self.driver.effects().iter().find_map(|effect| match effect {
            Effect::Send { event, .. } => match &**event {
                Event::Subscribed(Subscribed { epoch, offset, .. }) => epoch.zip(*offset),
                _ => None,
            },
            _ => None,
        });
        let (epoch, offset) = position.expect("a topic with history");
        Position { epoch, offset }
    }

    /// Sends a frame.
    pub(crate) fn says(&mut self, session: SessionId, frame: &str) {
        self.tell(Input::Request { session, request: typed::decode(frame) });
    }

    /// Reads all frames that the session received since it last read. A close is one of them.
    pub(crate) fn hears(&mut self, session: SessionId) -> Vec<String> {
        self.frames.remove(&session).unwrap_or_default()
    }

    /// Sends a frame and reads all frames.
    pub(crate) fn answer(&mut self, session: SessionId, frame: &str) -> Vec<String> {
        self.says(session, frame);
        self.hears(session)
    }

    /// The client of a session closes its connection.
    pub(crate) fn closed(&mut self, session: SessionId) {
        self.tell(Input::Closed { session, lost: false });
    }

    /// The connection of a session is lost: it ends without a close.
    pub(crate) fn loses(&mut self, session: SessionId) {
        self.tell(Input::Closed { session, lost: true });
    }

    /// Another process takes over. With `kept` it restores what this one saved.
    pub(crate) fn restart(&mut self, kept: bool) {
        self.driver.restart(kept);
        self.frames.clear();
    }

    /// Lets the server close a session because it restarts.
    pub(crate) fn disconnect(&mut self, session: SessionId, reconnect_in_ms: Option<u64>) {
        let (code, reason) = (CloseCode::RESTARTING, "restarting".into());
        self.tell(Input::Disconnect { session, code, reason, reconnect_in_ms });
    }

    /// Hands any input to the hub.
    pub(crate) fn tell(&mut self, input: Input) {
        self.driver.tell(input);
        self.deal_out();
    }

    /// Lets an engine elsewhere answer its oldest open question.
    pub(crate) fn engine_answers(&mut self) {
        self.driver.answer();
        self.deal_out();
    }

    /// Lets this time pass.
    pub(crate) fn wait(&mut self, time: Duration) {
        self.driver.wait(time);
        self.deal_out();
    }

    /// The receivers of the first publication that the last input delivered.
    pub(crate) fn receivers(&self) -> &[Receiver] {
        let effects = self.driver.effects();
        let delivery = effects.iter().find_map(|effect| match effect {
            Effect::Deliver { receivers, .. } => Some(effects.receivers(receivers)),
            _ => None,
        });
        delivery.unwrap_or_default()
    }

    /// What the last input told of sessions and topics.
    pub(crate) fn told(&self) -> Vec<Lifecycle> {
        let told = self.driver.effects().iter().filter_map(|effect| match effect {
            Effect::Lifecycle(told) => Some(told.clone()),
            _ => None,
        });
        told.collect()
    }

    /// Whether a session has subscriptions, and all of them are `drop` or `latest`.
    pub(crate) fn may_skip(&self, session: SessionId) -> bool {
        self.driver.hub().may_skip(session)
    }

    /// The engine.
    pub(crate) fn memory(&self) -> Ref<'_, Memory> {
        self.driver.memory()
    }

    /// The histories that another process would restore, in the order of their topics.
    pub(crate) fn saved(&self) -> Vec<HistorySnapshot> {
        let mut saved = self.memory().save(self.driver.now()).histories;
        saved.sort_by(|one, other| one.topic.cmp(&other.topic));
        saved
    }

    /// Closes all sessions, lets ten minutes pass, and checks that hub and engine are empty.
    pub(crate) fn ends(mut self) {
        for session in (1..=self.names).map(SessionId) {
            self.closed(session);
        }
        while self.driver.is_waiting() {
            self.engine_answers();
        }
        self.driver.wait(Duration::from_secs(600));
        assert!(self.driver.hub().is_empty(), "{:?}", self.driver.hub());
        assert_eq!((self.memory().histories(), self.memory().history_bytes()), (0, 0));
        assert_eq!(self.driver.hub().poll_timeout(), None);
    }

    /// Turns the effects of the last call into frames of the sessions that they are for.
    fn deal_out(&mut self) {
        let effects = self.driver.effects();
        let mut write = |session: SessionId, frame| self.frames.entry(session).or_default().push(frame);
        for effect in effects.iter() {
            match effect {
                Effect::Send { session, event } => write(*session, typed::encode(event)),
                Effect::Notify { event, receivers } => {
                    let frame = typed::encode(event);
                    for receiver in effects.receivers(receivers) {
                        write(receiver.session, frame.clone());
                    }
                }
                Effect::Deliver { publication, receivers } => {
                    let frame = frame(publication);
                    for receiver in effects.receivers(receivers) {
                        write(receiver.session, frame.clone());
                    }
                }
                Effect::Replay { session, missed } => {
                    for publication in missed.iter() {
                        write(*session, frame(publication));
                    }
                }
                Effect::History { session, answer } => write(*session, typed::encode(&answer.to_event())),
                Effect::Close { session, code, reason } => write(*session, format!("close {code} {reason}")),
                Effect::Operated { .. } | Effect::Lifecycle(_) | Effect::Ask(_) => {}
            }
        }
    }
}

/// Settings with one policy for all public topics.
pub(crate) fn keeping(policy: TopicPolicy) -> Settings {
    let all = TopicRule { pattern: ">".parse().expect("a pattern"), policy };
    Settings { rules: TopicRules { list: vec![all] }, ..Settings::with_seed(1) }
}

/// Settings with a history of this many publications and two minutes for all public topics.
pub(crate) fn small(size: usize, keep: Retention) -> Settings {
    let history = Some(HistoryPolicy { size, ttl: Duration::from_secs(120), keep });
    keeping(TopicPolicy { history, ..TopicPolicy::default() })
}

/// The frame of a publication.
fn frame(publication: &Publication) -> String {
    typed::encode_message(publication.topic(), publication.position(), publication.payload(), publication.author())
}

/// The client id of a stage's session, which is also its private topic.
pub(crate) fn id_of(session: SessionId) -> ClientId {
    let [.., last] = session.0.to_be_bytes();
    ClientId::from_random([0xa0 + last; 16])
}

/// The answers to a publish as they are when it is repeated: they say that nothing was published.
pub(crate) fn repeated(answers: &[String]) -> Vec<String> {
    let repeated = answers.iter().map(|answer| {
        let answer = answer.strip_suffix('}').expect("an answer is an object");
        format!(r#"{answer},"duplicate":true}}"#)
    });
    repeated.collect()
}
