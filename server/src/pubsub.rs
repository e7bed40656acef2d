//! Publish/subscribe: the [`Service`] that gives messages to the hub and carries out its effects.

mod address;
mod alarm;
mod blocked_publishers;
pub(crate) mod caller;
mod carry_out;
mod connection_log;
mod deferred;
mod evictions;
mod flush_plan;
mod mail;
mod mailbox;
#[cfg(feature = "simulation")]
pub(crate) mod observer;
mod outcomes;
mod reporter;
pub(crate) mod shared_hub;
mod throttle;
mod turn_output;

use crate::auth::TokenFault;
use crate::config::LiveConfig;
use crate::connection::peer::{Arrival, CloseReason, Closed, Disconnect, Ending, Message, Peer};
use crate::encode::replay_cache::ReplayCache;
use crate::hooks::Hooks;
use crate::log::access;
use crate::metrics::kinds::PausedReading;
use crate::schedule::{Item, Schedule};
use crate::websocket::frame::{self, Opcode};
use crate::worker::outbound::Outbound;
use crate::worker::service::Service;
use address::{is_caller, session};
use blocked_publishers::BlockedPublishers;
use caller::Callers;
use connection_log::ConnectionLog;
use deferred::DeferredRequests;
use flush_plan::FlushPlan;
use hubcast_hub::{Input, Login, SessionId};
use hubcast_protocol::{
    AccessToken, Action, ClientId, CloseCode, Dialect, ErrorCode, ErrorReply, RejectedRequest, Request, plain, typed,
};
use reporter::Reporter;
use shared_hub::SharedHub;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};
use throttle::Throttle;
use turn_output::TurnOutput;

/// One worker's end of the [`SharedHub`].
#[derive(Debug)]
pub(crate) struct PubSub {
    shared_hub: Arc<SharedHub>,
    worker: usize,
    callers: Callers,
    schedule: Schedule,
    turn_output: TurnOutput,
    flush_plan: FlushPlan,
    deferred: DeferredRequests,
    blocked: BlockedPublishers,
    /// When to check again whether deferred requests may go on.
    backlog_poll_at: Option<Instant>,
    throttle: Throttle,
    /// Publishers on other workers that have receivers here which are far behind, each with the bytes that it sent to
    /// them.
    to_pause: BTreeMap<SessionId, usize>,
    replay_cache: ReplayCache,
    /// Has what verifies the tokens of `authenticate`, if the server takes tokens.
    settings: Arc<LiveConfig>,
    /// How often what is granted had changed when this worker last looked.
    reviewed: u64,
    /// When a token of each connection was last verified.
    verified_at: HashMap<u32, Instant>,
    connection_log: ConnectionLog,
}

impl PubSub {
    pub(crate) fn new(shared_hub: Arc<SharedHub>, worker: usize, settings: Arc<LiveConfig>) -> Self {
        Self {
            callers: Callers::new(worker, shared_hub.wake(worker), Arc::clone(&shared_hub)),
            shared_hub,
            worker,
            schedule: Schedule::default(),
            turn_output: TurnOutput::default(),
            flush_plan: FlushPlan::default(),
            deferred: DeferredRequests::default(),
            blocked: BlockedPublishers::default(),
            backlog_poll_at: None,
            throttle: Throttle::default(),
            to_pause: BTreeMap::new(),
            replay_cache: ReplayCache::default(),
            settings,
            reviewed: 0,
            verified_at: HashMap::new(),
            connection_log: ConnectionLog::default(),
        }
    }

    /// Has what happens to sessions and topics put into the inbox of these hooks.
    pub(crate) fn reporting_to(mut self, hooks: Arc<Hooks>) -> Self {
        self.turn_output.reporter = Some(Reporter::new(hooks));
        self
    }

    /// The callers of this worker: whoever asks without a WebSocket.
    pub(crate) fn callers(&self) -> Callers {
        self.callers.clone()
    }

    fn session(&self, peer: Peer) -> SessionId {
        session(self.worker, peer.slot)
    }

    /// After what is granted has changed, schedules a review of each connection's subscriptions.
    fn review_all(&mut self, out: &Outbound<'_>) {
        let changes = self.shared_hub.grant_changes();
        if std::mem::replace(&mut self.reviewed, changes) != changes {
            for slot in out.open_slots() {
                let session = session(self.worker, slot);
                self.schedule.push(slot, Item::Input(Input::Review { session }));
            }
        }
    }

    /// Schedules what callers have asked for.
    fn take_callers_requests(&mut self) {
        let Self { callers, schedule, blocked, throttle, .. } = self;
        let mut arrived = Vec::new();
        callers.take_requests(
            |slot| blocked.has(slot),
            |slot, item| {
                if matches!(item, Item::Input(Input::Connect { .. })) {
                    arrived.push(slot);
                }
                schedule.push(slot, item);
            },
        );
        for slot in arrived {
            blocked.forget(slot);
            throttle.forget(slot);
        }
    }

