//! What can happen in a property test: everything the hub can be told, about few sessions and few names, so that
//! random scripts meet each other's sessions and topics all the time.

use hubcast_hub::{Input, Limits, SessionId, Settings};
use hubcast_protocol::request::{Action, Publish, ReadHistory, Start, Subscribe};
use hubcast_protocol::{
    ClientId, CloseCode, ErrorCode, Fault, Position, Refused, Request, RequestId, Slow, Target, Topic,
};
use proptest::{collection::vec, option, prelude::*, sample::select};
use std::time::Duration;

/// A whole test: a hub's settings and what happens to it.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    pub(crate) settings: Settings,
    pub(crate) engine: Place,
    pub(crate) lines: Vec<Line>,
}

/// Where the engine answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In the call.
    Embedded,
    /// Whenever the script says.
    Elsewhere,
}

/// For how long nothing happened, and then what did.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) after: Duration,
    pub(crate) deed: Deed,
}

#[derive(Clone, Debug)]
pub(crate) enum Deed {
    Tell(Input),
    /// An engine elsewhere answers its oldest open question, if there is one.
    Answer,
}

/// The names that sessions have, one after the other and again.
pub(crate) const SESSIONS: u32 = 4;

const TOPICS: [&str; 4] = ["", "a", "a.b", "a.b.c"];
const PATTERNS: [&str; 5] = ["*", ">", "a.*", "*.b", "a.>"];
/// As long as a client's id, the longest topic that a script's hub takes.
const TOPIC_LIMIT: usize = 36;
const TOO_LONG_TOPIC: &str = "a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q.r.s";
const TOO_LONG_PATTERN: &str = "a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q.r.>";

/// Any script of some length.
pub(crate) fn script() -> impl Strategy<Value = Script> {
    let engine = select(vec![Place::Embedded, Place::Elsewhere]);
    let steps = vec((pause(), step()), 1..80);
    (settings(), engine, 0..=SESSIONS, steps).prop_map(|(settings, engine, early, steps)| {
        let mut cast = Cast::default();
        let first = (0..early).map(|session| (Duration::ZERO, Step::Connect(session)));
        let lines = first.chain(steps).flat_map(|(after, step)| cast.perform(after, step)).collect();
        Script { settings, engine, lines }
    })
}

fn settings() -> impl Strategy<Value = Settings> {
    let subscriptions = prop_oneof![3 => 3..6usize, 1 => 0..3usize];
    let rate = prop_oneof![4 => Just(None), 1 => (1..6u32).prop_map(Some)];
    (subscriptions, rate).prop_map(|(subscriptions, requests_per_second)| Settings {
        limits: Limits { topic: TOPIC_LIMIT, subscriptions, requests_per_second },
        ..Settings::default()
    })
}

fn pause() -> impl Strategy<Value = Duration> {
    prop_oneof![8 => Just(0), 1 => Just(150), 1 => Just(1100)].prop_map(Duration::from_millis)
}

/// A line before the sessions in it have ids.
#[derive(Clone, Debug)]
enum Step {
    Connect(u32),
    Disconnect(u32),
    SendAway(u32, Option<u64>),
    Ask { session: u32, numbered: bool, wish: Wish },
    Answer,
}

#[derive(Clone, Debug)]
enum Wish {
    Subscribe {
        target: Where,
        start: Start,
        presence: bool,
        slow: Slow,
    },
    Unsubscribe(Where),
    Publish {
        topic: Name,
        echo: bool,
    },
    History(Name),
    Presence(Name),
    Ping,
    /// A frame that is no request.
    Nonsense,
}

