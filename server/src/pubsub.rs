//! Publish/subscribe: the service that gives messages to the hub and carries out its effects.

mod address;
mod alarm;
mod blocked_publishers;
mod deferred;
mod evictions;
mod flush_plan;
mod mail;
mod mailbox;
#[cfg(feature = "simulation")]
pub(crate) mod observer;
mod outcomes;
pub(crate) mod shared_hub;
mod throttle;
mod turn_output;

use crate::connection::peer::{Ending, Farewell, Message, Parting, Peer};
use crate::encode::batch::Frames;
use crate::encode::replay_cache::Replays;
use crate::schedule::{Item, Schedule};
use crate::websocket::frame::{self, Opcode};
use crate::worker::delivery::Delivery;
use crate::worker::outbound::Outbound;
use crate::worker::service::Service;
use address::{session, slot_of, worker_of};
use blocked_publishers::Waits;
use deferred::HeldBack;
use flush_plan::LastPieces;
use hubcast_hub::{Input, SessionId};
use hubcast_protocol::{ClientId, CloseCode, Dialect, Slow, plain, typed};
use mail::Parcel;
use shared_hub::Exchange;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use throttle::Throttle;
use turn_output::{Haul, Piece};

/// One worker's end of the [`Exchange`].
#[derive(Debug)]
pub(crate) struct PubSub {
    exchange: Arc<Exchange>,
    worker: usize,
    schedule: Schedule,
    haul: Haul,
    last_pieces: LastPieces,
    held_back: HeldBack,
    waits: Waits,
    /// When to look again whether those held back may go on.
    look_again: Option<Instant>,
    throttle: Throttle,
    /// Publishers of other workers whose receivers here are far behind, with the bytes that they sent to these.
    to_pause: BTreeMap<SessionId, usize>,
    replays: Replays,
}

impl PubSub {
    pub(crate) fn new(exchange: Arc<Exchange>, worker: usize) -> Self {
        Self {
            exchange,
            worker,
            schedule: Schedule::default(),
            haul: Haul::default(),
            last_pieces: LastPieces::default(),
            held_back: HeldBack::default(),
            waits: Waits::default(),
            look_again: None,
            throttle: Throttle::default(),
            to_pause: BTreeMap::new(),
            replays: Replays::default(),
        }
    }

    fn session(&self, peer: Peer) -> SessionId {
        session(self.worker, peer.slot)
    }

    fn open_mail(&mut self, piece: u32, parcel: Parcel, now: Instant, out: &mut Outbound<'_>) {
        match parcel {
            Parcel::Send { slot, event } => out.push_event(slot, &event),
            Parcel::Tell { event, slots } => {
                slots.iter().for_each(|(slot, slow)| out.push_shared(*slot, *slow, &event));
            }
            Parcel::History { slot, answer } => out.push_history(slot, &answer),
            Parcel::Close { slot, code, reason } => out.close(slot, code, &reason),
            Parcel::Replay { slot, missed } => out.push_replay(slot, &missed, &mut self.replays),
            Parcel::Pause { publisher, bytes } => self.slow_down(publisher, bytes, now, out),
            Parcel::GoOn(wait) => {
                self.waits.remove(wait);
                self.release(wait.slot, out);
            }
            Parcel::Deliver { frames, slots, publishers } => {
                if self.deliver(piece, &frames, slots, out) {
                    let bytes = frames.len() / publishers.len().max(1);
                    publishers.iter().for_each(|publisher| *self.to_pause.entry(*publisher).or_default() += bytes);
                }
            }
        }
    }

    /// Carries out those answers whose connections have nothing else to wait for, before all mail and fan-outs.
    fn answer(&self, first_piece: u32, haul: &Haul, out: &mut Outbound<'_>) {
        for (number, piece) in (first_piece..).zip(haul.pieces()) {
            if self.last_pieces.is_answer(number) {
                self.carry_out_answer(number, &piece, out);
            }
        }
    }

    /// Puts an answer where it goes, and writes it unless the turn has more for its connection: it does not wait for a long
    /// fan-out behind it.
    fn carry_out_answer(&self, number: u32, piece: &Piece<'_>, out: &mut Outbound<'_>) {
        let slot = match piece {
            Piece::Send { session, event } => {
                out.push_event(slot_of(*session), event);
                slot_of(*session)
            }
            Piece::Pong { slot, pong } => {
                out.push(*slot, pong);
                *slot
            }
            _ => return,
        };
        if self.last_pieces.is_last(slot, number) {
            out.flush(slot);
        }
    }

