//! A message with its place.

use hubcast_protocol::{Payload, Position, Topic};
use std::fmt::Debug;
use std::sync::Arc;

/// What was published: topic, payload and, on a topic with history, its place there. Cloning shares it.
#[derive(Clone, Debug)]
pub struct Publication(Arc<Content>);

#[derive(Debug)]
struct Content {
    topic: Topic,
    payload: Payload,
    position: Option<Position>,
    counted_by: Option<Arc<dyn LiveBytes>>,
}

/// Counts the bytes of all publications that somebody still holds: a history, or whoever has not written them yet.
///
/// Each publication counts once, however many hold it, with the bytes of its text and some more for what is around it. It
/// is only told: nothing that the hub does depends on it. Publications are let go of by whoever holds them last, on any thread.
pub trait LiveBytes: Debug + Send + Sync {
    /// A publication of so many bytes was made.
    fn add(&self, bytes: usize);

    /// Nobody holds a publication of so many bytes any more.
    fn remove(&self, bytes: usize);
}

impl Publication {
    /// Joins a message with its place in the history, when the topic keeps one.
    pub fn new(topic: Topic, payload: Payload, position: Option<Position>) -> Self {
        Self(Arc::new(Content { topic, payload, position, counted_by: None }))
    }

    /// The same, counted as long as somebody holds it.
    pub(crate) fn counted(
        topic: Topic,
        payload: Payload,
        position: Option<Position>,
        live: Option<&Arc<dyn LiveBytes>>,
    ) -> Self {
        let content = Content { topic, payload, position, counted_by: live.cloned() };
        if let Some(live) = live {
            live.add(content.bytes());
        }
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
        if let Some(live) = &self.counted_by {
            live.remove(self.bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[derive(Debug, Default)]
    struct Sum(AtomicUsize);

    impl LiveBytes for Sum {
        fn add(&self, bytes: usize) {
            self.0.fetch_add(bytes, Ordering::Relaxed);
        }

        fn remove(&self, bytes: usize) {
            self.0.fetch_sub(bytes, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_publication_counts_once_until_nobody_holds_it() {
        let sum = Arc::new(Sum::default());
        let (live, bytes): (Arc<dyn LiveBytes>, _) = (sum.clone(), || sum.0.load(Ordering::Relaxed));
        let publication = Publication::counted("t".into(), "x".repeat(1000).as_str().into(), None, Some(&live));
        let clones = vec![publication.clone(); 10];
        assert_eq!(bytes(), 1160);
        drop(publication);
        assert_eq!(bytes(), 1160);
        drop(clones);
        assert_eq!(bytes(), 0);
    }
}
