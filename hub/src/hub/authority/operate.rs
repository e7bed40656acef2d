//! What a caller with an API key does to the sessions of others.

use super::Hub;
use crate::engine::Engine;
use crate::{Effect, Effects, Operation, SessionId, Whom};
use hubcast_protocol::event::{Closing, EndReason};
use hubcast_protocol::request::Subscribe;
use hubcast_protocol::{CloseCode, Event, Owner, RequestId, Target};
use std::borrow::Cow;
use std::time::Instant;

impl<E: Engine> Hub<E> {
    /// Does something to each of these sessions, and answers how many were concerned.
    pub(in crate::hub) fn operate(
        &mut self,
        now: Instant,
        (caller, id): (SessionId, RequestId),
        whom: &Whom,
        operation: &Operation,
        effects: &mut Effects,
    ) {
        let sessions = match whom {
            Whom::Client(client) => self.by_client.get(client).copied().into_iter().collect(),
            Whom::User(user) => self.sessions_of(user),
        };
        let mut concerned = 0;
        for session in sessions {
            effects.add_work(OPERATE_NS);
            concerned += u64::from(match operation {
                Operation::Disconnect { code, reason } => self.cut_off(session, *code, reason.clone(), effects),
                Operation::Subscribe(target) => self.subscribe_for(now, session, target, effects),
                Operation::Unsubscribe(target) => self.unsubscribe_for(now, session, target, effects),
            });
        }
        effects.push(Effect::Operated { session: caller, id, sessions: concerned });
    }

    fn cut_off(&mut self, session: u32, code: CloseCode, reason: Cow<'static, str>, effects: &mut Effects) -> bool {
        let peer = &mut self.subscriptions.sessions[session as usize];
        if std::mem::replace(&mut peer.cut, true) {
            return false;
        }
        let reconnect_in_ms = code.may_reconnect().then_some(MOVED_BACK_IN_MS);
        let id = peer.id;
        effects.send(id, Event::Closing(Closing { code, reason: reason.clone(), reconnect_in_ms }));
        effects.push(Effect::Close { session: id, code, reason });
        true
    }

    /// Subscribes a session, unless it is subscribed already, has no room, or the topic is private to somebody else.
    fn subscribe_for(&mut self, now: Instant, session: u32, target: &Target, effects: &mut Effects) -> bool {
        let peer = &self.subscriptions.sessions[session as usize];
        let is_possible = match target {
            Target::Topic(topic) => match topic.owner() {
                Some(Owner::User(user)) => peer.user() == Some(user),
                Some(Owner::Client(_) | Owner::Nobody) => false,
                None => true,
            },
            Target::Pattern(_) => true,
        };
        if !is_possible || peer.waiting.is_some() || self.is_subscribed(session, target) {
            return false;
        }
        if self.check_length(target).and_then(|()| self.check_room(session, target, effects)).is_err() {
            return false;
        }
        self.subscribe(now, session, None, Subscribe::live(target.clone()), effects);
        true
    }

    fn unsubscribe_for(&mut self, now: Instant, session: u32, target: &Target, effects: &mut Effects) -> bool {
        let is_subscribed = self.is_subscribed(session, target);
        if is_subscribed {
            self.end_subscription(now, session, target.clone(), EndReason::Operator, effects);
        }
        is_subscribed
    }
}

/// Approximate cost of doing something to one session, in nanoseconds.
const OPERATE_NS: u64 = 2_000;

/// When a client that the operator moves comes back, in milliseconds.
const MOVED_BACK_IN_MS: u64 = 1_000;
