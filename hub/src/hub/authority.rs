//! What each session may do: tokens, their end and their renewal, and the limits of a user.

mod operate;
mod review;

use super::Hub;
use crate::effect::COLLECT_NS;
use crate::engine::Engine;
use crate::rate::{Bucket, Verdict};
use crate::session::{Authority, Session, Standing};
use crate::{Credentials, Effect, Effects, Login, MemberName, Permission, Permissions, Requester};
use hubcast_protocol::event::{Authenticated, Refusal};
use hubcast_protocol::request::{Start, Subscribe};
use hubcast_protocol::{
    Action, CloseCode, ErrorCode, ErrorReply, Event, Owner, Pattern, RejectedRequest, Request, RequestId, Slow, Target,
    Topic,
};
use std::sync::Arc;
use std::time::Instant;

impl<E: Engine> Hub<E> {
    /// Prepares a new session: its deadline, its user's private topic, and its place among the user's connections.
    pub(super) fn admit(
        &mut self,
        now: Instant,
        session: u32,
        credentials: Option<Arc<Credentials>>,
        effects: &mut Effects,
    ) {
        match credentials {
            Some(credentials) => self.set_credentials(session, credentials),
            None if self.settings.admission.token_required => {
                if self.waiting_to_authenticate >= self.settings.admission.max_waiting {
                    let reason = "too many connections wait to authenticate, try again later";
                    return self.turn_away(session, CloseCode::TRY_AGAIN_LATER, reason, effects);
                }
                self.waiting_to_authenticate += 1;
                let due = now + self.settings.admission.authenticate_within;
                let authority = Authority { credentials: None, standing: Standing::Waiting, due: Some(due) };
                self.set_authority(session, authority);
            }
            None => {}
        }
        self.hear_user_topic(session);
        self.check_connections(session, effects);
    }

    /// Forgets what belongs to a session that ends. Called before it leaves its channels.
    pub(super) fn dismiss(&mut self, session: u32) {
        let peer = &mut self.subscriptions.sessions[session as usize];
        if let Some(authority) = peer.authority.take() {
            if authority.standing == Standing::Waiting {
                self.waiting_to_authenticate -= 1;
            }
            if let Some(due) = authority.due {
                self.authority_due.remove(&(due, session));
            }
        }
        if let Some(topic) = self.user_topic(session) {
            self.unmute(session, &topic);
        }
    }

    /// Checks what every request needs: a token, if the server demands one, that has not expired. Refuses the request
    /// otherwise; a session that must authenticate first is closed too. Returns whether the request may be performed.
    pub(super) fn check_standing(
        &mut self,
        now: Instant,
        session: u32,
        request: &Result<Request, RejectedRequest>,
        effects: &mut Effects,
    ) -> bool {
        let Some(authority) = &self.subscriptions.sessions[session as usize].authority else { return true };
        // No request is carried out after the end of its token, even if the timeout comes late.
        if authority.standing == Standing::Valid && authority.due.is_some_and(|due| due <= now) {
            self.meet_deadline(now, session, effects);
        }
        let Some(authority) = &self.subscriptions.sessions[session as usize].authority else { return true };
        let fault = match authority.standing {
            Standing::Valid => return true,
            Standing::Expired if matches!(request, Ok(Request { action: Action::Ping, .. })) => return true,
            Standing::Expired => ErrorReply::new(ErrorCode::TokenExpired, EXPIRED),
            Standing::Waiting => ErrorReply::new(ErrorCode::Unauthenticated, TOKEN_NEEDED),
        };
        let is_waiting = authority.standing == Standing::Waiting;
        let id = request.as_ref().map_or_else(|refused| refused.id.clone(), |request| request.id.clone());
        self.refuse(session, RejectedRequest { id, fault }, effects);
        if is_waiting {
            self.turn_away(session, CloseCode::TOKEN_REQUIRED, TOKEN_NEEDED, effects);
        }
        false
    }

    /// Whether a session waits for its first `authenticate`.
    pub(super) fn is_waiting(&self, session: u32) -> bool {
        let authority = &self.subscriptions.sessions[session as usize].authority;
        authority.as_ref().is_some_and(|authority| authority.standing == Standing::Waiting)
    }

