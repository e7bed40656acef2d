//! What a turn at the hub brings home.

use super::mail::{Parcel, Wait};
use super::outcomes::Outcomes;
use crate::connection::peer::Ending;
use crate::encode::account::Account;
use crate::encode::batch::{self, Frames, SharedEvent};
use crate::outbox::WRITTEN_AT_ONCE;
use crate::schedule::{BYTES_A_NANOSECOND, Cost, Growing, VISIT};
use bytes::Bytes;
use hubcast_hub::{Effect, Effects, HistoryAnswer, Publication, Receiver, SessionId};
use hubcast_protocol::{CloseCode, Event};
use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

/// What a worker takes home from its turn at the hub; kept between turns for its room.
#[derive(Debug, Default)]
pub(crate) struct Haul {
    /// What others caused, older than all of `outputs`.
    pub(crate) mail: Vec<Parcel>,
    pub(super) effects: Effects,
    outputs: Vec<Output>,
    deliveries: Vec<Delivery>,
    told: Vec<Told>,
    outcomes: Outcomes,
    /// Who is not to be read any more, each until a mailbox has been taken that was too full for it.
    pub(crate) waits: Vec<Wait>,
    /// When this worker wakes up for what the hub does by itself.
    pub(crate) next_timeout: Option<Instant>,
}

/// Where to find what is to be done, in order.
#[derive(Debug)]
enum Output {
    /// An effect for one session.
    Effect(usize),
    Deliver(usize),
    Tell(usize),
    Pong(u32, Bytes),
    Ending(u32, Ending),
}

impl Haul {
    /// Prepares the newest effects for all workers: what goes to many is to be encoded once. A delivery is joined to
    /// the one before where nobody can tell the difference. Says what it costs to carry them out.
    pub(super) fn take_in(&mut self, newest: usize, author: SessionId, outbox: usize, account: &Arc<Account>) -> Cost {
        let mut cost = Cost::default();
        let Self { effects, outputs, deliveries, told, outcomes, .. } = self;
        for (number, effect) in effects.iter().enumerate().skip(newest) {
            match effect {
                Effect::Deliver { publication, receivers } => {
                    let count = receivers.len() as u64;
                    cost.delivery += count * batch::size(publication) as u64 / BYTES_A_NANOSECOND;
                    if join(deliveries.last_mut(), effects, (publication, receivers), author, outbox) {
                        cost.joined = true;
                        continue;
                    }
                    cost.delivery += count * VISIT;
                    outputs.push(Output::Deliver(deliveries.len()));
                    let (receivers, publishers) = (receivers.clone(), vec![author]);
                    let frames = Arc::new(Frames::counted(publication.clone(), account));
                    deliveries.push(Delivery { receivers, frames, publishers, may_grow: true });
                }
                Effect::Tell { event, receivers } => {
                    let telling = outcomes.note(event, told.len());
                    if let Some(withdrawn) = telling.withdrawn {
                        told[withdrawn].is_withdrawn = true;
                    }
                    if !telling.is_told {
                        continue;
                    }
                    cost.delivery += VISIT * receivers.len() as u64;
                    outputs.push(Output::Tell(told.len()));
                    let event = Arc::new(SharedEvent::new(Arc::clone(event)));
                    told.push(Told { event, receivers: receivers.clone(), author, is_withdrawn: false });
                    // Comparing who is told with who got the delivery would cost more than joining saves.
                    if let Some(last) = deliveries.last_mut() {
                        last.may_grow = false;
                    }
                }
                Effect::Send { session, .. }
                | Effect::Close { session, .. }
                | Effect::Replay { session, .. }
                | Effect::History { session, .. } => {
                    if matches!(effect, Effect::Send { event, .. } if matches!(**event, Event::Presence(_))) {
                        outcomes.note_answer();
                    }
                    cost.delivery += cost_for_one(effect);
                    outputs.push(Output::Effect(number));
                    end_growth(deliveries, effects, *session);
                }
                Effect::Ask(_) => {}
            }
        }
        cost
    }

    /// Answers a ping of one of this worker's connections, after all that came before it.
    pub(super) fn push_pong(&mut self, session: SessionId, slot: u32, pong: Bytes) -> Cost {
        self.outputs.push(Output::Pong(slot, pong));
        end_growth(&mut self.deliveries, &self.effects, session);
        Cost { delivery: ANSWER, ..Cost::default() }
    }

    /// Ends one of this worker's connections, after all that came before.
    pub(super) fn push_ending(&mut self, session: SessionId, slot: u32, ending: Ending) -> Cost {
        self.outputs.push(Output::Ending(slot, ending));
        end_growth(&mut self.deliveries, &self.effects, session);
        Cost { delivery: VISIT, ..Cost::default() }
    }

