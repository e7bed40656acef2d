//! What one subscription was told, held against what really happened.
//!
//! A subscription stands at a place in the record of each of its topics: everything before it was delivered or was
//! told to be missing. A message has to be the next one. A gap that names offsets has to begin at the next one; a gap
//! without them excuses what was published before the place that the server named with it, and no more.

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
    /// Nothing may be missing, told or not.
    must_be_complete: bool,
    places: BTreeMap<usize, Place>,
    pub(crate) last: Option<Position>,
}

/// How far it has come in one topic.
#[derive(Debug)]
struct Place {
    next: usize,
    /// Everything before this may be missing: it was told so.
    excused: usize,
    /// Whether the client has a position to resume the topic from.
    is_known: bool,
}

/// What the client had just read when it said something to a subscription.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cause<'a> {
    pub(crate) event: Option<&'a Event>,
    /// How much had been published to each topic when the server confirmed the subscribe that this answers.
    pub(crate) mark: Option<&'a [usize]>,
}

impl Stream {
    pub(crate) fn new(client: usize, target: Target, must_be_complete: bool) -> Self {
        Self { client, target, must_be_complete, places: BTreeMap::new(), last: None }
    }

    /// Asks to begin after a position, before anything is confirmed.
    pub(crate) fn begin_after(&mut self, position: Position, record: &Record) {
        for topic in self.topics(record) {
            let next = record.after(topic, position);
            self.places.insert(topic, Place { next, excused: 0, is_known: true });
        }
    }

    /// The server confirmed it for the first time.
    pub(crate) fn begin(&mut self, cause: Cause<'_>, record: &Record) {
        let (Some(Event::Subscribed(reply)), Some(mark)) = (cause.event, cause.mark) else { return };
        let replayed = reply.replayed.unwrap_or(0) as usize;
        for topic in self.topics(record) {
            let begin = Place { next: mark[topic] - replayed, excused: 0, is_known: reply.epoch.is_some() };
            self.places.entry(topic).or_insert(begin);
        }
    }

    /// Takes what the client says to it.
    ///
    /// # Errors
    /// When that is not what happened.
    pub(crate) fn take(&mut self, delivery: &Delivery, cause: Cause<'_>, record: &Record) -> Result<(), String> {
        match delivery {
            Delivery::Message(message) => self.message(message, record),
            Delivery::Gap(gap) => self.gap(gap, cause, record),
            Delivery::Resumed(_) => {
                self.resume(cause);
                Ok(())
            }
            Delivery::Joined(_) | Delivery::Left(_) => Ok(()),
            Delivery::Ended(why) => Err(format!("it ended: {why}")),
        }
    }

    /// Whether nothing is left out at the end, when nothing is on its way any more.
    ///
    /// # Errors
    /// When something never came and never was told to be missing.
    pub(crate) fn finish(&self, record: &Record) -> Result<(), String> {
        self.places.iter().try_for_each(|(&topic, place)| {
            self.check_skipped(place, topic, record.entries(topic).len(), record)
                .map_err(|what| format!("{what}, nor later"))
        })
    }

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
        // Who has no position may be told of what the connection lost before the subscription began.
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

    /// It stands again. Under a pattern, a topic that was never heard may have said something in between: there is no
    /// position to resume it from.
    fn resume(&mut self, cause: Cause<'_>) {
        let Some(mark) = cause.mark.filter(|_| matches!(self.target, Target::Pattern(_))) else { return };
        for (&topic, place) in self.places.iter_mut().filter(|(_, place)| !place.is_known) {
            place.excused = place.excused.max(mark[topic]);
        }
    }

    fn excuse_all(&mut self, cause: Cause<'_>) -> Result<(), String> {
        let mark = cause.mark.ok_or("a gap of all topics that answers no subscribe")?;
        for (&topic, place) in &mut self.places {
            place.excused = place.excused.max(mark[topic]);
        }
        Ok(())
    }

    /// Whether all that was skipped to get to `until` was told to be missing, or was not meant for this client.
    fn check_skipped(&self, place: &Place, topic: usize, until: usize, record: &Record) -> Result<(), String> {
        let skipped = place.next.max(place.excused)..until;
        let entries = record.entries(topic).get(skipped).unwrap_or_default();
        match entries.iter().find(|entry| entry.silent_for != Some(self.client)) {
            Some(entry) => Err(format!("{} {entry:?} did not come, without a word", record.topics()[topic])),
            None => Ok(()),
        }
    }

    fn topics(&self, record: &Record) -> Vec<usize> {
        let hears = |topic| match &self.target {
            Target::Topic(name) => name == topic,
            Target::Pattern(pattern) => pattern.matches(topic),
        };
        let topics = record.topics().iter().enumerate().filter(|(_, topic)| hears(topic));
        topics.map(|(topic, _)| topic).collect()
    }
}

/// Up to which place a gap without offsets excuses: where the subscription goes on, as the same frame says.
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
