//! The client's token: when to ask the program for one, where it is shown, and what its refusal means.
//!
//! The client keeps its token over reconnects, and asks for another one only when that is due, or when the server
//! refuses it: so an outage of the server is none for those who make the tokens.

use super::effect::{Effect, Effects};
use super::status::Closed;
use super::token::{GivenToken, TokenFailure, TokenReason};
use super::{Disconnection, Machine, after};
use hubcast_protocol::event::{Authenticated, Refusal};
use hubcast_protocol::request::{Action, Request};
use hubcast_protocol::{AccessToken, CloseCode, ErrorCode, RequestId, typed};
use std::time::{Duration, Instant};

/// The token that the client shows, and the way to the next one.
#[derive(Debug)]
pub(super) struct TokenState {
    /// The token for the next handshake, or that of this connection.
    kept: Option<Kept>,
    /// What the program is told when it is asked next.
    reason: TokenReason,
    stage: Stage,
    /// When to ask the program on this connection.
    due: Option<Instant>,
    /// How many tokens in a row the server has refused.
    refusals: u32,
    /// The server has said that the token of this connection has ended: requests wait for the next one.
    is_over: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Kept {
    token: AccessToken,
    given_at: Instant,
    clock: u64,
    /// When another token is due.
    renew_at: Option<Instant>,
}

#[derive(Debug)]
enum Stage {
    Idle,
    /// The program was asked.
    Asking,
    /// A token was sent on this connection, with the request of this id.
    Sent(u64, Kept),
}

/// What the next attempt to connect needs.
pub(super) enum Need {
    /// Nothing, or a token that is there.
    Met(Option<AccessToken>),
    /// The program must give a token first.
    Token,
}

impl TokenState {
    /// When the program is asked for the next token of this connection.
    pub(super) fn timeout(&self) -> Option<Instant> {
        self.due
    }

    /// Whether requests wait, because the token of this connection has ended.
    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    /// Whether the server has refused so many tokens that another one makes no sense.
    pub(super) fn are_refused(&self) -> bool {
        self.refusals >= MAX_REFUSALS
    }

    /// The connection ended, or could not be made. A token that was sent on it is the newest that there is.
    pub(super) fn cut(&mut self, why: &Disconnection) {
        self.due = None;
        if let Stage::Sent(..) = self.stage
            && let Stage::Sent(_, sent) = std::mem::replace(&mut self.stage, Stage::Idle)
        {
            self.kept = Some(sent);
        } else if self.is_over || matches!(why, Disconnection::Closed { code: CloseCode::TOKEN_EXPIRED, .. }) {
            self.kept = None;
        }
        self.is_over = false;
        if let Disconnection::TokenRefused { .. } = why {
            self.refused();
        }
    }

    /// The server has refused a token. Another one comes in its place.
    fn refused(&mut self) {
        self.kept = None;
        self.reason = TokenReason::Refused;
        self.refusals += 1;
    }
}

impl Default for TokenState {
    fn default() -> Self {
        Self { kept: None, reason: TokenReason::First, stage: Stage::Idle, due: None, refusals: 0, is_over: false }
    }
}

impl Machine {
    /// What is needed for an attempt to connect now.
    pub(super) fn need_for_attempt(&self, now: Instant) -> Need {
        match (&self.tokens.stage, &self.tokens.kept) {
            _ if !self.config.has_tokens => Need::Met(None),
            (Stage::Idle, Some(kept)) if kept.renew_at.is_none_or(|at| now < at) => Need::Met(Some(kept.token.clone())),
            _ => Need::Token,
        }
    }

    /// Whether a handshake that was refused because of its token is followed by another one at once: the first one may
    /// have shown a token that was kept for long.
    pub(super) fn has_another_token(&self) -> bool {
        self.config.has_tokens && self.tokens.refusals == 1
    }

    /// Asks the program for a token, unless it was asked already.
    pub(super) fn ask_token(&mut self, effects: &mut Effects) {
        self.tokens.due = None;
        if self.config.has_tokens && matches!(self.tokens.stage, Stage::Idle) {
            self.tokens.stage = Stage::Asking;
            effects.push(Effect::AskToken(self.tokens.reason));
        }
    }

    /// A session begins. Without a user, the server has not looked at the token, and would not take another one.
    pub(super) fn token_taken(&mut self) {
        self.tokens.refusals = 0;
        self.tokens.due = self.tokens.kept.as_ref().filter(|_| self.user.is_some()).and_then(|kept| kept.renew_at);
    }

    /// Takes the program's answer.
    pub(super) fn token(&mut self, now: Instant, given: Result<GivenToken, TokenFailure>, effects: &mut Effects) {
        if self.closed.is_some() || !matches!(self.tokens.stage, Stage::Asking) {
            return;
        }
        self.tokens.stage = Stage::Idle;
        match given {
            Ok(given) => self.given(now, given, effects),
            Err(TokenFailure::NotAllowed(reason)) => self.end(Closed::NotAllowed { reason }, effects),
            Err(TokenFailure::Failed(reason)) if self.connection.is_preparing() => {
                self.disconnected(now, &Disconnection::Lost { reason, retry_after: None }, effects);
            }
            Err(TokenFailure::Failed(_)) => self.ask_token_later(now, ASK_AGAIN),
        }
    }

