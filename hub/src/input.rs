//! What the hub is told.

use crate::engine::EngineReply;
use hubcast_protocol::{ClientId, CloseCode, RejectedRequest, Request};
use serde_json::value::RawValue;
use std::borrow::Cow;

/// The caller's name for a session: small, and free for another one after [`Input::Closed`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(pub u32);

/// One thing that happened outside.
///
/// An input about a session that is not connected has no effect.
#[derive(Clone, Debug)]
pub enum Input {
    /// A connection is open.
    Connect {
        /// A name that no connected session has.
        session: SessionId,
        /// An id that no session had before.
        client: ClientId,
        /// Who it is for, when that is known.
        identity: Option<Box<Identity>>,
    },
    /// A frame came. One that is no request comes too, so that its refusal keeps its place among the replies.
    Request {
        /// Who asks.
        session: SessionId,
        /// What the frame said.
        request: Result<Request, RejectedRequest>,
    },
    /// The session has to go: it is told why and when to come back, then closed.
    Disconnect {
        /// Who goes.
        session: SessionId,
        /// With which close code.
        code: CloseCode,
        /// Why, for people.
        reason: Cow<'static, str>,
        /// When to come back; `None`: do not.
        reconnect_in_ms: Option<u64>,
    },
    /// The connection is gone, or is as good as gone: no effect names the session any more.
    Closed {
        /// Who is gone.
        session: SessionId,
        /// Whether the peer did not say goodbye and may be back soon.
        lost: bool,
    },
    /// An engine that does not answer at once has answered.
    Reply(EngineReply),
    /// Time for what is [`Unfinished`] of a session's input.
    Continue {
        /// Whose input.
        session: SessionId,
    },
}

/// Not everything is done that an input asks for: the next piece is, when [`Hub::begin`](crate::Hub::begin) is called again.
#[derive(Debug)]
pub struct Unfinished {
    /// With what: [`Input::Continue`], or the same again if it has to wait for another input that is unfinished.
    pub next: Box<Input>,
    /// Whose input the piece was of that is done now.
    pub worked_for: SessionId,
}

/// Whom a session is for, as its token says.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The user's name.
    pub user: Box<str>,
    /// What others are shown of the user.
    pub info: Option<Box<RawValue>>,
}

impl Input {
    /// An open connection of nobody in particular.
    pub fn connect(session: SessionId, client: ClientId) -> Self {
        Self::Connect { session, client, identity: None }
    }
}
