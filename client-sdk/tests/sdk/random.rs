//! Any inputs in any order: nothing panics, every command is completed once, and no subscription receives a publication
//! twice or after a newer one.

use hubcast_client::machine::{
    Command, Config, Delivery, Disconnection, Effect, GivenToken, Input, Machine, Source, SubscribeRequest,
    SubscriptionId, Ticket, TokenFailure,
};
use hubcast_protocol::request::{Publish, ReadHistory, Slow, Start};
use hubcast_protocol::{AccessToken, CloseCode, Position, Target};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// One step of a run: an input comes, or time passes.
#[derive(Clone, Debug)]
enum Step {
    Input(Input),
    /// A command. The run gives it the next ticket.
    Command(Command),
    /// A subscribe. The run gives it the next ticket and subscription id.
    Subscribe(SubscribeRequest),
    /// The server answers one of the newest requests; 0 is the newest.
    Reply(usize, Reply),
    /// The clock moves to the next timeout of the machine, by at most 15 seconds, and the program gives a token if it was
    /// asked for one; then a connection opens and its welcome comes.
    Welcome,
    /// This time passes, whatever timeouts are due in it.
    Wait(Duration),
    /// The clock moves to the next timeout of the machine, if there is one.
    Timeout,
}

/// One of three topics, or a client id.
fn topic() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["a", "b", "a.x", "07070707-0707-4707-8707-070707070707"])
}

/// An epoch of two, and an offset from 0 to 5 or the largest number.
fn position() -> impl Strategy<Value = (&'static str, u64)> {
    (prop::sample::select(vec!["e", "f"]), prop_oneof![8 => 0..6u64, 1 => Just(u64::MAX)])
}

/// A subscribe to a topic, to a pattern or to direct messages.
fn listen() -> impl Strategy<Value = SubscribeRequest> {
    let at = position().prop_map(|(epoch, offset)| Position { epoch: epoch.parse().unwrap(), offset });
    let start = prop_oneof![Just(Start::Live), (1..3u32).prop_map(Start::Last), at.prop_map(Start::After)];
    let source = prop_oneof![
        topic().prop_map(|topic| Source::Target(Target::Topic(topic.into()))),
        prop::sample::select(vec![">", "a.*"]).prop_map(|p| Source::Target(Target::Pattern(p.parse().unwrap()))),
        Just(Source::Direct),
    ];
    (source, start, any::<bool>()).prop_map(|(source, start, presence)| {
        let slow = if presence { Slow::Drop } else { Slow::Disconnect };
        SubscribeRequest { source, start, presence, slow }
    })
}

/// Any command except a subscribe.
fn command() -> impl Strategy<Value = Command> {
    prop_oneof![
        20 => (topic(), any::<bool>()).prop_map(|(topic, echo)| {
            Command::Publish(Publish { topic: topic.into(), payload: "x".into(), echo, key: None })
        }),
        5 => Just(Command::Ping),
        5 => topic().prop_map(|t| Command::History(ReadHistory { topic: t.into(), since: None, limit: None })),
        5 => topic().prop_map(|topic| Command::Presence(topic.into())),
        1 => Just(Command::Connect),
        1 => Just(Command::Close),
    ]
}

/// Any event that the server may send without a request.
fn event() -> impl Strategy<Value = Value> {
    let member = json!({"client": "08080808-0808-4808-8808-080808080808"});
    prop_oneof![
        10 => (topic(), position()).prop_map(|(topic, (epoch, offset))| {
            json!({"event": "message", "topic": topic, "epoch": epoch, "offset": offset, "message": "m"})
        }),
        3 => topic().prop_map(|topic| json!({"event": "message", "topic": topic, "message": [1]})),
        2 => (topic(), 0..6u64, position()).prop_map(|(topic, from, (epoch, to))| {
            json!({"event": "gap", "topic": topic, "from": from, "to": to, "epoch": epoch, "reason": "slow_consumer"})
        }),
        2 => (topic(), position()).prop_map(|(topic, (epoch, offset))| {
            json!({"event": "gap", "topic": topic, "epoch": epoch, "offset": offset, "reason": "not_recoverable"})
        }),
        1 => topic().prop_map(|topic| json!({"event": "unsubscribed", "topic": topic})),
        2 => Just(json!({"event": "error", "code": "token_expired", "reason": "over", "retry": false})),
        1 => topic().prop_map(move |topic| {
            let mut event = member.clone();
            (event["event"], event["topic"]) = (json!("join"), json!(topic));
            event
        }),
        1 => prop::option::of(any::<u64>()).prop_map(|back| {
            json!({"event": "closing", "code": 1012, "reason": "", "reconnect_in_ms": back})
        }),
        1 => (any::<u8>(), prop::sample::select(vec![0, 1, 25_000, u64::MAX])).prop_map(|(id, ping)| {
            welcome(id, ping)
        }),
    ]
}

