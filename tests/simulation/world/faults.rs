//! What breaks: connections, readers, servers.

use super::World;
use crate::queue::Event;
use crate::wire::{Down, End, Up, Wire};
use hubcast_protocol::CloseCode;
use hubcast_server::Disconnect;
use std::time::Duration;

impl World {
    /// Breaks something chosen at random, and plans the next fault.
    pub(super) fn fault(&mut self) {
        if self.is_healed {
            return;
        }
        let number = self.some_wire();
        match self.random.below(100) {
            0..60 => self.cut(number),
            60..65 => self.wires.keys().copied().collect::<Vec<_>>().into_iter().for_each(|number| self.cut(number)),
            65..75 => _ = self.fall_silent(number),
            75..80 => self.disconnect(number),
            80..84 => self.refuse(),
            84..88 => self.drain(),
            88..92 if !self.scenario.is_lossless => self.crash(),
            _ => {}
        }
        let next = self.now + self.random.millis(1, self.scenario.fault_within);
        self.queue.plan(next, Event::Fault);
    }

    /// A wire chosen at random; 0, which is no wire, if there is none.
    fn some_wire(&mut self) -> u32 {
        let numbers: Vec<u32> = self.wires.keys().copied().collect();
        if numbers.is_empty() { 0 } else { self.random.pick(&numbers) }
    }

    /// Breaks a connection: everything on its way is lost, and each end notices at a time of its own.
    fn cut(&mut self, number: u32) {
        if self.fall_silent(number) {
            let found_out = self.now + self.random.millis(0, 2000);
            self.queue.plan(found_out, Event::Down(number, Down::Lost));
        }
    }

    /// Breaks a connection so that its client gets no notice and can only miss the server's signs of life.
    fn fall_silent(&mut self, number: u32) -> bool {
        let Some(wire) = self.wires.get_mut(&number).filter(|wire| !wire.broken) else { return false };
        wire.broken = true;
        self.tally.cuts += 1;
        let client = wire.client;
        self.trace.note(client, self.now, || "-- the connection breaks".to_owned());
        let longest = self.random.pick(&[10, 500, 35_000]);
        let found_out = self.now + self.random.millis(0, longest);
        self.queue.plan(found_out, Event::Up(number, Up::Closed { lost: true }));
        true
    }

    /// Disconnects a client with code 4004, as an operator does to move it to another server.
    fn disconnect(&mut self, number: u32) {
        let reconnect_in_ms = self.random.chance(80).then(|| self.random.next() % 3000);
        let why = Disconnect { code: CloseCode::MOVED, reason: "moved".into(), reconnect_in_ms };
        let Some(End::Open { worker, socket }) = self.wires.get(&number).map(|wire| &wire.server) else { return };
        if let Some(server) = &mut self.server {
            server.disconnect(*worker, socket.slot(), why);
        }
        self.serve();
    }

    /// Lets the server accept no new connections for a while.
    fn refuse(&mut self) {
        if self.is_accepting {
            self.is_accepting = false;
            let again = self.now + self.random.millis(0, 3000);
            self.queue.plan(again, Event::Accept);
        }
    }

    /// Drains the server, and stops it three seconds later.
    fn drain(&mut self) {
        if !self.is_accepting {
            return;
        }
        self.is_accepting = false;
        if let Some(server) = &mut self.server {
            server.drain();
        }
        self.serve();
        self.queue.plan(self.now + Duration::from_secs(3), Event::Stop);
    }

    /// Stops a drained server, and plans the start of the next one with its state.
    pub(super) fn stop(&mut self) {
        let Some(server) = self.server.take() else { return };
        let saved = server.save(self.time());
        self.end_server(false);
        if !self.scenario.keeps_state {
            self.record.forget_keys();
        }
        let again = self.now + self.random.millis(0, 5000);
        self.queue.plan(again, Event::Start(Box::new(saved)));
    }

    /// Ends the server at once. It saves nothing.
    fn crash(&mut self) {
        if self.server.take().is_none() {
            return;
        }
        self.end_server(true);
        self.record.forget_keys();
        let again = self.now + self.random.millis(0, 3000);
        self.queue.plan(again, Event::Start(Box::default()));
    }

    /// Ends all connections of a server that is gone; `breaks_wires`: half of them without notice to their clients.
    fn end_server(&mut self, breaks_wires: bool) {
        self.tally.restarts += 1;
        self.is_accepting = false;
        let numbers: Vec<u32> = self.wires.keys().copied().collect();
        for number in numbers {
            let taken = |wire: &&mut Wire| !matches!(wire.server, End::Opening);
            let Some(wire) = self.wires.get_mut(&number).filter(taken) else { continue };
            wire.broken |= breaks_wires && self.random.chance(50);
            let client = wire.client;
            self.trace.note(client, self.now, || "-- the server is gone".to_owned());
            self.lose_server_side(number);
        }
    }
}