    fn given(&mut self, now: Instant, given: GivenToken, effects: &mut Effects) {
        let GivenToken { token, lifetime, clock } = given;
        let is_same = self.tokens.kept.as_ref().is_some_and(|kept| kept.token == token);
        let kept = Kept { token, given_at: now, clock, renew_at: self.renew_at(now, lifetime) };
        self.tokens.reason = TokenReason::Expiring;
        if !self.connection.is_ready() {
            self.tokens.kept = Some(kept);
            if self.connection.is_preparing() {
                self.attempt(now, effects);
            }
        } else if is_same {
            // The server has this one already: it would not last longer.
            self.ask_token_later(now, ASK_AGAIN);
        } else {
            self.send_token(now, kept, effects);
        }
    }

    fn send_token(&mut self, now: Instant, kept: Kept, effects: &mut Effects) {
        let id = self.next_id();
        let request = Request::new(RequestId::Number(id), Action::Authenticate(kept.token.clone()));
        let text = typed::encode_request(&request);
        let is_too_long = text.len() as u64 > self.message_limit;
        self.tokens.stage = Stage::Sent(id, kept);
        if is_too_long {
            // A handshake takes tokens of any length.
            self.abandon(now, "the new token is too long for a request, and is shown to another connection", effects);
        } else {
            self.send(id, text, effects);
        }
    }

    /// The server has taken a token on this connection.
    pub(super) fn authenticated(&mut self, now: Instant, reply: &Authenticated) {
        if !matches!((&self.tokens.stage, &reply.id), (Stage::Sent(sent, _), Some(RequestId::Number(id))) if sent == id)
        {
            return;
        }
        let Stage::Sent(_, mut kept) = std::mem::replace(&mut self.tokens.stage, Stage::Idle) else { return };
        if kept.renew_at.is_none() {
            // The token does not say when it ends, but the server knows.
            let lifetime = reply.expires.checked_sub(kept.clock).map(Duration::from_secs);
            kept.renew_at = self.renew_at(kept.given_at, lifetime).map(|at| at.max(after(now, SHORTEST)));
        }
        (self.tokens.refusals, self.tokens.is_over, self.tokens.due) = (0, false, kept.renew_at);
        self.tokens.kept = Some(kept);
    }

    /// Takes a refusal, if it is about the token and nothing else. Returns whether it was.
    pub(super) fn token_refused(&mut self, now: Instant, refusal: &Refusal, effects: &mut Effects) -> bool {
        let is_sent = match (&self.tokens.stage, &refusal.id) {
            (Stage::Sent(sent, _), Some(RequestId::Number(id))) => sent == id,
            _ => false,
        };
        if is_sent {
            self.new_token_refused(now, refusal, effects);
        } else if refusal.code == ErrorCode::TokenExpired && self.config.has_tokens && !self.tokens.is_over {
            self.tokens.is_over = true;
            self.ask_token(effects);
        }
        is_sent || refusal.code == ErrorCode::TokenExpired && refusal.id.is_none()
    }

    /// The server has refused the token that was sent on this connection, and goes on with the one before.
    fn new_token_refused(&mut self, now: Instant, refusal: &Refusal, effects: &mut Effects) {
        self.tokens.stage = Stage::Idle;
        if refusal.retry {
            return self.ask_token_later(now, ASK_AGAIN);
        }
        let kept = self.tokens.kept.take();
        self.tokens.refused();
        self.tokens.kept = kept;
        match self.tokens.are_refused() {
            true => self.end(Closed::TokenRefused { reason: refusal.reason.clone().into_owned() }, effects),
            false => self.ask_token_later(now, ASK_AFTER_REFUSAL),
        }
    }

    /// Asks the program after a pause of at least this time, and at most twice as long.
    fn ask_token_later(&mut self, now: Instant, shortest: Duration) {
        if self.connection.is_ready() {
            self.tokens.due = Some(after(now, shortest + self.connection.share_of(shortest)));
        }
    }

    /// A random time within the lifetime of a token: from 70 to 90 percent of it, so that clients whose tokens end at
    /// the same time do not all ask at once.
    fn renew_at(&mut self, now: Instant, lifetime: Option<Duration>) -> Option<Instant> {
        let tenth = lifetime? / 10;
        Some(after(now, (tenth * 7 + self.connection.share_of(tenth * 2)).max(SHORTEST)))
    }
}

/// Tokens that the server may refuse in a row until the client gives up.
const MAX_REFUSALS: u32 = 3;

/// The shortest pause after a question to a program that had no token. At the end of a token there are 25 seconds for
/// the next one, which is time for several questions.
const ASK_AGAIN: Duration = Duration::from_secs(2);

/// The shortest pause after a token that was refused on the connection: the server looks at one in a second.
const ASK_AFTER_REFUSAL: Duration = Duration::from_secs(1);

/// A token is renewed at most so often, however short it lasts.
const SHORTEST: Duration = Duration::from_secs(1);
