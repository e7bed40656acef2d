//! Publications and events as frames.

use crate::encode::account::Account;
use crate::websocket::frame::{self, Opcode};
use bytes::Bytes;
use hubcast_hub::Publication;
use hubcast_protocol::{Dialect, Event, Payload, Topic, event_stream, plain, typed};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

/// Successive publications with the same receivers, encoded together. Each dialect is encoded once, when the first
/// receiver needs it, and all receivers share the bytes.
#[derive(Debug)]
pub(crate) struct Batch {
    publications: Vec<Publication>,
    len: usize,
    encoded: PerDialect<Bytes>,
    /// The account that counts the bytes.
    account: Option<Arc<Account>>,
    /// When the first publication was taken from its publisher.
    began: Option<Instant>,
}

impl Batch {
    pub(crate) fn new(publication: Publication) -> Self {
        let len = size(&publication);
        Self { publications: vec![publication], len, encoded: PerDialect::default(), account: None, began: None }
    }

    /// A batch whose bytes an account counts, and whose publications were taken from their publishers at this time.
    pub(crate) fn counted(publication: Publication, account: &Arc<Account>, began: Option<Instant>) -> Self {
        Self { account: Some(Arc::clone(account)), began, ..Self::new(publication) }
    }

    /// When its publications were taken from their publishers, if that is known.
    pub(crate) fn began(&self) -> Option<Instant> {
        self.began
    }

    pub(crate) fn publications(&self) -> &[Publication] {
        &self.publications
    }

    /// Approximate bytes of all frames.
    pub(crate) fn bytes(&self) -> usize {
        self.len
    }

    /// Adds a publication, unless the batch would become too large for outboxes of `outbox` bytes. Returns whether it
    /// was added.
    pub(crate) fn add(&mut self, publication: &Publication, outbox: usize) -> bool {
        let most = MAX_BATCH_BYTES.min(outbox / OUTBOX_SHARE);
        let fits = self.publications.len() < MAX_PUBLICATIONS && self.len + size(publication) <= most;
        if fits {
            self.len += size(publication);
            self.publications.push(publication.clone());
        }
        fits
    }

    /// The largest payload, in bytes, that still fits into the batch, for outboxes of `outbox` bytes; `None` if there
    /// is no room.
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

/// An event for many receivers. Like a [`Batch`], it is encoded once for each dialect, and all receivers share the
/// bytes.
#[derive(Debug)]
pub(crate) struct SharedEvent {
    event: Arc<Event>,
    encoded: PerDialect<Option<Bytes>>,
}

impl SharedEvent {
    pub(crate) fn new(event: Arc<Event>) -> Self {
        Self { event, encoded: PerDialect::default() }
    }

    /// The topic, if the event is a join or a leave.
    pub(crate) fn topic(&self) -> Option<&Topic> {
        match &*self.event {
            Event::Join(member) | Event::Leave(member) => Some(&member.topic),
            _ => None,
        }
    }