/// A welcome whose client id begins with `id`. `ping` is the ping interval in milliseconds.
fn welcome(id: u8, ping: u64) -> Value {
    let client = format!("{id:08x}-0707-4707-8707-070707070707");
    let limits = json!({"message": 300, "topic": 100, "subscriptions": 10});
    json!({"event": "welcome", "client": client, "user": "ada", "server": "s", "ping": ping, "limits": limits})
}

/// The program's answer to a question for a token: one of three, each with its lifetime, or none.
fn given() -> impl Strategy<Value = Input> {
    prop_oneof![
        20 => (0..3u64).prop_map(token),
        4 => Just(Input::Token(Err(TokenFailure::Failed("away".into())))),
        1 => Just(Input::Token(Err(TokenFailure::NotAllowed("no".into())))),
    ]
}

/// The token with this number, which lasts so many times ten seconds; 0 does not say how long it lasts.
fn token(number: u64) -> Input {
    let lifetime = Some(Duration::from_secs(10 * number)).filter(|_| number > 0);
    Input::Token(Ok(GivenToken { token: AccessToken::new(format!("token {number}")).unwrap(), lifetime, clock: 5 }))
}

/// The variable fields of the server's answer. `refused` makes it an error with this code.
#[derive(Clone, Debug)]
struct Reply {
    refused: Option<&'static str>,
    position: Option<(&'static str, u64)>,
    recovered: Option<bool>,
    replayed: u32,
}

/// An answer of the server. One in ten is a refusal.
fn reply() -> impl Strategy<Value = Reply> {
    let codes = vec!["unavailable", "internal", "token_expired", "token_invalid", "forbidden", "rate_limited"];
    let refused = prop_oneof![9 => Just(None), 1 => prop::sample::select(codes).prop_map(Some)];
    let position = prop_oneof![1 => Just(None), 5 => position().prop_map(Some)];
    (refused, position, prop::option::of(any::<bool>()), 0..3u32)
        .prop_map(|(refused, position, recovered, replayed)| Reply { refused, position, recovered, replayed })
}

impl Reply {
    /// The answer to this request, of the kind that its action needs.
    fn to(&self, request: &Value) -> Value {
        let mut event = match (self.refused, request["action"].as_str()) {
            (Some(code), _) => {
                let retry = ["unavailable", "rate_limited"].contains(&code);
                json!({"event": "error", "code": code, "reason": "no", "retry": retry})
            }
            (None, Some("authenticate")) => json!({"event": "authenticated", "user": "ada", "expires": 25}),
            (None, Some("subscribe")) => json!({"event": "subscribed", "replayed": self.replayed}),
            (None, Some("publish")) => json!({"event": "published", "receivers": 1}),
            (None, Some("history")) => json!({"event": "history", "messages": []}),
            (None, Some("presence")) => json!({"event": "presence", "count": 0, "clients": []}),
            (None, Some("unsubscribe")) => json!({"event": "unsubscribed"}),
            (None, _) => json!({"event": "pong"}),
        };
        let mut add = |name: &str, value: Value| {
            if !value.is_null() {
                event[name] = value;
            }
        };
        ["id", "topic", "pattern"].iter().for_each(|field| add(field, request[field].clone()));
        add("recovered", json!(self.recovered));
        if let Some((epoch, offset)) = self.position {
            add("epoch", json!(epoch));
            add("offset", json!(offset));
        }
        event
    }
}

/// A step. The numbers before `=>` are weights.
fn step() -> impl Strategy<Value = Step> {
    let disconnection = prop_oneof![
        40 => Just(Disconnection::Lost { reason: "cut".into(), retry_after: None }),
        10 => Just(Disconnection::Closed { code: CloseCode(1012), reason: String::new() }),
        1 => Just(Disconnection::Closed { code: CloseCode(4500), reason: String::new() }),
        1 => Just(Disconnection::Rejected { reason: "404".into(), status: Some(404) }),
        2 => Just(Disconnection::Closed { code: CloseCode(4001), reason: String::new() }),
        2 => Just(Disconnection::TokenRefused { reason: "401".into() }),
    ];
    prop_oneof![
        12 => Just(Step::Welcome),
        1 => Just(Step::Input(Input::Connected)),
        4 => disconnection.prop_map(|why| Step::Input(Input::Disconnected(why))),
        8 => given().prop_map(Step::Input),
        60 => event().prop_map(|event| Step::Input(Input::Frame(event.to_string()))),
        1 => ".{0,9}".prop_map(|text| Step::Input(Input::Frame(text))),
        2 => (0..6u64).prop_map(|id| Step::Input(Input::Unsubscribe(SubscriptionId(id)))),
        8 => command().prop_map(Step::Command),
        12 => listen().prop_map(Step::Subscribe),
        40 => (0..3usize, reply()).prop_map(|(which, reply)| Step::Reply(which, reply)),
        3 => (0..40_000u64).prop_map(|ms| Step::Wait(Duration::from_millis(ms))),
        4 => Just(Step::Timeout),
    ]
}

/// A machine, its clock, what it was given so far, and what it did.
struct Run {
    machine: Machine,
    now: Instant,
    /// The number of commands, and the ticket of the last one.
    tickets: u64,
    /// The number of subscribes, and the id of the next one.
    subscriptions: u64,
    /// Whether the program gives tokens, and whether it is asked for one now.
    has_tokens: bool,
    is_asked: bool,
    /// The requests that the machine sent, oldest first.
    requests: Vec<Value>,
    /// How often each command was completed.
    completed: BTreeMap<Ticket, usize>,
    /// The subscription of each subscribe command.
    subscribing: BTreeMap<Ticket, SubscriptionId>,
    /// The subscriptions that have ended and must receive nothing more.
    ended: BTreeSet<SubscriptionId>,
    /// The position of the newest publication of each topic that each subscription received.
    last: BTreeMap<(SubscriptionId, String), Position>,
}

impl Run {
    /// Does one step, and checks the effects. When no timeout is due, `handle_timeout` must do nothing.
    fn step(&mut self, step: Step) {
        let mut effects = Vec::new();
        match step {
            Step::Input(Input::Token(_)) if !self.is_asked => return,
            Step::Input(input) => {
                self.is_asked &= !matches!(input, Input::Token(_));
                if let Input::Unsubscribe(id) = input {
                    self.ended.insert(id);
                }
                self.machine.handle(self.now, input, &mut effects);
                // An unsubscribe that comes before the subscribe with this id does not end the later subscription.
                self.ended.retain(|id| id.0 < self.subscriptions);
            }
            Step::Command(command) => self.command(command, &mut effects),
            Step::Subscribe(listen) => {
                let id = SubscriptionId(self.subscriptions);
                self.subscriptions += 1;
                self.subscribing.insert(Ticket(self.tickets + 1), id);
                self.command(Command::Subscribe(id, listen), &mut effects);
            }
            Step::Reply(which, reply) => {
                let Some(request) = self.requests.iter().rev().nth(which) else { return };
                let reply = reply.to(request).to_string();
                self.machine.handle(self.now, Input::Frame(reply), &mut effects);
            }
            Step::Welcome => {
                if let Some(at) = self.machine.poll_timeout() {
                    self.now = self.now.max(at.min(self.now + Duration::from_secs(15)));
                }
                self.machine.handle_timeout(self.now, &mut effects);
                if self.is_asked || effects.iter().any(|effect| matches!(effect, Effect::AskToken(_))) {
                    effects.drain(..).for_each(|effect| self.check(effect));
                    self.is_asked = false;
                    self.machine.handle(self.now, token(2), &mut effects);
                }
                self.machine.handle(self.now, Input::Connected, &mut effects);
                self.machine.handle(self.now, Input::Frame(welcome(7, 25_000).to_string()), &mut effects);
            }
            Step::Wait(time) => {
                self.now += time;
                self.machine.handle_timeout(self.now, &mut effects);
            }
            Step::Timeout => {
                if let Some(at) = self.machine.poll_timeout() {
                    self.now = self.now.max(at);
                    self.machine.handle_timeout(self.now, &mut effects);
                }
            }
        }
        if self.machine.poll_timeout().is_some_and(|at| at > self.now) {
            let before = effects.len();
            self.machine.handle_timeout(self.now, &mut effects);
            assert_eq!(effects.len(), before, "with nothing due, nothing happens");
        }
        effects.into_iter().for_each(|effect| self.check(effect));
    }

