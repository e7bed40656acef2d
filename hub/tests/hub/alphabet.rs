//! The scripts of the property tests: every kind of input to the hub, over few sessions and few names. With so few,
//! random scripts often use the same sessions and topics again.

use crate::cast::{Ask, Cast, Mark, Name, Step, Where};
use crate::positions::{FIRST, FOREIGN, FUTURE, SEEN, stand_in};
use hubcast_hub::{
    HistoryPolicy, Input, Limits, PresencePolicy, Retention, Settings, TopicPolicy, TopicRule, TopicRules,
};
use hubcast_protocol::request::Start;
use hubcast_protocol::{Position, Slow, Topic};
use proptest::collection::{btree_map, vec};
use proptest::{option, prelude::*, sample::select};
use std::{fmt, time::Duration};

/// One test case: the settings of a hub, the place of its engine, and what happens to it.
#[derive(Clone)]
pub(crate) struct Script {
    pub(crate) settings: Settings,
    pub(crate) engine: Place,
    pub(crate) lines: Vec<Deed>,
}

/// Prints one line for each deed. The rules are left out, because they are always the same.
impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Settings { limits, history_max_bytes, work_at_once, seed, .. } = &self.settings;
        let engine = self.engine;
        writeln!(f, "{engine:?}, {limits:?}, {history_max_bytes} bytes, {work_at_once} ns at once, seed {seed}")?;
        self.lines.iter().try_for_each(|line| writeln!(f, "  {line:?}"))
    }
}

/// The place of the engine, which decides when it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In the process of the hub: it answers within the call.
    Embedded,
    /// Outside the process: it answers when the script says so.
    Elsewhere,
}

/// One line of a script. `Tell` hands an input to the hub.
#[derive(Clone, Debug)]
pub(crate) enum Deed {
    Tell(Input),
    /// Nothing happens for this time.
    Wait(Duration),
    /// An engine elsewhere answers its oldest open question, if there is one.
    EngineResponse,
    /// Another process takes over, after all sessions were disconnected. With `kept` it restores what this one saved;
    /// without, it begins with nothing.
    Restart {
        kept: bool,
    },
}

/// The number of session ids. Each is used again after its session is gone.
pub(crate) const SESSIONS: u32 = 4;

/// A topic with a history while it is in use, and presence with events and a grace time.
pub(crate) const ROOM: &str = "a.b";
/// A topic with presence and without a history.
pub(crate) const LOBBY: &str = "a";

/// The public topics of a script. The empty name is one of them.
const TOPICS: [&str; 4] = ["", LOBBY, ROOM, "a.b.c"];
/// The patterns of a script.
const PATTERNS: [&str; 5] = ["*", ">", "a.*", "*.b", "a.>"];
/// The longest topic, in bytes, that the hub of a script accepts: the length of a client's id.
const TOPIC_LIMIT: usize = 36;
const TOO_LONG_TOPIC: &str = "a.bcdefghijklmnopqrstuvwxyz.0123456789.x";
const TOO_LONG_PATTERN: &str = "a.bcdefghijklmnopqrstuvwxyz.0123456789.>";
const USERS: [&str; 2] = ["ada", "bob"];
/// A bound for all histories, in bytes, with room for only a few of the smallest.
const TIGHT: usize = 1200;

/// Any script of 1 to 99 steps, after up to 4 connects.
pub(crate) fn script() -> impl Strategy<Value = Script> {
    let engine = select(vec![Place::Embedded, Place::Elsewhere]);
    (settings(), engine, 0..=SESSIONS, vec(step(), 1..100)).prop_map(|(settings, engine, early, steps)| {
        let mut cast = Cast::default();
        let first = (0..early).map(|session| Step::Connect(session, USERS.get(session as usize).copied()));
        let lines = first.chain(steps).flat_map(|step| cast.perform(step)).collect();
        Script { settings, engine, lines }
    })
}

/// Settings with small limits, and often with little room for histories.
fn settings() -> impl Strategy<Value = Settings> {
    let subscriptions = prop_oneof![3 => 3..6usize, 1 => 0..3usize];
    let rate = prop_oneof![4 => Just(None), 1 => (1..6u32).prop_map(Some)];
    let budget = prop_oneof![2 => Just(Settings::with_seed(1).history_max_bytes), 1 => Just(TIGHT)];
    // Either everything is done at once, or all that can be done in parts is done in as many parts as possible.
    let work_at_once = prop_oneof![Just(250_000), Just(1)];
    let all = (subscriptions, rate, budget, work_at_once, any::<u64>());
    all.prop_map(|(subscriptions, rate, history_max_bytes, work_at_once, seed)| Settings {
        limits: Limits { topic: TOPIC_LIMIT, subscriptions, requests_per_second: rate },
        rules: rules(),
        history_max_bytes,
        work_at_once,
        seed,
        ..Settings::with_seed(1)
    })
}