    fn carry_out(&mut self, first_piece: u32, haul: &Haul, now: Instant, out: &mut Outbound<'_>) {
        let worker = self.worker;
        let here = |session: SessionId| worker_of(session) == worker;
        for (number, piece) in (first_piece..).zip(haul.pieces()) {
            match piece {
                // What is carried out already.
                Piece::Send { .. } | Piece::Pong { .. } if self.last_pieces.is_answer(number) => {}
                Piece::Pong { .. } => self.carry_out_answer(number, &piece, out),
                Piece::Send { session, .. } if here(session) => self.carry_out_answer(number, &piece, out),
                Piece::Ending { slot, ending } => out.end(slot, ending),
                Piece::History { session, answer } if here(session) => out.push_history(slot_of(session), answer),
                Piece::Close { session, code, reason } if here(session) => out.close(slot_of(session), code, reason),
                Piece::Replay { session, missed } if here(session) => {
                    out.push_replay(slot_of(session), missed, &mut self.replays);
                }
                Piece::Deliver { delivery, receivers } => {
                    let receivers = receivers.iter().filter(|to| here(to.session));
                    let receivers = receivers.map(|to| (slot_of(to.session), to.slow));
                    if self.deliver(number, &delivery.frames, receivers, out) {
                        let bytes = delivery.frames.len() / delivery.publishers.len();
                        delivery.publishers.iter().for_each(|of| self.slow_down(slot_of(*of), bytes, now, out));
                    }
                }
                Piece::Tell { told, receivers } => {
                    let receivers = receivers.iter().filter(|to| here(to.session));
                    receivers.for_each(|to| out.push_shared(slot_of(to.session), to.slow, &told.event));
                }
                Piece::Send { .. } | Piece::Close { .. } | Piece::Replay { .. } | Piece::History { .. } => {}
            }
        }
    }

    /// Reads a publisher a little later that sends much to receivers that are far behind.
    fn slow_down(&mut self, publisher: u32, bytes: usize, now: Instant, out: &mut Outbound<'_>) {
        if self.throttle.note(publisher, bytes, out.publisher_pause(), now) {
            out.pause(publisher);
        }
    }

    /// Reads those no more who caused too much for other workers, until these have come to it.
    fn have_wait(&mut self, haul: &Haul, out: &Outbound<'_>) {
        for wait in &haul.waits {
            self.waits.add(*wait);
            out.hold(wait.slot, true);
        }
    }

    /// Reads a connection again, unless there is another reason not to.
    fn release(&self, slot: u32, out: &Outbound<'_>) {
        out.hold(slot, self.waits.has(slot) || self.held_back.has(slot) || self.schedule.has_lane(slot));
    }

    /// Lets what this turn has left over wait for the next one.
    fn leave_over(&mut self, out: &Outbound<'_>) {
        let mut released = Vec::new();
        self.schedule.end_slice(|slot| out.hold(slot, true), |slot| released.push(slot));
        released.into_iter().for_each(|slot| self.release(slot, out));
        if !self.schedule.is_empty() {
            out.want_turn();
        }
    }

    /// Lets those go on who have taken what they asked for.
    fn let_go_on(&mut self, now: Instant, out: &Outbound<'_>) {
        let mut released = Vec::new();
        let Self { held_back, schedule, .. } = self;
        held_back.end_turn(
            |slot, item| schedule.push(slot, item),
            |slot| out.is_backlogged(slot),
            |slot| released.push(slot),
        );
        released.into_iter().for_each(|slot| self.release(slot, out));
        self.look_again = (!self.held_back.is_empty()).then(|| now + LOOK_AGAIN);
        if !self.schedule.is_empty() {
            out.want_turn();
        }
    }

    /// Hands a publication to each receiver; says whether one of them is far behind.
    fn deliver(
        &self,
        piece: u32,
        frames: &Frames,
        to: impl IntoIterator<Item = (u32, Slow)>,
        out: &mut Outbound<'_>,
    ) -> bool {
        let to = to.into_iter().map(|(slot, slow)| {
            let is_last = self.last_pieces.is_last(slot, piece);
            Delivery { slot, slow, is_last }
        });
        out.deliver(frames, to)
    }
}

#[cfg(feature = "simulation")]
impl PubSub {
    /// Bytes of requests that were read and not served, about.
    pub(crate) fn unserved(&self) -> usize {
        self.schedule.bytes()
    }

    /// Whether requests wait until their connection has taken what it asked for before.
    pub(crate) fn holds_back(&self) -> bool {
        !self.held_back.is_empty()
    }

