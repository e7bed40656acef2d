//! Puts what the hub tells of sessions and topics into the inbox of the hooks, together with what only the connections
//! know: how they ended.

use crate::connection::peer::Closed;
use crate::hooks::Hooks;
use crate::hooks::settling::ConnectionEnd;
use crate::trace_context::TraceContext;
use hubcast_hub::{Effect, Lifecycle, SessionId, Who};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

/// The reporter of one worker.
#[derive(Debug)]
pub(super) struct Reporter {
    hooks: Arc<Hooks>,
    /// How connections of this worker ended that the hub has not told to be gone.
    ends: HashMap<SessionId, ConnectionEnd>,
    /// The traces of connections of this worker that belong to some.
    traces: HashMap<SessionId, TraceContext>,
}

impl Reporter {
    pub(super) fn new(hooks: Arc<Hooks>) -> Self {
        Self { hooks, ends: HashMap::new(), traces: HashMap::new() }
    }

    /// Notes how a connection ended, and returns its trace. Called before the hub learns of it. With `is_told` the hub then
    /// tells that the client is gone.
    pub(super) fn note_closed(&mut self, session: SessionId, closed: &Closed, is_told: bool) -> Option<TraceContext> {
        if !is_told {
            return self.traces.remove(&session);
        }
        let Closed { code, reason, open_for, .. } = closed;
        self.ends.insert(session, ConnectionEnd { code: code.0, reason: reason.clone(), open_for: *open_for });
        self.traces.get(&session).copied()
    }

    /// Notes a new connection, and forgets the one that had its number before, in case the hub never told that it was
    /// there.
    pub(super) fn note_opened(&mut self, session: SessionId, trace: Option<TraceContext>) {
        self.ends.remove(&session);
        self.traces.remove(&session);
        if let Some(trace) = trace {
            self.traces.insert(session, trace);
        }
    }

    /// Reports what these effects tell. It is called while the hub is locked, so that the order is that of the hub.
    pub(super) fn report<'a>(&mut self, effects: impl Iterator<Item = &'a Effect>, now: Instant) {
        for effect in effects {
            let Effect::Lifecycle(happened) = effect else { continue };
            let trace = who(happened).and_then(|who| self.traces.get(&who.session).copied());
            let end = match happened {
                Lifecycle::Disconnected { who, .. } => {
                    self.traces.remove(&who.session);
                    self.ends.remove(&who.session)
                }
                _ => None,
            };
            self.hooks.inbox.push(now, happened.clone(), trace, end);
        }
    }
}

/// The client that something happened to, if it was one.
fn who(happened: &Lifecycle) -> Option<&Who> {
    match happened {
        Lifecycle::Connected(who)
        | Lifecycle::Identified(who)
        | Lifecycle::Subscribed(who, _)
        | Lifecycle::Unsubscribed { who, .. }
        | Lifecycle::Disconnected { who, .. } => Some(who),
        Lifecycle::Occupied(_) | Lifecycle::Vacant(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::peer::CloseReason;
    use crate::metrics::traffic::Traffic;
    use hubcast_protocol::{ClientId, CloseCode};
    use std::time::Duration;

    #[test]
    fn a_connection_has_no_trace_of_the_one_that_had_its_number_before() {
        let hooks = Arc::<Hooks>::default();
        let (mut reporter, now) = (Reporter::new(Arc::clone(&hooks)), Instant::now());
        let mut headers = hyper::HeaderMap::new();
        let value = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".parse().unwrap();
        headers.insert("traceparent", value);
        let (session, trace) = (SessionId(7), TraceContext::of(&headers));
        let who = Who { session, client: ClientId::from_random([1; 16]), identity: None };
        let told = |reporter: &mut Reporter, happened| {
            reporter.report([Effect::Lifecycle(happened)].iter(), now);
            hooks.inbox.take(1, now, 0).0[0].trace
        };
        reporter.note_opened(session, trace);
        assert_eq!(told(&mut reporter, Lifecycle::Connected(who.clone())), trace);
        assert_eq!(told(&mut reporter, Lifecycle::Disconnected { who: who.clone(), lost: false }), trace);
        assert!(reporter.traces.is_empty(), "no memory stays");
        // The hub never told that this one was there.
        reporter.note_opened(session, trace);
        reporter.note_opened(session, None);
        assert_eq!(told(&mut reporter, Lifecycle::Connected(who)), None);
        // There are no hooks.
        reporter.note_opened(session, trace);
        let closed = Closed {
            close_reason: CloseReason::Clean,
            code: CloseCode(1000),
            reason: Box::default(),
            open_for: Duration::ZERO,
            address: None,
            traffic: Traffic::default(),
        };
        assert_eq!(reporter.note_closed(session, &closed, false), trace);
        assert!(reporter.traces.is_empty() && reporter.ends.is_empty(), "no memory stays");
    }
}
