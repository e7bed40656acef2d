//! The one account of all that waits in the process, and its bound.
//!
//! Each outbox is bounded by itself, but a thousand of them together are a gigabyte. So what waits is counted as the memory
//! that it takes: frames that connections share once, publications that a history holds anyway not at all.

use bytes::Bytes;
use hubcast_hub::LiveBytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use tokio::sync::Notify;

/// Bytes of memory for what waits to be written, on all workers.
#[derive(Debug)]
pub(crate) struct Account {
    max_bytes: usize,
    /// Batch that several connections share.
    shared: AtomicUsize,
    /// All publications that somebody holds, and those of them that histories hold.
    live: AtomicUsize,
    kept: AtomicUsize,
    workers: Vec<Share>,
    /// What wakes each worker.
    wakes: Vec<Arc<Notify>>,
}

/// What one worker has to tell.
#[derive(Debug)]
struct Share {
    /// What each of its connections has for itself, all together.
    queued: AtomicUsize,
    /// What waits for the connection for which most waits, or [`UNKNOWN`] where it was not looked for.
    largest: AtomicUsize,
}

impl Account {
    /// An account of as many workers as there are wakes.
    pub(crate) fn new(max_bytes: usize, wakes: Vec<Arc<Notify>>) -> Arc<Self> {
        let share = || Share { queued: AtomicUsize::new(0), largest: AtomicUsize::new(UNKNOWN) };
        let workers = wakes.iter().map(|_| share()).collect();
        let [shared, live, kept] = [0; 3].map(AtomicUsize::new);
        Arc::new(Self { max_bytes, shared, live, kept, workers, wakes })
    }

    /// Makes frames that are counted once for as long as anybody holds them.
    pub(crate) fn share(self: &Arc<Self>, frames: Vec<u8>) -> Bytes {
        self.shared.fetch_add(frames.len(), Relaxed);
        Bytes::from_owner(Shared { frames, account: Arc::clone(self) })
    }

    /// Says how many bytes of publications histories hold.
    pub(crate) fn note_kept(&self, bytes: usize) {
        self.kept.store(bytes, Relaxed);
    }

    /// Says what the connections of a worker have for themselves.
    pub(crate) fn note_queued(&self, worker: usize, bytes: usize) {
        self.workers[worker].queued.store(bytes, Relaxed);
    }

    /// Says what waits for the connection of a worker for which most waits, and whether none of another worker has more. If
    /// one has, or its worker has not looked since too much waited, that worker looks itself.
    pub(crate) fn is_largest(&self, worker: usize, bytes: usize) -> bool {
        self.workers[worker].largest.store(bytes, Relaxed);
        let largest = |worker: &usize| self.workers[*worker].largest.load(Relaxed);
        match (0..self.workers.len()).max_by_key(largest).filter(|worker| largest(worker) > bytes) {
            Some(other) => {
                self.wakes[other].notify_one();
                false
            }
            None => true,
        }
    }

    /// Too much does not wait any more: what waits for the connections of a worker is not looked at.
    pub(crate) fn forget_largest(&self, worker: usize) {
        self.workers[worker].largest.store(UNKNOWN, Relaxed);
    }

    /// Bytes of all that waits.
    pub(crate) fn bytes(&self) -> usize {
        let queued: usize = self.workers.iter().map(|worker| worker.queued.load(Relaxed)).sum();
        // Read at different times: a publication may be counted as kept that is not counted as live any more.
        self.shared.load(Relaxed) + self.live.load(Relaxed).saturating_sub(self.kept.load(Relaxed)) + queued
    }

    /// Whether so much waits that those who cause it are slowed down.
    pub(crate) fn is_near(&self) -> bool {
        self.memory() > self.max_bytes / 4 * 3
    }

    /// Whether more waits than may.
    pub(crate) fn is_over(&self) -> bool {
        self.memory() > self.max_bytes
    }

    /// The memory that all takes which waits: the allocator gives blocks that are larger than what is asked for, by an
    /// eighth at most.
    fn memory(&self) -> usize {
        let bytes = self.bytes();
        bytes + bytes / 8
    }
}

impl LiveBytes for Account {
    fn add(&self, bytes: usize) {
        self.live.fetch_add(bytes, Relaxed);
    }

    fn remove(&self, bytes: usize) {
        self.live.fetch_sub(bytes, Relaxed);
    }
}

/// Batch with the account that they are in.
#[derive(Debug)]
struct Shared {
    frames: Vec<u8>,
    account: Arc<Account>,
}

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        &self.frames
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.account.shared.fetch_sub(self.frames.len(), Relaxed);
    }
}

/// More than anything that is known.
const UNKNOWN: usize = usize::MAX;

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;
    use std::task::{Context, Waker};

    #[test]
    fn shared_frames_count_once_until_nobody_holds_them() {
        let account = Account::new(1000, vec![Arc::default()]);
        let frames = account.share(vec![0; 800]);
        let clones = vec![frames.clone(); 100];
        assert_eq!((account.bytes(), account.is_near(), account.is_over()), (800, true, false));
        account.note_queued(0, 101);
        assert!(account.is_over());
        drop((frames, clones));
        assert_eq!(account.bytes(), 101);
    }

    #[test]
    fn only_the_worker_with_the_largest_acts_and_the_others_wake_it() {
        let wakes: Vec<Arc<Notify>> = (0..3).map(|_| Arc::default()).collect();
        let account = Account::new(1000, wakes.clone());
        let is_woken = |worker: usize| {
            let mut woken = pin!(wakes[worker].notified());
            woken.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready()
        };
        assert!(!account.is_largest(0, 10) && is_woken(2), "the others have not looked");
        assert!(!account.is_largest(2, 20) && is_woken(1) && !is_woken(0));
        assert!(account.is_largest(1, 30));
        assert!(!account.is_largest(2, 20) && is_woken(1) && !is_woken(0));
        assert!(!account.is_largest(1, 0) && is_woken(2), "it has nothing any more");
        assert!(account.is_largest(2, 20));
        account.forget_largest(0);
        assert!(!account.is_largest(2, 20) && is_woken(0), "too much waits again");
    }
}
