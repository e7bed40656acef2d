//! The effects of the hub: what its caller must do.

use crate::{Lifecycle, Publication, SessionId, engine::EngineCall};
use hubcast_protocol::event::{Entry, History};
use hubcast_protocol::{CloseCode, Event, Position, RequestId, Slow, Topic};
use std::{borrow::Cow, ops::Range, sync::Arc};

/// One thing for the caller to do. Effects that name the same session must reach it in the order of the list.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Send one event to one session.
    Send {
        /// The session that gets the event.
        session: SessionId,
        /// The event.
        event: Box<Event>,
    },
    /// Send the same event to several sessions; [`Effects::receivers`] lists them.
    Notify {
        /// The event. It is encoded at most once for each dialect.
        event: Arc<Event>,
        /// The range of the receivers in the list of receivers.
        receivers: Range<usize>,
    },
    /// Send one publication to several sessions; [`Effects::receivers`] lists them.
    Deliver {
        /// The publication. It is encoded at most once for each dialect.
        publication: Publication,
        /// The range of the receivers in the list of receivers.
        receivers: Range<usize>,
    },
    /// Send one session the publications that it missed, in order. They do not count against the limit of what may wait
    /// for a slow reader.
    Replay {
        /// The session that gets them.
        session: SessionId,
        /// The publications that it missed, in the order in which it must get them.
        missed: Arc<Vec<Publication>>,
    },
    /// Answer one session's `history` request. Like a replay, the answer does not count against the limit of what may
    /// wait for a slow reader.
    History {
        /// The session that asked.
        session: SessionId,
        /// The answer.
        answer: HistoryAnswer,
    },
    /// Answer a caller's [`Operate`](crate::Input::Operate): so many sessions were concerned.
    Operated {
        /// The session of the caller.
        session: SessionId,
        /// The id of the input.
        id: RequestId,
        /// The number of sessions that were closed, subscribed or unsubscribed.
        sessions: u64,
    },
    /// Close a connection after all earlier effects of its session have been written to it.
    Close {
        /// The session of the connection.
        session: SessionId,
        /// The close code.
        code: CloseCode,
        /// The reason, for people.
        reason: Cow<'static, str>,
    },
    /// Something happened to a session or a topic. Only a hub that is asked to by
    /// [`Settings::reporting`](crate::Settings::reporting) says so.
    Lifecycle(Lifecycle),
    /// Pass a question on to an engine that lives elsewhere. The embedded engine never causes this.
    Ask(EngineCall),
}

/// The answer to a `history` request, as publications and not as text. The text may be long; the server makes it in
/// parts, as the socket takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryAnswer {
    /// The id of the request.
    pub id: RequestId,
    /// The topic of the history.
    pub topic: Topic,
    /// The end of the history.
    pub position: Position,
    /// The publications that the request asked for, oldest first.
    pub publications: Vec<Publication>,
}

impl HistoryAnswer {
    /// The whole answer as one event.
    pub fn to_event(&self) -> Event {
        let entries = self.publications.iter().filter_map(|publication| {
            let offset = publication.position()?.offset;
            Some(Entry::new(offset, publication.payload().clone(), publication.author()))
        });
        Event::History(History {
            id: self.id.clone(),
            topic: self.topic.clone(),
            epoch: self.position.epoch,
            offset: self.position.offset,
            messages: entries.collect(),
        })
    }
}

/// One session in a list of receivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receiver {
    /// The session.
    pub session: SessionId,
    /// What its subscription asks for when its connection is too slow.
    pub slow: Slow,
}

/// Effects in delivery order, pushed by the hub into what the caller gives. [`Effects::clear`] empties it and keeps the
/// memory for the next use.
#[derive(Clone, Debug, Default)]
pub struct Effects {
    list: Vec<Effect>,
    receivers: Vec<Receiver>,
    /// The list of a topic's subscribers that was made last. It is used again while [`ListKey`] is the same.
    last_list: Option<Range<usize>>,
    last_key: ListKey,
    work: u64,
}

/// What a list of receivers was made from. While the key is the same, the list is the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ListKey {
    /// The version of the topic's own channel; 0 if it has none.
    pub(crate) topic: u64,
    /// The number of the look-up that found the matching patterns, and the version of all subscriptions to patterns;
    /// both are 0 if no pattern matches.
    pub(crate) patterns: (u64, u64),
    /// The session that the list leaves out.
    pub(crate) except: Option<u32>,
}

impl Effects {
    /// Removes all effects, so that the memory can be used again. Gives back memory beyond 32,768 effects and as many
    /// receivers, which one large input may have needed.
    pub fn clear(&mut self) {
        self.list.clear();
        self.list.shrink_to(KEPT);
        self.receivers.clear();
        self.receivers.shrink_to(KEPT);
        self.last_list = None;
        self.work = 0;
    }

