//! The limit of the number of connections, and which connection is closed to make room for a new one.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::sync::Notify;

/// Counts the connections of all workers: at most `most` WebSockets, and [`SPARE`] more connections. These can still be
/// refused with an answer, or can ask for the health checks.
#[derive(Debug)]
pub(crate) struct ConnectionLimit {
    most: usize,
    places: Mutex<Places>,
    /// Notified when a connection has gone.
    vacated: Notify,
}

#[derive(Debug, Default)]
struct Places {
    websockets: usize,
    /// The connections that are not WebSockets, by number, so that the oldest is first. The `Notify` asks the
    /// connection to close.
    others: BTreeMap<u64, Arc<Notify>>,
    /// Number of connections that were asked to close and are not gone yet.
    leaving: usize,
    next_number: u64,
}

/// One connection. It counts until this is dropped. It can [become a WebSocket](Self::become_websocket); until then it
/// can be asked to close.
#[derive(Debug)]
pub(crate) struct Permit {
    limit: Arc<ConnectionLimit>,
    number: u64,
    go: Arc<Notify>,
    is_websocket: Cell<bool>,
}

impl ConnectionLimit {
    pub(crate) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, places: Mutex::default(), vacated: Notify::new() })
    }

    /// Counts a new connection. When there are too many, it first closes the oldest one that is not a WebSocket: a
    /// client that connects and sends nothing must not keep others out.
    pub(crate) async fn admit(self: &Arc<Self>) -> Permit {
        let mut has_waited = false;
        loop {
            if let Some(permit) = self.try_admit() {
                if has_waited {
                    // Another waiting task closes the next connection.
                    self.vacated.notify_one();
                }
                return permit;
            }
            // There is always an HTTP connection to close: WebSockets have a limit of their own, which is lower.
            self.close_oldest();
            self.vacated.notified().await;
            has_waited = true;
        }
    }

    /// Counts a new connection, if there is room.
    pub(crate) fn try_admit(self: &Arc<Self>) -> Option<Permit> {
        let mut places = self.places();
        if places.taken() >= self.most.saturating_add(SPARE) {
            return None;
        }
        let (number, go) = (places.next_number, Arc::<Notify>::default());
        places.next_number += 1;
        places.others.insert(number, Arc::clone(&go));
        Some(Permit { limit: Arc::clone(self), number, go, is_websocket: Cell::new(false) })
    }

    /// Asks the oldest connection that is not a WebSocket to close, unless another one is closing already.
    pub(crate) fn close_oldest(&self) {
        let mut places = self.places();
        if places.leaving == 0
            && let Some((_, oldest)) = places.others.pop_first()
        {
            oldest.notify_one();
            places.leaving += 1;
        }
    }

    fn places(&self) -> MutexGuard<'_, Places> {
        self.places.lock().expect("nothing panics that counts connections")
    }
}

impl Places {
    fn taken(&self) -> usize {
        self.websockets + self.others.len() + self.leaving
    }
}

impl Permit {
    /// Makes the connection a WebSocket. Returns whether there was room for one.
    pub(crate) fn become_websocket(&self) -> bool {
        let mut places = self.limit.places();
        // A connection that was asked to close is no longer in `others`.
        if places.websockets >= self.limit.most || places.others.remove(&self.number).is_none() {
            return false;
        }
        places.websockets += 1;
        self.is_websocket.set(true);
        true
    }

    /// Whether there is no room for another WebSocket.
    pub(crate) fn is_full(&self) -> bool {
        self.limit.places().websockets >= self.limit.most
    }

    /// Completes when the connection has to close, to make room for another one.
    pub(crate) async fn asked_to_leave(&self) {
        self.go.notified().await;
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut places = self.limit.places();
        if self.is_websocket.get() {
            places.websockets -= 1;
        } else if places.others.remove(&self.number).is_none() {
            places.leaving -= 1;
        }
        drop(places);
        self.limit.vacated.notify_one();
    }
}

/// Number of connections for which there is room besides the WebSockets.
const SPARE: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;
    use std::task::{Context, Waker};

    /// Whether the future is ready at its first poll.
    fn is_ready(future: impl Future) -> bool {
        pin!(future).poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[test]
    fn the_oldest_that_is_no_websocket_makes_room_for_a_new_one() {
        let limit = ConnectionLimit::new(1);
        let kept = limit.try_admit().unwrap();
        assert!(kept.become_websocket());
        let mut others: Vec<_> = (0..SPARE).map(|_| limit.try_admit().unwrap()).collect();
        assert!(!is_ready(limit.admit()), "no room yet");
        let asked: Vec<_> = others.iter().map(|permit| is_ready(permit.asked_to_leave())).collect();
        assert_eq!(asked.iter().filter(|asked| **asked).count(), 1, "one is enough");
        assert!(asked[0] && !is_ready(kept.asked_to_leave()));
        assert!(!is_ready(limit.admit()), "it has not gone yet");
        assert!(!is_ready(others[1].asked_to_leave()), "nobody else has to go meanwhile");
        others.remove(0);
        assert!(is_ready(limit.admit()));
    }

    #[test]
    fn of_two_listeners_that_wait_each_gets_room() {
        let limit = ConnectionLimit::new(1);
        let mut others: Vec<_> = (0..=SPARE).map(|_| limit.try_admit().unwrap()).collect();
        let (mut one, mut other) = (pin!(limit.admit()), pin!(limit.admit()));
        let mut context = Context::from_waker(Waker::noop());
        assert!(one.as_mut().poll(&mut context).is_pending() && other.as_mut().poll(&mut context).is_pending());
        assert!(is_ready(others.remove(0).asked_to_leave()));
        let admitted = one.as_mut().poll(&mut context);
        assert!(admitted.is_ready() && other.as_mut().poll(&mut context).is_pending());
        assert!(is_ready(others[0].asked_to_leave()), "the second one sees to its own room");
    }

    #[test]
    fn who_was_asked_to_leave_becomes_no_websocket() {
        let limit = ConnectionLimit::new(1);
        let permit = limit.try_admit().unwrap();
        limit.close_oldest();
        assert!(!permit.become_websocket());
    }

    #[test]
    fn a_place_is_free_when_its_websocket_has_gone() {
        let limit = ConnectionLimit::new(1);
        let (first, second) = (limit.try_admit().unwrap(), limit.try_admit().unwrap());
        assert!(first.become_websocket() && second.is_full() && !second.become_websocket());
        drop(first);
        assert!(!second.is_full() && second.become_websocket());
    }

    #[test]
    fn no_limit_is_too_large() {
        assert!(ConnectionLimit::new(usize::MAX).try_admit().is_some());
    }
}
