//! The records of a load: when to publish, and what was received. It has no sockets.

use super::connection::GREETING;
use super::latency::{nanoseconds, new_latency};
use super::pace::Pace;
use super::publisher::Publisher;
use super::stamp::Stamp;
use super::tally::{Arrival, Tally};
use super::timeline::{Moment, Timeline};
use hdrhistogram::Histogram;
use std::ops::Range;
use std::time::{Duration, Instant};

/// All that was published and received on all connections.
///
/// [`begin`](Self::begin) starts publishing. [`heard`](Self::heard) takes each text that a subscriber receives.
/// [`publish_due`](Self::publish_due) follows the schedule, if there is one. Frames to write are put into the
/// publisher's outbox, and its bell rings.
#[derive(Debug)]
pub(super) struct Load {
    started: Instant,
    pace: Pace,
    /// Connections subscribed to each topic.
    subscribers: u32,
    publishers_of_topic: usize,
    publishers: Vec<Publisher>,
    /// How many publications the schedule has sent.
    scheduled: u64,
    stopped: bool,
    /// Latency is recorded for publications that were scheduled in this range of nanoseconds.
    window: Range<u64>,
    latency: Histogram<u64>,
    timeline: Option<Timeline>,
    counts: Counts,
    trouble: Option<String>,
}

impl Load {
    pub(super) fn new(pace: Pace, subscribers: u32, publishers_of_topic: usize, publishers: Vec<Publisher>) -> Self {
        Self {
            started: Instant::now(),
            pace,
            subscribers,
            publishers_of_topic,
            publishers,
            scheduled: 0,
            stopped: false,
            window: 0..0,
            latency: new_latency(),
            timeline: None,
            counts: Counts::default(),
            trouble: None,
        }
    }

    /// Starts the clock, and lets every publisher send as many publications as may be outstanding. Returns the time
    /// from which the schedule counts.
    pub(super) fn begin(&mut self) -> Instant {
        self.started = Instant::now();
        if let Pace::Outstanding(_) = self.pace {
            (0..self.publishers.len()).for_each(|publisher| self.fill(publisher, 0));
        }
        self.started
    }

    /// Sends all publications that are due by now; the publishers take turns.
    pub(super) fn publish_due(&mut self) {
        let Pace::Every(interval) = self.pace else { return };
        let now = self.now();
        while !self.stopped {
            let due = self.scheduled.saturating_mul(nanoseconds(interval));
            if due > now {
                break;
            }
            let turn = usize::try_from(self.scheduled).unwrap_or_default() % self.publishers.len();
            self.publish(turn, due);
            self.scheduled += 1;
        }
    }

    /// Takes a text that a subscriber of `topic` received at `now`. `tallies` are those of the subscriber, one for each
    /// publisher of the topic.
    pub(super) fn heard(&mut self, topic: usize, tallies: &mut [Tally], text: &[u8], now: u64) {
        let first = topic * self.publishers_of_topic;
        let known = Stamp::read(text).and_then(|stamp| {
            let publisher = usize::from(stamp.publisher);
            let tally = tallies.get_mut(publisher.checked_sub(first)?)?;
            self.publishers[publisher].has_published(stamp.sequence).then_some((stamp, publisher, tally))
        });
        let Some((stamp, publisher, tally)) = known else { return self.unexpected(text) };
        match tally.heard(stamp.sequence) {
            Arrival::InTurn => {}
            Arrival::Late => self.counts.out_of_order += 1,
            Arrival::Again => {
                self.counts.duplicated += 1;
                return;
            }
        }
        self.counts.delivered += 1;
        let latency = now.saturating_sub(stamp.scheduled);
        if self.window.contains(&stamp.scheduled) {
            self.latency.saturating_record(latency);
        }
        if let Some(timeline) = &mut self.timeline {
            timeline.record(now, latency);
        }
        if let Pace::Outstanding(_) = self.pace
            && self.publishers[publisher].arrived(stamp.sequence)
        {
            self.fill(publisher, now);
        }
    }

    /// Takes a text that was not published to its receiver; the server's greeting is allowed.
    pub(super) fn unexpected(&mut self, text: &[u8]) {
        if !text.starts_with(GREETING) {
            self.counts.unexpected += 1;
            let shown = &text[..text.len().min(80)];
            self.trouble.get_or_insert_with(|| format!("the server sent {:?}", String::from_utf8_lossy(shown)));
        }
    }

    /// The bytes of each frame that a publisher writes.
    pub(super) fn frame_len(&self, publisher: usize) -> usize {
        self.publishers[publisher].frame_len()
    }

    /// Takes the outbox of a publisher, and leaves `empty` in its place.
    pub(super) fn take_outbox(&mut self, publisher: usize, empty: Vec<u8>) -> Vec<u8> {
        self.publishers[publisher].take_outbox(empty)
    }

