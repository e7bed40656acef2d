//! Effects in a form that can be compared: without texts that are for people, and sorted where the order does not
//! matter.

use hubcast_hub::{Effect, Effects, Publication, SessionId};
use hubcast_protocol::{ClientId, CloseCode, Event, RequestId, Topic};

/// One effect.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Seen {
    /// A session was sent an event.
    Sent {
        session: SessionId,
        /// The event. A refusal has no reason text, and the members in a presence reply are in the order of their ids.
        event: Event,
    },
    /// A publication was delivered.
    Heard {
        publication: Publication,
        /// The receivers, in rising order. A session that gets it twice is in the list twice.
        by: Vec<SessionId>,
    },
    /// A session was sent the publications that it missed.
    Replayed {
        session: SessionId,
        missed: Vec<Publication>,
    },
    Closed {
        session: SessionId,
        code: CloseCode,
    },
    /// A question was sent to an engine elsewhere.
    Asked,
}

impl Seen {
    /// All effects, in order.
    pub(crate) fn all(effects: &Effects) -> Vec<Self> {
        Self::settled(effects.iter().flat_map(|effect| Self::of(effect, effects)).collect())
    }

    /// Sorts each run of neighbouring joins and leaves, because the order of their receivers does not matter.
    pub(crate) fn settled(mut list: Vec<Self>) -> Vec<Self> {
        for run in list.chunk_by_mut(|one, next| one.about_a_member().is_some() && next.about_a_member().is_some()) {
            run.sort_by_key(Self::about_a_member);
        }
        list
    }

    /// An event to a session.
    pub(crate) fn sent(session: SessionId, mut event: Event) -> Self {
        match &mut event {
            Event::Error(refusal) => refusal.reason = "".into(),
            Event::Presence(presence) => presence.clients.sort_by_key(|present| present.client),
            _ => {}
        }
        Self::Sent { session, event }
    }

    /// A publication to sessions, which may be in any order.
    pub(crate) fn heard(publication: Publication, mut by: Vec<SessionId>) -> Self {
        by.sort_unstable();
        Self::Heard { publication, by }
    }

    /// The sessions that the effect is for.
    pub(crate) fn sessions(&self) -> &[SessionId] {
        match self {
            Self::Sent { session, .. } | Self::Replayed { session, .. } | Self::Closed { session, .. } => {
                std::slice::from_ref(session)
            }
            Self::Heard { by, .. } => by,
            Self::Asked => &[],
        }
    }

    /// The id of the request that the effect answers.
    pub(crate) fn answers(&self) -> Option<&RequestId> {
        let Self::Sent { event, .. } = self else { return None };
        match event {
            Event::Subscribed(subscribed) => subscribed.id.as_ref(),
            Event::Unsubscribed(unsubscribed) => unsubscribed.id.as_ref(),
            Event::Published(published) => published.id.as_ref(),
            Event::Error(refusal) => refusal.id.as_ref(),
            Event::History(history) => Some(&history.id),
            Event::Presence(presence) => Some(&presence.id),
            Event::Pong(pong) => Some(&pong.id),
            Event::Identified(identified) => identified.id.as_ref(),
            _ => None,
        }
    }

    /// For a join or a leave: the receiver, the topic and the member.
    fn about_a_member(&self) -> Option<(SessionId, Topic, ClientId)> {
        match self {
            Self::Sent { session, event: Event::Join(member) | Event::Leave(member) } => {
                Some((*session, member.topic.clone(), member.client))
            }
            _ => None,
        }
    }

    /// An effect in this form. An [`Effect::Notify`] becomes one event for each receiver.
    fn of(effect: &Effect, effects: &Effects) -> Vec<Self> {
        vec![match effect {
            Effect::Notify { event, receivers } => {
                let sent = effects.receivers(receivers).iter().map(|to| Self::sent(to.session, (**event).clone()));
                return sent.collect();
            }
            Effect::Send { session, event } => Self::sent(*session, (**event).clone()),
            Effect::Deliver { publication, receivers } => {
                let by = effects.receivers(receivers).iter().map(|receiver| receiver.session);
                Self::heard(publication.clone(), by.collect())
            }
            Effect::Replay { session, missed } => Self::Replayed { session: *session, missed: missed.to_vec() },
            Effect::History { session, answer } => Self::sent(*session, answer.to_event()),
            Effect::Close { session, code, .. } => Self::Closed { session: *session, code: *code },
            Effect::Operated { .. } | Effect::Lifecycle(_) | Effect::Ask(_) => Self::Asked,
        }]
    }
}
