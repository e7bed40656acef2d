//! One WebSocket: its socket, its outbox, and its phase between open and closed.

pub(crate) mod event_stream;
pub(crate) mod facts;
mod moment;
pub(crate) mod peer;
#[cfg(feature = "simulation")]
mod pipe;
mod read;
mod socket;
mod timeouts;
pub(crate) mod totals;
mod unread;
mod write;

#[cfg(feature = "simulation")]
pub use pipe::ClientEnd;
#[cfg(feature = "simulation")]
pub(crate) use pipe::{News, pipe};
pub(crate) use read::FeedResult;
pub(crate) use socket::Socket;
pub(crate) use timeouts::TimerAction;

use crate::config::Config;
use crate::listener::limit::Permit;
use crate::metrics::kinds::Carrier;
use crate::metrics::traffic::Traffic;
use crate::outbox::{LeftOut, Outbox};
use crate::websocket::decoder::Decoder;
use crate::websocket::frame::{self, Opcode};
use event_stream::EventStream;
use hubcast_protocol::{CloseCode, Dialect};
use moment::Moment;
use peer::Peer;
use std::cell::RefCell;
use std::io;
use std::net::{IpAddr, Shutdown, SocketAddr};
use std::rc::Rc;
use std::time::Instant;
use totals::Totals;

/// A WebSocket that is open or closing. One task reads from it, and its worker writes to it.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) peer: Peer,
    socket: Socket,
    address: Option<(IpAddr, u16)>,
    state: RefCell<ConnectionState>,
    /// `Some` if it is a stream of server-sent events.
    stream: Option<Box<EventStream>>,
    /// What the worker counts over all its connections.
    totals: Rc<Totals>,
    /// The place among all connections.
    _permit: Rc<Permit>,
}

#[derive(Debug)]
struct ConnectionState {
    phase: Phase,
    outbox: Outbox,
    decoder: Decoder,
    /// When the last complete frame came.
    last_frame_at: Moment,
    /// When the last ping was sent, while no frame has come since.
    ping_sent_at: Option<Moment>,
    /// When the incomplete message or control frame began.
    unfinished_since: Option<Moment>,
    /// While the socket takes no more, or has had its share of the worker's time while more waits (`MAX_WRITE_BYTES`):
    /// when it last took some, or when the write timeout was last extended.
    write_blocked: Option<Moment>,
    is_dirty: bool,
    /// When it was opened.
    opened: Moment,
    traffic: Traffic,
    /// Whether the next read has to wait a little, because the receivers of this client's publications are far behind.
    is_paused: bool,
    /// Whether the reading task is in such a pause now.
    is_pausing: bool,
    /// Whether reading is stopped until the earlier requests are served and the client has taken their answers.
    is_reading_stopped: bool,
    /// Since when nothing is read, because of a pause or because reading is stopped.
    unread_since: Option<Moment>,
    /// Whether the client has sent its last message, while requests before it are not answered yet.
    is_ending: bool,
    /// The tick at which the deadlines are checked next, or [`NOT_ARMED`].
    armed: u64,
}

/// The phases in their order. A connection may skip some of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Open,
    /// Our close frame waits in the outbox, after all that waited before. `took` is when the socket last took some of
    /// it. With `discards_input` the bytes of the client can no longer be understood.
    Closing {
        since: Moment,
        took: Moment,
        discards_input: bool,
    },
    /// Both sides have sent a close frame; ours may still wait in the outbox.
    Agreed {
        since: Moment,
        took: Moment,
    },
    /// Everything is written and our direction is shut. What still comes is read and dropped. Otherwise the system
    /// could reset the connection, and the client would lose our last bytes.
    Lingering {
        since: Moment,
        dropped: usize,
    },
    /// All is written or the socket is shut. The reading task has ended, or sees this phase before it reads again.
    Aborted,
}

/// What the outbox needs to know to queue something.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PushContext {
    pub(crate) dialect: Dialect,
    /// Whether nothing can be written now: the socket takes no more, or has had its share of the worker's time.
    pub(crate) write_blocked: bool,
}

/// The result of pushing a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PushResult {
    /// It waits; `first`: nothing else was pushed since the last flush.
    Waits { first: bool },
    /// Rejected: the outbox is `full`, or else the connection is not open.
    Rejected { full: bool },
}

