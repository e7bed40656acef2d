//! All subscriptions of the program: which of them an event reaches, and which requests they need.

use super::effect::{Effects, Ended};
use super::input::{Source, SubscribeRequest, SubscriptionId};
use super::server_view::SubscriptionOptions;
use super::subscription_state::SubscriptionState;
use hubcast_protocol::event::{Gap, Member, Message, Subscribed};
use hubcast_protocol::request::{Slow, Start, Subscribe};
use hubcast_protocol::{Position, Target, Topic};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// All subscriptions, confirmed by the server or not.
#[derive(Debug)]
pub(super) struct Subscriptions {
    all: BTreeMap<SubscriptionId, SubscriptionState>,
    by_topic: HashMap<Topic, Vec<SubscriptionId>>,
    /// Patterns and the private topics.
    others: Vec<SubscriptionId>,
    /// The topics that the server sends to this session without a subscription.
    private: Vec<Topic>,
    /// The target of the subscribe that is being replayed, and how many publications of it are still to come.
    replay: Option<(Target, u32)>,
    topics_per_pattern: usize,
}

impl Subscriptions {
    pub(super) fn new(topics_per_pattern: usize) -> Self {
        Self {
            all: BTreeMap::new(),
            by_topic: HashMap::new(),
            others: Vec::new(),
            private: Vec::new(),
            replay: None,
            topics_per_pattern,
        }
    }

    /// Adds a subscription. It gets no deliveries before it is confirmed.
    pub(super) fn insert(&mut self, id: SubscriptionId, listen: SubscribeRequest) {
        match &listen.source {
            Source::Target(Target::Topic(topic)) => self.by_topic.entry(topic.clone()).or_default().push(id),
            Source::Target(Target::Pattern(_)) | Source::Direct => self.others.push(id),
        }
        self.all.insert(id, SubscriptionState::new(id, listen, self.topics_per_pattern));
    }

    /// Removes a subscription and returns its target, if the server may have to be updated.
    pub(super) fn remove(&mut self, id: SubscriptionId) -> Option<Target> {
        let target = self.all.remove(&id)?.source.target().cloned();
        self.others.retain(|other| *other != id);
        if let Some(Target::Topic(topic)) = &target
            && let Some(ids) = self.by_topic.get_mut(topic)
        {
            ids.retain(|other| *other != id);
            if ids.is_empty() {
                self.by_topic.remove(topic);
            }
        }
        // The server sends the private topics without a subscription, and an unsubscribe would end that too.
        target.filter(|target| !self.is_private(target))
    }

    /// The subscribe request for this subscription, with the combined options of all that share its target.
    pub(super) fn subscribe(&self, id: SubscriptionId) -> Option<Subscribe> {
        let subscription = self.all.get(&id)?;
        let target = subscription.source.target()?.clone();
        let start = subscription.start(&target);
        Some(self.request(target, start))
    }

    /// The subscriptions that must be resumed, in groups of one request each. All of one target are in one group where
    /// possible, because the server replays nothing to a connection that is subscribed already. Only those whose starts
    /// one request cannot cover, such as positions in two epochs, are requested apart.
    pub(super) fn to_resume(&self) -> Vec<Vec<SubscriptionId>> {
        let mut groups: BTreeMap<&Target, Vec<(Start, Vec<SubscriptionId>)>> = BTreeMap::new();
        for (id, subscription) in self.all.iter().filter(|(_, subscription)| subscription.is_cut()) {
            let Some(target) = subscription.source.target() else { continue };
            let start = subscription.start(target);
            let starts = groups.entry(target).or_default();
            let joined = starts.iter_mut().find_map(|(other, ids)| Some((earliest(other, &start)?, other, ids)));
            match joined {
                Some((both, other, ids)) => {
                    *other = both;
                    ids.push(*id);
                }
                None => starts.push((start, vec![*id])),
            }
        }
        groups.into_values().flatten().map(|(_, ids)| ids).collect()
    }

