//! What a turn at the hub brings home.

use super::mail::{MailboxWait, RemoteOutput};
use super::outcomes::Outcomes;
use crate::connection::peer::Ending;
use crate::encode::account::Account;
use crate::encode::batch::{self, Batch, SharedEvent};
use crate::outbox::MAX_WRITE_BYTES;
use crate::schedule::{BYTES_PER_NS, Cost, Growing, VISIT_NS};
use bytes::Bytes;
use hubcast_hub::{Effect, Effects, HistoryAnswer, Publication, Receiver, SessionId};
use hubcast_protocol::{CloseCode, Event};
use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

/// What a worker takes home from its turn at the hub; kept between turns for its room.
#[derive(Debug, Default)]
pub(crate) struct TurnOutput {
    /// What others caused, older than all of `order`.
    pub(crate) mail: Vec<RemoteOutput>,
    pub(super) effects: Effects,
    order: Vec<OutputRef>,
    broadcasts: Vec<Broadcast>,
    notifications: Vec<Notification>,
    outcomes: Outcomes,
    /// Who is not to be read any more, each until a mailbox has been taken that was too full for it.
    pub(crate) blocked: Vec<MailboxWait>,
    /// When this worker wakes up for what the hub does by itself.
    pub(crate) next_timeout: Option<Instant>,
}

/// Where to find what is to be done, in order.
#[derive(Debug)]
enum OutputRef {
    /// An effect for one session.
    Effect(usize),
    Deliver(usize),
    Notify(usize),
    Pong(u32, Bytes),
    Ending(u32, Ending),
}

impl TurnOutput {
    /// Prepares the newest effects for all workers: what goes to many is to be encoded once. A delivery is joined to
    /// the one before where nobody can tell the difference. Says what it costs to carry them out.
    pub(super) fn coalesce(&mut self, newest: usize, author: SessionId, outbox: usize, account: &Arc<Account>) -> Cost {
        let mut cost = Cost::default();
        let Self { effects, order, broadcasts, notifications, outcomes, .. } = self;
        for (number, effect) in effects.iter().enumerate().skip(newest) {
            match effect {
                Effect::Deliver { publication, receivers } => {
                    let count = receivers.len() as u64;
                    cost.delivery += count * batch::size(publication) as u64 / BYTES_PER_NS;
                    if join(broadcasts.last_mut(), effects, (publication, receivers), author, outbox) {
                        cost.joined = true;
                        continue;
                    }
                    cost.delivery += count * VISIT_NS;
                    order.push(OutputRef::Deliver(broadcasts.len()));
                    let (receivers, publishers) = (receivers.clone(), vec![author]);
                    let frames = Arc::new(Batch::counted(publication.clone(), account));
                    broadcasts.push(Broadcast { receivers, frames, publishers, may_grow: true });
                }
                Effect::Notify { event, receivers } => {
                    let announcement = outcomes.note(event, notifications.len());
                    if let Some(withdrawn) = announcement.withdrawn {
                        notifications[withdrawn].is_withdrawn = true;
                    }
                    if !announcement.is_announced {
                        continue;
                    }
                    cost.delivery += VISIT_NS * receivers.len() as u64;
                    order.push(OutputRef::Notify(notifications.len()));
                    let event = Arc::new(SharedEvent::new(Arc::clone(event)));
                    notifications.push(Notification {
                        event,
                        receivers: receivers.clone(),
                        author,
                        is_withdrawn: false,
                    });
                    // Comparing who is notifications with who got the delivery would cost more than joining saves.
                    if let Some(last) = broadcasts.last_mut() {
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
                    order.push(OutputRef::Effect(number));
                    end_growth(broadcasts, effects, *session);
                }
                Effect::Ask(_) => {}
            }
        }
        cost
    }

    /// Answers a ping of one of this worker's connections, after all that came before it.
    pub(super) fn push_pong(&mut self, session: SessionId, slot: u32, pong: Bytes) -> Cost {
        self.order.push(OutputRef::Pong(slot, pong));
        end_growth(&mut self.broadcasts, &self.effects, session);
        Cost { delivery: ANSWER, ..Cost::default() }
    }

    /// Ends one of this worker's connections, after all that came before.
    pub(super) fn push_ending(&mut self, session: SessionId, slot: u32, ending: Ending) -> Cost {
        self.order.push(OutputRef::Ending(slot, ending));
        end_growth(&mut self.broadcasts, &self.effects, session);
        Cost { delivery: VISIT_NS, ..Cost::default() }
    }

    /// The publication to which more can be joined.
    pub(super) fn growing(&self, outbox: usize) -> Option<Growing<'_>> {
        let last = self.broadcasts.last().filter(|last| last.may_grow)?;
        let topic = last.frames.publications().last()?.topic();
        Some(Growing { topic, room: last.frames.room(topic, outbox)? })
    }

