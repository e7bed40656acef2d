//! The cast of a script: turns random steps, which name a session only by its number, into the lines of a script. It
//! knows which client each session number stands for, and whether it is connected.

use crate::alphabet::{Deed, SESSIONS};
use hubcast_hub::{Identity, Input, SessionId};
use hubcast_protocol::request::{Action, Identify, Key, Publish, ReadHistory, Start, Subscribe};
use hubcast_protocol::{
    ClientId, CloseCode, ErrorCode, ErrorReply, MemberSecret, Payload, Position, RejectedRequest, Request, RequestId,
    Slow, Target, Topic,
};
use std::time::Duration;

/// A random step, before its client ids and request ids are filled in. A `u32` is the number of a session. The last
/// three are as in [`Deed`].
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// A session connects, maybe as a user.
    Connect(u32, Option<&'static str>),
    /// A session is lost, connects again as the same user, and resumes a topic. It may say who it is, and show something
    /// of itself.
    ComeBack {
        session: u32,
        topic: &'static str,
        after: Position,
        shows: Option<Option<&'static str>>,
    },
    /// The connection of a session is gone.
    Closed {
        session: u32,
        lost: bool,
    },
    /// The server closes a session. The number is the milliseconds after which the client may reconnect.
    Disconnect(u32, Option<u64>),
    /// A session sends a request. If it is `numbered`, it has an id.
    Request {
        session: u32,
        numbered: bool,
        subscribe: Ask,
    },
    Wait(Duration),
    EngineResponse,
    Restart {
        kept: bool,
    },
}

/// A request of a step, of any kind, before its names are filled in.
#[derive(Clone, Debug)]
pub(crate) enum Ask {
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
    /// With one of a few secrets, and with something to show or without.
    Identify {
        secret: u8,
        named: bool,
    },
    Ping,
    /// A frame that is not a valid request.
    Nonsense,
}

/// An idempotency key: a text, or a producer and its sequence number.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Mark {
    Text(u8),
    Number(u8, u64),
}