    /// Records that a connection ended, for this reason. Before [`stop`](Self::stop) that is a fault.
    pub(super) fn ended(&mut self, why: String) {
        if !self.stopped {
            self.counts.disconnected += 1;
            self.trouble.get_or_insert(why);
        }
    }

    /// Records the latency of publications that are scheduled in the next `duration`.
    pub(super) fn open_window(&mut self, duration: Duration) {
        let now = self.now();
        self.window = now..now + nanoseconds(duration);
    }

    /// Notes from now on what is done from moment to moment.
    pub(super) fn begin_timeline(&mut self, duration: Duration) {
        self.timeline = Some(Timeline::new(self.now(), duration));
    }

    /// The moments until now; none if they were not noted.
    pub(super) fn end_timeline(&mut self) -> Vec<Moment> {
        let now = self.now();
        self.timeline.take().map(|timeline| timeline.end(now)).unwrap_or_default()
    }

    /// Stops publishing.
    pub(super) fn stop(&mut self) {
        self.window.end = self.window.end.min(self.now());
        self.stopped = true;
    }

    /// Nanoseconds since the load began.
    pub(super) fn now(&self) -> u64 {
        nanoseconds(self.started.elapsed())
    }

    pub(super) fn counts(&self) -> Counts {
        Counts { lost: self.counts.published * u64::from(self.subscribers) - self.counts.delivered, ..self.counts }
    }

    pub(super) fn latency(&self) -> &Histogram<u64> {
        &self.latency
    }

    pub(super) fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    fn fill(&mut self, publisher: usize, now: u64) {
        while !self.stopped && self.publishers[publisher].has_room() {
            self.publish(publisher, now);
        }
    }

    fn publish(&mut self, publisher: usize, scheduled: u64) {
        self.publishers[publisher].publish(scheduled, self.subscribers);
        self.counts.published += 1;
    }
}

/// The counts since the load began.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) published: u64,
    /// Deliveries, without repeated ones.
    pub(super) delivered: u64,
    /// Deliveries that have not arrived.
    pub(super) lost: u64,
    pub(super) duplicated: u64,
    pub(super) out_of_order: u64,
    /// Texts that were not published to their receiver, such as refusals.
    pub(super) unexpected: u64,
    pub(super) disconnected: u64,
}

#[cfg(test)]
mod tests {
    use super::super::publisher::tests::messages;
    use super::*;

    /// One topic, one publisher, two subscribers.
    fn load(pace: Pace) -> Load {
        Load::new(pace, 2, 1, vec![Publisher::new(0, "t", 30, pace)])
    }

    /// Takes the publisher's outbox and returns its messages.
    fn published(load: &mut Load) -> Vec<Vec<u8>> {
        messages(&load.take_outbox(0, Vec::new()))
    }

    #[test]
    fn a_publication_follows_when_every_subscriber_has_heard_the_one_before() {
        let mut load = load(Pace::Outstanding(2));
        let (mut one, mut other) = ([Tally::default()], [Tally::default()]);
        load.begin();
        let texts = published(&mut load);
        assert_eq!(texts.len(), 2);
        load.heard(0, &mut one, &texts[0], 5);
        load.heard(0, &mut one, &texts[1], 5);
        assert!(published(&mut load).is_empty());
        load.heard(0, &mut other, &texts[0], 6);
        assert_eq!(published(&mut load).len(), 1);
        load.stop();
        load.heard(0, &mut other, &texts[1], 6);
        assert!(published(&mut load).is_empty());
        let counts = load.counts();
        assert_eq!((counts.published, counts.delivered, counts.lost), (3, 4, 2));
    }

    #[test]
    fn duplicates_strays_and_refusals_are_distinguished() {
        let mut load = load(Pace::Outstanding(2));
        let mut tallies = [Tally::default()];
        load.begin();
        let texts = published(&mut load);
        load.heard(0, &mut tallies, b"Server: Welcome! Your ID is 1", 1);
        load.heard(0, &mut tallies, &texts[1], 1);
        load.heard(0, &mut tallies, &texts[0], 1);
        load.heard(0, &mut tallies, &texts[0], 1);
        load.heard(1, &mut tallies, &texts[0], 1);
        load.heard(0, &mut tallies, b"Server: too many requests", 1);
        let counts = load.counts();
        assert_eq!((counts.delivered, counts.out_of_order, counts.duplicated, counts.unexpected), (2, 1, 1, 2));
        assert!(load.trouble().is_some_and(|trouble| trouble.contains('#')));
    }

    #[test]
    fn a_schedule_does_not_wait_for_arrivals() {
        let mut load = load(Pace::Every(Duration::from_nanos(1)));
        load.begin();
        assert!(published(&mut load).is_empty());
        load.scheduled = load.now() - 3;
        load.publish_due();
        assert!(published(&mut load).len() >= 4);
    }
}
