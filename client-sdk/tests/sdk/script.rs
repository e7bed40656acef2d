//! A machine, a clock that stands still, and words for what the server says.

use hubcast_client::machine::{
    Answer, Command, Config, Delivery, Disconnection, Effect, Failure, Gap, Input, Machine, Resumed, Source, State,
    SubscribeRequest, SubscriptionId, Ticket,
};
use hubcast_protocol::request::{Publish, Start};
use hubcast_protocol::{CloseCode, Target};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

pub(crate) struct Script {
    pub(crate) machine: Machine,
    pub(crate) now: Instant,
    /// What the machine wanted since somebody last looked.
    pub(crate) effects: Vec<Effect>,
    last_ticket: u64,
}

pub(crate) const FIRST_ID: &str = "07070707-0707-4707-8707-070707070707";

impl Script {
    pub(crate) fn new(config: Config) -> Self {
        let machine = Machine::new(config, 7);
        Self { machine, now: Instant::now(), effects: Vec::new(), last_ticket: 0 }
    }

    /// A client that has been welcomed.
    pub(crate) fn connected() -> Self {
        Self::connected_with(Config::default())
    }

    pub(crate) fn connected_with(config: Config) -> Self {
        let mut script = Self::new(config);
        let ticket = script.command(Command::Connect);
        script.welcome();
        assert_eq!(script.result(ticket), Some(Ok(Answer::Connected)));
        script.effects.clear();
        script
    }

    pub(crate) fn input(&mut self, input: Input) {
        self.machine.handle(self.now, input, &mut self.effects);
    }

    pub(crate) fn command(&mut self, command: Command) -> Ticket {
        self.last_ticket += 1;
        let ticket = Ticket(self.last_ticket);
        self.input(Input::Command(ticket, command));
        ticket
    }

    pub(crate) fn subscribe(&mut self, id: u64, target: impl Into<Target>, start: Start) -> Ticket {
        let listen = SubscribeRequest { start, ..SubscribeRequest::live(Source::Target(target.into())) };
        self.command(Command::Subscribe(SubscriptionId(id), listen))
    }

    /// Subscribes to a topic and lets the server confirm it.
    pub(crate) fn subscribed(&mut self, id: u64, topic: &str, reply: Value) {
        let ticket = self.subscribe(id, topic_of(topic), Start::Live);
        self.reply(reply, json!({"event": "subscribed", "topic": topic}));
        assert_eq!(self.result(ticket), Some(Ok(Answer::Subscribed)));
    }

    pub(crate) fn publish(&mut self, topic: &str, message: &str, echo: bool) -> Ticket {
        self.command(Command::Publish(Publish { topic: topic.into(), payload: message.into(), echo, key: None }))
    }

    /// The server says something.
    #[expect(clippy::needless_pass_by_value, reason = "what is said is written where it is said")]
    pub(crate) fn says(&mut self, event: Value) {
        self.input(Input::Frame(event.to_string()));
    }

    pub(crate) fn message(&mut self, topic: &str, epoch: &str, offset: u64) {
        self.says(json!({"event": "message", "topic": topic, "epoch": epoch, "offset": offset, "message": "m"}));
    }

    /// The server answers the only request that was sent, with these fields and its id.
    pub(crate) fn reply(&mut self, fields: Value, event: Value) {
        let sent = self.sent();
        let [request] = &sent[..] else { panic!("one request was expected: {sent:?}") };
        self.reply_to(request, fields, event);
    }

    #[expect(clippy::needless_pass_by_value, reason = "what is said is written where it is said")]
    pub(crate) fn reply_to(&mut self, request: &Value, fields: Value, mut event: Value) {
        event["id"] = request["id"].clone();
        event.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        self.says(event);
    }

    /// The connection that was asked for comes, with a welcome.
    pub(crate) fn welcome(&mut self) {
        self.welcome_as(FIRST_ID);
    }

    pub(crate) fn welcome_as(&mut self, client: &str) {
        assert!(self.took(&Effect::Connect), "{:?}", self.effects);
        self.input(Input::Connected);
        let limits = json!({"message": 65536, "topic": 1024, "subscriptions": 1000});
        self.says(
            json!({"event": "welcome", "client": client, "server": "hubcast/0", "ping": 25000, "limits": limits}),
        );
    }

    pub(crate) fn lose(&mut self) {
        self.input(Input::Disconnected(Disconnection::Lost { reason: "cut".into(), retry_after: None }));
    }

    pub(crate) fn close(&mut self, code: u16) {
        self.input(Input::Disconnected(Disconnection::Closed { code: CloseCode(code), reason: "because".into() }));
    }

    /// Loses the connection and gets it back.
    pub(crate) fn reconnect(&mut self) {
        self.lose();
        self.pass();
        self.welcome();
    }

    /// Lets time pass until the machine wants to be called; says how long it was.
    pub(crate) fn pass(&mut self) -> Duration {
        let at = self.machine.poll_timeout().expect("the machine waits for something");
        let passed = at.saturating_duration_since(self.now);
        self.wait(passed);
        passed
    }

    pub(crate) fn wait(&mut self, time: Duration) {
        self.now += time;
        self.machine.handle_timeout(self.now, &mut self.effects);
    }

    /// What was sent, in order.
    pub(crate) fn sent(&mut self) -> Vec<Value> {
        let sent = self.effects.extract_if(.., |effect| matches!(effect, Effect::Send(_)));
        sent.map(|effect| match effect {
            Effect::Send(text) => serde_json::from_str(&text).unwrap(),
            other => panic!("{other:?}"),
        })
        .collect()
    }

    /// How a command was completed, if it was; panics if it was more than once.
    pub(crate) fn result(&mut self, of: Ticket) -> Option<Result<Answer, Failure>> {
        let completed = self.effects.extract_if(.., |e| matches!(e, Effect::Complete(ticket, _) if *ticket == of));
        let results: Vec<_> = completed.collect();
        assert!(results.len() <= 1, "{results:?}");
        results.into_iter().next().map(|effect| match effect {
            Effect::Complete(_, result) => result,
            other => panic!("{other:?}"),
        })
    }

    /// What a subscription heard, in order and in short.
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

    /// Whether the machine wanted exactly this, once.
    pub(crate) fn took(&mut self, wanted: &Effect) -> bool {
        let taken = self.effects.extract_if(.., |effect| effect == wanted);
        taken.count() == 1
    }

    pub(crate) fn state(&self) -> Option<State> {
        self.effects.iter().rev().find_map(|effect| match effect {
            Effect::Status(status) => Some(status.state.clone()),
            _ => None,
        })
    }
}

pub(crate) fn topic_of(name: &str) -> Target {
    Target::Topic(name.into())
}

pub(crate) fn pattern_of(text: &str) -> Target {
    Target::Pattern(text.parse().unwrap())
}

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
        Delivery::Ended(why) => format!("ended: {why}"),
    }
}
