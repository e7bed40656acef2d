//! The frames from the server.

use super::effect::{Answer, Effect, Effects, Ended, Failure, Published};
use super::input::SubscriptionId;
use super::subscription_state::begin_of;
use super::{Machine, after};
use hubcast_protocol::event::{EndReason, Refusal, Subscribed, Welcome};
use hubcast_protocol::request::Action;
use hubcast_protocol::{ErrorCode, Event, RequestId, Topic, typed};
use std::time::{Duration, Instant};

impl Machine {
    pub(super) fn frame(&mut self, now: Instant, text: &str, effects: &mut Effects) {
        if !self.connection.has_frames() {
            return;
        }
        self.connection.heard(now);
        // An event of a newer protocol version is ignored. An event that cannot be read shows later as a gap in the
        // offsets.
        let Ok(event) = typed::decode_event(text) else { return };
        if let Some(RequestId::Number(id)) = answered_by(&event) {
            self.outgoing.done(*id);
        }
        match event {
            Event::Welcome(welcome) => self.welcomed(now, &welcome, effects),
            Event::Closing(closing) => {
                self.connection.leave(now, closing.reconnect_in_ms.map(Duration::from_millis));
            }
            Event::Message(message) => self.subscriptions.message(message, effects),
            Event::Gap(gap) => self.subscriptions.gap(&gap, effects),
            Event::Join(member) => self.subscriptions.joined(&member, effects),
            Event::Leave(member) => self.subscriptions.left(&member, effects),
            Event::Subscribed(ref reply) => self.subscribed(reply, &event, effects),
            Event::Unsubscribed(unsubscribed) if unsubscribed.id.is_none() => {
                let why = match unsubscribed.reason {
                    Some(EndReason::Forbidden) => Ended::Forbidden,
                    Some(EndReason::Operator) => Ended::Operator,
                    _ => Ended::Unsubscribed,
                };
                let target = unsubscribed.about.into();
                self.server_view.forget(&target);
                self.subscriptions.end(&self.subscriptions.live_on(&target), &why, effects);
            }
            Event::Unsubscribed(unsubscribed) => {
                if let Some(RequestId::Number(id)) = unsubscribed.id {
                    self.server_view.answered(id);
                }
            }
            Event::Authenticated(reply) => self.authenticated(now, &reply),
            Event::Error(ref refusal) => self.refused(now, refusal, &event, effects),
            Event::Published(_) | Event::History(_) | Event::Presence(_) | Event::Pong(_) => {
                self.answered(event, effects);
            }
            // An event that only a newer version of `hubcast-protocol` knows.
            _ => {}
        }
    }

    /// A session begins: subscriptions must be resumed, and unanswered calls sent again.
    fn welcomed(&mut self, now: Instant, welcome: &Welcome, effects: &mut Effects) {
        if !self.connection.welcomed(now, Duration::from_millis(welcome.ping)) {
            return;
        }
        self.message_limit = welcome.limits.message;
        (self.client, self.user) = (Some(welcome.client), welcome.user.clone());
        self.refusals = 0;
        self.token_taken();
        if let Some((ticket, _)) = self.connecting.take() {
            effects.push(Effect::Complete(ticket, Ok(Answer::Connected)));
        }
        let user = welcome.user.iter().map(|user| Topic::new(format!("@{user}")));
        let private = std::iter::once(Topic::new(welcome.client.to_string())).chain(user).collect();
        self.subscriptions.welcomed(private, effects);
        self.send_identity(effects);
        self.resumes.begin(self.subscriptions.to_resume());
        self.outgoing.welcomed(self.last_id);
    }

    fn subscribed(&mut self, reply: &Subscribed, event: &Event, effects: &mut Effects) {
        let Some(id) = &reply.id else { return self.server_view.subscribed_by_operator(reply.about.clone().into()) };
        self.subscriptions.expect_replay(reply);
        if let Some(call) = self.calls.answered(id, event) {
            effects.push(Effect::Complete(
                call.ticket,
                Ok(Answer::Subscribed { begin: begin_of(reply), presence: reply.presence }),
            ));
            self.subscriptions.confirm(call.subscription.as_slice(), reply, effects);
        } else if let RequestId::Number(id) = id {
            self.server_view.answered(*id);
            if let Some(subscriptions) = self.resumes.answered(*id) {
                self.refusals = 0;
                self.subscriptions.confirm(&subscriptions, reply, effects);
            }
        }
    }

