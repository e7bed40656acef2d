//! The idempotency keys in use, and the outcome of each publication with one.

mod names;
mod producers;
mod shares;
mod texts;
mod window;

use super::snapshot::{KeySnapshot, NumberSnapshot, ProducerSnapshot};
use crate::engine::{Keyed, Outcome, Publisher};
use hubcast_protocol::request::Key;
use hubcast_protocol::{ErrorReply, Topic};
use producers::Producers;
use std::sync::Arc;
use std::time::{Duration, Instant};
use texts::Texts;
use window::Number;

/// Keys of both kinds: texts on their own, and numbers by their producer.
#[derive(Debug)]
pub(super) struct Keys {
    texts: Texts,
    producers: Producers,
}

/// The owner of a key: a user, or `None` for all connections without a user together.
type Scope = Option<Arc<str>>;

impl Keys {
    /// Returns the outcome of the publication that had this key, while it is remembered; `None`: the key is new.
    ///
    /// # Errors
    /// When the key may be a repetition that is no longer remembered, and when a number was used with another topic.
    pub(super) fn find(&mut self, now: Instant, topic: &Topic, keyed: &Keyed) -> Result<Option<Outcome>, ErrorReply> {
        let Keyed { by, key } = keyed;
        match key {
            Key::Text(text) => Ok(self.texts.find(now, by, topic, text)),
            Key::Number { producer, sequence } => self.producers.find(now, by, topic, (producer, *sequence)),
        }
    }

    pub(super) fn remember(&mut self, now: Instant, topic: &Topic, keyed: &Keyed, outcome: Outcome, window: Duration) {
        // Each new key removes up to two expired ones of each kind, so that a look-over finds few.
        self.expire_some(now, 2);
        let (Keyed { by, key }, until) = (keyed, now + window);
        match key {
            Key::Text(text) => self.texts.remember(by, topic.clone(), text, outcome, until),
            Key::Number { producer, sequence } => {
                self.producers.remember(by, topic, (producer, *sequence), outcome, until);
            }
        }
    }

    /// The time when the next entry expires.
    pub(super) fn next(&self) -> Option<Instant> {
        self.texts.next().into_iter().chain(self.producers.next()).min()
    }

    /// Forgets expired entries, at most [`MAX_FORGOTTEN`] of each kind. The rest stays due.
    pub(super) fn expire(&mut self, now: Instant) {
        self.expire_some(now, MAX_FORGOTTEN);
    }

    /// All keys that have not expired, oldest first. `window` returns the key window of a topic.
    pub(super) fn save_texts(&self, now: Instant, window: impl Fn(&Topic) -> Duration) -> Vec<KeySnapshot> {
        let saved = self.texts.open(now).map(|texts::OpenKey { by, topic, key, outcome, left }| {
            let age = window(topic).saturating_sub(left);
            KeySnapshot { by: by.clone(), topic: topic.clone(), key: key.into(), outcome, age }
        });
        saved.collect()
    }

    /// All producers with their remembered numbers, the least recently used first.
    pub(super) fn save_producers(&self, now: Instant) -> Vec<ProducerSnapshot> {
        let saved = self.producers.open().map(|producers::OpenProducer { by, producer, window }| {
            let numbers = window.open(now).map(|Number { sequence, topic, outcome, until }| {
                let left = until - now;
                NumberSnapshot { sequence, topic, outcome, left }
            });
            let (by, producer, numbers) = (by.clone(), producer.into(), numbers.collect());
            ProducerSnapshot { by, producer, floor: window.floor(), numbers }
        });
        saved.filter(|saved| !saved.numbers.is_empty()).collect()
    }

    /// Adds a saved key, unless the same key was used here.
    pub(super) fn restore_text(&mut self, now: Instant, saved: KeySnapshot, left: Duration) {
        let KeySnapshot { by, topic, key, outcome, .. } = saved;
        if self.texts.find(now, &by, &topic, &key).is_none() {
            self.texts.remember(&by, topic, &key, outcome, now + left);
        }
    }

    /// Adds a saved producer, unless it published here. Its numbers are remembered for at most `longest`.
    pub(super) fn restore_producer(&mut self, now: Instant, saved: ProducerSnapshot, longest: Duration) {
        let ProducerSnapshot { by, producer, floor, numbers } = saved;
        let numbers = numbers.into_iter().filter(|number| !number.left.is_zero());
        let numbers = numbers.map(|NumberSnapshot { sequence, topic, outcome, left }| {
            let until = now + left.min(longest);
            Number { sequence, topic, outcome, until }
        });
        self.producers.restore(&by, &producer, floor, numbers.collect());
    }

    fn expire_some(&mut self, now: Instant, most: usize) {
        self.texts.expire(now, most);
        self.producers.expire(now, most);
    }
}

impl Default for Keys {
    fn default() -> Self {
        Self { texts: Texts::new(MAX_TEXT_BYTES), producers: Producers::new(MAX_PRODUCER_BYTES) }
    }
}

impl Publisher {
    fn user(&self) -> Option<&str> {
        match self {
            Self::User(user) => Some(user),
            Self::Client(_) => None,
        }
    }

    fn scope(&self) -> Scope {
        match self {
            Self::User(user) => Some(user.clone()),
            Self::Client(_) => None,
        }
    }
}

/// Most bytes of all keys that are texts: about 65,000 of the usual length.
const MAX_TEXT_BYTES: usize = 24 * 1024 * 1024;

/// Most bytes of all producers: about 2,000 that are busy, or 40,000 that publish now and then.
const MAX_PRODUCER_BYTES: usize = 32 * 1024 * 1024;

/// Most texts, and most producers, that one call forgets. It takes less than half a millisecond. A producer is
/// forgotten with all of its numbers.
const MAX_FORGOTTEN: usize = 256;