    /// Gives a command with the next ticket to the machine.
    fn command(&mut self, command: Command, effects: &mut Vec<Effect>) {
        self.tickets += 1;
        self.machine.handle(self.now, Input::Command(Ticket(self.tickets), command), effects);
    }

    /// Checks one effect and records it.
    fn check(&mut self, effect: Effect) {
        match effect {
            Effect::Complete(ticket, result) => {
                *self.completed.entry(ticket).or_default() += 1;
                // A subscribe that fails makes no subscription.
                self.ended.extend(self.subscribing.get(&ticket).filter(|_| result.is_err()));
            }
            Effect::Send(text) => {
                assert!(text.len() <= 300, "longer than the server takes: {text}");
                self.requests.push(serde_json::from_str(&text).unwrap());
            }
            Effect::Deliver(id, delivery) => {
                assert!(!self.ended.contains(&id), "{delivery:?} after the end");
                match delivery {
                    Delivery::Ended(_) => _ = self.ended.insert(id),
                    Delivery::Message(message) => {
                        let Some(at) = message.position() else { return };
                        let last = self.last.insert((id, message.topic.to_string()), at);
                        let is_old = last.is_some_and(|last| last.epoch == at.epoch && last.offset >= at.offset);
                        assert!(!is_old, "{at:?} on {} after {last:?}", message.topic);
                    }
                    // A gap without `from` may mean that a topic has a new history. The server decides where the
                    // subscription continues, and that may be a lower offset.
                    Delivery::Gap(gap) if gap.from.is_none() => {
                        let of = |topic: &str| gap.topic.as_ref().is_none_or(|gap| gap.as_str() == topic);
                        self.last.retain(|(by, topic), _| *by != id || !of(topic));
                    }
                    _ => {}
                }
            }
            Effect::Connect(token) => assert_eq!(token.is_some(), self.has_tokens),
            Effect::AskToken(_) => {
                assert!(self.has_tokens && !self.is_asked, "the program is asked once at a time");
                self.is_asked = true;
            }
            Effect::Close(_) | Effect::Status(_) => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1000) })]

    #[test]
    fn every_command_is_completed_once_and_no_stream_goes_back(
        steps in prop::collection::vec(step(), 0..120),
        seed in any::<u128>(),
        has_tokens in any::<bool>(),
    ) {
        let config = Config { queue: 5, topics_per_pattern: 8, has_tokens, ..Config::default() };
        let mut run = Run {
            machine: Machine::new(config, seed),
            now: Instant::now(),
            tickets: 0,
            subscriptions: 0,
            has_tokens,
            is_asked: false,
            requests: Vec::new(),
            completed: BTreeMap::new(),
            subscribing: BTreeMap::new(),
            ended: BTreeSet::new(),
            last: BTreeMap::new(),
        };
        run.step(Step::Command(Command::Connect));
        run.step(Step::Input(token(2)));
        run.step(Step::Input(Input::Connected));
        run.step(Step::Input(Input::Frame(welcome(7, 25_000).to_string())));
        steps.into_iter().for_each(|step| run.step(step));
        run.step(Step::Command(Command::Close));
        run.step(Step::Wait(Duration::from_secs(6)));
        prop_assert!(run.machine.is_closed());
        prop_assert_eq!(run.ended.len() as u64, run.subscriptions, "a stream without an end");
        let all: BTreeMap<_, _> = (1..=run.tickets).map(|ticket| (Ticket(ticket), 1)).collect();
        prop_assert_eq!(run.completed, all);
    }
}
