//! One subscription of the program: its stage, its positions, and its deliveries.

use super::effect::{Delivery, Effect, Effects, Ended, Gap, GapReason, Resumed};
use super::input::{Source, SubscribeRequest, SubscriptionId};
use super::progress::{Progress, Step};
use hubcast_protocol::event::{self, Member, Message, Subscribed};
use hubcast_protocol::request::{Slow, Start};
use hubcast_protocol::{Position, Target, Topic};
use std::sync::Arc;

/// A subscription of the program, with its own position. Subscriptions that share a target at the server may have
/// different positions: one may still receive the past while the other is live.
#[derive(Debug)]
pub(super) struct SubscriptionState {
    id: SubscriptionId,
    pub(super) source: Source,
    pub(super) presence: bool,
    pub(super) slow: Slow,
    begin: Start,
    stage: Stage,
    progress: Progress,
    /// Whether it goes on live on this connection, because it may not read the past.
    forgoes_past: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The server has not confirmed it yet.
    New,
    /// It was live, and its connection was lost.
    Cut,
    /// The server has confirmed it on this connection.
    Live,
}

impl SubscriptionState {
    pub(super) fn new(id: SubscriptionId, listen: SubscribeRequest, topics: usize) -> Self {
        let SubscribeRequest { source, start, presence, slow } = listen;
        let progress = Progress::new(&start, source.target(), topics);
        Self { id, source, presence, slow, begin: start, stage: Stage::New, progress, forgoes_past: false }
    }

    /// Takes the server's confirmation of the subscription on this connection.
    pub(super) fn confirm(&mut self, reply: &Subscribed, effects: &mut Effects) {
        let Some(target) = self.source.target().cloned() else { return };
        let resumes = self.stage == Stage::Cut
            || matches!(self.start(&target), Start::After(_) | Start::AfterEach(_) | Start::AfterOrLast(..));
        let replayed = reply.replayed.unwrap_or(0);
        let begin = begin_of(reply);
        let complete = self.progress.is_complete();
        // The request may have covered other subscriptions too, with other positions.
        let is_covered = match &target {
            Target::Topic(topic) => self.progress.position(topic).is_some_and(|last| is_between(last, begin, reply)),
            Target::Pattern(_) => !self.progress.is_empty() && reply.recovered == Some(true),
        };
        let recovered = complete && is_covered;
        self.stage = Stage::Live;
        match &target {
            Target::Topic(topic) if !recovered => {
                let missed = self.restart(topic, begin);
                if resumes {
                    self.resumed(recovered, replayed, self.progress.position(topic), effects);
                    self.tell(Delivery::Gap(missed), effects);
                }
            }
            Target::Topic(topic) if resumes => {
                self.resumed(recovered, replayed, self.progress.position(topic), effects);
            }
            Target::Pattern(_) if resumes => {
                self.resumed(recovered, replayed, None, effects);
                // For topics whose position was sent, the server itself reports gaps.
                if !complete || self.progress.is_empty() || reply.recovered.is_none() {
                    self.progress.any_may_be_missing();
                    self.tell(Delivery::Gap(unknown_gap()), effects);
                }
            }
            _ => {}
        }
    }

    fn resumed(&self, recovered: bool, replayed: u32, position: Option<Position>, effects: &mut Effects) {
        self.tell(Delivery::Resumed(Resumed { recovered, replayed, position }), effects);
    }

    /// Sets the position in the topic to `begin`, because the subscription is new or because its past is gone. Returns
    /// what is missing before it.
    fn restart(&mut self, topic: &Topic, begin: Option<Position>) -> Gap {
        self.progress.let_go();
        let last = self.progress.position(topic);
        let missed = last.zip(begin).filter(|(last, begin)| last.epoch == begin.epoch);
        match begin {
            Some(begin) => self.progress.reach(topic, begin),
            None => self.progress.forget(topic),
        }
        let position = self.progress.position(topic);
        let unknown = Gap { topic: Some(topic.clone()), position, ..unknown_gap() };
        match missed {
            Some((last, begin)) if last.offset < begin.offset => {
                let (from, to) = (Some(last.offset + 1), Some(begin.offset));
                Gap { epoch: Some(begin.epoch), from, to, ..unknown }
            }
            _ => unknown,
        }
    }

    /// A session with its own private topics has begun. Messages to those of the session before are lost.
    pub(super) fn go_direct(&mut self, effects: &mut Effects) {
        if std::mem::replace(&mut self.stage, Stage::Live) == Stage::Cut {
            self.resumed(false, 0, None, effects);
            self.tell(Delivery::Gap(unknown_gap()), effects);
        }
    }

    pub(super) fn cut(&mut self) {
        // The next token may grant the past.
        self.forgoes_past = false;
        if self.is_live() {
            self.stage = Stage::Cut;
            self.progress.cut();
        }
    }

