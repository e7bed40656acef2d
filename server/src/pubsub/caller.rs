//! Callers: whoever asks the hub without a WebSocket, such as a client of the HTTP API.
//!
//! A [`Caller`] is a session of the hub without a connection. Its requests go through the schedule like those of a
//! connection, so that they are served in fairness with these, and count. The answers come back to futures.

mod table;

use super::address::{caller_slot, is_caller, place_of, session, slot_of, worker_of};
use super::shared_hub::{Facts, SharedHub};
use super::turn_output::{Output, TurnOutput};
use crate::connection::facts::ConnectionFacts;
use crate::metrics::Metrics;
use crate::schedule::Item;
use hubcast_hub::{Credentials, HistoryAnswer, Hub, Identity, Input, Operation, SessionId, Whom};
use hubcast_protocol::event::Published;
use hubcast_protocol::{Action, ClientId, CloseCode, Event, Request, RequestId};
use std::collections::HashMap;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use table::{BatchState, CallerState, Table};
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, timeout_at};

/// The callers of one worker. Those who ask and the service of the worker share it, on one thread; it can change
/// threads because the service does before its worker starts.
#[derive(Clone, Debug)]
pub(crate) struct Callers {
    worker: usize,
    wake: Arc<Notify>,
    shared_hub: Arc<SharedHub>,
    table: Arc<Mutex<Table>>,
}

/// One session without a connection. Dropping it ends the session; what it has asked for still takes effect.
#[derive(Debug)]
pub(crate) struct Caller {
    callers: Callers,
    place: usize,
}

/// The answer to a caller.
#[derive(Debug)]
pub(crate) enum Reply {
    /// The answer to `publish`.
    Published(Published),
    /// An answer or a refusal.
    Event(Box<Event>),
    /// The answer to `history`.
    History(Box<HistoryAnswer>),
    /// The number of sessions to which an operation was done.
    Operated(u64),
}

/// The hub has closed the session of a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Closed {
    pub(crate) code: CloseCode,
}

/// Several requests whose answers come together. Dropping it changes nothing for those that were made.
#[derive(Debug)]
pub(crate) struct Batch<'a> {
    caller: &'a Caller,
    first: u64,
    replies: oneshot::Receiver<Vec<Option<Reply>>>,
}

/// An answer that is to come. Dropping it changes nothing for the request.
#[derive(Debug)]
pub(crate) struct Answering<'a> {
    caller: &'a Caller,
    reply: oneshot::Receiver<Reply>,
}

impl Callers {
    /// The callers of `worker`, which `wake` wakes.
    pub(super) fn new(worker: usize, wake: Arc<Notify>, shared_hub: Arc<SharedHub>) -> Self {
        Self { worker, wake, shared_hub, table: Arc::default() }
    }

    /// Opens a session. `client` is an id that no session ever had.
    pub(crate) fn open(&self, client: ClientId, identity: Arc<Identity>, credentials: Arc<Credentials>) -> Caller {
        let mut table = self.table();
        let place = table.sessions.insert(CallerState::default());
        let session = self.session(place);
        let (identity, credentials) = (Some(identity), Some(credentials));
        table.queue(place, [Item::Input(Input::Connect { session, client, identity, credentials })]);
        drop(table);
        Caller { callers: self.clone(), place }
    }

    /// Reads what the hub shows to operators, or does something to it that is no request of a session. It has the
    /// hub's lock, so it must be short.
    pub(crate) fn with_hub<T>(&self, act: impl FnOnce(&mut Hub) -> T) -> T {
        self.shared_hub.with_hub(act)
    }

    /// Reads sessions of the hub, and what their workers know of the connections. A worker that does not answer in time
    /// is left out.
    pub(crate) async fn describe<T>(
        &self,
        act: impl FnOnce(&Hub) -> (T, Vec<SessionId>),
    ) -> (T, HashMap<SessionId, ConnectionFacts>) {
        let (read, asked) = self.shared_hub.describe(act);
        let (mut found, deadline) = (HashMap::new(), Instant::now() + FACTS_TIMEOUT);
        for Facts { sessions, facts } in asked {
            let Ok(Ok(facts)) = timeout_at(deadline, facts).await else { continue };
            found.extend(sessions.into_iter().zip(facts).filter_map(|(session, facts)| Some((session, facts?))));
        }
        (read, found)
    }

    /// Bytes of memory for what waits to be written to all connections, and the number of workers.
    pub(crate) fn load(&self) -> (usize, usize) {
        (self.shared_hub.waiting_bytes(), self.shared_hub.workers())
    }

