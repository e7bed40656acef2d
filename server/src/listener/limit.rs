//! The limit of the number of connections, and which connection is closed to make room for a new one.

use crate::auth::subscriber;
use std::cell::RefCell;
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::future::pending;
use std::net::IpAddr;
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
    /// The most WebSockets of one address; `None`: as many as there may be.
    most_per_address: Option<u32>,
    /// The WebSockets of each address that came while they were limited. Of an IPv6 address, the network of a subscriber counts.
    by_address: HashMap<IpAddr, u32>,
}

/// One connection. It counts until this is dropped. It can [become a WebSocket](Self::become_websocket); until then it
/// can be asked to close.
#[derive(Debug)]
pub(crate) struct Permit {
    limit: Arc<ConnectionLimit>,
    number: u64,
    /// Asks the connection to close; `None` once it is a WebSocket.
    go: RefCell<Option<Arc<Notify>>>,
    /// What is known of its address. In a box, because few connections need it.
    addresses: RefCell<Option<Box<Addresses>>>,
}

/// What is known of the address of a connection.
#[derive(Debug, Default)]
struct Addresses {
    /// That of the client, if a proxy has said it.
    client: Option<IpAddr>,
    /// The one under which the WebSocket is counted.
    counted_as: Option<IpAddr>,
}

/// Why a connection cannot become a WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoRoom {
    /// There are as many as there may be.
    Full,
    /// There are as many of its address as one may have.
    Address,
}

impl ConnectionLimit {
    pub(crate) fn new(most: usize, most_per_address: Option<u32>) -> Arc<Self> {
        let places = Mutex::new(Places { most_per_address, ..Places::default() });
        Arc::new(Self { most, places, vacated: Notify::new() })
    }

    /// Sets the most WebSockets of one address from now on. Those that are open stay. Those that came while there was no
    /// limit are not counted.
    pub(crate) fn set_most_per_address(&self, most: Option<u32>) {
        self.places().most_per_address = most;
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
        let (limit, go) = (Arc::clone(self), RefCell::new(Some(go)));
        Some(Permit { limit, number, go, addresses: RefCell::default() })
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
    /// Makes the connection a WebSocket of the client at this address; `None` if it has none.
    ///
    /// # Errors
    /// Why there is no room for it.
    pub(crate) fn become_websocket(&self, address: Option<IpAddr>) -> Result<(), NoRoom> {
        let mut places = self.limit.places();
        // A connection that was asked to close is no longer in `others`.
        if places.websockets >= self.limit.most || !places.others.contains_key(&self.number) {
            return Err(NoRoom::Full);
        }
        if let (Some(most), Some(address)) = (places.most_per_address, address.map(subscriber)) {
            let count = places.by_address.entry(address).or_default();
            if *count >= most {
                return Err(NoRoom::Address);
            }
            *count += 1;
            self.addresses.borrow_mut().get_or_insert_default().counted_as = Some(address);
        }
        places.others.remove(&self.number);
        places.websockets += 1;
        drop(places);
        *self.go.borrow_mut() = None;
        Ok(())
    }

    /// Notes the address of the client, which stands behind a proxy.
    pub(crate) fn set_client(&self, client: IpAddr) {
        self.addresses.borrow_mut().get_or_insert_default().client = Some(client);
    }

    /// The address of the client, if it stands behind a proxy.
    pub(crate) fn client(&self) -> Option<IpAddr> {
        self.addresses.borrow().as_ref()?.client
    }

    /// Whether there is no room for another WebSocket.
    pub(crate) fn is_full(&self) -> bool {
        self.limit.places().websockets >= self.limit.most
    }

    /// Completes when the connection has to close, to make room for another one. A WebSocket never has to.
    pub(crate) async fn asked_to_leave(&self) {
        let go = self.go.borrow().clone();
        match go {
            Some(go) => go.notified().await,
            None => pending().await,
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut places = self.limit.places();
        if self.go.get_mut().is_none() {
            places.websockets -= 1;
            if let Some(address) = self.addresses.get_mut().as_ref().and_then(|addresses| addresses.counted_as)
                && let Entry::Occupied(mut count) = places.by_address.entry(address)
            {
                *count.get_mut() -= 1;
                if *count.get() == 0 {
                    count.remove();
                }
                if places.by_address.capacity() > 4 * places.by_address.len() + KEPT_ADDRESSES {
                    places.by_address.shrink_to_fit();
                }
            }
        } else if places.others.remove(&self.number).is_none() {
            places.leaving -= 1;
        }
        drop(places);
        self.limit.vacated.notify_one();
    }
}

/// Addresses for whose counts the memory is kept.
const KEPT_ADDRESSES: usize = 1024;

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
        let limit = ConnectionLimit::new(1, None);
        let kept = limit.try_admit().unwrap();
        assert!(kept.become_websocket(None).is_ok());
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
        let limit = ConnectionLimit::new(1, None);
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
        let limit = ConnectionLimit::new(1, None);
        let permit = limit.try_admit().unwrap();
        limit.close_oldest();
        assert!(permit.become_websocket(None).is_err());
    }

    #[test]
    fn a_place_is_free_when_its_websocket_has_gone() {
        let limit = ConnectionLimit::new(1, None);
        let (first, second) = (limit.try_admit().unwrap(), limit.try_admit().unwrap());
        assert!(first.become_websocket(None).is_ok() && second.is_full() && second.become_websocket(None).is_err());
        drop(first);
        assert!(!second.is_full() && second.become_websocket(None).is_ok());
    }

    #[test]
    fn no_limit_is_too_large() {
        assert!(ConnectionLimit::new(usize::MAX, None).try_admit().is_some());
    }

    #[test]
    fn an_address_has_so_many_places_and_of_ipv6_a_network_is_one() {
        let limit = ConnectionLimit::new(100, Some(2));
        let open = |address: &str| {
            let permit = limit.try_admit().unwrap();
            let outcome = permit.become_websocket(Some(address.parse().unwrap()));
            (permit, outcome)
        };
        let (first, second) = (open("192.0.2.1"), open("::ffff:192.0.2.1"));
        assert_eq!((first.1, second.1), (Ok(()), Ok(())));
        assert_eq!(open("192.0.2.1").1, Err(NoRoom::Address));
        let others = ["192.0.2.2", "2001:db8::1", "2001:db8::2"].map(open);
        assert!(others.iter().all(|(_, outcome)| outcome.is_ok()));
        assert_eq!(open("2001:db8::3").1, Err(NoRoom::Address));
        drop(first);
        assert_eq!(open("192.0.2.1").1, Ok(()));
        drop((second, others));
        assert!(limit.places().by_address.is_empty());
        let without = limit.try_admit().unwrap();
        assert_eq!(without.become_websocket(None), Ok(()), "a program on this machine");
    }
}