/// A target, before its name is filled in.
#[derive(Clone, Debug)]
pub(crate) enum Where {
    Topic(Name),
    Pattern(&'static str),
}

/// A topic, before its name is filled in.
#[derive(Clone, Debug)]
pub(crate) enum Name {
    /// A topic with this name.
    Fixed(&'static str),
    /// The private topic of the session that sends the request.
    Own,
    /// The private topic of the client that has this session now, or had it last.
    IdOf(u32),
    /// The same name in upper case, which is the private topic of no client.
    UpperIdOf(u32),
}

/// The client of each session, and the numbers given out so far.
#[derive(Default)]
pub(crate) struct Cast {
    /// The client that has each session now, or had it last.
    parts: [Option<Part>; SESSIONS as usize],
    /// The number of clients so far.
    clients: u8,
    /// The number of requests so far.
    requests: u64,
}

/// A client in a session.
#[derive(Clone, Copy)]
struct Part {
    client: ClientId,
    user: Option<&'static str>,
    /// Whether it is connected.
    here: bool,
}

impl Cast {
    /// Turns a step into lines. A session that connects while it is connected is lost first.
    pub(crate) fn perform(&mut self, step: Step) -> Vec<Deed> {
        match step {
            Step::Connect(session, user) => {
                let gone = self.goes(session, true);
                gone.into_iter().chain([self.comes(session, user)]).collect()
            }
            Step::ComeBack { session, topic, after, shows } => {
                let gone = self.goes(session, true);
                let user = self.parts[session as usize].and_then(|part| part.user);
                let connect = self.comes(session, user);
                let start = Start::After(after);
                let subscribe = Subscribe { start, presence: true, ..Subscribe::live(Topic::from(topic).into()) };
                let ask = |action: Action| {
                    Deed::Tell(Input::Request { session: SessionId(session), request: Ok(Request::from(action)) })
                };
                // The same member whenever it comes back in this session.
                let secret = MemberSecret::from_random(session.into());
                let identify = shows.map(|info| ask(Identify { secret, info: info.map(Payload::from) }.into()));
                gone.into_iter().chain([connect]).chain(identify).chain([ask(subscribe.into())]).collect()
            }
            Step::Closed { session, lost } => {
                self.goes(session, lost);
                vec![Deed::Tell(Input::Closed { session: SessionId(session), lost })]
            }
            Step::Disconnect(session, reconnect_in_ms) => {
                let (session, code) = (SessionId(session), CloseCode::RESTARTING);
                vec![Deed::Tell(Input::Disconnect { session, code, reason: "restarting".into(), reconnect_in_ms })]
            }
            Step::Request { session, numbered, subscribe } => {
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

    /// Connects a new client in a session.
    fn comes(&mut self, session: u32, user: Option<&'static str>) -> Deed {
        let client = client(self.clients);
        self.clients += 1;
        self.parts[session as usize] = Some(Part { client, user, here: true });
        let identity = user.map(|user| Identity::user(user).into());
        Deed::Tell(Input::Connect { session: SessionId(session), client, identity, credentials: None })
    }

    /// Closes the connection of a session, if it is connected.
    fn goes(&mut self, session: u32, lost: bool) -> Option<Deed> {
        let part = self.parts[session as usize].as_mut()?;
        let session = SessionId(session);
        std::mem::take(&mut part.here).then_some(Deed::Tell(Input::Closed { session, lost }))
    }

    /// Fills in the names of a request, and gives it an id if it is `numbered`.
    fn request(&mut self, session: u32, numbered: bool, subscribe: Ask) -> Result<Request, RejectedRequest> {
        self.requests += 1;
        let id = numbered.then(|| match self.requests % 2 {
            0 => RequestId::Number(self.requests),
            _ => RequestId::Text(self.requests.to_string().into()),
        });
        let action = match subscribe {
            Ask::Subscribe { target, start, presence, slow } => {
                Subscribe { target: self.target(session, target), start, presence, slow }.into()
            }
            Ask::Unsubscribe(target) => Action::Unsubscribe(self.target(session, target)),
            Ask::Publish { topic, echo, key } => {
                // No two publications of a script have the same payload.
                let payload = self.requests.to_string().as_str().into();
                let key = key.map(|key| match key {
                    Mark::Text(text) => Key::Text(text.to_string().into()),
                    Mark::Number(name, sequence) => Key::Number { producer: format!("{name:016}").into(), sequence },
                });
                Publish { topic: self.topic(session, &topic), payload, echo, key }.into()
            }
            Ask::History { topic, since, limit } => {
                Action::History(ReadHistory { topic: self.topic(session, &topic), since, limit })
            }
            Ask::Presence(topic) => Action::Presence(self.topic(session, &topic)),
            Ask::Identify { secret, named } => Action::Identify(Identify {
                secret: MemberSecret::from_random(secret.into()),
                info: named.then(|| "a name".into()),
            }),
            Ask::Ping => Action::Ping,
            Ask::Nonsense => {
                return Err(RejectedRequest { id, fault: ErrorReply::new(ErrorCode::UnknownAction, "what?") });
            }
        };
        Ok(Request { id, action })
    }

    /// Fills in the name of a target.
    fn target(&self, session: u32, target: Where) -> Target {
        match target {
            Where::Topic(name) => self.topic(session, &name).into(),
            Where::Pattern(text) => Target::Pattern(text.parse().expect("the alphabet's patterns are well-formed")),
        }
    }

    /// Fills in a topic. A session that was never connected stands for a client that does not exist.
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

/// The id of the client with this number. It has letters, so that its upper case is another text.
fn client(number: u8) -> ClientId {
    let mut bytes = [0xab; 16];
    bytes[15] = number;
    ClientId::from_random(bytes)
}