    /// What all workers have counted.
    pub(crate) fn metrics(&self) -> &Metrics {
        self.shared_hub.metrics()
    }

    /// Bytes of the mail that waits for workers, about.
    pub(crate) fn mailbox_bytes(&self) -> usize {
        self.shared_hub.mailbox_bytes()
    }

    /// Gives `push` what callers have asked for, except for those that wait because they have filled a mailbox.
    pub(super) fn take_requests(&self, is_blocked: impl Fn(u32) -> bool, mut push: impl FnMut(u32, Item)) {
        let mut table = self.table();
        for place in mem::take(&mut table.ready) {
            let Some(state) = table.sessions.get_mut(place) else { continue };
            let slot = caller_slot(place);
            if is_blocked(slot) && !state.is_leaving {
                table.ready.push(place);
                continue;
            }
            state.queue.drain(..).for_each(|item| push(slot, item));
        }
    }

    /// Gives callers of this worker what a turn has for them.
    pub(super) fn take_answers(&self, turn_output: &TurnOutput) {
        let mut table = self.table();
        if table.sessions.is_empty() {
            return;
        }
        let place = |session: SessionId| {
            let is_here = worker_of(session) == self.worker && is_caller(slot_of(session));
            is_here.then(|| place_of(slot_of(session)))
        };
        for output in turn_output.outputs() {
            match output {
                Output::Send { session, event } => {
                    if let Some(place) = place(session) {
                        table.answer(place, number_of(event), || match event {
                            Event::Published(published) => Reply::Published(published.clone()),
                            event => Reply::Event(Box::new(event.clone())),
                        });
                    }
                }
                Output::History { session, answer } => {
                    if let Some(place) = place(session) {
                        table.answer(place, number(&answer.id), || Reply::History(Box::new(answer.clone())));
                    }
                }
                Output::Operated { session, id, sessions } => {
                    if let Some(place) = place(session) {
                        table.answer(place, number(id), || Reply::Operated(sessions));
                    }
                }
                Output::Close { session, code, .. } => {
                    if let Some(place) = place(session) {
                        table.close(place, code);
                    }
                }
                _ => {}
            }
        }
    }

    /// Gives a caller an event that another worker's turn caused.
    pub(super) fn take_event(&self, slot: u32, event: Box<Event>) {
        self.table().answer(place_of(slot), number_of(&event), || match *event {
            Event::Published(published) => Reply::Published(published),
            event => Reply::Event(Box::new(event)),
        });
    }

    /// Gives a caller a history that another worker's turn read.
    pub(super) fn take_history(&self, slot: u32, answer: Box<HistoryAnswer>) {
        self.table().answer(place_of(slot), number(&answer.id), || Reply::History(answer));
    }

    /// Gives a caller the outcome of an operation that another worker's turn did.
    pub(super) fn take_operated(&self, slot: u32, id: &RequestId, sessions: u64) {
        self.table().answer(place_of(slot), number(id), || Reply::Operated(sessions));
    }

    /// Notes that the hub has closed the session of a caller.
    pub(super) fn close(&self, slot: u32, code: CloseCode) {
        self.table().close(place_of(slot), code);
    }

    /// Delays the next request of a caller.
    pub(super) fn pause(&self, slot: u32) {
        if let Some(state) = self.table().sessions.get_mut(place_of(slot)) {
            state.is_paused = true;
        }
    }

    /// Frees the slots of callers that are gone, once nothing of them is left to be served.
    pub(super) fn end_turn(&self, is_waiting: impl Fn(u32) -> bool) {
        let Table { sessions, leaving, .. } = &mut *self.table();
        leaving.retain(|&place| {
            let is_left = sessions.get(place).is_some_and(|state| !state.queue.is_empty());
            let stays = is_left || is_waiting(caller_slot(place));
            if !stays {
                sessions.try_remove(place);
            }
            stays
        });
    }

