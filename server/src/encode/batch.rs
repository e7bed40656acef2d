//! Publications and events as frames.

use crate::encode::account::Account;
use crate::websocket::frame::{self, Opcode};
use bytes::Bytes;
use hubcast_hub::Publication;
use hubcast_protocol::{Dialect, Event, Topic, plain, typed};
use std::sync::{Arc, OnceLock};

/// Publications that go to the same receivers one after another, as one piece of bytes: encoded once for each dialect
/// that somebody listens in, by whoever needs it first, and shared by all receivers.
#[derive(Debug)]
pub(crate) struct Batch {
    publications: Vec<Publication>,
    len: usize,
    encoded: PerDialect<Bytes>,
    /// Where the bytes are counted.
    account: Option<Arc<Account>>,
}

impl Batch {
    pub(crate) fn new(publication: Publication) -> Self {
        let len = size(&publication);
        Self { publications: vec![publication], len, encoded: PerDialect::default(), account: None }
    }

    /// Batch whose bytes are counted in an account.
    pub(crate) fn counted(publication: Publication, account: &Arc<Account>) -> Self {
        Self { account: Some(Arc::clone(account)), ..Self::new(publication) }
    }

    pub(crate) fn publications(&self) -> &[Publication] {
        &self.publications
    }

    /// Bytes of all frames, about.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Adds a publication, unless the piece is large enough for outboxes of so many bytes; says whether it did.
    pub(crate) fn add(&mut self, publication: &Publication, outbox: usize) -> bool {
        let most = MAX_BATCH_BYTES.min(outbox / OUTBOX_SHARE);
        let fits = self.publications.len() < MAX_PUBLICATIONS && self.len + size(publication) <= most;
        if fits {
            self.len += size(publication);
            self.publications.push(publication.clone());
        }
        fits
    }

    /// Bytes of a payload for which there is room in a piece for outboxes of so many bytes, if there is any.
    pub(crate) fn room(&self, topic: &Topic, outbox: usize) -> Option<usize> {
        let most = MAX_BATCH_BYTES.min(outbox / OUTBOX_SHARE);
        let taken = self.len + topic.as_str().len() + ENVELOPE_BYTES;
        (self.publications.len() < MAX_PUBLICATIONS).then(|| most.checked_sub(taken))?
    }

    /// The frames in one dialect.
    pub(crate) fn get(&self, dialect: Dialect) -> &Bytes {
        self.encoded.get(dialect, || self.encode(dialect))
    }

    fn encode(&self, dialect: Dialect) -> Bytes {
        let mut frames = Vec::new();
        for publication in &self.publications {
            append(&mut frames, publication, dialect);
        }
        match &self.account {
            Some(account) => account.share(frames),
            None => Bytes::from(frames),
        }
    }
}

/// An event that many are told: encoded like [`Batch`] once for each dialect, and shared by all who are told.
#[derive(Debug)]
pub(crate) struct SharedEvent {
    event: Arc<Event>,
    encoded: PerDialect<Option<Bytes>>,
}

impl SharedEvent {
    pub(crate) fn new(event: Arc<Event>) -> Self {
        Self { event, encoded: PerDialect::default() }
    }

    /// The topic whose members it is about, if it says who comes or goes.
    pub(crate) fn topic(&self) -> Option<&Topic> {
        match &*self.event {
            Event::Join(member) | Event::Leave(member) => Some(&member.topic),
            _ => None,
        }
    }

    /// The frame in one dialect, if it has words for the event.
    pub(crate) fn get(&self, dialect: Dialect) -> Option<&Bytes> {
        self.encoded.get(dialect, || of_event(&self.event, dialect)).as_ref()
    }
}

/// What is made once for each dialect.
#[derive(Debug)]
struct PerDialect<T> {
    plain: OnceLock<T>,
    typed: OnceLock<T>,
}

impl<T> PerDialect<T> {
    fn get(&self, dialect: Dialect, make: impl FnOnce() -> T) -> &T {
        let made = match dialect {
            Dialect::Plain => &self.plain,
            Dialect::Typed => &self.typed,
        };
        made.get_or_init(make)
    }
}

impl<T> Default for PerDialect<T> {
    fn default() -> Self {
        Self { plain: OnceLock::new(), typed: OnceLock::new() }
    }
}

/// An event as the frame that a client of this dialect gets, if it is told at all.
pub(crate) fn of_event(event: &Event, dialect: Dialect) -> Option<Bytes> {
    match dialect {
        Dialect::Plain => plain::encode(event).map(|event| frame::write(Opcode::Text, event.as_bytes())),
        Dialect::Typed => Some(frame::write(Opcode::Text, typed::encode(event).as_bytes())),
    }
}

/// Room for the first of these publications as frames, of which there are to be some more than `enough` bytes: as much as
/// they take, for it may be kept for long.
pub(crate) fn room_for(publications: &[Publication], enough: usize) -> Vec<u8> {
    let mut room = 0;
    for publication in publications {
        if room >= enough {
            break;
        }
        room += size(publication);
    }
    Vec::with_capacity(room)
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

/// Bytes of a publication as a frame, about: escapes are not counted.
pub(crate) fn size(publication: &Publication) -> usize {
    publication.payload().as_plain().len() + publication.topic().as_str().len() + ENVELOPE_BYTES
}

/// What a frame costs while it waits: its bytes, and what it takes to keep them.
pub(crate) fn frame_cost(frames: &Bytes) -> usize {
    frames.len() + FRAME_OVERHEAD_BYTES
}

/// What a frame takes besides its bytes, about.
pub(crate) const FRAME_OVERHEAD_BYTES: usize = 64;

/// Publications that are joined to one piece.
const MAX_PUBLICATIONS: usize = 64;

/// Bytes that are joined to one piece, at most.
const MAX_BATCH_BYTES: usize = 64 * 1024;

/// Joined publications have to fit into an empty outbox, though escapes make six bytes of one.
const OUTBOX_SHARE: usize = 8;

/// Bytes of a frame besides topic and payload.
const ENVELOPE_BYTES: usize = 100;