/// Small histories and short times, so that in a script they overflow and expire.
fn rules() -> TopicRules {
    let rule =
        |matches: &str, history: Option<(usize, u64, Retention)>, presence: Option<(bool, u64)>, window| TopicRule {
            pattern: matches.parse().expect("the alphabet's patterns are well-formed"),
            policy: TopicPolicy {
                history: history.map(|(size, ttl, keep)| HistoryPolicy { size, ttl: Duration::from_secs(ttl), keep }),
                presence: presence.map(|(events, grace)| PresencePolicy { events, grace: Duration::from_secs(grace) }),
                key_window: Duration::from_secs(window),
                ..TopicPolicy::default()
            },
        };
    let list = vec![
        rule("a.b.c", Some((2, 3, Retention::Always)), None, 2),
        rule(ROOM, Some((3, 4, Retention::InUse)), Some((true, 2)), 5),
        rule(LOBBY, None, Some((true, 0)), 1),
        rule(">", Some((2, 2, Retention::InUse)), Some((false, 1)), 3),
    ];
    TopicRules { list }
}

/// Any step. The numbers are its relative frequencies.
fn step() -> impl Strategy<Value = Step> {
    let ask = (session(), any::<bool>(), subscribe());
    prop_oneof![
        20 => (session(), user()).prop_map(|(session, user)| Step::Connect(session, user)),
        25 => (session(), select(&TOPICS[..]), position(), option::of(option::weighted(0.3, Just("a name")))).prop_map(
            |(session, topic, after, shows)| Step::ComeBack { session, topic, after, shows }
        ),
        15 => (session(), any::<bool>()).prop_map(|(session, lost)| Step::Closed { session, lost }),
        5 => (session(), option::of(Just(1834))).prop_map(|(session, back)| Step::Disconnect(session, back)),
        50 => pause().prop_map(Step::Wait),
        60 => Just(Step::EngineResponse),
        3 => any::<bool>().prop_map(|kept| Step::Restart { kept }),
        240 => ask.prop_map(|(session, numbered, subscribe)| Step::Request { session, numbered, subscribe }),
    ]
}

/// A user, or none.
fn user() -> impl Strategy<Value = Option<&'static str>> {
    option::weighted(0.5, select(&USERS[..]))
}

/// A time to wait, from a millisecond to several seconds.
fn pause() -> impl Strategy<Value = Duration> {
    select(vec![1, 150, 999, 1000, 1000, 1000, 2000, 7000]).prop_map(Duration::from_millis)
}

/// Any session id of a script.
fn session() -> impl Strategy<Value = u32> {
    0..SESSIONS
}

/// Any request, whose names are not filled in yet.
fn subscribe() -> impl Strategy<Value = Ask> {
    let slow = select(vec![Slow::Disconnect, Slow::Drop, Slow::Latest]);
    let subscribe = (target(), any::<bool>(), slow);
    let publish = (name(), any::<bool>(), option::weighted(0.6, mark()));
    prop_oneof![
        16 => (start(), subscribe).prop_map(|(start, (target, presence, slow))| {
            Ask::Subscribe { target, start, presence, slow }
        }),
        6 => target().prop_map(Ask::Unsubscribe),
        2 => Just(Ask::Unsubscribe(Where::Topic(Name::Own))),
        20 => publish.prop_map(|(topic, echo, key)| Ask::Publish { topic, echo, key }),
        3 => (name(), option::of(position()), option::of(0..4u32)).prop_map(|(topic, since, limit)| {
            Ask::History { topic, since, limit }
        }),
        2 => name().prop_map(Ask::Presence),
        4 => (0..2u8, any::<bool>()).prop_map(|(secret, named)| Ask::Identify { secret, named }),
        1 => Just(Ask::Ping),
        1 => Just(Ask::Nonsense),
    ]
}

/// Any idempotency key, of few, so that keys are often used again.
fn mark() -> impl Strategy<Value = Mark> {
    prop_oneof![
        (0..3u8).prop_map(Mark::Text),
        (0..2u8, 1..4u64).prop_map(|(producer, sequence)| Mark::Number(producer, sequence)),
    ]
}

/// Any topic or pattern to subscribe to.
fn target() -> impl Strategy<Value = Where> {
    prop_oneof![
        12 => name().prop_map(Where::Topic),
        8 => select(&PATTERNS[..]).prop_map(Where::Pattern),
        1 => Just(Where::Pattern(TOO_LONG_PATTERN)),
    ]
}

/// Any topic: public, private, or one that is refused.
fn name() -> impl Strategy<Value = Name> {
    prop_oneof![
        16 => select(&TOPICS[..]).prop_map(Name::Fixed),
        2 => Just(Name::Own),
        2 => session().prop_map(Name::IdOf),
        1 => session().prop_map(Name::UpperIdOf),
        1 => select(vec!["@ada", TOO_LONG_TOPIC]).prop_map(Name::Fixed),
    ]
}

/// Any start of a subscription.
fn start() -> impl Strategy<Value = Start> {
    let topic = select(&TOPICS[..]).prop_map(Topic::from);
    prop_oneof![
        4 => Just(Start::Live),
        3 => position().prop_map(Start::After),
        2 => btree_map(topic, position(), 0..4).prop_map(Start::AfterEach),
        1 => (0..4u32).prop_map(Start::Last),
        1 => (position(), 1..4u32).prop_map(|(after, count)| Start::AfterOrLast(after, count)),
    ]
}

/// Any position, as a stand-in that [`Positions`](crate::positions::Positions) replaces.
fn position() -> impl Strategy<Value = Position> {
    let epoch = prop_oneof![6 => Just(SEEN), 1 => Just(FIRST), 1 => Just(FUTURE), 1 => Just(FOREIGN)];
    (epoch, 0..4u64).prop_map(|(epoch, offset)| stand_in(epoch, offset))
}
