//! What is sent to one hook, and when: batches of events, one after another, each until the receiver has it or its time
//! is over. Time and chance are arguments, and there is no network.

use super::counters::{Dropped, HookCounters};
use super::event::{EventKind, HookEvent};
use super::hook::Hook;
use super::moment::rfc3339;
use super::pace::{RetryPace, SendOutcome};
use super::queue::{EventQueue, Numbered};
use super::secret::signatures;
use bytes::Bytes;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The events of one hook. Feed it with [`push`](Self::push), do what [`next`](Self::next) says, and tell what came of it
/// by [`finished`](Self::finished).
#[derive(Debug)]
pub(crate) struct Dispatch {
    hook: Arc<Hook>,
    /// The name of this run of the server.
    run: Arc<str>,
    queue: EventQueue,
    pace: RetryPace,
    phase: Phase,
    /// The batches so far.
    batches: u64,
    /// The number of the last event of the last batch that was confirmed.
    confirmed: u64,
    /// Whether events are sent without waiting for others.
    is_hurried: bool,
    counters: Arc<HookCounters>,
}

#[derive(Debug)]
enum Phase {
    /// The next batch may be sent.
    Ready,
    /// A request is under way.
    Sending(EventBatch),
    /// Nothing is sent before this time. A batch is then sent again. `is_asked`: the receiver has asked for it.
    Resting { until: Instant, batch: Option<EventBatch>, is_asked: bool },
    /// The receiver wants no more events.
    Gone,
}

/// Events that are sent together. A batch that is sent again is the same, byte by byte.
#[derive(Clone, Debug)]
pub(crate) struct EventBatch {
    id: String,
    body: Bytes,
    events: usize,
    /// When its oldest event came.
    oldest: Instant,
    /// The number of its last event.
    last: u64,
}

/// What is to be done for a hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NextStep {
    /// Nothing, before an event comes or a request is over.
    Wait,
    /// Nothing before this time, unless an event comes.
    WaitUntil(Instant),
    /// Send this now.
    Send(HookMessage),
}

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HookMessage {
    pub(crate) id: String,
    /// The time of the attempt, in seconds since 1970-01-01 UTC.
    pub(crate) timestamp: u64,
    pub(crate) signatures: String,
    pub(crate) body: Bytes,
}

impl Dispatch {
    pub(crate) fn new(hook: Arc<Hook>, run: Arc<str>, counters: Arc<HookCounters>) -> Self {
        let (queue, pace, phase) = (EventQueue::new(hook.limits), RetryPace::default(), Phase::Ready);
        Self { hook, run, queue, pace, phase, batches: 0, confirmed: 0, is_hurried: false, counters }
    }

    pub(crate) fn hook(&self) -> &Arc<Hook> {
        &self.hook
    }

    pub(crate) fn counters(&self) -> &Arc<HookCounters> {
        &self.counters
    }

    /// Goes on with other settings of the same hook. What waits stays, and is sent as they say. A receiver that failed, or
    /// wanted no more events, is asked again: the new settings may be what helps.
    pub(crate) fn replace(&mut self, hook: Arc<Hook>, now: Instant) {
        self.queue.set_limits(hook.limits);
        self.hook = hook;
        match &mut self.phase {
            Phase::Gone => self.phase = Phase::Ready,
            Phase::Resting { until, .. } => *until = now,
            Phase::Ready | Phase::Sending(_) => {}
        }
    }

    /// Whether the hook asks for this event.
    pub(crate) fn wants(&self, event: &HookEvent) -> bool {
        self.hook.wants(event)
    }

    /// Adds an event that the hook asks for. `body` is its encoding. Returns whether there is something new to do.
    pub(crate) fn push(&mut self, now: Instant, body: &Arc<str>) -> bool {
        if matches!(self.phase, Phase::Gone) {
            self.queue.skip(1);
            self.counters.add_dropped(Dropped::Gone, 1);
            return false;
        }
        if !self.queue.push(now, body) {
            self.counters.add_dropped(Dropped::Full, 1);
        }
        self.note_waiting();
        self.queue.len() == 1 || self.queue.fills_a_batch()
    }

    /// Counts events that are lost before anybody knew whether the hook asks for them.
    pub(crate) fn skip(&mut self, events: u64) {
        self.queue.skip(events);
        self.counters.add_dropped(Dropped::Full, events);
    }

    /// What is to be done now. `unix_ms` is the same time in milliseconds since 1970-01-01 UTC.
    pub(crate) fn next(&mut self, now: Instant, unix_ms: u64) -> NextStep {
        let batch = match std::mem::replace(&mut self.phase, Phase::Ready) {
            Phase::Ready => None,
            Phase::Resting { until, batch, is_asked } if until > now => {
                self.phase = Phase::Resting { until, batch, is_asked };
                return NextStep::WaitUntil(until);
            }
            Phase::Resting { batch, .. } => batch.filter(|batch| !self.gives_up(now, batch)),
            busy @ (Phase::Sending(_) | Phase::Gone) => {
                self.phase = busy;
                return NextStep::Wait;
            }
        };
        let batch = match batch {
            Some(batch) => batch,
            None => match self.batch(now, unix_ms) {
                Ok(batch) => batch,
                Err(wait) => {
                    self.note_waiting();
                    return wait;
                }
            },
        };
        let message = batch.message(&self.hook, unix_ms);
        self.phase = Phase::Sending(batch);
        self.note_waiting();
        NextStep::Send(message)
    }

