//! The hub's state of one connected client.

use crate::engine::{Publisher, Ticket};
use crate::{Identity, MemberName, SessionId, rate::Bucket};
use hubcast_protocol::{ClientId, RejectedRequest, Request, Slow};
use std::collections::VecDeque;
use std::sync::Arc;

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
    /// Whether the hub is closing it because it exceeded the rate limit.
    pub(crate) cut: bool,
    /// `Some` only with a rate limit.
    pub(crate) bucket: Option<Box<Bucket>>,
    /// `Some` only while it waits for the answer of an engine elsewhere.
    pub(crate) waiting: Option<Box<Waiting>>,
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
        self.user().map_or(Publisher::Client(self.client), |user| Publisher::User(user.into()))
    }

    /// Queues later requests until the question with this ticket is answered.
    pub(crate) fn wait_for(&mut self, ticket: Ticket) {
        self.waiting = Some(Box::new(Waiting { ticket, requests: VecDeque::new() }));
    }
}

/// Most requests of a session that wait behind an open question. One more is refused at once as `unavailable`.
pub(crate) const MAX_WAITING_REQUESTS: usize = 256;
