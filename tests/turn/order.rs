//! A property test: all clients receive all publications in one order, and each gets its answers in the order of its
//! requests.

use crate::stage::Stage;
use hubcast_protocol::event::About;
use hubcast_protocol::{Event, RequestId};
use hubcast_server::Config;
use hubcast_tests::{Frame, Heard};
use proptest::prelude::*;
use std::collections::HashMap;
use std::time::Duration;

/// One step of a run.
#[derive(Clone, Debug)]
enum Step {
    Subscribe {
        client: usize,
        topic: usize,
        slow: &'static str,
    },
    Unsubscribe {
        client: usize,
        topic: usize,
    },
    /// `count` publications of `bytes` bytes each.
    Publish {
        client: usize,
        topic: usize,
        count: usize,
        bytes: usize,
    },
    History {
        client: usize,
        topic: usize,
    },
    Ping {
        client: usize,
    },
    /// A WebSocket ping. Its payload is the number of requests that the client sent before.
    Frame {
        client: usize,
    },
    /// The server can write this many bytes more to a client.
    Room {
        client: usize,
        bytes: usize,
    },
    /// A worker polls its tasks this many times.
    Poll {
        worker: usize,
        count: usize,
    },
    /// Virtual time goes on.
    Pass {
        millis: u64,
    },
}

/// Any step; publications and polls are the most frequent ones.
fn step() -> impl Strategy<Value = Step> {
    let (client, topic) = (0..6_usize, 0..3_usize);
    let slow = prop_oneof![3 => Just("disconnect"), 1 => Just("drop"), 1 => Just("latest")];
    let bytes = prop_oneof![4 => Just(10_usize), 2 => Just(2000), 1 => Just(20_000)];
    prop_oneof![
        3 => (client.clone(), topic.clone(), slow).prop_map(|(client, topic, slow)| Step::Subscribe { client, topic, slow }),
        1 => (client.clone(), topic.clone()).prop_map(|(client, topic)| Step::Unsubscribe { client, topic }),
        6 => (client.clone(), topic.clone(), 1..40_usize, bytes)
            .prop_map(|(client, topic, count, bytes)| Step::Publish { client, topic, count, bytes }),
        1 => (client.clone(), topic).prop_map(|(client, topic)| Step::History { client, topic }),
        1 => client.clone().prop_map(|client| Step::Ping { client }),
        2 => client.clone().prop_map(|client| Step::Frame { client }),
        4 => (client, 1..200_000_usize).prop_map(|(client, bytes)| Step::Room { client, bytes }),
        8 => (0..3_usize, 1..30_usize).prop_map(|(worker, count)| Step::Poll { worker, count }),
        1 => (1..30_u64).prop_map(|millis| Step::Pass { millis }),
    ]
}

/// A run, and what its clients have asked so far.
struct Run {
    stage: Stage,
    workers: usize,
    clients: Vec<usize>,
    asked: Vec<u64>,
    published: u64,
}

