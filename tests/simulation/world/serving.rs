//! The server's side of the world: polls the shipped server one task at a time, and records what it did.

use super::World;
use crate::queue::Event;
use crate::record::Entry;
use crate::wire::{Down, End, Up};
use hubcast_hub::Snapshot;
use hubcast_protocol::event::{About, Subscribed};
use hubcast_protocol::request::Publish;
use hubcast_protocol::{Dialect, Position, RequestId};
use hubcast_server::simulated::{Observed, Simulated};
use hubcast_tests::Frame;
use std::time::Duration;

impl World {
    /// Starts a server. If the scenario keeps state, it begins with `saved`, the state of the server before it.
    pub(super) fn start(&mut self, saved: Snapshot) {
        let (config, seed) = (self.scenario.server(), self.random.next());
        let state = self.scenario.keeps_state.then_some(saved);
        let server = Simulated::new(config, seed, state, self.time());
        // Recording begins with the first call.
        server.take_observed();
        self.server = Some(server);
        self.server_wake = None;
        self.stalled_until = self.now;
        self.is_accepting = true;
        self.sessions.clear();
        self.by_socket.clear();
        self.serve();
    }

    /// Handles what arrives at the server.
    pub(super) fn arrive_up(&mut self, number: u32, up: Up) {
        let Some(wire) = self.wires.get_mut(&number) else { return };
        if wire.broken && !matches!(up, Up::Closed { .. }) {
            return;
        }
        match up {
            Up::Open if !self.is_accepting => {
                wire.server = End::Gone;
                self.send_down(number, Down::Refused);
            }
            Up::Open => {
                self.open(number);
                self.send_down(number, Down::Accepted);
            }
            Up::Bytes(bytes) => _ = wire.socket().map(|socket| socket.send(&bytes)),
            Up::Closed { lost: false } if !wire.broken => {
                if let Some(socket) = wire.socket() {
                    socket.send(&Frame::close(1000, "").bytes());
                    socket.end();
                }
            }
            Up::Closed { .. } => {
                if let Some(socket) = wire.socket() {
                    socket.reset();
                }
                wire.server = End::Gone;
                self.forget_wire(number);
            }
        }
        self.serve();
    }

    /// Gives a new connection to a worker, chosen at random.
    fn open(&mut self, number: u32) {
        let worker = self.random.below(self.scenario.workers);
        let (Some(server), Some(wire)) = (&mut self.server, self.wires.get_mut(&number)) else { return };
        let socket = server.connect(worker, Dialect::Typed);
        socket.give_room(wire.pace.room);
        self.sessions.insert((worker, socket.slot()), (number, wire.client));
        self.by_socket.insert(socket.number(), number);
        wire.server = End::Open { worker, socket };
    }

    /// Handles a planned look at the server.
    pub(super) fn wake_server(&mut self) {
        // A look that was planned before an earlier one was added has nothing to do.
        if self.server_wake == Some(self.now) {
            self.server_wake = None;
            self.serve();
        }
    }

    /// Lets the server do all its work or only a part of it, and sends what it has written. Plans when to go on.
    pub(super) fn serve(&mut self) {
        if self.now < self.stalled_until {
            return self.plan_server_wake(self.stalled_until);
        }
        if !self.is_healed && self.random.chance(10) {
            self.stalled_until = self.now + self.random.millis(1, 20);
            return self.plan_server_wake(self.stalled_until);
        }
        let most = if self.is_healed { POLLS } else { self.random.pick(&[2, 20, POLLS, POLLS]) };
        let now = self.time();
        let Some(server) = &mut self.server else { return };
        server.advance(now);
        let rests = self.poll_server(most);
        self.look_at_what_was_done();
        self.send_what_was_written();
        let next = match rests {
            true => self.server.as_ref().and_then(Simulated::next_timer).map(|at| at - self.origin),
            false => Some(self.now + self.random.millis(0, 3)),
        };
        if let Some(at) = next {
            self.plan_server_wake(at);
        }
        if !rests && most == POLLS {
            self.fail(None, "the server does not come to rest".to_owned());
        }
    }

    /// Polls at most `most` tasks of workers chosen at random. Returns whether none is ready any more.
    fn poll_server(&mut self, most: usize) -> bool {
        let Some(server) = &mut self.server else { return true };
        let mut busy: Vec<usize> = (0..self.scenario.workers).collect();
        for _ in 0..most {
            if busy.is_empty() {
                return true;
            }
            let place = self.random.below(busy.len());
            if server.poll(busy[place]) {
                // The task may have made tasks of other workers ready.
                busy.clear();
                busy.extend(0..self.scenario.workers);
            } else {
                busy.swap_remove(place);
            }
        }
        busy.is_empty()
    }

