//! What a connection needs in addition if it is a stream of server-sent events.

use super::{Connection, FeedResult, PING, Phase};
use crate::websocket::frame::Violation;
use bytes::Bytes;
use hubcast_hub::Publication;
use hubcast_protocol::event::{About, Closing, Subscribed};
use hubcast_protocol::{CloseCode, Event, Position, Topic, event_stream};
use std::borrow::Cow;
use std::cell::{Cell, RefCell};

/// The state of a stream. Connections that are WebSockets have none.
#[derive(Debug, Default)]
pub(crate) struct EventStream {
    /// Of a stream of several topics: the position up to which each was sent, in the order of the topics. Empty for a
    /// stream of one topic, whose publications carry their positions.
    positions: RefCell<Box<[TopicPosition]>>,
    /// Whether they are to be sent when all that waits is written. A block of them cannot be left out, so none is queued
    /// for a reader that is slow.
    positions_due: Cell<bool>,
    /// Whether the reader gets an event, and not a comment, while nothing else is sent.
    shows_pings: bool,
    /// Whether the reader was told that the stream ends.
    has_told_closing: Cell<bool>,
    /// Bytes that the reader has sent after its request.
    ignored: Cell<usize>,
}

/// The position up to which a topic was sent, if it has one.
type TopicPosition = (Topic, Option<Position>);

impl EventStream {
    pub(crate) fn new(topics: Vec<(Topic, Option<Position>)>, shows_pings: bool) -> Self {
        Self { positions: RefCell::new(topics.into()), shows_pings, ..Self::default() }
    }

    /// What is sent when nothing else was sent for a while.
    pub(super) fn heartbeat(&self) -> Bytes {
        let text = if self.shows_pings { event_stream::PING } else { event_stream::HEARTBEAT };
        Bytes::from_static(text.as_bytes())
    }

    /// Notes that the reader was told when to come back.
    pub(super) fn note_told_closing(&self) {
        self.has_told_closing.set(true);
    }

    /// The positions to send now that nothing waits, if they are due.
    pub(super) fn take_due_positions(&self) -> Option<Bytes> {
        self.positions_due.take().then(|| self.positions())
    }

    /// Sends the positions later.
    pub(super) fn delay_positions(&self) {
        self.positions_due.set(true);
    }

    /// The positions of all topics, in a block of their own.
    pub(super) fn positions(&self) -> Bytes {
        event_stream::encode_positions(self.positions.borrow().iter().map(|(_, position)| position)).into()
    }

    /// The last event of the stream, unless the reader was told already that it ends.
    /// The positions come before it if they are due and all that waits `is_written` before.
    pub(super) fn closing(&self, code: CloseCode, reason: &str, is_written: bool) -> Bytes {
        if self.has_told_closing.replace(true) {
            return Bytes::new();
        }
        let closing = Closing { code, reason: Cow::Owned(reason.to_owned()), reconnect_in_ms: None };
        let closing = event_stream::encode(&Event::Closing(closing), true).unwrap_or_default();
        let positions = self.take_due_positions().filter(|_| is_written).unwrap_or_default();
        [&positions[..], closing.as_bytes()].concat().into()
    }

    /// Counts bytes from the reader. Returns whether these are too many: it has nothing to say.
    pub(super) fn ignore(&self, bytes: usize) -> bool {
        self.ignored.set(self.ignored.get().saturating_add(bytes));
        self.ignored.get() > MAX_IGNORED
    }

    /// Notes where a subscription begins. Returns whether the positions must be sent after it: those of a stream of
    /// several topics.
    pub(super) fn note_subscribed(&self, subscribed: &Subscribed) -> bool {
        let About::Topic(topic) = &subscribed.about else { return false };
        if subscribed.replayed.is_some_and(|replayed| replayed > 0) {
            // The position is that of the last publication that was sent; the replay comes now.
            return false;
        }
        let position = subscribed.epoch.zip(subscribed.offset).map(|(epoch, offset)| Position { epoch, offset });
        self.note([(topic, position)])
    }

    /// Notes that publications were queued. Returns whether the positions must be sent after them.
    pub(super) fn note_publications(&self, publications: &[Publication]) -> bool {
        let with_position = publications.iter().filter(|publication| publication.position().is_some());
        self.note(with_position.map(|publication| (publication.topic(), publication.position())))
    }

    fn note<'a>(&self, changes: impl IntoIterator<Item = (&'a Topic, Option<Position>)>) -> bool {
        let mut positions = self.positions.borrow_mut();
        let mut has_changed = false;
        for (topic, position) in changes {
            for (_, of_topic) in positions.iter_mut().filter(|(of, _)| of == topic) {
                *of_topic = position;
                has_changed = true;
            }
        }
        has_changed
    }
}

impl Connection {
    /// Drops what the reader of a stream sends.
    pub(super) fn ignore(&self, stream: &EventStream, bytes: usize) -> FeedResult {
        let mut state = self.state.borrow_mut();
        state.traffic.received_bytes += bytes as u64;
        let is_ending = state.is_ending;
        match &mut state.phase {
            Phase::Open if stream.ignore(bytes) && !is_ending => FeedResult::Broken(Violation {
                code: CloseCode::POLICY,
                reason: "the reader of a stream sends nothing",
            }),
            Phase::Lingering { dropped, .. } => {
                *dropped += bytes;
                FeedResult::Fine
            }
            _ => FeedResult::Fine,
        }
    }

    /// What keeps the connection in use while nothing else is sent.
    pub(crate) fn heartbeat(&self) -> Bytes {
        self.stream.as_ref().map_or(Bytes::from_static(PING), |stream| stream.heartbeat())
    }

    /// Notes an event that is queued, if the connection is a stream. Returns what must be queued after it.
    pub(crate) fn note_event(&self, event: &Event) -> Option<Bytes> {
        let stream = self.stream.as_ref()?;
        match event {
            Event::Closing(_) => {
                stream.note_told_closing();
                None
            }
            Event::Subscribed(subscribed) if stream.note_subscribed(subscribed) => self.positions(stream),
            _ => None,
        }
    }

    /// Notes publications that are queued, if the connection is a stream. Returns what must be queued after them.
    pub(crate) fn note_publications(&self, publications: &[Publication]) -> Option<Bytes> {
        let stream = self.stream.as_ref()?;
        if stream.note_publications(publications) { self.positions(stream) } else { None }
    }

    /// The positions of a stream, unless they are sent later, because its reader is slow.
    fn positions(&self, stream: &EventStream) -> Option<Bytes> {
        if self.is_write_blocked() {
            stream.delay_positions();
            return None;
        }
        Some(stream.positions())
    }
}

/// Bytes that a reader may send after its request, such as a second request that it does not wait with.
const MAX_IGNORED: usize = 4 * 1024;
