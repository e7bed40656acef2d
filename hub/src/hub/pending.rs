//! Requests that wait for the engine's answer.

use crate::engine::{Keyed, Opened, Publisher};
use hubcast_protocol::request::{Publish, Target};
use hubcast_protocol::{ErrorCode, Fault, RequestId, Slow, Topic};
use std::collections::VecDeque;

/// What is left to do when the engine has answered.
#[derive(Debug)]
pub(super) struct Pending {
    /// Whose request it was; `None` when the session is gone.
    pub(super) session: Option<u32>,
    pub(super) id: Option<RequestId>,
    pub(super) then: Then,
    /// What a session that is gone sent behind it and is still to be published.
    pub(super) left_behind: VecDeque<(Publisher, Publish)>,
}

impl Pending {
    pub(super) fn new(session: Option<u32>, id: Option<RequestId>, then: Then) -> Self {
        Self { session, id, then, left_behind: VecDeque::new() }
    }
}

#[derive(Debug)]
pub(super) enum Then {
    Deliver { topic: Topic, key: Option<Keyed>, echo: bool },
    Subscribe(Wish),
    TellHistory(Topic),
}

impl Then {
    /// Whether somebody is to listen to this topic by its name.
    pub(super) fn opens(&self, topic: &Topic) -> bool {
        matches!(self, Self::Subscribe(wish) if wish.is_for(topic))
    }
}

/// What a subscription is to be once the engine has said where it stands.
#[derive(Debug)]
pub(super) struct Wish {
    pub(super) target: Target,
    pub(super) slow: Slow,
    pub(super) presence: bool,
    /// Whether the answer says how much of the past follows.
    pub(super) wants_past: bool,
    /// What the engine has said so far.
    pub(super) opened: Option<Opened>,
}

impl Wish {
    /// Whether it is for this topic.
    pub(super) fn is_for(&self, topic: &Topic) -> bool {
        matches!(&self.target, Target::Topic(wanted) if wanted == topic)
    }

    /// Adds what the engine says next.
    pub(super) fn add(&mut self, next: Opened) {
        match &mut self.opened {
            None => self.opened = Some(next),
            Some(opened) => opened.add(next),
        }
    }
}

pub(super) fn too_long(code: ErrorCode, what: &str, most: usize) -> Fault {
    Fault::new(code, format!("a {what} has at most {most} bytes"))
}
