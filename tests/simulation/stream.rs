//! Checks what one subscription receives against what really happened.
//!
//! A subscription has a place in the record of each of its topics: everything before it was delivered, or a gap said
//! that it is missing. A message must be the next entry. A gap with offsets must begin at the next entry. A gap without
//! offsets excuses only entries before the place that the server named with it.

use crate::record::Record;
use hubcast_client::machine::{Delivery, Gap, GapReason};
use hubcast_protocol::event::Message;
use hubcast_protocol::{Event, Position, Target};
use std::collections::BTreeMap;

/// One subscription of one program.
#[derive(Debug)]
pub(crate) struct Stream {
    client: usize,
    pub(crate) target: Target,
    /// Whether nothing may be missing, not even with a gap.
    must_be_complete: bool,
    places: BTreeMap<usize, Place>,
    pub(crate) last: Option<Position>,
}

/// The place of the subscription in the record of one topic.
#[derive(Debug)]
struct Place {
    next: usize,
    /// Entries before this index may be missing, because a gap without offsets said so.
    excused: usize,
    /// Whether the client has a position to resume the topic from.
    is_known: bool,
}

/// The event that the client had just read when it reported something to a subscription.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cause<'a> {
    pub(crate) event: Option<&'a Event>,
    /// The number of publications to each topic when the server confirmed the subscribe that `event` answers.
    pub(crate) mark: Option<&'a [usize]>,
}

impl Stream {
    pub(crate) fn new(client: usize, target: Target, must_be_complete: bool) -> Self {
        Self { client, target, must_be_complete, places: BTreeMap::new(), last: None }
    }

    /// Sets the place of a subscription that asks to begin after a position, before the server confirms it.
    pub(crate) fn begin_after(&mut self, position: Position, record: &Record) {
        for topic in self.topics(record) {
            let next = record.after(topic, position);
            self.places.insert(topic, Place { next, excused: 0, is_known: true });
        }
    }

    /// Sets the place when the server has confirmed the subscription for the first time.
    pub(crate) fn begin(&mut self, cause: Cause<'_>, record: &Record) {
        let (Some(Event::Subscribed(reply)), Some(mark)) = (cause.event, cause.mark) else { return };
        let replayed = reply.replayed.unwrap_or(0) as usize;
        for topic in self.topics(record) {
            let begin = Place { next: mark[topic] - replayed, excused: 0, is_known: reply.epoch.is_some() };
            self.places.entry(topic).or_insert(begin);
        }
    }

    /// Checks what the subscription receives.
    ///
    /// # Errors
    /// If it does not agree with the record.
    pub(crate) fn take(&mut self, delivery: &Delivery, cause: Cause<'_>, record: &Record) -> Result<(), String> {
        match delivery {
            Delivery::Message(message) => self.message(message, record),
            Delivery::Gap(gap) => self.gap(gap, cause, record),
            Delivery::Resumed(_) => {
                self.resume(cause);
                Ok(())
            }
            Delivery::Joined(_) | Delivery::Left(_) | Delivery::Presence(_) => Ok(()),
            Delivery::Ended(why) => Err(format!("it ended: {why}")),
        }
    }

    /// Checks at the end, when nothing is on its way any more, that nothing is missing.
    ///
    /// # Errors
    /// If something never came and no gap said so.
    pub(crate) fn finish(&self, record: &Record) -> Result<(), String> {
        self.places.iter().try_for_each(|(&topic, place)| {
            self.check_skipped(place, topic, record.entries(topic).len(), record)
                .map_err(|what| format!("{what}, nor later"))
        })
    }

    /// Checks that a message is the next entry.
    fn message(&mut self, message: &Message, record: &Record) -> Result<(), String> {
        let (topic, text) = (record.index(&message.topic), message.payload.as_plain());
        let mine = self.places.get(&topic).ok_or_else(|| format!("{message:?} came before the subscription stood"))?;
        let found = match message.position() {
            Some(position) => record.find(topic, position),
            None => {
                let mut places = record.find_text(topic, text);
                let expected = places.clone().find(|place| *place >= mine.next.max(mine.excused));
                expected.or_else(|| places.clone().find(|place| *place >= mine.next)).or_else(|| places.next())
            }
        };
        let place = found.ok_or_else(|| format!("{message:?} was never published"))?;
        if record.entries(topic)[place].text != text {
            return Err(format!("{message:?} is not {:?}", record.entries(topic)[place]));
        }
        if place < mine.next {
            return Err(format!("{} {text:?} came twice or out of order", message.topic));
        }
        self.check_skipped(mine, topic, place, record)?;
        let is_known = mine.is_known || message.position().is_some();
        self.places.insert(topic, Place { next: place + 1, excused: mine.excused, is_known });
        self.last = message.position();
        Ok(())
    }

