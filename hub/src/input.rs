//! The inputs of the hub.

use crate::Grants;
use crate::engine::EngineReply;
use hubcast_protocol::{
    AnonymousId, ClientId, CloseCode, ErrorReply, Payload, RejectedRequest, Request, RequestId, Target,
};
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

/// The caller's number for a session: small, and free for another session after [`Input::Closed`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(pub u32);

/// One thing that happened outside the hub.
///
/// An input about a session that is not connected has no effect.
#[derive(Clone, Debug)]
pub enum Input {
    /// A connection is open.
    Connect {
        /// A number that no connected session has.
        session: SessionId,
        /// An id that no session ever had.
        client: ClientId,
        /// The user of the connection, when it is known.
        identity: Option<Arc<Identity>>,
        /// What its token or API key allows; `None` for a connection without one.
        credentials: Option<Arc<Credentials>>,
    },
    /// The outcome of an `authenticate`, which the caller has verified.
    Authenticate {
        /// The session that sent it.
        session: SessionId,
        /// The id of the request.
        id: Option<RequestId>,
        /// The user of the token and what it grants, or why the token is refused: `token_invalid`, `token_expired` or
        /// `rate_limited`.
        outcome: Result<Login, ErrorReply>,
    },
    /// A caller with an API key does something to the sessions of others.
    Operate {
        /// The session of the caller.
        session: SessionId,
        /// The id that comes back with the answer.
        id: RequestId,
        /// The sessions to which it is done.
        whom: Whom,
        /// What is done.
        operation: Operation,
    },
    /// A frame came. A frame that is not a valid request is an input too, so that its refusal has the right place
    /// among the replies.
    Request {
        /// The session that sent it.
        session: SessionId,
        /// The decoded request, or why it is refused.
        request: Result<Request, RejectedRequest>,
    },
    /// The server closes the session. The hub sends the reason and when to come back, then closes.
    Disconnect {
        /// The session to close.
        session: SessionId,
        /// The close code.
        code: CloseCode,
        /// The reason, for people.
        reason: Cow<'static, str>,
        /// Milliseconds after which the client may reconnect; `None`: it should not reconnect.
        reconnect_in_ms: Option<u64>,
    },
    /// The connection is gone, or can be treated as gone: no effect names the session any more.
    Closed {
        /// The session that is gone.
        session: SessionId,
        /// Whether the connection ended without a close by the peer, so that the client may soon be back.
        lost: bool,
    },
    /// What is granted has changed, by [`Hub::reload`](crate::Hub::reload): subscriptions of the session that are not granted
    /// any more end.
    Review {
        /// The session.
        session: SessionId,
    },
    /// An engine that does not answer at once has answered.
    Reply(EngineReply),
    /// Does the next part of a session's [`Unfinished`] input.
    Continue {
        /// The session whose input is unfinished.
        session: SessionId,
    },
}

/// What a valid token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// The user, and what is shown of it.
    pub identity: Arc<Identity>,
    /// What it grants, and until when.
    pub credentials: Arc<Credentials>,
}

/// What a token or an API key allows a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// The topics that it grants.
    pub grants: Grants,
    /// When it expires; `None`: never.
    pub expiry: Option<Expiry>,
    /// The id of the API key; `None` for a token.
    pub api_key: Option<Box<str>>,
}

/// When a token expires, on both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expiry {
    /// The time by which the hub acts.
    pub at: Instant,
    /// The time as the token says it, in seconds since 1970-01-01 UTC, for the client.
    pub unix: u64,
}

/// Some sessions of clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whom {
    /// The session with this id.
    Client(ClientId),
    /// Every session of this user.
    User(Box<str>),
}

/// What a caller with an API key does to sessions of others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Close them.
    Disconnect {
        /// The close code.
        code: CloseCode,
        /// The reason, for people.
        reason: Cow<'static, str>,
    },
    /// Subscribe them, whatever their grants are. Each gets a `subscribed` event without an id.
    Subscribe(Target),
    /// End a subscription of theirs. Each that had it gets an `unsubscribed` event with the reason `operator`.
    Unsubscribe(Target),
}

/// Work of an input that is not done yet. [`Hub::begin`](crate::Hub::begin) with `next` does the next part.
#[derive(Debug)]
pub struct Unfinished {
    /// The input to hand in next: [`Input::Continue`], or the same input again if it must wait for another unfinished
    /// input.
    pub next: Box<Input>,
    /// The session whose input the part just done belongs to.
    pub worked_for: SessionId,
}

/// Who is behind a session, as presence shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The name by which it is recognised when it comes back.
    pub name: MemberName,
    /// What other clients are shown of it. That of an anonymous member is not verified.
    pub info: Option<Payload>,
}

/// The name by which a member is recognised when it comes back.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum MemberName {
    /// A user, as its token says.
    User(Box<str>),
    /// A client without a user that keeps a secret.
    Anonymous(AnonymousId),
    /// A caller with an API key, by the id of the key. Presence does not show it.
    ApiKey(Box<str>),
}

impl Identity {
    /// A user of whom nothing is shown but its name.
    pub fn user(name: impl Into<Box<str>>) -> Self {
        Self { name: MemberName::User(name.into()), info: None }
    }
}

impl Input {
    /// An open connection without a known user.
    pub fn connect(session: SessionId, client: ClientId) -> Self {
        Self::Connect { session, client, identity: None, credentials: None }
    }
}
