//! A hub full of people.

use hubcast_hub::{Effects, Hub, Input, SessionId, Settings, TopicPolicy, TopicRule, TopicRules};
use hubcast_protocol::request::{Action, Publish, Subscribe};
use hubcast_protocol::{ClientId, Request, Target, Topic};
use std::{hint::black_box, time::Instant};

/// A hub and everyone on it.
pub(crate) struct Crowd {
    hub: Hub,
    effects: Effects,
    now: Instant,
    sessions: u32,
}

impl Crowd {
    /// Nobody yet, on a hub whose topics keep this.
    pub(crate) fn keeping(policy: TopicPolicy) -> Self {
        Self::under(vec![TopicRule { pattern: ">".parse().expect("a pattern"), policy }])
    }

    /// Nobody yet, on a hub with these rules.
    pub(crate) fn under(list: Vec<TopicRule>) -> Self {
        let settings = Settings { rules: TopicRules { list }, ..Settings::with_seed(1) };
        let (hub, effects) = (Hub::new(settings), Effects::default());
        Self { hub, effects, now: Instant::now(), sessions: 0 }
    }

    /// Nobody yet, on a hub whose topics keep nothing.
    pub(crate) fn keeping_nothing() -> Self {
        Self::keeping(TopicPolicy { history: None, ..TopicPolicy::default() })
    }

    /// One session more.
    pub(crate) fn connect(&mut self) -> SessionId {
        self.sessions += 1;
        let session = SessionId(self.sessions);
        let client = ClientId::from_random(u128::from(self.sessions).to_be_bytes());
        self.tell(Input::connect(session, client));
        session
    }

    /// Tells the hub something and lets the effects be seen.
    pub(crate) fn tell(&mut self, input: Input) {
        self.effects.clear();
        self.hub.handle(self.now, input, &mut self.effects);
        black_box(&self.effects);
    }
}

/// Lets a session hear a topic or a pattern.
pub(crate) fn subscribe(session: SessionId, target: impl Into<Target>) -> Input {
    ask(session, Subscribe::live(target.into()))
}

/// Lets a session hear a topic, and who comes to it and goes.
pub(crate) fn watch(session: SessionId, topic: Topic) -> Input {
    ask(session, Subscribe { presence: true, ..Subscribe::live(topic.into()) })
}

/// Lets a session hear a topic no longer.
pub(crate) fn unsubscribe(session: SessionId, topic: Topic) -> Input {
    ask(session, Action::Unsubscribe(topic.into()))
}

/// 128 bytes to a topic.
pub(crate) fn publish(session: SessionId, topic: Topic) -> Input {
    let payload = "x".repeat(128).as_str().into();
    ask(session, Publish { topic, payload, echo: true, key: None })
}

fn ask(session: SessionId, action: impl Into<Action>) -> Input {
    Input::Request { session, request: Ok(Request::from(action.into())) }
}
