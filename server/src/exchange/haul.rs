//! What a turn at the hub brings home.

use super::Parcel;
use crate::frames::{Frames, SharedEvent};
use hubcast_hub::{Effect, Effects, Publication, Receiver, SessionId};
use hubcast_protocol::{CloseCode, Event};
use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

/// What a worker takes home from its turn at the hub; kept between turns for its room.
#[derive(Debug, Default)]
pub(crate) struct Haul {
    /// What others caused, older than all of `effects`.
    pub(crate) mail: Vec<Parcel>,
    pub(super) effects: Effects,
    deliveries: Vec<Delivery>,
    /// What the `Tell`s among the effects tell, one for each, in order.
    told: Vec<Told>,
    /// Who is not to be read any more, each until a mailbox has been taken that was too full for it.
    pub(crate) waits: Vec<Wait>,
    /// When the hub has something to do by itself.
    pub(crate) next_timeout: Option<Instant>,
}

impl Haul {
    /// Prepares the newest effects for all workers: what goes to many is to be encoded once. A delivery is joined to
    /// the one before where nobody can tell the difference.
    pub(super) fn take_in(&mut self, newest: usize, author: SessionId, outbox: usize) {
        let effects = &self.effects;
        for (effect, kind) in effects.iter().enumerate().skip(newest) {
            let last = self.deliveries.last_mut().filter(|last| last.may_grow);
            match kind {
                Effect::Deliver { publication, receivers } => {
                    if let Some(last) = last
                        && effects.receivers(receivers) == effects.receivers(&last.receivers)
                        && Arc::get_mut(&mut last.frames).is_some_and(|frames| frames.add(publication, outbox))
                    {
                        last.publishers.push(author);
                        continue;
                    }
                    let (receivers, publishers) = (receivers.clone(), vec![author]);
                    let frames = Arc::new(Frames::new(publication.clone()));
                    self.deliveries.push(Delivery { effect, receivers, frames, publishers, may_grow: true });
                }
                Effect::Send { session, .. } | Effect::Close { session, .. } | Effect::Replay { session, .. } => {
                    if let Some(last) = last {
                        let mut receivers = effects.receivers(&last.receivers).iter();
                        last.may_grow = receivers.all(|receiver| receiver.session != *session);
                    }
                }
                Effect::Tell { event, .. } => {
                    let event = Arc::new(SharedEvent::new(Arc::clone(event)));
                    self.told.push(Told { event, author });
                    // Comparing who is told with who got the delivery would cost more than joining saves.
                    if let Some(last) = last {
                        last.may_grow = false;
                    }
                }
                Effect::Ask(_) => {}
            }
        }
    }

    /// What is to be carried out, in order.
    pub(crate) fn pieces(&self) -> impl Iterator<Item = Piece<'_>> {
        let (mut deliveries, mut told) = (self.deliveries.iter().peekable(), self.told.iter());
        self.effects.iter().enumerate().filter_map(move |(place, effect)| {
            Some(match effect {
                Effect::Send { session, event } => Piece::Send { session: *session, event },
                Effect::Tell { receivers, .. } => {
                    Piece::Tell { told: told.next()?, receivers: self.effects.receivers(receivers) }
                }
                Effect::Deliver { receivers, .. } => {
                    let delivery = deliveries.next_if(|next| next.effect == place)?;
                    Piece::Deliver { delivery, receivers: self.effects.receivers(receivers) }
                }
                Effect::Replay { session, missed } => Piece::Replay { session: *session, missed },
                Effect::Close { session, code, reason } => Piece::Close { session: *session, code: *code, reason },
                Effect::Ask(_) => return None,
            })
        })
    }

    /// Forgets everything but the room.
    pub(crate) fn clear(&mut self) {
        self.mail.clear();
        self.effects.clear();
        self.deliveries.clear();
        self.told.clear();
        self.waits.clear();
    }
}

/// Deliveries to the same receivers, as one: each of these gets one piece of bytes in a turn, however many were
/// published to it.
#[derive(Debug)]
pub(crate) struct Delivery {
    /// Which of the effects it stands for; the later ones that were joined to it are skipped.
    effect: usize,
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
    pub(super) author: SessionId,
}

/// A connection of this worker that waits until the mailbox of another one has been taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wait {
    pub(crate) slot: u32,
    pub(crate) mailbox: usize,
}

/// One thing to be carried out of those that a turn's own inputs caused.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Piece<'a> {
    Send { session: SessionId, event: &'a Event },
    Tell { told: &'a Told, receivers: &'a [Receiver] },
    Deliver { delivery: &'a Delivery, receivers: &'a [Receiver] },
    Replay { session: SessionId, missed: &'a [Publication] },
    Close { session: SessionId, code: CloseCode, reason: &'a Cow<'static, str> },
}
