//! The hub, shared by all workers.
//!
//! One lock orders everything: a worker takes it once a turn, hands its inputs to the hub, puts what concerns other
//! workers' connections into their mail and takes its own mail out. So each connection sees effects in hub order:
//! first the mail, which is older, then what this turn's inputs caused.

use crate::frames::{Frames, SharedEvent};
use hubcast_hub::{Effect, Effects, Hub, Input, Publication, Saved, SessionId};
use hubcast_protocol::{CloseCode, Event, Slow};
use std::borrow::Cow;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use tokio::sync::Notify;

/// The hub and the mail of each worker.
#[derive(Debug)]
pub(crate) struct Exchange {
    shared: Mutex<Shared>,
    wakes: Vec<Arc<Notify>>,
}

#[derive(Debug)]
struct Shared {
    hub: Hub,
    mail: Vec<Vec<Parcel>>,
}

/// What one worker's turn caused for the connections of another.
#[derive(Debug)]
pub(crate) enum Parcel {
    Send {
        slot: u32,
        event: Box<Event>,
    },
    Tell {
        event: Arc<SharedEvent>,
        slots: Slots,
    },
    Deliver {
        frames: Arc<Frames>,
        slots: Slots,
        publishers: Vec<SessionId>,
    },
    Close {
        slot: u32,
        code: CloseCode,
        reason: Cow<'static, str>,
    },
    Replay {
        slot: u32,
        missed: Vec<Publication>,
    },
    /// One of the receivers of this publisher is far behind.
    Pause {
        publisher: u32,
    },
}

/// The receivers of one thing on one worker.
pub(crate) type Slots = Vec<(u32, Slow)>;

/// What a worker takes home from its turn at the hub; kept between turns for its room.
#[derive(Debug, Default)]
pub(crate) struct Haul {
    /// What others caused, older than all of `effects`.
    pub(crate) mail: Vec<Parcel>,
    pub(crate) effects: Effects,
    pub(crate) deliveries: Vec<Delivery>,
    /// What the `Tell`s among the effects tell, one for each, in order.
    pub(crate) told: Vec<Arc<SharedEvent>>,
    /// When the hub has something to do by itself.
    pub(crate) next_timeout: Option<Instant>,
}

/// Deliveries to the same receivers, as one: each of these gets one piece of bytes in a turn, however many were
/// published to it.
#[derive(Debug)]
pub(crate) struct Delivery {
    /// Which of the effects it stands for; the later ones that were joined to it are skipped.
    pub(crate) effect: usize,
    receivers: Range<usize>,
    pub(crate) frames: Arc<Frames>,
    pub(crate) publishers: Vec<SessionId>,
    /// Whether nothing came since that must stay behind it.
    may_grow: bool,
}

impl Exchange {
    /// A hub for as many workers as there are wakes.
    pub(crate) fn new(hub: Hub, wakes: Vec<Arc<Notify>>) -> Arc<Self> {
        let mail = wakes.iter().map(|_| Vec::new()).collect();
        Arc::new(Self { shared: Mutex::new(Shared { hub, mail }), wakes })
    }

    /// Hands inputs to the hub and collects what follows for the connections of `worker`.
    pub(crate) fn turn(&self, worker: usize, now: Instant, inputs: &mut Vec<Input>, haul: &mut Haul) {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let Shared { hub, mail } = &mut *shared;
        std::mem::swap(&mut mail[worker], &mut haul.mail);
        let mut posted = false;
        for input in inputs.drain(..) {
            let publisher = publisher(&input);
            let before = haul.effects.len();
            hub.handle(now, input, &mut haul.effects);
            haul.take_in(before, publisher);
        }
        if hub.poll_timeout().is_some_and(|at| at <= now) {
            let before = haul.effects.len();
            hub.handle_timeout(now, &mut haul.effects);
            haul.take_in(before, NOBODY);
        }
        haul.next_timeout = hub.poll_timeout();
        if mail.len() > 1 {
            posted = post(worker, haul, mail);
        }
        drop(shared);
        if posted {
            self.wake_others(worker);
        }
    }

    /// Slows down publishers of other workers.
    pub(crate) fn pause(&self, worker: usize, publishers: &mut Vec<SessionId>) {
        if publishers.is_empty() {
            return;
        }
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        for publisher in publishers.drain(..) {
            shared.mail[worker_of(publisher)].push(Parcel::Pause { publisher: slot_of(publisher) });
        }
        drop(shared);
        self.wake_others(worker);
    }

    /// Whether all that a session subscribed to may be left out.
    pub(crate) fn may_lag(&self, session: SessionId) -> bool {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).hub.may_lag(session)
    }

    /// What the next run is to go on with.
    pub(crate) fn save(&self, now: Instant) -> Saved {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).hub.save(now)
    }

    fn wake_others(&self, worker: usize) {
        // A wake without mail costs an empty turn; knowing who has mail would cost more in the lock.
        for (other, wake) in self.wakes.iter().enumerate() {
            if other != worker {
                wake.notify_one();
            }
        }
    }
}