impl Connection {
    pub(crate) fn new(
        peer: Peer,
        socket: Socket,
        stream: Option<Box<EventStream>>,
        permit: Rc<Permit>,
        totals: Rc<Totals>,
        now: Instant,
    ) -> Self {
        let address = match permit.client() {
            Some(client) => Some((client, 0)),
            None => socket.peer_addr().ok().map(|address| (address.ip(), address.port())),
        };
        let state = RefCell::new(ConnectionState::new(now));
        Self { peer, socket, address, state, stream, totals, _permit: permit }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.state.borrow().phase == Phase::Open
    }

    /// The address of the client, if it has one. That of a client behind a proxy has no port.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.address.map(SocketAddr::from)
    }

    /// Calls `put` to queue something. `put` returns whether there was room.
    pub(crate) fn push(&self, put: impl FnOnce(&mut Outbox, PushContext) -> bool) -> PushResult {
        let mut state = self.state.borrow_mut();
        if state.phase != Phase::Open {
            return PushResult::Rejected { full: false };
        }
        let room = PushContext { dialect: self.peer.dialect, write_blocked: state.write_blocked.is_some() };
        match self.tally(&mut state.outbox, |outbox| put(outbox, room)) {
            true => PushResult::Waits { first: state.mark_dirty() },
            false => PushResult::Rejected { full: true },
        }
    }

    /// Whether a message or a frame is incomplete.
    pub(crate) fn is_mid_frame(&self) -> bool {
        self.state.borrow().unfinished_since.is_some()
    }

    /// Whether more than three quarters of the outbox are in use.
    pub(crate) fn is_pressed(&self, config: &Config) -> bool {
        self.state.borrow().outbox.charged() > config.outbox / 4 * 3
    }

    /// Bytes that wait to be written, and bytes of the incomplete message.
    pub(crate) fn waiting(&self) -> (usize, usize) {
        let state = self.state.borrow();
        (state.outbox.charged() + state.outbox.exempt(), state.decoder.bytes())
    }

    /// What was left out since the last call.
    pub(crate) fn take_left_out(&self) -> Option<LeftOut> {
        self.state.borrow_mut().outbox.take_left_out()
    }

    /// What carries the connection, as it is counted.
    pub(crate) fn carrier(&self) -> Carrier {
        Carrier::of(self.peer.dialect)
    }

    /// Leaves out all that may be left out of the outbox. Returns whether there was anything.
    pub(crate) fn leave_out_all(&self) -> bool {
        self.tally(&mut self.state.borrow_mut().outbox, Outbox::leave_out_all)
    }

    /// Bytes that wait and do not count against the limit of the outbox.
    pub(crate) fn exempt(&self) -> usize {
        self.state.borrow().outbox.exempt()
    }

    /// Begins to close. What waits is still written, unless the outbox overflowed. Returns whether the connection was
    /// open.
    pub(crate) fn close(&self, code: CloseCode, reason: &str, now: Instant) -> bool {
        // After a violation the rest of the input makes no sense. After our own reasons (a drain, a slow consumer, a rate
        // limit) the peer may still answer the close frame.
        let discards_input = self.stream.is_some() || !matches!(code.0, 1000 | 1001 | 1012 | 4000..);
        let mut state = self.state.borrow_mut();
        if state.phase != Phase::Open {
            return false;
        }
        let discards = code == CloseCode::SLOW_CONSUMER;
        if discards && !self.tally(&mut state.outbox, Outbox::discard_unsent) {
            // Within a long frame no close frame can be sent.
            drop(state);
            return self.abort();
        }
        let last = match &self.stream {
            Some(stream) => stream.closing(code, reason, !discards),
            None => frame::write_close(code, reason),
        };
        if !last.is_empty() {
            self.tally(&mut state.outbox, |outbox| outbox.push_exempt(last));
        }
        if discards_input {
            self.totals.queued.set(self.totals.queued.get() - std::mem::take(&mut state.decoder).bytes());
        }
        let now = now.into();
        state.phase = Phase::Closing { since: now, took: now, discards_input };
        true
    }

    /// Whether the connection is over. A client may go on sending to a socket that is shut; without this check the
    /// reading task would read for ever.
    pub(crate) fn is_aborted(&self) -> bool {
        self.state.borrow().phase == Phase::Aborted
    }

    /// Notes that the reading task has ended. Returns whether the connection was open.
    pub(crate) fn on_read_closed(&self) -> bool {
        let mut state = self.state.borrow_mut();
        if state.write_blocked.is_some() {
            // No deadline is checked any more, and the client may never take what waits.
            self.shut(&mut state, Shutdown::Both);
        }
        std::mem::replace(&mut state.phase, Phase::Aborted) == Phase::Open
    }

    /// Shuts the socket and drops what waits. The reading task then ends. Returns whether the connection was open.
    pub(crate) fn abort(&self) -> bool {
        let mut state = self.state.borrow_mut();
        let was = std::mem::replace(&mut state.phase, Phase::Aborted);
        if was != Phase::Aborted {
            self.tally(&mut state.outbox, |outbox| {
                self.socket.shutdown(Shutdown::Both);
                *outbox = Outbox::default();
            });
        }
        was == Phase::Open
    }

    /// Called when the client closes. Answers with the same code (RFC 6455 section 5.5.1), unless the client's close
    /// frame was already the answer to ours. Returns whether the connection was open.
    pub(crate) fn answer_close(&self, code: Option<CloseCode>, now: Instant) -> bool {
        let mut state = self.state.borrow_mut();
        let was_open = state.phase == Phase::Open;
        state.phase = match state.phase {
            Phase::Open => Phase::Agreed { since: now.into(), took: now.into() },
            // The client has answered our close frame. That does not change the deadline for what still waits.
            Phase::Closing { since, took, .. } => Phase::Agreed { since, took },
            further => further,
        };
        if was_open {
            let close = code.map_or_else(|| frame::write(Opcode::Close, &[]), |code| frame::write_close(code, ""));
            self.tally(&mut state.outbox, |outbox| outbox.push_exempt(close));
        }
        was_open
    }

    /// Starts the write timeout again.
    pub(crate) fn extend_write_timeout(&self, now: Instant) {
        let write_blocked = &mut self.state.borrow_mut().write_blocked;
        *write_blocked = write_blocked.map(|_| now.into());
    }

    /// Whether a flush waits for the socket.
    pub(crate) fn is_write_blocked(&self) -> bool {
        self.state.borrow().write_blocked.is_some()
    }

    /// Waits until the socket takes more bytes.
    pub(crate) async fn writable(&self) -> io::Result<()> {
        self.socket.writable().await
    }

    /// Notes that there is something to write. Returns whether it is the first since the last flush.
    pub(crate) fn mark_dirty(&self) -> bool {
        self.state.borrow_mut().mark_dirty()
    }

    /// Whether there is something to write, and the socket may take it.
    pub(crate) fn may_flush(&self) -> bool {
        let state = self.state.borrow();
        state.is_dirty && state.write_blocked.is_none()
    }
}

