//! Servers that limit the rate of requests, or cannot do something for a while: the client keeps its connection and
//! loses no request.

use crate::script::{Script, pattern_of, topic_of};
use hubcast_client::machine::{
    Answer, Command, Config, Disconnection, Failure, Input, Source, SubscribeRequest, SubscriptionId,
};
use hubcast_protocol::request::{ReadHistory, Slow, Start};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// A server that limits the rate of requests. It answers one second's worth of requests at once, refuses another
/// second's worth, and closes the connection with 4003 at the next request.
struct Limited {
    /// The time that one request costs.
    token: Duration,
    /// When all requests so far are paid for. It is in the future while requests come faster than the limit allows.
    full_at: Instant,
    /// The requests that were not refused.
    taken: Vec<Value>,
    /// The number of requests that were refused.
    refused: usize,
    /// Whether the limit was exceeded so far that the server closes the connection.
    had_enough: bool,
}

impl Limited {
    /// A server that takes `per_second` requests a second.
    fn new(now: Instant, per_second: u32) -> Self {
        let token = Duration::from_secs(1) / per_second;
        Self { token, full_at: now, taken: Vec::new(), refused: 0, had_enough: false }
    }

    /// Answers requests until the machine sends no more, or the connection is closed.
    fn answers(&mut self, script: &mut Script) {
        loop {
            let sent = script.sent();
            if sent.is_empty() {
                return;
            }
            for request in sent {
                self.takes(script, &request);
                if self.had_enough {
                    return script.close(4003);
                }
            }
        }
    }

    /// Answers requests and lets time pass until `is_over`. Panics after 60 seconds, or if the server closes the
    /// connection.
    fn takes_all(&mut self, script: &mut Script, is_over: impl Fn(&Self) -> bool) {
        let by = script.now + Duration::from_secs(60);
        self.answers(script);
        while !is_over(self) {
            assert!(!self.had_enough && script.now < by, "{} were taken, {} refused", self.taken.len(), self.refused);
            script.pass();
            self.answers(script);
        }
    }

    /// Answers or refuses one request, or sets `had_enough`.
    fn takes(&mut self, script: &mut Script, request: &Value) {
        let full_at = self.full_at.max(script.now) + self.token;
        let owed = full_at - script.now;
        if owed > Duration::from_secs(2) {
            self.had_enough = true;
            return;
        }
        self.full_at = full_at;
        if owed > Duration::from_secs(1) {
            self.refused += 1;
            let error = json!({"event": "error", "code": "rate_limited", "reason": "slow down", "retry": true});
            return script.reply_to(request, json!({}), error);
        }
        self.taken.push(request.clone());
        let topic = &request["topic"];
        match request["action"].as_str().unwrap() {
            "subscribe" => {
                let position = json!({"epoch": "e", "offset": 5, "recovered": true});
                script.reply_to(request, position, json!({"event": "subscribed", "topic": topic}));
            }
            "unsubscribe" => script.reply_to(request, json!({}), json!({"event": "unsubscribed", "topic": topic})),
            _ => script.reply_to(request, json!({"receivers": 0}), json!({"event": "published", "topic": topic})),
        }
    }

    /// The sorted topics of the requests that were taken, for one action.
    fn topics(&self, action: &str) -> Vec<&str> {
        let of_it = self.taken.iter().filter(|request| request["action"] == action);
        let mut topics: Vec<_> = of_it.map(|request| request["topic"].as_str().unwrap()).collect();
        topics.sort_unstable();
        topics
    }
}

/// A client with `count` subscriptions, each to a topic of its own, and these topics.
fn with_subscriptions(count: u64) -> (Script, Vec<String>) {
    let mut script = Script::connected();
    let topics: Vec<String> = (0..count).map(|number| format!("t{number:03}")).collect();
    for (id, topic) in topics.iter().enumerate() {
        script.subscribed(id as u64, topic, json!({"epoch": "e", "offset": 5}));
    }
    (script, topics)
}

/// An error event with this code, after which the client may try again.
fn refusal(code: &str) -> Value {
    json!({"event": "error", "code": code, "reason": "later", "retry": true})
}

