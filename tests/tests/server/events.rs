//! Server-sent events: what a reader that has only HTTP hears, and how it resumes.

use hubcast_hub::{HistoryPolicy, PresencePolicy, Retention, TopicPolicy};
use hubcast_server::Config;
use hubcast_tests::{Dispatched, EventReader, Server, Typed};
use serde_json::{Value, json};
use std::io::Write;
use std::time::Duration;

/// A server whose topics keep some publications.
fn server() -> Server {
    Server::with(keep)
}

fn keep(config: &mut Config) {
    let history = HistoryPolicy { size: 5, ttl: Duration::from_secs(60), keep: Retention::Always };
    let presence = PresencePolicy { events: true, grace: Duration::ZERO };
    let policy = TopicPolicy { history: Some(history), presence: Some(presence), ..TopicPolicy::default() };
    let silent = hubcast_hub::TopicRule {
        pattern: "silent".parse().expect("a pattern"),
        policy: TopicPolicy { history: None, ..TopicPolicy::default() },
    };
    config.rules.list[0].policy = policy;
    config.rules.list.insert(0, silent);
}

fn names(events: &[Dispatched]) -> Vec<&str> {
    events.iter().map(|event| event.name.as_str()).collect()
}

fn data(event: &Dispatched) -> Value {
    serde_json::from_str(&event.data).expect("an event is JSON")
}

/// Publishes, and waits until that has taken effect.
fn publish(typed: &mut Typed, topic: &str, message: &Value) {
    let answer = typed.asks(json!({"id": 1, "action": "publish", "topic": topic, "message": message}));
    assert_eq!(answer["event"], "published");
}

#[test]
fn a_reader_hears_publications_as_messages_and_resumes_where_it_was() {
    let server = server();
    let mut publisher = server.typed();
    let mut reader = EventReader::open(&server, "topic=a", &[]);
    assert!(reader.head.contains("content-type: text/event-stream\r\n"), "{}", reader.head);
    assert_eq!(names(&reader.take(1)), ["subscribed"]);
    publish(&mut publisher, "a", &json!({"n": 1}));
    let heard = reader.take(1);
    assert_eq!((names(&heard), &data(&heard[0])["message"]), (vec!["message"], &json!({"n": 1})));
    assert!(reader.retry.is_some_and(|retry| (1000..=5000).contains(&retry)));
    let last = reader.last_id.clone().unwrap();
    assert!(last.ends_with(":1"), "{last}");
    drop(reader);
    (2..5).for_each(|number| publish(&mut publisher, "a", &json!(number)));
    let header = format!("last-event-id: {last}");
    // The header wins over the query, which a browser repeats for ever.
    let mut reader = EventReader::open(&server, "topic=a&last_event_id=bogus", &[&header]);
    let heard = reader.take(4);
    assert_eq!(names(&heard), ["subscribed", "message", "message", "message"]);
    assert_eq!((&data(&heard[0])["recovered"], &data(&heard[3])["message"]), (&json!(true), &json!(4)));
    let mut reader = EventReader::open(&server, &format!("topic=a&last_event_id={last}"), &[]);
    assert_eq!(names(&reader.take(4)), ["subscribed", "message", "message", "message"]);
}

#[test]
fn what_cannot_be_resumed_is_a_gap_and_never_a_refusal() {
    let server = server();
    let mut publisher = server.typed();
    for id in ["bogus", "", "k3Jx9a:7", "-", "a:1,b:2", "k3Jx9a:99999999999999999999"] {
        let header = format!("last-event-id: {id}");
        let mut reader = EventReader::open(&server, "topic=a", &[&header]);
        assert_eq!(names(&reader.take(2)), ["subscribed", "gap"], "{id}");
        publish(&mut publisher, "a", &json!(1));
        assert_eq!(names(&reader.take(1)), ["message"], "{id}");
    }
    let mut reader = EventReader::open(&server, "topic=silent", &[]);
    assert_eq!(names(&reader.take(1)), ["subscribed"]);
    publish(&mut publisher, "silent", &json!(1));
    reader.take(1);
    assert_eq!(reader.last_id.as_deref(), Some("-"), "a topic without history has no position, and says so");
    let mut reader = EventReader::open(&server, "pattern=a.*", &["last-event-id: -"]);
    assert_eq!(names(&reader.take(2)), ["gap", "subscribed"]);
    publish(&mut publisher, "a.b", &json!(1));
    assert_eq!(names(&reader.take(1)), ["message"]);
}

