//! Large inputs are done in parts, with inputs of other sessions between the parts. What sessions get must still fit
//! together, as if the hub did each request at once. The test knows what each session subscribed to and how far it has
//! come, and compares every effect with that.

use crate::properties::Verdict;
use hubcast_hub::{
    Effect, Effects, HistoryPolicy, Hub, Input, PresencePolicy, Retention, SessionId, Settings, TopicPolicy, TopicRule,
    TopicRules, Unfinished,
};
use hubcast_protocol::request::{Action, Publish, Start, Subscribe};
use hubcast_protocol::{ClientId, Event, Pattern, Position, Request, Target, Topic};
use proptest::{collection::vec, prelude::*, sample::select};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::{Duration, Instant};

const SESSIONS: u32 = 5;
const TOPICS: &[&str] = &["a.a", "a.b", "b.b"];
const TARGETS: &[&str] = &["a.a", "a.b", "b.b", "a.*", "*.b", "*.*", "a.>", ">"];

/// What a session does.
#[derive(Clone, Copy, Debug)]
enum Deed {
    /// Publishes to a topic, with or without `echo`.
    Publish(&'static str, bool),
    Subscribe(&'static str),
    /// Subscribes to a target and resumes all topics that match it, this many publications before the end.
    Resume(&'static str, u64),
    Unsubscribe(&'static str),
    /// Closes the connection and connects again.
    Reconnect,
}

/// Any deed.
fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        4 => (select(TOPICS), any::<bool>()).prop_map(|(topic, echo)| Deed::Publish(topic, echo)),
        2 => select(TARGETS).prop_map(Deed::Subscribe),
        2 => (select(TARGETS), 0..4_u64).prop_map(|(target, before)| Deed::Resume(target, before)),
        1 => select(TARGETS).prop_map(Deed::Unsubscribe),
        1 => Just(Deed::Reconnect),
    ]
}

/// The topic or pattern with this text.
fn target(text: &str) -> Target {
    if text.contains(['*', '>']) {
        text.parse::<Pattern>().expect("a test knows what a pattern is").into()
    } else {
        Topic::from(text).into()
    }
}

/// A hub that gets every input part by part, and what its sessions know.
struct Scene {
    hub: Hub,
    now: Instant,
    effects: Effects,
    /// Counts client ids and payloads, so that each is new.
    clients: u128,
    /// The subscriptions that the hub has confirmed, by session.
    confirmed: Vec<(SessionId, Target)>,
    /// The last position that each session got in a topic. It has an entry only while the session must get every
    /// publication there: from the reply to a resume, until the session no longer subscribes to the topic or publishes
    /// to it without `echo`.
    at: HashMap<(SessionId, Topic), Position>,
    /// The positions of each resume that has no reply yet, by session.
    asked: HashMap<SessionId, BTreeMap<Topic, Position>>,
    /// The publisher of each publication with `echo: false`, by its payload. It does not get the publication itself.
    silent: HashMap<String, SessionId>,
}

impl Scene {
    /// A hub that does the smallest possible part of an input in each call, with a history and presence on all topics.
    fn new() -> Self {
        let history = Some(HistoryPolicy { size: 1000, ttl: Duration::from_secs(60), keep: Retention::Always });
        let presence = Some(PresencePolicy { events: true, grace: Duration::ZERO });
        let list = vec![TopicRule {
            pattern: ">".parse().expect("`>` is a pattern"),
            policy: TopicPolicy { history, presence, ..TopicPolicy::default() },
        }];
        let settings = Settings { rules: TopicRules { list }, work_at_once: 1, ..Settings::with_seed(1) };
        Self {
            hub: Hub::new(settings),
            now: Instant::now(),
            effects: Effects::default(),
            clients: 0,
            confirmed: Vec::new(),
            at: HashMap::new(),
            asked: HashMap::new(),
            silent: HashMap::new(),
        }
    }

    /// The connect of a session, with a new client id.
    fn connect(&mut self, session: SessionId) -> Input {
        self.clients += 1;
        Input::connect(session, ClientId::from_random(self.clients.to_be_bytes()))
    }

    /// The inputs of one deed.
    fn inputs(&mut self, session: SessionId, deed: Deed) -> Vec<Input> {
        let ask = |action: Action| vec![Input::Request { session, request: Ok(Request::from(action)) }];
        match deed {
            Deed::Publish(topic, echo) => {
                self.clients += 1;
                let text = self.clients.to_string();
                if !echo {
                    self.silent.insert(text.clone(), session);
                    self.at.remove(&(session, topic.into()));
                }
                ask(Publish { topic: topic.into(), payload: text.as_str().into(), echo, key: None }.into())
            }
            Deed::Subscribe(text) => ask(Subscribe { presence: true, ..Subscribe::live(target(text)) }.into()),
            Deed::Unsubscribe(text) => ask(Action::Unsubscribe(target(text))),
            Deed::Resume(text, before) => {
                let positions = TOPICS.iter().filter_map(|topic| {
                    let topic = Topic::from(*topic);
                    let end = self.hub.engine().position(&topic)?;
                    Some((topic, Position { offset: end.offset.saturating_sub(before), ..end }))
                });
                let positions: BTreeMap<_, _> = positions.collect();
                let target = target(text);
                let start = match &target {
                    Target::Topic(topic) => positions.get(topic).map_or(Start::Live, |after| Start::After(*after)),
                    Target::Pattern(_) => Start::AfterEach(positions),
                };
                ask(Subscribe { start, presence: true, ..Subscribe::live(target) }.into())
            }
            Deed::Reconnect => vec![Input::Closed { session, lost: false }, self.connect(session)],
        }
    }

    /// Hands in one part of an input and checks its effects. Returns the input to hand in next, if there is more to
    /// do.
    fn begin(&mut self, input: Input) -> Result<Option<Input>, TestCaseError> {
        let (session, is_gone) = match &input {
            Input::Closed { session, .. } => (*session, true),
            Input::Request { session, request } => {
                if let Ok(Request { action: Action::Subscribe(subscribe), .. }) = request {
                    let positions = match (&subscribe.start, &subscribe.target) {
                        (Start::AfterEach(positions), Target::Pattern(pattern)) => {
                            let matching = positions.iter().filter(|(topic, _)| pattern.matches(topic));
                            matching.map(|(topic, position)| (topic.clone(), *position)).collect()
                        }
                        (Start::After(after), Target::Topic(topic)) => [(topic.clone(), *after)].into(),
                        _ => BTreeMap::new(),
                    };
                    self.asked.insert(*session, positions);
                }
                (*session, false)
            }
            Input::Connect { session, .. } | Input::Continue { session } => (*session, false),
            other => panic!("{other:?}"),
        };
        self.effects.clear();
        let next = self.hub.begin(self.now, input, &mut self.effects).err().map(|Unfinished { next, .. }| *next);
        if is_gone && !matches!(next, Some(Input::Closed { .. })) {
            self.confirmed.retain(|(whose, _)| *whose != session);
            self.at.retain(|(whose, _), _| *whose != session);
        }
        self.check()?;
        Ok(next)
    }

    /// Compares the effects with what the sessions know, and records what they learn from them.
    fn check(&mut self) -> Verdict {
        let Self { effects, confirmed, at, asked, silent, .. } = self;
        for effect in effects.iter() {
            match effect {
                Effect::Send { session, event } => match &**event {
                    Event::Subscribed(subscribed) => {
                        prop_assert_ne!(subscribed.recovered, Some(false));
                        confirmed.push((*session, subscribed.about.clone().into()));
                        let asked = asked.remove(session).unwrap_or_default();
                        at.extend(asked.into_iter().map(|(topic, position)| ((*session, topic), position)));
                    }
                    Event::Unsubscribed(unsubscribed) => {
                        let target = unsubscribed.about.clone().into();
                        confirmed.retain(|(whose, what)| whose != session || *what != target);
                        let hears = |topic: &Topic| {
                            confirmed.iter().any(|(whose, what)| whose == session && matches(what, topic))
                        };
                        at.retain(|(whose, topic), _| whose != session || hears(topic));
                    }
                    Event::Error(refusal) => prop_assert!(false, "{:?}", refusal),
                    _ => {}
                },
                Effect::Replay { session, missed } => {
                    for publication in missed.iter() {
                        let position = publication.position().expect("every topic has a history");
                        let before = at.insert((*session, publication.topic().clone()), position);
                        let next = before.map(|before| before.offset + 1);
                        prop_assert_eq!(next, Some(position.offset), "replayed to {:?}", session);
                    }
                }
                Effect::Deliver { publication, receivers } => {
                    let mut heard: Vec<_> = effects.receivers(receivers).iter().map(|to| to.session).collect();
                    heard.sort();
                    let but = silent.get(publication.payload().as_plain());
                    let listening = confirmed.iter().filter(|(_, target)| matches(target, publication.topic()));
                    let mut expected: Vec<_> =
                        listening.map(|(session, _)| *session).filter(|session| Some(session) != but).collect();
                    expected.sort();
                    expected.dedup();
                    prop_assert_eq!(&heard, &expected, "hear {:?}", publication);
                    let position = publication.position().expect("every topic has a history");
                    for session in heard {
                        if let Some(at) = at.get_mut(&(session, publication.topic().clone())) {
                            prop_assert_eq!(at.offset + 1, position.offset, "comes to {:?}", session);
                            *at = position;
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Whether a subscription to `target` gets what is published to `topic`.
fn matches(target: &Target, topic: &Topic) -> bool {
    match target {
        Target::Topic(only) => only == topic,
        Target::Pattern(pattern) => pattern.matches(topic),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn with_others_in_between_everyone_hears_what_the_replies_say_once_and_in_order(
        deeds in vec((0..SESSIONS, deed()), 1..60),
        turns in vec(0..SESSIONS, 0..200),
    ) {
        let mut scene = Scene::new();
        let mut left: Vec<VecDeque<Input>> = (0..SESSIONS).map(|_| VecDeque::new()).collect();
        let mut deeds_left: Vec<VecDeque<Deed>> = left.iter().map(|_| VecDeque::new()).collect();
        for session in 0..SESSIONS {
            let connect = scene.connect(SessionId(session));
            left[session as usize].push_back(connect);
        }
        deeds.into_iter().for_each(|(session, deed)| deeds_left[session as usize].push_back(deed));
        let mut rounds = 0;
        let mut turns = turns.into_iter().chain((0..SESSIONS).cycle());
        while left.iter().any(|inputs| !inputs.is_empty()) || deeds_left.iter().any(|deeds| !deeds.is_empty()) {
            let session = turns.next().expect("it goes round and round");
            let inputs = &mut left[session as usize];
            if inputs.is_empty() && let Some(deed) = deeds_left[session as usize].pop_front() {
                inputs.extend(scene.inputs(SessionId(session), deed));
            }
            if let Some(input) = inputs.pop_front() && let Some(next) = scene.begin(input)? {
                inputs.push_front(next);
            }
            rounds += 1;
            prop_assert!(rounds < 100_000, "it ends");
        }
        for session in 0..SESSIONS {
            let mut next = Some(Input::Closed { session: SessionId(session), lost: false });
            while let Some(input) = next {
                next = scene.begin(input)?;
            }
        }
        prop_assert!(scene.hub.is_empty(), "{:?}", scene.hub);
    }
}