    /// Takes a publication on a topic that it listens to. `replay` is the target whose subscribe this publication is
    /// replayed for, if it is replayed; for a subscription to another target it may be older than that subscription.
    pub(super) fn message(&mut self, message: &Arc<Message>, replay: Option<&Target>, effects: &mut Effects) {
        let is_of_others = replay.is_some() && replay != self.source.target();
        if !self.is_live() || is_of_others && self.progress.position(&message.topic).is_none() {
            return;
        }
        match self.progress.step(&message.topic, message.position()) {
            Step::Next => {}
            Step::Duplicate => return,
            Step::After(gap) => self.tell(Delivery::Gap(gap), effects),
        }
        self.tell(Delivery::Message(message.clone()), effects);
    }

    /// The server has taken a publication of this client without echo.
    pub(super) fn published_silently(&mut self, topic: &Topic, offset: u64) {
        if self.is_live() {
            self.progress.skip(topic, offset);
        }
    }

    pub(super) fn gap(&mut self, gap: &event::Gap, effects: &mut Effects) {
        if gap.reason == event::GapReason::MissedPresence {
            return self.missed_presence(gap.topic.clone(), effects);
        }
        if self.is_live()
            && let Some(gap) = self.progress.leave_out(gap)
        {
            self.tell(Delivery::Gap(gap), effects);
        }
    }

    /// Joins and leaves are missing; the positions of publications do not change.
    fn missed_presence(&self, topic: Topic, effects: &mut Effects) {
        if self.is_live() && self.presence {
            let (topic, reason) = (Some(topic), GapReason::MissedPresence);
            self.tell(Delivery::Gap(Gap { topic, reason, ..unknown_gap() }), effects);
        }
    }

    pub(super) fn joined(&self, member: &Member, effects: &mut Effects) {
        if self.is_live() && self.presence {
            self.tell(Delivery::Joined(member.clone()), effects);
        }
    }

    pub(super) fn left(&self, member: &Member, effects: &mut Effects) {
        if self.is_live() && self.presence {
            self.tell(Delivery::Left(member.clone()), effects);
        }
    }

    pub(super) fn end(&self, why: Ended, effects: &mut Effects) {
        self.tell(Delivery::Ended(why), effects);
    }

    /// Makes the next requests ask for nothing that was missed. Returns whether they did.
    pub(super) fn forgo_past(&mut self) -> bool {
        let Some(target) = self.source.target() else { return false };
        let asks = self.start(target) != Start::Live;
        self.forgoes_past |= asks;
        asks
    }

    /// Makes the next request shorter, by forgetting positions; `false` if there is nothing to forget.
    pub(super) fn shorten(&mut self) -> bool {
        matches!(self.source.target(), Some(Target::Pattern(_))) && self.progress.forget_half()
    }

    /// The start of the next subscribe. A subscription that began with the last publications gets them again when its
    /// position is gone.
    pub(super) fn start(&self, target: &Target) -> Start {
        if self.forgoes_past {
            return Start::Live;
        }
        match (&self.begin, self.progress.start(target)) {
            (Start::Last(count) | Start::AfterOrLast(_, count), Start::After(after)) => {
                Start::AfterOrLast(after, *count)
            }
            (Start::Last(count), Start::Live) => Start::Last(*count),
            (_, start) => start,
        }
    }

    pub(super) fn is_live(&self) -> bool {
        self.stage == Stage::Live
    }

    pub(super) fn is_cut(&self) -> bool {
        self.stage == Stage::Cut
    }

    fn tell(&self, delivery: Delivery, effects: &mut Effects) {
        effects.push(Effect::Deliver(self.id, delivery));
    }
}

impl Source {
    pub(crate) fn topic(&self) -> Option<&Topic> {
        match self {
            Self::Target(Target::Topic(topic)) => Some(topic),
            Self::Target(Target::Pattern(_)) | Self::Direct => None,
        }
    }

    pub(super) fn target(&self) -> Option<&Target> {
        match self {
            Self::Target(target) => Some(target),
            Self::Direct => None,
        }
    }
}

/// The position at which a subscription begins: that of its confirmation is the end of what is replayed.
pub(super) fn begin_of(reply: &Subscribed) -> Option<Position> {
    let (epoch, offset) = reply.epoch.zip(reply.offset)?;
    Some(Position { epoch, offset: offset.saturating_sub(reply.replayed.unwrap_or(0).into()) })
}

/// Whether a position is in the part of a history that begins at `begin` and ends where the reply says: then nothing is
/// missing after it, whatever the reply says of the other positions that the request asked for.
fn is_between(last: Position, begin: Option<Position>, reply: &Subscribed) -> bool {
    let Some(begin) = begin.filter(|begin| begin.epoch == last.epoch) else { return false };
    begin.offset <= last.offset && reply.offset.is_some_and(|end| last.offset <= end)
}

/// A gap of which nothing is known but that there may be one.
fn unknown_gap() -> Gap {
    Gap { topic: None, epoch: None, from: None, to: None, position: None, reason: GapReason::NotRecoverable }
}
