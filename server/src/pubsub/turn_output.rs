//! The result of one turn at the hub: what the worker has to carry out.

use super::mail::{MailboxWait, RemoteOutput};
use super::outcomes::Outcomes;
use super::reporter::Reporter;
use crate::connection::peer::Ending;
use crate::encode::account::Account;
use crate::encode::batch::{self, Batch, SharedEvent};
use crate::outbox::MAX_WRITE_BYTES;
use crate::schedule::{BYTES_PER_NS, Cost, Growing, VISIT_NS};
use bytes::Bytes;
use hubcast_hub::{Effect, Effects, HistoryAnswer, Publication, Receiver, SessionId};
use hubcast_protocol::{CloseCode, Event, RequestId};
use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

/// What one turn at the hub gives a worker to carry out. The worker keeps it between turns, so that its memory is used
/// again.
#[derive(Debug, Default)]
pub(crate) struct TurnOutput {
    /// What other workers caused, older than all of `order`.
    pub(crate) mail: Vec<RemoteOutput>,
    pub(super) effects: Effects,
    order: Vec<OutputRef>,
    broadcasts: Vec<Broadcast>,
    notifications: Vec<Notification>,
    outcomes: Outcomes,
    /// Takes what the hub tells of sessions and topics, if there are hooks.
    pub(super) reporter: Option<Reporter>,
    /// Connections to stop reading, each with the full mailbox that has to be taken before it is read again.
    pub(crate) blocked: Vec<MailboxWait>,
    /// When this worker wakes up for what the hub does by itself.
    pub(crate) next_timeout: Option<Instant>,
    /// When the turn began.
    pub(super) began: Option<Instant>,
}

/// One thing to be carried out, as the place where it is found. A list of these has the order.
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
    /// Prepares the effects from number `newest` on for all workers. What goes to many sessions becomes one
    /// [`Broadcast`] or [`Notification`], to be encoded once. A publication is joined to the last broadcast if no
    /// client can observe a difference. Returns the cost to carry these effects out.
    pub(super) fn coalesce(&mut self, newest: usize, author: SessionId, outbox: usize, account: &Arc<Account>) -> Cost {
        let mut cost = Cost::default();
        let Self { effects, order, broadcasts, notifications, outcomes, began, .. } = self;
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
                    let frames = Arc::new(Batch::counted(publication.clone(), account, *began));
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
                    let each = VISIT_NS + batch::event_size(event) as u64 / BYTES_PER_NS;
                    cost.delivery += each * receivers.len() as u64;
                    order.push(OutputRef::Notify(notifications.len()));
                    let event = Arc::new(SharedEvent::new(Arc::clone(event)));
                    notifications.push(Notification {
                        event,
                        receivers: receivers.clone(),
                        author,
                        is_withdrawn: false,
                    });
                    // Comparing the receivers of the notification with those of the delivery would cost more than
                    // joining saves.
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
                Effect::Operated { .. } => {
                    cost.delivery += ANSWER;
                    order.push(OutputRef::Effect(number));
                }
                Effect::Lifecycle(_) | Effect::Ask(_) => {}
            }
        }
        cost
    }

    /// Puts what the effects from number `newest` on tell of sessions and topics where hooks take it from.
    pub(super) fn report(&mut self, newest: usize, now: Instant) {
        if let Some(reporter) = &mut self.reporter {
            reporter.report(self.effects.iter().skip(newest), now);
        }
    }

    /// Adds the answer to a ping of one of this worker's connections, after all that came before it.
    pub(super) fn push_pong(&mut self, session: SessionId, slot: u32, pong: Bytes) -> Cost {
        self.order.push(OutputRef::Pong(slot, pong));
        end_growth(&mut self.broadcasts, &self.effects, session);
        Cost { delivery: ANSWER, ..Cost::default() }
    }

    /// Adds the end of one of this worker's connections, after all that came before it.
    pub(super) fn push_ending(&mut self, session: SessionId, slot: u32, ending: Ending) -> Cost {
        self.order.push(OutputRef::Ending(slot, ending));
        end_growth(&mut self.broadcasts, &self.effects, session);
        Cost { delivery: VISIT_NS, ..Cost::default() }
    }

    /// The topic of the broadcast to which publications can still be joined, and the bytes for which it has room.
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
                    Effect::Operated { session, id, sessions } => {
                        Output::Operated { session: *session, id, sessions: *sessions }
                    }
                    Effect::Deliver { .. } | Effect::Notify { .. } | Effect::Lifecycle(_) | Effect::Ask(_) => {
                        return None;
                    }
                },
            })
        })
    }

    /// Removes everything and keeps the allocated memory.
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

