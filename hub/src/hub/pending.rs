//! Requests that wait for the engine's answer.

use crate::engine::{Keyed, Publisher, SubscribeState};
use hubcast_protocol::request::{Publish, Target};
use hubcast_protocol::{Epoch, ErrorCode, ErrorReply, RequestId, Slow, Topic};
use std::collections::VecDeque;

/// The rest of a request, to be done when the engine has answered.
#[derive(Debug)]
pub(super) struct Pending {
    /// The session of the request; `None` when the session is gone.
    pub(super) session: Option<u32>,
    pub(super) id: Option<RequestId>,
    pub(super) then: Continuation,
    /// Publications that a session which is now gone sent behind the request. They are still to be published.
    pub(super) orphaned: VecDeque<(Publisher, Publish)>,
}

impl Pending {
    pub(super) fn new(session: Option<u32>, id: Option<RequestId>, then: Continuation) -> Self {
        Self { session, id, then, orphaned: VecDeque::new() }
    }
}

#[derive(Debug)]
pub(super) enum Continuation {
    Deliver { topic: Topic, key: Option<Keyed>, echo: bool },
    Subscribe(PendingSubscribe),
    TellHistory(Topic),
}

impl Continuation {
    /// Whether this request is a subscription to this topic by its name.
    pub(super) fn opens(&self, topic: &Topic) -> bool {
        matches!(self, Self::Subscribe(subscribe) if subscribe.is_for(topic))
    }
}

/// A subscription that waits for the engine's answer.
#[derive(Debug)]
pub(super) struct PendingSubscribe {
    pub(super) target: Target,
    pub(super) slow: Slow,
    pub(super) presence: bool,
    /// Whether the reply says how much of the past follows.
    pub(super) wants_past: bool,
    /// The epoch of the position after which it asks for what it missed, if it names one position.
    pub(super) known_epoch: Option<Epoch>,
    /// The engine's answers so far.
    pub(super) opened: Option<SubscribeState>,
}

impl PendingSubscribe {
    /// Whether it is for this topic.
    pub(super) fn is_for(&self, topic: &Topic) -> bool {
        matches!(&self.target, Target::Topic(wanted) if wanted == topic)
    }

    /// Adds the engine's next answer.
    pub(super) fn add(&mut self, next: SubscribeState) {
        match &mut self.opened {
            None => self.opened = Some(next),
            Some(opened) => opened.add(next),
        }
    }
}

pub(super) fn too_long(code: ErrorCode, what: &str, most: usize) -> ErrorReply {
    ErrorReply::new(code, format!("a {what} has at most {most} bytes"))
}
