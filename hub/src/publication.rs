//! A message with its place.

use hubcast_protocol::{Payload, Position, Topic};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What was published: topic, payload and, on a topic with history, its place there. Cloning shares it.
#[derive(Clone, Debug)]
pub struct Publication(Arc<Content>);

#[derive(Debug)]
struct Content {
    topic: Topic,
    payload: Payload,
    position: Option<Position>,
    counted_in: Option<LiveBytes>,
}

/// Bytes of all publications that somebody still holds: a history, or whoever has not written them yet. Cloning shares it.
///
/// Each publication counts once, however many hold it, with the bytes of its text and some more for what is around it. It
/// only tells: nothing that the hub does depends on it.
#[derive(Clone, Debug, Default)]
pub struct LiveBytes(Arc<AtomicUsize>);

impl Publication {
    /// Joins a message with its place in the history, when the topic keeps one.
    pub fn new(topic: Topic, payload: Payload, position: Option<Position>) -> Self {
        Self(Arc::new(Content { topic, payload, position, counted_in: None }))
    }

    /// The same, counted as long as somebody holds it.
    pub(crate) fn counted(topic: Topic, payload: Payload, position: Option<Position>, live: &LiveBytes) -> Self {
        let content = Content { topic, payload, position, counted_in: Some(live.clone()) };
        live.0.fetch_add(content.bytes(), Ordering::Relaxed);
        Self(Arc::new(content))
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

    /// Bytes that it takes, about: its text, the block it is in, and its place in a queue.
    pub(crate) fn bytes(&self) -> usize {
        self.0.bytes()
    }
}

impl PartialEq for Publication {
    fn eq(&self, other: &Self) -> bool {
        let parts = |of: &Self| (of.0.topic.clone(), of.0.position);
        parts(self) == parts(other) && self.0.payload == other.0.payload
    }
}

impl Eq for Publication {}

impl Content {
    fn bytes(&self) -> usize {
        self.payload.as_plain().len() + 160
    }
}

impl Drop for Content {
    fn drop(&mut self) {
        if let Some(live) = &self.counted_in {
            live.0.fetch_sub(self.bytes(), Ordering::Relaxed);
        }
    }
}

impl LiveBytes {
    /// How many there are now.
    pub fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_publication_counts_once_until_nobody_holds_it() {
        let live = LiveBytes::default();
        let publication = Publication::counted("t".into(), "x".repeat(1000).as_str().into(), None, &live);
        let clones = vec![publication.clone(); 10];
        assert_eq!(live.get(), 1160);
        drop(publication);
        assert_eq!(live.get(), 1160);
        drop(clones);
        assert_eq!(live.get(), 0);
    }
}
