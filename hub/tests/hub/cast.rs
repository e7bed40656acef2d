//! Who plays which session: makes the lines of a script out of steps that name nobody in particular.

use crate::alphabet::{Deed, SESSIONS};
use hubcast_hub::{Identity, Input, SessionId};
use hubcast_protocol::request::{Action, Key, Publish, ReadHistory, Start, Subscribe};
use hubcast_protocol::{
    ClientId, CloseCode, ErrorCode, ErrorReply, Position, RejectedRequest, Request, RequestId, Slow, Target, Topic,
};
use std::time::Duration;

/// A line before the sessions in it have ids.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Connect(u32, Option<&'static str>),
    /// Is lost, connects again for the same user and resumes a topic.
    ComeBack {
        session: u32,
        topic: &'static str,
        after: Position,
    },
    Closed {
        session: u32,
        lost: bool,
    },
    Disconnect(u32, Option<u64>),
    EngineCall {
        session: u32,
        numbered: bool,
        subscribe: PendingSubscribe,
    },
    Wait(Duration),
    EngineResponse,
    Restart {
        kept: bool,
    },
}

#[derive(Clone, Debug)]
pub(crate) enum PendingSubscribe {
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
        key: Option<Mark>,
    },
    History {
        topic: Name,
        since: Option<Position>,
        limit: Option<u32>,
    },
    Presence(Name),
    Ping,
    /// A frame that is no request.
    Nonsense,
}

/// An idempotency key: a program's, or a producer's number.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Mark {
    Text(u8),
    Number(u8, u64),
}

#[derive(Clone, Debug)]
pub(crate) enum Where {
    Topic(Name),
    Pattern(&'static str),
}

#[derive(Clone, Debug)]
pub(crate) enum Name {
    Fixed(&'static str),
    /// The private topic of who asks.
    Own,
    /// The private topic of who is this session now, or was it last.
    IdOf(u32),
    /// The same in upper case, which is nobody's.
    UpperIdOf(u32),
}

/// Who plays which session, and what was numbered so far.
#[derive(Default)]
pub(crate) struct Cast {
    /// Who has each session's name, or had it last.
    parts: [Option<Part>; SESSIONS as usize],
    clients: u8,
    requests: u64,
}

#[derive(Clone, Copy)]
struct Part {
    client: ClientId,
    user: Option<&'static str>,
    here: bool,
}

impl Cast {
    /// Makes lines of a step. Who connects again without having gone is disconnected first.
    pub(crate) fn perform(&mut self, step: Step) -> Vec<Deed> {
        match step {
            Step::Connect(session, user) => {
                let gone = self.goes(session, true);
                gone.into_iter().chain([self.comes(session, user)]).collect()
            }
            Step::ComeBack { session, topic, after } => {
                let gone = self.goes(session, true);
                let user = self.parts[session as usize].and_then(|part| part.user);
                let connect = self.comes(session, user);
                let start = Start::After(after);
                let subscribe = Subscribe { start, presence: true, ..Subscribe::live(Topic::from(topic).into()) };
                let request = Ok(Request::from(Action::from(subscribe)));
                let subscribe = Deed::Tell(Input::Request { session: SessionId(session), request });
                gone.into_iter().chain([connect, subscribe]).collect()
            }
            Step::Closed { session, lost } => {
                self.goes(session, lost);
                vec![Deed::Tell(Input::Closed { session: SessionId(session), lost })]
            }
            Step::Disconnect(session, reconnect_in_ms) => {
                let (session, code) = (SessionId(session), CloseCode::RESTARTING);
                vec![Deed::Tell(Input::Disconnect { session, code, reason: "restarting".into(), reconnect_in_ms })]
            }
            Step::EngineCall { session, numbered, subscribe } => {
                let request = self.request(session, numbered, subscribe);
                vec![Deed::Tell(Input::Request { session: SessionId(session), request })]
            }
            Step::Wait(time) => vec![Deed::Wait(time)],
            Step::EngineResponse => vec![Deed::EngineResponse],
            Step::Restart { kept } => {
                let gone = (0..SESSIONS).filter_map(|session| self.goes(session, true));
                let mut lines: Vec<_> = gone.collect();
                lines.push(Deed::Restart { kept });
                lines
            }
        }
    }

    /// Lets somebody new play a session.
    fn comes(&mut self, session: u32, user: Option<&'static str>) -> Deed {
        let client = client(self.clients);
        self.clients += 1;
        self.parts[session as usize] = Some(Part { client, user, here: true });
        let identity = user.map(|user| Box::new(Identity { user: user.into(), info: None }));
        Deed::Tell(Input::Connect { session: SessionId(session), client, identity })
    }

    /// Lets who plays a session go, if somebody does.
    fn goes(&mut self, session: u32, lost: bool) -> Option<Deed> {
        let part = self.parts[session as usize].as_mut()?;
        let session = SessionId(session);
        std::mem::take(&mut part.here).then_some(Deed::Tell(Input::Closed { session, lost }))
    }

    fn request(
        &mut self,
        session: u32,
        numbered: bool,
        subscribe: PendingSubscribe,
    ) -> Result<Request, RejectedRequest> {
        self.requests += 1;
        let id = numbered.then(|| match self.requests % 2 {
            0 => RequestId::Number(self.requests),
            _ => RequestId::Text(self.requests.to_string().into()),
        });
        let action = match subscribe {
            PendingSubscribe::Subscribe { target, start, presence, slow } => {
                Subscribe { target: self.target(session, target), start, presence, slow }.into()
            }
            PendingSubscribe::Unsubscribe(target) => Action::Unsubscribe(self.target(session, target)),
            PendingSubscribe::Publish { topic, echo, key } => {
                // No two messages of a script are the same.
                let payload = self.requests.to_string().as_str().into();
                let key = key.map(|key| match key {
                    Mark::Text(text) => Key::Text(text.to_string().into()),
                    Mark::Number(name, sequence) => Key::Number { producer: format!("{name:016}").into(), sequence },
                });
                Publish { topic: self.topic(session, &topic), payload, echo, key }.into()
            }
            PendingSubscribe::History { topic, since, limit } => {
                Action::History(ReadHistory { topic: self.topic(session, &topic), since, limit })
            }
            PendingSubscribe::Presence(topic) => Action::Presence(self.topic(session, &topic)),
            PendingSubscribe::Ping => Action::Ping,
            PendingSubscribe::Nonsense => {
                return Err(RejectedRequest { id, fault: ErrorReply::new(ErrorCode::UnknownAction, "what?") });
            }
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
            Some(part) => part.client.to_string(),
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
