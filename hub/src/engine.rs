//! What outlives a subscription is asked of an engine, by messages: a question in, an answer out.
//!
//! The embedded [`Memory`] answers within the call and is the reference for every other. An engine that lives
//! elsewhere hands the question back; the hub passes it on as [`Effect::Ask`](crate::Effect::Ask) and goes on
//! when [`Input::Reply`](crate::Input::Reply) comes. The hub is written for both: it holds what it needs to go
//! on under a [`Ticket`], and until then it keeps the session's later requests waiting, so that a session's
//! requests take effect in the order in which they were sent.

mod memory;

pub use memory::Memory;

use crate::Publication;
use hubcast_protocol::request::Start;
use hubcast_protocol::{Fault, Payload, Position, Target, Topic};
use std::time::Instant;

/// Who keeps offsets and histories.
pub trait Engine {
    /// Answers at once, or hands the question back to be passed on.
    ///
    /// # Errors
    /// When the answer will come later. Then it comes exactly once.
    fn ask(&mut self, now: Instant, ask: Ask) -> Result<Answer, Ask>;
}

/// A question to an engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// Comes back with the answer.
    pub ticket: Ticket,
    /// What is asked.
    pub question: Question,
}

/// What an engine can be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// Give this message its place.
    Publish {
        /// Where it goes.
        topic: Topic,
        /// What it carries.
        payload: Payload,
    },
    /// Where does a subscription that begins here stand?
    Open {
        /// What it listens to.
        target: Target,
        /// Where it wants to begin.
        start: Start,
    },
}

/// What an engine answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// To [`Question::Publish`]: deliver this.
    Published(Publication),
    /// To [`Question::Open`].
    Opened(Opened),
    /// To any question: it cannot be done.
    Failed(Fault),
}

/// Where a subscription stands.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Opened {
    /// The end of the topic's history, when it keeps one.
    pub position: Option<Position>,
    /// Whether everything since the position asked for could be found; `None` when none was asked for.
    pub recovered: Option<bool>,
}

/// An answer that comes later, with the ticket of its question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Of the question.
    pub ticket: Ticket,
    /// What the engine says.
    pub answer: Answer,
}

/// Ties an answer to its question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(pub u64);