    /// Number of sessions, with those of which something is still to be served.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.table().sessions.len()
    }

    fn session(&self, place: usize) -> SessionId {
        session(self.worker, caller_slot(place))
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Caller {
    /// Begins so many requests, at least one, whose answers come together.
    pub(crate) fn batch(&self, count: usize) -> Batch<'_> {
        let (done, replies) = oneshot::channel();
        let mut table = self.callers.table();
        let first = table.last_request + 1;
        table.last_request += count as u64;
        if let Some(state) = table.sessions.get_mut(self.place)
            && state.closed.is_none()
        {
            let empty = (0..count).map(|_| None).collect();
            state.batches.push(BatchState { first, replies: empty, left: count, done: Some(done) });
        }
        drop(table);
        Batch { caller: self, first, replies }
    }

    /// Makes a request. It takes effect after all earlier ones of this caller.
    pub(crate) fn ask(&self, action: Action) -> Answering<'_> {
        self.send(|session, id| Input::Request { session, request: Ok(Request::new(id, action)) })
    }

    /// Does something to sessions of others.
    pub(crate) fn operate(&self, whom: Whom, operation: Operation) -> Answering<'_> {
        self.send(|session, id| Input::Operate { session, id, whom, operation })
    }

    /// Whether the next request should wait for the pause of a publisher. Says so once.
    pub(crate) fn take_pause(&self) -> bool {
        let mut table = self.callers.table();
        table.sessions.get_mut(self.place).is_some_and(|state| mem::take(&mut state.is_paused))
    }

    /// Why the hub has closed this session, if it has. Then there are no more answers.
    pub(crate) fn closed(&self) -> Option<Closed> {
        self.callers.table().sessions.get(self.place)?.closed
    }

    fn send(&self, input: impl FnOnce(SessionId, RequestId) -> Input) -> Answering<'_> {
        let (answer, reply) = oneshot::channel();
        let mut table = self.callers.table();
        table.last_request += 1;
        let number = table.last_request;
        if let Some(state) = table.sessions.get_mut(self.place)
            && state.closed.is_none()
        {
            state.waiting.insert(number, answer);
            let input = input(self.callers.session(self.place), RequestId::Number(number));
            table.queue(self.place, [Item::Input(input)]);
        }
        drop(table);
        self.callers.wake.notify_one();
        Answering { caller: self, reply }
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        let mut table = self.callers.table();
        let session = self.callers.session(self.place);
        table.queue(self.place, [Item::Input(Input::Closed { session, lost: false })]);
        table.leaving.push(self.place);
        if let Some(state) = table.sessions.get_mut(self.place) {
            state.is_leaving = true;
            state.waiting.clear();
            state.batches.clear();
        }
        drop(table);
        self.callers.wake.notify_one();
    }
}

impl Batch<'_> {
    /// Makes some of the requests, in their order; the first of them has this index. `None` leaves one out.
    pub(crate) fn ask(&self, index: usize, actions: impl IntoIterator<Item = Option<Action>>) {
        let Caller { callers, place } = self.caller;
        let (mut table, session) = (callers.table(), callers.session(*place));
        let Some(state) = table.sessions.get_mut(*place) else { return };
        let Some(at) = state.batches.iter().position(|batch| batch.first == self.first) else { return };
        let was_empty = state.queue.is_empty();
        let batch = &mut state.batches[at];
        for (number, action) in (self.first + index as u64..).zip(actions) {
            match action {
                Some(action) => {
                    let request = Ok(Request::new(RequestId::Number(number), action));
                    state.queue.push_back(Item::Input(Input::Request { session, request }));
                }
                None => batch.left -= 1,
            }
        }
        if batch.left == 0 {
            state.batches.swap_remove(at).finish();
        }
        if was_empty && !state.queue.is_empty() {
            table.ready.push(*place);
        }
        drop(table);
        callers.wake.notify_one();
    }

    /// Waits for the answers. `None` stands for a request that was left out, and for one that the hub did not answer
    /// before it closed the session.
    ///
    /// # Errors
    /// When the hub had closed the session before.
    pub(crate) async fn replies(self) -> Result<Vec<Option<Reply>>, Closed> {
        let closed = || self.caller.closed().unwrap_or(Closed { code: CloseCode::INTERNAL });
        self.replies.await.map_err(|_| closed())
    }
}

impl Answering<'_> {
    /// Waits for the answer.
    ///
    /// # Errors
    /// When the hub has closed the session.
    pub(crate) async fn reply(self) -> Result<Reply, Closed> {
        let closed = || self.caller.closed().unwrap_or(Closed { code: CloseCode::INTERNAL });
        self.reply.await.map_err(|_| closed())
    }
}

/// The time that a worker has to tell what it knows of connections. It does so in its next turn.
const FACTS_TIMEOUT: Duration = Duration::from_secs(2);

/// The number of the request that an event answers.
fn number_of(event: &Event) -> Option<u64> {
    number(match event {
        Event::Published(published) => published.id.as_ref()?,
        Event::Presence(presence) => &presence.id,
        Event::Error(refusal) => refusal.id.as_ref()?,
        _ => return None,
    })
}

fn number(id: &RequestId) -> Option<u64> {
    match id {
        RequestId::Number(number) => Some(*number),
        RequestId::Text(_) => None,
    }
}

#[cfg(test)]
mod tests;
