//! Events that wait because their opposite may follow soon: a client that is lost may be back, and a topic without
//! subscribers may get one. If it comes in time, neither of the two is told. Time is an argument.
//!
//! A client that is back has another id. It goes on under the id that was told first, so that what is told adds up.

use super::event::{EventKind, HookEvent};
use crate::trace_context::TraceContext;
use hubcast_hub::{Lifecycle, MemberName, SessionId, Who};
use hubcast_protocol::{ClientId, Target, Topic};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::{Duration, Instant};

/// Something that happened, with its time on both clocks.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) at: Instant,
    /// Milliseconds since 1970-01-01 UTC.
    pub(crate) unix_ms: u64,
    pub(crate) happened: Lifecycle,
    /// The trace that the connection of its client belongs to.
    pub(crate) trace: Option<TraceContext>,
    /// How the connection ended, for a client that is gone.
    pub(crate) end: Option<ConnectionEnd>,
}

/// How a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ConnectionEnd {
    pub(crate) code: u16,
    pub(crate) reason: Box<str>,
    pub(crate) open_for: Duration,
}

/// What waits, and what is known of clients that came back.
#[derive(Debug, Default)]
pub(crate) struct Settling {
    /// In the order in which they are due.
    waiting: BTreeMap<(Instant, u64), Waiting>,
    last: u64,
    /// The clients that were lost and may be back, the first one first.
    lost: HashMap<MemberName, VecDeque<Place>>,
    /// By the told id of a client: the subscriptions that it may make again.
    unsubscribed: HashMap<ClientId, HashMap<Target, Place>>,
    vacant: HashMap<Topic, Place>,
    /// The clients that are connected and have not said who they are.
    unnamed: HashMap<SessionId, Place>,
    /// The clients that came back.
    returned: HashMap<SessionId, Returned>,
}

/// The place of an event in the list of those that wait.
type Place = (Instant, u64);

/// An event that waits, and how it is found.
#[derive(Debug)]
enum Waiting {
    Connected { event: HookEvent, who: Who },
    Lost { event: HookEvent, name: MemberName, first: Returned },
    Unsubscribed { event: HookEvent, client: ClientId, target: Target },
    Vacant { event: HookEvent, topic: Topic },
}

/// The first id of a client that came back, and when it connected first.
#[derive(Clone, Copy, Debug)]
struct Returned {
    client: ClientId,
    since: Instant,
}

impl Settling {
    /// Takes what happened, and gives `tell` what is to be told now.
    pub(crate) fn take(&mut self, report: Report, tell: &mut impl FnMut(HookEvent)) {
        let Report { at, unix_ms, happened, trace, end } = report;
        let event = |kind| HookEvent::new(kind, unix_ms).in_trace(trace);
        match happened {
            Lifecycle::Connected(who) => self.connected(at, who, event(EventKind::ClientConnected), tell),
            Lifecycle::Identified(who) => self.identified(&who, tell),
            Lifecycle::Subscribed(who, target) => {
                self.tell_unnamed(who.session, tell);
                let client = self.told_id(&who);
                if self.forget_unsubscribed(client, &target).and_then(|place| self.waiting.remove(&place)).is_none() {
                    tell(event(EventKind::TopicSubscribed).of(&who, client).about(target));
                }
            }
            Lifecycle::Unsubscribed { who, target, lost } => {
                self.tell_unnamed(who.session, tell);
                let client = self.told_id(&who);
                let event = event(EventKind::TopicUnsubscribed).of(&who, client).about(target.clone());
                if lost && who.identity.is_some() {
                    let waiting = Waiting::Unsubscribed { event, client, target: target.clone() };
                    let place = self.wait(at + RETURN_WITHIN, waiting, tell);
                    self.unsubscribed.entry(client).or_default().insert(target, place);
                } else {
                    tell(event);
                }
            }
            Lifecycle::Disconnected { who, lost } => {
                self.tell_unnamed(who.session, tell);
                let event = event(EventKind::ClientDisconnected);
                self.disconnected(at, &who, (event, end.unwrap_or_else(ConnectionEnd::unknown)), lost, tell);
            }
            Lifecycle::Occupied(topic) => {
                if self.vacant.remove(&topic).and_then(|place| self.waiting.remove(&place)).is_none() {
                    tell(event(EventKind::TopicOccupied).about(topic.into()));
                }
            }
            Lifecycle::Vacant(topic) => {
                let event = event(EventKind::TopicVacant).about(topic.clone().into());
                let place = self.wait(at + RETURN_WITHIN, Waiting::Vacant { event, topic: topic.clone() }, tell);
                self.vacant.insert(topic, place);
            }
        }
    }

    /// Tells what has waited long enough, at most so many events. The rest stays due.
    pub(crate) fn tell_due(&mut self, most: usize, now: Instant, tell: &mut impl FnMut(HookEvent)) {
        for _ in 0..most {
            if self.due().is_none_or(|due| due > now) {
                return;
            }
            self.tell_first(tell);
        }
    }

    /// Tells all that waits, because nobody can come back any more.
    pub(crate) fn tell_all(&mut self, tell: &mut impl FnMut(HookEvent)) {
        while !self.waiting.is_empty() {
            self.tell_first(tell);
        }
    }

    /// When the next event has waited long enough.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.waiting.keys().next().map(|(due, _)| *due)
    }
}

