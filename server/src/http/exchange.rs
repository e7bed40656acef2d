//! Drives hyper's side of one connection: request after request, until it ends or its socket changes hands.
//!
//! hyper's own upgrade would need a task and a socket that may change threads. So the connection is polled without it:
//! the service notes what the socket becomes, and the driving task takes it back.

use super::events::Stream;
use crate::connection::peer::Arrival;
use crate::listener::limit::Permit;
use crate::runtime::patience::{Alarm, PatientSleep};
use hubcast_protocol::Dialect;
use hyper::body::{Body, Incoming};
use hyper::rt::{Read, Write};
use hyper::server::conn::http1::Connection;
use hyper::service::HttpService;
use std::cell::{Cell, RefCell};
use std::error::Error;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::yield_now;

/// What the service and the socket of one connection tell the task that drives it.
#[derive(Debug, Default)]
pub(super) struct Exchange {
    /// Whether writes go to memory.
    buffers_writes: Cell<bool>,
    /// Whether the socket took nothing of the last write.
    is_write_blocked: Cell<bool>,
    /// Whether a write asks the system even if the runtime knows that the socket took no more. The system reports that
    /// a socket takes more only when much of its buffer is free.
    asks_system: Cell<bool>,
    /// Bytes that the socket has taken.
    written: Cell<u64>,
    /// Requests whose answers are not complete, as far as the service knows.
    busy: Cell<usize>,
    /// The same for all connections of the worker.
    all_busy: Rc<AllBusy>,
    takeover: RefCell<Option<Takeover>>,
    alarm: Alarm,
}

/// What the socket becomes instead of an HTTP connection.
#[derive(Debug)]
pub(super) enum Takeover {
    /// A WebSocket. Its handshake is answered.
    WebSocket(Dialect, Arrival),
    /// A stream of server-sent events. Its request is not answered.
    Events(Box<Stream>),
}

/// How hyper's part of a connection ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// hyper is done: the socket changes hands, or there is nothing more to answer.
    Done,
    /// The connection broke, or what came is no HTTP. It is answered as far as it can be.
    Broken(hyper::Error),
    /// The client took nothing of its answer for too long.
    NotRead,
    /// The connection makes room for another one.
    MadeRoom,
}

/// The requests of all connections of a worker whose answers are not complete.
#[derive(Debug, Default)]
pub(super) struct AllBusy {
    count: Cell<usize>,
    none_left: Notify,
}

/// Notes that a request is being answered, until this is dropped.
#[derive(Debug)]
pub(super) struct Busy(Rc<Exchange>);

impl AllBusy {
    /// Waits until no request is being answered.
    pub(super) async fn idle(&self) {
        while self.count.get() > 0 {
            self.none_left.notified().await;
        }
    }
}

impl Exchange {
    pub(super) fn new(all_busy: Rc<AllBusy>) -> Rc<Self> {
        Rc::new(Self { all_busy, ..Self::default() })
    }

    /// Buffers every write from now on.
    pub(super) fn buffer_writes(&self) {
        self.buffers_writes.set(true);
    }

    pub(super) fn buffers_writes(&self) -> bool {
        self.buffers_writes.get()
    }

    pub(super) fn asks_system(&self) -> bool {
        self.asks_system.get()
    }

    /// Notes the outcome of a write to the socket; `None`: it took nothing.
    pub(super) fn note_write(&self, written: Option<usize>) {
        self.is_write_blocked.set(written.is_none());
        self.written.set(self.written.get() + written.unwrap_or_default() as u64);
    }

    /// The timer for what the client still has to send of its request.
    pub(super) fn alarm(&self) -> Alarm {
        self.alarm.clone()
    }

    /// Has the socket taken over, once everything before is written.
    pub(super) fn hand_over(&self, takeover: Takeover) {
        self.takeover.replace(Some(takeover));
    }

    /// What the socket becomes, if it changes hands.
    pub(super) fn take_takeover(&self) -> Option<Takeover> {
        self.takeover.take()
    }

    /// Notes that a request is being answered, until the returned value is dropped.
    pub(super) fn busy(self: &Rc<Self>) -> Busy {
        self.busy.set(self.busy.get() + 1);
        self.all_busy.count.set(self.all_busy.count.get() + 1);
        Busy(Rc::clone(self))
    }