#[derive(Clone, Debug)]
enum Where {
    Topic(Name),
    Pattern(&'static str),
}

#[derive(Clone, Debug)]
enum Name {
    Fixed(&'static str),
    /// The private topic of who asks.
    Own,
    /// The private topic of who is this session now, or was it last.
    IdOf(u32),
    /// The same in upper case, which is nobody's.
    UpperIdOf(u32),
}

fn step() -> impl Strategy<Value = Step> {
    let ask = (session(), any::<bool>(), wish());
    prop_oneof![
        2 => session().prop_map(Step::Connect),
        1 => session().prop_map(Step::Disconnect),
        1 => (session(), option::of(Just(1834))).prop_map(|(session, back)| Step::SendAway(session, back)),
        8 => Just(Step::Answer),
        24 => ask.prop_map(|(session, numbered, wish)| Step::Ask { session, numbered, wish }),
    ]
}

fn session() -> impl Strategy<Value = u32> {
    0..SESSIONS
}

fn wish() -> impl Strategy<Value = Wish> {
    let slow = select(vec![Slow::Disconnect, Slow::Drop, Slow::Latest]);
    let subscribe = (target(), start(), any::<bool>(), slow);
    prop_oneof![
        8 => subscribe.prop_map(|(target, start, presence, slow)| Wish::Subscribe { target, start, presence, slow }),
        3 => target().prop_map(Wish::Unsubscribe),
        1 => Just(Wish::Unsubscribe(Where::Topic(Name::Own))),
        8 => (name(), any::<bool>()).prop_map(|(topic, echo)| Wish::Publish { topic, echo }),
        1 => name().prop_map(Wish::History),
        1 => name().prop_map(Wish::Presence),
        1 => Just(Wish::Ping),
        1 => Just(Wish::Nonsense),
    ]
}

fn target() -> impl Strategy<Value = Where> {
    prop_oneof![
        10 => name().prop_map(Where::Topic),
        10 => select(&PATTERNS[..]).prop_map(Where::Pattern),
        1 => Just(Where::Pattern(TOO_LONG_PATTERN)),
    ]
}

fn name() -> impl Strategy<Value = Name> {
    prop_oneof![
        12 => select(&TOPICS[..]).prop_map(Name::Fixed),
        3 => Just(Name::Own),
        2 => session().prop_map(Name::IdOf),
        1 => session().prop_map(Name::UpperIdOf),
        1 => select(vec!["@ada", TOO_LONG_TOPIC]).prop_map(Name::Fixed),
    ]
}

fn start() -> impl Strategy<Value = Start> {
    let epoch = "k3Jx9a".parse().expect("six bytes are an epoch");
    let position = (0..4u64).prop_map(move |offset| Position { epoch, offset });
    let topic = select(&TOPICS[..]).prop_map(Topic::from);
    prop_oneof![
        4 => Just(Start::Live),
        1 => position.clone().prop_map(Start::After),
        1 => proptest::collection::btree_map(topic, position, 0..3).prop_map(Start::AfterEach),
        1 => (0..4u32).prop_map(Start::Last),
    ]
}

/// Who plays which session, and what was numbered so far.
#[derive(Default)]
struct Cast {
    /// The client that has each session's name, and whether it is connected.
    parts: [Option<(ClientId, bool)>; SESSIONS as usize],
    clients: u8,
    requests: u64,
}

impl Cast {
    /// Makes lines of a step. Who connects again without having gone is disconnected first.
    fn perform(&mut self, after: Duration, step: Step) -> Vec<Line> {
        let deeds = match step {
            Step::Connect(session) => {
                let client = client(self.clients);
                self.clients += 1;
                let before = self.parts[session as usize].replace((client, true));
                let session = SessionId(session);
                let gone = before.is_some_and(|(_, here)| here).then_some(Input::Disconnect { session });
                gone.into_iter().chain([Input::Connect { session, client }]).map(Deed::Tell).collect()
            }
            Step::Disconnect(session) => {
                if let Some((_, here)) = &mut self.parts[session as usize] {
                    *here = false;
                }
                vec![Deed::Tell(Input::Disconnect { session: SessionId(session) })]
            }
            Step::SendAway(session, reconnect_in_ms) => {
                let (session, code) = (SessionId(session), CloseCode::RESTARTING);
                vec![Deed::Tell(Input::SendAway { session, code, reason: "restarting".into(), reconnect_in_ms })]
            }
            Step::Ask { session, numbered, wish } => {
                let request = self.request(session, numbered, wish);
                vec![Deed::Tell(Input::Request { session: SessionId(session), request })]
            }
            Step::Answer => vec![Deed::Answer],
        };
        deeds.into_iter().map(|deed| Line { after, deed }).collect()
    }

    fn request(&mut self, session: u32, numbered: bool, wish: Wish) -> Result<Request, Refused> {
        self.requests += 1;
        let id = numbered.then(|| match self.requests % 2 {
            0 => RequestId::Number(self.requests),
            _ => RequestId::Text(self.requests.to_string().into()),
        });
        let action = match wish {
            Wish::Subscribe { target, start, presence, slow } => {
                Subscribe { target: self.target(session, target), start, presence, slow }.into()
            }
            Wish::Unsubscribe(target) => Action::Unsubscribe(self.target(session, target)),
            Wish::Publish { topic, echo } => {
                // No two messages of a script are the same.
                let payload = self.requests.to_string().as_str().into();
                Publish { topic: self.topic(session, &topic), payload, echo, key: None }.into()
            }
            Wish::History(topic) => {
                Action::History(ReadHistory { topic: self.topic(session, &topic), since: None, limit: None })
            }
            Wish::Presence(topic) => Action::Presence(self.topic(session, &topic)),
            Wish::Ping => Action::Ping,
            Wish::Nonsense => return Err(Refused { id, fault: Fault::new(ErrorCode::UnknownAction, "what?") }),
        };
        Ok(Request { id, action })
    }

    fn target(&self, session: u32, target: Where) -> Target {
        match target {
            Where::Topic(name) => self.topic(session, &name).into(),
            Where::Pattern(text) => Target::Pattern(text.parse().expect("the alphabet's patterns are well-formed")),
        }
    }

    fn topic(&self, session: u32, name: &Name) -> Topic {
        let id_of = |session: u32| match self.parts[session as usize] {
            Some((client, _)) => client.to_string(),
            None => client(u8::MAX).to_string(),
        };
        match *name {
            Name::Fixed(text) => text.into(),
            Name::Own => id_of(session).into(),
            Name::IdOf(session) => id_of(session).into(),
            Name::UpperIdOf(session) => id_of(session).to_uppercase().into(),
        }
    }
}

/// The nth client. Its id has letters in it, so that its upper case is another text.
fn client(number: u8) -> ClientId {
    let mut bytes = [0xab; 16];
    bytes[15] = number;
    ClientId::from_random(bytes)
}