#[test]
fn a_crowd_of_subscriptions_comes_back_to_a_server_that_limits_requests() {
    let (mut script, topics) = with_subscriptions(50);
    script.reconnect();
    let (began, mut server) = (script.now, Limited::new(script.now, 10));
    server.takes_all(&mut script, |server| server.taken.len() == 50);
    assert_eq!(server.topics("subscribe"), topics);
    let (took, refused) = (script.now - began, server.refused);
    assert!(took < Duration::from_secs(10) && refused < 20, "{took:?}, {refused} refused");
    (0..50).for_each(|id| assert_eq!(script.heard(id), ["recovered, 0 follow"]));
}

#[test]
fn whoever_was_disconnected_for_asking_too_often_asks_one_by_one() {
    let (mut script, topics) = with_subscriptions(20);
    script.reconnect();
    let mut server = Limited::new(script.now, 3);
    server.answers(&mut script);
    assert!(server.had_enough);
    script.sent();
    script.pass();
    script.welcome();
    let mut server = Limited::new(script.now, 3);
    server.takes_all(&mut script, |server| server.taken.len() == 20);
    assert_eq!(server.topics("subscribe"), topics);
}

#[test]
fn calls_that_waited_for_a_connection_do_not_cost_it() {
    let mut script = Script::connected();
    script.lose();
    let tickets: Vec<_> = (0..100).map(|_| script.publish("a", "x", true)).collect();
    script.pass();
    script.welcome();
    let mut server = Limited::new(script.now, 10);
    server.takes_all(&mut script, |server| server.taken.len() + server.refused == 100);
    let results: Vec<_> = tickets.into_iter().filter_map(|ticket| script.result(ticket)).collect();
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), server.taken.len());
    assert_eq!(results.len(), 100);
}

#[test]
fn a_new_call_waits_for_those_before_it_and_for_no_window() {
    let (mut script, _) = with_subscriptions(9);
    script.lose();
    script.publish("a", "old", true);
    script.pass();
    script.welcome();
    for _ in 0..20 {
        script.publish("a", "new", true);
    }
    let resumes = script.sent();
    assert_eq!(resumes.len(), 8);
    let subscribed = |request: &Value| json!({"event": "subscribed", "topic": request["topic"]});
    script.reply_to(&resumes[0], json!({}), subscribed(&resumes[0]));
    let last = script.sent();
    assert_eq!((last.len(), &last[0]["topic"]), (1, &json!("t008")));
    script.reply_to(&resumes[1], json!({}), subscribed(&resumes[1]));
    let messages: Vec<_> = script.sent().iter().map(|sent| sent["message"].clone()).collect();
    assert_eq!((messages.len(), &messages[0], &messages[1]), (21, &json!("old"), &json!("new")));
}

#[test]
fn what_the_server_cannot_take_for_a_while_holds_nothing_else_up() {
    let (mut script, _) = with_subscriptions(20);
    script.lose();
    let publish = script.publish("a", "x", true);
    script.pass();
    script.welcome();
    for _ in 0..20 {
        let sent = script.sent();
        for request in sent.iter().filter(|sent| sent["action"] == "subscribe") {
            script.reply_to(request, json!({}), refusal("unavailable"));
        }
        if let Some(published) = sent.iter().find(|sent| sent["action"] == "publish") {
            script.reply_to(published, json!({"topic": "a", "receivers": 0}), json!({"event": "published"}));
        }
    }
    assert!(matches!(script.result(publish), Some(Ok(Answer::Published(_)))));
    script.pass();
    assert_eq!(script.sent().len(), 8);
}

#[test]
fn pauses_after_refusals_grow_and_are_short_again_once_the_server_has_taken_something() {
    let mut script = Script::connected();
    script.subscribed(1, "a", json!({"epoch": "e", "offset": 5}));
    script.reconnect();
    let refuse = |script: &mut Script, times: usize| {
        let pauses = (0..times).map(|_| {
            script.reply(json!({}), refusal("unavailable"));
            script.input(Input::Heard);
            script.pass()
        });
        pauses.max().unwrap()
    };
    assert!(refuse(&mut script, 20) > Duration::from_secs(1));
    script.reply(json!({"epoch": "e", "offset": 5}), json!({"event": "subscribed", "topic": "a"}));
    script.reconnect();
    assert!(refuse(&mut script, 1) <= Duration::from_millis(500));
}

#[test]
fn an_unsubscribe_that_was_refused_for_a_while_is_sent_again() {
    let (mut script, _) = with_subscriptions(1);
    script.input(Input::Unsubscribe(SubscriptionId(0)));
    script.reply(json!({}), refusal("rate_limited"));
    script.pass();
    let sent = script.sent();
    assert_eq!((&sent[0]["action"], &sent[0]["topic"]), (&json!("unsubscribe"), &json!("t000")));
    script.reply_to(&sent[0], json!({}), json!({"event": "unsubscribed", "topic": "t000"}));
    script.wait(Duration::from_secs(1));
    assert!(script.sent().is_empty());
}

