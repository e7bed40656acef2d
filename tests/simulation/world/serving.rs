//! The server's side: the shipped hub, the shipped outboxes, and between them what a worker does.

use super::World;
use crate::frame::{Opcode, write, write_close};
use crate::frames::{Frames, SharedEvent, append, of_event};
use crate::history_frame::HistoryFrame;
use crate::outbox::{Outbox, Sink, Through};
use crate::queue::Event;
use crate::record::Entry;
use crate::wire::{Down, End, Socket, Up, Wire};
use bytes::Bytes;
use hubcast_hub::{Effect, Input, Publication, Saved, SessionId};
use hubcast_protocol::request::{Action, Publish, ReadHistory};
use hubcast_protocol::{ClientId, CloseCode, Dialect, Event as Said, Position, Request, RequestId, Topic, typed};
use std::sync::Arc;
use std::time::Duration;

impl World {
    /// A server begins, with what the one before kept.
    pub(super) fn start(&mut self, saved: Saved) {
        self.life += 1;
        let mut hub = hubcast_hub::Hub::new(self.scenario.hub(self.life, &mut self.random));
        hub.restore(self.time(), saved);
        self.hub = Some(hub);
        self.hub_wake = None;
        self.is_accepting = true;
        self.plan_hub_wake();
    }

    /// Something reaches the server.
    pub(super) fn arrive_up(&mut self, number: u32, up: Up) {
        let Some(wire) = self.wires.get_mut(&number) else { return };
        if wire.broken && !matches!(up, Up::Closed { .. }) {
            return;
        }
        match (up, wire.server) {
            (Up::Open, _) if !self.is_accepting => {
                wire.server = End::Gone;
                self.send_down(number, Down::Refused);
            }
            (Up::Open, _) => {
                wire.server = End::Open;
                self.send_down(number, Down::Accepted);
                self.queue.plan(self.now + PING, Event::Ping(number));
                let client = ClientId::from_random(u128::from(self.random.next()).to_be_bytes());
                self.tell_hub(Input::connect(SessionId(number), client));
            }
            (Up::Text(text), End::Open) => {
                let request = typed::decode(&text);
                self.tell_hub(Input::Request { session: SessionId(number), request });
            }
            (Up::Text(_), _) => {}
            (Up::Closed { lost }, end) => {
                wire.server = End::Gone;
                self.forget_wire(number);
                if end == End::Open {
                    self.tell_hub(Input::Disconnect { session: SessionId(number), lost });
                }
            }
        }
    }

    pub(super) fn wake_hub(&mut self) {
        self.hub_wake = None;
        let now = self.time();
        if let Some(hub) = self.hub.as_mut().filter(|hub| hub.poll_timeout().is_some_and(|at| at <= now)) {
            hub.handle_timeout(now, &mut self.effects);
            self.end_turn();
        }
        self.plan_hub_wake();
    }

    /// One turn of the server.
    pub(super) fn tell_hub(&mut self, input: Input) {
        let published = match &input {
            Input::Request { session, request: Ok(Request { action: Action::Publish(publish), .. }) } => {
                Some((*session, publish.clone()))
            }
            _ => None,
        };
        let now = self.time();
        let Some(hub) = &mut self.hub else { return };
        hub.handle(now, input, &mut self.effects);
        if let Some((session, publish)) = published {
            self.write_down(session, &publish);
        }
        self.end_turn();
        self.plan_hub_wake();
    }

    fn end_turn(&mut self) {
        loop {
            self.pass_on();
            let Some(gone) = self.leaving.pop() else { break };
            let now = self.time();
            if let Some(hub) = &mut self.hub {
                hub.handle(now, Input::Disconnect { session: SessionId(gone), lost: true }, &mut self.effects);
            }
        }
        while let Some(number) = self.dirty.pop_first() {
            self.flush(number);
        }
    }