    /// Notes that a publisher sent so many bytes to receivers that are far behind, and pauses it if that is due.
    fn slow_down(&mut self, publisher: u32, bytes: usize, now: Instant, out: &mut Outbound<'_>) {
        if self.throttle.note(publisher, bytes, out.publisher_pause(), now) {
            match is_caller(publisher) {
                true => {
                    out.note_paused(PausedReading::Outbox);
                    self.callers.pause(publisher);
                }
                false => out.pause(publisher),
            }
        }
    }

    /// Stops reading the connections that filled a mailbox of another worker, until that worker has taken its mail.
    fn block_publishers(&mut self, turn_output: &TurnOutput, out: &Outbound<'_>) {
        for wait in &turn_output.blocked {
            self.blocked.add(*wait);
            out.note_paused(PausedReading::Mailbox);
            out.set_reading_stopped(wait.slot, true);
        }
    }

    /// Starts to read a connection again, unless something else forbids it: a full mailbox, a deferred request or a
    /// lane.
    fn release(&self, slot: u32, out: &Outbound<'_>) {
        out.set_reading_stopped(
            slot,
            self.blocked.has(slot) || self.deferred.has(slot) || self.schedule.has_lane(slot),
        );
    }

    /// Ends the slice. A connection with items left is not read until its lane is empty; what is left is done in the
    /// next turn.
    fn leave_over(&mut self, out: &Outbound<'_>) {
        let mut released = Vec::new();
        let stop = |slot| {
            out.note_paused(PausedReading::Rate);
            out.set_reading_stopped(slot, true);
        };
        self.schedule.end_slice(stop, |slot| released.push(slot));
        released.into_iter().for_each(|slot| self.release(slot, out));
        if !self.schedule.is_empty() {
            out.want_turn();
        }
    }

    /// Schedules the deferred requests of connections that have taken their earlier answers, and reads these
    /// connections again.
    fn poll_deferred(&mut self, now: Instant, out: &Outbound<'_>) {
        let mut released = Vec::new();
        let Self { deferred, schedule, .. } = self;
        deferred.end_turn(
            |slot, item| schedule.push(slot, item),
            |slot| out.is_backlogged(slot),
            |slot| released.push(slot),
        );
        released.into_iter().for_each(|slot| self.release(slot, out));
        self.backlog_poll_at = (!self.deferred.is_empty()).then(|| now + BACKLOG_POLL);
        if !self.schedule.is_empty() {
            out.want_turn();
        }
    }
}

#[cfg(feature = "simulation")]
impl PubSub {
    /// Bytes of requests that were read and not served yet, about.
    pub(crate) fn unserved(&self) -> usize {
        self.schedule.bytes()
    }

    /// Whether any request is deferred until its connection has taken earlier answers.
    pub(crate) fn holds_back(&self) -> bool {
        !self.deferred.is_empty()
    }

    /// Bytes of encoded frames that are kept for other sessions that missed the same publications.
    pub(crate) fn replay_cache(&self) -> usize {
        self.replay_cache.bytes()
    }
}

impl PubSub {
    /// The input of a request. A token is verified here, so that the hub needs no keys.
    fn input(&mut self, peer: Peer, request: Result<Request, RejectedRequest>, now: Instant) -> Input {
        let session = self.session(peer);
        match request {
            Ok(Request { id, action: Action::Authenticate(token) }) if self.settings.get().auth.verifier.is_some() => {
                let outcome = self.verify(peer.slot, &token, now);
                Input::Authenticate { session, id, outcome }
            }
            request => Input::Request { session, request },
        }
    }

    /// Verifies a token. Verifying takes time, so each connection may have it done once a second.
    fn verify(&mut self, slot: u32, token: &AccessToken, now: Instant) -> Result<Login, ErrorReply> {
        let last = self.verified_at.get(&slot);
        if last.is_some_and(|last| now.duration_since(*last) < VERIFY_AGAIN_AFTER) {
            return Err(ErrorReply::new(ErrorCode::RateLimited, "a connection authenticates at most once a second"));
        }
        self.verified_at.insert(slot, now);
        self.settings.get().auth.verify(token.expose(), now).map_err(TokenFault::to_reply)
    }
}

impl Service for PubSub {
    fn accepts(&self, path: &str) -> bool {
        path == "/socket"
    }

    fn opened(&mut self, peer: Peer, arrival: Arrival, out: &mut Outbound<'_>) {
        // Here and not in `closed`: requests of the slot's previous connection can be served after its close, and fill
        // a mailbox then.
        self.blocked.forget(peer.slot);
        self.throttle.forget(peer.slot);
        if let Some(reporter) = &mut self.turn_output.reporter {
            reporter.note_opened(session(self.worker, peer.slot), arrival.trace);
        }
        let client = ClientId::from_random(out.random());
        let identity = arrival.login.as_ref().map(|login| &*login.identity);
        if access::is_on() && self.settings.get().log_connections {
            self.connection_log.opened(peer, (client, identity, arrival.trace), out);
        }
        let session = self.session(peer);
        let (identity, credentials) = arrival.login.map(|login| (login.identity, login.credentials)).unzip();
        let connect = Input::Connect { session, client, identity, credentials };
        self.schedule.push(peer.slot, Item::Input(connect));
        for action in arrival.requests {
            let request = Ok(Request { id: None, action });
            self.schedule.push(peer.slot, Item::Input(Input::Request { session, request }));
        }
        out.want_turn();
    }

