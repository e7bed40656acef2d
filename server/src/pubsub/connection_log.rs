//! The lines of the log about connections: one when each is opened, and one when it is closed.

use super::address::session;
use super::shared_hub::SharedHub;
use crate::connection::peer::{Closed, Peer};
use crate::log::access::{self, LINES_PER_SECOND, LineBudget, Visit, Visitor};
use crate::log::warnings::Warning;
use crate::trace_context::TraceContext;
use crate::worker::outbound::Outbound;
use hubcast_hub::{Identity, MemberName};
use hubcast_protocol::ClientId;
use std::collections::HashMap;

/// Writes the lines of one worker.
#[derive(Debug, Default)]
pub(super) struct ConnectionLog {
    budget: LineBudget,
    /// Connections that are closed, and have no line yet.
    closed: Vec<(Peer, Closed)>,
    /// By slot: the traces of open connections that belong to some.
    traces: HashMap<u32, TraceContext>,
    /// Lines that are left out and not counted yet.
    left_out: u64,
}

impl ConnectionLog {
    /// Notes that a connection was opened, and writes the line if `is_wanted`.
    pub(super) fn note_opened(
        &mut self,
        peer: Peer,
        (client, identity, trace): (ClientId, Option<&Identity>, Option<TraceContext>),
        is_wanted: bool,
        out: &Outbound<'_>,
    ) {
        if let Some(trace) = trace {
            self.traces.insert(peer.slot, trace);
        }
        if !is_wanted {
            return;
        }
        if !self.budget.take(out.now()) {
            return out.warn(Warning::ConnectionLines, 1);
        }
        let (client, user) = (Some(client), identity.and_then(user));
        access::opened(&Visitor { address: out.address(peer.slot), client, user, dialect: peer.dialect, trace });
    }

    /// Notes that a connection is closed. Its line is written in the next turn.
    pub(super) fn note_closed(&mut self, peer: Peer, closed: Closed, is_wanted: bool) {
        if !is_wanted {
            self.traces.remove(&peer.slot);
        } else if self.closed.len() < LINES_PER_SECOND as usize {
            self.closed.push((peer, closed));
        } else {
            self.traces.remove(&peer.slot);
            self.left_out += 1;
        }
    }

    /// Writes the lines of the connections that are closed, while the hub still knows who they are.
    pub(super) fn write(&mut self, worker: usize, hub: &SharedHub, out: &Outbound<'_>) {
        if self.closed.is_empty() {
            return;
        }
        let now = out.now();
        let Self { budget, closed, traces, left_out } = self;
        let mut closed = std::mem::take(closed);
        closed.retain(|(peer, _)| {
            let is_written = budget.take(now);
            if !is_written {
                traces.remove(&peer.slot);
                *left_out += 1;
            }
            is_written
        });
        let who = hub.with_hub(|hub| {
            let who = closed.iter().map(|(peer, _)| hub.who(session(worker, peer.slot)));
            who.collect::<Vec<_>>()
        });
        for ((peer, closed), who) in closed.iter().zip(who) {
            let client = who.as_ref().map(|who| who.client);
            let user = who.as_ref().and_then(|who| user(who.identity.as_deref()?));
            let trace = traces.remove(&peer.slot);
            let visitor = Visitor { address: closed.address, client, user, dialect: peer.dialect, trace };
            let Closed { code, reason, open_for, traffic, .. } = closed;
            access::closed(&visitor, &Visit { code: code.0, reason, lasted: *open_for, traffic: *traffic });
        }
        if *left_out > 0 {
            out.warn(Warning::ConnectionLines, std::mem::take(left_out));
        }
    }
}

fn user(identity: &Identity) -> Option<&str> {
    match &identity.name {
        MemberName::User(user) => Some(user),
        MemberName::Anonymous(_) | MemberName::ApiKey(_) => None,
    }
}