impl Run {
    /// Starts a run. Its first client, the observer, subscribes to everything and always reads.
    fn new(workers: usize, clients: usize) -> Self {
        let mut stage = Stage::new(workers, Config { outbox: 200_000, max_waiting: 1_000_000, ..Config::default() });
        let observer = stage.connect(0, usize::MAX);
        stage.say(observer, r#"{"action":"subscribe","pattern":">"}"#);
        stage.settle();
        let clients = (0..clients).map(|number| stage.connect(number % workers, 10_000)).collect::<Vec<_>>();
        Self { stage, workers, asked: vec![0; clients.len()], clients, published: 0 }
    }

    /// Sends a request with the client's next id.
    fn ask(&mut self, client: usize, rest: &str) {
        let client = client % self.clients.len();
        let id = self.asked[client];
        self.asked[client] += 1;
        self.stage.say(self.clients[client], &format!(r#"{{"id":{id},{rest}}}"#));
    }

    /// Executes one step.
    fn take(&mut self, step: &Step) {
        match *step {
            Step::Subscribe { client, topic, slow } => {
                self.ask(client, &format!(r#""action":"subscribe","topic":"{topic}","slow":"{slow}""#));
            }
            Step::Unsubscribe { client, topic } => {
                self.ask(client, &format!(r#""action":"unsubscribe","topic":"{topic}""#));
            }
            Step::Publish { client, topic, count, bytes } => (0..count).for_each(|_| {
                self.published += 1;
                let (number, of) = (self.published, client % self.clients.len());
                let message = format!("{of} {number} {}", "x".repeat(bytes));
                self.ask(client, &format!(r#""action":"publish","topic":"{topic}","message":"{message}""#));
            }),
            Step::History { client, topic } => self.ask(client, &format!(r#""action":"history","topic":"{topic}""#)),
            Step::Ping { client } => self.ask(client, r#""action":"ping""#),
            Step::Frame { client } => {
                let client = client % self.clients.len();
                self.stage.send(self.clients[client], &Frame::ping(self.asked[client].to_string()));
            }
            Step::Room { client, bytes } => {
                self.stage.end(self.clients[client % self.clients.len()]).give_room(bytes);
            }
            Step::Poll { worker, count } => {
                (0..count).for_each(|_| _ = self.stage.server.poll(worker % self.workers));
            }
            Step::Pass { millis } => self.stage.pass(Duration::from_millis(millis)),
        }
    }

    /// Lets all clients read everything and close, and lets time pass until nothing of them is left.
    fn finish(&mut self) {
        let all: Vec<usize> = (0..=self.clients.len()).collect();
        all.iter().for_each(|client| self.stage.end(*client).give_room(usize::MAX / 2));
        self.stage.pass(Duration::from_secs(2));
        all.iter().for_each(|client| self.stage.send(*client, &Frame::close(1000, "")));
        self.stage.pass(Duration::from_secs(10));
        // Longer than a history is kept.
        self.stage.pass(Duration::from_secs(600));
    }

    /// Checks a client's answers: they come in the order of the requests. Each WebSocket pong comes after the answers
    /// to all requests before its ping, and the close frame is the last.
    fn check_answers(&mut self, client: usize) -> Result<(), TestCaseError> {
        let (number, mut answered) = (self.clients[client], 0);
        let heard = self.stage.heard(number).to_vec();
        for (place, heard_one) in heard.iter().enumerate() {
            match heard_one {
                Heard::Text(text) => {
                    let event = hubcast_protocol::typed::decode_event(text).expect("the server sends events");
                    if let Some(id) = id_of(&event) {
                        prop_assert_eq!(id, answered, "of client {}", client);
                        answered += 1;
                    }
                }
                Heard::Pong(payload) => {
                    prop_assert_eq!(payload.clone(), answered.to_string().into_bytes(), "of client {}", client);
                }
                Heard::Close(code, _) => {
                    prop_assert_eq!(place, heard.len() - 1, "of client {}", client);
                    prop_assert!(matches!(code, 1000 | 4002), "client {client} was closed with {code}");
                    prop_assert!(*code == 4002 || answered == self.asked[client], "client {client} lacks an answer");
                }
                other => prop_assert!(matches!(other, Heard::Ping(_)), "{other:?}"),
            }
        }
        Ok(())
    }

    /// Checks a client's publications: they come in the order in which the observer received them, each once, and only
    /// while the client is subscribed. If some are missing, a `gap` event says so.
    fn check_order(&mut self, client: usize, places: &HashMap<String, usize>) -> Result<(), TestCaseError> {
        let mut next: HashMap<String, Option<u64>> = HashMap::new();
        let mut last: HashMap<String, usize> = HashMap::new();
        for event in self.stage.events(self.clients[client]) {
            match event {
                Event::Subscribed(reply) => {
                    let About::Topic(topic) = reply.about else { continue };
                    next.entry(topic.as_str().to_owned()).or_insert(reply.offset.map(|offset| offset + 1));
                }
                Event::Unsubscribed(reply) => {
                    let About::Topic(topic) = reply.about else { continue };
                    next.remove(topic.as_str());
                }
                Event::Gap(gap) => {
                    let topic = gap.topic;
                    let expected = next.get_mut(topic.as_str());
                    // A `gap` event for publications before an unsubscribe may come after its reply.
                    let Some(expected) = expected else { continue };
                    *expected = gap.to.map(|to| to + 1);
                }
                Event::Message(message) => {
                    let topic = message.topic.as_str().to_owned();
                    let place = places.get(message.payload.as_plain());
                    prop_assert!(place.is_some(), "{message:?} was never published");
                    let before = last.insert(topic.clone(), place.copied().unwrap_or_default());
                    prop_assert!(before < place.copied(), "{message:?} is out of order for client {client}");
                    let expected = next.get_mut(&topic);
                    prop_assert!(expected.is_some(), "{message:?} without a subscription of client {client}");
                    let Some(expected) = expected else { continue };
                    prop_assert_eq!(message.offset, *expected, "client {} lacks something on {}", client, topic);
                    *expected = message.offset.map(|offset| offset + 1);
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The place of each publication in the order in which the observer received them. Checks that the publications of
    /// each publisher are in its own order.
    fn places(&mut self) -> Result<HashMap<String, usize>, TestCaseError> {
        let (mut places, mut newest) = (HashMap::new(), HashMap::new());
        for (place, event) in self.stage.events(0).into_iter().enumerate() {
            let Event::Message(message) = event else { continue };
            let text = message.payload.as_plain().to_owned();
            let mut words = text.split(' ');
            let (of, number) =
                (words.next().map(str::to_owned), words.next().and_then(|word| word.parse::<u64>().ok()));
            let before = newest.insert(of, number);
            prop_assert!(before.flatten() < number, "{text:.30} came too late");
            prop_assert!(places.insert(text, place).is_none(), "the observer heard something twice");
        }
        Ok(places)
    }
}

/// The id of the request that an event answers.
fn id_of(event: &Event) -> Option<u64> {
    let id = match event {
        Event::Subscribed(reply) => reply.id.clone(),
        Event::Unsubscribed(reply) => reply.id.clone(),
        Event::Published(reply) => reply.id.clone(),
        Event::Pong(reply) => Some(reply.id.clone()),
        Event::History(reply) => Some(reply.id.clone()),
        Event::Error(refusal) => refusal.id.clone(),
        _ => None,
    };
    match id {
        Some(RequestId::Number(id)) => Some(id),
        _ => None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn everybody_hears_one_order_and_is_answered_in_order_and_nothing_is_left(
        workers in 1..=3_usize,
        clients in 2..=6_usize,
        steps in prop::collection::vec(step(), 1..120),
    ) {
        let mut run = Run::new(workers, clients);
        for step in &steps {
            run.take(step);
            let unserved = (0..workers).map(|worker| run.stage.server.load(worker).unserved).max();
            prop_assert!(unserved < Some(2 * 1024 * 1024), "{unserved:?} bytes were read and not served");
        }
        run.finish();
        let places = run.places()?;
        for client in 0..clients {
            run.check_answers(client)?;
            run.check_order(client, &places)?;
        }
        run.stage.check_nothing_is_left();
    }
}
