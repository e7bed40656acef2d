//! A message with its place.

use hubcast_protocol::{Payload, Position, Topic};
use std::sync::Arc;

/// What was published: topic, payload and, on a topic with history, its place there. Cloning shares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publication(Arc<Content>);

#[derive(Debug, PartialEq, Eq)]
struct Content {
    topic: Topic,
    payload: Payload,
    position: Option<Position>,
}

impl Publication {
    /// Joins a message with its place in the history, when the topic keeps one.
    pub fn new(topic: Topic, payload: Payload, position: Option<Position>) -> Self {
        Self(Arc::new(Content { topic, payload, position }))
    }

    /// Where it was published.
    pub fn topic(&self) -> &Topic {
        &self.0.topic
    }

    /// What it carries.
    pub fn payload(&self) -> &Payload {
        &self.0.payload
    }

    /// The position that a subscriber has after it; `None` on a topic without history.
    pub fn position(&self) -> Option<Position> {
        self.0.position
    }
}
