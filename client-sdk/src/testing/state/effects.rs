//! What the hub of a test server wants done.

use super::{ServerState, TEST};
use crate::machine::{Disconnection, Input};
use hubcast_hub::{Effect, Effects, Input as HubInput, Publication, SessionId};
use hubcast_protocol::{CloseCode, typed};
use std::time::Instant;

impl ServerState {
    /// Passes an input to the hub, and does what follows.
    pub(super) fn handle(&mut self, now: Instant, input: HubInput) {
        if let Some(hub) = &mut self.hub {
            hub.handle(now, input, &mut self.effects);
        }
        self.carry_out(now);
    }

    /// Carries out what the hub wants, and tells it which connections were closed by that.
    pub(super) fn carry_out(&mut self, now: Instant) {
        loop {
            let mut effects = std::mem::take(&mut self.effects);
            effects.iter().for_each(|effect| self.carry_out_one(now, effect, &effects));
            effects.clear();
            self.effects = effects;
            let (Some(session), Some(hub)) = (self.closed.pop(), &mut self.hub) else { return };
            hub.handle(now, HubInput::Closed { session, lost: true }, &mut self.effects);
        }
    }

    fn carry_out_one(&mut self, now: Instant, effect: &Effect, effects: &Effects) {
        match effect {
            Effect::Send { session, event } if *session == TEST => self.answer = Some((**event).clone()),
            Effect::History { session, answer } if *session == TEST => self.answer = Some(answer.to_event()),
            Effect::Send { session, event } => self.tell(now, *session, &typed::encode(event)),
            Effect::Notify { event, receivers } => {
                let frame = typed::encode(event);
                effects.receivers(receivers).iter().for_each(|receiver| self.tell(now, receiver.session, &frame));
            }
            Effect::Deliver { publication, receivers } => {
                let frame = frame(publication);
                effects.receivers(receivers).iter().for_each(|receiver| self.tell(now, receiver.session, &frame));
            }
            // Replays and answers are no fault of a slow reader: they do not count against the outbox.
            Effect::Replay { session, missed } => {
                missed.iter().for_each(|missed| _ = self.pass(now, *session, Input::Frame(frame(missed)), 0));
            }
            Effect::History { session, answer } => {
                self.pass(now, *session, Input::Frame(typed::encode(&answer.to_event())), 0);
            }
            Effect::Close { session, code, reason } => self.close(now, *session, *code, reason),
            // Only an engine outside the hub's process needs this effect.
            Effect::Operated { .. } | Effect::Lifecycle(_) | Effect::Ask(_) => {}
        }
    }

    fn tell(&mut self, now: Instant, session: SessionId, frame: &str) {
        if !self.pass(now, session, Input::Frame(frame.to_owned()), frame.len()) {
            self.close(now, session, CloseCode::SLOW_CONSUMER, "it did not read what it was sent");
        }
    }

    /// Sends something to a client, of which so many bytes count against its outbox. Returns whether that has room for
    /// more.
    pub(super) fn pass(&mut self, now: Instant, session: SessionId, input: Input, bytes: usize) -> bool {
        let delay = self.to_client;
        let open = self.lines.get_mut(&session).filter(|line| !line.is_closed);
        open.is_none_or(|line| line.tell(now, delay, input, bytes))
    }

    /// Closes the server's end of a connection. The client gets the code behind what is on its way.
    pub(super) fn close(&mut self, now: Instant, session: SessionId, code: CloseCode, reason: &str) {
        let why = Disconnection::Closed { code, reason: reason.to_owned() };
        self.pass(now, session, Input::Disconnected(why), 0);
        let Some(line) = self.lines.get_mut(&session).filter(|line| !line.is_closed) else { return };
        line.is_closed = true;
        self.closed.push(session);
        if line.is_drained() {
            self.lines.remove(&session);
        }
    }
}

fn frame(publication: &Publication) -> String {
    typed::encode_message(publication.topic(), publication.position(), publication.payload(), publication.author())
}