    /// Checks that a gap is allowed and names entries that did not come.
    fn gap(&mut self, gap: &Gap, cause: Cause<'_>, record: &Record) -> Result<(), String> {
        let is_topic = matches!(self.target, Target::Topic(_));
        if self.must_be_complete && (is_topic || gap.from.is_some()) {
            return Err(format!("{gap:?}, but nothing was lost that it could not have had"));
        }
        let Some(topic) = &gap.topic else {
            return self.excuse_all(cause);
        };
        let topic = record.index(topic);
        let (Some(epoch), Some(from), Some(to)) = (gap.epoch, gap.from, gap.to) else {
            let until = known_until(topic, cause, record);
            if let Some(place) = self.places.get_mut(&topic) {
                place.excused = place.excused.max(until);
                place.is_known |= gap.epoch.is_some();
            }
            return Ok(());
        };
        let (first, last) = (Position { epoch, offset: from }, Position { epoch, offset: to });
        let bounds = record.find(topic, first).zip(record.find(topic, last)).filter(|(first, last)| first <= last);
        let (first, last) = bounds.ok_or_else(|| format!("{gap:?} names what was never published"))?;
        let mine = self.places.get(&topic).ok_or_else(|| format!("{gap:?} before the subscription stood"))?;
        // Without a position, a gap may name entries that were lost before the subscription began.
        if first < mine.next && mine.is_known {
            return Err(format!("{gap:?} names what was delivered"));
        }
        if gap.reason == GapReason::Missing {
            return Err(format!("{gap:?}: left out by the server without a word"));
        }
        self.check_skipped(mine, topic, first, record)?;
        let next = mine.next.max(last + 1);
        self.places.insert(topic, Place { next, excused: mine.excused, is_known: true });
        Ok(())
    }

    /// Handles a resumed subscription. A pattern may match a topic from which nothing came yet: the client has no
    /// position to resume it from, so publications to it in the meantime may be missing.
    fn resume(&mut self, cause: Cause<'_>) {
        let Some(mark) = cause.mark.filter(|_| matches!(self.target, Target::Pattern(_))) else { return };
        for (&topic, place) in self.places.iter_mut().filter(|(_, place)| !place.is_known) {
            place.excused = place.excused.max(mark[topic]);
        }
    }

    /// Handles a gap that is about all topics.
    fn excuse_all(&mut self, cause: Cause<'_>) -> Result<(), String> {
        let mark = cause.mark.ok_or("a gap of all topics that answers no subscribe")?;
        for (&topic, place) in &mut self.places {
            place.excused = place.excused.max(mark[topic]);
        }
        Ok(())
    }

    /// Checks that each skipped entry before `until` was excused by a gap or not meant for this client.
    fn check_skipped(&self, place: &Place, topic: usize, until: usize, record: &Record) -> Result<(), String> {
        let skipped = place.next.max(place.excused)..until;
        let entries = record.entries(topic).get(skipped).unwrap_or_default();
        match entries.iter().find(|entry| entry.silent_for != Some(self.client)) {
            Some(entry) => Err(format!("{} {entry:?} did not come, without a word", record.topics()[topic])),
            None => Ok(()),
        }
    }

    /// The indexes of the topics that the subscription matches.
    fn topics(&self, record: &Record) -> Vec<usize> {
        let hears = |topic| match &self.target {
            Target::Topic(name) => name == topic,
            Target::Pattern(pattern) => pattern.matches(topic),
        };
        let topics = record.topics().iter().enumerate().filter(|(_, topic)| hears(topic));
        topics.map(|(topic, _)| topic).collect()
    }
}

/// The index up to which a gap without offsets excuses: where the subscription goes on, as the same frame says.
fn known_until(topic: usize, cause: Cause<'_>, record: &Record) -> usize {
    let now = record.entries(topic).len();
    match cause.event {
        Some(Event::Subscribed(reply)) => {
            cause.mark.map_or(now, |mark| mark[topic] - reply.replayed.unwrap_or(0) as usize)
        }
        Some(Event::Gap(gap)) => match gap.epoch.zip(gap.offset.or(gap.to)) {
            Some((epoch, offset)) => record.after(topic, Position { epoch, offset }),
            None => now,
        },
        Some(Event::Message(message)) => {
            message.position().and_then(|position| record.find(topic, position)).unwrap_or(now)
        }
        _ => 0,
    }
}
