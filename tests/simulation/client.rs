//! A client: the shipped machine, and a program that uses it.

use crate::direct::Listener;
use crate::random::Random;
use crate::record::Record;
use crate::scenario::Scenario;
use crate::stream::{Cause, Stream};
use hubcast_client::machine::{
    Answer, Command, Delivery, Failure, Input, Machine, Source, State, SubscribeRequest, SubscriptionId, Ticket,
};
use hubcast_protocol::event::History;
use hubcast_protocol::request::{Publish, ReadHistory, Start};
use hubcast_protocol::{ErrorCode, Pattern, Position, Target, Topic};
use std::collections::BTreeMap;
use std::time::Duration;

/// One client with its program.
#[derive(Debug)]
pub(crate) struct Client {
    number: usize,
    pub(crate) machine: Machine,
    pub(crate) wire: Option<u32>,
    /// The time of the next planned look at the machine's timeout.
    pub(crate) wake: Option<Duration>,
    pub(crate) state: Option<State>,
    streams: BTreeMap<SubscriptionId, Stream>,
    direct: Listener,
    asked: BTreeMap<Ticket, Asked>,
    tickets: u64,
    subscriptions: u64,
    published: u64,
}

/// What a command asked for; its answer must fit.
#[derive(Debug)]
enum Asked {
    Connect,
    Subscribe(SubscriptionId),
    Publish { topic: Topic, text: String },
    History(Topic),
    Ping,
    Close,
}

impl Client {
    pub(crate) fn new(number: usize, machine: Machine) -> Self {
        Self {
            number,
            machine,
            wire: None,
            wake: None,
            state: None,
            streams: BTreeMap::new(),
            direct: Listener::default(),
            asked: BTreeMap::new(),
            tickets: 0,
            subscriptions: DIRECT.0 + 1,
            published: 0,
        }
    }

    /// The input that connects the client.
    pub(crate) fn connect(&mut self) -> Input {
        self.ask(Command::Connect, Asked::Connect)
    }

    /// The input that subscribes to the connection's own topic.
    pub(crate) fn listen_to_direct(&mut self) -> Input {
        self.ask(Command::Subscribe(DIRECT, SubscribeRequest::live(Source::Direct)), Asked::Subscribe(DIRECT))
    }

    /// The input that closes the client.
    pub(crate) fn close(&mut self) -> Input {
        self.ask(Command::Close, Asked::Close)
    }

    /// The input of an act chosen at random: publish, subscribe, unsubscribe, ping, or read a history.
    pub(crate) fn act(&mut self, scenario: &Scenario, record: &Record, random: &mut Random) -> Input {
        let mut topic = scenario.topics[random.below(scenario.topics.len())].clone();
        match random.below(20) {
            0..12 => {
                let (echo, key) = (random.chance(70), None);
                let text = self.text(random);
                let ids = record.directs.ids();
                if !ids.is_empty() && random.chance(15) {
                    topic = ids[random.below(ids.len())].clone();
                }
                self.publish(Publish { topic, payload: text.as_str().into(), echo, key })
            }
            12..16 if self.streams.len() < 6 => self.subscribe(&topic, scenario, record, random),
            12..18 if !self.streams.is_empty() => {
                let ids: Vec<SubscriptionId> = self.streams.keys().copied().collect();
                let id = random.pick(&ids);
                self.streams.remove(&id);
                Input::Unsubscribe(id)
            }
            18 => self.ask(Command::Ping, Asked::Ping),
            _ => {
                let limit = random.chance(50).then(|| u32::try_from(random.below(5)).unwrap_or(0));
                let read = ReadHistory { topic: topic.clone(), since: None, limit };
                self.ask(Command::History(read), Asked::History(topic))
            }
        }
    }

    /// The input of a publication.
    pub(crate) fn publish(&mut self, publish: Publish) -> Input {
        let asked = Asked::Publish { topic: publish.topic.clone(), text: publish.payload.as_plain().to_owned() };
        self.ask(Command::Publish(publish), asked)
    }