    fn message(&mut self, peer: Peer, message: Message<'_>, out: &mut Outbound<'_>) {
        let text = match message {
            Message::Text(text) => text,
            Message::Binary(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) if peer.dialect == Dialect::Plain => text,
                _ => {
                    let ending = Ending::Violation { code: CloseCode::UNSUPPORTED, reason: "only text is taken" };
                    out.ignore_rest(peer.slot);
                    return self.ending(peer, ending, out);
                }
            },
        };
        let request = match peer.dialect {
            Dialect::Plain => plain::decode(text),
            _ => typed::decode(text),
        };
        let input = self.input(peer, request, out.now());
        match self.deferred.admit(peer.slot, Item::Input(input), || out.is_backlogged(peer.slot)) {
            Some(item) => self.schedule.push(peer.slot, item),
            None => {
                out.note_paused(PausedReading::HeldBack);
                out.set_reading_stopped(peer.slot, true);
            }
        }
        out.want_turn();
    }

    /// Answers a ping after all requests before it: the pong says that they have taken effect and were answered.
    fn ping(&mut self, peer: Peer, payload: &[u8], out: &mut Outbound<'_>) {
        let pong = Item::Pong(frame::write(Opcode::Pong, payload));
        if let Some(pong) = self.deferred.admit(peer.slot, pong, || false) {
            self.schedule.push(peer.slot, pong);
        }
        out.want_turn();
    }

    fn ending(&mut self, peer: Peer, ending: Ending, out: &mut Outbound<'_>) {
        self.deferred.close(peer.slot, |item| self.schedule.push(peer.slot, item));
        self.schedule.push(peer.slot, Item::Ending(ending));
        out.want_turn();
    }

    fn closed(&mut self, peer: Peer, closed: Closed) {
        self.verified_at.remove(&peer.slot);
        let lost = closed.close_reason == CloseReason::Lost;
        let (session, settings) = (self.session(peer), self.settings.get());
        let reporter = self.turn_output.reporter.as_mut();
        let trace = reporter.and_then(|of| of.note_closed(session, &closed, !settings.hooks.is_empty()));
        if access::is_on() && settings.log_connections {
            self.connection_log.note_closed(peer, closed, trace);
        }
        self.deferred.close(peer.slot, |item| self.schedule.push(peer.slot, item));
        self.schedule.push(peer.slot, Item::Input(Input::Closed { session, lost }));
    }

    fn disconnect(&mut self, peer: Peer, why: Disconnect, out: &mut Outbound<'_>) {
        let Disconnect { code, reason, reconnect_in_ms } = why;
        let input = Input::Disconnect { session: self.session(peer), code, reason, reconnect_in_ms };
        self.schedule.push(peer.slot, Item::Input(input));
        out.want_turn();
    }

    fn may_skip(&self, peer: Peer) -> bool {
        self.shared_hub.may_skip(self.session(peer))
    }

    fn turn(&mut self, now: Instant, out: &mut Outbound<'_>) {
        self.connection_log.write(self.worker, &self.shared_hub, out);
        self.review_all(out);
        self.take_callers_requests();
        let mut turn_output = std::mem::take(&mut self.turn_output);
        self.shared_hub.turn(self.worker, now, &mut self.schedule, &mut turn_output, out.is_behind());
        self.callers.take_answers(&turn_output);
        self.flush_plan.note(self.worker, &turn_output);
        if self.flush_plan.has_answers() {
            self.answer(u32::try_from(turn_output.mail.len()).unwrap_or(u32::MAX), &turn_output, out);
        }
        let mut number = 0;
        for output in turn_output.mail.drain(..) {
            self.carry_out_remote(number, output, now, out);
            number += 1;
        }
        self.carry_out(number, &turn_output, now, out);
        self.block_publishers(&turn_output, out);
        turn_output.clear();
        self.turn_output = turn_output;
        self.leave_over(out);
        self.callers.end_turn(|slot| self.schedule.has_lane(slot));
        self.replay_cache.end_turn();
        self.shared_hub.pause(self.worker, &mut self.to_pause);
        self.throttle.tidy(now);
        self.poll_deferred(now, out);
    }

    fn is_waiting(&self, slot: u32) -> bool {
        self.schedule.has_lane(slot)
    }

    fn read_limit(&self) -> usize {
        self.schedule.read_limit()
    }

    fn next_turn(&self) -> Option<Instant> {
        self.turn_output.next_timeout.into_iter().chain(self.backlog_poll_at).min()
    }
}

impl Drop for PubSub {
    fn drop(&mut self) {
        self.shared_hub.note_end(self.worker);
    }
}

/// The time after which a connection may have another token verified.
const VERIFY_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Time until deferred requests are checked again, if no other turn comes before.
const BACKLOG_POLL: Duration = Duration::from_millis(10);
