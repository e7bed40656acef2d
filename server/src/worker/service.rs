//! The interface between a worker and what it does with messages.

use super::outbound::Outbound;
use crate::connection::peer::{Arrival, Closed, Disconnect, Ending, Message, Peer};
use crate::websocket::frame::{self, Opcode};
use std::time::Instant;

/// The part of a worker that gives messages their meaning: publish/subscribe, or an echo.
///
/// Each worker has its own service and calls it on its own thread: [`opened`](Service::opened) once for a connection,
/// then [`message`](Service::message) for each complete message, then [`closed`](Service::closed) once. After that,
/// another connection may get the slot. [`turn`](Service::turn) comes after the service has got everything that
/// arrived together, and when the worker was woken.
pub trait Service: 'static {
    /// Whether a WebSocket may be opened on this path.
    fn accepts(&self, path: &str) -> bool;

    /// A connection is open.
    fn opened(&mut self, peer: Peer, arrival: Arrival, out: &mut Outbound<'_>);

    /// A message is complete.
    fn message(&mut self, peer: Peer, message: Message<'_>, out: &mut Outbound<'_>);

    /// A ping has come. A service that answers it later must answer every ping of a connection in order, with its
    /// payload (RFC 6455 section 5.5.3).
    fn ping(&mut self, peer: Peer, payload: &[u8], out: &mut Outbound<'_>) {
        out.push(peer.slot, &frame::write(Opcode::Pong, payload));
        out.want_turn();
    }

    /// Nothing more comes from a connection: it closes, or it broke the protocol. The service calls [`Outbound::end`]
    /// for this once all earlier requests of the connection are answered.
    fn ending(&mut self, peer: Peer, ending: Ending, out: &mut Outbound<'_>) {
        out.end(peer.slot, ending);
    }

    /// A connection takes nothing more.
    fn closed(&mut self, peer: Peer, closed: Closed);

    /// The server disconnects a client, and tells it when to come back.
    fn disconnect(&mut self, peer: Peer, why: Disconnect, out: &mut Outbound<'_>);

    /// Whether everything that a connection gets may be left out. Such a connection is not aborted when it takes
    /// nothing for the time that a write may wait, as long as it answers pings.
    fn may_skip(&self, _peer: Peer) -> bool {
        false
    }

    /// Everything that arrived together has been passed on. Frames that are pushed until this returns are written
    /// together. Work that would take too long is left to the next turn, which [`Outbound::want_turn`] asks for.
    fn turn(&mut self, now: Instant, out: &mut Outbound<'_>);

    /// Whether earlier turns have left requests of a connection over. Until these are done, the connection is not
    /// read, and its slot is not given to another one.
    fn is_waiting(&self, _slot: u32) -> bool {
        false
    }

    /// Bytes that one read of a connection may take.
    fn read_limit(&self) -> usize {
        usize::MAX
    }

    /// When the service wants a turn even if nothing comes.
    fn next_turn(&self) -> Option<Instant> {
        None
    }
}
