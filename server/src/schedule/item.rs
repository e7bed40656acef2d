//! The items that wait for the hub, and what they may cost.

use crate::connection::peer::Ending;
use bytes::Bytes;
use hubcast_hub::Input;
use hubcast_protocol::Request;
use hubcast_protocol::request::{Action, Start};

/// One thing of a connection that waits to be served.
#[derive(Debug)]
pub(crate) enum Item {
    /// An input for the hub.
    Input(Input),
    /// The answer to a ping. It waits behind earlier requests.
    Pong(Bytes),
    /// Nothing more comes from the connection.
    Ending(Ending),
}

/// Groups of items that cost about the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Answered at once: a ping or a refusal.
    Answer,
    Publication,
    /// A new connection, a subscription to live publications, an unsubscribe, or any other small change.
    Membership,
    /// The connection is closed.
    Departure,
    /// A request for the past, or for a presence list.
    Past,
    /// What is left of an item, or an item that must first finish the work of another one.
    Rest,
}

/// Recent cost of an item of each kind, in nanoseconds.
#[derive(Debug)]
pub(super) struct Typical([u64; 6]);

impl Item {
    /// Bytes of memory that it takes while it waits, about.
    pub(super) fn bytes(&self) -> usize {
        let texts = match self {
            Self::Input(Input::Request { request: Ok(request), .. }) => bytes_of(request),
            Self::Input(_) | Self::Ending(_) => 0,
            Self::Pong(frame) => frame.len(),
        };
        texts + ITEM_BYTES
    }

    /// Whether it is the first item of a connection.
    pub(super) fn is_arrival(&self) -> bool {
        matches!(self, Self::Input(Input::Connect { .. }))
    }

    pub(super) fn kind(&self) -> Kind {
        let Self::Input(input) = self else { return Kind::Answer };
        let request = match input {
            Input::Request { request, .. } => request,
            Input::Closed { .. } => return Kind::Departure,
            Input::Continue { .. } => return Kind::Rest,
            _ => return Kind::Membership,
        };
        match request.as_ref().map(|request| &request.action) {
            Ok(Action::Publish(_)) => Kind::Publication,
            Ok(Action::History(_) | Action::Presence(_)) => Kind::Past,
            Ok(Action::Subscribe(subscribe)) if subscribe.start != Start::Live => Kind::Past,
            Ok(Action::Subscribe(_) | Action::Unsubscribe(_)) => Kind::Membership,
            Ok(Action::Ping | Action::Identify(_) | Action::Authenticate(_)) | Err(_) => Kind::Answer,
        }
    }
}

impl Typical {
    pub(super) fn of(&self, kind: Kind) -> u64 {
        self.0[kind as usize]
    }

    /// Notes the cost of one item. It counts for a quarter of the new value, so that the last few items decide.
    pub(super) fn note(&mut self, kind: Kind, cost: u64) {
        let typical = &mut self.0[kind as usize];
        *typical = *typical / 4 * 3 + cost / 4;
    }
}

impl Default for Typical {
    fn default() -> Self {
        Self([1_000, 1_000_000, 5_000, 5_000, 100_000, 250_000])
    }
}

fn bytes_of(request: &Request) -> usize {
    match &request.action {
        Action::Publish(publish) => publish.topic.as_str().len() + publish.payload.as_plain().len(),
        Action::Subscribe(subscribe) => match &subscribe.start {
            Start::AfterEach(positions) => positions.keys().map(|topic| topic.as_str().len() + ITEM_BYTES).sum(),
            _ => 0,
        },
        Action::Identify(identify) => {
            identify.secret.expose().len() + identify.info.as_ref().map_or(0, |info| info.as_plain().len())
        }
        Action::Authenticate(token) => token.expose().len(),
        _ => 0,
    }
}

/// Bytes of memory that an item takes besides its texts, about.
const ITEM_BYTES: usize = 200;
