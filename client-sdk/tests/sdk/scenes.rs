//! The scenes that every client plays: `protocol/scenes.json` says what their steps mean.

use crate::script::Script;
use hubcast_client::machine::{
    Answer, Command, Config, Delivery, Disconnection, Effect, Ended, Failure, Gap, Input, Source, State,
    SubscribeRequest, SubscriptionId, Ticket,
};
use hubcast_protocol::request::{Publish, Start};
use hubcast_protocol::{ErrorCode, Payload, Target};
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

#[test]
fn every_scene() {
    let file: Value = serde_json::from_str(include_str!("../../../protocol/scenes.json")).unwrap();
    for scene in file["scenes"].as_array().unwrap() {
        let mut player = Player::new();
        for step in scene["steps"].as_array().unwrap() {
            let played = catch_unwind(AssertUnwindSafe(|| player.play(step)));
            assert!(played.is_ok(), "scene {}, step {step}: {:#?}", scene["name"], player.script.effects);
        }
        let left = player.script.effects.iter().any(is_seen);
        assert!(!left, "scene {}: something is left over: {:#?}", scene["name"], player.script.effects);
    }
}

struct Player {
    script: Script,
    is_started: bool,
    cut_at: Instant,
    /// The subscriptions and the publications of the program, by their names.
    subscriptions: HashMap<String, (SubscriptionId, Ticket)>,
    publications: HashMap<String, Ticket>,
    /// The frames that were sent, by their names.
    frames: HashMap<String, Value>,
}

impl Player {
    fn new() -> Self {
        let script = Script::new(Config::default());
        let cut_at = script.now;
        Self {
            script,
            is_started: false,
            cut_at,
            subscriptions: HashMap::new(),
            publications: HashMap::new(),
            frames: HashMap::new(),
        }
    }

    fn play(&mut self, step: &Value) {
        let step = step.as_object().unwrap();
        let text = |name: &str| step.get(name).and_then(Value::as_str);
        let (kind, value) = step.iter().find(|(name, _)| !["as", "of", "again"].contains(&name.as_str())).unwrap();
        match kind.as_str() {
            "subscribe" => self.subscribe(value, text("as").unwrap()),
            "unsubscribe" => self.unsubscribe(value.as_str().unwrap()),
            "publish" => self.publish(value, text("as").unwrap()),
            "connects" => self.connects(value),
            "sends" => self.sends(value, text("as"), text("again")),
            "sends_nothing" => assert_eq!(self.script.sent(), Vec::<Value>::new()),
            "receives" => self.receives(value.clone()),
            "cut" => self.cut(value.as_u64().unwrap()),
            "tells" => self.tells(value, text("of").unwrap()),
            "answers" => self.answers(value, text("of").unwrap()),
            "fails" => self.fails(value.as_str().unwrap(), text("of").unwrap()),
            "stays_away" => {
                assert!(matches!(self.script.state(), Some(State::Closed(_))));
                assert_eq!(self.script.machine.poll_timeout(), None);
            }
            other => panic!("no step is called {other}"),
        }
    }

    fn subscribe(&mut self, options: &Value, name: &str) {
        let target = match options.get("topic") {
            Some(topic) => Target::Topic(topic.as_str().unwrap().into()),
            None => Target::Pattern(options["pattern"].as_str().unwrap().parse().unwrap()),
        };
        let start = match options.get("last") {
            Some(last) => Start::Last(u32::try_from(last.as_u64().unwrap()).unwrap()),
            None => Start::Live,
        };
        let presence = options.get("presence").is_some_and(|wanted| wanted == true);
        let request = SubscribeRequest { start, presence, ..SubscribeRequest::live(Source::Target(target)) };
        let id = SubscriptionId(self.subscriptions.len() as u64 + 1);
        let ticket = self.script.command(Command::Subscribe(id, request));
        self.subscriptions.insert(name.to_owned(), (id, ticket));
    }

    fn unsubscribe(&mut self, name: &str) {
        let (id, _) = self.subscriptions[name];
        self.script.input(Input::Unsubscribe(id));
    }

    fn publish(&mut self, publish: &Value, name: &str) {
        let topic = publish["topic"].as_str().unwrap().into();
        let payload: Payload = serde_json::from_str(&publish["message"].to_string()).unwrap();
        let command = Command::Publish(Publish { topic, payload, echo: true, key: None });
        let ticket = self.script.command(command);
        self.publications.insert(name.to_owned(), ticket);
    }

    fn connects(&mut self, options: &Value) {
        if !self.is_started {
            self.script.command(Command::ConnectLazily);
            self.is_started = true;
        }
        while !self.script.effects.contains(&Effect::Connect(None)) {
            self.script.pass();
        }
        if let Some(bounds) = options.get("after_ms") {
            let pause = u64::try_from((self.script.now - self.cut_at).as_millis()).unwrap();
            let [least, most] = [0, 1].map(|at| bounds[at].as_u64().unwrap());
            assert!((least..=most).contains(&pause), "it comes back after {pause} ms");
        }
        self.script.welcome();
    }

