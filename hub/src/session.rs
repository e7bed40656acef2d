//! The hub's state of one connected client.

use crate::engine::{Publisher, Ticket};
use crate::{Credentials, Identity, MemberName, SessionId, rate::Bucket};
use hubcast_protocol::{ClientId, RejectedRequest, Request, Slow};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

/// One session: its client, its user and its subscriptions.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) id: SessionId,
    pub(crate) client: ClientId,
    pub(crate) identity: Option<Arc<Identity>>,
    /// The number of its memberships that only watch presence.
    pub(crate) watching: u32,
    /// Its memberships. Each knows its index in the channel's list of members, and each member knows its index in this
    /// list.
    pub(crate) memberships: Vec<Membership>,
    /// What it asks for when its connection is too slow for its own private topic; `None` if it is not subscribed to
    /// that.
    pub(crate) direct: Option<Slow>,
    /// The number of the last delivery that listed it, so that no delivery lists it twice.
    pub(crate) listed_in: u64,
    /// Whether the hub is closing it: it exceeded the rate limit, or may not stay.
    pub(crate) cut: bool,
    /// Whether one of its memberships is the private topic of its user.
    pub(crate) hears_user: bool,
    /// Whether it was told that it is connected, to those who are told of it.
    pub(crate) is_reported: bool,
    /// `Some` for a session with a token or API key, and for one that must show one.
    pub(crate) authority: Option<Box<Authority>>,
    /// `Some` only with a rate limit.
    pub(crate) bucket: Option<Box<Bucket>>,
    /// `Some` only while it waits for the answer of an engine elsewhere.
    pub(crate) waiting: Option<Box<Waiting>>,
}

/// What a session may do, and until when.
#[derive(Debug)]
pub(crate) struct Authority {
    /// What its token or API key allows; `None` while it has shown none.
    pub(crate) credentials: Option<Arc<Credentials>>,
    pub(crate) standing: Standing,
    /// When the standing changes or the session is closed.
    pub(crate) due: Option<Instant>,
}

/// How a session stands with its token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It must authenticate before anything else.
    Waiting,
    Valid,
    /// Its token is over. It can still be renewed until the session is closed.
    Expired,
}

/// The state of a session between a question to an engine and its answer.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) ticket: Ticket,
    /// The requests that it sent since, to be performed in order; at most [`MAX_WAITING_REQUESTS`].
    pub(crate) requests: VecDeque<Result<Request, RejectedRequest>>,
}

/// The entry of a session in one channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Membership {
    pub(crate) channel: u32,
    pub(crate) index: u32,
}

impl Session {
    pub(crate) fn new(
        id: SessionId,
        client: ClientId,
        identity: Option<Arc<Identity>>,
        bucket: Option<Bucket>,
    ) -> Self {
        Self {
            id,
            client,
            identity,
            watching: 0,
            memberships: Vec::new(),
            direct: Some(Slow::Disconnect),
            listed_in: 0,
            cut: false,
            hears_user: false,
            is_reported: false,
            authority: None,
            bucket: bucket.map(Box::new),
            waiting: None,
        }
    }

    /// The user's name, if the session has a user.
    pub(crate) fn user(&self) -> Option<&str> {
        match &self.identity.as_ref()?.name {
            MemberName::User(user) => Some(user),
            MemberName::Anonymous(_) | MemberName::ApiKey(_) => None,
        }
    }

    /// The owner of the idempotency keys that this session uses.
    pub(crate) fn publisher(&self) -> Publisher {
        match self.identity.as_deref().map(|identity| &identity.name) {
            Some(MemberName::User(user)) => Publisher::User((**user).into()),
            // No user has this name, because the name of a user has no control characters.
            Some(MemberName::ApiKey(id)) => Publisher::User(format!("\u{1}key {id}").into()),
            Some(MemberName::Anonymous(_)) | None => Publisher::Client(self.client),
        }
    }

    /// The number of its subscriptions that count against its limit.
    pub(crate) fn counted(&self) -> usize {
        self.memberships.len() - self.watching as usize - usize::from(self.hears_user)
    }

    /// Queues later requests until the question with this ticket is answered.
    pub(crate) fn wait_for(&mut self, ticket: Ticket) {
        self.waiting = Some(Box::new(Waiting { ticket, requests: VecDeque::new() }));
    }
}

/// Most requests of a session that wait behind an open question. One more is refused at once as `unavailable`.
pub(crate) const MAX_WAITING_REQUESTS: usize = 256;