impl Connection {
    /// Shuts the socket, and updates the byte count of the worker: the TLS layer says goodbye.
    fn shut(&self, state: &mut ConnectionState, how: Shutdown) {
        self.tally(&mut state.outbox, |_| self.socket.shutdown(how));
    }

    /// Changes the outbox, and updates the byte count of the worker.
    fn tally<T>(&self, outbox: &mut Outbox, change: impl FnOnce(&mut Outbox) -> T) -> T {
        let before = outbox.own_bytes() + self.socket.unsent();
        let changed = change(outbox);
        let now = outbox.own_bytes() + self.socket.unsent();
        self.totals.queued.set(self.totals.queued.get() + now - before);
        changed
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let state = self.state.get_mut();
        let waiting = state.outbox.own_bytes() + self.socket.unsent() + state.decoder.bytes();
        self.totals.queued.set(self.totals.queued.get() - waiting);
    }
}

impl ConnectionState {
    fn new(now: Instant) -> Self {
        Self {
            phase: Phase::Open,
            outbox: Outbox::default(),
            decoder: Decoder::default(),
            last_frame_at: now.into(),
            ping_sent_at: None,
            unfinished_since: None,
            write_blocked: None,
            is_dirty: false,
            opened: now.into(),
            traffic: Traffic::default(),
            is_paused: false,
            is_reading_stopped: false,
            is_pausing: false,
            unread_since: None,
            is_ending: false,
            armed: NOT_ARMED,
        }
    }

    fn mark_dirty(&mut self) -> bool {
        !std::mem::replace(&mut self.is_dirty, true)
    }
}

/// The number of no tick.
const NOT_ARMED: u64 = u64::MAX;

/// A ping without payload.
const PING: &[u8] = &[0x89, 0];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_takes_one_piece_of_the_allocator_of_320_bytes() {
        let counts_of_its_rc = 2 * size_of::<usize>();
        assert!(size_of::<Connection>() + counts_of_its_rc <= 320, "{}", size_of::<Connection>());
    }
}
