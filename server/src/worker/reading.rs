//! The task that reads one connection.

use super::Worker;
use crate::connection::{Connection, Fed};
use crate::decoder::Incoming;
use crate::service::{Message, Parting, Service};
use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

/// Reads until the peer, an error or a deadline ends it. Also after a panic the connection is cleaned up.
pub(super) async fn read_all<S: Service>(worker: Rc<Worker<S>>, connection: Rc<Connection>) {
    let reading = Reading { worker, connection, has_passed: Cell::new(false) };
    loop {
        match poll_fn(|context| reading.poll_once(context)).await {
            Ok(Next::Read) => {}
            Ok(Next::Yield) => tokio::task::yield_now().await,
            // Boxed, because every connection would pay for a timer in its state that few ever need.
            Ok(Next::Pause) => Box::pin(tokio::time::sleep(PAUSE)).await,
            Ok(Next::Goodbye) => {
                // The turn writes our close frame. A peer that has closed sends nothing that a reset could be an answer
                // to, so that there is nothing to wait for once it is written.
                reading.worker.core.want_turn();
                tokio::task::yield_now().await;
                if reading.connection.is_cut() {
                    return;
                }
            }
            Ok(Next::End) | Err(_) => break,
        }
    }
    // Who ends his side after a question still hears the answer: the turn comes first.
    reading.worker.core.want_turn();
    tokio::task::yield_now().await;
}

/// Ends the connection when it is dropped, however that comes.
struct Reading<S: Service> {
    worker: Rc<Worker<S>>,
    connection: Rc<Connection>,
    /// Whether it is no newcomer any more.
    has_passed: Cell<bool>,
}

enum Next {
    Read,
    Yield,
    Pause,
    /// The peer has closed, and all it sent is read.
    Goodbye,
    End,
}

impl<S: Service> Reading<S> {
    /// Reads what has come, once, into the worker's scratch, and decodes it there.
    fn poll_once(&self, context: &mut Context<'_>) -> Poll<io::Result<Next>> {
        if self.connection.take_pause() {
            return Poll::Ready(Ok(Next::Pause));
        }
        if self.connection.is_cut() {
            return Poll::Ready(Ok(Next::End));
        }
        if !self.has_passed.get() {
            ready!(self.connection.poll_readable(context))?;
            // The first that a newcomer asks for is often all that it has missed.
            ready!(self.worker.turnstile.poll_pass(context));
            self.has_passed.set(true);
        }
        let mut scratch = self.worker.scratch.borrow_mut();
        let count = ready!(self.connection.poll_read(context, &mut scratch))?;
        if count == 0 {
            return Poll::Ready(Ok(Next::End));
        }
        let full = count == scratch.len();
        let closed = self.worker.feed(&self.connection, &mut scratch[..count]);
        Poll::Ready(Ok(match (full, closed) {
            (true, _) => Next::Yield,
            (false, true) => Next::Goodbye,
            (false, false) => Next::Read,
        }))
    }
}

impl<S: Service> Drop for Reading<S> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!(slot = self.connection.peer.slot, "a connection ended by a fault of the server");
        }
        self.worker.core.end(&self.connection);
    }
}

impl<S: Service> Worker<S> {
    /// Decodes what came with the handshake.
    pub(super) fn read_early(&self, connection: &Rc<Connection>, early: &[u8]) {
        if !early.is_empty() {
            self.feed(connection, &mut early.to_vec());
        }
    }

    /// Decodes what was read; says whether the peer has closed by it.
    fn feed(&self, connection: &Rc<Connection>, chunk: &mut [u8]) -> bool {
        let (now, len) = (Instant::now(), chunk.len());
        let mut service = self.service.borrow_mut();
        let mut out = self.core.outbound(now);
        let mut asked = false;
        let fed = connection.feed(chunk, &self.core.config, now, |incoming| {
            let message = match incoming {
                Incoming::Text(text) => Message::Text(text),
                Incoming::Binary(bytes) => Message::Binary(bytes),
                Incoming::Ping(payload) => {
                    asked = true;
                    return service.ping(connection.peer, payload, &mut out);
                }
                Incoming::Pong | Incoming::Close(_) => return,
            };
            asked = true;
            service.message(connection.peer, message, &mut out);
        });
        drop(service);
        if asked && fed != Fed::Fine {
            // What was asked before the end is answered before the close frame.
            self.turn();
        }
        match fed {
            Fed::Fine => self.note_fed(len),
            Fed::PeerClosed(code) => {
                connection.answer_close(code, now);
                self.core.leave(connection, Parting::Goodbye, now);
            }
            Fed::Broken(violation) => self.core.close(connection, violation.code, violation.reason, now),
        }
        if !connection.is_open() || connection.is_mid_message() {
            self.core.arm(connection, now);
        }
        matches!(fed, Fed::PeerClosed(_))
    }
}

/// How long the next read of a publisher waits whose receivers are far behind.
const PAUSE: Duration = Duration::from_millis(10);