    fn is_busy(&self) -> bool {
        self.busy.get() > 0 || self.is_write_blocked.get()
    }

    /// Whether the socket can be taken from hyper although the last request is not answered. Nothing is left of
    /// earlier answers then, because hyper writes until the socket takes no more.
    fn is_handed_over(&self) -> bool {
        !self.is_write_blocked.get() && matches!(*self.takeover.borrow(), Some(Takeover::Events(_)))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let Exchange { busy, all_busy, .. } = &*self.0;
        busy.set(busy.get() - 1);
        all_busy.count.set(all_busy.count.get() - 1);
        if all_busy.count.get() == 0 {
            all_busy.none_left.notify_one();
        }
    }
}

/// How long a client may take nothing of an answer, and how long an answer that is under way may still take when the
/// connection has to make room.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) write: Duration,
    pub(super) last_answer: Duration,
}

/// Serves requests until one of the ends comes.
pub(super) async fn drive<I, S, B>(
    connection: &mut Connection<I, S>,
    exchange: &Exchange,
    permit: &Permit,
    limits: Limits,
) -> Ended
where
    I: Read + Write + Unpin,
    S: HttpService<Incoming, ResBody = B> + Unpin,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    S::Future: Unpin,
    B: Body + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let (mut unread, mut asked_to_leave) = (None, pin!(make_room(permit)));
    let mut last_answer: Option<PatientSleep> = None;
    poll_fn(|context| {
        loop {
            match connection.poll_without_shutdown(context) {
                Poll::Ready(Ok(())) => return Poll::Ready(Ended::Done),
                Poll::Ready(Err(fault)) => return Poll::Ready(Ended::Broken(fault)),
                Poll::Pending if exchange.is_handed_over() => return Poll::Ready(Ended::Done),
                Poll::Pending => {}
            }
            let was_last_try = exchange.asks_system.take();
            if is_unread_for_too_long(&mut unread, exchange, limits.write, context) {
                if was_last_try {
                    return Poll::Ready(Ended::NotRead);
                }
                // Before the client counts as one that reads nothing, its socket is tried once more.
                exchange.asks_system.set(true);
                continue;
            }
            match &mut last_answer {
                Some(wait) => return Pin::new(wait).poll(context).map(|()| Ended::MadeRoom),
                None if asked_to_leave.as_mut().poll(context).is_pending() => return Poll::Pending,
                None if !exchange.is_busy() => return Poll::Ready(Ended::MadeRoom),
                None => last_answer = Some(PatientSleep::new(limits.last_answer)),
            }
            // The answer that is under way is the last one.
            Pin::new(&mut *connection).graceful_shutdown();
        }
    })
    .await
}

/// Whether the client has taken nothing of its answer for `limit`. `unread` has the wait, and what was taken when it
/// began.
fn is_unread_for_too_long(
    unread: &mut Option<(u64, Wait)>,
    exchange: &Exchange,
    limit: Duration,
    context: &mut Context<'_>,
) -> bool {
    let written = exchange.written.get();
    if !exchange.is_write_blocked.get() {
        *unread = None;
        return false;
    }
    if unread.as_ref().is_none_or(|(before, _)| *before != written) {
        *unread = Some((written, Wait { sleep: PatientSleep::new(limit), is_over: false }));
    }
    unread.as_mut().is_some_and(|(_, wait)| wait.poll_over(context))
}

/// A wait that may be asked again after its end.
struct Wait {
    sleep: PatientSleep,
    is_over: bool,
}

impl Wait {
    fn poll_over(&mut self, context: &mut Context<'_>) -> bool {
        self.is_over = self.is_over || Pin::new(&mut self.sleep).poll(context).is_ready();
        self.is_over
    }
}

/// Completes when the connection has to make room for another one. A request that has come by then is still answered:
/// when very many connections come, it may have arrived without being read yet.
async fn make_room(permit: &Permit) {
    permit.asked_to_leave().await;
    // The runtime looks for arrived bytes before it resumes this task.
    yield_now().await;
}
