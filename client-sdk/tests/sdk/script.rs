//! A harness for tests of the machine: a clock that only the test moves, and functions that play the program and the
//! server.

use hubcast_client::machine::{
    Answer, Command, Config, Delivery, Disconnection, Effect, Failure, Gap, Input, Machine, Resumed, Source, State,
    Status, SubscribeRequest, SubscriptionId, Ticket,
};
use hubcast_protocol::request::{Publish, Start};
use hubcast_protocol::{CloseCode, Target};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// A machine and its clock. First the test gives inputs, by functions such as `command`, `says` and `pass`. Then it
/// takes the effects out, by functions such as `sent`, `result` and `heard`.
pub(crate) struct Script {
    pub(crate) machine: Machine,
    pub(crate) now: Instant,
    /// The effects that the test has not taken out yet, in order.
    pub(crate) effects: Vec<Effect>,
    last_ticket: u64,
}

/// The client id in the welcome of `Script::welcome`.
pub(crate) const FIRST_ID: &str = "07070707-0707-4707-8707-070707070707";

impl Script {
    /// A machine with a fixed seed that has not connected yet.
    pub(crate) fn new(config: Config) -> Self {
        let machine = Machine::new(config, 7);
        Self { machine, now: Instant::now(), effects: Vec::new(), last_ticket: 0 }
    }

    /// A machine with the default configuration that has received its welcome.
    pub(crate) fn connected() -> Self {
        Self::connected_with(Config::default())
    }

    /// A machine with this configuration that has received its welcome. There are no effects.
    pub(crate) fn connected_with(config: Config) -> Self {
        let mut script = Self::new(config);
        let ticket = script.command(Command::Connect);
        script.welcome();
        assert_eq!(script.result(ticket), Some(Ok(Answer::Connected)));
        script.effects.clear();
        script
    }

    /// Gives an input to the machine at the current time.
    pub(crate) fn input(&mut self, input: Input) {
        self.machine.handle(self.now, input, &mut self.effects);
    }

    /// Gives a command of the program to the machine. Returns its ticket.
    pub(crate) fn command(&mut self, command: Command) -> Ticket {
        self.last_ticket += 1;
        let ticket = Ticket(self.last_ticket);
        self.input(Input::Command(ticket, command));
        ticket
    }

    /// Subscribes without presence, as subscription `id`. Returns the ticket.
    pub(crate) fn subscribe(&mut self, id: u64, target: impl Into<Target>, start: Start) -> Ticket {
        let listen = SubscribeRequest { start, ..SubscribeRequest::live(Source::Target(target.into())) };
        self.command(Command::Subscribe(SubscriptionId(id), listen))
    }

    /// Subscribes to a topic from now on, and confirms it as the server. `reply` has the further fields of the
    /// confirmation.
    pub(crate) fn subscribed(&mut self, id: u64, topic: &str, reply: Value) {
        let ticket = self.subscribe(id, topic_of(topic), Start::Live);
        self.reply(reply, json!({"event": "subscribed", "topic": topic}));
        assert!(matches!(self.result(ticket), Some(Ok(Answer::Subscribed { .. }))));
    }

    /// Publishes a text without a key. Returns the ticket.
    pub(crate) fn publish(&mut self, topic: &str, message: &str, echo: bool) -> Ticket {
        self.command(Command::Publish(Publish { topic: topic.into(), payload: message.into(), echo, key: None }))
    }

    /// Gives an event of the server to the machine.
    #[expect(clippy::needless_pass_by_value, reason = "what is said is written where it is said")]
    pub(crate) fn says(&mut self, event: Value) {
        self.input(Input::Frame(event.to_string()));
    }

    /// Gives a publication of the server with this position to the machine.
    pub(crate) fn message(&mut self, topic: &str, epoch: &str, offset: u64) {
        self.says(json!({"event": "message", "topic": topic, "epoch": epoch, "offset": offset, "message": "m"}));
    }

    /// Answers the only request in `effects`: `event`, with the id of the request and with these fields. Panics unless
    /// there is exactly one request.
    pub(crate) fn reply(&mut self, fields: Value, event: Value) {
        let sent = self.sent();
        let [request] = &sent[..] else { panic!("one request was expected: {sent:?}") };
        self.reply_to(request, fields, event);
    }

    /// Answers a request: `event`, with the id of the request and with these fields.
    #[expect(clippy::needless_pass_by_value, reason = "what is said is written where it is said")]
    pub(crate) fn reply_to(&mut self, request: &Value, fields: Value, mut event: Value) {
        event["id"] = request["id"].clone();
        event.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        self.says(event);
    }

    /// Opens the connection that the machine asked for, and sends the welcome with `FIRST_ID`. Panics if the machine
    /// did not ask for one.
    pub(crate) fn welcome(&mut self) {
        self.welcome_as(FIRST_ID);
    }

    /// The same with another client id.
    pub(crate) fn welcome_as(&mut self, client: &str) {
        assert!(self.took(&Effect::Connect(None)), "{:?}", self.effects);
        self.input(Input::Connected);
        let limits = json!({"message": 65536, "topic": 1024, "subscriptions": 1000});
        self.says(
            json!({"event": "welcome", "client": client, "server": "hubcast/0", "ping": 25000, "limits": limits}),
        );
    }