impl Settling {
    fn connected(&mut self, at: Instant, who: Who, event: HookEvent, tell: &mut impl FnMut(HookEvent)) {
        // The number of a session is used again.
        self.returned.remove(&who.session);
        match &who.identity {
            Some(identity) if self.comes_back(who.session, &identity.name) => {}
            Some(_) => tell(event.of(&who, who.client)),
            None => {
                let session = who.session;
                let place = self.wait(at + NAMED_WITHIN, Waiting::Connected { event, who }, tell);
                self.unnamed.insert(session, place);
            }
        }
    }

    /// A client says who it is. If it was not told yet, it is told with its name, or has come back.
    fn identified(&mut self, who: &Who, tell: &mut impl FnMut(HookEvent)) {
        let waiting = self.unnamed.remove(&who.session).and_then(|place| self.waiting.remove(&place));
        if let (Some(Waiting::Connected { event, .. }), Some(identity)) = (waiting, &who.identity)
            && !self.comes_back(who.session, &identity.name)
        {
            tell(event.of(who, who.client));
        }
    }

    fn disconnected(
        &mut self,
        at: Instant,
        who: &Who,
        (event, end): (HookEvent, ConnectionEnd),
        lost: bool,
        tell: &mut impl FnMut(HookEvent),
    ) {
        let ConnectionEnd { code, reason, open_for } = end;
        let since = at.checked_sub(open_for).unwrap_or(at);
        let first = self.returned.remove(&who.session).unwrap_or(Returned { client: who.client, since });
        let seconds = at.saturating_duration_since(first.since).as_secs();
        let event = event.of(who, first.client).ended(code, reason, seconds);
        match &who.identity {
            Some(identity) if lost => {
                let name = identity.name.clone();
                let place = self.wait(at + RETURN_WITHIN, Waiting::Lost { event, name: name.clone(), first }, tell);
                self.lost.entry(name).or_default().push_back(place);
            }
            _ => {
                // What it had before it came back, and has not subscribed to again.
                let left = self.unsubscribed.remove(&first.client);
                let mut left: Vec<_> = left.into_iter().flat_map(HashMap::into_values).collect();
                left.sort_unstable();
                for place in left {
                    if let Some(Waiting::Unsubscribed { event, .. }) = self.waiting.remove(&place) {
                        tell(event);
                    }
                }
                tell(event);
            }
        }
    }

    fn forget_unsubscribed(&mut self, client: ClientId, target: &Target) -> Option<Place> {
        let targets = self.unsubscribed.get_mut(&client)?;
        let place = targets.remove(target);
        if targets.is_empty() {
            self.unsubscribed.remove(&client);
        }
        place
    }

    /// Whether this is a client that was lost. If so, neither that nor this is told.
    fn comes_back(&mut self, session: SessionId, name: &MemberName) -> bool {
        let Some(place) = self.lost.get_mut(name).and_then(VecDeque::pop_front) else { return false };
        if self.lost.get(name).is_some_and(VecDeque::is_empty) {
            self.lost.remove(name);
        }
        if let Some(Waiting::Lost { first, .. }) = self.waiting.remove(&place) {
            self.returned.insert(session, first);
        }
        true
    }

    /// Tells that a client is connected before anything else about it.
    fn tell_unnamed(&mut self, session: SessionId, tell: &mut impl FnMut(HookEvent)) {
        let waiting = self.unnamed.remove(&session).and_then(|place| self.waiting.remove(&place));
        if let Some(Waiting::Connected { event, who }) = waiting {
            tell(event.of(&who, who.client));
        }
    }

    /// The id under which a client was told.
    fn told_id(&self, who: &Who) -> ClientId {
        self.returned.get(&who.session).map_or(who.client, |first| first.client)
    }

    /// Adds an event that waits. If there are too many, the first one is told now.
    fn wait(&mut self, until: Instant, waiting: Waiting, tell: &mut impl FnMut(HookEvent)) -> Place {
        if self.waiting.len() >= MAX_WAITING {
            self.tell_first(tell);
        }
        self.last += 1;
        self.waiting.insert((until, self.last), waiting);
        (until, self.last)
    }

    fn tell_first(&mut self, tell: &mut impl FnMut(HookEvent)) {
        let Some((place, waiting)) = self.waiting.pop_first() else { return };
        match waiting {
            Waiting::Connected { event, who } => {
                self.unnamed.remove(&who.session);
                tell(event.of(&who, who.client));
            }
            Waiting::Lost { event, name, .. } => {
                if let Some(places) = self.lost.get_mut(&name) {
                    match places.front() == Some(&place) {
                        true => drop(places.pop_front()),
                        false => places.retain(|other| *other != place),
                    }
                    if places.is_empty() {
                        self.lost.remove(&name);
                    }
                }
                tell(event);
            }
            Waiting::Unsubscribed { event, client, target } => {
                self.forget_unsubscribed(client, &target);
                tell(event);
            }
            Waiting::Vacant { event, topic } => {
                self.vacant.remove(&topic);
                tell(event);
            }
        }
    }
}

impl ConnectionEnd {
    /// An end of which nothing is known: the connection broke (RFC 6455 section 7.4.1).
    fn unknown() -> Self {
        Self { code: 1006, reason: Box::default(), open_for: Duration::ZERO }
    }
}

/// How long a lost client or a topic without subscribers is not told.
pub(crate) const RETURN_WITHIN: Duration = Duration::from_secs(3);

/// How long a client without a user is not told, because it may say who it is.
pub(crate) const NAMED_WITHIN: Duration = Duration::from_millis(500);

/// Most events that wait. One more, and the first one is told.
pub(crate) const MAX_WAITING: usize = 10_000;

#[cfg(test)]
mod tests;
