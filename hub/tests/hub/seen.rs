//! Effects without what is only for people or in no particular order.

use hubcast_hub::{Effect, Effects, Publication, SessionId};
use hubcast_protocol::{ClientId, CloseCode, Event, RequestId, Topic};

/// One effect.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Seen {
    Sent {
        session: SessionId,
        /// A refusal is without its reason, and presence in the order of the clients.
        event: Event,
    },
    Heard {
        publication: Publication,
        /// In rising order; a session that would hear it twice is in it twice.
        by: Vec<SessionId>,
    },
    Replayed {
        session: SessionId,
        missed: Vec<Publication>,
    },
    Closed {
        session: SessionId,
        code: CloseCode,
    },
    /// A question went to an engine elsewhere.
    Asked,
}

impl Seen {
    /// Everything in the effects, in order.
    pub(crate) fn all(effects: &Effects) -> Vec<Self> {
        Self::settled(effects.iter().flat_map(|effect| Self::of(effect, effects)).collect())
    }

    /// The same with neighbouring joins and leaves in one order: the order of the receivers does not matter.
    pub(crate) fn settled(mut list: Vec<Self>) -> Vec<Self> {
        for run in list.chunk_by_mut(|one, next| one.about_a_member().is_some() && next.about_a_member().is_some()) {
            run.sort_by_key(Self::about_a_member);
        }
        list
    }

    /// Tells a session something.
    pub(crate) fn sent(session: SessionId, mut event: Event) -> Self {
        match &mut event {
            Event::Error(refusal) => refusal.reason = "".into(),
            Event::Presence(presence) => presence.clients.sort_by_key(|present| present.client),
            _ => {}
        }
        Self::Sent { session, event }
    }

    /// Hands a publication to sessions in any order.
    pub(crate) fn heard(publication: Publication, mut by: Vec<SessionId>) -> Self {
        by.sort_unstable();
        Self::Heard { publication, by }
    }

    /// Whom it concerns.
    pub(crate) fn sessions(&self) -> &[SessionId] {
        match self {
            Self::Sent { session, .. } | Self::Replayed { session, .. } | Self::Closed { session, .. } => {
                std::slice::from_ref(session)
            }
            Self::Heard { by, .. } => by,
            Self::Asked => &[],
        }
    }

    /// The request that it answers.
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
            _ => None,
        }
    }

    /// Of a join or a leave: the receiver, the topic and the member.
    fn about_a_member(&self) -> Option<(SessionId, Topic, ClientId)> {
        match self {
            Self::Sent { session, event: Event::Join(member) | Event::Leave(member) } => {
                Some((*session, member.topic.clone(), member.client))
            }
            _ => None,
        }
    }

    /// One of an effect, or one for each of those that it tells.
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
            Effect::Ask(_) => Self::Asked,
        }]
    }
}
