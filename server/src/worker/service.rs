//! What is done with messages, as the workers see it.

use super::outbound::Outbound;
use crate::connection::peer::{CloseReason, Disconnect, Ending, Message, Peer};
use crate::websocket::frame::{self, Opcode};
use std::time::Instant;

/// The part of a worker that gives messages their meaning: publish/subscribe, or an echo.
///
/// Each worker has one of its own and calls it on its own thread: [`opened`](Service::opened) once for a
/// connection, then [`message`](Service::message) for each complete message, then [`closed`](Service::closed) once,
/// after which the connection's number may be given to another one. [`turn`](Service::turn) comes after all
/// that arrived at once has been told, and when the service was woken.
pub trait Service: 'static {
    /// Whether a WebSocket may be opened on this path.
    fn accepts(&self, path: &str) -> bool;

    /// A connection is open.
    fn opened(&mut self, peer: Peer, out: &mut Outbound<'_>);

    /// A message is complete.
    fn message(&mut self, peer: Peer, message: Message<'_>, out: &mut Outbound<'_>);

    /// A ping has come; whoever answers it later must answer every ping of a connection in order, with its payload
    /// (RFC 6455 section 5.5.3).
    fn ping(&mut self, peer: Peer, payload: &[u8], out: &mut Outbound<'_>) {
        out.push(peer.slot, &frame::write(Opcode::Pong, payload));
        out.want_turn();
    }

    /// Nothing more comes from a connection: it closes, or broke the protocol. Once all that it asked for before is
    /// answered, [`Outbound::end`] answers this.
    fn ending(&mut self, peer: Peer, ending: Ending, out: &mut Outbound<'_>) {
        out.end(peer.slot, ending);
    }

    /// A connection takes nothing more.
    fn closed(&mut self, peer: Peer, close_reason: CloseReason);

    /// The server wants a connection to go, and to come back when it says.
    fn disconnect(&mut self, peer: Peer, why: Disconnect, out: &mut Outbound<'_>);

    /// Whether all that a connection hears may be left out: then one that takes nothing for the time that a write may
    /// wait is not cut for it, as long as it answers pings.
    fn may_skip(&self, _peer: Peer) -> bool {
        false
    }

    /// Everything that arrived together has been told. Batch pushed until the end of this are written at once. What would
    /// take too long is left to the next turn, which [`Outbound::want_turn`] asks for.
    fn turn(&mut self, now: Instant, out: &mut Outbound<'_>);

    /// Whether turns have left something over of a connection: until it is done the connection is not read, nor its
    /// number given to another one.
    fn is_waiting(&self, _slot: u32) -> bool {
        false
    }

    /// Bytes to be read at once from one connection.
    fn read_limit(&self) -> usize {
        usize::MAX
    }

    /// When it wants a turn even if nothing comes.
    fn next_turn(&self) -> Option<Instant> {
        None
    }
}
