//! What the server says.

use super::effect::{Answer, Effect, Effects, Ended, Failure, Published, Refused};
use super::{Machine, after};
use hubcast_protocol::event::{Refusal, Subscribed, Welcome};
use hubcast_protocol::request::{Action, Request};
use hubcast_protocol::{ErrorCode, Event, RequestId, Topic, typed};
use std::time::{Duration, Instant};

impl Machine {
    pub(super) fn frame(&mut self, now: Instant, text: &str, effects: &mut Effects) {
        if !self.link.has_frames() {
            return;
        }
        self.link.heard(now);
        // What a newer server says is skipped, and what cannot be read shows as a gap in the offsets.
        let Ok(event) = typed::decode_event(text) else { return };
        match event {
            Event::Welcome(welcome) => self.welcomed(now, &welcome, effects),
            Event::Closing(closing) => {
                self.link.leave(now, closing.reconnect_in_ms.map(Duration::from_millis));
            }
            Event::Message(message) => self.listeners.message(message, effects),
            Event::Gap(gap) => self.listeners.gap(&gap, effects),
            Event::Join(member) => self.listeners.joined(&member, effects),
            Event::Leave(member) => self.listeners.left(&member, effects),
            Event::Subscribed(ref reply) => self.subscribed(reply, &event, effects),
            Event::Unsubscribed(unsubscribed) if unsubscribed.id.is_none() => {
                let ended = self.listeners.live_on(&unsubscribed.about.into());
                self.listeners.end(&ended, &Ended::Unsubscribed, effects);
            }
            Event::Unsubscribed(_) => {}
            Event::Error(ref refusal) => self.refused(now, refusal, &event, effects),
            Event::Published(_) | Event::History(_) | Event::Presence(_) | Event::Pong(_) => {
                self.answered(event, effects);
            }
        }
    }

    /// A session begins: what stood before is brought back, then everything unanswered is sent again, in order.
    fn welcomed(&mut self, now: Instant, welcome: &Welcome, effects: &mut Effects) {
        if !self.link.welcomed(now, Duration::from_millis(welcome.ping)) {
            return;
        }
        self.message_limit = welcome.limits.message;
        (self.client, self.user) = (Some(welcome.client), welcome.user.clone());
        self.refusals = 0;
        if let Some((ticket, _)) = self.connecting.take() {
            effects.push(Effect::Complete(ticket, Ok(Answer::Connected)));
        }
        let user = welcome.user.iter().map(|user| Topic::new(format!("@{user}")));
        let private = std::iter::once(Topic::new(welcome.client.to_string())).chain(user).collect();
        self.listeners.welcomed(private, effects);
        self.resume(now, effects);
        for id in self.calls.ids() {
            self.send_call(id, effects);
        }
    }

    /// Asks for every subscription that stood on an earlier connection, from where it was.
    pub(super) fn resume(&mut self, now: Instant, effects: &mut Effects) {
        self.retry_at = None;
        if !self.link.is_ready() {
            return;
        }
        for (ids, mut subscribe) in self.listeners.to_resume() {
            let id = self.next_id();
            let text = loop {
                let request = Request::new(RequestId::Number(id), Action::Subscribe(subscribe));
                let text = typed::encode_request(&request);
                if text.len() as u64 <= self.message_limit {
                    break Some(text);
                }
                let shorter = self.listeners.shorten(&ids).then(|| self.listeners.resume(&ids)).flatten();
                let Some(shorter) = shorter else { break None };
                subscribe = shorter;
            };
            match text {
                Some(text) => {
                    effects.push(Effect::Send(text));
                    self.listeners.asked(id, ids, after(now, self.config.request_timeout));
                }
                None => {
                    let reason = "the server takes no request of this size any more".to_owned();
                    let refused = Refused { code: ErrorCode::MessageTooLarge, reason, retry: false };
                    self.listeners.end(&ids, &Ended::Refused(refused), effects);
                }
            }
        }
    }

    fn subscribed(&mut self, reply: &Subscribed, event: &Event, effects: &mut Effects) {
        let Some(id) = &reply.id else { return };
        self.listeners.expect_replay(reply);
        if let Some(call) = self.calls.answered(id, event) {
            effects.push(Effect::Complete(call.ticket, Ok(Answer::Subscribed)));
            self.listeners.confirm(call.subscription.as_slice(), reply, effects);
        } else if let RequestId::Number(id) = id
            && let Some(resume) = self.listeners.answered(*id)
        {
            self.listeners.confirm(&resume.listeners, reply, effects);
        }
    }

    fn refused(&mut self, now: Instant, refusal: &Refusal, event: &Event, effects: &mut Effects) {
        let Some(id) = &refusal.id else { return };
        if let Some(call) = self.calls.answered(id, event) {
            effects.push(Effect::Complete(call.ticket, Err(Failure::Refused(refusal.clone().into()))));
            if let Some(subscription) = call.subscription {
                self.listeners.remove(subscription);
            }
        } else if let RequestId::Number(id) = id
            && let Some(resume) = self.listeners.answered(*id)
        {
            if !refusal.retry {
                self.listeners.end(&resume.listeners, &Ended::Refused(refusal.clone().into()), effects);
            } else if self.retry_at.is_none() {
                // At least the base, or a server in need would be asked again at once.
                let pause = self.config.backoff.base.saturating_add(self.link.pause(self.refusals));
                self.refusals = self.refusals.saturating_add(1);
                self.retry_at = Some(after(now, pause));
            }
        }
    }

    fn answered(&mut self, event: Event, effects: &mut Effects) {
        let id = match &event {
            Event::Published(published) => published.id.clone(),
            Event::History(history) => Some(history.id.clone()),
            Event::Presence(presence) => Some(presence.id.clone()),
            Event::Pong(pong) => Some(pong.id.clone()),
            _ => None,
        };
        let Some(id) = id else { return };
        let Some(call) = self.calls.answered(&id, &event) else {
            if let Event::Published(published) = &event
                && let Some(offset) = published.offset.filter(|_| self.calls.take_silent(&id))
            {
                self.listeners.published_silently(&published.topic, offset);
            }
            return;
        };
        let answer = match event {
            Event::Published(published) => {
                if let Action::Publish(publish) = &call.request.action
                    && let Some(offset) = published.offset.filter(|_| !publish.echo)
                {
                    self.listeners.published_silently(&publish.topic, offset);
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
