//! The account of all bytes that wait to be written in the process, and their limit.
//!
//! Each outbox has a limit of its own, but a thousand outboxes together can be a gigabyte. So this account counts the
//! memory that the waiting bytes use: frames that connections share once, and publications that a history keeps not at
//! all.

use bytes::Bytes;
use hubcast_hub::LiveBytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use tokio::sync::Notify;

/// Bytes of memory that wait to be written, on all workers.
#[derive(Debug)]
pub(crate) struct Account {
    max_bytes: usize,
    /// Bytes of frames that several connections share.
    shared: AtomicUsize,
    /// Bytes of all publications in memory (`live`), and of those among them that histories keep (`kept`).
    live: AtomicUsize,
    kept: AtomicUsize,
    workers: Vec<Share>,
    /// Wakes each worker.
    wakes: Vec<Arc<Notify>>,
}

/// The numbers that one worker reports.
#[derive(Debug)]
struct Share {
    /// Bytes that its connections do not share with others, summed over all its connections.
    queued: AtomicUsize,
    /// Bytes that wait for the connection of this worker with the most. [`UNKNOWN`] when the worker has not looked for
    /// it.
    largest: AtomicUsize,
}

impl Account {
    /// An account for as many workers as there are `wakes`.
    pub(crate) fn new(max_bytes: usize, wakes: Vec<Arc<Notify>>) -> Arc<Self> {
        let share = || Share { queued: AtomicUsize::new(0), largest: AtomicUsize::new(UNKNOWN) };
        let workers = wakes.iter().map(|_| share()).collect();
        let [shared, live, kept] = [0; 3].map(AtomicUsize::new);
        Arc::new(Self { max_bytes, shared, live, kept, workers, wakes })
    }

    /// Makes frames that the account counts once, until the last reference to them is dropped.
    pub(crate) fn share(self: &Arc<Self>, frames: Vec<u8>) -> Bytes {
        self.shared.fetch_add(frames.len(), Relaxed);
        Bytes::from_owner(AccountedFrames { frames, account: Arc::clone(self) })
    }

    /// Sets how many bytes of publications the histories keep.
    pub(crate) fn note_kept(&self, bytes: usize) {
        self.kept.store(bytes, Relaxed);
    }

    /// Sets how many bytes wait that the connections of a worker do not share.
    pub(crate) fn note_queued(&self, worker: usize, bytes: usize) {
        self.workers[worker].queued.store(bytes, Relaxed);
    }

    /// Sets how many bytes wait for the worker's connection with the most. Returns whether no other worker has a
    /// connection with more. Otherwise wakes the worker that has more, or that has not looked since the limit was
    /// exceeded, so that it acts itself.
    pub(crate) fn report_largest(&self, worker: usize, bytes: usize) -> bool {
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

    /// Called when the limit is no longer exceeded: the worker stops looking for its connection with the most bytes.
    pub(crate) fn forget_largest(&self, worker: usize) {
        self.workers[worker].largest.store(UNKNOWN, Relaxed);
    }

    /// Bytes of all that waits.
    pub(crate) fn bytes(&self) -> usize {
        let queued: usize = self.workers.iter().map(|worker| worker.queued.load(Relaxed)).sum();
        // The counters are read at different times, so a publication may be in `kept` and not in `live` any more.
        self.shared.load(Relaxed) + self.live.load(Relaxed).saturating_sub(self.kept.load(Relaxed)) + queued
    }

    /// Whether more than three quarters of the limit wait. Then the server slows down the publishers that cause it.
    pub(crate) fn is_near(&self) -> bool {
        self.memory() > self.max_bytes / 4 * 3
    }

    /// Whether more waits than the limit allows.
    pub(crate) fn is_over(&self) -> bool {
        self.memory() > self.max_bytes
    }

    /// The memory that all waiting bytes use. The allocator's blocks are larger than requested, by an eighth at most.
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

/// Frames with the account that counts them.
#[derive(Debug)]
struct AccountedFrames {
    frames: Vec<u8>,
    account: Arc<Account>,
}

impl AsRef<[u8]> for AccountedFrames {
    fn as_ref(&self) -> &[u8] {
        &self.frames
    }
}

impl Drop for AccountedFrames {
    fn drop(&mut self) {
        self.account.shared.fetch_sub(self.frames.len(), Relaxed);
    }
}

/// Larger than any known number, so that a worker that has not looked is woken first.
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
        assert!(!account.report_largest(0, 10) && is_woken(2), "the others have not looked");
        assert!(!account.report_largest(2, 20) && is_woken(1) && !is_woken(0));
        assert!(account.report_largest(1, 30));
        assert!(!account.report_largest(2, 20) && is_woken(1) && !is_woken(0));
        assert!(!account.report_largest(1, 0) && is_woken(2), "it has nothing any more");
        assert!(account.report_largest(2, 20));
        account.forget_largest(0);
        assert!(!account.report_largest(2, 20) && is_woken(0), "too much waits again");
    }
}
