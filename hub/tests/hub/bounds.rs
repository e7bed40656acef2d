//! One call of the hub does a bounded amount of work, however much an input asks for; the rest is done by further
//! calls.

use hubcast_hub::{
    Admission, Effect, Effects, HistoryPolicy, Hub, Identity, Input, PresencePolicy, Retention, SessionId, Settings,
    TopicPolicy, TopicRule, TopicRules, UserLimits,
};
use hubcast_protocol::request::{Action, Identify, Publish, Start, Subscribe};
use hubcast_protocol::{ClientId, Event, MemberSecret, Pattern, Payload, Position, Request, RequestId, Target, Topic};
use std::ops::Range;
use std::time::{Duration, Instant};

/// Nanoseconds of work after which the hub leaves an input unfinished.
const AT_ONCE: u64 = 20_000;
/// Most nanoseconds of work in one call: a part of the input itself, a part of an unfinished input of another session,
/// and what every input costs.
const MOST: u64 = 2 * AT_ONCE + 1_000;

/// A hub with 150 sessions, and the effects of the last call.
struct Scene {
    hub: Hub,
    now: Instant,
    effects: Effects,
}

impl Scene {
    /// The hub and its sessions. All topics have a history and presence.
    fn new() -> Self {
        let history = Some(HistoryPolicy { size: 100, ttl: Duration::from_secs(60), keep: Retention::InUse });
        let presence = Some(PresencePolicy { events: true, grace: Duration::ZERO });
        let policy = TopicPolicy { history, presence, ..TopicPolicy::default() };
        let list = vec![TopicRule { pattern: ">".parse().expect("`>` is a pattern"), policy }];
        let settings = Settings { rules: TopicRules { list }, work_at_once: AT_ONCE, ..Settings::with_seed(1) };
        let mut scene = Self { hub: Hub::new(settings), now: Instant::now(), effects: Effects::default() };
        (0..150).for_each(|session| scene.tell(connect(session)));
        scene
    }

    /// Hands in an input and does all of it.
    fn tell(&mut self, input: Input) {
        self.effects.clear();
        self.hub.handle(self.now, input, &mut self.effects);
    }

    /// Sends a request of a session, and does all of it.
    fn ask(&mut self, session: u32, action: impl Into<Action>) {
        self.tell(request(session, action));
    }

    /// Hands in inputs part by part, one part of each in turn, until all are done. Checks the work of each part and
    /// returns the number of parts.
    fn parts(&mut self, inputs: impl IntoIterator<Item = Input>) -> usize {
        let (mut left, mut parts) = (inputs.into_iter().collect::<Vec<_>>(), 0);
        self.effects.clear();
        while !left.is_empty() {
            for input in std::mem::take(&mut left) {
                let before = self.effects.work();
                left.extend(
                    self.hub.begin(self.now, input, &mut self.effects).err().map(|unfinished| *unfinished.next),
                );
                let work = self.effects.work() - before;
                assert!(work <= MOST, "{work} ns in one part");
                parts += 1;
            }
            assert!(parts < 10_000, "it ends");
        }
        parts
    }

    /// The number of receivers of each publication that was delivered.
    fn heard(&self) -> Vec<usize> {
        let heard = self.effects.iter().filter_map(|effect| match effect {
            Effect::Deliver { receivers, .. } => Some(receivers.len()),
            _ => None,
        });
        heard.collect()
    }
}

/// The connect of a session.
fn connect(session: u32) -> Input {
    Input::connect(SessionId(session), ClientId::from_random(u128::from(session).to_be_bytes()))
}

/// A request of a session.
fn request(session: u32, action: impl Into<Action>) -> Input {
    Input::Request { session: SessionId(session), request: Ok(Request::from(action.into())) }
}

/// A publication of a session, with an empty payload.
fn publish(session: u32, topic: &str) -> Input {
    request(session, Publish { topic: topic.into(), payload: "".into(), echo: true, key: None })
}

/// A pattern of ten tokens. Each is `*` or `a`, as the bits of the number say. Every pattern of this kind matches
/// [`NARROW`].
fn wide(number: u32) -> Target {
    let tokens = (0..10).map(|bit| if number >> bit & 1 == 1 { "*" } else { "a" });
    tokens.collect::<Vec<_>>().join(".").parse::<Pattern>().expect("a test knows what a pattern is").into()
}

/// A topic that matches all patterns of [`wide`].
const NARROW: &str = "a.a.a.a.a.a.a.a.a.a";

#[test]
fn a_publication_under_many_patterns_is_matched_in_parts_also_beside_others() {
    let mut scene = Scene::new();
    (0..1000).for_each(|number| scene.ask(number / 100, Subscribe::live(wide(number))));
    let nodes = 2 * 1000 * 150;
    assert!(scene.parts([publish(100, NARROW)]) as u64 >= nodes / AT_ONCE);
    assert_eq!(scene.heard(), [10]);
    let others = ["a.a.a.a.a.a.a.a.a.b", "a.b.a.a.a.a.a.a.a.a", "none"].into_iter().zip(101..);
    let mut all: Vec<_> = others.map(|(topic, session)| publish(session, topic)).collect();
    all.push(request(102, Subscribe::live(wide(1))));
    all.push(Input::Closed { session: SessionId(9), lost: false });
    scene.parts(all);
    assert_eq!(scene.heard().len(), 2);
}

