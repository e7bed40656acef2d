//! A hub with many sessions, and the inputs of the benchmarks.

use hubcast_hub::{Effects, Hub, Input, SessionId, Settings, TopicPolicy, TopicRule, TopicRules};
use hubcast_protocol::request::{Action, Publish, Subscribe};
use hubcast_protocol::{ClientId, Request, Target, Topic};
use std::{hint::black_box, time::Instant};

/// A hub and its sessions.
pub(crate) struct Crowd {
    hub: Hub,
    effects: Effects,
    now: Instant,
    sessions: u32,
}

impl Crowd {
    /// A hub without sessions, with one policy for all topics.
    pub(crate) fn keeping(policy: TopicPolicy) -> Self {
        Self::under(vec![TopicRule { pattern: ">".parse().expect("a pattern"), policy }])
    }

    /// A hub without sessions, with these rules.
    pub(crate) fn under(list: Vec<TopicRule>) -> Self {
        let settings = Settings { rules: TopicRules { list }, ..Settings::with_seed(1) };
        let (hub, effects) = (Hub::new(settings), Effects::default());
        Self { hub, effects, now: Instant::now(), sessions: 0 }
    }

    /// A hub without sessions, whose topics keep no history.
    pub(crate) fn keeping_nothing() -> Self {
        Self::keeping(TopicPolicy { history: None, ..TopicPolicy::default() })
    }

    /// Connects one more session.
    pub(crate) fn connect(&mut self) -> SessionId {
        self.sessions += 1;
        let session = SessionId(self.sessions);
        let client = ClientId::from_random(u128::from(self.sessions).to_be_bytes());
        self.tell(Input::connect(session, client));
        session
    }

    /// Hands in an input. The compiler cannot leave out the effects.
    pub(crate) fn tell(&mut self, input: Input) {
        self.effects.clear();
        self.hub.handle(self.now, input, &mut self.effects);
        black_box(&self.effects);
    }
}

/// A subscribe to a topic or pattern.
pub(crate) fn subscribe(session: SessionId, target: impl Into<Target>) -> Input {
    ask(session, Subscribe::live(target.into()))
}

/// A subscribe to a topic with its joins and leaves.
pub(crate) fn watch(session: SessionId, topic: Topic) -> Input {
    ask(session, Subscribe { presence: true, ..Subscribe::live(topic.into()) })
}

/// An unsubscribe from a topic.
pub(crate) fn unsubscribe(session: SessionId, topic: Topic) -> Input {
    ask(session, Action::Unsubscribe(topic.into()))
}

/// A publication of 128 bytes to a topic.
pub(crate) fn publish(session: SessionId, topic: Topic) -> Input {
    let payload = "x".repeat(128).as_str().into();
    ask(session, Publish { topic, payload, echo: true, key: None })
}

/// A request of a session, without an id.
fn ask(session: SessionId, action: impl Into<Action>) -> Input {
    Input::Request { session, request: Ok(Request::from(action.into())) }
}