    /// A text that no other publication has. Some texts are long, so that they fill an outbox.
    pub(crate) fn text(&mut self, random: &mut Random) -> String {
        self.published += 1;
        let long = if random.chance(10) { random.below(800) } else { 0 };
        format!("{}-{}{}", self.number, self.published, ".".repeat(long))
    }

    /// The input of a subscription chosen at random.
    fn subscribe(&mut self, topic: &Topic, scenario: &Scenario, record: &Record, random: &mut Random) -> Input {
        let id = SubscriptionId(self.subscriptions);
        self.subscriptions += 1;
        let (mut start, mut target) = (Start::Live, Target::Topic(topic.clone()));
        let before = self.streams.values().filter(|stream| stream.target == target);
        let before: Vec<Position> = before.filter_map(|stream| stream.last).collect();
        match random.below(10) {
            0..3 => target = Target::Pattern(pattern(random.pick(&scenario.patterns))),
            3 | 4 => start = Start::Last(random.pick(&[1, 5])),
            5 if !before.is_empty() => start = Start::After(random.pick(&before)),
            6 if !before.is_empty() => start = Start::AfterOrLast(random.pick(&before), random.pick(&[1, 5])),
            _ => {}
        }
        let is_shared = self.streams.values().any(|stream| stream.target == target);
        let must_be_complete = scenario.is_lossless && (!is_shared || start == Start::Live);
        let mut stream = Stream::new(self.number, target.clone(), must_be_complete);
        if let Start::After(position) | Start::AfterOrLast(position, _) = start {
            stream.begin_after(position, record);
        }
        self.streams.insert(id, stream);
        let (presence, slow) = (random.chance(30), scenario.slow(random));
        let listen = SubscribeRequest { source: Source::Target(target), start, presence, slow };
        self.ask(Command::Subscribe(id, listen), Asked::Subscribe(id))
    }

    /// The input of a command; `asked` says which answer fits.
    fn ask(&mut self, command: Command, asked: Asked) -> Input {
        self.tickets += 1;
        self.asked.insert(Ticket(self.tickets), asked);
        Input::Command(Ticket(self.tickets), command)
    }

    /// Handles the answer to a command.
    ///
    /// # Errors
    /// If the answer does not fit the command or the record.
    pub(crate) fn complete(
        &mut self,
        ticket: Ticket,
        result: &Result<Answer, Failure>,
        cause: Cause<'_>,
        record: &Record,
    ) -> Result<(), String> {
        let asked = self.asked.remove(&ticket).ok_or_else(|| format!("{ticket:?} was completed twice"))?;
        match (&asked, result) {
            (Asked::Subscribe(id), Ok(Answer::Subscribed { .. })) => {
                if let Some(stream) = self.streams.get_mut(id) {
                    stream.begin(cause, record);
                }
                Ok(())
            }
            (Asked::Publish { topic, text }, Ok(Answer::Published(published))) if topic.owner().is_some() => {
                let reached = usize::from(record.directs.has(topic, text));
                match (published.offset, published.receivers) {
                    (None, 0) => Ok(()),
                    (None, 1) if reached == 1 => Ok(()),
                    _ => Err(format!("{published:?} of {text:?} to {topic} is not so")),
                }
            }
            (Asked::Publish { topic, text }, Ok(Answer::Published(published))) => {
                let topic = record.index(topic);
                // There is no offset if the key was first used in a history that no longer exists.
                let is_place = |at: Position| published.offset.is_none_or(|offset| offset == at.offset);
                let took_effect = record
                    .entries(topic)
                    .iter()
                    .any(|entry| entry.text == *text && entry.position.map_or(published.offset.is_none(), is_place));
                // A topic without subscribers keeps nothing, and the record has nothing of it.
                let had_no_effect = published.offset.is_none() && published.receivers == 0;
                if took_effect || had_no_effect { Ok(()) } else { Err(format!("{published:?} of {text:?} is not so")) }
            }
            (Asked::History(topic), Ok(Answer::History(history))) => check_history(record, topic, history),
            (Asked::Subscribe(id), Err(Failure::Timeout { .. } | Failure::Unsubscribed)) => {
                self.streams.remove(id);
                Ok(())
            }
            (Asked::Subscribe(id), Err(failure)) if is_limited(failure) => {
                self.streams.remove(id);
                Ok(())
            }
            (_, Err(failure)) if is_limited(failure) => Ok(()),
            // A history is refused if the topic has no subscribers.
            (Asked::Connect, Ok(Answer::Connected))
            | (Asked::Ping, Ok(Answer::Pong))
            | (Asked::Close, Ok(Answer::Closed))
            | (Asked::History(_), Err(Failure::Refused(_)))
            | (_, Err(Failure::Timeout { .. })) => Ok(()),
            (asked, result) => Err(format!("{asked:?} brought {result:?}")),
        }
    }