    /// The request that resumes this group; `None` if all of it are removed.
    pub(super) fn resume(&self, ids: &[SubscriptionId]) -> Option<Subscribe> {
        let mut subscriptions = ids.iter().filter_map(|id| self.all.get(id)).peekable();
        let target = subscriptions.peek()?.source.target()?;
        let mut starts = subscriptions.map(|subscription| subscription.start(target));
        let first = starts.next()?;
        let start = starts.try_fold(first, |start, other| earliest(&start, &other))?;
        Some(self.request(target.clone(), start))
    }

    /// Takes the number of replayed publications from the answer to a subscribe, also if its caller stopped waiting.
    pub(super) fn expect_replay(&mut self, reply: &Subscribed) {
        self.replay = reply.replayed.filter(|left| *left > 0).map(|left| (reply.about.clone().into(), left));
    }

    pub(super) fn confirm(&mut self, ids: &[SubscriptionId], reply: &Subscribed, effects: &mut Effects) {
        for id in ids {
            if let Some(subscription) = self.all.get_mut(id) {
                subscription.confirm(reply, effects);
            }
        }
    }

    /// A session begins; `private` are the topics that the server sends to it without a subscription.
    pub(super) fn welcomed(&mut self, private: Vec<Topic>, effects: &mut Effects) {
        self.private = private;
        for id in self.others.clone() {
            self.go_direct(id, effects);
        }
    }

    /// Makes a subscription to the private topics live; does nothing for others.
    pub(super) fn go_direct(&mut self, id: SubscriptionId, effects: &mut Effects) {
        if let Some(subscription) = self.all.get_mut(&id).filter(|subscription| subscription.source == Source::Direct) {
            subscription.go_direct(effects);
        }
    }

    /// The connection is gone: no subscription is live until it is confirmed again.
    pub(super) fn cut(&mut self) {
        self.replay = None;
        self.all.values_mut().for_each(SubscriptionState::cut);
    }

    pub(super) fn message(&mut self, message: Message, effects: &mut Effects) {
        let replay = self.take_replay(&message.topic);
        let message = Arc::new(message);
        self.hearing(&message.topic, |subscription| subscription.message(&message, replay.as_ref(), effects));
    }

    /// The target of the subscribe that this publication is replayed for; `None` if it is live.
    fn take_replay(&mut self, topic: &Topic) -> Option<Target> {
        let (target, left) = self.replay.as_mut()?;
        let is_of_it = match &*target {
            Target::Topic(name) => name == topic,
            Target::Pattern(pattern) => pattern.matches(topic),
        };
        if !is_of_it {
            return None;
        }
        *left -= 1;
        match *left {
            0 => self.replay.take().map(|(target, _)| target),
            _ => Some(target.clone()),
        }
    }

    pub(super) fn published_silently(&mut self, topic: &Topic, offset: u64) {
        self.hearing(topic, |subscription| subscription.published_silently(topic, offset));
    }

    pub(super) fn gap(&mut self, gap: &Gap, effects: &mut Effects) {
        self.hearing(&gap.topic, |subscription| subscription.gap(gap, effects));
    }

    pub(super) fn joined(&mut self, member: &Member, effects: &mut Effects) {
        self.hearing(&member.topic, |subscription| subscription.joined(member, effects));
    }

    pub(super) fn left(&mut self, member: &Member, effects: &mut Effects) {
        self.hearing(&member.topic, |subscription| subscription.left(member, effects));
    }

    /// Ends these subscriptions and removes them.
    pub(super) fn end(&mut self, ids: &[SubscriptionId], why: &Ended, effects: &mut Effects) {
        self.tell_end(ids, why, effects);
        for id in ids {
            self.remove(*id);
        }
    }

    /// Delivers the end to these subscriptions.
    pub(super) fn tell_end(&self, ids: &[SubscriptionId], why: &Ended, effects: &mut Effects) {
        for subscription in ids.iter().filter_map(|id| self.all.get(id)) {
            subscription.end(why.clone(), effects);
        }
    }

    /// Lets these subscriptions go on live, without what they have missed. Returns whether any of them would have asked
    /// for it.
    pub(super) fn forgo_past(&mut self, ids: &[SubscriptionId]) -> bool {
        let asked = ids.iter().filter(|id| self.all.get_mut(id).is_some_and(SubscriptionState::forgo_past));
        asked.count() > 0
    }

