//! What outlives a subscription is asked of an engine, by messages: a question in, an answer out.
//!
//! The embedded [`Memory`] answers within the call and is the reference for every other. An engine that lives
//! elsewhere hands the question back; the hub passes it on as [`Effect::Ask`](crate::Effect::Ask) and goes on
//! when [`Input::Reply`](crate::Input::Reply) comes. The hub is written for both: it holds what it needs to go
//! on under a [`Ticket`], and until then it keeps the session's later requests waiting, so that a session's
//! requests take effect in the order in which they were sent. At most 256 wait; more are refused as `unavailable`.
//!
//! An idempotency key is used from the first [`EngineRequest::Publish`] on that carries it and is not answered with
//! [`EngineResponse::Failed`]; what is answered to its repetitions comes later, with [`EngineNotice::Delivered`]. So an engine
//! elsewhere can be asked the key again before it knows the outcome. It must not answer [`EngineResponse::Published`] to
//! that: it keeps the question, and all that follow it, until the notice has come, and then answers
//! [`EngineResponse::Repeated`].

mod memory;

pub use memory::{Evicted, HistorySnapshot, KeySnapshot, Memory, NumberSnapshot, ProducerSnapshot, Snapshot};

use crate::Publication;
use hubcast_protocol::request::{Key, ReadHistory, Start};
use hubcast_protocol::{ClientId, ErrorReply, Payload, Position, Target, Topic};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

/// Who keeps offsets, histories and idempotency keys.
pub trait Engine {
    /// Answers at once, or hands the question back to be passed on.
    ///
    /// # Errors
    /// When the answer will come later. Then it comes exactly once, and answers come in the order of the questions.
    fn ask(&mut self, now: Instant, ask: EngineCall) -> Result<EngineResponse, EngineCall>;

    /// Hears what needs no answer.
    fn tell(&mut self, _now: Instant, _notice: EngineNotice<'_>) {}

    /// When [`handle_timeout`](Engine::handle_timeout) wants to be called next; a time that is over where it left
    /// something due.
    fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    /// Lets go of what has run out, of so much that it takes no more than a fraction of a millisecond: others wait. The
    /// rest stays due, and the call comes again as long as [`poll_timeout`](Engine::poll_timeout) says so.
    ///
    /// `has_subscribers` says whether somebody listens to a topic here, by its name or by a pattern: who comes and goes by a
    /// pattern is not told topic by topic. Looking through the patterns is work too, so that it may answer `None`, no
    /// more now: then what the answer was for stays due, and nothing more is asked in this call. The first question of a
    /// call is always answered.
    fn handle_timeout(&mut self, _now: Instant, _is_heard: &mut dyn FnMut(&Topic) -> Option<bool>) {}
}

/// A question to an engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineCall {
    /// Comes back with the answer.
    pub ticket: Ticket,
    /// What is asked.
    pub question: EngineRequest,
}

/// What an engine can be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EngineRequest {
    /// Give this message its place.
    Publish {
        /// Where it goes.
        topic: Topic,
        /// What it carries.
        payload: Payload,
        /// Its idempotency key, used from this question on if it was not used before.
        key: Option<Keyed>,
        /// Whether somebody listens here.
        has_subscribers: bool,
    },
    /// Where does a subscription that begins here stand, and what did it miss?
    Open {
        /// What it listens to.
        target: Target,
        /// Where it wants to begin.
        start: Start,
    },
    /// What was published?
    Read(ReadHistory),
}

/// An idempotency key and who used it: the same key of somebody else is another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keyed {
    /// Who publishes.
    pub by: Publisher,
    /// The key.
    pub key: Key,
}

/// Who publishes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Publisher {
    /// A user, on whatever connection. The user's keys are the user's own.
    User(Arc<str>),
    /// A connection of nobody in particular. Keys of all of these are one lot, because who reconnects has another id;
    /// but each takes up room of its own.
    Client(ClientId),
}

/// What an engine answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EngineResponse {
    /// To [`EngineRequest::Publish`]: deliver this.
    Published(Publication),
    /// To [`EngineRequest::Publish`]: the key was used before, with this outcome; deliver nothing.
    Repeated(Outcome),
    /// To [`EngineRequest::Open`].
    Opened(SubscribeState),
    /// To [`EngineRequest::Open`], if there is too much for one call: what comes first of all that was missed, and what is left
    /// to be asked. It may be asked at any time, and says then also what has been missed since.
    OpenedPart(SubscribeState, EngineRequest),
    /// To [`EngineRequest::Read`].
    HistoryPage(HistoryPage),
    /// To any question: it cannot be done.
    Failed(ErrorReply),
}

/// What became of a publication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Its place, on a topic with history; of a repetition only while it is a place in the topic's history of now.
    pub position: Option<Position>,
    /// How many connections it was handed to.
    pub receivers: u64,
}

/// Where a subscription stands.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct SubscribeState {
    /// The end of the topic's history, when it keeps one.
    pub position: Option<Position>,
    /// Whether everything since the position asked for could be found; `None` when none was asked for.
    pub recovered: Option<bool>,
    /// What comes first, in order within each topic.
    pub missed: Vec<Publication>,
    /// Of a pattern: topics that could not be resumed, with the position from which they go on, if they have one.
    pub lost: Vec<(Topic, Option<Position>)>,
}

impl SubscribeState {
    /// Adds the answer to what was left to be asked of a pattern.
    pub(crate) fn add(&mut self, next: Self) {
        // A history that is lost between two answers begins anew: what it had before would come behind the gap.
        if !next.lost.is_empty() {
            let is_lost: HashSet<_> = next.lost.iter().map(|(topic, _)| topic).collect();
            self.missed.retain(|publication| !is_lost.contains(publication.topic()));
        }
        self.position = next.position;
        self.missed.extend(next.missed);
        self.lost.extend(next.lost);
        self.recovered = self.recovered.and(next.recovered).map(|_| self.lost.is_empty());
    }
}

/// A part of a history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryPage {
    /// The end of the history.
    pub position: Position,
    /// The publications asked for, oldest first.
    pub publications: Vec<Publication>,
}

/// What an engine is told.
#[derive(Clone, Copy, Debug)]
pub enum EngineNotice<'a> {
    /// The last one who subscribed to this topic by its name is gone.
    Unused(&'a Topic),
    /// What became of a publication with a key, after the answer that it is published.
    Delivered {
        /// Where it went.
        topic: &'a Topic,
        /// Its key.
        key: &'a Keyed,
        /// What is answered to a repetition.
        outcome: Outcome,
    },
}

/// An answer that comes later, with the ticket of its question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineReply {
    /// Of the question.
    pub ticket: Ticket,
    /// What the engine says.
    pub answer: EngineResponse,
}

/// Ties an answer to its question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(pub u64);
