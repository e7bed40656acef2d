//! Scenes of permissions: tokens that begin, are renewed and end, the private topics of users, and what operators do.

use crate::alphabet::Place;
use crate::stage::{Stage, keeping};
use hubcast_hub::{
    Access, Admission, Credentials, Expiry, Grant, Grants, Identity, Input, Login, Operation, Permission,
    PresencePolicy, SessionId, Settings, TopicPolicy, UserLimits, Whom,
};
use hubcast_protocol::{ClientId, CloseCode, ErrorCode, ErrorReply, RequestId};
use std::sync::Arc;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// A hub with tokens, whose topics keep a history.
fn guarded(admission: Admission) -> Stage {
    let presence = Some(PresencePolicy { events: true, grace: Duration::ZERO });
    let settings = keeping(TopicPolicy { presence, ..TopicPolicy::default() });
    Stage::with(Settings { admission, ..settings }, Place::Embedded)
}

fn with_tokens() -> Admission {
    Admission { default: Access::Granted, ..Admission::default() }
}

/// Grants written as `publish chat.*, subscribe news`.
fn grants(text: &str) -> Grants {
    let entries = text.split(", ").filter(|entry| !entry.is_empty()).map(|entry| {
        let (permission, grant) = entry.split_once(' ').expect("a permission and a grant");
        let all = [Permission::Subscribe, Permission::Publish, Permission::Presence, Permission::History];
        let permission = all.into_iter().find(|known| known.to_string() == permission).expect("a permission");
        (permission, Grant::parse(grant).expect("a grant"))
    });
    Grants::new(entries)
}

impl Stage {
    /// What a valid token says that ends after `lifetime`.
    fn login(&self, user: &str, granted: &str, lifetime: Duration) -> Login {
        let expiry = Some(Expiry { at: self.now() + lifetime, unix: 1_790_000_000 });
        let credentials = Credentials { grants: grants(granted), expiry, api_key: None };
        Login { identity: Arc::new(Identity::user(user)), credentials: Arc::new(credentials) }
    }

    /// Connects a session that has shown a token.
    fn connect_with(&mut self, user: &str, granted: &str, lifetime: Duration) -> SessionId {
        let Login { identity, credentials } = self.login(user, granted, lifetime);
        self.enter(Some(identity), Some(credentials))
    }

    fn authenticate(&mut self, session: SessionId, login: Login) -> Vec<String> {
        self.tell(Input::Authenticate { session, id: Some(RequestId::Number(1)), outcome: Ok(login) });
        self.hears(session)
    }

    fn refuse(&mut self, session: SessionId, code: ErrorCode) -> Vec<String> {
        let outcome = Err(ErrorReply::new(code, "no"));
        self.tell(Input::Authenticate { session, id: Some(RequestId::Number(1)), outcome });
        self.hears(session)
    }

    fn operate(&mut self, whom: Whom, operation: Operation) {
        self.tell(Input::Operate { session: SessionId(99), id: RequestId::Number(1), whom, operation });
    }
}

const AUTHENTICATED: &str = r#"{"event":"authenticated","id":1,"user":"ada","expires":1790000000}"#;

