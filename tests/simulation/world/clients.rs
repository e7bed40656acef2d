//! The clients' side of the world: gives inputs to their machines and carries out the effects.

use super::World;
use crate::queue::Event;
use crate::stream::Cause;
use crate::wire::{Down, Up, Wire};
use hubcast_client::machine::{Delivery, Disconnection, Effect, Effects, Input};
use hubcast_protocol::{CloseCode, ErrorCode, Event as Said, RequestId, Topic, typed};
use hubcast_tests::{Frame, Heard};

impl World {
    /// Gives an input to a client's machine; `frame` is the text of the frame from the server, if the input is one.
    pub(super) fn tell_client(&mut self, client: usize, input: Input, frame: Option<&str>) {
        self.trace.note(client, self.now, || format!("< {input:?}"));
        let (mut effects, now) = (Effects::new(), self.time());
        self.clients[client].machine.handle(now, input, &mut effects);
        self.carry_out(client, effects, frame);
    }

    /// Handles a client's timeout if it is due.
    pub(super) fn wake_client(&mut self, client: usize) {
        let due = |world: &Self| world.clients[client].machine.poll_timeout().is_some_and(|at| at <= world.time());
        self.clients[client].wake = None;
        let (mut effects, now) = (Effects::new(), self.time());
        if due(self) {
            self.trace.note(client, self.now, || "< it is time".to_owned());
            self.clients[client].machine.handle_timeout(now, &mut effects);
            if due(self) {
                self.fail(Some(client), "what was due was done, and is due again".to_owned());
            }
        }
        self.carry_out(client, effects, None);
    }

    /// Carries out what a machine wants done.
    fn carry_out(&mut self, client: usize, effects: Effects, frame: Option<&str>) {
        let wire = self.clients[client].wire;
        for effect in effects {
            self.trace.note(client, self.now, || format!("  > {effect:?}"));
            match effect {
                Effect::Connect(_) => self.open_wire(client),
                Effect::Send(text) => match self.clients[client].wire {
                    Some(wire) => self.send_up(wire, Up::Bytes(Frame::text(text).bytes())),
                    None => self.fail(Some(client), format!("{text} is sent without a connection")),
                },
                Effect::Close(_) => {
                    if let Some(wire) = self.clients[client].wire.take() {
                        let lost = self.random.chance(30);
                        self.send_up(wire, Up::Closed { lost });
                        self.end_client_side(wire);
                    }
                }
                Effect::Deliver(id, delivery) => {
                    match &delivery {
                        Delivery::Message(_) => self.tally.delivered += 1,
                        Delivery::Resumed(_) => self.tally.resumed += 1,
                        Delivery::Gap(_) => self.tally.gaps += 1,
                        _ => {}
                    }
                    self.check(client, wire, frame, |client, cause, record| {
                        client.deliver(id, &delivery, cause, record)
                    });
                }
                Effect::Complete(ticket, result) => {
                    self.check(client, wire, frame, |client, cause, record| {
                        client.complete(ticket, &result, cause, record)
                    });
                }
                Effect::AskToken(reason) => self.fail(Some(client), format!("a token is wanted for {reason:?}")),
                Effect::Status(status) => self.clients[client].state = Some(status.state),
            }
        }
        self.plan_wake(client);
    }

