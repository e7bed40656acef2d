//! The order of sending.

use super::effect::{Effect, Effects, Ended, Failure, Refused};
use super::input::SubscriptionId;
use super::server_view::SubscriptionOptions;
use super::{Machine, after};
use hubcast_protocol::request::{Action, Request, Start, Subscribe};
use hubcast_protocol::{ErrorCode, RequestId, Target, typed};
use std::time::Instant;

impl Machine {
    /// Sends what may be sent now, in this order: the resumes; the calls, in the order of the commands; the resumes
    /// that the server refused for a while; and changes to other subscriptions.
    pub(super) fn send_waiting(&mut self, now: Instant, effects: &mut Effects) {
        if !self.connection.is_ready() || self.tokens.is_over() {
            return;
        }
        while !self.is_limited && self.outgoing.has_room() {
            let Some(ids) = self.resumes.next() else { break };
            self.send_resume(now, ids, effects);
        }
        while !self.resumes.are_waiting()
            && let Some(id) = self.outgoing.next_call(&self.calls, self.is_limited)
        {
            self.send_call(id, effects);
        }
        while self.retry_at.is_none() && self.outgoing.has_room() {
            let Some(ids) = self.resumes.next_put_off() else { break };
            self.send_resume(now, ids, effects);
        }
        while !self.is_limited && self.outgoing.is_within_window(self.server_view.in_flight()) {
            let Some(target) = self.server_view.next_outdated() else { break };
            self.send_changes(target, effects);
        }
    }

    /// Says who this client is, before it subscribes to anything. The answer matters to nobody: an older server refuses
    /// the request, and then presence shows this client without a name.
    pub(super) fn send_identity(&mut self, effects: &mut Effects) {
        let Some(identity) = self.config.identity.clone() else { return };
        let id = self.next_id();
        let text = typed::encode_request(&Request::new(RequestId::Number(id), Action::Identify(identity)));
        if text.len() as u64 <= self.message_limit {
            self.send(id, text, effects);
        }
    }

    /// Requests subscriptions that were live on an earlier connection, from the positions that they had reached.
    fn send_resume(&mut self, now: Instant, ids: Vec<SubscriptionId>, effects: &mut Effects) {
        // The program may have dropped all of them since the group was made.
        let Some(mut subscribe) = self.subscriptions.resume(&ids) else { return };
        let id = self.next_id();
        let options = SubscriptionOptions { presence: subscribe.presence, slow: subscribe.slow };
        let target = subscribe.target.clone();
        let text = loop {
            let request = Request::new(RequestId::Number(id), Action::Subscribe(subscribe));
            let text = typed::encode_request(&request);
            if text.len() as u64 <= self.message_limit {
                break Some(text);
            }
            let shorter = self.subscriptions.shorten(&ids).then(|| self.subscriptions.resume(&ids)).flatten();
            let Some(shorter) = shorter else { break None };
            subscribe = shorter;
        };
        match text {
            Some(text) => {
                self.send(id, text, effects);
                self.server_view.tell(&target, options);
                self.resumes.ask(id, ids, after(now, self.config.request_timeout));
            }
            None => {
                let reason = "the server takes no request of this size any more".to_owned();
                let refused = Refused { code: ErrorCode::MessageTooLarge, reason, retry: false };
                self.subscriptions.end(&ids, &Ended::Refused(refused), effects);
            }
        }
    }

    /// Sends one call that is still open. One that is larger than the server takes fails instead, because the server
    /// would close the connection.
    fn send_call(&mut self, id: u64, effects: &mut Effects) {
        let Some(call) = self.calls.get(id) else { return };
        let text = typed::encode_request(&call.request);
        if text.len() as u64 > self.message_limit {
            return self.fail_as_too_large(id, text.len(), effects);
        }
        if let Action::Subscribe(subscribe) = &call.request.action {
            let (target, presence, slow) = (subscribe.target.clone(), subscribe.presence, subscribe.slow);
            // The server replays nothing to a connection that is subscribed already. The target is unsubscribed first
            // if no other subscription shares it.
            if self.server_view.take_outdated(&target) && self.subscriptions.is_alone(&target) {
                self.send_unsubscribe(target.clone(), effects);
            }
            self.server_view.tell(&target, SubscriptionOptions { presence, slow });
        }
        self.calls.sent(id);
        self.send(id, text, effects);
    }

    /// Fails a call that is larger than the server takes.
    pub(super) fn fail_as_too_large(&mut self, id: u64, size: usize, effects: &mut Effects) {
        let Some(call) = self.calls.remove(id) else { return };
        let (subscription, limit) = (call.subscription, self.message_limit);
        let (ticket, result) = call.failed(Failure::TooLarge { size, limit });
        effects.push(Effect::Complete(ticket, result));
        if let Some(subscription) = subscription {
            self.unsubscribe(subscription);
        }
    }

    /// Updates the server on a target that a subscription has left: unsubscribes from it, or subscribes with what the
    /// others want.
    fn send_changes(&mut self, target: Target, effects: &mut Effects) {
        match self.subscriptions.options(&target) {
            None => self.send_unsubscribe(target, effects),
            Some(options) if self.server_view.get(&target).is_some_and(|known| known != options) => {
                let id = self.next_id();
                let SubscriptionOptions { presence, slow } = options;
                let subscribe = Subscribe { target: target.clone(), start: Start::Live, presence, slow };
                let request = Request::new(RequestId::Number(id), Action::Subscribe(subscribe));
                self.send(id, typed::encode_request(&request), effects);
                self.server_view.ask(id, target, Some(options));
            }
            // Another subscribe has updated the server already.
            Some(_) => {}
        }
    }

    fn send_unsubscribe(&mut self, target: Target, effects: &mut Effects) {
        // The id distinguishes the answer from an unsubscribe that the server's operator ordered.
        let id = self.next_id();
        let request = Request::new(RequestId::Number(id), Action::Unsubscribe(target.clone()));
        self.send(id, typed::encode_request(&request), effects);
        self.server_view.ask(id, target, None);
    }

    pub(super) fn send(&mut self, id: u64, text: String, effects: &mut Effects) {
        self.outgoing.send(id);
        effects.push(Effect::Send(text));
    }
}