    /// Handles what a subscription receives.
    ///
    /// # Errors
    /// If it does not agree with the record.
    pub(crate) fn deliver(
        &mut self,
        id: SubscriptionId,
        delivery: &Delivery,
        cause: Cause<'_>,
        record: &Record,
    ) -> Result<(), String> {
        if id == DIRECT {
            return self.direct.take(self.number, delivery, &record.directs);
        }
        let stream = self.streams.get_mut(&id).ok_or_else(|| format!("{delivery:?} for {id:?}, which is over"))?;
        stream.take(delivery, cause, record).map_err(|what| format!("{id:?} to {:?}: {what}", stream.target))
    }

    /// Checks that the client is connected, has an answer to every request, and got everything or a gap for it.
    ///
    /// # Errors
    /// If that is not so.
    pub(crate) fn check_settled(&self, record: &Record) -> Result<(), String> {
        if self.state != Some(State::Connected) || !self.asked.is_empty() {
            return Err(format!("it is {:?} and waits for {:?}", self.state, self.asked));
        }
        self.direct.finish(self.number, &record.directs)?;
        self.streams.iter().try_for_each(|(id, stream)| {
            stream.finish(record).map_err(|what| format!("{id:?} to {:?}: {what}", stream.target))
        })
    }

    /// Checks that the machine is closed and waits for nothing.
    ///
    /// # Errors
    /// If that is not so.
    pub(crate) fn check_closed(&self) -> Result<(), String> {
        match self.machine.is_closed() && self.asked.is_empty() && self.machine.poll_timeout().is_none() {
            true => Ok(()),
            false => Err(format!("it is closed, but waits for {:?}", self.asked)),
        }
    }

    /// Ends all subscriptions: what comes for them from now on is not checked.
    pub(crate) fn forget_streams(&mut self) -> Vec<Input> {
        std::mem::take(&mut self.streams).into_keys().chain([DIRECT]).map(Input::Unsubscribe).collect()
    }
}

/// The subscription to the connection's own topic.
const DIRECT: SubscriptionId = SubscriptionId(0);

/// Whether a request was refused because of the rate limit, at the first attempt or after a connection broke.
fn is_limited(failure: &Failure) -> bool {
    match failure {
        Failure::Refused(refused) => refused.code == ErrorCode::RateLimited,
        Failure::Uncertain { why, .. } => is_limited(why),
        _ => false,
    }
}

/// Checks that a history has no gaps and agrees with the record.
fn check_history(record: &Record, topic: &Topic, history: &History) -> Result<(), String> {
    let topic = record.index(topic);
    let places = history.messages.iter().map(|entry| {
        let position = Position { epoch: history.epoch, offset: entry.offset };
        record.find(topic, position).filter(|place| record.entries(topic)[*place].text == entry.payload.as_plain())
    });
    let places: Option<Vec<usize>> = places.collect();
    match places {
        Some(places) if places.windows(2).all(|pair| pair[0] + 1 == pair[1]) => Ok(()),
        _ => Err(format!("{history:?} is not what was published")),
    }
}

/// Parses a pattern of the scenario.
fn pattern(text: &str) -> Pattern {
    text.parse().expect("the scenario names patterns")
}
