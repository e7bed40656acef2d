//! What the hub wants done.

use crate::{Publication, SessionId, engine::EngineCall};
use hubcast_protocol::event::{Entry, History};
use hubcast_protocol::{CloseCode, Event, Position, RequestId, Slow, Topic};
use std::{borrow::Cow, ops::Range, sync::Arc};

/// One thing to do. Those that name the same session must reach it in the order of the list.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Tell one session something.
    Send {
        /// Who is told.
        session: SessionId,
        /// What.
        event: Box<Event>,
    },
    /// Tell each of many sessions the same; [`Effects::receivers`] lists them.
    Notify {
        /// What, encoded once for a dialect.
        event: Arc<Event>,
        /// Where in the list they stand.
        receivers: Range<usize>,
    },
    /// Hand one publication to each of many sessions; [`Effects::receivers`] lists them.
    Deliver {
        /// What they get, encoded once for a dialect.
        publication: Publication,
        /// Where in the list they stand.
        receivers: Range<usize>,
    },
    /// Hand one session what it missed, in order. It does not count against what may wait for a slow reader.
    Replay {
        /// Who gets it.
        session: SessionId,
        /// What.
        missed: Arc<Vec<Publication>>,
    },
    /// Answer one session's `history` request. Like a replay it does not count against what may wait for a slow reader.
    History {
        /// Who asked.
        session: SessionId,
        /// What was found.
        answer: HistoryAnswer,
    },
    /// Close a connection once everything before this has been written to it.
    Close {
        /// Whose.
        session: SessionId,
        /// With which code.
        code: CloseCode,
        /// Why, for people.
        reason: Cow<'static, str>,
    },
    /// Pass a question on to an engine that lives elsewhere; the embedded one never causes this.
    Ask(EngineCall),
}

/// The answer to a `history` request, with the publications themselves: its text may be long, and is made as the socket
/// takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryAnswer {
    /// Of the request.
    pub id: RequestId,
    /// Whose history.
    pub topic: Topic,
    /// The end of the history.
    pub position: Position,
    /// What was asked for, oldest first.
    pub publications: Vec<Publication>,
}

impl HistoryAnswer {
    /// The answer as an event of its own.
    pub fn to_event(&self) -> Event {
        let entries = self.publications.iter().filter_map(|publication| {
            let offset = publication.position()?.offset;
            Some(Entry { offset, payload: publication.payload().clone() })
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

/// One session of many that get the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receiver {
    /// Who.
    pub session: SessionId,
    /// What its subscription wants when its connection cannot keep up.
    pub slow: Slow,
}

/// Effects in delivery order, pushed by the hub into what the caller gives; [`Effects::clear`] keeps the room.
#[derive(Clone, Debug, Default)]
pub struct Effects {
    list: Vec<Effect>,
    receivers: Vec<Receiver>,
    /// The list that was made last of the subscribers of topics, to be used again while these are the same.
    last_list: Option<Range<usize>>,
    last_key: ListKey,
    work: u64,
}

/// What a list of receivers was made from: as long as this is the same, the list is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ListKey {
    /// The version of the topic's own channel; 0 where it has none.
    pub(crate) topic: u64,
    /// The number of the look-up that found the patterns that match, and the last change of the subscriptions of any pattern;
    /// 0 where none matches.
    pub(crate) patterns: (u64, u64),
    /// Who is left out.
    pub(crate) except: Option<u32>,
}

impl Effects {
    /// Forgets everything, so that the room can be used again; what one large input needed is given back.
    pub fn clear(&mut self) {
        self.list.clear();
        self.list.shrink_to(KEPT);
        self.receivers.clear();
        self.receivers.shrink_to(KEPT);
        self.last_list = None;
        self.work = 0;
    }

    /// How long the hub has worked since the effects were cleared, in nanoseconds: counted from what it did, not measured,
    /// so that the same inputs give the same number. A caller that shares the hub hands it no more when this is too much.
    pub fn work(&self) -> u64 {
        self.work
    }

    /// The effects in order.
    pub fn iter(&self) -> impl Iterator<Item = &Effect> {
        self.list.iter()
    }

    /// The effect with this number, in order from 0.
    pub fn get(&self, number: usize) -> Option<&Effect> {
        self.list.get(number)
    }

    /// The sessions that an [`Effect::Deliver`] or [`Effect::Notify`] of this list names.
    pub fn receivers(&self, of: &Range<usize>) -> &[Receiver] {
        &self.receivers[of.clone()]
    }

    /// How many effects there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(crate) fn push(&mut self, effect: Effect) {
        self.list.push(effect);
    }

    pub(crate) fn send(&mut self, session: SessionId, event: Event) {
        self.list.push(Effect::Send { session, event: Box::new(event) });
    }

    /// Notes that the hub has worked for so many nanoseconds.
    pub(crate) fn add_work(&mut self, nanoseconds: u64) {
        self.work = self.work.saturating_add(nanoseconds);
    }

    /// Delivers to one session, if there is one; says how many they are.
    pub(crate) fn deliver_to(&mut self, publication: &Publication, receiver: Option<Receiver>) -> usize {
        let start = self.receivers.len();
        self.receivers.extend(receiver);
        let receivers = start..self.receivers.len();
        self.push_delivery(publication, receivers)
    }

    /// Delivers to the receivers that `fill` lists, unless they were listed from the same `key` before; says how many
    /// they are.
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

    /// Whether the receivers are listed that are made from `key`.
    pub(crate) fn has_list(&self, key: ListKey) -> bool {
        self.last_list.is_some() && self.last_key == key
    }

    /// Takes up a list of receivers that was made from `key`.
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

    /// Lists the receivers that `fill` pushes, having looked at as many members as it says, and tells them.
    pub(crate) fn tell(&mut self, event: Event, fill: impl FnOnce(&mut Vec<Receiver>) -> usize) {
        let receivers = self.list_receivers(fill);
        if !receivers.is_empty() {
            self.list.push(Effect::Notify { event: Arc::new(event), receivers });
        }
    }

    /// Lists receivers; `fill` says how many members it has looked at.
    fn list_receivers(&mut self, fill: impl FnOnce(&mut Vec<Receiver>) -> usize) -> Range<usize> {
        let start = self.receivers.len();
        let looked_at = fill(&mut self.receivers);
        self.add_work(MEMBER_NS * looked_at as u64);
        start..self.receivers.len()
    }
}

/// Nanoseconds that it takes to look at one member and list it, about.
pub(crate) const MEMBER_NS: u64 = 10;

/// Nanoseconds that it takes to collect one publication of a history, about.
pub(crate) const COLLECT_NS: u64 = 40;

/// Effects and receivers whose room is kept.
const KEPT: usize = 32 * 1024;
