//! What an operator may see: topics and sessions, a page at a time, and counters.

use super::Hub;
use super::reporting::who;
use crate::subscriptions::ChannelKey;
use crate::{Counters, EvictionReason, MemberName, SessionId, Who, engine::Engine};
use hubcast_protocol::{AnonymousId, ClientId, Position, Target, Topic};

/// Some items of a list, and where the next ones are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page<T> {
    /// The items, in no order that means anything.
    pub items: Vec<T>,
    /// The cursor for the items after these; `None` if there are no more. What comes or goes between two pages may be
    /// missing in both.
    pub next: Option<u64>,
}

/// One topic in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicInfo {
    /// Its name.
    pub topic: Topic,
    /// The sessions that are subscribed to it by its name.
    pub subscribers: u64,
    /// The end of its history, if it has one now.
    pub position: Option<Position>,
    /// The publications that are kept now.
    pub publications: u64,
}

/// One session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionInfo {
    /// The caller's number for it.
    pub session: SessionId,
    /// Its id.
    pub client: ClientId,
    /// Its user.
    pub user: Option<Box<str>>,
    /// The id that presence shows of it, if it has no user.
    pub anonymous: Option<AnonymousId>,
    /// The number of its subscriptions.
    pub subscriptions: u64,
    /// When its token expires, in seconds since 1970-01-01 UTC.
    pub expires: Option<u64>,
}

impl Hub {
    /// A page of the topics that have subscribers by their names or a history. Looks at most at `limit` entries, so
    /// that a page may be shorter, or empty, although more follow.
    pub fn topics_page(&self, prefix: &str, cursor: u64, limit: usize) -> Page<TopicInfo> {
        let mut items = Vec::new();
        let (channels, histories) = (self.subscriptions.capacity() as u64, self.engine.entries() as u64);
        // The channels come first, then the histories of topics without a channel.
        let mut at = cursor;
        for _ in 0..limit {
            let found = match at.checked_sub(channels) {
                None => self.subscribed_topic(at),
                Some(number) if number < histories => self.topic_with_history_only(number),
                Some(_) => return Page { items, next: None },
            };
            at += 1;
            let found = found.filter(|topic| topic.as_str().starts_with(prefix));
            items.extend(found.map(|topic| self.topic_info(topic)));
        }
        let next = (at < channels + histories).then_some(at);
        Page { items, next }
    }

    /// One topic. One that nobody uses has no subscribers and no position.
    pub fn topic_info(&self, topic: &Topic) -> TopicInfo {
        let subscribers = self.topics.get(topic).map_or(0, |channel| self.subscriptions.count(*channel));
        let position = self.engine.position(topic);
        let publications = self.engine.kept(topic);
        TopicInfo { topic: topic.clone(), subscribers: subscribers as u64, position, publications: publications as u64 }
    }

    /// Drops the publications of a topic's history. Its epoch and its last offset stay. Returns how many there were.
    pub fn delete_history(&mut self, topic: &Topic) -> u64 {
        self.engine.delete_history(topic) as u64
    }

    /// What the hub has done, and what there is.
    pub fn counters(&self) -> Counters {
        let (dropped, evicted) = (self.engine.dropped(), self.engine.evicted());
        let mut counters = Counters {
            sessions: self.by_id.len() as u64,
            channels: self.subscriptions.len() as u64,
            topics: self.topics.len() as u64,
            topic_subscriptions: self.subscriptions.to_topics(),
            pattern_subscriptions: self.subscriptions.to_patterns(),
            presence_members: self.present + self.grace.len() as u64,
            histories: self.engine.histories() as u64,
            history_bytes: self.engine.history_bytes() as u64,
            ..self.counters
        };
        counters.evictions[EvictionReason::Age] = dropped.by_age;
        counters.evictions[EvictionReason::Size] = dropped.by_size;
        counters.evictions[EvictionReason::Memory] = evicted.publications;
        counters
    }

    fn subscribed_topic(&self, number: u64) -> Option<&Topic> {
        match self.subscriptions.key(u32::try_from(number).ok()?)? {
            ChannelKey::Topic(topic) => Some(topic),
            ChannelKey::Pattern(_) | ChannelKey::Presence(_) => None,
        }
    }

    fn topic_with_history_only(&self, number: u64) -> Option<&Topic> {
        let topic = self.engine.topic_at(u32::try_from(number).ok()?)?;
        Some(topic).filter(|topic| !self.topics.contains_key(*topic))
    }
}

impl<E: Engine> Hub<E> {
    /// A page of the sessions of clients. Looks at most at `limit` entries.
    pub fn sessions_page(&self, cursor: u64, limit: usize) -> Page<SessionInfo> {
        let end = self.subscriptions.sessions.capacity() as u64;
        let last = end.min(cursor.saturating_add(limit as u64));
        let items = (cursor..last).filter_map(|number| {
            let session = self.subscriptions.sessions.get(usize::try_from(number).ok()?)?;
            let is_client = !matches!(session.identity.as_deref().map(|of| &of.name), Some(MemberName::ApiKey(_)));
            is_client.then(|| self.session_info(u32::try_from(number).unwrap_or(u32::MAX)))
        });
        Page { items: items.collect(), next: (last < end).then_some(last) }
    }

    /// One session, and its subscriptions, at most `limit` of them.
    pub fn session_of(&self, client: ClientId, limit: usize) -> Option<(SessionInfo, Vec<Target>)> {
        let session = *self.by_client.get(&client)?;
        let targets = self.subscriptions.places(session).filter_map(|place| match place {
            ChannelKey::Topic(topic) => Some(Target::Topic(topic.clone())),
            ChannelKey::Pattern(node) => Some(Target::Pattern(self.patterns.pattern(*node))),
            ChannelKey::Presence(_) => None,
        });
        Some((self.session_info(session), targets.take(limit).collect()))
    }

    /// Whose session this is, while it is connected.
    pub fn who(&self, session: SessionId) -> Option<Who> {
        let number = *self.by_id.get(&session)?;
        Some(who(&self.subscriptions.sessions[number as usize]))
    }

    fn session_info(&self, number: u32) -> SessionInfo {
        let session = &self.subscriptions.sessions[number as usize];
        let (user, anonymous) = super::presence::names(session.identity.as_deref());
        let credentials = session.authority.as_ref().and_then(|authority| authority.credentials.as_ref());
        SessionInfo {
            session: session.id,
            client: session.client,
            user,
            anonymous,
            subscriptions: session.counted() as u64,
            expires: credentials.and_then(|credentials| credentials.expiry).map(|expiry| expiry.unix),
        }
    }
}