    fn refused(&mut self, now: Instant, refusal: &Refusal, event: &Event, effects: &mut Effects) {
        if self.token_refused(now, refusal, effects) {
            return;
        }
        if refusal.code == ErrorCode::RateLimited {
            self.is_limited = true;
            self.outgoing.slow_down();
            self.retry_later(now, LIMITED);
        }
        let Some(id) = &refusal.id else { return };
        if self.tokens.is_over() && refusal.code == ErrorCode::TokenExpired {
            return self.wait_for_token(id);
        }
        if let Some(call) = self.calls.answered(id, event) {
            let subscription = call.subscription;
            let (ticket, result) = call.failed(Failure::Refused(refusal.clone().into()));
            effects.push(Effect::Complete(ticket, result));
            if let Some(subscription) = subscription {
                self.drop_refused(&[subscription]);
            }
            return;
        }
        let RequestId::Number(id) = *id else { return };
        if let Some(subscriptions) = self.resumes.answered(id) {
            if refusal.code == ErrorCode::Forbidden && self.subscriptions.forgo_past(&subscriptions) {
                // Perhaps only the past is not granted: what is live then begins behind a gap.
                self.resumes.again(subscriptions);
            } else if refusal.retry {
                self.resumes.defer(subscriptions);
                self.retry_later(now, self.config.backoff.base);
            } else {
                let why = match refusal.code {
                    ErrorCode::Forbidden => Ended::Forbidden,
                    _ => Ended::Refused(refusal.clone().into()),
                };
                self.subscriptions.tell_end(&subscriptions, &why, effects);
                self.drop_refused(&subscriptions);
            }
        } else if !refusal.retry {
            self.server_view.answered(id);
        } else if self.server_view.defer(id) {
            self.retry_later(now, self.config.backoff.base);
        }
    }

    /// Keeps a request that the server refused because the token has ended. It is sent again with the next token, or on
    /// the next connection.
    fn wait_for_token(&mut self, id: &RequestId) {
        let RequestId::Number(id) = *id else { return };
        if self.calls.get(id).is_some() {
            self.outgoing.again(id);
        } else if let Some(subscriptions) = self.resumes.answered(id) {
            self.resumes.defer(subscriptions);
        } else {
            self.server_view.defer(id);
        }
    }

    /// Forgets subscriptions that the server refused.
    fn drop_refused(&mut self, ids: &[SubscriptionId]) {
        for id in ids {
            let Some(target) = self.subscriptions.remove(*id) else { continue };
            match self.subscriptions.options(&target) {
                None => self.server_view.forget(&target),
                wanted => self.server_view.mark_stale(target, wanted),
            }
        }
    }

    /// Schedules another attempt at what the server refused for a while. The pause is `shortest` plus a random time:
    /// otherwise an overloaded server would get all requests again at once.
    fn retry_later(&mut self, now: Instant, shortest: Duration) {
        if self.retry_at.is_none() {
            let pause = shortest.saturating_add(self.connection.pause(self.refusals));
            self.refusals = self.refusals.saturating_add(1);
            self.retry_at = Some(after(now, pause));
        }
    }

    fn answered(&mut self, event: Event, effects: &mut Effects) {
        let Some(id) = answered_by(&event).cloned() else { return };
        let Some(call) = self.calls.answered(&id, &event) else {
            if let Event::Published(published) = &event
                && let Some(offset) = published.offset.filter(|_| self.calls.take_silent(&id))
            {
                self.subscriptions.published_silently(&published.topic, offset);
            }
            return;
        };
        let answer = match event {
            Event::Published(published) => {
                if let Action::Publish(publish) = &call.request.action
                    && let Some(offset) = published.offset.filter(|_| !publish.echo)
                {
                    self.subscriptions.published_silently(&publish.topic, offset);
                }
                Answer::Published(Published { offset: published.offset, receivers: published.receivers })
            }
            Event::History(history) => Answer::History(history),
            Event::Presence(presence) => Answer::Presence(presence),
            _ => Answer::Pong,
        };
        effects.push(Effect::Complete(call.ticket, Ok(answer)));
    }
}

/// The id of the request that an event answers.
fn answered_by(event: &Event) -> Option<&RequestId> {
    match event {
        Event::Subscribed(subscribed) => subscribed.id.as_ref(),
        Event::Unsubscribed(unsubscribed) => unsubscribed.id.as_ref(),
        Event::Published(published) => published.id.as_ref(),
        Event::History(history) => Some(&history.id),
        Event::Presence(presence) => Some(&presence.id),
        Event::Pong(pong) => Some(&pong.id),
        Event::Identified(identified) => identified.id.as_ref(),
        Event::Authenticated(authenticated) => authenticated.id.as_ref(),
        Event::Error(refusal) => refusal.id.as_ref(),
        _ => None,
    }
}

/// The server counts requests by the second: after one second without any, it takes some again.
const LIMITED: Duration = Duration::from_secs(1);