    /// What is to be carried out, in order.
    pub(crate) fn outputs(&self) -> impl Iterator<Item = Output<'_>> {
        self.order.iter().filter_map(|output| {
            Some(match output {
                OutputRef::Deliver(number) => {
                    let broadcast = &self.broadcasts[*number];
                    Output::Deliver { broadcast, receivers: self.effects.receivers(&broadcast.receivers) }
                }
                OutputRef::Notify(number) => {
                    let notification =
                        Some(&self.notifications[*number]).filter(|notification| !notification.is_withdrawn)?;
                    Output::Notify { notification, receivers: self.effects.receivers(&notification.receivers) }
                }
                OutputRef::Pong(slot, pong) => Output::Pong { slot: *slot, pong },
                OutputRef::Ending(slot, ending) => Output::Ending { slot: *slot, ending: *ending },
                OutputRef::Effect(number) => match self.effects.get(*number)? {
                    Effect::Send { session, event } => Output::Send { session: *session, event },
                    Effect::Replay { session, missed } => Output::Replay { session: *session, missed },
                    Effect::History { session, answer } => Output::History { session: *session, answer },
                    Effect::Close { session, code, reason } => Output::Close { session: *session, code: *code, reason },
                    Effect::Deliver { .. } | Effect::Notify { .. } | Effect::Ask(_) => return None,
                },
            })
        })
    }

    /// Forgets everything but the room.
    pub(crate) fn clear(&mut self) {
        self.mail.clear();
        self.effects.clear();
        self.order.clear();
        self.broadcasts.clear();
        self.notifications.clear();
        self.outcomes.clear();
        self.blocked.clear();
    }
}

/// Adds a publication to the last delivery, if it goes to the same receivers and nobody can tell the difference; says
/// whether it did.
fn join(
    last: Option<&mut Broadcast>,
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
fn end_growth(broadcasts: &mut [Broadcast], effects: &Effects, session: SessionId) {
    if let Some(last) = broadcasts.last_mut().filter(|last| last.may_grow) {
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
                (before < MAX_WRITE_BYTES).then_some(*sum)
            });
            VISIT_NS + sizes.last().unwrap_or_default().min(MAX_WRITE_BYTES) as u64
        }
        Effect::History { answer, .. } => {
            let bytes = bytes(&answer.publications);
            VISIT_NS + (bytes + bytes.min(MAX_WRITE_BYTES)) as u64
        }
        _ => ANSWER,
    }
}

/// Deliveries to the same receivers, as one: each of these gets one output of bytes in a turn, however many were
/// published to it.
#[derive(Debug)]
pub(crate) struct Broadcast {
    receivers: Range<usize>,
    pub(crate) frames: Arc<Batch>,
    pub(crate) publishers: Vec<SessionId>,
    /// Whether nothing came since that must stay behind it.
    may_grow: bool,
}

/// An event that many are notifications, and by whose doing.
#[derive(Debug)]
pub(crate) struct Notification {
    pub(crate) event: Arc<SharedEvent>,
    receivers: Range<usize>,
    pub(super) author: SessionId,
    /// Whether nobody is notifications, because it is not so any more.
    is_withdrawn: bool,
}

/// One thing to be carried out of those that a turn's own inputs caused.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Output<'a> {
    Send {
        session: SessionId,
        event: &'a Event,
    },
    Notify {
        notification: &'a Notification,
        receivers: &'a [Receiver],
    },
    Deliver {
        broadcast: &'a Broadcast,
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