    /// Decides whether a session may do this with a topic.
    pub(super) fn may(&self, peer: &Session, permission: Permission, topic: &Topic) -> Result<(), ErrorReply> {
        let is_free = self.is_open_to_all && peer.authority.is_none();
        if is_free && (permission == Permission::Publish || topic.owner().is_none()) {
            return Ok(());
        }
        let decision =
            self.permissions().of_topic(&self.requester(peer), permission, topic, || self.rules.rule_of(topic));
        decision.to_result(permission, topic.as_str())
    }

    /// Decides whether a session may do this with every topic of a pattern.
    fn may_all(&self, peer: &Session, permission: Permission, pattern: &Pattern) -> Result<(), ErrorReply> {
        if self.is_open_to_all && peer.authority.is_none() {
            return Ok(());
        }
        let decision = self.permissions().of_pattern(&self.requester(peer), permission, pattern);
        decision.to_result(permission, pattern.as_str())
    }

    /// Decides whether a session may subscribe in this way: the past needs `history`, joins and leaves `presence`.
    pub(super) fn may_subscribe_so(&self, session: u32, subscribe: &Subscribe) -> Result<(), ErrorReply> {
        let peer = &self.subscriptions.sessions[session as usize];
        let needed = [
            Some(Permission::Subscribe),
            (subscribe.start != Start::Live).then_some(Permission::History),
            subscribe.presence.then_some(Permission::Presence),
        ];
        needed.into_iter().flatten().try_for_each(|permission| match &subscribe.target {
            Target::Topic(topic) => self.may(peer, permission, topic),
            // Presence has no effect with a pattern.
            Target::Pattern(_) if permission == Permission::Presence => Ok(()),
            Target::Pattern(pattern) => self.may_all(peer, permission, pattern),
        })
    }

    /// Carries out an `authenticate`.
    pub(super) fn authenticate(
        &mut self,
        now: Instant,
        session: u32,
        id: Option<RequestId>,
        outcome: Result<Login, ErrorReply>,
        effects: &mut Effects,
    ) {
        let (user, login) = match outcome.and_then(|login| Ok((self.check_login(session, &login)?, login))) {
            Ok(login) => login,
            Err(fault) => return self.refuse_login(session, id, fault, effects),
        };
        let expires = login.credentials.expiry.map_or(0, |expiry| expiry.unix);
        let before = self.subscriptions.sessions[session as usize].authority.as_ref();
        let before = before.and_then(|before| before.credentials.as_ref());
        let has_same_grants = before.is_some_and(|before| before.grants == login.credentials.grants);
        self.set_credentials(session, login.credentials);
        let peer = &mut self.subscriptions.sessions[session as usize];
        if peer.identity.is_none() {
            peer.identity = Some(login.identity);
            self.hear_user_topic(session);
            if !self.check_connections(session, effects) {
                return;
            }
            self.report_identified(session, effects);
        }
        let answer = Event::Authenticated(Authenticated { id, user, expires });
        let subscriptions = self.subscriptions.sessions[session as usize].memberships.len();
        self.review(now, session, if has_same_grants { 0 } else { subscriptions }, Some(Box::new(answer)), effects);
    }

    /// Refuses a token. A session that has none yet is closed; any other keeps what it has.
    fn refuse_login(&mut self, session: u32, id: Option<RequestId>, fault: ErrorReply, effects: &mut Effects) {
        let code = match fault.code {
            ErrorCode::TokenExpired => CloseCode::TOKEN_EXPIRED,
            _ => CloseCode::TOKEN_INVALID,
        };
        let is_last = self.is_waiting(session) && fault.code != ErrorCode::RateLimited;
        self.refuse(session, RejectedRequest { id, fault }, effects);
        if is_last {
            self.turn_away(session, code, "the token is refused", effects);
        }
    }

    /// The user of a login, if the session may have it.
    fn check_login(&self, session: u32, login: &Login) -> Result<Box<str>, ErrorReply> {
        let peer = &self.subscriptions.sessions[session as usize];
        let MemberName::User(user) = &login.identity.name else {
            return Err(ErrorReply::new(ErrorCode::TokenInvalid, "the token names no user"));
        };
        match peer.identity.as_deref().map(|identity| &identity.name) {
            Some(MemberName::User(before)) if before == user => Ok(user.clone()),
            Some(MemberName::User(_)) => {
                let reason = "this connection belongs to another user: open a new one";
                Err(ErrorReply::new(ErrorCode::TokenInvalid, reason))
            }
            None if peer.memberships.is_empty() => Ok(user.clone()),
            _ => {
                let reason = "a connection authenticates before identify and before its first subscription";
                Err(ErrorReply::new(ErrorCode::InvalidRequest, reason))
            }
        }
    }

