//! What can happen in a property test: everything the hub can be told, about few sessions and few names, so that
//! random scripts meet each other's sessions and topics all the time.

use crate::cast::{Cast, Mark, Name, PendingSubscribe, Step, Where};
use crate::positions::{FIRST, FOREIGN, FUTURE, SEEN, stand_in};
use hubcast_hub::{
    HistoryPolicy, Input, Limits, PresencePolicy, Retention, Settings, TopicPolicy, TopicRule, TopicRules,
};
use hubcast_protocol::request::Start;
use hubcast_protocol::{Position, Slow, Topic};
use proptest::collection::{btree_map, vec};
use proptest::{option, prelude::*, sample::select};
use std::{fmt, time::Duration};

/// A whole test: a hub's settings and what happens to it.
#[derive(Clone)]
pub(crate) struct Script {
    pub(crate) settings: Settings,
    pub(crate) engine: Place,
    pub(crate) lines: Vec<Deed>,
}

/// One line for a line, without the rules, which are always the same.
impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Settings { limits, history_max_bytes, work_at_once, seed, .. } = &self.settings;
        let engine = self.engine;
        writeln!(f, "{engine:?}, {limits:?}, {history_max_bytes} bytes, {work_at_once} ns at once, seed {seed}")?;
        self.lines.iter().try_for_each(|line| writeln!(f, "  {line:?}"))
    }
}

/// Where the engine answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In the call.
    Embedded,
    /// Whenever the script says.
    Elsewhere,
}

/// One line of a script.
#[derive(Clone, Debug)]
pub(crate) enum Deed {
    Tell(Input),
    /// Nothing happens for so long.
    Wait(Duration),
    /// An engine elsewhere answers its oldest open question, if there is one.
    EngineResponse,
    /// Another process takes over, after everyone was disconnected; with what this one saved or with nothing.
    Restart {
        kept: bool,
    },
}

/// The names that sessions have, one after the other and again.
pub(crate) const SESSIONS: u32 = 4;

/// The topic with a history for those who listen, and presence with a grace time.
pub(crate) const ROOM: &str = "a.b";
/// The topic with presence and without history.
pub(crate) const LOBBY: &str = "a";

const TOPICS: [&str; 4] = ["", LOBBY, ROOM, "a.b.c"];
const PATTERNS: [&str; 5] = ["*", ">", "a.*", "*.b", "a.>"];
/// As long as a client's id, the longest topic that a script's hub takes.
const TOPIC_LIMIT: usize = 36;
const TOO_LONG_TOPIC: &str = "a.bcdefghijklmnopqrstuvwxyz.0123456789.x";
const TOO_LONG_PATTERN: &str = "a.bcdefghijklmnopqrstuvwxyz.0123456789.>";
const USERS: [&str; 2] = ["ada", "bob"];
/// Room for a few of the smallest histories.
const TIGHT: usize = 1200;

/// Any script of some length.
pub(crate) fn script() -> impl Strategy<Value = Script> {
    let engine = select(vec![Place::Embedded, Place::Elsewhere]);
    (settings(), engine, 0..=SESSIONS, vec(step(), 1..100)).prop_map(|(settings, engine, early, steps)| {
        let mut cast = Cast::default();
        let first = (0..early).map(|session| Step::Connect(session, USERS.get(session as usize).copied()));
        let lines = first.chain(steps).flat_map(|step| cast.perform(step)).collect();
        Script { settings, engine, lines }
    })
}

