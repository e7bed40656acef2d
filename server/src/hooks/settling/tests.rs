//! Clients that come and go, and what is told of them.

use super::*;
use hubcast_hub::Identity;
use proptest::{collection::vec, option, prelude::*, sample::select};
use serde_json::Value;
use std::collections::BTreeMap;

/// Clients, as the hub tells of them.
struct Scene {
    settling: Settling,
    now: Instant,
    clients: u128,
    /// By session: the client, its user, and the topics that it is subscribed to.
    there: BTreeMap<u32, (Who, Vec<&'static str>)>,
    told: Vec<Value>,
}

impl Scene {
    fn new() -> Self {
        let (settling, now) = (Settling::default(), Instant::now());
        Self { settling, now, clients: 0, there: BTreeMap::new(), told: Vec::new() }
    }

    fn happens(&mut self, happened: Lifecycle) {
        let end = ConnectionEnd { code: 4000, reason: "ping timeout".into(), open_for: Duration::from_secs(10) };
        let end = matches!(happened, Lifecycle::Disconnected { .. }).then_some(end);
        let told = &mut self.told;
        let report = Report { at: self.now, unix_ms: 0, happened, trace: None, end };
        self.settling.take(report, &mut |event| told.push(serde_json::to_value(event).unwrap()));
    }

    fn connect(&mut self, session: u32, user: Option<&str>) {
        self.clients += 1;
        let client = ClientId::from_random(self.clients.to_be_bytes());
        let identity = user.map(|user| Identity::user(user).into());
        let who = Who { session: SessionId(session), client, identity };
        self.there.insert(session, (who.clone(), Vec::new()));
        self.happens(Lifecycle::Connected(who));
    }

    fn identify(&mut self, session: u32, user: &str) {
        let Some((who, _)) = self.there.get_mut(&session) else { return };
        who.identity = Some(Identity::user(user).into());
        let who = who.clone();
        self.happens(Lifecycle::Identified(who));
    }

    fn subscribe(&mut self, session: u32, topic: &'static str) {
        let is_first = self.subscribers(topic) == 0;
        let Some((who, topics)) = self.there.get_mut(&session) else { return };
        if topics.contains(&topic) {
            return;
        }
        topics.push(topic);
        let who = who.clone();
        self.happens(Lifecycle::Subscribed(who, Topic::from(topic).into()));
        if is_first {
            self.happens(Lifecycle::Occupied(topic.into()));
        }
    }

    fn unsubscribe(&mut self, session: u32, topic: &'static str, lost: bool) {
        let Some((who, topics)) = self.there.get_mut(&session) else { return };
        let Some(place) = topics.iter().position(|other| *other == topic) else { return };
        topics.remove(place);
        let who = who.clone();
        self.happens(Lifecycle::Unsubscribed { who, target: Topic::from(topic).into(), lost });
        if self.subscribers(topic) == 0 {
            self.happens(Lifecycle::Vacant(topic.into()));
        }
    }

    fn close(&mut self, session: u32, lost: bool) {
        for topic in TOPICS {
            self.unsubscribe(session, topic, lost);
        }
        if let Some((who, _)) = self.there.remove(&session) {
            self.happens(Lifecycle::Disconnected { who, lost });
        }
    }

    fn wait(&mut self, ms: u64) {
        self.now += Duration::from_millis(ms);
        let told = &mut self.told;
        self.settling.tell_due(usize::MAX, self.now, &mut |event| told.push(serde_json::to_value(event).unwrap()));
    }

    fn subscribers(&self, topic: &str) -> usize {
        self.there.values().filter(|(_, topics)| topics.contains(&topic)).count()
    }