    fn set_credentials(&mut self, session: u32, credentials: Arc<Credentials>) {
        let due = credentials.expiry.map(|expiry| expiry.at);
        self.set_authority(session, Authority { credentials: Some(credentials), standing: Standing::Valid, due });
    }

    fn set_authority(&mut self, session: u32, authority: Authority) {
        let due = authority.due;
        let before = self.subscriptions.sessions[session as usize].authority.replace(Box::new(authority));
        if let Some(before) = before {
            if before.standing == Standing::Waiting {
                self.waiting_to_authenticate -= 1;
            }
            if let Some(before) = before.due {
                self.authority_due.remove(&(before, session));
            }
        }
        self.authority_due.extend(due.map(|due| (due, session)));
    }

    /// When the next deadline of a token is due.
    pub(super) fn next_authority_deadline(&self) -> Option<Instant> {
        self.authority_due.first().map(|(due, _)| *due)
    }

    /// Meets some of the deadlines that are due: of tokens, and of sessions that have not authenticated.
    pub(super) fn meet_authority_deadlines(&mut self, now: Instant, effects: &mut Effects) {
        for _ in 0..DEADLINES_AT_ONCE {
            match self.authority_due.first() {
                Some(&(due, session)) if due <= now => self.meet_deadline(now, session, effects),
                _ => return,
            }
        }
    }

    fn meet_deadline(&mut self, now: Instant, session: u32, effects: &mut Effects) {
        let renew_within = self.settings.admission.renew_within;
        let peer = &mut self.subscriptions.sessions[session as usize];
        let id = peer.id;
        let Some(authority) = &mut peer.authority else { return };
        if let Some(due) = authority.due.take() {
            self.authority_due.remove(&(due, session));
        }
        match authority.standing {
            Standing::Waiting => self.turn_away(session, CloseCode::TOKEN_REQUIRED, TOKEN_NEEDED, effects),
            Standing::Valid => {
                authority.standing = Standing::Expired;
                authority.due = Some(now + renew_within);
                self.authority_due.insert((now + renew_within, session));
                let fault = ErrorReply::new(ErrorCode::TokenExpired, EXPIRED);
                effects.send(id, Event::Error(Refusal::new(None, fault)));
            }
            Standing::Expired => self.turn_away(session, CloseCode::TOKEN_EXPIRED, "the token has expired", effects),
        }
    }

    /// Closes a session that may not go on. Takes no more requests of it.
    fn turn_away(&mut self, session: u32, code: CloseCode, reason: &'static str, effects: &mut Effects) {
        let peer = &mut self.subscriptions.sessions[session as usize];
        if !std::mem::replace(&mut peer.cut, true) {
            effects.push(Effect::Close { session: peer.id, code, reason: reason.into() });
        }
    }

    /// The rules of permissions.
    fn permissions(&self) -> Permissions<'_> {
        Permissions { rules: self.rules.rules(), default: self.settings.admission.default }
    }

    fn requester<'a>(&'a self, peer: &'a Session) -> Requester<'a> {
        let credentials = peer.authority.as_ref().and_then(|authority| authority.credentials.as_ref());
        Requester {
            user: peer.user(),
            client: Some(peer.client),
            grants: credentials.map_or(&self.settings.admission.anonymous, |credentials| &credentials.grants),
            is_api_key: credentials.is_some_and(|credentials| credentials.api_key.is_some()),
        }
    }
}

/// The limits of a user, and its private topic.
impl<E: Engine> Hub<E> {
    /// The private topic of a session's user.
    fn user_topic(&self, session: u32) -> Option<Topic> {
        self.subscriptions.sessions[session as usize].user().map(user_topic)
    }

    /// Subscribes a session to the private topic of its user.
    fn hear_user_topic(&mut self, session: u32) {
        if let Some(topic) = self.user_topic(session)
            && let Some(channel) = self.open_channel(session, &Target::Topic(topic), Slow::Disconnect)
        {
            self.subscriptions.join(channel, session, Slow::Disconnect);
            self.subscriptions.sessions[session as usize].hears_user = true;
        }
    }

