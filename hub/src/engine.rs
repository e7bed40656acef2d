//! The engine keeps what outlives a subscription. The hub asks it by messages: a question in, an answer out.
//!
//! The embedded [`Memory`] answers within the call and is the reference for every other engine. An engine that lives
//! elsewhere hands the question back; the hub passes it on as [`Effect::Ask`](crate::Effect::Ask) and goes on when
//! [`Input::Reply`](crate::Input::Reply) comes. The hub is written for both. It keeps what it needs to complete the
//! request under a [`Ticket`]. Until the answer comes, it queues the session's later requests, so that a session's
//! requests take effect in the order in which they were sent. At most 256 requests wait; more are refused as
//! `unavailable`.
//!
//! An idempotency key counts as used from the first [`EngineRequest::Publish`] that carries it, unless the engine
//! answers that with [`EngineResponse::Failed`]. The outcome to answer to a repetition comes later, with
//! [`EngineNotice::Delivered`]. So an engine elsewhere can be asked the same key again before it knows the outcome. It
//! must not answer [`EngineResponse::Published`] to that. It must keep the question, and all questions after it, until
//! the notice has come, and then answer [`EngineResponse::Repeated`].

mod memory;

pub use memory::{
    EntrySnapshot, Evicted, HistorySnapshot, KeySnapshot, Memory, NumberSnapshot, ProducerSnapshot, Snapshot,
};

use crate::Publication;
use hubcast_protocol::event::Author;
use hubcast_protocol::request::{Key, ReadHistory, Start};
use hubcast_protocol::{ClientId, ErrorReply, Payload, Position, Target, Topic};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

/// The store of offsets, histories and idempotency keys.
pub trait Engine {
    /// Answers at once, or hands the question back, for the hub to pass on.
    ///
    /// # Errors
    /// The question itself, if the answer will come later. Then the answer comes exactly once, and answers come in the
    /// order of the questions.
    fn ask(&mut self, now: Instant, call: EngineCall) -> Result<EngineResponse, EngineCall>;

    /// Takes a notice, which needs no answer.
    fn tell(&mut self, _now: Instant, _notice: EngineNotice<'_>) {}

    /// When [`handle_timeout`](Engine::handle_timeout) must be called next. The time is in the past if the last call
    /// left something due.
    fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    /// Drops what has expired, in parts that take at most a fraction of a millisecond, because other work waits. The
    /// rest stays due, and the caller calls again as long as [`poll_timeout`](Engine::poll_timeout) says so.
    ///
    /// The argument is a function that says whether a topic has subscribers here, by its name or by a pattern. The
    /// engine has to ask, because no notice names the topics that a subscription to a pattern begins or ceases to
    /// reach. Searching the patterns is work too, so the function may answer `None`: no more in this call. Then the
    /// history that the question was for stays due, and the engine asks nothing more in this call. The first question
    /// of a call is always answered.
    fn handle_timeout(&mut self, _now: Instant, _has_subscribers: &mut dyn FnMut(&Topic) -> Option<bool>) {}
}

/// A question to an engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineCall {
    /// The ticket, which comes back with the answer.
    pub ticket: Ticket,
    /// The question.
    pub question: EngineRequest,
}

/// The questions to an engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EngineRequest {
    /// Give this publication its position.
    Publish {
        /// The topic that it goes to.
        topic: Topic,
        /// The payload.
        payload: Payload,
        /// Who published it and when, if the topic's rule asks for that.
        author: Option<Box<Author>>,
        /// Its idempotency key. It counts as used from this question on, if it was not used before.
        key: Option<Keyed>,
        /// Whether the topic has subscribers here, by its name or by a pattern.
        has_subscribers: bool,
    },
    /// What is the position of a subscription that begins here, and what did it miss?
    Open {
        /// The topic or pattern of the subscription.
        target: Target,
        /// Where the subscription begins.
        start: Start,
    },
    /// Which publications does a history contain?
    Read(ReadHistory),
}

/// An idempotency key with its publisher. The same text from another publisher is another key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keyed {
    /// The publisher.
    pub by: Publisher,
    /// The key.
    pub key: Key,
}

/// The publisher of a publication with an idempotency key: the owner of the key.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Publisher {
    /// A user, on any of its connections. Its keys are separate from those of all others.
    User(Arc<str>),
    /// A connection without a user. The keys of all such connections are one common set, because a client has another
    /// id after it reconnects. But each connection has a share of the memory of its own.
    Client(ClientId),
}

/// The answers of an engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EngineResponse {
    /// To [`EngineRequest::Publish`]: the publication with its position, to be delivered.
    Published(Publication),
    /// To [`EngineRequest::Publish`]: the key was used before, with this outcome. Nothing is to be delivered.
    Repeated(Outcome),
    /// To [`EngineRequest::Open`]: the whole answer.
    Opened(SubscribeState),
    /// To [`EngineRequest::Open`], if one call would take too long: the first part of the answer, and the question for
    /// the rest. The rest may be asked at any time; its answer then includes what was published in the meantime.
    OpenedPart(SubscribeState, EngineRequest),
    /// To [`EngineRequest::Read`]: the publications.
    HistoryPage(HistoryPage),
    /// To any question: a refusal.
    Failed(ErrorReply),
}

/// The outcome of a publication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Its position, on a topic with history. For a repetition it is `None` if the topic has another history now.
    pub position: Option<Position>,
    /// The number of connections that it was handed to.
    pub receivers: u64,
}

/// The state of a subscription when it begins.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct SubscribeState {
    /// The end of the topic's history, if it keeps one.
    pub position: Option<Position>,
    /// Whether everything since the requested position was found; `None` if no position was requested.
    pub recovered: Option<bool>,
    /// The publications that the subscription gets first, in order within each topic.
    pub missed: Vec<Publication>,
    /// For a pattern: the topics that could not be resumed, each with the position from which it goes on, if it has
    /// one.
    pub lost: Vec<(Topic, Option<Position>)>,
}

impl SubscribeState {
    /// Adds the answer for the rest of a pattern.
    pub(crate) fn add(&mut self, next: Self) {
        // A history that is lost between two answers begins anew. Its earlier publications would come behind the gap.
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

/// A part of a history: the answer to [`EngineRequest::Read`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryPage {
    /// The end of the history.
    pub position: Position,
    /// The publications asked for, oldest first.
    pub publications: Vec<Publication>,
}

/// The notices to an engine. They need no answer.
#[derive(Clone, Copy, Debug)]
pub enum EngineNotice<'a> {
    /// The last subscription to this topic by its name is gone.
    Unused(&'a Topic),
    /// The outcome of a publication with a key. It comes after the answer [`EngineResponse::Published`].
    Delivered {
        /// The topic that it went to.
        topic: &'a Topic,
        /// Its key.
        key: &'a Keyed,
        /// The outcome to answer to a repetition.
        outcome: Outcome,
    },
}

/// An answer that comes later, with the ticket of its question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineReply {
    /// The ticket of the question.
    pub ticket: Ticket,
    /// The answer.
    pub answer: EngineResponse,
}

/// The number that ties an answer to its question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(pub u64);