fn settings() -> impl Strategy<Value = Settings> {
    let subscriptions = prop_oneof![3 => 3..6usize, 1 => 0..3usize];
    let rate = prop_oneof![4 => Just(None), 1 => (1..6u32).prop_map(Some)];
    let budget = prop_oneof![2 => Just(Settings::with_seed(1).history_max_bytes), 1 => Just(TIGHT)];
    // Done at once, or all that can be done in pieces in as many as there are.
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

/// Small histories and short times, so that everything runs over and out.
fn rules() -> TopicRules {
    let rule =
        |matches: &str, history: Option<(usize, u64, Retention)>, presence: Option<(bool, u64)>, window| TopicRule {
            pattern: matches.parse().expect("the alphabet's patterns are well-formed"),
            policy: TopicPolicy {
                history: history.map(|(size, ttl, keep)| HistoryPolicy { size, ttl: Duration::from_secs(ttl), keep }),
                presence: presence.map(|(events, grace)| PresencePolicy { events, grace: Duration::from_secs(grace) }),
                key_window: Duration::from_secs(window),
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

fn step() -> impl Strategy<Value = Step> {
    let ask = (session(), any::<bool>(), subscribe());
    prop_oneof![
        20 => (session(), user()).prop_map(|(session, user)| Step::Connect(session, user)),
        25 => (session(), select(&TOPICS[..]), position()).prop_map(|(session, topic, after)| {
            Step::ComeBack { session, topic, after }
        }),
        15 => (session(), any::<bool>()).prop_map(|(session, lost)| Step::Closed { session, lost }),
        5 => (session(), option::of(Just(1834))).prop_map(|(session, back)| Step::Disconnect(session, back)),
        50 => pause().prop_map(Step::Wait),
        60 => Just(Step::EngineResponse),
        3 => any::<bool>().prop_map(|kept| Step::Restart { kept }),
        240 => ask.prop_map(|(session, numbered, subscribe)| Step::EngineCall { session, numbered, subscribe }),
    ]
}

fn user() -> impl Strategy<Value = Option<&'static str>> {
    option::weighted(0.7, select(&USERS[..]))
}

fn pause() -> impl Strategy<Value = Duration> {
    select(vec![1, 150, 999, 1000, 1000, 1000, 2000, 7000]).prop_map(Duration::from_millis)
}

fn session() -> impl Strategy<Value = u32> {
    0..SESSIONS
}

fn subscribe() -> impl Strategy<Value = PendingSubscribe> {
    let slow = select(vec![Slow::Disconnect, Slow::Drop, Slow::Latest]);
    let subscribe = (target(), any::<bool>(), slow);
    let publish = (name(), any::<bool>(), option::weighted(0.6, mark()));
    prop_oneof![
        16 => (start(), subscribe).prop_map(|(start, (target, presence, slow))| {
            PendingSubscribe::Subscribe { target, start, presence, slow }
        }),
        6 => target().prop_map(PendingSubscribe::Unsubscribe),
        2 => Just(PendingSubscribe::Unsubscribe(Where::Topic(Name::Own))),
        20 => publish.prop_map(|(topic, echo, key)| PendingSubscribe::Publish { topic, echo, key }),
        3 => (name(), option::of(position()), option::of(0..4u32)).prop_map(|(topic, since, limit)| {
            PendingSubscribe::History { topic, since, limit }
        }),
        2 => name().prop_map(PendingSubscribe::Presence),
        1 => Just(PendingSubscribe::Ping),
        1 => Just(PendingSubscribe::Nonsense),
    ]
}

fn mark() -> impl Strategy<Value = Mark> {
    prop_oneof![
        (0..3u8).prop_map(Mark::Text),
        (0..2u8, 1..4u64).prop_map(|(producer, sequence)| Mark::Number(producer, sequence)),
    ]
}

fn target() -> impl Strategy<Value = Where> {
    prop_oneof![
        12 => name().prop_map(Where::Topic),
        8 => select(&PATTERNS[..]).prop_map(Where::Pattern),
        1 => Just(Where::Pattern(TOO_LONG_PATTERN)),
    ]
}

fn name() -> impl Strategy<Value = Name> {
    prop_oneof![
        16 => select(&TOPICS[..]).prop_map(Name::Fixed),
        2 => Just(Name::Own),
        2 => session().prop_map(Name::IdOf),
        1 => session().prop_map(Name::UpperIdOf),
        1 => select(vec!["@ada", TOO_LONG_TOPIC]).prop_map(Name::Fixed),
    ]
}

fn start() -> impl Strategy<Value = Start> {
    let topic = select(&TOPICS[..]).prop_map(Topic::from);
    prop_oneof![
        4 => Just(Start::Live),
        3 => position().prop_map(Start::After),
        2 => btree_map(topic, position(), 0..4).prop_map(Start::AfterEach),
        1 => (0..4u32).prop_map(Start::Last),
    ]
}

fn position() -> impl Strategy<Value = Position> {
    let epoch = prop_oneof![6 => Just(SEEN), 1 => Just(FIRST), 1 => Just(FUTURE), 1 => Just(FOREIGN)];
    (epoch, 0..4u64).prop_map(|(epoch, offset)| stand_in(epoch, offset))
}