    /// Carries out what the hub wants, in order.
    fn pass_on(&mut self) {
        let (mut effects, most) = (std::mem::take(&mut self.effects), self.scenario.outbox);
        for effect in effects.iter() {
            match effect {
                Effect::Send { session, event } => {
                    self.mark(session.0, event);
                    let frame = of_event(event, Dialect::Typed).expect("the typed dialect has a word for everything");
                    self.put(session.0, |outbox, _| outbox.push(frame.clone(), most));
                }
                Effect::Tell { event, receivers } => {
                    let event = SharedEvent::new(Arc::clone(event));
                    let frame = event.get(Dialect::Typed).expect("the typed dialect has a word for everything");
                    for receiver in effects.receivers(receivers) {
                        self.put(receiver.session.0, |outbox, _| outbox.push(frame.clone(), most));
                    }
                }
                Effect::Deliver { publication, receivers } => {
                    let frames = Frames::new(publication.clone());
                    for receiver in effects.receivers(receivers) {
                        // What comes first in a turn may be the last of it too, and then goes past the queue.
                        if self.random.chance(50) && self.write_through(receiver.session.0, &frames) {
                            continue;
                        }
                        self.put(receiver.session.0, |outbox, blocked| {
                            outbox.push_publications(&frames, receiver.slow, Dialect::Typed, blocked, most)
                        });
                    }
                }
                Effect::Replay { session, missed } => {
                    self.replay(session.0, missed);
                }
                Effect::History { session, answer } => {
                    self.put(session.0, |outbox, _| {
                        outbox.push_history(HistoryFrame::new(answer));
                        true
                    });
                }
                Effect::Close { session, code, reason } => self.close(session.0, *code, reason),
                Effect::Ask(ask) => panic!("the embedded engine passed on {ask:?}"),
            }
        }
        effects.clear();
        self.effects = effects;
    }

    /// Queues what a session missed: some of it as frames, the rest to be encoded by and by.
    fn replay(&mut self, number: u32, missed: &[Publication]) {
        let (begin, rest) = missed.split_at(self.random.below(missed.len() + 1));
        let mut frames = Vec::new();
        begin.iter().for_each(|publication| append(&mut frames, publication, Dialect::Typed));
        let frames = Bytes::from(frames);
        self.put(number, |outbox, _| {
            if !frames.is_empty() {
                outbox.push_uncounted(frames.clone());
            }
            if !rest.is_empty() {
                outbox.push_missed(rest.to_vec());
            }
            true
        });
        if !rest.is_empty() {
            self.flush(number);
        }
    }

    /// Writes down what the hub made of a publish.
    fn write_down(&mut self, session: SessionId, publish: &Publish) {
        let delivered = self.effects.iter().find_map(|effect| match effect {
            Effect::Deliver { publication, .. } => Some(publication.position()),
            _ => None,
        });
        let position = match delivered {
            Some(position) => position,
            None => match self.unheard(&publish.topic) {
                Some(position) => Some(position),
                None => return,
            },
        };
        let client = self.wires.get(&session.0).map(|wire| wire.client);
        let silent_for = client.filter(|_| !publish.echo);
        let entry = Entry { text: publish.payload.as_plain().to_owned(), position, silent_for };
        self.tally.published += 1;
        if let Err(what) = self.record.publish(&publish.topic, entry) {
            self.fail(client, format!("on {}: {what}", publish.topic));
        }
    }

    /// The last of a topic's history, if it is one that was given to nobody when it was published.
    fn unheard(&mut self, topic: &Topic) -> Option<Position> {
        let (mut effects, now) = (hubcast_hub::Effects::default(), self.time());
        let hub = self.hub.as_mut()?;
        hub.handle(now, Input::connect(OBSERVER, ClientId::from_random([0; 16])), &mut effects);
        let read = Action::History(ReadHistory { topic: topic.clone(), since: None, limit: Some(1) });
        let request = Ok(Request::new(RequestId::Number(0), read));
        hub.handle(now, Input::Request { session: OBSERVER, request }, &mut effects);
        hub.handle(now, Input::Disconnect { session: OBSERVER, lost: false }, &mut effects);
        let last = effects.iter().find_map(|effect| match effect {
            Effect::History { answer, .. } => Some(answer.position),
            _ => None,
        })?;
        let is_new = last.offset > 0 && self.record.find(self.record.index(topic), last).is_none();
        is_new.then_some(last)
    }

    /// Remembers where a subscription begins, and that the reply says so.
    fn mark(&mut self, number: u32, event: &Said) {
        let Said::Subscribed(reply) = event else { return };
        let Some(wire) = self.wires.get_mut(&number) else { return };
        if let Some(RequestId::Number(id)) = &reply.id {
            wire.marks.insert(*id, self.record.mark());
        }
        if let (hubcast_protocol::event::About::Topic(topic), Some(epoch)) = (&reply.about, reply.epoch) {
            let last = self.record.last_offset(self.record.index(topic), epoch);
            if reply.offset != Some(last) {
                let client = wire.client;
                self.fail(Some(client), format!("{reply:?}, but the last offset is {last}"));
            }
        }
    }