    /// Takes what came of a request that took this time. `chance` is any number. Returns whether the receiver does not
    /// want to be asked again.
    pub(crate) fn finished(&mut self, now: Instant, outcome: SendOutcome, took: Duration, chance: u64) -> bool {
        let Phase::Sending(batch) = std::mem::replace(&mut self.phase, Phase::Ready) else { return false };
        self.counters.add_request(took, outcome != SendOutcome::Delivered);
        let wait = self.pace.wait(outcome, chance);
        let kept = match outcome {
            SendOutcome::Delivered => {
                self.confirmed = batch.last;
                self.counters.add_delivered(batch.events);
                None
            }
            SendOutcome::Gone => {
                self.counters.add_dropped(Dropped::Gone, batch.events as u64 + self.queue.drop_all());
                self.phase = Phase::Gone;
                self.note_waiting();
                return true;
            }
            SendOutcome::Failed { .. } | SendOutcome::Overloaded { .. } => {
                Some(batch).filter(|batch| !self.gives_up(now, batch))
            }
        };
        if kept.is_some() || !wait.is_zero() {
            let is_asked = outcome.retry_after().is_some();
            self.phase = Phase::Resting { until: now + wait, batch: kept, is_asked };
        }
        self.note_waiting();
        false
    }

    /// From now on sends events at once, because the server ends soon. A batch that failed is tried once more now, unless
    /// the receiver has asked for another time.
    pub(crate) fn hurry(&mut self, now: Instant) {
        self.is_hurried = true;
        if let Phase::Resting { until, is_asked: false, .. } = &mut self.phase {
            *until = now;
        }
    }

    /// Whether nothing is left to be sent.
    pub(crate) fn is_idle(&self) -> bool {
        self.waiting() == 0
    }
}

impl Dispatch {
    /// Makes the next batch; or says what to wait for.
    fn batch(&mut self, now: Instant, unix_ms: u64) -> Result<EventBatch, NextStep> {
        if let Some(limit) = now.checked_sub(self.hook.limits.give_up_after) {
            self.counters.add_dropped(Dropped::Age, self.queue.drop_before(limit));
        }
        let Some(oldest) = self.queue.oldest() else { return Err(NextStep::Wait) };
        let full_at = oldest + COLLECT_FOR;
        if !self.is_hurried && !self.queue.fills_a_batch() && full_at > now {
            return Err(NextStep::WaitUntil(full_at));
        }
        let events = self.queue.take_batch();
        let last = events.last().map_or(0, |event| event.seq);
        self.batches += 1;
        let id = format!("{}-{}-{}", self.run, self.hook.name, self.batches);
        let dropped = last - self.confirmed - events.len() as u64;
        let body = body(&self.run, dropped, &events, unix_ms).into();
        Ok(EventBatch { id, body, events: events.len(), oldest, last })
    }

    /// Drops a batch whose time is over. Returns whether it was dropped.
    fn gives_up(&self, now: Instant, batch: &EventBatch) -> bool {
        let is_over = now.saturating_duration_since(batch.oldest) > self.hook.limits.give_up_after;
        if is_over {
            self.counters.add_dropped(Dropped::Age, batch.events as u64);
        }
        is_over
    }

    /// The number of events that wait, with those that are under way.
    fn waiting(&self) -> usize {
        let batch = match &self.phase {
            Phase::Sending(batch) | Phase::Resting { batch: Some(batch), .. } => batch.events,
            Phase::Ready | Phase::Resting { batch: None, .. } | Phase::Gone => 0,
        };
        self.queue.len() + batch
    }

    fn note_waiting(&self) {
        self.counters.set_waiting(self.waiting());
    }
}

impl EventBatch {
    fn message(&self, hook: &Hook, unix_ms: u64) -> HookMessage {
        HookMessage::new(hook, self.id.clone(), unix_ms / 1000, self.body.clone())
    }
}

impl HookMessage {
    fn new(hook: &Hook, id: String, timestamp: u64, body: Bytes) -> Self {
        Self { signatures: signatures(&hook.secrets, &id, timestamp, &body), id, timestamp, body }
    }

    /// A message with one event that means nothing, for a try.
    pub(crate) fn test(hook: &Hook, run: &str, now: Instant, unix_ms: u64) -> Self {
        let mut queue = EventQueue::new(hook.limits);
        queue.push(now, &HookEvent::new(EventKind::HookTest, unix_ms).encode());
        let body = body(run, 0, &queue.take_batch(), unix_ms).into();
        Self::new(hook, format!("{run}-{}-test", hook.name), unix_ms / 1000, body)
    }
}

/// The text of a batch. `dropped`: so many events are missing before the last one of it.
fn body(run: &str, dropped: u64, events: &[Numbered], unix_ms: u64) -> String {
    let time = rfc3339(unix_ms);
    // The run has letters and digits alone.
    let mut text = format!(
        r#"{{"type":"hubcast.events","timestamp":"{time}","data":{{"run":"{run}","dropped":{dropped},"events":["#
    );
    for (number, event) in events.iter().enumerate() {
        text.push_str(if number == 0 { "" } else { "," });
        event.write(&mut text);
    }
    text.push_str("]}}");
    text
}

/// The time for which a batch collects events.
const COLLECT_FOR: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests;