    /// The publication to which more can be joined.
    pub(super) fn growing(&self, outbox: usize) -> Option<Growing<'_>> {
        let last = self.deliveries.last().filter(|last| last.may_grow)?;
        let topic = last.frames.publications().last()?.topic();
        Some(Growing { topic, room: last.frames.room(topic, outbox)? })
    }

    /// What is to be carried out, in order.
    pub(crate) fn pieces(&self) -> impl Iterator<Item = Piece<'_>> {
        self.outputs.iter().filter_map(|output| {
            Some(match output {
                Output::Deliver(number) => {
                    let delivery = &self.deliveries[*number];
                    Piece::Deliver { delivery, receivers: self.effects.receivers(&delivery.receivers) }
                }
                Output::Tell(number) => {
                    let told = Some(&self.told[*number]).filter(|told| !told.is_withdrawn)?;
                    Piece::Tell { told, receivers: self.effects.receivers(&told.receivers) }
                }
                Output::Pong(slot, pong) => Piece::Pong { slot: *slot, pong },
                Output::Ending(slot, ending) => Piece::Ending { slot: *slot, ending: *ending },
                Output::Effect(number) => match self.effects.get(*number)? {
                    Effect::Send { session, event } => Piece::Send { session: *session, event },
                    Effect::Replay { session, missed } => Piece::Replay { session: *session, missed },
                    Effect::History { session, answer } => Piece::History { session: *session, answer },
                    Effect::Close { session, code, reason } => Piece::Close { session: *session, code: *code, reason },
                    Effect::Deliver { .. } | Effect::Tell { .. } | Effect::Ask(_) => return None,
                },
            })
        })
    }

    /// Forgets everything but the room.
    pub(crate) fn clear(&mut self) {
        self.mail.clear();
        self.effects.clear();
        self.outputs.clear();
        self.deliveries.clear();
        self.told.clear();
        self.outcomes.clear();
        self.waits.clear();
    }
}

/// Adds a publication to the last delivery, if it goes to the same receivers and nobody can tell the difference; says
/// whether it did.
fn join(
    last: Option<&mut Delivery>,
    effects: &Effects,
    (publication, receivers): (&Publication, &Range<usize>),
    author: SessionId,
    outbox: usize,
) -> bool {
    let Some(last) = last.filter(|last| last.may_grow) else { return false };
    let same = *receivers == last.receivers || effects.receivers(receivers) == effects.receivers(&last.receivers);
    let joined = same && Arc::get_mut(&mut last.frames).is_some_and(|frames| frames.add(publication, outbox));
    if joined {
        last.publishers.push(author);
    }
    joined
}

/// What comes for this session now must stay behind the last delivery, if that is for it too.
fn end_growth(deliveries: &mut [Delivery], effects: &Effects, session: SessionId) {
    if let Some(last) = deliveries.last_mut().filter(|last| last.may_grow) {
        let mut receivers = effects.receivers(&last.receivers).iter();
        last.may_grow = receivers.all(|receiver| receiver.session != session);
    }
}

/// Nanoseconds that it takes to carry out what concerns one session, about.
fn cost_for_one(effect: &Effect) -> u64 {
    let bytes = |publications: &[Publication]| publications.iter().map(batch::size).sum::<usize>();
    match effect {
        // A byte takes a nanosecond to be encoded, and of an answer to be counted before; the rest comes as it is taken.
        // What was missed may be more publications than there is time to look at.
        Effect::Replay { missed, .. } => {
            let sizes = missed.iter().scan(0, |sum, publication| {
                let before = *sum;
                *sum += batch::size(publication);
                (before < WRITTEN_AT_ONCE).then_some(*sum)
            });
            VISIT + sizes.last().unwrap_or_default().min(WRITTEN_AT_ONCE) as u64
        }
        Effect::History { answer, .. } => {
            let bytes = bytes(&answer.publications);
            VISIT + (bytes + bytes.min(WRITTEN_AT_ONCE)) as u64
        }
        _ => ANSWER,
    }
}

/// Deliveries to the same receivers, as one: each of these gets one piece of bytes in a turn, however many were
/// published to it.
#[derive(Debug)]
pub(crate) struct Delivery {
    receivers: Range<usize>,
    pub(crate) frames: Arc<Frames>,
    pub(crate) publishers: Vec<SessionId>,
    /// Whether nothing came since that must stay behind it.
    may_grow: bool,
}

/// An event that many are told, and by whose doing.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) event: Arc<SharedEvent>,
    receivers: Range<usize>,
    pub(super) author: SessionId,
    /// Whether nobody is told, because it is not so any more.
    is_withdrawn: bool,
}

/// One thing to be carried out of those that a turn's own inputs caused.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Piece<'a> {
    Send {
        session: SessionId,
        event: &'a Event,
    },
    Tell {
        told: &'a Told,
        receivers: &'a [Receiver],
    },
    Deliver {
        delivery: &'a Delivery,
        receivers: &'a [Receiver],
    },
    Replay {
        session: SessionId,
        missed: &'a Arc<Vec<Publication>>,
    },
    History {
        session: SessionId,
        answer: &'a HistoryAnswer,
    },
    Close {
        session: SessionId,
        code: CloseCode,
        reason: &'a Cow<'static, str>,
    },
    /// Of one of this worker's connections.
    Pong {
        slot: u32,
        pong: &'a Bytes,
    },
    /// Of one of this worker's connections.
    Ending {
        slot: u32,
        ending: Ending,
    },
}

/// Nanoseconds of an answer that is written with others, about.
const ANSWER: u64 = 500;