    /// The kinds of what was told since the last call.
    fn told(&mut self) -> Vec<String> {
        self.told.drain(..).map(|event| event["type"].as_str().unwrap().to_owned()).collect()
    }
}

const TOPICS: [&str; 2] = ["a", "b"];

#[test]
fn a_lost_client_that_is_back_in_time_is_not_told_and_keeps_its_first_id() {
    let mut scene = Scene::new();
    scene.connect(1, Some("ada"));
    scene.subscribe(1, "a");
    assert_eq!(scene.told(), ["client.connected", "topic.subscribed", "topic.occupied"]);
    for session in 2..100 {
        scene.close(session - 1, true);
        scene.wait(2_999);
        scene.connect(session, Some("ada"));
        scene.subscribe(session, "a");
        assert_eq!(scene.told(), [""; 0], "{session}");
    }
    scene.wait(10_000);
    scene.close(99, false);
    let gone = &scene.told[1];
    assert_eq!(gone["client"], Value::from(ClientId::from_random(1_u128.to_be_bytes()).to_string()));
    assert_eq!(gone["seconds"], 10 + 98 * 2_999 / 1000 + 10, "since it was first told: {gone}");
    assert_eq!((&gone["code"], &gone["reason"], &gone["user"]), (&4000.into(), &"ping timeout".into(), &"ada".into()));
    assert_eq!(scene.told(), ["topic.unsubscribed", "client.disconnected"]);
    scene.wait(3_000);
    assert_eq!(scene.told(), ["topic.vacant"]);
}

#[test]
fn who_does_not_come_back_in_time_is_told_in_order() {
    let mut scene = Scene::new();
    scene.connect(1, Some("ada"));
    scene.subscribe(1, "a");
    scene.told.clear();
    scene.close(1, true);
    scene.wait(2_999);
    assert_eq!(scene.told(), [""; 0]);
    scene.wait(1);
    assert_eq!(scene.told(), ["topic.unsubscribed", "topic.vacant", "client.disconnected"]);
    scene.connect(2, Some("ada"));
    assert_eq!(scene.told(), ["client.connected"]);
}

#[test]
fn somebody_else_does_not_take_the_place_of_a_lost_client() {
    let mut scene = Scene::new();
    scene.connect(1, Some("ada"));
    scene.close(1, true);
    scene.connect(1, Some("bob"));
    scene.wait(3_000);
    assert_eq!(scene.told(), ["client.connected", "client.connected", "client.disconnected"]);
}

#[test]
fn a_client_without_a_name_is_told_with_the_one_that_it_says_soon() {
    let mut scene = Scene::new();
    scene.connect(1, None);
    scene.wait(499);
    scene.identify(1, "ada");
    assert_eq!(scene.told.len(), 1);
    assert_eq!(scene.told[0]["user"], "ada");
    scene.told.clear();
    scene.close(1, true);
    scene.connect(2, None);
    scene.identify(2, "ada");
    assert_eq!(scene.told(), [""; 0], "it is back");

    scene.connect(3, None);
    scene.subscribe(3, "a");
    assert_eq!(scene.told(), ["client.connected", "topic.subscribed", "topic.occupied"], "what it does is told behind");
    scene.connect(4, None);
    scene.wait(500);
    assert_eq!(scene.told(), ["client.connected"]);
    scene.close(4, true);
    assert_eq!(scene.told(), ["client.disconnected"], "nobody can be recognised as this client");
}

#[test]
fn a_topic_that_is_occupied_again_in_time_is_not_told() {
    let mut scene = Scene::new();
    scene.connect(1, Some("ada"));
    scene.subscribe(1, "a");
    scene.told.clear();
    for _ in 0..100 {
        scene.unsubscribe(1, "a", false);
        scene.subscribe(1, "a");
    }
    assert!(scene.told().iter().all(|kind| kind != "topic.vacant" && kind != "topic.occupied"));
}

#[test]
fn of_too_many_that_wait_the_first_is_told() {
    let mut scene = Scene::new();
    for session in 0..10_002 {
        scene.connect(session, Some(&format!("user{session}")));
    }
    scene.told.clear();
    for session in 0..10_002 {
        scene.close(session, true);
    }
    assert_eq!(scene.told.len(), 2);
    assert_eq!((&scene.told[0]["user"], &scene.told[1]["user"]), (&"user0".into(), &"user1".into()));
    scene.wait(3_000);
    assert_eq!(scene.told.len(), 10_002);
    assert!(scene.settling.lost.is_empty() && scene.settling.returned.is_empty());
}

#[derive(Clone, Debug)]
enum Step {
    Connect(u32, Option<&'static str>),
    Identify(u32, &'static str),
    Subscribe(u32, &'static str),
    Unsubscribe(u32, &'static str),
    Close(u32, bool),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let (session, user, topic) = (|| 0..4_u32, || select(vec!["ada", "bob"]), || select(TOPICS.to_vec()));
    prop_oneof![
        (session(), option::of(user())).prop_map(|(session, user)| Step::Connect(session, user)),
        (session(), user()).prop_map(|(session, user)| Step::Identify(session, user)),
        (session(), topic()).prop_map(|(session, topic)| Step::Subscribe(session, topic)),
        (session(), topic()).prop_map(|(session, topic)| Step::Unsubscribe(session, topic)),
        (session(), any::<bool>()).prop_map(|(session, lost)| Step::Close(session, lost)),
        (0..4_000_u64).prop_map(Step::Wait),
    ]
}

/// What a receiver believes: by the told id, the user and the topics of each client; and the occupied topics.
#[derive(Debug, Default, PartialEq)]
struct Belief {
    clients: BTreeMap<String, Vec<String>>,
    occupied: Vec<String>,
}

impl Belief {
    fn hear(&mut self, event: &Value) {
        let text = |key: &str| event[key].as_str().unwrap_or_default().to_owned();
        let (client, topic) = (text("client"), text("topic"));
        match event["type"].as_str().unwrap() {
            "client.connected" => assert!(self.clients.insert(client, Vec::new()).is_none(), "{event} twice"),
            "client.disconnected" => assert_eq!(self.clients.remove(&client), Some(Vec::new()), "{event}"),
            "topic.subscribed" => self.clients.get_mut(&client).unwrap().push(topic),
            "topic.unsubscribed" => {
                let topics = self.clients.get_mut(&client).unwrap();
                topics.remove(topics.iter().position(|other| *other == topic).expect("it is subscribed"));
            }
            "topic.occupied" => self.occupied.push(topic),
            "topic.vacant" => {
                self.occupied.remove(self.occupied.iter().position(|other| *other == topic).expect("it is occupied"));
            }
            other => panic!("{other}"),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whoever_adds_up_what_is_told_knows_in_the_end_who_is_there(steps in vec(step(), 0..60)) {
        let mut scene = Scene::new();
        for step in steps {
            match step {
                Step::Connect(session, user) if !scene.there.contains_key(&session) => scene.connect(session, user),
                // A client says who it is once, and before it subscribes.
                Step::Identify(session, user)
                    if scene.there.get(&session).is_some_and(|(who, topics)| who.identity.is_none() && topics.is_empty()) =>
                {
                    scene.identify(session, user);
                }
                Step::Connect(..) | Step::Identify(..) => {}
                Step::Subscribe(session, topic) => scene.subscribe(session, topic),
                Step::Unsubscribe(session, topic) => scene.unsubscribe(session, topic, false),
                Step::Close(session, lost) => scene.close(session, lost),
                Step::Wait(ms) => scene.wait(ms),
            }
        }
        scene.wait(3_000);
        prop_assert!(scene.settling.waiting.is_empty() && scene.settling.lost.is_empty(), "{:?}", scene.settling);
        let mut belief = Belief::default();
        scene.told.iter().for_each(|event| belief.hear(event));
        let sorted = |mut topics: Vec<String>| { topics.sort(); topics };
        let mut believed: Vec<_> = belief.clients.into_values().map(sorted).collect();
        let owned = |topics: &Vec<&str>| sorted(topics.iter().map(|topic| (*topic).to_owned()).collect());
        let mut there: Vec<_> = scene.there.values().map(|(_, topics)| owned(topics)).collect();
        believed.sort();
        there.sort();
        prop_assert_eq!(believed, there);
        let occupied = TOPICS.iter().filter(|topic| scene.subscribers(topic) > 0).map(|topic| (*topic).to_owned());
        prop_assert_eq!(sorted(belief.occupied), sorted(occupied.collect()));
    }
}