    /// Makes the resume of these subscriptions shorter; `false` if that is not possible.
    pub(super) fn shorten(&mut self, ids: &[SubscriptionId]) -> bool {
        let subscriptions = ids.iter().filter(|id| self.all.get_mut(id).is_some_and(SubscriptionState::shorten));
        subscriptions.count() > 0
    }

    pub(super) fn ids(&self) -> Vec<SubscriptionId> {
        self.all.keys().copied().collect()
    }

    /// The live subscriptions to a target.
    pub(super) fn live_on(&self, target: &Target) -> Vec<SubscriptionId> {
        let live = self.all.iter().filter(|(_, l)| l.source.target() == Some(target) && l.is_live());
        live.map(|(id, _)| *id).collect()
    }

    /// The combined options of all subscriptions to a target; `None` if there are none.
    pub(super) fn options(&self, target: &Target) -> Option<SubscriptionOptions> {
        let slow = self.sharing(target).map(|subscription| subscription.slow).min_by_key(|slow| match slow {
            Slow::Disconnect => 0,
            Slow::Drop => 1,
            Slow::Latest => 2,
        })?;
        Some(SubscriptionOptions { presence: self.sharing(target).any(|subscription| subscription.presence), slow })
    }

    /// Whether at most one subscription has this target.
    pub(super) fn is_alone(&self, target: &Target) -> bool {
        self.sharing(target).count() <= 1
    }

    fn request(&self, target: Target, start: Start) -> Subscribe {
        let SubscriptionOptions { presence, slow } = self.options(&target).unwrap_or_default();
        Subscribe { target, start, presence, slow }
    }

    fn sharing(&self, target: &Target) -> impl Iterator<Item = &SubscriptionState> {
        let ids = match target {
            Target::Topic(topic) => self.by_topic.get(topic),
            Target::Pattern(_) => Some(&self.others),
        };
        let subscriptions = ids.into_iter().flatten().filter_map(|id| self.all.get(id));
        subscriptions.filter(move |subscription| subscription.source.target() == Some(target))
    }

    fn is_private(&self, target: &Target) -> bool {
        matches!(target, Target::Topic(topic) if self.private.contains(topic))
    }

    /// Calls `each` with every subscription that a topic reaches.
    fn hearing(&mut self, topic: &Topic, mut each: impl FnMut(&mut SubscriptionState)) {
        for id in self.by_topic.get(topic).into_iter().flatten().chain(&self.others) {
            let Some(subscription) = self.all.get_mut(id) else { continue };
            let hears = match &subscription.source {
                Source::Target(Target::Topic(_)) => true,
                Source::Target(Target::Pattern(pattern)) => pattern.matches(topic),
                Source::Direct => self.private.contains(topic),
            };
            if hears {
                each(subscription);
            }
        }
    }
}

/// The start that covers two subscriptions; `None` if one start cannot cover both.
fn earliest(one: &Start, other: &Start) -> Option<Start> {
    match (one, other) {
        (Start::After(one), Start::After(other)) => earlier(one, other).map(Start::After),
        (Start::AfterOrLast(one, most), Start::AfterOrLast(other, more)) => {
            earlier(one, other).map(|after| Start::AfterOrLast(after, *most.max(more)))
        }
        (Start::AfterOrLast(one, most), Start::After(other)) | (Start::After(other), Start::AfterOrLast(one, most)) => {
            earlier(one, other).map(|after| Start::AfterOrLast(after, *most))
        }
        (Start::AfterEach(one), Start::AfterEach(other)) => {
            let mut each = one.clone();
            for (topic, position) in other {
                let joined = each.get(topic).map_or(Some(*position), |known| earlier(known, position))?;
                each.insert(topic.clone(), joined);
            }
            Some(Start::AfterEach(each))
        }
        (Start::Live, past) | (past, Start::Live) => Some(past.clone()),
        _ => (one == other).then(|| one.clone()),
    }
}

fn earlier(one: &Position, other: &Position) -> Option<Position> {
    (one.epoch == other.epoch).then(|| Position { epoch: one.epoch, offset: one.offset.min(other.offset) })
}
