//! The wire text: each side reads what the other side writes, every example of `PROTOCOL.md` is read, and no text that
//! arrives makes a reader panic.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]
use hubcast_protocol::event::{self, About, GapReason};
use hubcast_protocol::request::{
    Action, Identify, Key, MAX_SEQUENCE, Publish, ReadHistory, RejectedRequest, Request, Slow, Start, Subscribe, Target,
};
use hubcast_protocol::{
    AnonymousId, ClientId, CloseCode, Epoch, ErrorCode, Event, MemberSecret, Payload, Position, RequestId, Topic,
    plain, typed,
};
use proptest::prelude::*;

/// The examples of one section of `PROTOCOL.md`: the lines that begin with `{`, with `7f0c…` and `93b1…` replaced by `ID`.
fn examples(heading: &str) -> Vec<String> {
    let contract = concat!(env!("CARGO_MANIFEST_DIR"), "/../PROTOCOL.md");
    let text = std::fs::read_to_string(contract).expect("PROTOCOL.md stands at the root");
    let section = text.split("\n## ").find(|section| section.starts_with(heading)).expect(heading);
    section
        .lines()
        .filter(|line| line.starts_with('{'))
        .map(|line| line.replace("7f0c…", ID).replace("93b1…", ID))
        .collect()
}

/// A client id in full length.
const ID: &str = "07070707-0707-4707-8707-070707070707";

#[test]
fn every_request_of_the_contract_is_read_and_written_again() {
    let examples = examples("Requests");
    assert!(examples.len() >= 10, "{examples:?}");
    for example in examples.iter().filter(|line| !line.contains("authenticate")) {
        let request = typed::decode(example).unwrap_or_else(|refused| panic!("{example}: {refused}"));
        let again = typed::encode_request(&request);
        let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(json(&again), json(example));
    }
}

#[test]
fn every_event_of_the_contract_is_read_and_written_again() {
    let examples = examples("Events");
    assert!(examples.len() >= 12, "{examples:?}");
    for example in examples.iter().filter(|line| !line.contains("authenticated")) {
        let event = typed::decode_event(example).unwrap_or_else(|fault| panic!("{example}: {fault}"));
        let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(json(&typed::encode(&event)), json(example));
    }
}

