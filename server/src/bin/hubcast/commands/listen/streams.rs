//! The subscriptions of one run, read in turn.

use super::body::Body;
use super::resume::ResumeFile;
use crate::commands::client::exit::Failure;
use crate::commands::client::terminal::Terminal;
use hubcast_client::{Client, Event, Events, ItemError, Position, Slow, TopicName};
use hubcast_protocol::{Pattern, Target, Topic};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

/// What to subscribe to, and where to begin.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'a> {
    pub(crate) topics: &'a [String],
    pub(crate) patterns: &'a [Pattern],
    /// The last messages of each topic.
    pub(crate) last: Option<u32>,
    /// The position of the one topic.
    pub(crate) since: Option<Position>,
    pub(crate) presence: bool,
    pub(crate) slow: Slow,
}

/// All subscriptions.
pub(crate) struct Streams {
    streams: Vec<(Target, Events<Body>)>,
    /// The stream that is asked first, so that none waits for the others.
    first: usize,
}

/// What the subscriptions have.
pub(crate) enum Item {
    /// The next event, of the subscription with this number.
    Event(usize, Event<Body>),
    /// None of them has an event now.
    Idle,
    /// One of them is over.
    Ended(Failure),
}

impl Streams {
    /// Subscribes to everything, and waits for the confirmations.
    pub(crate) async fn open(
        client: &Client,
        wanted: Wanted<'_>,
        resume: Option<&ResumeFile>,
        terminal: Terminal,
    ) -> Result<Self, Failure> {
        let mut streams = Vec::new();
        for topic in wanted.topics {
            let mut subscribe = client.subscribe::<Body>(topic.as_str()).slow(wanted.slow);
            if let Some(count) = wanted.last {
                subscribe = subscribe.last(count);
            }
            if let Some(position) = wanted.since.or_else(|| resume.and_then(|resume| resume.of_topic(topic))) {
                subscribe = subscribe.recover(position);
            }
            if wanted.presence {
                subscribe = subscribe.presence();
            }
            let subscription = subscribe.await?;
            if resume.is_some() && subscription.position().is_none() {
                terminal.warn(&format!("{topic:?} keeps no history, so --resume cannot bring what is missed"));
            }
            terminal.detail(&format!("subscribed to {topic:?}"));
            streams.push((Topic::from(topic.as_str()).into(), subscription.events()));
        }
        for pattern in wanted.patterns {
            let mut subscribe = client.subscribe_pattern::<Body>(pattern.as_str()).slow(wanted.slow);
            if let Some(positions) = resume.and_then(|resume| resume.of_pattern(pattern.as_str())) {
                subscribe = subscribe.recover(positions);
            }
            let subscription = subscribe.await?;
            terminal.detail(&format!("subscribed to the pattern {:?}", pattern.as_str()));
            streams.push((pattern.clone().into(), subscription.events()));
        }
        Ok(Self { streams, first: 0 })
    }

    /// The topic or pattern of a subscription.
    pub(crate) fn target(&self, at: usize) -> Target {
        self.streams[at].0.clone()
    }

    /// Topics and patterns, each with the positions of what was read of it.
    pub(crate) fn positions(&self) -> impl Iterator<Item = (&Target, BTreeMap<TopicName, Position>)> {
        self.streams.iter().map(|(target, events)| (target, events.positions()))
    }

    /// The next event of any subscription. It waits for one only if it `may_wait`. A future that is dropped has taken
    /// nothing.
    pub(crate) async fn next(&mut self, may_wait: bool) -> Item {
        let count = self.streams.len();
        let (at, item) = poll_fn(|context| {
            for at in (0..count).map(|further| (self.first + further) % count) {
                let (_, events) = &mut self.streams[at];
                if let Poll::Ready(item) = pin!(events.next()).poll(context) {
                    return Poll::Ready((at, Some(item)));
                }
            }
            if may_wait { Poll::Pending } else { Poll::Ready((0, None)) }
        })
        .await;
        let Some(item) = item else { return Item::Idle };
        self.first = (at + 1) % count;
        match item {
            Some(Ok(event)) => Item::Event(at, event),
            Some(Err(ItemError::Ended(why))) => Item::Ended(why.into()),
            Some(Err(error)) => Item::Ended(Failure::failed(error.to_string())),
            None => Item::Ended(Failure::failed("the client was closed")),
        }
    }
}