    /// The frame in one dialect; `None` if the dialect does not have this event.
    pub(crate) fn get(&self, dialect: Dialect) -> Option<&Bytes> {
        self.encoded.get(dialect, || of_event(&self.event, dialect)).as_ref()
    }
}

/// A value that is made once for each dialect, when it is first needed.
#[derive(Debug)]
struct PerDialect<T> {
    plain: OnceLock<T>,
    typed: OnceLock<T>,
    /// Few need these, so they take no room in every batch.
    event_streams: OnceLock<Box<[OnceLock<T>; 2]>>,
}

impl<T> PerDialect<T> {
    fn get(&self, dialect: Dialect, make: impl FnOnce() -> T) -> &T {
        let made = match dialect {
            Dialect::Plain => &self.plain,
            Dialect::Typed => &self.typed,
            Dialect::EventStream => &self.event_streams.get_or_init(Box::default)[0],
            Dialect::JoinedEventStream => &self.event_streams.get_or_init(Box::default)[1],
        };
        made.get_or_init(make)
    }
}

impl<T> Default for PerDialect<T> {
    fn default() -> Self {
        Self { plain: OnceLock::new(), typed: OnceLock::new(), event_streams: OnceLock::new() }
    }
}

/// An event as a frame for a client of this dialect; `None` if the dialect does not have this event.
pub(crate) fn of_event(event: &Event, dialect: Dialect) -> Option<Bytes> {
    match dialect {
        Dialect::Plain => plain::encode(event).map(|event| frame::write(Opcode::Text, event.as_bytes())),
        Dialect::Typed => Some(frame::write(Opcode::Text, typed::encode(event).as_bytes())),
        Dialect::EventStream => event_stream::encode(event, true).map(Bytes::from),
        Dialect::JoinedEventStream => event_stream::encode(event, false).map(Bytes::from),
    }
}

/// An empty buffer for the first of these publications as frames, until they are `enough` bytes or a little more. The
/// capacity is not larger than that, because the frames may wait for long.
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

/// Appends the frame of a publication.
pub(crate) fn append(frames: &mut Vec<u8>, publication: &Publication, dialect: Dialect) {
    match dialect {
        Dialect::Plain => append_text(frames, publication.payload().as_plain()),
        Dialect::Typed => append_text(frames, &message_text(publication)),
        Dialect::EventStream => frames.extend_from_slice(message_block(publication, true).as_bytes()),
        Dialect::JoinedEventStream => frames.extend_from_slice(message_block(publication, false).as_bytes()),
    }
}

/// The `message` event of a publication.
fn message_text(publication: &Publication) -> String {
    let (topic, payload) = (publication.topic(), publication.payload());
    typed::encode_message(topic, publication.position(), payload, publication.author())
}

/// A publication as a server-sent event.
fn message_block(publication: &Publication, is_of_one: bool) -> String {
    let (topic, payload) = (publication.topic(), publication.payload());
    event_stream::encode_message(topic, publication.position(), payload, publication.author(), is_of_one)
}

fn append_text(frames: &mut Vec<u8>, text: &str) {
    let needed = text.len() + 10;
    // The first frame gets exactly the capacity it needs; the frames after it are probably of about the same size.
    match frames.is_empty() {
        true => frames.reserve_exact(needed),
        false => frames.reserve(needed),
    }
    frame::append(frames, Opcode::Text, text.as_bytes());
}

/// Approximate bytes of a publication as a frame. Escapes are not counted.
pub(crate) fn size(publication: &Publication) -> usize {
    publication.payload().as_plain().len() + publication.topic().as_str().len() + ENVELOPE_BYTES
}

/// Approximate bytes of an event as a frame. Escapes are not counted.
pub(crate) fn event_size(event: &Event) -> usize {
    let shown = |info: &Option<Payload>| ENVELOPE_BYTES + info.as_ref().map_or(0, |info| info.as_plain().len());
    match event {
        Event::Presence(presence) => presence.clients.iter().map(|present| shown(&present.info)).sum(),
        Event::Join(member) | Event::Leave(member) => shown(&member.info) + member.topic.as_str().len(),
        _ => ENVELOPE_BYTES,
    }
}

/// Cost of a frame while it waits, in bytes: its own bytes and the memory to manage them.
pub(crate) fn frame_cost(frames: &Bytes) -> usize {
    frames.len() + FRAME_OVERHEAD_BYTES
}

/// Approximate bytes of memory that a waiting frame uses besides its own bytes.
pub(crate) const FRAME_OVERHEAD_BYTES: usize = 64;

/// The most publications in one batch.
const MAX_PUBLICATIONS: usize = 64;

/// The most bytes in one batch.
const MAX_BATCH_BYTES: usize = 64 * 1024;

/// A batch has at most one eighth of an outbox, so that it fits into an empty one: escapes can make six bytes of one.
const OUTBOX_SHARE: usize = 8;

/// Approximate bytes of a frame besides topic and payload.
const ENVELOPE_BYTES: usize = 100;