#[test]
fn a_refusal_carries_the_id_of_the_frame_where_it_has_one() {
    for (text, id, code) in [
        (r#"{"id":7,"action":"subscribe"}"#, Some(7), ErrorCode::InvalidRequest),
        (r#"{"id":7,"action":"dance"}"#, Some(7), ErrorCode::UnknownAction),
        (r#"{"id":7,"action":"subscribe","pattern":"a*"}"#, Some(7), ErrorCode::InvalidPattern),
        (r#"{"id":7,"action":"subscribe","pattern":"a","topic":"a"}"#, Some(7), ErrorCode::InvalidRequest),
        (r#"{"id":7,"action":"subscribe","topic":"a","slow":"x"}"#, Some(7), ErrorCode::InvalidRequest),
        (r#"{"id":9007199254740993,"action":"ping"}"#, None, ErrorCode::InvalidRequest),
        (r#"{"id":1.5,"action":"ping"}"#, None, ErrorCode::InvalidRequest),
        (r#"{"action":"history","topic":"t"}"#, None, ErrorCode::InvalidRequest),
        (r#"{"id":7}"#, Some(7), ErrorCode::InvalidRequest),
        ("[1]", None, ErrorCode::InvalidRequest),
        ("[1}", None, ErrorCode::InvalidJson),
        ("", None, ErrorCode::InvalidJson),
    ] {
        let refused = typed::decode(text).expect_err(text);
        assert_eq!(refused.id, id.map(RequestId::Number), "{text}");
        assert_eq!(refused.fault.code, code, "{text}");
    }
}

#[test]
fn what_is_no_json_is_refused_wherever_it_stands() {
    for place in ["topic", "to\\u0070ic", "x", "x\\ud800"] {
        for control in ["\0", "\n", "\t", "\u{1f}"] {
            for text in [
                format!(r#"{{"action":"ping","{place}{control}":1}}"#),
                format!(r#"{{"action":"ping","{place}":"{control}"}}"#),
                format!(r#"{{"action":"ping","{place}":{{"{control}":1}}}}"#),
            ] {
                let code = |refused: RejectedRequest| refused.fault.code;
                assert_eq!(typed::decode(&text).map_err(code), Err(ErrorCode::InvalidJson), "{text:?}");
                assert_eq!(plain::decode(&text).map_err(code), Err(ErrorCode::InvalidJson), "{text:?}");
            }
        }
    }
    // Control characters are valid JSON where they are escaped in a string. Tab and line ends are also valid between
    // values, as white space.
    assert!(typed::decode("\t{\"x\\u0000\":\"\\n\",\n\"action\":\"ping\"}\r\n").is_ok());
}

#[test]
fn a_producer_and_its_sequence_come_together_and_within_their_bounds() {
    let publish = |fields: &str| format!(r#"{{"action":"publish","topic":"t",{fields}}}"#);
    let (name, long, short) = ("p".repeat(16), "p".repeat(65), "p".repeat(15));
    for (fields, reason) in [
        (format!(r#""producer":"{name}""#), "sequence is missing: producer and sequence come together"),
        (r#""sequence":1"#.to_owned(), "producer is missing: producer and sequence come together"),
        (format!(r#""producer":"{long}","sequence":1"#), "producer must be a string of 16 to 64 bytes"),
        (format!(r#""producer":"{short}","sequence":1"#), "producer must be a string of 16 to 64 bytes"),
        (format!(r#""producer":"{name}","sequence":0"#), "sequence must be a whole number from 1 to 2^53"),
        (
            format!(r#""producer":"{name}","sequence":9007199254740993"#),
            "sequence must be a whole number from 1 to 2^53",
        ),
        (
            format!(r#""producer":"{name}","sequence":1,"key":"k""#),
            "a publish has a key or a producer with its sequence, not both",
        ),
    ] {
        let fault = typed::decode(&publish(&fields)).expect_err(&fields).fault;
        assert_eq!((fault.code, &*fault.reason), (ErrorCode::InvalidRequest, reason), "{fields}");
    }
    for fields in [r#""producer":7,"sequence":1"#, r#""producer":"pppppppppppppppp","sequence":1.5"#] {
        assert_eq!(typed::decode(&publish(fields)).expect_err(fields).fault.code, ErrorCode::InvalidRequest);
    }
}

#[test]
fn a_plain_client_may_have_fields_of_its_own_and_number_its_publications_too() {
    let key = |fields: &str| {
        let request = plain::decode(&format!(r#"{{"action":"publish","topic":"t",{fields}}}"#))?;
        let Action::Publish(publish) = request.action else { panic!("it is a publish") };
        Ok::<_, RejectedRequest>(publish.key)
    };
    let name = "p".repeat(16);
    let numbered = Key::Number { producer: name.clone().into(), sequence: MAX_SEQUENCE };
    assert_eq!(key(&format!(r#""producer":"{name}","sequence":9007199254740992"#)).unwrap(), Some(numbered));
    for own in [r#""producer":"me""#, r#""sequence":7"#, r#""producer":"me","sequence":"7""#, r#""sequence":-1"#] {
        assert_eq!(key(own).unwrap(), None, "{own}");
        assert_eq!(key(&format!(r#"{own},"key":"k""#)).unwrap(), Some("k".into()), "{own}");
    }
    assert_eq!(key(r#""producer":"me","sequence":7"#).unwrap_err().fault.code, ErrorCode::InvalidRequest);
}

#[test]
fn an_event_that_is_not_known_is_distinguished_from_garbage() {
    assert!(matches!(typed::decode_event(r#"{"event":"party"}"#), Err(typed::InvalidEvent::Unknown(_))));
    assert!(matches!(typed::decode_event(r#"{"event":"pong"}"#), Err(typed::InvalidEvent::Malformed(_))));
}

#[test]
fn a_publication_is_written_the_same_with_and_without_taking_it_apart() {
    let position = Some(Position { epoch: "k3Jx9a".parse().unwrap(), offset: 42 });
    let ada = event::Author { user: Some("ada".into()), time: 1_790_000_000_123 };
    for (position, author) in [(position, None), (None, None), (position, Some(ada))] {
        let mut whole = event::Message::new("a\"b".into(), position, "ü".into());
        (whole.user, whole.time) = author.clone().map_or((None, None), |author| (author.user, Some(author.time)));
        assert_eq!(whole.author(), author);
        let written = typed::encode_message(&whole.topic, position, &whole.payload, author.as_ref());
        assert_eq!(written, typed::encode(&Event::Message(whole)));
    }
}

/// A topic of 0 to 12 characters.
fn topic() -> impl Strategy<Value = Topic> {
    ".{0,12}".prop_map(Topic::from)
}

/// A request id: a number, or a text of 0 to 16 characters.
fn id() -> impl Strategy<Value = RequestId> {
    prop_oneof![
        (0..=RequestId::MAX_NUMBER).prop_map(RequestId::Number),
        ".{0,16}".prop_map(|t| RequestId::Text(t.into()))
    ]
}

/// Any position.
fn position() -> impl Strategy<Value = Position> {
    (any::<u64>(), any::<u64>()).prop_map(|(epoch, offset)| Position { epoch: Epoch::from_random(epoch), offset })
}

/// A payload: a text of 0 to 20 characters, or other JSON.
fn payload() -> impl Strategy<Value = Payload> {
    prop_oneof![
        ".{0,20}".prop_map(|text: String| Payload::from(text.as_str())),
        prop::sample::select(vec!["1.50", "[1, {\"a\":null}]", "{}", "true"])
            .prop_map(|json| Payload::from_json(serde_json::from_str(json).unwrap()).unwrap()),
    ]
}

/// A target of a subscription, and a start that is allowed for it.
fn start() -> impl Strategy<Value = (Target, Start)> {
    let pattern = prop::sample::select(vec!["a", "a.*", "*.b.>", ">"])
        .prop_map(|pattern| Target::Pattern(pattern.parse().unwrap()));
    prop_oneof![
        (topic().prop_map(Target::Topic), position().prop_map(Start::After)),
        (topic().prop_map(Target::Topic), (1..9u32).prop_map(Start::Last)),
        (
            topic().prop_map(Target::Topic),
            (position(), 1..9u32).prop_map(|(after, count)| Start::AfterOrLast(after, count))
        ),
        (pattern, prop::collection::btree_map(topic(), position(), 0..3).prop_map(Start::AfterEach)),
    ]
}

/// An idempotency key: a text, or a producer and its sequence.
fn key() -> impl Strategy<Value = Key> {
    prop_oneof![
        ".{0,9}".prop_map(|text| Key::Text(text.into())),
        // A producer has 16 to 64 bytes. Sixteen characters take 16 to 64 bytes in UTF-8.
        (".{16}", 1..=MAX_SEQUENCE).prop_map(|(name, sequence)| Key::Number { producer: name.into(), sequence }),
    ]
}

/// A request with an id.
fn request() -> impl Strategy<Value = Request> {
    let subscribe = (start(), any::<bool>(), prop::sample::select(vec![Slow::Disconnect, Slow::Drop, Slow::Latest]))
        .prop_map(|((target, start), presence, slow)| Subscribe { target, start, presence, slow }.into());
    let publish = (topic(), payload(), any::<bool>(), prop::option::of(key()))
        .prop_map(|(topic, payload, echo, key)| Publish { topic, payload, echo, key }.into());
    let history = (topic(), prop::option::of(position()), prop::option::of(any::<u32>()))
        .prop_map(|(topic, since, limit)| Action::History(ReadHistory { topic, since, limit }));
    let action = prop_oneof![
        subscribe,
        publish,
        history,
        topic().prop_map(|topic| Action::Unsubscribe(topic.into())),
        topic().prop_map(Action::Presence),
        Just(Action::Ping),
        (any::<u128>(), prop::option::of(payload()))
            .prop_map(|(bits, info)| { Action::Identify(Identify { secret: MemberSecret::from_random(bits), info }) }),
    ];
    (id(), action).prop_map(|(id, action)| Request::new(id, action))
}

/// An event of one of six kinds.
fn event() -> impl Strategy<Value = Event> {
    let client = any::<[u8; 16]>().prop_map(ClientId::from_random);
    prop_oneof![
        (topic(), prop::option::of(position()), payload())
            .prop_map(|(topic, position, payload)| { Event::Message(event::Message::new(topic, position, payload)) }),
        (prop::option::of(id()), topic(), any::<u32>()).prop_map(|(id, topic, n)| {
            let duplicate = n % 2 == 1;
            Event::Published(event::Published {
                id,
                topic,
                epoch: None,
                offset: None,
                receivers: u64::from(n),
                duplicate,
            })
        }),
        (id(), prop::option::of(any::<bool>()), any::<bool>()).prop_map(|(id, recovered, presence)| {
            let about = About::Pattern("a.>".parse().unwrap());
            Event::Subscribed(event::Subscribed {
                id: Some(id),
                about,
                epoch: None,
                offset: None,
                recovered,
                replayed: None,
                presence,
            })
        }),
        (topic(), client, prop::option::of(payload()), any::<bool>()).prop_map(|(topic, client, info, unverified)| {
            let anonymous = unverified.then(|| AnonymousId::of(&MemberSecret::from_random(7)));
            let mut present = event::Present::new(client);
            (present.anonymous, present.info, present.unverified) = (anonymous, info, unverified);
            Event::Join(event::Member::new(topic, present))
        }),
        (topic(), any::<u64>()).prop_map(|(topic, from)| {
            let reason = GapReason::SlowConsumer;
            Event::Gap(event::Gap { topic, from: Some(from), to: Some(from), epoch: None, offset: None, reason })
        }),
        any::<u16>().prop_map(|code| {
            Event::Closing(event::Closing { code: CloseCode(code), reason: "x".into(), reconnect_in_ms: None })
        }),
    ]
}

/// Text that is JSON or nearly JSON: a valid text with up to three edits. Each edit removes up to two characters and
/// inserts one of `PARTS` there.
fn nearly_json() -> impl Strategy<Value = String> {
    let whole = prop_oneof![
        request().prop_map(|request| typed::encode_request(&request)),
        Just(r#"{"x":[{"y":-1.5e3},"\ud83d\ude00",null],"act\u0069on":"publish","message":{"a":["b"]}}"#.to_owned()),
        Just(r#" [null, "é\n", {"": 0}] "#.to_owned()),
        Just(r#""action""#.to_owned()),
    ];
    let edits = prop::collection::vec((any::<prop::sample::Index>(), 0..3_usize, prop::sample::select(PARTS)), 0..4);
    (whole, edits).prop_map(|(whole, edits)| {
        let mut text: Vec<char> = whole.chars().collect();
        for (at, removed, part) in edits {
            let at = at.index(text.len() + 1);
            text.splice(at..(at + removed).min(text.len()), part.chars());
        }
        text.into_iter().collect()
    })
}

/// Parts of JSON, and texts that are not valid in JSON.
const PARTS: &[&str] = &[
    "",
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "\"",
    "\\",
    "\\u",
    "\\u000",
    "\\ud800",
    "\\udc00",
    "\\n",
    "\\x",
    "\0",
    "\u{1}",
    "\t",
    "\n",
    "\u{1f}",
    "\u{7f}",
    "\u{feff}",
    " ",
    "0",
    "01",
    "-",
    ".",
    "1e",
    "1e999",
    "+1",
    "nul",
    "null",
    "true",
    "NaN",
    "'",
    "//",
    "é",
    "\"a\":1,",
    ",\"a\\ud800\":\"\\udfff\"",
    "{}",
];

proptest! {
    #[test]
    fn what_is_no_json_is_distinguished_from_all_that_is(text in nearly_json()) {
        let is_json = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
        for refused in [typed::decode(&text).err(), plain::decode(&text).err()] {
            let is_taken_for_none = refused.is_some_and(|refused| refused.fault.code == ErrorCode::InvalidJson);
            prop_assert_eq!(is_taken_for_none, !is_json, "{:?}", text);
        }
    }

    #[test]
    fn a_request_reads_back_as_it_was_written(request in request()) {
        prop_assert_eq!(typed::decode(&typed::encode_request(&request)), Ok(request));
    }

    #[test]
    fn an_event_reads_back_as_it_was_written(event in event()) {
        prop_assert_eq!(typed::decode_event(&typed::encode(&event)).unwrap(), event);
    }

    #[test]
    fn garbage_never_panics(text in ".*") {
        let _ = (typed::decode(&text), plain::decode(&text), typed::decode_event(&text));
    }

    #[test]
    fn broken_requests_never_panic(request in request(), at in any::<prop::sample::Index>(), by in any::<char>()) {
        let mut text: Vec<char> = typed::encode_request(&request).chars().collect();
        let at = at.index(text.len());
        text[at] = by;
        let text: String = text.into_iter().collect();
        let _ = (typed::decode(&text), plain::decode(&text), typed::decode_event(&text));
    }
}
