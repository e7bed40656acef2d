//! A message with its position.

use hubcast_protocol::event::Author;
use hubcast_protocol::{Payload, Position, Topic};
use std::fmt::Debug;
use std::sync::Arc;

/// A publication: topic, payload and, on a topic with history, its position. A clone shares the content.
#[derive(Clone, Debug)]
pub struct Publication(Arc<Content>);

#[derive(Debug)]
struct Content {
    topic: Topic,
    payload: Payload,
    position: Option<Position>,
    author: Option<Box<Author>>,
    counted_by: Option<Arc<dyn LiveBytes>>,
}

/// The counter of the bytes of all publications in memory: in a history, or waiting to be written.
///
/// Each publication counts once, however many clones it has, with the bytes of its text and a constant for what is
/// around it. Nothing that the hub does depends on the count. `remove` is called when the last clone is dropped, on any
/// thread.
pub trait LiveBytes: Debug + Send + Sync {
    /// Adds a new publication of this many bytes.
    fn add(&self, bytes: usize);

    /// Removes a publication of this many bytes, whose last clone was dropped.
    fn remove(&self, bytes: usize);
}

impl Publication {
    /// Makes a publication of a message and its position, if the topic keeps a history.
    pub fn new(topic: Topic, payload: Payload, position: Option<Position>) -> Self {
        Self(Arc::new(Content { topic, payload, position, author: None, counted_by: None }))
    }

    /// Makes a publication that `live` counts until its last clone is dropped.
    pub(crate) fn counted(
        topic: Topic,
        payload: Payload,
        position: Option<Position>,
        author: Option<Box<Author>>,
        live: Option<&Arc<dyn LiveBytes>>,
    ) -> Self {
        let content = Content { topic, payload, position, author, counted_by: live.cloned() };
        if let Some(live) = live {
            live.add(content.bytes());
        }
        Self(Arc::new(content))
    }

    /// The topic that it was published to.
    pub fn topic(&self) -> &Topic {
        &self.0.topic
    }

    /// The payload.
    pub fn payload(&self) -> &Payload {
        &self.0.payload
    }

    /// The position of a subscriber after this publication; `None` on a topic without history.
    pub fn position(&self) -> Option<Position> {
        self.0.position
    }

    /// Who published it and when, if the topic's rule asks for that.
    pub fn author(&self) -> Option<&Author> {
        self.0.author.as_deref()
    }

    /// Approximate bytes that it takes: its text, its memory block, and its entry in a queue.
    pub(crate) fn bytes(&self) -> usize {
        self.0.bytes()
    }
}

impl PartialEq for Publication {
    fn eq(&self, other: &Self) -> bool {
        let parts = |of: &Self| (of.0.topic.clone(), of.0.position);
        parts(self) == parts(other) && self.0.payload == other.0.payload && self.0.author == other.0.author
    }
}

impl Eq for Publication {}

impl Content {
    fn bytes(&self) -> usize {
        let author = self.author.as_ref().map_or(0, |author| 64 + author.user.as_ref().map_or(0, |user| user.len()));
        self.payload.as_plain().len() + 160 + author
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
        let publication = Publication::counted("t".into(), "x".repeat(1000).as_str().into(), None, None, Some(&live));
        let clones = vec![publication.clone(); 10];
        assert_eq!(bytes(), 1160);
        drop(publication);
        assert_eq!(bytes(), 1160);
        drop(clones);
        assert_eq!(bytes(), 0);
    }
}