    /// Nanoseconds that the hub has worked since the effects were cleared. They are computed from what the hub did and
    /// not measured, so that the same inputs give the same number. A caller that shares the hub stops handing in inputs
    /// when this is too much.
    pub fn work(&self) -> u64 {
        self.work
    }

    /// The effects, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Effect> {
        self.list.iter()
    }

    /// The effect with this number, in order from 0.
    pub fn get(&self, number: usize) -> Option<&Effect> {
        self.list.get(number)
    }

    /// The receivers of an [`Effect::Deliver`] or [`Effect::Notify`].
    pub fn receivers(&self, of: &Range<usize>) -> &[Receiver] {
        &self.receivers[of.clone()]
    }

    /// The number of effects.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there is no effect.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(crate) fn push(&mut self, effect: Effect) {
        self.list.push(effect);
    }

    pub(crate) fn send(&mut self, session: SessionId, event: Event) {
        self.list.push(Effect::Send { session, event: Box::new(event) });
    }

    /// Adds this many nanoseconds to the work of the hub.
    pub(crate) fn add_work(&mut self, nanoseconds: u64) {
        self.work = self.work.saturating_add(nanoseconds);
    }

    /// Delivers to one receiver, if there is one. Returns the number of receivers.
    pub(crate) fn deliver_to(&mut self, publication: &Publication, receiver: Option<Receiver>) -> usize {
        let start = self.receivers.len();
        self.receivers.extend(receiver);
        let receivers = start..self.receivers.len();
        self.push_delivery(publication, receivers)
    }

    /// Delivers to the receivers that `fill` lists, or to the last list if it was made from the same `key`. Returns the
    /// number of receivers.
    pub(crate) fn deliver(
        &mut self,
        publication: &Publication,
        key: ListKey,
        fill: impl FnOnce(&mut Vec<Receiver>) -> usize,
    ) -> usize {
        let receivers = match &self.last_list {
            Some(receivers) if self.last_key == key => receivers.clone(),
            _ => {
                let receivers = self.list_receivers(fill);
                (self.last_list, self.last_key) = (Some(receivers.clone()), key);
                receivers
            }
        };
        self.push_delivery(publication, receivers)
    }

    /// Whether the last list of receivers was made from `key`.
    pub(crate) fn has_list(&self, key: ListKey) -> bool {
        self.last_list.is_some() && self.last_key == key
    }

    /// Stores a list of receivers that was made from `key`, for the deliveries that follow.
    pub(crate) fn keep_list(&mut self, key: ListKey, list: Vec<Receiver>) {
        let receivers = self.list_receivers(|receivers| {
            receivers.extend(list);
            0
        });
        (self.last_list, self.last_key) = (Some(receivers), key);
    }

    fn push_delivery(&mut self, publication: &Publication, receivers: Range<usize>) -> usize {
        let count = receivers.len();
        if count > 0 {
            self.list.push(Effect::Deliver { publication: publication.clone(), receivers });
        }
        count
    }

    pub(crate) fn answer_history(&mut self, session: SessionId, answer: HistoryAnswer) {
        self.add_work(COLLECT_NS * answer.publications.len() as u64);
        self.list.push(Effect::History { session, answer });
    }

    pub(crate) fn replay(&mut self, session: SessionId, missed: Vec<Publication>) {
        self.list.push(Effect::Replay { session, missed: Arc::new(missed) });
    }

    /// Sends an event to the receivers that `fill` pushes. `fill` returns how many members it has looked at.
    pub(crate) fn tell(&mut self, event: Event, fill: impl FnOnce(&mut Vec<Receiver>) -> usize) {
        let receivers = self.list_receivers(fill);
        if !receivers.is_empty() {
            self.list.push(Effect::Notify { event: Arc::new(event), receivers });
        }
    }

    /// Lists the receivers that `fill` pushes. `fill` returns how many members it has looked at.
    fn list_receivers(&mut self, fill: impl FnOnce(&mut Vec<Receiver>) -> usize) -> Range<usize> {
        let start = self.receivers.len();
        let looked_at = fill(&mut self.receivers);
        self.add_work(MEMBER_NS * looked_at as u64);
        start..self.receivers.len()
    }
}

/// Approximate nanoseconds for looking at one member and listing it.
pub(crate) const MEMBER_NS: u64 = 10;

/// Approximate nanoseconds for collecting one publication of a history.
pub(crate) const COLLECT_NS: u64 = 40;

/// The number of effects, and of receivers, for which the memory is kept.
const KEPT: usize = 32 * 1024;
