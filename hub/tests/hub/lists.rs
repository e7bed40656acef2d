//! A list of receivers is used again for the next publication only while the receivers are the same. This holds for
//! any number of inputs to one list of effects.

use hubcast_hub::{Effect, Effects, Hub, Input, SessionId, Settings};
use hubcast_protocol::{ClientId, Slow, typed};
use proptest::{collection::vec, prelude::*, sample::select};
use std::time::Instant;

/// The requests of a script. They change the receivers of two topics: by topic, by pattern, by `slow` and by `echo`.
const REQUESTS: &[&str] = &[
    r#"{"action":"publish","topic":"a.b"}"#,
    r#"{"action":"publish","topic":"a.b"}"#,
    r#"{"action":"publish","topic":"a.b","echo":false}"#,
    r#"{"action":"publish","topic":"a.c"}"#,
    r#"{"action":"subscribe","topic":"a.b"}"#,
    r#"{"action":"subscribe","topic":"a.b","slow":"drop"}"#,
    r#"{"action":"unsubscribe","topic":"a.b"}"#,
    r#"{"action":"subscribe","topic":"a.c"}"#,
    r#"{"action":"subscribe","pattern":"a.*"}"#,
    r#"{"action":"subscribe","pattern":"a.*","slow":"latest"}"#,
    r#"{"action":"unsubscribe","pattern":"a.*"}"#,
    r#"{"action":"subscribe","pattern":">"}"#,
    r#"{"action":"unsubscribe","pattern":">"}"#,
];

/// Plays a script. Returns the topic and the receivers of each delivery, in order. With `is_cleared` the effects are
/// cleared after each input, so that no list can be used again; without, all inputs share one list of effects.
fn delivered(script: &[(u32, &str)], is_cleared: bool) -> Vec<(String, Vec<(SessionId, Slow)>)> {
    let (mut hub, mut effects, now) = (Hub::new(Settings::with_seed(1)), Effects::default(), Instant::now());
    for session in 0..4 {
        let client = ClientId::from_random(u128::from(session).to_be_bytes());
        hub.handle(now, Input::connect(SessionId(session), client), &mut effects);
    }
    let mut delivered = Vec::new();
    effects.clear();
    let mut take = |effects: &Effects| {
        for effect in effects.iter() {
            if let Effect::Deliver { publication, receivers } = effect {
                let to = effects.receivers(receivers).iter().map(|to| (to.session, to.slow)).collect();
                delivered.push((publication.topic().as_str().to_owned(), to));
            }
        }
    };
    for (session, request) in script {
        let input = Input::Request { session: SessionId(*session), request: typed::decode(request) };
        hub.handle(now, input, &mut effects);
        if is_cleared {
            take(&effects);
            effects.clear();
        }
    }
    take(&effects);
    delivered
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn receivers_are_the_same_whether_or_not_a_list_is_used_again(
        script in vec((0..4u32, select(REQUESTS)), 1..60),
    ) {
        prop_assert_eq!(delivered(&script, false), delivered(&script, true));
    }
}

#[test]
fn successive_publications_to_the_same_receivers_have_one_list() {
    let (mut hub, mut effects, now) = (Hub::new(Settings::with_seed(1)), Effects::default(), Instant::now());
    let session = SessionId(1);
    hub.handle(now, Input::connect(session, ClientId::from_random([1; 16])), &mut effects);
    let mut ask = |request| hub.handle(now, Input::Request { session, request: typed::decode(request) }, &mut effects);
    ask(r#"{"action":"subscribe","topic":"a.b"}"#);
    ask(r#"{"action":"subscribe","pattern":"a.*"}"#);
    (0..3).for_each(|_| ask(r#"{"action":"publish","topic":"a.b"}"#));
    let lists: Vec<_> = effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Deliver { receivers, .. } => Some(receivers.clone()),
            _ => None,
        })
        .collect();
    assert_eq!(lists, [0..1, 0..1, 0..1]);
}