fn code_of(frames: &[String]) -> String {
    let frame = frames.first().map(String::as_str).unwrap_or_default();
    let at = frame.find(r#""code":""#).map(|at| at + 8);
    at.map_or_else(|| frame.to_owned(), |at| frame[at..].split('"').next().unwrap_or_default().to_owned())
}

#[test]
fn each_action_needs_its_own_grant() {
    let mut stage = guarded(with_tokens());
    let ada = stage.connect_with("ada", "subscribe room.*, publish room.1, history room.2", SECOND);
    for (request, refused) in [
        (r#"{"id":1,"action":"subscribe","topic":"room.1"}"#, false),
        (r#"{"id":1,"action":"subscribe","topic":"hall"}"#, true),
        (r#"{"id":1,"action":"subscribe","pattern":"room.*"}"#, false),
        (r#"{"id":1,"action":"subscribe","pattern":"room.>"}"#, true),
        (r#"{"id":1,"action":"subscribe","topic":"room.1","last":1}"#, true),
        (r#"{"id":1,"action":"subscribe","topic":"room.2","last":1}"#, false),
        (r#"{"id":1,"action":"subscribe","topic":"room.1","recover":{"epoch":"e","offset":1}}"#, true),
        (r#"{"id":1,"action":"subscribe","pattern":"room.*","recover":{}}"#, true),
        (r#"{"id":1,"action":"subscribe","topic":"room.1","presence":true}"#, true),
        (r#"{"id":1,"action":"history","topic":"room.1"}"#, true),
        (r#"{"id":1,"action":"history","topic":"room.2"}"#, false),
        (r#"{"id":1,"action":"presence","topic":"room.1"}"#, true),
        (r#"{"id":1,"action":"publish","topic":"room.1"}"#, false),
        (r#"{"id":1,"action":"publish","topic":"room.2"}"#, true),
        (r#"{"id":1,"action":"publish","topic":"@bob"}"#, true),
        (r#"{"id":1,"action":"publish","topic":"7f0c0000-0000-4000-8000-000000000000"}"#, true),
    ] {
        let answer = stage.answer(ada, request);
        assert_eq!(code_of(&answer) == "forbidden", refused, "{request}: {answer:?}");
    }
    stage.closed(ada);
    stage.ends();
}

#[test]
fn a_session_without_a_token_can_only_authenticate_and_not_wait_for_long() {
    let admission = Admission { token_required: true, ..with_tokens() };
    let mut stage = guarded(admission.clone());
    let [early, late] = [(); 2].map(|()| stage.connect());
    let answer = stage.answer(early, r#"{"id":7,"action":"ping"}"#);
    assert_eq!((code_of(&answer), answer.len()), ("unauthenticated".into(), 2), "{answer:?}");
    assert!(answer[1].starts_with("close 4501"), "{answer:?}");
    assert_eq!(stage.answer(early, r#"{"id":7,"action":"ping"}"#), [""; 0], "nothing more is taken");
    let login = stage.login("ada", "publish >", 100 * SECOND);
    assert_eq!(stage.authenticate(late, login), [AUTHENTICATED]);
    stage.wait(11 * SECOND);
    assert_eq!(stage.hears(late), [""; 0]);
    let slow = stage.connect();
    stage.wait(10 * SECOND);
    assert!(stage.hears(slow)[0].starts_with("close 4501"));
    let wrong = stage.connect();
    let answer = stage.refuse(wrong, ErrorCode::TokenInvalid);
    assert!(answer[1].starts_with("close 4500"), "{answer:?}");
    [early, late, slow, wrong].into_iter().for_each(|session| stage.closed(session));
    stage.ends();

    let mut stage = guarded(Admission { max_waiting: 1, ..admission });
    let [first, second] = [(); 2].map(|()| stage.enter_unread(None, None));
    assert_eq!(stage.hears(first).len(), 1);
    assert!(stage.hears(second)[1].starts_with("close 1013"));
    [first, second].into_iter().for_each(|session| stage.closed(session));
    stage.ends();
}

#[test]
fn a_token_that_ends_is_told_and_may_be_renewed_for_a_while() {
    let mut stage = guarded(with_tokens());
    let [ada, bob] = ["ada", "bob"].map(|user| stage.connect_with(user, "publish a, subscribe a", 10 * SECOND));
    stage.says(bob, r#"{"action":"subscribe","topic":"a"}"#);
    stage.hears(bob);
    stage.wait(10 * SECOND);
    for session in [ada, bob] {
        assert_eq!(code_of(&stage.hears(session)), "token_expired");
    }
    assert_eq!(code_of(&stage.answer(ada, r#"{"id":1,"action":"publish","topic":"a"}"#)), "token_expired");
    assert_eq!(stage.answer(ada, r#"{"id":1,"action":"ping"}"#), [r#"{"event":"pong","id":1}"#]);
    let login = stage.login("ada", "publish a", 100 * SECOND);
    assert_eq!(stage.authenticate(ada, login), [AUTHENTICATED]);
    stage.says(ada, r#"{"action":"publish","topic":"a","message":"x"}"#);
    assert_eq!(stage.hears(bob).len(), 1, "a subscription goes on until the end");
    stage.wait(25 * SECOND);
    assert!(stage.hears(bob)[0].starts_with("close 4001"));
    assert_eq!(stage.hears(ada), [""; 0]);
    [ada, bob].into_iter().for_each(|session| stage.closed(session));
    stage.ends();
}

#[test]
fn no_request_is_carried_out_after_the_end_of_its_token_even_if_no_timeout_came() {
    let mut stage = guarded(with_tokens());
    let ada = stage.connect_with("ada", "publish a", SECOND);
    stage.sleep(2 * SECOND);
    let answer = stage.answer(ada, r#"{"id":1,"action":"publish","topic":"a"}"#);
    assert_eq!(answer.iter().filter(|frame| frame.contains("token_expired")).count(), 2, "{answer:?}");
    stage.closed(ada);
    stage.ends();
}

#[test]
fn other_grants_end_what_is_no_longer_granted_and_nothing_else() {
    let mut stage = guarded(with_tokens());
    let ada = stage.connect_with("ada", "subscribe a.>, subscribe b, presence b", 100 * SECOND);
    let bob = stage.connect_with("bob", "publish >", 100 * SECOND);
    for what in [r#""topic":"a.1""#, r#""topic":"a.2""#, r#""pattern":"a.*""#, r#""topic":"b","presence":true"#] {
        stage.says(ada, &format!(r#"{{"action":"subscribe",{what}}}"#));
    }
    stage.hears(ada);
    let login = stage.login("ada", "subscribe a.1, subscribe b", 100 * SECOND);
    let mut frames = stage.authenticate(ada, login);
    assert_eq!(frames.pop().as_deref(), Some(AUTHENTICATED), "it comes last");
    frames.sort();
    assert_eq!(
        frames,
        [
            r#"{"event":"gap","topic":"b","reason":"missed_presence"}"#,
            r#"{"event":"unsubscribed","pattern":"a.*","reason":"forbidden"}"#,
            r#"{"event":"unsubscribed","topic":"a.2","reason":"forbidden"}"#,
        ]
    );
    for topic in ["a.1", "a.2", "a.3", "b", "@ada"] {
        stage.says(bob, &format!(r#"{{"action":"publish","topic":"{topic}"}}"#));
    }
    assert_eq!(stage.hears(ada).len(), 2, "a.1 and b");
    assert_eq!(code_of(&stage.refuse(ada, ErrorCode::TokenInvalid)), "token_invalid", "and it stays");
    let other = stage.login("eve", "subscribe >", 100 * SECOND);
    assert_eq!(code_of(&stage.authenticate(ada, other)), "token_invalid");
    [ada, bob].into_iter().for_each(|session| stage.closed(session));
    stage.ends();
}

#[test]
fn many_subscriptions_are_reviewed_in_parts() {
    let mut stage = guarded(with_tokens());
    let ada = stage.connect_with("ada", "subscribe a.>", 100 * SECOND);
    for number in 0..900 {
        stage.says(ada, &format!(r#"{{"action":"subscribe","topic":"a.{number}"}}"#));
    }
    stage.hears(ada);
    let login = stage.login("ada", "subscribe a.7", 100 * SECOND);
    let frames = stage.authenticate(ada, login);
    assert_eq!(frames.iter().filter(|frame| frame.contains("unsubscribed")).count(), 899);
    assert_eq!(frames.last().map(String::as_str), Some(AUTHENTICATED));
    stage.closed(ada);
    stage.ends();
}

#[test]
fn a_user_hears_its_private_topic_on_all_its_connections() {
    let mut stage = guarded(with_tokens());
    let [one, other] = [(); 2].map(|()| stage.connect_with("ada", "", 100 * SECOND));
    let bob = stage.connect_with("bob", "publish @ada", 100 * SECOND);
    let publish = r#"{"id":1,"action":"publish","topic":"@ada","message":"hi"}"#;
    assert!(stage.answer(bob, publish)[0].contains(r#""receivers":2"#));
    assert_eq!([one, other].map(|session| stage.hears(session).len()), [1, 1]);
    assert_eq!(code_of(&stage.answer(bob, r#"{"id":1,"action":"subscribe","topic":"@ada"}"#)), "forbidden");
    stage.says(one, r#"{"action":"unsubscribe","topic":"@ada"}"#);
    stage.hears(one);
    assert!(stage.answer(bob, publish)[0].contains(r#""receivers":1"#));
    assert_eq!([one, other].map(|session| stage.hears(session).len()), [0, 1]);
    let again = stage.answer(one, r#"{"id":1,"action":"subscribe","topic":"@ada","last":5}"#);
    assert!(again[0].contains(r#""replayed":2"#), "what a user was sent can be read again: {again:?}");
    [one, other, bob].into_iter().for_each(|session| stage.closed(session));
    stage.ends();
}

#[test]
fn the_limits_of_a_user_hold_for_all_its_connections() {
    let each_user = UserLimits { connections: Some(2), subscriptions: Some(3), publications_per_second: Some(2) };
    let mut stage = guarded(Admission { each_user, ..with_tokens() });
    let [one, other] = [(); 2].map(|()| stage.connect_with("ada", "subscribe >, publish >", 100 * SECOND));
    let login = stage.login("ada", "", 100 * SECOND);
    let third = stage.enter_unread(Some(login.identity), Some(login.credentials));
    let frames = stage.hears(third);
    assert_eq!((code_of(&frames[1..]), frames[2].starts_with("close 1013")), ("limit_exceeded".into(), true));
    stage.closed(third);
    for (session, topic, code) in [(one, "a", ""), (one, "b", ""), (other, "c", ""), (other, "d", "limit_exceeded")] {
        let answer = stage.answer(session, &format!(r#"{{"id":1,"action":"subscribe","topic":"{topic}"}}"#));
        assert_eq!(code_of(&answer) == "limit_exceeded", !code.is_empty(), "{answer:?}");
    }
    let publish =
        |stage: &mut Stage, session| code_of(&stage.answer(session, r#"{"id":1,"action":"publish","topic":"x"}"#));
    let codes = [one, other, one].map(|session| publish(&mut stage, session));
    assert_eq!(codes[2], "rate_limited", "{codes:?}");
    stage.wait(2 * SECOND);
    assert_ne!(publish(&mut stage, other), "rate_limited");
    [one, other].into_iter().for_each(|session| stage.closed(session));
    stage.ends();
}

#[test]
fn an_operator_subscribes_unsubscribes_and_disconnects_others() {
    let mut stage = guarded(with_tokens());
    let [one, other] = [(); 2].map(|()| stage.connect_with("ada", "", 100 * SECOND));
    let ada = || Whom::User("ada".into());
    let topic = || hubcast_protocol::Topic::from("news").into();
    stage.operate(ada(), Operation::Subscribe(topic()));
    for session in [one, other] {
        assert!(stage.hears(session)[0].starts_with(r#"{"event":"subscribed","topic":"news""#));
    }
    stage.operate(Whom::Client(client_of(one)), Operation::Unsubscribe(topic()));
    assert_eq!(stage.hears(one), [r#"{"event":"unsubscribed","topic":"news","reason":"operator"}"#]);
    assert_eq!(stage.hears(other), [""; 0]);
    stage.operate(ada(), Operation::Disconnect { code: CloseCode::DISCONNECTED, reason: "go".into() });
    for session in [one, other] {
        let frames = stage.hears(session);
        assert_eq!(frames, [r#"{"event":"closing","code":4502,"reason":"go"}"#, "close 4502 go"]);
    }
    [one, other].into_iter().for_each(|session| stage.closed(session));
    stage.ends();
}

fn client_of(session: SessionId) -> ClientId {
    crate::stage::id_of(session)
}

#[test]
fn a_topic_that_asks_for_authors_says_who_published_and_when() {
    let settings = keeping(TopicPolicy { author: true, ..TopicPolicy::default() });
    let mut stage = Stage::with(settings, Place::Embedded);
    stage.set_wall_clock(1_790_000_000_000);
    let (ada, nobody) = (stage.connect_as("ada"), stage.connect());
    stage.says(nobody, r#"{"action":"subscribe","topic":"chat"}"#);
    stage.hears(nobody);
    stage.wait(SECOND);
    stage.says(ada, r#"{"action":"publish","topic":"chat","message":{"user":"eve"}}"#);
    stage.says(nobody, r#"{"action":"publish","topic":"chat","message":"x"}"#);
    let heard = stage.hears(nobody);
    assert!(heard[0].ends_with(r#""message":{"user":"eve"},"user":"ada","time":1790000001000}"#), "{heard:?}");
    assert!(heard[1].ends_with(r#""message":"x","time":1790000001000}"#), "{heard:?}");
    let history = stage.answer(nobody, r#"{"id":1,"action":"history","topic":"chat"}"#);
    assert!(history[0].contains(r#""message":{"user":"eve"},"user":"ada","time":1790000001000"#), "{history:?}");
    [ada, nobody].into_iter().for_each(|session| stage.closed(session));
    stage.ends();
}
