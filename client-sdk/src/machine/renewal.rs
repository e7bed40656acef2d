//! The token of the connection: when to ask for the next one, and what its answer means.

use super::effect::{Effect, Effects};
use super::status::Closed;
use super::token::{ShownToken, TokenFailure, TokenReason};
use super::{Machine, after};
use hubcast_protocol::event::Refusal;
use hubcast_protocol::request::{Action, Request};
use hubcast_protocol::{AccessToken, ErrorCode, RequestId, typed};
use std::time::{Duration, Instant};

/// The renewal of a connection's token.
#[derive(Debug, Default)]
pub(super) struct Renewal {
    /// When to ask the program for the next token.
    due: Option<Instant>,
    stage: Stage,
    /// How many tokens in a row the server has refused on this connection.
    refusals: u32,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Idle,
    /// The program was asked.
    Asking,
    /// A token was sent with this request; it lasts so long.
    Sent(u64, Option<Duration>),
}

impl Renewal {
    /// When the next token is due.
    pub(super) fn timeout(&self) -> Option<Instant> {
        self.due
    }

    /// The connection is gone, and its token with it.
    pub(super) fn cut(&mut self) {
        *self = Self::default();
    }
}

impl Machine {
    /// A connection was made with a token that lasts so long.
    pub(super) fn token_shown(&mut self, now: Instant, lifetime: Option<Duration>) {
        self.renewal = Renewal { due: self.renew_at(now, lifetime), ..Renewal::default() };
    }

    /// Asks the program for another token, unless it was asked already.
    pub(super) fn ask_token(&mut self, reason: TokenReason, effects: &mut Effects) {
        if self.config.has_tokens && self.renewal.stage == Stage::Idle && self.connection.is_ready() {
            self.renewal.due = None;
            self.renewal.stage = Stage::Asking;
            effects.push(Effect::AskToken(reason));
        }
    }

    /// Takes the program's answer, and sends the token.
    pub(super) fn token(&mut self, now: Instant, given: Result<ShownToken, TokenFailure>, effects: &mut Effects) {
        if self.renewal.stage != Stage::Asking {
            // It was asked for another connection. The next one asks again.
            return;
        }
        self.renewal.stage = Stage::Idle;
        match given {
            Ok(ShownToken { token, lifetime }) if self.connection.is_ready() => {
                let id = self.send_token(token, effects);
                self.renewal.stage = Stage::Sent(id, lifetime);
            }
            Ok(_) => {}
            Err(TokenFailure::NotAllowed(reason)) => self.end(Closed::NotAllowed { reason }, effects),
            Err(TokenFailure::Failed(_)) => self.renewal.due = Some(after(now, self.pause_before_asking())),
        }
    }

    fn send_token(&mut self, token: AccessToken, effects: &mut Effects) -> u64 {
        let id = self.next_id();
        let request = Request::new(RequestId::Number(id), Action::Authenticate(token));
        self.send(id, typed::encode_request(&request), effects);
        id
    }

    /// The server has taken a token.
    pub(super) fn authenticated(&mut self, now: Instant, id: Option<&RequestId>) {
        if let (Stage::Sent(sent, lifetime), Some(RequestId::Number(id))) = (self.renewal.stage.clone(), id)
            && sent == *id
        {
            self.token_shown(now, lifetime);
        }
    }

    /// Takes a refusal, if it is about a token. Returns whether it was.
    pub(super) fn token_refused(&mut self, now: Instant, refusal: &Refusal, effects: &mut Effects) -> bool {
        let is_sent = match (&self.renewal.stage, &refusal.id) {
            (Stage::Sent(sent, _), Some(RequestId::Number(id))) => sent == id,
            _ => false,
        };
        if !is_sent {
            let is_over = refusal.code == ErrorCode::TokenExpired;
            if is_over {
                self.ask_token(TokenReason::Expiring, effects);
            }
            return is_over && refusal.id.is_none();
        }
        self.renewal.stage = Stage::Idle;
        if refusal.code == ErrorCode::RateLimited {
            self.renewal.due = Some(after(now, self.pause_before_asking()));
            return true;
        }
        self.renewal.refusals += 1;
        match self.renewal.refusals {
            ..MAX_REFUSED_TOKENS => self.ask_token(TokenReason::Refused, effects),
            _ => self.end(Closed::TokenRefused { reason: refusal.reason.clone().into_owned() }, effects),
        }
        true
    }

    /// A random time within the lifetime of a token: from 70 to 90 percent of it, so that clients whose tokens end at
    /// the same time do not all ask at once.
    fn renew_at(&mut self, now: Instant, lifetime: Option<Duration>) -> Option<Instant> {
        let tenth = lifetime.filter(|_| self.config.has_tokens)? / 10;
        Some(after(now, tenth * 7 + self.connection.share_of(tenth * 2)))
    }

    fn pause_before_asking(&mut self) -> Duration {
        ASK_AGAIN_MIN + self.connection.share_of(ASK_AGAIN_SPREAD)
    }
}

/// Tokens that the server may refuse in a row until the client gives up.
pub(crate) const MAX_REFUSED_TOKENS: u32 = 3;

/// The program is asked again 2 to 5 seconds after it had no token. That leaves several attempts between the end of a
/// token and the end of its connection.
const ASK_AGAIN_MIN: Duration = Duration::from_secs(2);
const ASK_AGAIN_SPREAD: Duration = Duration::from_secs(3);