    /// Breaks the connection, or the attempt to open one.
    pub(crate) fn lose(&mut self) {
        self.input(Input::Disconnected(Disconnection::Lost { reason: "cut".into(), retry_after: None }));
    }

    /// Closes the connection as the server, with this code.
    pub(crate) fn close(&mut self, code: u16) {
        self.input(Input::Disconnected(Disconnection::Closed { code: CloseCode(code), reason: "because".into() }));
    }

    /// Breaks the connection, waits until the machine connects again, and welcomes it.
    pub(crate) fn reconnect(&mut self) {
        self.lose();
        self.pass();
        self.welcome();
    }

    /// Moves the clock to the next timeout of the machine and handles it. Returns the time that passed.
    pub(crate) fn pass(&mut self) -> Duration {
        let at = self.machine.poll_timeout().expect("the machine waits for something");
        let passed = at.saturating_duration_since(self.now);
        self.wait(passed);
        passed
    }

    /// Moves the clock by this time and calls `handle_timeout`.
    pub(crate) fn wait(&mut self, time: Duration) {
        self.now += time;
        self.machine.handle_timeout(self.now, &mut self.effects);
    }

    /// Takes out the requests that were sent, in order.
    pub(crate) fn sent(&mut self) -> Vec<Value> {
        let sent = self.effects.extract_if(.., |effect| matches!(effect, Effect::Send(_)));
        sent.map(|effect| match effect {
            Effect::Send(text) => serde_json::from_str(&text).unwrap(),
            other => panic!("{other:?}"),
        })
        .collect()
    }

    /// Takes out the result of a command; `None` if the command is not completed. Panics if it was completed more than
    /// once.
    pub(crate) fn result(&mut self, of: Ticket) -> Option<Result<Answer, Failure>> {
        let completed = self.effects.extract_if(.., |e| matches!(e, Effect::Complete(ticket, _) if *ticket == of));
        let results: Vec<_> = completed.collect();
        assert!(results.len() <= 1, "{results:?}");
        results.into_iter().next().map(|effect| match effect {
            Effect::Complete(_, result) => result,
            other => panic!("{other:?}"),
        })
    }

    /// Takes out the deliveries to a subscription, in order, each in the short form of `in_short`.
    pub(crate) fn heard(&mut self, by: u64) -> Vec<String> {
        let by = SubscriptionId(by);
        let heard = self.effects.extract_if(.., |e| matches!(e, Effect::Deliver(id, _) if *id == by));
        heard
            .map(|effect| match effect {
                Effect::Deliver(_, delivery) => in_short(&delivery),
                other => panic!("{other:?}"),
            })
            .collect()
    }

    /// Takes out all effects that equal `wanted`. Returns whether there was exactly one.
    pub(crate) fn took(&mut self, wanted: &Effect) -> bool {
        let taken = self.effects.extract_if(.., |effect| effect == wanted);
        taken.count() == 1
    }

    /// The newest status in the effects; `None` if there is none. Leaves the effects as they are.
    pub(crate) fn status(&self) -> Option<Status> {
        self.effects.iter().rev().find_map(|effect| match effect {
            Effect::Status(status) => Some(status.clone()),
            _ => None,
        })
    }

    /// The newest state in the effects; `None` if there is no status among them. Leaves the effects as they are.
    pub(crate) fn state(&self) -> Option<State> {
        self.effects.iter().rev().find_map(|effect| match effect {
            Effect::Status(status) => Some(status.state.clone()),
            _ => None,
        })
    }
}

/// A topic as the target of a subscription.
pub(crate) fn topic_of(name: &str) -> Target {
    Target::Topic(name.into())
}

/// A pattern as the target of a subscription.
pub(crate) fn pattern_of(text: &str) -> Target {
    Target::Pattern(text.parse().unwrap())
}

/// A delivery in a few words, such as `a 6` for offset 6 of topic `a`, or `gap a 7..9`. An unknown value is `?`.
fn in_short(delivery: &Delivery) -> String {
    let or = |number: &Option<u64>| number.map_or("?".to_owned(), |number| number.to_string());
    match delivery {
        Delivery::Message(message) => format!("{} {}", message.topic, or(&message.offset)),
        Delivery::Resumed(Resumed { recovered: true, replayed, .. }) => format!("recovered, {replayed} follow"),
        Delivery::Resumed(Resumed { recovered: false, .. }) => "resumed".to_owned(),
        Delivery::Gap(Gap { topic, from, to, .. }) => {
            let topic = topic.as_ref().map_or("?", |topic| topic.as_str());
            format!("gap {topic} {}..{}", or(from), or(to))
        }
        Delivery::Joined(member) => format!("join {}", member.client),
        Delivery::Left(member) => format!("leave {}", member.client),
        Delivery::Presence(answer) => format!("presence: {answer:?}"),
        Delivery::Ended(why) => format!("ended: {why}"),
    }
}