#[test]
fn a_stream_of_several_topics_has_the_positions_of_all_and_resumes_each() {
    let server = server();
    let mut publisher = server.typed();
    let query = "topic=a&topic=silent&topic=b";
    let mut reader = EventReader::open(&server, query, &[]);
    assert_eq!(names(&reader.take(3)), ["subscribed"; 3]);
    for topic in ["a", "b", "silent", "b"] {
        publish(&mut publisher, topic, &json!(1));
    }
    reader.take(4);
    publish(&mut publisher, "a", &json!(2));
    reader.take(1);
    // The positions come behind the publication of which this is the last one read.
    publish(&mut publisher, "silent", &json!(2));
    reader.take(1);
    let last = reader.last_id.clone().unwrap();
    let offsets: Vec<_> = last.split(',').map(|id| id.rsplit(':').next().unwrap()).collect();
    assert_eq!(offsets, ["2", "-", "2"], "{last}");
    drop(reader);
    publish(&mut publisher, "a", &json!(3));
    publish(&mut publisher, "b", &json!(3));
    let header = format!("last-event-id: {last}");
    let mut reader = EventReader::open(&server, query, &[&header]);
    let heard = reader.take(6);
    let messages = heard.iter().filter(|event| event.name == "message");
    let messages: Vec<_> = messages.map(|event| data(event)["topic"].clone()).collect();
    assert_eq!(messages, [json!("a"), json!("b")]);
    assert_eq!(heard.iter().filter(|event| event.name == "gap").count(), 1, "of the topic without history: {heard:?}");
}

#[test]
fn a_large_replay_comes_in_order_and_its_position_only_after_it() {
    let server = Server::with(|config| {
        keep(config);
        config.rules.list[1].policy.history.as_mut().unwrap().size = 100;
    });
    let mut publisher = server.typed();
    for number in 0..60 {
        publish(&mut publisher, "a", &json!(format!("{number:02}{}", "x".repeat(20_000))));
    }
    let mut reader = EventReader::open(&server, "topic=a&topic=b&last=60", &[]);
    assert_eq!(names(&reader.take(1)), ["subscribed"]);
    assert_eq!(reader.last_id, None, "nothing of it is there yet");
    for number in 0..60 {
        let event = reader.take(1).remove(0);
        assert!(data(&event)["message"].as_str().unwrap().starts_with(&format!("{number:02}")), "{number}");
        assert_eq!(reader.last_id, None, "the position comes after the whole replay");
    }
    // The other topic's `subscribed`, then the positions, and then a publication.
    reader.take(1);
    publish(&mut publisher, "b", &json!(1));
    reader.take(1);
    assert!(reader.last_id.as_ref().is_some_and(|id| id.contains(":60,")), "{:?}", reader.last_id);
}

#[test]
fn joins_and_leaves_have_names_and_pings_are_shown_to_those_who_ask() {
    let server = Server::with(|config| {
        keep(config);
        config.timeouts.heartbeat = Duration::from_millis(50);
    });
    let mut reader = EventReader::open(&server, "topic=a&presence=true&ping=event", &[]);
    assert_eq!(names(&reader.take(1)), ["subscribed"]);
    let mut member = server.typed();
    member.asks(json!({"id": 1, "action": "subscribe", "topic": "a"}));
    let mut heard = reader.take(1);
    while heard[0].name == "ping" {
        heard = reader.take(1);
    }
    assert_eq!(names(&heard), ["join"]);
    while reader.take(1)[0].name != "ping" {}
    let mut quiet = EventReader::open(&server, "topic=a", &[]);
    quiet.take(1);
    let mut publisher = server.typed();
    publish(&mut publisher, "a", &json!(1));
    assert_eq!(names(&quiet.take(1)), ["message"], "a heartbeat is no event");
}

#[test]
fn a_request_that_is_wrong_for_good_keeps_its_status_and_one_that_is_not_is_a_stream() {
    let server = server();
    for (query, headers, status) in [
        ("", &[][..], "400"),
        ("topics=a", &[], "400"),
        ("topic=a&last=x", &[], "400"),
        ("topic=a&slow=fast", &[], "400"),
        ("topic=a", &["content-length: 5"], "400"),
        ("topic=%FF", &[], "400"),
        ("pattern=a..b", &[], "400"),
        ("topic=a&slow=drop&slow=drop", &[], "400"),
        ("topic=a", &["accept: text/html"], "200"),
    ] {
        let reader = EventReader::open(&server, query, headers);
        assert!(reader.head.starts_with(&format!("http/1.1 {status} ")), "{query}: {}", reader.head);
    }
    let many: Vec<_> = (0..17).map(|number| format!("topic={number}")).collect();
    assert!(EventReader::open(&server, &many.join("&"), &[]).head.starts_with("http/1.1 400"));
    let long = format!("topic={}", "x".repeat(1025));
    assert!(EventReader::open(&server, &long, &[]).head.starts_with("http/1.1 400"));

    let full = Server::with(|config| config.max_connections = 1);
    let _taken = full.typed();
    let mut reader = EventReader::open(&full, "topic=a", &[]);
    assert!(reader.head.starts_with("http/1.1 200"), "{}", reader.head);
    assert_eq!(names(&reader.take(1)), ["closing"]);
    assert!(reader.retry.is_some());
    assert_eq!(reader.next_event(), None);
}

#[test]
fn a_page_of_another_origin_may_read_only_if_that_is_listed() {
    let open = server();
    let reader = EventReader::open(&open, "topic=a", &["origin: https://a.example"]);
    assert!(reader.head.contains("access-control-allow-origin: https://a.example\r\nvary: origin"), "{}", reader.head);
    assert!(!reader.head.contains("credentials"));
    let listed = Server::with(|config| config.origins = vec!["https://a.example".into()]);
    for (headers, status) in [
        (&["origin: https://a.example"][..], "200"),
        (&["origin: https://b.example"], "403"),
        (&["origin: null"], "403"),
        (&[], "200"),
    ] {
        let reader = EventReader::open(&listed, "topic=a", headers);
        assert!(reader.head.starts_with(&format!("http/1.1 {status} ")), "{headers:?}");
    }
}