#[test]
fn a_publication_to_those_who_listen_in_many_ways_lists_them_in_parts() {
    let mut scene = Scene::new();
    for session in 0..100 {
        (0..100).for_each(|number| scene.ask(session, Subscribe::live(wide(number))));
    }
    let members = 100 * 100 * 10;
    assert!(scene.parts([publish(100, NARROW)]) as u64 >= members / AT_ONCE);
    assert_eq!(scene.heard(), [100]);
    assert!(scene.parts([publish(100, NARROW), publish(101, NARROW)]) as u64 >= members / AT_ONCE);
    assert_eq!(scene.heard(), [100, 100]);
}

#[test]
fn what_a_pattern_has_missed_is_collected_in_parts_one_after_another() {
    let mut scene = Scene::new();
    let topics: Vec<_> = (0..300).map(|number| format!("t.{number}")).collect();
    scene.ask(0, Subscribe::live("t.*".parse::<Pattern>().expect("a test knows what a pattern is").into()));
    for _ in 0..20 {
        topics.iter().for_each(|topic| scene.tell(publish(0, topic)));
    }
    let positions = topics.iter().map(|topic| {
        let topic = Topic::from(topic.as_str());
        let end = scene.hub.engine().position(&topic).expect("it has a history");
        (topic, Position { offset: 0, ..end })
    });
    let start = Start::AfterEach(positions.collect());
    let resume = |session| {
        let target = "t.*".parse::<Pattern>().expect("a test knows what a pattern is").into();
        request(session, Subscribe { start: start.clone(), ..Subscribe::live(target) })
    };
    let publications = 300 * 20 * 40;
    assert!(scene.parts([resume(1), resume(2), publish(3, "t.1")]) as u64 >= 2 * publications / AT_ONCE);
    let replayed = scene.effects.iter().filter_map(|effect| match effect {
        Effect::Replay { missed, .. } => Some(missed.len()),
        _ => None,
    });
    assert_eq!(replayed.collect::<Vec<_>>(), [300 * 20 + 1, 300 * 20 + 1]);
}

#[test]
fn who_leaves_many_rooms_is_announced_in_parts() {
    let mut scene = Scene::new();
    let room = |number: u32| Target::from(Topic::new(format!("room.{number}")));
    for session in 0..100 {
        (0..30).for_each(|number| scene.ask(session, Subscribe { presence: true, ..Subscribe::live(room(number)) }));
    }
    let gone = [1, 2].map(|session| Input::Closed { session: SessionId(session), lost: false });
    let announced = 2 * 30 * 98 * 10;
    assert!(scene.parts(gone) as u64 >= announced / AT_ONCE);
    let of = |session: u32| ClientId::from_random(u128::from(session).to_be_bytes());
    for session in [1, 2] {
        let leaves = scene.effects.iter().filter(|effect| {
            matches!(effect, Effect::Notify { event, .. }
                if matches!(&**event, Event::Leave(member) if member.client == of(session)))
        });
        assert_eq!(leaves.count(), 30);
    }
}

#[test]
fn an_answer_to_presence_is_work_and_what_the_members_show_of_themselves_too() {
    let mut scene = Scene::new();
    let mut work_of = |members: Range<u32>, info: Option<&str>| {
        for session in members {
            let secret = MemberSecret::from_random(session.into());
            scene.ask(session, Identify { secret, info: info.map(Payload::from) });
            scene.ask(session, Subscribe::live(Target::from(Topic::from("room"))));
        }
        let ask = Request::new(RequestId::Number(1), Action::Presence("room".into()));
        scene.tell(Input::Request { session: SessionId(149), request: Ok(ask) });
        scene.effects.work()
    };
    let (few, many) = (work_of(0..10, None), work_of(10..60, None));
    assert!(many >= few + 50 * 40, "{few} ns for 10 members, {many} ns for 60");
    let shown = work_of(60..110, Some(&"x".repeat(1022)));
    assert!(shown >= many + 50 * 100, "{many} ns for 60 members, {shown} ns with 50 more that show something");
}

#[test]
fn looking_over_all_connections_of_a_user_counts_as_work() {
    let each_user = UserLimits { subscriptions: Some(10), ..UserLimits::default() };
    let settings = Settings { admission: Admission { each_user, ..Admission::default() }, ..Settings::with_seed(1) };
    let mut scene = Scene { hub: Hub::new(settings), now: Instant::now(), effects: Effects::default() };
    let mut work_of = |connections: Range<u32>| {
        for session in connections.clone() {
            let client = ClientId::from_random(u128::from(session).to_be_bytes());
            let identity = Some(Identity::user("ada").into());
            scene.tell(Input::Connect { session: SessionId(session), client, identity, credentials: None });
        }
        scene.ask(0, Subscribe::live(Target::Topic(format!("of {}", connections.end).into())));
        scene.effects.work()
    };
    let few = work_of(0..10);
    assert!(work_of(10..1_010) >= few + 1_000 * 10);
}
