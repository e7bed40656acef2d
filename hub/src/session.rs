//! What the hub knows of one peer.

use crate::engine::{Publisher, Ticket};
use crate::{Identity, SessionId, rate::Bucket};
use hubcast_protocol::{ClientId, RejectedRequest, Request, Slow};
use std::collections::VecDeque;

/// One peer: who it is and what it listens to.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) id: SessionId,
    pub(crate) client: ClientId,
    pub(crate) identity: Option<Box<Identity>>,
    /// How many of its memberships only watch presence.
    pub(crate) watching: u32,
    /// Its entries in subscriptions; each knows its place there, and the channel knows its place here.
    pub(crate) memberships: Vec<Membership>,
    /// What it wants when it cannot keep up with its own private topic, unless it does not hear that.
    pub(crate) direct: Option<Slow>,
    /// The last delivery that listed it, so that no delivery lists it twice.
    pub(crate) listed_in: u64,
    /// Whether it is being closed because it asked too often.
    pub(crate) cut: bool,
    /// Only with a rate limit.
    pub(crate) bucket: Option<Box<Bucket>>,
    /// Only while an engine elsewhere has not answered.
    pub(crate) waiting: Option<Box<Waiting>>,
}

/// A session between its question to an engine and the answer.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) ticket: Ticket,
    /// What it sent since, to be performed in order; at most [`MAX_WAITING_REQUESTS`].
    pub(crate) requests: VecDeque<Result<Request, RejectedRequest>>,
}

/// Where a session stands in one channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Membership {
    pub(crate) channel: u32,
    pub(crate) index: u32,
}

impl Session {
    pub(crate) fn new(
        id: SessionId,
        client: ClientId,
        identity: Option<Box<Identity>>,
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

    /// The user's name, when it is known.
    pub(crate) fn user(&self) -> Option<&str> {
        self.identity.as_ref().map(|identity| &*identity.user)
    }

    /// Who publishes here.
    pub(crate) fn publisher(&self) -> Publisher {
        self.user().map_or(Publisher::Client(self.client), |user| Publisher::User(user.into()))
    }

    /// Lets later requests wait until the question with this ticket is answered.
    pub(crate) fn wait_for(&mut self, ticket: Ticket) {
        self.waiting = Some(Box::new(Waiting { ticket, requests: VecDeque::new() }));
    }
}

/// Requests of a session that wait behind an open question; one more is `unavailable`, at once.
pub(crate) const MAX_WAITING_REQUESTS: usize = 256;
