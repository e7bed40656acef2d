//! Publications and events as frames.

use crate::frame::{self, Opcode};
use bytes::Bytes;
use hubcast_hub::Publication;
use hubcast_protocol::{Dialect, Event, plain, typed};
use std::sync::{Arc, OnceLock};

/// Publications that go to the same receivers one after another, as one piece of bytes: encoded once for each dialect
/// that somebody listens in, by whoever needs it first, and shared by all receivers.
#[derive(Debug)]
pub(crate) struct Frames {
    publications: Vec<Publication>,
    /// Bytes of all payloads.
    payloads: usize,
    plain: OnceLock<Bytes>,
    typed: OnceLock<Bytes>,
}

impl Frames {
    pub(crate) fn new(publication: Publication) -> Self {
        let payloads = size(&publication);
        Self { publications: vec![publication], payloads, plain: OnceLock::new(), typed: OnceLock::new() }
    }

    pub(crate) fn publications(&self) -> &[Publication] {
        &self.publications
    }

    /// Adds a publication, unless the piece is large enough; says whether it did.
    pub(crate) fn add(&mut self, publication: &Publication) -> bool {
        let fits = self.publications.len() < MOST && self.payloads + size(publication) <= MOST_BYTES;
        if fits {
            self.payloads += size(publication);
            self.publications.push(publication.clone());
        }
        fits
    }

    /// The frames in one dialect.
    pub(crate) fn get(&self, dialect: Dialect) -> &Bytes {
        let encoded = match dialect {
            Dialect::Plain => &self.plain,
            Dialect::Typed => &self.typed,
        };
        encoded.get_or_init(|| self.encode(dialect))
    }

    fn encode(&self, dialect: Dialect) -> Bytes {
        let mut frames = Vec::new();
        for publication in &self.publications {
            append(&mut frames, publication, dialect);
        }
        Bytes::from(frames)
    }
}

/// An event that many are told: encoded like [`Frames`] once for each dialect, and shared by all who are told.
#[derive(Debug)]
pub(crate) struct SharedEvent {
    event: Arc<Event>,
    plain: OnceLock<Option<Bytes>>,
    typed: OnceLock<Option<Bytes>>,
}

impl SharedEvent {
    pub(crate) fn new(event: Arc<Event>) -> Self {
        Self { event, plain: OnceLock::new(), typed: OnceLock::new() }
    }

    /// The frame in one dialect, if it has words for the event.
    pub(crate) fn get(&self, dialect: Dialect) -> Option<&Bytes> {
        let encoded = match dialect {
            Dialect::Plain => &self.plain,
            Dialect::Typed => &self.typed,
        };
        encoded.get_or_init(|| of_event(&self.event, dialect)).as_ref()
    }
}

/// An event as the frame that a client of this dialect gets, if it is told at all.
pub(crate) fn of_event(event: &Event, dialect: Dialect) -> Option<Bytes> {
    match dialect {
        Dialect::Plain => plain::encode(event).map(|event| frame::write(Opcode::Text, event.as_bytes())),
        Dialect::Typed => Some(frame::write(Opcode::Text, typed::encode(event).as_bytes())),
    }
}

/// Writes the frame of a publication behind others.
pub(crate) fn append(frames: &mut Vec<u8>, publication: &Publication, dialect: Dialect) {
    let (topic, payload) = (publication.topic(), publication.payload());
    match dialect {
        Dialect::Plain => append_text(frames, payload.as_plain()),
        Dialect::Typed => append_text(frames, &typed::encode_message(topic, publication.position(), payload)),
    }
}

fn append_text(frames: &mut Vec<u8>, text: &str) {
    let needed = text.len() + 10;
    // The first frame gets what it needs; those after it are of about the same size.
    match frames.is_empty() {
        true => frames.reserve_exact(needed),
        false => frames.reserve(needed),
    }
    frame::append(frames, Opcode::Text, text.as_bytes());
}

fn size(publication: &Publication) -> usize {
    publication.payload().as_plain().len()
}

/// Publications that are joined to one piece.
const MOST: usize = 64;

/// Bytes of payloads that are joined to one piece: an outbox that is not full should have room for it.
const MOST_BYTES: usize = 64 * 1024;