    /// Bytes of frames that are kept for the next who missed the same.
    pub(crate) fn replays(&self) -> usize {
        self.replays.bytes()
    }
}

impl Service for PubSub {
    fn accepts(&self, path: &str) -> bool {
        path == "/socket"
    }

    fn opened(&mut self, peer: Peer, out: &mut Outbound<'_>) {
        // Here and not in `closed`: requests of the one before can be served after its close, and fill a mailbox then.
        self.waits.forget(peer.slot);
        self.throttle.forget(peer.slot);
        let client = ClientId::from_random(out.random());
        self.schedule.push(peer.slot, Item::Input(Input::connect(self.session(peer), client)));
        out.want_turn();
    }

    fn message(&mut self, peer: Peer, message: Message<'_>, out: &mut Outbound<'_>) {
        let text = match message {
            Message::Text(text) => text,
            Message::Binary(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) if peer.dialect == Dialect::Plain => text,
                _ => {
                    let ending = Ending::Violation { code: CloseCode::UNSUPPORTED, reason: "only text is taken" };
                    out.ignore_rest(peer.slot);
                    return self.ending(peer, ending, out);
                }
            },
        };
        let request = match peer.dialect {
            Dialect::Plain => plain::decode(text),
            Dialect::Typed => typed::decode(text),
        };
        let input = Input::Request { session: self.session(peer), request };
        match self.held_back.admit(peer.slot, Item::Input(input), || out.is_backlogged(peer.slot)) {
            Some(item) => self.schedule.push(peer.slot, item),
            None => out.hold(peer.slot, true),
        }
        out.want_turn();
    }

    /// A pong says that everything before the ping has taken effect and was answered.
    fn ping(&mut self, peer: Peer, payload: &[u8], out: &mut Outbound<'_>) {
        let pong = Item::Pong(frame::write(Opcode::Pong, payload));
        if let Some(pong) = self.held_back.admit(peer.slot, pong, || false) {
            self.schedule.push(peer.slot, pong);
        }
        out.want_turn();
    }

    fn ending(&mut self, peer: Peer, ending: Ending, out: &mut Outbound<'_>) {
        self.held_back.close(peer.slot, |item| self.schedule.push(peer.slot, item));
        self.schedule.push(peer.slot, Item::Ending(ending));
        out.want_turn();
    }

    fn closed(&mut self, peer: Peer, parting: Parting) {
        let lost = parting == Parting::Lost;
        self.held_back.close(peer.slot, |item| self.schedule.push(peer.slot, item));
        self.schedule.push(peer.slot, Item::Input(Input::Disconnect { session: self.session(peer), lost }));
    }

    fn send_away(&mut self, peer: Peer, why: Farewell, out: &mut Outbound<'_>) {
        let Farewell { code, reason, reconnect_in_ms } = why;
        let input = Input::SendAway { session: self.session(peer), code, reason, reconnect_in_ms };
        self.schedule.push(peer.slot, Item::Input(input));
        out.want_turn();
    }

    fn may_lag(&self, peer: Peer) -> bool {
        self.exchange.may_lag(self.session(peer))
    }

    fn turn(&mut self, now: Instant, out: &mut Outbound<'_>) {
        let mut haul = std::mem::take(&mut self.haul);
        self.exchange.turn(self.worker, now, &mut self.schedule, &mut haul, out.is_behind());
        self.last_pieces.note(self.worker, &haul);
        self.answer(u32::try_from(haul.mail.len()).unwrap_or(u32::MAX), &haul, out);
        let mut piece = 0;
        for parcel in haul.mail.drain(..) {
            self.open_mail(piece, parcel, now, out);
            piece += 1;
        }
        self.carry_out(piece, &haul, now, out);
        self.have_wait(&haul, out);
        haul.clear();
        self.haul = haul;
        self.leave_over(out);
        self.replays.end_turn();
        self.exchange.pause(self.worker, &mut self.to_pause);
        self.throttle.tidy(now);
        self.let_go_on(now, out);
    }

    fn is_waiting(&self, slot: u32) -> bool {
        self.schedule.has_lane(slot)
    }

    fn read_limit(&self) -> usize {
        self.schedule.read_limit()
    }

    fn next_turn(&self) -> Option<Instant> {
        self.haul.next_timeout.into_iter().chain(self.look_again).min()
    }
}

impl Drop for PubSub {
    fn drop(&mut self) {
        self.exchange.note_end(self.worker);
    }
}

/// How long those wait at least who have not taken what they asked for.
const LOOK_AGAIN: Duration = Duration::from_millis(10);
