//! The task that reads one connection.

use super::Worker;
use super::outbound::Outbound;
use super::service::Service;
use crate::connection::peer::{Arrival, Ending, Message, Peer};
use crate::connection::{Connection, FeedResult, Socket};
use crate::listener::limit::Permit;
use crate::metrics::kinds::Carrier;
use crate::websocket::decoder::Incoming;
use crate::websocket::frame::Violation;
use hubcast_protocol::Dialect;
use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use tokio::task::yield_now;

/// Reads until the peer, an error or a deadline ends it. `first` is the step that follows from the bytes after the
/// handshake.
async fn read_all<S: Service>(worker: Rc<Worker<S>>, connection: Rc<Connection>, first: Next) {
    let reading = Reading { worker, connection, is_admitted: Cell::new(false) };
    let mut next = first;
    loop {
        match next {
            Next::Read => {}
            Next::Yield => yield_now().await,
            // In a box: few connections ever need the timer, but in the task's state each of them would pay for it.
            Next::Pause => {
                let connections = &reading.worker.connections;
                let begun = connections.runtime.now();
                reading.connection.note_pausing(true, begun);
                Box::pin(connections.runtime.sleep_until(begun + connections.config.timeouts.publisher_pause)).await;
                reading.connection.note_pausing(false, connections.runtime.now());
            }
            Next::PeerClosed => {
                // The turn writes our close frame. A peer that has closed sends nothing more that would cause a reset,
                // so there is nothing to wait for after that frame is written.
                reading.finish_turn().await;
                if reading.connection.is_aborted() {
                    return;
                }
            }
            Next::End => break,
        }
        next = poll_fn(|context| reading.poll_once(context)).await.unwrap_or(Next::End);
    }
    // A peer that closes its sending side after a request still gets the answer.
    reading.finish_turn().await;
    while reading.worker.service.borrow().is_waiting(reading.connection.peer.slot) && reading.connection.is_open() {
        poll_fn(|context| reading.poll_released(context)).await;
        reading.finish_turn().await;
    }
}

/// What the handshake leaves to be done.
pub(crate) struct Leftover<'a> {
    /// The answer to the handshake, written before anything else.
    pub(crate) answer: Vec<u8>,
    /// What the peer sent without waiting for the answer.
    pub(crate) frames: &'a [u8],
}

/// The state of a reading task. Dropping it ends the connection, whatever the reason is.
struct Reading<S: Service> {
    worker: Rc<Worker<S>>,
    connection: Rc<Connection>,
    /// Whether the connection has passed admission.
    is_admitted: Cell<bool>,
}

/// What a reading task does next.
enum Next {
    Read,
    Yield,
    Pause,
    /// The peer has closed, and everything that it sent is read.
    PeerClosed,
    End,
}

impl<S: Service> Reading<S> {
    /// Returns after at least one turn has been taken.
    async fn finish_turn(&self) {
        let connections = &self.worker.connections;
        let before = connections.beat.turns();
        connections.want_turn();
        yield_now().await;
        // The worker may be waiting for more publications of a burst (`Worker::coalesce_input`). This task takes the turn
        // itself instead of waiting for that.
        if connections.beat.turns() == before {
            self.worker.turn();
        }
    }

    /// Reads once into the worker's buffer, and decodes there what was read.
    fn poll_once(&self, context: &mut Context<'_>) -> Poll<io::Result<Next>> {
        if self.connection.take_pause() {
            return Poll::Ready(Ok(Next::Pause));
        }
        ready!(self.poll_released(context));
        if self.connection.is_aborted() {
            return Poll::Ready(Ok(Next::End));
        }
        if !self.is_admitted.get() {
            ready!(self.connection.poll_readable(context))?;
            // The first request of a new connection is often for all that it has missed.
            ready!(self.worker.admission.poll_admit(context));
            self.is_admitted.set(true);
        }
        let mut scratch = self.worker.scratch.borrow_mut();
        let limit = self.worker.connections.read_limit.get().min(scratch.len());
        let (count, full) = ready!(self.connection.poll_read(context, &mut scratch[..limit]))?;
        if count == 0 {
            return Poll::Ready(Ok(Next::End));
        }
        let closed = self.worker.feed(&self.connection, &mut scratch[..count]);
        Poll::Ready(Ok(match (full, closed) {
            (true, _) => Next::Yield,
            (false, true) => Next::PeerClosed,
            (false, false) => Next::Read,
        }))
    }
}