/// Adds a publication to the last broadcast, if it has the same receivers and no client can observe a difference; says
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

/// Allows no more joining to the last broadcast, if this session is one of its receivers. What comes for the session
/// now must stay behind that broadcast; a publication that is joined later would overtake it.
fn end_growth(broadcasts: &mut [Broadcast], effects: &Effects, session: SessionId) {
    if let Some(last) = broadcasts.last_mut().filter(|last| last.may_grow) {
        let mut receivers = effects.receivers(&last.receivers).iter();
        last.may_grow = receivers.all(|receiver| receiver.session != session);
    }
}

/// Nanoseconds that it takes to carry out an effect for one session, about.
fn cost_for_one(effect: &Effect) -> u64 {
    let bytes = |publications: &[Publication]| publications.iter().map(batch::size).sum::<usize>();
    match effect {
        // Encoding a byte takes a nanosecond, and each byte of a history's answer is also counted before that. Only
        // the first `MAX_WRITE_BYTES` are encoded now; the rest follows as the socket takes it. What was missed may be
        // more publications than there is time to look at, so the sum stops at that bound.
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
        Effect::Send { event, .. } if matches!(**event, Event::Presence(_)) => {
            VISIT_NS + batch::event_size(event) as u64
        }
        _ => ANSWER,
    }
}

/// Publications to the same receivers, as one delivery: each receiver gets one [`Batch`], however many publications
/// are in it.
#[derive(Debug)]
pub(crate) struct Broadcast {
    receivers: Range<usize>,
    pub(crate) frames: Arc<Batch>,
    pub(crate) publishers: Vec<SessionId>,
    /// Whether nothing came since that must stay behind it.
    may_grow: bool,
}

/// An event for many sessions, and the session that caused it.
#[derive(Debug)]
pub(crate) struct Notification {
    pub(crate) event: Arc<SharedEvent>,
    receivers: Range<usize>,
    pub(super) author: SessionId,
    /// Whether it is not sent, because a later event of this turn made it untrue.
    is_withdrawn: bool,
}

/// One thing to be carried out that a turn's own inputs caused.
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
    /// For a caller.
    Operated {
        session: SessionId,
        id: &'a RequestId,
        sessions: u64,
    },
    Close {
        session: SessionId,
        code: CloseCode,
        reason: &'a Cow<'static, str>,
    },
    /// For one of this worker's connections.
    Pong {
        slot: u32,
        pong: &'a Bytes,
    },
    /// For one of this worker's connections.
    Ending {
        slot: u32,
        ending: Ending,
    },
}

/// Nanoseconds for an answer that is written together with others, about.
const ANSWER: u64 = 500;

#[cfg(test)]
mod tests {
    use super::*;
    use hubcast_protocol::event::{Presence, Present};
    use hubcast_protocol::{ClientId, Payload};

    #[test]
    fn a_list_of_members_costs_what_its_members_show() {
        let present = |info: Option<Payload>| {
            let client = ClientId::from_random([1; 16]);
            let mut present = Present::new(client);
            (present.unverified, present.info) = (info.is_some(), info);
            present
        };
        let cost = |info: Option<Payload>| {
            let clients = vec![present(info); 1000];
            let event =
                Event::Presence(Presence { id: RequestId::Number(1), topic: "room".into(), count: 1000, clients });
            cost_for_one(&Effect::Send { session: SessionId(1), event: Box::new(event) })
        };
        let (unnamed, named) = (cost(None), cost(Some("x".repeat(1000).as_str().into())));
        assert!(unnamed >= 50_000 && named >= unnamed + 1_000_000, "{unnamed} ns, {named} ns");
    }
}