    /// Writes publications without queueing them where nothing waits; says whether none of them is left to be queued.
    fn write_through(&mut self, number: u32, frames: &Frames) -> bool {
        let open = |wire: &&mut Wire| wire.server == End::Open && !wire.blocked;
        let Some(wire) = self.wires.get_mut(&number).filter(open) else { return false };
        let socket = Socket::with_room(wire.room);
        let written = wire.outbox.write_through(frames.get(Dialect::Typed), |bytes| socket.write(bytes));
        self.sent(number, socket);
        if written == Through::Part {
            self.flush(number);
        }
        written != Through::Nothing
    }

    /// Puts something into an outbox, and closes the connection if there is no room even after writing.
    fn put(&mut self, number: u32, put: impl Fn(&mut Outbox, bool) -> bool) {
        let Some(wire) = self.wires.get_mut(&number).filter(|wire| wire.server == End::Open) else { return };
        let mut fits = put(&mut wire.outbox, wire.blocked);
        if !fits && !wire.blocked {
            self.flush(number);
            fits = self.wires.get_mut(&number).is_some_and(|wire| put(&mut wire.outbox, wire.blocked));
        }
        if fits {
            self.dirty.insert(number);
        } else {
            self.tally.too_slow += 1;
            self.close(number, CloseCode::SLOW_CONSUMER, "too slow for what it subscribed to");
        }
    }

    fn close(&mut self, number: u32, code: CloseCode, reason: &str) {
        let Some(wire) = self.wires.get_mut(&number).filter(|wire| wire.server == End::Open) else { return };
        if code == CloseCode::SLOW_CONSUMER {
            let _ = wire.outbox.discard_unsent();
        }
        wire.outbox.push_uncounted(write_close(code, reason));
        wire.server = End::Closing;
        self.leaving.push(number);
        self.dirty.insert(number);
        self.queue.plan(self.now + CLOSE_TIMEOUT, Event::Abandon(number));
    }

    /// Writes what waits, as much as the socket takes.
    pub(super) fn flush(&mut self, number: u32) {
        let Some(wire) = self.wires.get_mut(&number) else { return };
        if !matches!(wire.server, End::Open | End::Closing) {
            return;
        }
        let socket = Socket::with_room(wire.room);
        wire.blocked = wire.outbox.write_to(&socket, Dialect::Typed).is_err();
        self.sent(number, socket);
    }

    /// Sends what the socket has taken on its way.
    fn sent(&mut self, number: u32, socket: Socket) {
        let Some(wire) = self.wires.get_mut(&number) else { return };
        let bytes = socket.into_bytes();
        wire.room -= bytes.len();
        let piece = (wire.pace.room / 4).max(1);
        for piece in bytes.chunks(piece) {
            self.send_down(number, Down::Bytes(piece.to_vec()));
        }
    }

    pub(super) fn send_down(&mut self, number: u32, down: Down) {
        let Some(wire) = self.wires.get_mut(&number) else { return };
        let length = match &down {
            Down::Bytes(bytes) => u32::try_from(bytes.len()).expect("a piece is small"),
            _ => 0,
        };
        let sent = self.now + self.random.millis(1, wire.pace.latency);
        wire.down = wire.down.max(sent) + wire.pace.byte * length;
        self.queue.plan(wire.down, Event::Down(number, down));
    }

    pub(super) fn ping(&mut self, number: u32) {
        let most = self.scenario.outbox;
        if self.wires.get(&number).is_some_and(|wire| wire.server == End::Open) {
            self.put(number, |outbox, _| outbox.push(write(Opcode::Ping, b""), most));
            self.end_turn();
            self.queue.plan(self.now + PING, Event::Ping(number));
        }
    }

    pub(super) fn forget_wire(&mut self, number: u32) {
        if self.wires.get(&number).is_some_and(|wire| wire.server == End::Gone && !wire.client_open) {
            self.wires.remove(&number);
        }
    }

    pub(super) fn plan_hub_wake(&mut self) {
        let Some(at) = self.hub.as_ref().and_then(|hub| hub.poll_timeout()) else { return };
        let at = (at - self.origin).max(self.now);
        if self.hub_wake.is_none_or(|planned| at < planned) {
            self.hub_wake = Some(at);
            self.queue.plan(at, Event::WakeHub);
        }
    }
}

const PING: Duration = Duration::from_secs(25);

/// How long the server waits until a close frame is written and answered.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// A session that looks and goes.
const OBSERVER: SessionId = SessionId(0);