    /// Notes that a session has left the private topic of its user, or is back in it. While it is not, it still counts
    /// among the user's connections.
    pub(super) fn note_user_topic(&mut self, session: u32, topic: &Topic, hears: bool) {
        let peer = &mut self.subscriptions.sessions[session as usize];
        let is_own = matches!(topic.owner(), Some(Owner::User(user)) if peer.user() == Some(user));
        if !is_own || peer.hears_user == hears {
            return;
        }
        peer.hears_user = hears;
        match hears {
            true => self.unmute(session, topic),
            false => self.muted.entry(topic.clone()).or_default().push(session),
        }
    }

    fn unmute(&mut self, session: u32, topic: &Topic) {
        if let Some(muted) = self.muted.get_mut(topic) {
            muted.retain(|other| *other != session);
            if muted.is_empty() {
                self.muted.remove(topic);
            }
        }
    }

    /// All sessions of a user.
    fn sessions_of(&self, user: &str) -> Vec<u32> {
        let topic = user_topic(user);
        let hearing = self.topics.get(&topic).map(|channel| self.subscriptions.member_sessions(*channel));
        hearing.into_iter().flatten().chain(self.muted.get(&topic).into_iter().flatten().copied()).collect()
    }

    /// Closes a session whose user has too many connections already. Returns whether the session may stay.
    fn check_connections(&mut self, session: u32, effects: &mut Effects) -> bool {
        let Some(most) = self.settings.admission.each_user.connections else { return true };
        let Some(user) = self.subscriptions.sessions[session as usize].user() else { return true };
        let connections = self.sessions_of(user).len();
        effects.add_work(COLLECT_NS * connections as u64);
        if connections <= most as usize {
            return true;
        }
        let fault = ErrorReply::new(ErrorCode::LimitExceeded, format!("a user has at most {most} connections"));
        self.refuse(session, RejectedRequest { id: None, fault }, effects);
        self.turn_away(session, CloseCode::TRY_AGAIN_LATER, "this user has too many connections", effects);
        false
    }

    /// Checks that a user has room for one more subscription on any of its connections. Looking at them counts as work.
    pub(super) fn check_user_subscriptions(&self, session: u32, effects: &mut Effects) -> Result<(), ErrorReply> {
        let peer = &self.subscriptions.sessions[session as usize];
        let (Some(most), Some(user)) = (self.settings.admission.each_user.subscriptions, peer.user()) else {
            return Ok(());
        };
        let sessions = self.sessions_of(user);
        effects.add_work(COLLECT_NS * sessions.len() as u64);
        let all: usize = sessions.into_iter().map(|other| self.subscriptions.sessions[other as usize].counted()).sum();
        if all < most as usize {
            return Ok(());
        }
        let reason = format!("a user has at most {most} subscriptions on all its connections");
        Err(ErrorReply::new(ErrorCode::LimitExceeded, reason))
    }

    /// Counts a publication against the rate of its user or API key.
    pub(super) fn check_user_rate(&mut self, now: Instant, session: u32) -> Result<(), ErrorReply> {
        let Some(rate) = self.settings.admission.each_user.publications_per_second else { return Ok(()) };
        let identity = self.subscriptions.sessions[session as usize].identity.as_ref();
        let Some(identity) = identity.filter(|identity| !matches!(identity.name, MemberName::Anonymous(_))) else {
            return Ok(());
        };
        if self.publication_buckets.len() >= self.sweep_buckets_at {
            self.publication_buckets.retain(|_, bucket| !bucket.is_full(now));
            self.sweep_buckets_at = (2 * self.publication_buckets.len()).max(MIN_BUCKETS);
        }
        let bucket = self.publication_buckets.entry(identity.name.clone()).or_insert_with(|| Bucket::new(now, rate));
        match bucket.take(now) {
            Verdict::Pass => Ok(()),
            Verdict::Refuse | Verdict::Disconnect => {
                Err(ErrorReply::new(ErrorCode::RateLimited, "this user publishes too often, slow down"))
            }
        }
    }
}

fn user_topic(user: &str) -> Topic {
    Topic::new(format!("@{user}"))
}

const EXPIRED: &str = "the token has expired: send authenticate with a new one, or connect with it";
const TOKEN_NEEDED: &str = "a token is needed: connect with one, or send authenticate first";

/// The most deadlines of tokens that are met in one call.
const DEADLINES_AT_ONCE: usize = 256;

/// The number of buckets from which on full ones are removed.
const MIN_BUCKETS: usize = 1024;
