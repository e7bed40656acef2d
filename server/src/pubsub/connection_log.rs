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

/// Writes the lines of one worker.
#[derive(Debug, Default)]
pub(super) struct ConnectionLog {
    budget: LineBudget,
    /// Connections that are closed, and have no line yet.
    closed: Vec<(Peer, Closed, Option<TraceContext>)>,
    /// Lines that are left out and not counted yet.
    left_out: u64,
}

impl ConnectionLog {
    /// Writes that a connection is open.
    pub(super) fn opened(
        &mut self,
        peer: Peer,
        (client, identity, trace): (ClientId, Option<&Identity>, Option<TraceContext>),
        out: &Outbound<'_>,
    ) {
        if !self.budget.take(out.now()) {
            return out.warn(Warning::ConnectionLines, 1);
        }
        let (client, user) = (Some(client), identity.and_then(user));
        access::opened(&Visitor { address: out.address(peer.slot), client, user, dialect: peer.dialect, trace });
    }

    /// Notes that a connection is closed. Its line is written in the next turn.
    pub(super) fn note_closed(&mut self, peer: Peer, closed: Closed, trace: Option<TraceContext>) {
        match self.closed.len() < LINES_PER_SECOND as usize {
            true => self.closed.push((peer, closed, trace)),
            false => self.left_out += 1,
        }
    }

    /// Writes the lines of the connections that are closed, while the hub still knows who they are.
    pub(super) fn write(&mut self, worker: usize, hub: &SharedHub, out: &Outbound<'_>) {
        if self.closed.is_empty() {
            return;
        }
        let mut closed = std::mem::take(&mut self.closed);
        let all = closed.len();
        closed.retain(|_| self.budget.take(out.now()));
        let left_out = std::mem::take(&mut self.left_out) + (all - closed.len()) as u64;
        let who = hub.with_hub(|hub| {
            let who = closed.iter().map(|(peer, ..)| hub.who(session(worker, peer.slot)));
            who.collect::<Vec<_>>()
        });
        for ((peer, closed, trace), who) in closed.iter().zip(who) {
            let client = who.as_ref().map(|who| who.client);
            let user = who.as_ref().and_then(|who| user(who.identity.as_deref()?));
            let visitor = Visitor { address: closed.address, client, user, dialect: peer.dialect, trace: *trace };
            let Closed { code, reason, open_for, traffic, .. } = closed;
            access::closed(&visitor, &Visit { code: code.0, reason, lasted: *open_for, traffic: *traffic });
        }
        if left_out > 0 {
            out.warn(Warning::ConnectionLines, left_out);
        }
    }
}

fn user(identity: &Identity) -> Option<&str> {
    match &identity.name {
        MemberName::User(user) => Some(user),
        MemberName::Anonymous(_) | MemberName::ApiKey(_) => None,
    }
}