impl<S: Service> Reading<S> {
    /// Waits while the reading of the connection is stopped.
    fn poll_released(&self, context: &mut Context<'_>) -> Poll<()> {
        if self.connection.is_reading_stopped() {
            self.worker
                .connections
                .stopped_readers
                .borrow_mut()
                .insert(self.connection.peer.slot, context.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(())
    }
}

impl<S: Service> Drop for Reading<S> {
    fn drop(&mut self) {
        // After a panic no task of this worker goes on, and the worker's state may be half changed.
        if !std::thread::panicking() {
            self.worker.connections.on_read_closed(&self.connection);
        }
    }
}

impl<S: Service> Worker<S> {
    /// Takes over a WebSocket after its handshake, or a stream of server-sent events after its request; returns the slot of the new connection.
    pub(crate) fn open(
        self: &Rc<Self>,
        socket: Socket,
        leftover: Leftover<'_>,
        dialect: Dialect,
        mut arrival: Arrival,
        permit: Rc<Permit>,
    ) -> u32 {
        let now = self.connections.runtime.now();
        let connection = {
            let mut connections = self.connections.table.borrow_mut();
            let entry = connections.vacant_entry();
            let slot = u32::try_from(entry.key()).expect("a process has fewer than 2^32 sockets");
            let stream = arrival.stream.take();
            let (peer, totals) = (Peer { slot, dialect }, Rc::clone(&self.connections.totals));
            totals.metrics.note_opened(Carrier::of(dialect));
            let connection = Rc::new(Connection::new(peer, socket, stream, permit, totals, now));
            entry.insert(Rc::clone(&connection));
            connection
        };
        self.connections.push(&connection, &leftover.answer.into(), now);
        self.service.borrow_mut().opened(connection.peer, arrival, &mut Outbound::new(&self.connections, now));
        self.connections.arm(&connection, now);
        if self.connections.draining.get() {
            self.disconnect(connection.peer, self.connections.config.drain.spread);
        }
        let (next, slot) = (self.read_leftover(&connection, leftover.frames), connection.peer.slot);
        self.connections.want_turn();
        self.connections.runtime.spawn(read_all(Rc::clone(self), connection, next));
        slot
    }

    /// Decodes what came with the handshake; returns the reader's first step.
    fn read_leftover(&self, connection: &Rc<Connection>, leftover: &[u8]) -> Next {
        match !leftover.is_empty() && self.feed(connection, &mut leftover.to_vec()) {
            true => Next::PeerClosed,
            false => Next::Read,
        }
    }

    /// Decodes what was read; says whether the peer has closed.
    fn feed(&self, connection: &Rc<Connection>, chunk: &mut [u8]) -> bool {
        let (now, len) = (self.connections.runtime.now(), chunk.len());
        self.connections.metrics().received_bytes[connection.carrier() as usize].add(len as u64);
        let mut service = self.service.borrow_mut();
        let mut out = Outbound::new(&self.connections, now);
        let fed = connection.feed(chunk, &self.connections.config, now, |incoming| {
            let message = match incoming {
                Incoming::Text(text) => Message::Text(text),
                Incoming::Binary(bytes) => Message::Binary(bytes),
                Incoming::Ping(payload) => {
                    return service.ping(connection.peer, payload, &mut out);
                }
                Incoming::Pong | Incoming::Close(_) => return,
            };
            service.message(connection.peer, message, &mut out);
        });
        let ending = match fed {
            FeedResult::Fine => None,
            FeedResult::PeerClosed(code) => Some(Ending::Closing(code)),
            FeedResult::Broken(Violation { code, reason }) => Some(Ending::Violation { code, reason }),
        };
        if let Some(ending) = ending {
            // Requests before the end are answered before the close frame is written.
            if connection.takes_input() {
                connection.note_ending();
                service.ending(connection.peer, ending, &mut out);
            } else if !connection.is_open() {
                self.connections.answer_ending(connection, ending, now);
            }
        }
        drop(service);
        self.note_input(len);
        if connection.is_mid_frame() {
            self.connections.look_at_account();
        }
        if !connection.is_open() || connection.is_mid_frame() {
            self.connections.arm(connection, now);
        }
        matches!(fed, FeedResult::PeerClosed(_))
    }
}