    /// Compares what a machine reports to its program with the record.
    fn check(
        &mut self,
        client: usize,
        wire: Option<u32>,
        frame: Option<&str>,
        hear: impl FnOnce(&mut crate::client::Client, Cause<'_>, &crate::record::Record) -> Result<(), String>,
    ) {
        let event = frame.and_then(|frame| typed::decode_event(frame).ok());
        let asked = match &event {
            Some(Said::Subscribed(reply)) => reply.id.as_ref(),
            _ => None,
        };
        let marks = wire.and_then(|wire| self.wires.get(&wire)).map(|wire| &wire.marks);
        let mark = marks.and_then(|marks| match asked {
            Some(RequestId::Number(id)) => marks.get(id).map(Vec::as_slice),
            _ => None,
        });
        let cause = Cause { event: event.as_ref(), mark };
        if let Err(what) = hear(&mut self.clients[client], cause, &self.record) {
            self.fail(Some(client), what);
        }
    }

    /// Plans an event for the machine's next timeout.
    fn plan_wake(&mut self, client: usize) {
        let origin = self.origin;
        let client_state = &mut self.clients[client];
        let Some(at) = client_state.machine.poll_timeout() else { return };
        let at = (at - origin).max(self.now);
        if client_state.wake.is_none_or(|planned| at < planned) {
            client_state.wake = Some(at);
            self.queue.plan(at, Event::WakeClient(client));
        }
    }

    /// Opens a new wire for a client.
    fn open_wire(&mut self, client: usize) {
        self.last_wire += 1;
        let pace = if self.is_healed { crate::scenario::HEALTHY } else { self.scenario.pace(&mut self.random) };
        self.wires.insert(self.last_wire, Wire::new(client, pace));
        self.clients[client].wire = Some(self.last_wire);
        self.send_up(self.last_wire, Up::Open);
    }

    /// Sends something to the server; it arrives after everything that was sent before.
    fn send_up(&mut self, number: u32, up: Up) {
        let Some(wire) = self.wires.get_mut(&number) else { return };
        wire.up = wire.up.max(self.now + self.random.millis(1, wire.pace.latency));
        self.queue.plan(wire.up, Event::Up(number, up));
    }

    /// Handles what arrives at a client.
    pub(super) fn arrive_down(&mut self, number: u32, down: Down) {
        let Some(wire) = self.wires.get_mut(&number).filter(|wire| wire.client_open) else { return };
        let client = wire.client;
        match down {
            Down::Lost | Down::Refused => {
                let reason = format!("{down:?}");
                self.lose(number, client, Disconnection::Lost { reason, retry_after: None });
            }
            _ if wire.broken => {}
            Down::Accepted => self.tell_client(client, Input::Connected, None),
            Down::Bytes(bytes) => {
                if let Some(socket) = wire.socket() {
                    socket.give_room(bytes.len());
                }
                wire.inbound.extend(bytes);
                self.read_frames(number, client);
                self.serve();
            }
        }
    }

    /// Gives all complete frames to the client's machine.
    fn read_frames(&mut self, number: u32, client: usize) {
        while let Some(wire) = self.wires.get_mut(&number).filter(|wire| wire.client_open)
            && let Some(frame) = wire.next_frame()
        {
            match frame {
                Heard::Text(text) => {
                    self.look_at_private(client, &text);
                    self.tell_client(client, Input::Frame(text.clone()), Some(&text));
                }
                Heard::Ping(payload) => {
                    self.send_up(number, Up::Bytes(Frame::pong(payload).bytes()));
                    self.tell_client(client, Input::Heard, None);
                }
                Heard::Close(code, reason) => {
                    let code = CloseCode(code);
                    self.tally.too_slow += usize::from(code == CloseCode::SLOW_CONSUMER);
                    self.tally.limited += usize::from(code == CloseCode::RATE_LIMIT);
                    self.lose(number, client, Disconnection::Closed { code, reason });
                }
                other => self.fail(Some(client), format!("the server sent {other:?}")),
            }
        }
    }

    /// Records the id in a `welcome`, and checks that a direct message belongs to this client.
    fn look_at_private(&mut self, client: usize, frame: &str) {
        match typed::decode_event(frame) {
            Ok(Said::Welcome(welcome)) => {
                self.record.directs.welcome(client, &Topic::new(welcome.client.to_string()));
            }
            Ok(Said::Message(message))
                if message.topic.owner().is_some() && !self.record.directs.is_owner(client, &message.topic) =>
            {
                self.fail(Some(client), format!("{message:?} is for another client"));
            }
            Ok(Said::Error(refusal)) => self.tally.limited += usize::from(refusal.code == ErrorCode::RateLimited),
            _ => {}
        }
    }

    /// Ends a client's connection and reports that to its machine.
    fn lose(&mut self, number: u32, client: usize, why: Disconnection) {
        self.send_up(number, Up::Closed { lost: true });
        self.end_client_side(number);
        self.clients[client].wire = None;
        self.tell_client(client, Input::Disconnected(why), None);
    }

    /// Marks the client's end of a wire as closed.
    fn end_client_side(&mut self, number: u32) {
        if let Some(wire) = self.wires.get_mut(&number) {
            wire.client_open = false;
        }
        self.forget_wire(number);
    }
}