#[test]
fn a_reader_that_sends_on_and_on_is_sent_away_and_one_that_ends_is_gone() {
    let server = server();
    let mut watcher = server.typed();
    watcher.asks(json!({"id": 1, "action": "subscribe", "topic": "a", "presence": true}));
    let mut reader = EventReader::open(&server, "topic=a", &[]);
    reader.take(1);
    assert_eq!(watcher.next_event()["event"], "join");
    reader.socket().write_all(&[b'x'; 4096]).unwrap();
    let mut publisher = server.typed();
    publish(&mut publisher, "a", &json!(1));
    assert_eq!(watcher.next_event()["event"], "message");
    assert_eq!(names(&reader.take(1)), ["message"], "some bytes do not matter");
    reader.socket().write_all(b"x").unwrap();
    assert_eq!(names(&reader.take(1)), ["closing"]);
    assert_eq!(watcher.next_event()["event"], "leave");
    let mut reader = EventReader::open(&server, "topic=a", &[]);
    reader.take(1);
    assert_eq!(watcher.next_event()["event"], "join");
    drop(reader);
    assert_eq!(watcher.next_event()["event"], "leave");
}

#[test]
fn a_stream_ends_with_the_time_to_come_back_when_the_server_stops() {
    let mut server = Server::with(|config| {
        keep(config);
        config.drain.spread = Duration::from_millis(20);
    });
    let mut readers: Vec<_> = (0..5).map(|_| EventReader::open(&server, "topic=a", &[])).collect();
    readers.iter_mut().for_each(|reader| drop(reader.take(1)));
    server.stops();
    for reader in &mut readers {
        let closing = reader.take(1).remove(0);
        assert_eq!((closing.name.as_str(), &data(&closing)["code"]), ("closing", &json!(1012)));
        let told = data(&closing)["reconnect_in_ms"].as_u64();
        assert_eq!(reader.retry, told, "a browser obeys only this");
        assert_eq!(reader.rest(), "", "it is told once");
    }
}

#[test]
fn a_slow_reader_of_several_topics_misses_what_its_policy_allows_and_stays() {
    let server = Server::with(|config| {
        keep(config);
        config.outbox = 256 * 1024;
    });
    for (slow, topics) in [("drop", "topic=a"), ("drop", "topic=a&topic=b"), ("latest", "topic=a&topic=b")] {
        let mut reader = EventReader::open(&server, &format!("{topics}&slow={slow}"), &[]);
        reader.take(topics.split('&').count());
        let mut typed = server.typed();
        let (pages, text) = (8_000, "x".repeat(2_000));
        for number in 1..=pages {
            publish(&mut typed, "a", &json!([number, text]));
        }
        let (mut messages, mut gaps, mut last) = (0, Vec::new(), 0);
        while last < pages {
            let event = reader.next_event().expect("the stream goes on");
            match event.name.as_str() {
                "message" => (messages, last) = (messages + 1, data(&event)["message"][0].as_u64().expect("a number")),
                "gap" => gaps.push(data(&event)),
                name => panic!("{name}"),
            }
        }
        assert_eq!(gaps.len(), 1, "{slow} {topics}: {gaps:?}");
        let missed = gaps[0]["to"].as_u64().expect("a gap ends") + 1 - gaps[0]["from"].as_u64().expect("a gap begins");
        assert_eq!(messages + missed, pages, "{slow} {topics}");
        // Now that it has read all, it hears where it is.
        publish(&mut typed, "a", &json!([0, ""]));
        reader.take(1);
        publish(&mut typed, "a", &json!([0, ""]));
        reader.take(1);
        let id = reader.last_id.clone().expect("positions");
        let offset = id.split([':', ',']).nth(1).and_then(|offset| offset.parse::<u64>().ok()).expect("an offset");
        let position = data(&EventReader::open(&server, "topic=a", &[]).take(1)[0])["offset"].as_u64();
        assert!(position.expect("an offset") - offset <= 1, "{id} is behind {position:?}");
    }
}

#[test]
fn the_position_that_a_reader_names_begins_no_event_of_its_own() {
    // The second subscription is refused, so the position of its topic stays what the reader has said.
    let server = Server::with(|config| {
        keep(config);
        config.limits.subscriptions = 1;
    });
    // A line end, an event "x" and two more line ends, as the epoch of the second topic.
    let mut reader = EventReader::open(&server, "topic=a&topic=b&last_event_id=-,%0Adata%3A%20x%0A%0A:1", &[]);
    publish(&mut server.typed(), "a", &json!("real"));
    let heard = reader.take(4);
    assert_eq!(names(&heard), ["subscribed", "gap", "refused", "message"], "{heard:?}");
    assert_eq!(data(&heard[3])["message"], "real");
}
