//! Tells what happens to sessions and topics, as far as [`Settings::reporting`](crate::Settings::reporting) asks for it.

use super::Hub;
use crate::engine::Engine;
use crate::session::Session;
use crate::subscriptions::ChannelKey;
use crate::{Effect, Effects, Lifecycle, MemberName, Reporting, Who};
use hubcast_protocol::Target;

impl<E: Engine> Hub<E> {
    /// Whether anything is told.
    pub fn is_reporting(&self) -> bool {
        self.settings.reporting != Reporting::Nothing
    }

    /// Tells that a session is connected, unless it is a caller with an API key, is being closed, or has not yet shown
    /// the token that it needs.
    pub(super) fn report_connected(&mut self, session: u32, effects: &mut Effects) {
        if !self.is_reporting() || self.is_waiting(session) {
            return;
        }
        let peer = &mut self.subscriptions.sessions[session as usize];
        let is_caller = matches!(peer.identity.as_deref().map(|of| &of.name), Some(MemberName::ApiKey(_)));
        if !is_caller && !peer.cut && !peer.is_reported {
            peer.is_reported = true;
            tell(effects, Lifecycle::Connected(who(peer)));
            // An operator can subscribe a session before that.
            self.each_subscription(session, |who, target| tell(effects, Lifecycle::Subscribed(who, target)));
        }
    }

    /// Tells that a session has said who it is.
    pub(super) fn report_identified(&mut self, session: u32, effects: &mut Effects) {
        let peer = &self.subscriptions.sessions[session as usize];
        match peer.is_reported {
            true => tell(effects, Lifecycle::Identified(who(peer))),
            false => self.report_connected(session, effects),
        }
    }

    /// Tells that a session has subscribed. `is_first`: it is the only subscriber.
    pub(super) fn report_subscribed(&self, session: u32, target: &Target, is_first: bool, effects: &mut Effects) {
        if !self.reports(target) {
            return;
        }
        let peer = &self.subscriptions.sessions[session as usize];
        if peer.is_reported {
            tell(effects, Lifecycle::Subscribed(who(peer), target.clone()));
        }
        if let Target::Topic(topic) = target
            && is_first
        {
            tell(effects, Lifecycle::Occupied(topic.clone()));
        }
    }

    /// Tells that a session has unsubscribed. `emptied` is the channel that has no members any more.
    pub(super) fn report_unsubscribed(
        &self,
        session: u32,
        target: &Target,
        emptied: Option<&ChannelKey>,
        effects: &mut Effects,
    ) {
        let peer = &self.subscriptions.sessions[session as usize];
        if peer.is_reported && self.reports(target) {
            let target = target.clone();
            tell(effects, Lifecycle::Unsubscribed { who: who(peer), target, lost: false });
        }
        self.report_vacant(emptied, effects);
    }

    /// Tells that the subscriptions of a session end because the session does.
    pub(super) fn report_leaving(&self, session: u32, lost: bool, effects: &mut Effects) {
        if self.subscriptions.sessions[session as usize].is_reported {
            self.each_subscription(session, |who, target| {
                tell(effects, Lifecycle::Unsubscribed { who, target, lost });
            });
        }
    }

    /// Tells that a topic has no subscribers any more.
    pub(super) fn report_vacant(&self, emptied: Option<&ChannelKey>, effects: &mut Effects) {
        if let Some(ChannelKey::Topic(topic)) = emptied
            && self.settings.reporting == Reporting::Topics
            && topic.owner().is_none()
        {
            tell(effects, Lifecycle::Vacant(topic.clone()));
        }
    }

    /// Calls `each` for every subscription of a session that is told.
    fn each_subscription(&self, session: u32, mut each: impl FnMut(Who, Target)) {
        if self.settings.reporting < Reporting::Topics {
            return;
        }
        let peer = &self.subscriptions.sessions[session as usize];
        for place in self.subscriptions.places(session) {
            let target = match place {
                ChannelKey::Topic(topic) => Target::Topic(topic.clone()),
                ChannelKey::Pattern(node) => Target::Pattern(self.patterns.pattern(*node)),
                ChannelKey::Presence(_) => continue,
            };
            if self.reports(&target) {
                each(who(peer), target);
            }
        }
    }

    /// Whether subscriptions to this are told: a private topic concerns its owner alone.
    fn reports(&self, target: &Target) -> bool {
        let is_private = matches!(target, Target::Topic(topic) if topic.owner().is_some());
        self.settings.reporting == Reporting::Topics && !is_private
    }
}

/// Tells that a session is gone, if it was told that it is there.
pub(super) fn report_disconnected(peer: &Session, lost: bool, effects: &mut Effects) {
    if peer.is_reported {
        tell(effects, Lifecycle::Disconnected { who: who(peer), lost });
    }
}

/// A session, as it is told to others.
pub(super) fn who(peer: &Session) -> Who {
    Who { session: peer.id, client: peer.client, identity: peer.identity.clone() }
}

fn tell(effects: &mut Effects, happened: Lifecycle) {
    effects.add_work(TELL_NS);
    effects.push(Effect::Lifecycle(happened));
}

/// Approximate cost of telling one thing, with what the caller does with it, in nanoseconds.
const TELL_NS: u64 = 300;