    /// Records what the server has published and confirmed since the last call.
    fn look_at_what_was_done(&mut self) {
        let observed = self.server.as_ref().map(Simulated::take_observed);
        for observed in observed.into_iter().flatten() {
            match observed {
                Observed::Published { worker, slot, publish, position } => {
                    let from = self.sessions.get(&(worker, slot)).copied();
                    self.write_down(from.map(|(_, client)| client), &publish, position);
                    from.into_iter().for_each(|(wire, client)| self.check_rate(wire, client));
                }
                Observed::Subscribed { worker, slot, reply } => {
                    if let Some((wire, _)) = self.sessions.get(&(worker, slot)) {
                        self.mark(*wire, &reply);
                    }
                }
            }
        }
    }

    /// Records a publication that took effect.
    fn write_down(&mut self, client: Option<usize>, publish: &Publish, position: Option<Position>) {
        let silent_for = client.filter(|_| !publish.echo);
        let text = publish.payload.as_plain();
        self.tally.published += 1;
        if publish.topic.owner().is_some() {
            self.tally.directs += 1;
            return self.record.directs.publish(&publish.topic, text, silent_for);
        }
        let entry = Entry { text: text.to_owned(), position, silent_for };
        if let Err(what) = self.record.publish(&publish.topic, entry) {
            self.fail(client, format!("on {}: {what}", publish.topic));
        }
    }

    /// Checks the limit of requests. It allows a burst of one second's requests, and the same number in the second
    /// after it, so at most twice the limit within a second.
    fn check_rate(&mut self, number: u32, client: usize) {
        let (now, limit) = (self.now, self.scenario.requests_per_second);
        let Some((wire, limit)) = self.wires.get_mut(&number).zip(limit) else { return };
        let took_effect = wire.note_published(now);
        if took_effect > 2 * limit as usize {
            self.fail(Some(client), format!("{took_effect} requests took effect in a second, at {limit} a second"));
        }
    }

    /// Records where a subscription begins, and checks the offset in its reply.
    fn mark(&mut self, number: u32, reply: &Subscribed) {
        let Some(wire) = self.wires.get_mut(&number) else { return };
        if let Some(RequestId::Number(id)) = &reply.id {
            wire.marks.insert(*id, self.record.mark());
        }
        if let (About::Topic(topic), Some(epoch)) = (&reply.about, reply.epoch) {
            let last = self.record.last_offset(self.record.index(topic), epoch);
            if reply.offset != Some(last) {
                let client = wire.client;
                self.fail(Some(client), format!("{reply:?}, but the last offset is {last}"));
            }
        }
    }

    /// Sends the bytes that the server's sockets took. If the server has shut a socket down, its end follows the bytes.
    fn send_what_was_written(&mut self) {
        let news = self.server.as_ref().map(Simulated::take_news).unwrap_or_default();
        for socket in news {
            let Some(&number) = self.by_socket.get(&socket) else { continue };
            let Some((wire, socket)) = self.wires.get(&number).and_then(|wire| Some((wire, wire.socket()?))) else {
                self.by_socket.remove(&socket);
                continue;
            };
            let (bytes, is_shut, part) = (socket.take_written(), socket.is_shut(), (wire.pace.room / 4).max(1));
            for part in bytes.chunks(part) {
                self.send_down(number, Down::Bytes(part.to_vec()));
            }
            if is_shut {
                self.lose_server_side(number);
            }
        }
    }

    /// Handles the end of the server's side of a wire.
    pub(super) fn lose_server_side(&mut self, number: u32) {
        if let Some(wire) = self.wires.get_mut(&number) {
            wire.server = End::Gone;
        }
        self.send_down(number, Down::Lost);
        self.forget_wire(number);
    }

    /// Sends something to a client; a slow wire needs time for each byte.
    pub(super) fn send_down(&mut self, number: u32, down: Down) {
        let Some(wire) = self.wires.get_mut(&number) else { return };
        let length = match &down {
            Down::Bytes(bytes) => u32::try_from(bytes.len()).expect("a part is small"),
            _ => 0,
        };
        let sent = self.now + self.random.millis(1, wire.pace.latency);
        wire.down = wire.down.max(sent) + wire.pace.byte * length;
        self.queue.plan(wire.down, Event::Down(number, down));
    }

    /// Removes a wire if both of its ends are gone.
    pub(super) fn forget_wire(&mut self, number: u32) {
        if self.wires.get(&number).is_some_and(|wire| matches!(wire.server, End::Gone) && !wire.client_open) {
            self.wires.remove(&number);
        }
    }

    /// Plans the next look at the server, if none is planned earlier.
    fn plan_server_wake(&mut self, at: Duration) {
        let at = at.max(self.now);
        if self.server_wake.is_none_or(|planned| at < planned) {
            self.server_wake = Some(at);
            self.queue.plan(at, Event::WakeServer);
        }
    }
}

/// After this number of polls a server without new input must have nothing to do.
const POLLS: usize = 1_000_000;
