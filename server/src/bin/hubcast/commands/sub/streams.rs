//! The subscriptions of one run, read in turn.

use super::args::SubArgs;
use super::body::Body;
use super::resume::ResumeFile;
use crate::commands::client::exit::Failure;
use crate::commands::client::terminal::Terminal;
use hubcast_client::{Client, Event, Events, ItemError, Position, Slow, TopicName};
use hubcast_protocol::{Target, Topic};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

/// All subscriptions.
pub(super) struct Streams {
    streams: Vec<(Target, Events<Body>)>,
    /// The stream that is asked first, so that none waits for the others.
    first: usize,
}

/// What the subscriptions have.
pub(super) enum Item {
    /// The next event, of the subscription with this number.
    Event(usize, Event<Body>),
    /// None of them has an event now.
    Idle,
    /// One of them is over.
    Ended(Failure),
}

impl Streams {
    /// Subscribes to everything, and waits for the confirmations.
    pub(super) async fn open(
        client: &Client,
        args: &SubArgs,
        resume: Option<&ResumeFile>,
        terminal: Terminal,
    ) -> Result<Self, Failure> {
        let mut streams = Vec::new();
        for topic in &args.topics {
            let mut subscribe = client.subscribe::<Body>(topic.as_str()).slow(Slow::from(args.slow));
            if let Some(count) = args.last {
                subscribe = subscribe.last(count);
            }
            if let Some(position) = args.since.or_else(|| resume.and_then(|resume| resume.of_topic(topic))) {
                subscribe = subscribe.recover(position);
            }
            if args.presence {
                subscribe = subscribe.presence();
            }
            let subscription = subscribe.await?;
            if resume.is_some() && subscription.position().is_none() {
                terminal.warn(&format!("{topic:?} keeps no history, so --resume cannot bring what is missed"));
            }
            terminal.detail(&format!("subscribed to {topic:?}"));
            streams.push((Topic::from(topic.as_str()).into(), subscription.events()));
        }
        for pattern in &args.patterns {
            let mut subscribe = client.subscribe_pattern::<Body>(pattern.as_str()).slow(Slow::from(args.slow));
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
    pub(super) fn target(&self, at: usize) -> Target {
        self.streams[at].0.clone()
    }

    /// Topics and patterns, each with the positions of what was read of it.
    pub(super) fn positions(&self) -> impl Iterator<Item = (&Target, BTreeMap<TopicName, Position>)> {
        self.streams.iter().map(|(target, events)| (target, events.positions()))
    }

    /// The next event of any subscription. It waits for one only if it `may_wait`. A future that is dropped has taken
    /// nothing.
    pub(super) async fn next(&mut self, may_wait: bool) -> Item {
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