impl Haul {
    /// Prepares the newest effects for all workers: what goes to many is to be encoded once. A delivery is joined to
    /// the one before where nobody can tell the difference.
    fn take_in(&mut self, newest: usize, publisher: SessionId) {
        let effects = &self.effects;
        for (effect, kind) in effects.iter().enumerate().skip(newest) {
            let last = self.deliveries.last_mut().filter(|last| last.may_grow);
            match kind {
                Effect::Deliver { publication, receivers } => {
                    if let Some(last) = last
                        && effects.receivers(receivers) == effects.receivers(&last.receivers)
                        && Arc::get_mut(&mut last.frames).is_some_and(|frames| frames.add(publication))
                    {
                        last.publishers.push(publisher);
                        continue;
                    }
                    let (receivers, publishers) = (receivers.clone(), vec![publisher]);
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
                    self.told.push(Arc::new(SharedEvent::new(Arc::clone(event))));
                    // Comparing who is told with who got the delivery would cost more than joining saves.
                    if let Some(last) = last {
                        last.may_grow = false;
                    }
                }
                Effect::Ask(_) => {}
            }
        }
    }

    /// The receivers on every worker but one, by worker; of those who have none, an empty list.
    fn elsewhere(&self, worker: usize, workers: usize, receivers: &Range<usize>) -> Vec<Slots> {
        let mut slots = vec![Vec::new(); workers];
        for receiver in self.effects.receivers(receivers) {
            if worker_of(receiver.session) != worker {
                slots[worker_of(receiver.session)].push((slot_of(receiver.session), receiver.slow));
            }
        }
        slots
    }

    /// Forgets everything but the room.
    pub(crate) fn clear(&mut self) {
        self.mail.clear();
        self.effects.clear();
        self.deliveries.clear();
        self.told.clear();
    }
}

/// Puts what concerns other workers into their mail; says whether there was anything.
fn post(worker: usize, haul: &Haul, mail: &mut [Vec<Parcel>]) -> bool {
    let mut posted = false;
    let mut deliveries = haul.deliveries.iter().peekable();
    let mut told = haul.told.iter();
    for (place, effect) in haul.effects.iter().enumerate() {
        match effect {
            Effect::Send { session, event } if worker_of(*session) != worker => {
                let parcel = Parcel::Send { slot: slot_of(*session), event: event.clone() };
                mail[worker_of(*session)].push(parcel);
                posted = true;
            }
            Effect::Close { session, code, reason } if worker_of(*session) != worker => {
                let parcel = Parcel::Close { slot: slot_of(*session), code: *code, reason: reason.clone() };
                mail[worker_of(*session)].push(parcel);
                posted = true;
            }
            Effect::Deliver { receivers, .. } => {
                let Some(Delivery { frames, publishers, .. }) = deliveries.next_if(|next| next.effect == place) else {
                    continue;
                };
                let slots = haul.elsewhere(worker, mail.len(), receivers);
                for (mail, slots) in mail.iter_mut().zip(slots).filter(|(_, slots)| !slots.is_empty()) {
                    let (frames, publishers) = (Arc::clone(frames), publishers.clone());
                    mail.push(Parcel::Deliver { frames, slots, publishers });
                    posted = true;
                }
            }
            Effect::Tell { receivers, .. } => {
                let Some(event) = told.next() else { continue };
                let slots = haul.elsewhere(worker, mail.len(), receivers);
                for (mail, slots) in mail.iter_mut().zip(slots).filter(|(_, slots)| !slots.is_empty()) {
                    mail.push(Parcel::Tell { event: Arc::clone(event), slots });
                    posted = true;
                }
            }
            Effect::Replay { session, missed } if worker_of(*session) != worker => {
                let parcel = Parcel::Replay { slot: slot_of(*session), missed: missed.clone() };
                mail[worker_of(*session)].push(parcel);
                posted = true;
            }
            Effect::Send { .. } | Effect::Close { .. } | Effect::Replay { .. } | Effect::Ask(_) => {}
        }
    }
    posted
}

/// The session behind an input that can cause a delivery.
fn publisher(input: &Input) -> SessionId {
    match input {
        Input::Request { session, .. }
        | Input::Connect { session, .. }
        | Input::SendAway { session, .. }
        | Input::Disconnect { session, .. } => *session,
        Input::Reply(_) => NOBODY,
    }
}

/// The hub's name for a connection: its worker in the upper 8 bits, its slot in the lower 24.
pub(crate) fn session(worker: usize, slot: u32) -> SessionId {
    let worker = u32::try_from(worker).unwrap_or(u32::MAX);
    SessionId(worker << SLOT_BITS | slot)
}

pub(crate) fn worker_of(session: SessionId) -> usize {
    (session.0 >> SLOT_BITS) as usize
}

pub(crate) fn slot_of(session: SessionId) -> u32 {
    session.0 & SLOTS
}

const SLOT_BITS: u32 = 24;
const SLOTS: u32 = (1 << SLOT_BITS) - 1;

/// A publisher that is no connection here, and so is never paused: of the last slot of the first worker.
const NOBODY: SessionId = SessionId(SLOTS);

/// The most workers that the hub's names for connections can tell apart.
pub(crate) const MAX_WORKERS: usize = 256;
