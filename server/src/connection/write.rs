//! Writing the outbox of a connection to its socket.

use super::{Connection, ConnectionState, Phase, Socket};
use crate::encode::batch::Batch;
use crate::outbox::{DirectWrite, Sink};
use crate::runtime::system;
use bytes::Bytes;
use std::cell::Cell;
use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::time::Instant;

impl Connection {
    /// Whether the connection is open and nothing waits to be written.
    pub(crate) fn is_idle(&self) -> bool {
        let state = self.state.borrow();
        state.phase == Phase::Open && state.write_blocked.is_none() && state.outbox.is_empty()
    }

    /// Writes a batch without queueing it, if nothing waits that must go first. Usually nothing does.
    ///
    /// A fan-out costs little more than this call, so it asks the system without asking the runtime first. If the
    /// socket takes no more, the flush that follows finds that out again.
    pub(crate) fn try_write_direct(&self, frames: &Batch) -> DirectWrite {
        if !self.is_idle() {
            return DirectWrite::Nothing;
        }
        let mut state = self.state.borrow_mut();
        let publications = frames.publications().len() as u64;
        let frames = frames.get(self.peer.dialect);
        if let Socket::Tcp(socket) = &self.socket {
            // The way of nearly all deliveries. Nothing waited before, and nothing waits after a whole write.
            let written = state.outbox.try_write_direct(frames, |bytes| system::send(socket, bytes));
            match written {
                DirectWrite::All => state.traffic.sent_bytes += frames.len() as u64,
                DirectWrite::Part => {
                    let begun = state.outbox.begun();
                    self.count_sent(&mut state, begun);
                    self.totals.queued.set(self.totals.queued.get() + state.outbox.own_bytes());
                }
                DirectWrite::Nothing => return written,
            }
            state.traffic.deliveries += publications;
            return written;
        }
        let write = |bytes: &[u8]| self.socket.send(bytes);
        let written = match self.tally(&mut state.outbox, |outbox| outbox.try_write_direct(frames, write)) {
            // The flush that follows sends it, or waits until the socket takes it.
            DirectWrite::All if self.socket.unsent() > 0 => {
                self.count_sent(&mut state, frames.len());
                DirectWrite::Part
            }
            DirectWrite::All => {
                state.traffic.sent_bytes += frames.len() as u64;
                DirectWrite::All
            }
            DirectWrite::Part => {
                let begun = state.outbox.begun();
                self.count_sent(&mut state, begun);
                DirectWrite::Part
            }
            DirectWrite::Nothing => return DirectWrite::Nothing,
        };
        state.traffic.deliveries += publications;
        written
    }

    /// Writes what waits. Returns whether some is left because the socket takes no more.
    pub(crate) fn flush(&self, now: Instant) -> bool {
        self.write(now, false)
    }

    /// Tries to write to a blocked socket, without waiting until the runtime reports that it takes bytes again.
    ///
    /// The system reports that only when the client has taken half of what may be unsent; this half is 256 KiB. A slow
    /// client takes bytes all the time, but may need longer for so many than the write timeout.
    pub(crate) fn retry_write(&self, now: Instant) {
        if self.is_write_blocked() {
            self.write(now, true);
        }
    }

    /// Counts what was sent. The batches of a fan-out that were written whole are counted together, by who delivers them.
    fn count_sent(&self, state: &mut ConnectionState, bytes: usize) {
        state.traffic.sent_bytes += bytes as u64;
        self.totals.metrics.sent_bytes[self.carrier() as usize].add(bytes as u64);
    }

    fn write(&self, now: Instant, asks_system: bool) -> bool {
        self.write_state(&mut self.state.borrow_mut(), now, asks_system)
    }

    fn write_state(&self, state: &mut ConnectionState, now: Instant, asks_system: bool) -> bool {
        state.is_dirty = false;
        let is_catching_up = state.write_blocked.is_some() && state.outbox.exempt() > 0;
        let socket = Watched { socket: &self.socket, asks_system, took: Cell::new(0) };
        let written = self.tally(&mut state.outbox, |outbox| {
            outbox.write_to(&socket, self.peer.dialect)?;
            socket.send_rest()
        });
        self.count_sent(state, socket.took.get());
        if is_catching_up && socket.took.get() > 0 {
            // The ping is behind a replay. Its time begins only when the replay is written.
            state.ping_sent_at = state.ping_sent_at.map(|_| now.into());
        }
        if let (true, Phase::Closing { took, .. } | Phase::Agreed { took, .. }) =
            (socket.took.get() > 0, &mut state.phase)
        {
            *took = now.into();
        }
        match written {
            Ok(()) => {
                let was_blocked = state.write_blocked.take().is_some();
                if let (Phase::Open, Some(positions)) = (&state.phase, self.due_positions()) {
                    self.tally(&mut state.outbox, |outbox| outbox.push_exempt(positions));
                    return self.write_state(state, now, asks_system);
                }
                self.go_on_closing(state, was_blocked, now);
                false
            }
            Err(fault) if fault.kind() == io::ErrorKind::WouldBlock => {
                if socket.took.get() > 0 || state.write_blocked.is_none() {
                    state.write_blocked = Some(now.into());
                }
                true
            }
            Err(_) => {
                self.shut(state, Shutdown::Both);
                false
            }
        }
    }
}

impl Connection {
    /// The positions that a stream sends now that nothing waits.
    fn due_positions(&self) -> Option<Bytes> {
        self.stream.as_ref()?.take_due_positions()
    }

    /// Called when all is written. If the connection is closing, that includes the close frame.
    fn go_on_closing(&self, state: &mut ConnectionState, was_blocked: bool, now: Instant) {
        match state.phase {
            // The task that read the client's close frame checks after every turn whether the connection is over.
            Phase::Agreed { .. } if !was_blocked => {
                self.tally(&mut state.outbox, |_| self.socket.say_goodbye());
                state.phase = Phase::Aborted;
            }
            Phase::Agreed { .. } | Phase::Closing { discards_input: true, .. } => {
                self.shut(state, Shutdown::Write);
                state.phase = Phase::Lingering { since: now.into(), dropped: 0 };
            }
            _ => {}
        }
    }
}

struct Watched<'a> {
    socket: &'a Socket,
    /// Whether to ask the system even if the runtime knows that the socket took no more.
    asks_system: bool,
    /// Bytes that the socket took.
    took: Cell<usize>,
}

impl Watched<'_> {
    /// Sends what counts as written and waits in the TLS layer.
    fn send_rest(&self) -> io::Result<()> {
        while self.socket.unsent() > 0 {
            self.note(self.socket.send_rest(self.asks_system))?;
        }
        Ok(())
    }

    fn note(&self, written: io::Result<usize>) -> io::Result<usize> {
        self.took.set(self.took.get() + written.as_ref().map_or(0, |written| *written));
        written
    }
}

impl Sink for Watched<'_> {
    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.note(if self.asks_system { self.socket.send(bytes) } else { self.socket.write(bytes) })
    }

    fn write_vectored(&self, bytes: &[IoSlice<'_>]) -> io::Result<usize> {
        match bytes.iter().find(|slice| !slice.is_empty()) {
            Some(first) if self.asks_system => self.write(first),
            _ => self.note(self.socket.write_vectored(bytes)),
        }
    }
}