#[test]
fn many_subscriptions_are_given_up_a_few_at_a_time() {
    let (mut script, topics) = with_subscriptions(100);
    (0..100).for_each(|id| script.input(Input::Unsubscribe(SubscriptionId(id))));
    let mut server = Limited::new(script.now, 10);
    server.takes_all(&mut script, |server| server.taken.len() == 100);
    assert_eq!(server.topics("unsubscribe"), topics);
}

#[test]
fn subscribes_that_are_dropped_at_once_are_not_all_sent_to_a_server_that_does_not_answer() {
    let mut script = Script::connected_with(Config { queue: 4, ..Config::default() });
    for id in 0..10_000 {
        script.subscribe(id, topic_of(&format!("t{id}")), Start::Live);
        script.input(Input::Unsubscribe(SubscriptionId(id)));
    }
    assert!(script.sent().len() <= 20);
}

#[test]
fn whoever_comes_back_to_a_topic_that_was_just_given_up_gets_its_past() {
    let (mut script, _) = with_subscriptions(20);
    (0..20).for_each(|id| script.input(Input::Unsubscribe(SubscriptionId(id))));
    assert_eq!(script.sent().len(), 8);
    script.subscribe(20, topic_of("t019"), Start::Last(1));
    let sent = script.sent();
    let actions: Vec<_> = sent.iter().map(|sent| (sent["action"].clone(), sent["topic"].clone())).collect();
    assert_eq!(actions, [(json!("unsubscribe"), json!("t019")), (json!("subscribe"), json!("t019"))]);
}

#[test]
fn those_who_are_left_on_a_topic_have_their_own_options_again() {
    let mut script = Script::connected();
    let mut listen = |id, slow, presence| {
        let listen = SubscribeRequest { slow, presence, ..SubscribeRequest::live(Source::Target(topic_of("a"))) };
        script.command(Command::Subscribe(SubscriptionId(id), listen));
        script.reply(json!({}), json!({"event": "subscribed", "topic": "a"}));
    };
    listen(1, Slow::Latest, false);
    listen(2, Slow::Disconnect, true);
    listen(3, Slow::Latest, false);
    script.input(Input::Unsubscribe(SubscriptionId(3)));
    assert!(script.sent().is_empty());
    script.input(Input::Unsubscribe(SubscriptionId(2)));
    let sent = script.sent();
    assert_eq!((&sent[0]["action"], &sent[0]["slow"]), (&json!("subscribe"), &json!("latest")));
    assert!(sent[0]["presence"].is_null() && sent[0]["recover"].is_null());
    script.reply_to(&sent[0], json!({}), refusal("rate_limited"));
    script.pass();
    assert_eq!(script.sent()[0]["slow"], "latest");
    script.message("a", "e", 1);
    assert_eq!(script.heard(1), ["a 1"]);
}

#[test]
fn a_subscription_to_direct_messages_needs_no_place_in_the_queue() {
    let mut script = Script::connected_with(Config { queue: 1, ..Config::default() });
    let pings = [(); 2].map(|()| script.command(Command::Ping));
    assert_eq!(pings.map(|ping| script.result(ping)), [None, Some(Err(Failure::QueueFull))]);
    let direct = script.command(Command::Subscribe(SubscriptionId(1), SubscribeRequest::live(Source::Direct)));
    assert!(matches!(script.result(direct), Some(Ok(Answer::Subscribed { .. }))));
}

#[test]
fn a_question_whose_answer_was_too_large_is_not_asked_again() {
    let mut script = Script::connected();
    script.subscribe(1, pattern_of(">"), Start::Live);
    let history = script.command(Command::History(ReadHistory { topic: "a".into(), since: None, limit: None }));
    let publish = script.publish("a", "x", true);
    script.sent();
    script.input(Input::Disconnected(Disconnection::TooLarge { reason: "100 MiB".into() }));
    assert_eq!(script.result(history), Some(Err(Failure::AnswerTooLarge)));
    script.pass();
    script.welcome();
    let sent = script.sent();
    let actions: Vec<_> = sent.iter().map(|sent| sent["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["subscribe", "publish"]);
    assert_eq!(script.result(publish), None);
}