    fn sends(&mut self, members: &Value, name: Option<&str>, again: Option<&str>) {
        let at = self.script.effects.iter().position(|effect| matches!(effect, Effect::Send(_)));
        let Effect::Send(text) = self.script.effects.remove(at.expect("a frame")) else { panic!("it is one") };
        let frame: Value = serde_json::from_str(&text).unwrap();
        assert_has(&frame, members.as_object().unwrap());
        if let Some(again) = again {
            let without_id = |frame: &Value| {
                let mut frame = frame.clone();
                frame.as_object_mut().unwrap().remove("id");
                frame
            };
            assert_eq!(without_id(&frame), without_id(&self.frames[again]));
        }
        if let Some(name) = name {
            self.frames.insert(name.to_owned(), frame);
        }
    }

    fn receives(&mut self, mut event: Value) {
        if let Some(name) = event.get("id").and_then(Value::as_str) {
            event["id"] = self.frames[name.strip_prefix('$').unwrap()]["id"].clone();
        }
        self.script.says(event);
    }

    fn cut(&mut self, code: u64) {
        self.cut_at = self.script.now;
        let lost = Disconnection::Lost { reason: "cut".to_owned(), retry_after: None };
        match u16::try_from(code).unwrap() {
            1006 => self.script.input(Input::Disconnected(lost)),
            code => self.script.close(code),
        }
    }

    fn tells(&mut self, expected: &Value, name: &str) {
        let (id, ticket) = self.subscriptions[name];
        let is_of = |effect: &Effect| match effect {
            Effect::Deliver(of, _) => *of == id,
            Effect::Complete(of, Err(_)) => *of == ticket,
            _ => false,
        };
        let at = self.script.effects.iter().position(is_of).expect("something is told");
        let told = match self.script.effects.remove(at) {
            Effect::Deliver(_, delivery) => in_short(&delivery),
            Effect::Complete(_, Err(failure)) => json!({"ended": code_of(&failure)}),
            other => panic!("{other:?}"),
        };
        assert_has(&told, expected.as_object().unwrap());
    }

    fn answers(&mut self, members: &Value, name: &str) {
        match self.script.result(self.publications[name]) {
            Some(Ok(Answer::Published(published))) => {
                let told = json!({"offset": published.offset, "receivers": published.receivers});
                assert_has(&told, members.as_object().unwrap());
            }
            other => panic!("{other:?}"),
        }
    }

    fn fails(&mut self, code: &str, name: &str) {
        match self.script.result(self.publications[name]) {
            Some(Err(failure)) => assert_eq!(code_of(&failure), code),
            other => panic!("{other:?}"),
        }
    }
}

/// What a scene has to list.
fn is_seen(effect: &Effect) -> bool {
    matches!(effect, Effect::Send(_) | Effect::Deliver(..) | Effect::Complete(_, Err(_)))
        || matches!(effect, Effect::Complete(_, Ok(Answer::Published(_))))
}

#[track_caller]
fn assert_has(told: &Value, members: &Map<String, Value>) {
    for (name, value) in members {
        assert_eq!(&told[name], value, "{name} of {told}");
    }
}

fn in_short(delivery: &Delivery) -> Value {
    match delivery {
        Delivery::Message(message) => {
            let value = serde_json::to_value(&message.payload).unwrap();
            json!({"message": value, "topic": message.topic.as_str(), "offset": message.offset})
        }
        Delivery::Resumed(resumed) => json!({"resumed": resumed.recovered}),
        Delivery::Gap(Gap { topic, from, to, .. }) => {
            let known = [("from", from), ("to", to)].into_iter().filter_map(|(name, at)| Some((name, at.as_ref()?)));
            let mut gap: Map<String, Value> = known.map(|(name, at)| (name.to_owned(), json!(at))).collect();
            gap.extend(topic.iter().map(|topic| ("topic".to_owned(), json!(topic.as_str()))));
            json!({"gap": gap})
        }
        Delivery::Joined(member) => json!({"joined": member.user}),
        Delivery::Left(member) => json!({"left": member.user}),
        Delivery::Presence(answer) => panic!("nobody asked: {answer:?}"),
        Delivery::Ended(why) => json!({"ended": match why {
            Ended::Closed(_) => "closed".to_owned(),
            Ended::Refused(refused) => text_of(refused.code),
            Ended::Forbidden => "forbidden".to_owned(),
            Ended::Operator => "operator".to_owned(),
            _ => "unsubscribed".to_owned(),
        }}),
    }
}

fn text_of(code: ErrorCode) -> String {
    serde_json::to_value(code).unwrap().as_str().unwrap().to_owned()
}

fn code_of(failure: &Failure) -> String {
    match failure {
        Failure::Refused(refused) => text_of(refused.code),
        Failure::Closed { .. } => "closed".to_owned(),
        Failure::Uncertain { why, .. } => code_of(why),
        other => panic!("{other:?}"),
    }
}
