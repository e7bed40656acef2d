//! The bound of all requests of a client that wait for a connection or for an answer.

use crate::machine::{Command, Source};
use hubcast_protocol::Target;
use hubcast_protocol::request::Start;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bounds the waiting requests of one client, by number and by bytes. Each request holds a [`Permit`] until it is
/// answered or fails.
///
/// A publisher waits for its permit, in the order of asking. Every other request fails at once if there is none.
#[derive(Debug)]
pub(crate) struct Room {
    requests: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    most_bytes: u32,
}

/// The room of one request; dropping it makes room for another one.
#[derive(Debug)]
pub(crate) struct Permit {
    _request: OwnedSemaphorePermit,
    bytes: OwnedSemaphorePermit,
}

impl Room {
    /// Room for at least one request. A request that is larger than `bytes` has room when no other request waits.
    pub(crate) fn new(requests: usize, bytes: usize) -> Self {
        let most_bytes = u32::try_from(bytes.max(1)).unwrap_or(u32::MAX);
        let semaphore = |permits: usize| Arc::new(Semaphore::new(permits.min(Semaphore::MAX_PERMITS)));
        Self { requests: semaphore(requests.max(1)), bytes: semaphore(most_bytes as usize), most_bytes }
    }

    /// A permit for a request of so many bytes; `None` if there is no room, or if a publisher waits for it.
    pub(crate) fn try_take(&self, bytes: usize) -> Option<Permit> {
        let _request = self.requests.clone().try_acquire_owned().ok()?;
        let bytes = self.bytes.clone().try_acquire_many_owned(self.bounded(bytes)).ok()?;
        Some(Permit { _request, bytes })
    }

    /// Waits for a permit. Dropping the future gives up the place in the queue.
    pub(crate) fn take(&self, bytes: usize) -> impl Future<Output = Permit> + Send + Sync + use<> {
        let (requests, all_bytes, bytes) = (self.requests.clone(), self.bytes.clone(), self.bounded(bytes));
        async move {
            let _request = requests.acquire_owned().await.expect("nobody closes this semaphore");
            let bytes = all_bytes.acquire_many_owned(bytes).await.expect("nobody closes this semaphore");
            Permit { _request, bytes }
        }
    }

    /// Changes a permit to so many bytes. If there is no room for more, it stays as it is.
    pub(crate) fn resize(&self, permit: &mut Permit, bytes: usize) {
        let (held, wanted) = (permit.bytes.num_permits(), self.bounded(bytes) as usize);
        if wanted < held {
            drop(permit.bytes.split(held - wanted));
        } else if wanted > held
            && let Ok(more) = u32::try_from(wanted - held)
            && let Ok(more) = self.bytes.clone().try_acquire_many_owned(more)
        {
            permit.bytes.merge(more);
        }
    }

    fn bounded(&self, bytes: usize) -> u32 {
        u32::try_from(bytes).unwrap_or(u32::MAX).min(self.most_bytes)
    }
}

/// What a command counts, in bytes: its texts, and [`OVERHEAD`].
pub(crate) fn cost(command: &Command) -> usize {
    let texts = match command {
        Command::Publish(publish) => publish.topic.as_str().len() + publish.payload.as_plain().len(),
        Command::Subscribe(_, request) => {
            let target = match &request.source {
                Source::Target(Target::Topic(topic)) => topic.as_str().len(),
                Source::Target(Target::Pattern(pattern)) => pattern.as_str().len(),
                Source::Direct => 0,
            };
            let positions = match &request.start {
                Start::AfterEach(positions) => positions.keys().map(|topic| topic.as_str().len() + OVERHEAD).sum(),
                _ => 0,
            };
            target + positions
        }
        Command::History(history) => history.topic.as_str().len(),
        Command::Presence(topic) => topic.as_str().len(),
        Command::Connect | Command::ConnectLazily | Command::Reconnect | Command::Ping | Command::Close => 0,
    };
    texts + OVERHEAD
}

/// What a request needs besides its texts, in bytes: its key, its id and its places in the client's tables.
pub(crate) const OVERHEAD: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_bounded_by_number_and_by_bytes() {
        let room = Room::new(2, 1000);
        let permits = [room.try_take(10).unwrap(), room.try_take(10).unwrap()];
        assert!(room.try_take(1).is_none());
        drop(permits);
        let large = room.try_take(900).unwrap();
        assert!(room.try_take(101).is_none());
        assert!(room.try_take(100).is_some());
        drop(large);
        assert!(room.try_take(1000).is_some());
    }

    #[test]
    fn a_request_beyond_the_bound_has_room_when_it_is_alone() {
        let room = Room::new(2, 1000);
        let large = room.try_take(5000).unwrap();
        assert!(room.try_take(1).is_none());
        drop(large);
        assert!(room.try_take(1).is_some());
    }

    #[test]
    fn a_permit_can_be_resized_as_far_as_there_is_room() {
        let room = Room::new(4, 1000);
        let mut permit = room.try_take(600).unwrap();
        room.resize(&mut permit, 100);
        let other = room.try_take(900).unwrap();
        room.resize(&mut permit, 200);
        assert_eq!(permit.bytes.num_permits(), 100);
        drop(other);
        room.resize(&mut permit, 200);
        assert_eq!(permit.bytes.num_permits(), 200);
    }
}
