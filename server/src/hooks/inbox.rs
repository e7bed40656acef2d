//! Where the turns of workers put what happens, and where it is taken from to be sent.
//!
//! A turn only pushes here, while it has the lock of the hub: so all that happens is here in its order. If the sending is
//! far behind, what happens is counted and not kept.

use super::settling::{ConnectionEnd, Report};
use crate::trace_context::TraceContext;
use hubcast_hub::Lifecycle;
use std::collections::VecDeque;
use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::sync::Notify;

/// What has happened and is not taken yet.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    arrived: Mutex<Arrived>,
    not_empty: Notify,
}

#[derive(Debug, Default)]
struct Arrived {
    list: VecDeque<(Instant, Lifecycle, Option<TraceContext>, Option<ConnectionEnd>)>,
    lost: u64,
}

impl Inbox {
    /// Adds what happened, with the trace of its client. `end` is how the connection ended, for a client that is gone.
    pub(crate) fn push(
        &self,
        at: Instant,
        happened: Lifecycle,
        trace: Option<TraceContext>,
        end: Option<ConnectionEnd>,
    ) {
        let mut arrived = self.arrived();
        if arrived.list.len() >= MAX_ARRIVED {
            arrived.lost += 1;
            return;
        }
        arrived.list.push_back((at, happened, trace, end));
        let is_first = arrived.list.len() == 1;
        drop(arrived);
        if is_first {
            self.not_empty.notify_one();
        }
    }

    /// Takes what happened, at most so many things, and the number of things that are lost. If more is left,
    /// [`not_empty`](Self::not_empty) completes at once.
    pub(crate) fn take(&self, most: usize, now: Instant, unix_ms: u64) -> (Vec<Report>, u64) {
        let mut arrived = self.arrived();
        let count = most.min(arrived.list.len());
        let list: Vec<_> = arrived.list.drain(..count).collect();
        let lost = mem::take(&mut arrived.lost);
        if arrived.list.is_empty() {
            // A crowd leaves no memory behind.
            arrived.list.shrink_to(most);
        } else {
            self.not_empty.notify_one();
        }
        drop(arrived);
        let report = |(at, happened, trace, end)| {
            let ago = u64::try_from(now.saturating_duration_since(at).as_millis()).unwrap_or(u64::MAX);
            Report { at, unix_ms: unix_ms.saturating_sub(ago), happened, trace, end }
        };
        (list.into_iter().map(report).collect(), lost)
    }

    /// Waits until there is something to take.
    pub(crate) async fn not_empty(&self) {
        self.not_empty.notified().await;
    }

    fn arrived(&self) -> MutexGuard<'_, Arrived> {
        self.arrived.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Most things that are kept: some ten megabytes.
const MAX_ARRIVED: usize = 65_536;

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn what_is_not_taken_in_time_is_counted() {
        let (inbox, now) = (Inbox::default(), Instant::now());
        for _ in 0..MAX_ARRIVED + 3 {
            inbox.push(now, Lifecycle::Occupied("a".into()), None, None);
        }
        let (reports, lost) = inbox.take(MAX_ARRIVED - 1, now + Duration::from_millis(10), 1_010);
        assert_eq!((reports.len(), lost, reports[0].unix_ms), (MAX_ARRIVED - 1, 3, 1_000));
        for (left, nothing) in [(1, 0), (0, 0)] {
            let (reports, lost) = inbox.take(MAX_ARRIVED, now, 0);
            assert_eq!((reports.len(), lost), (left, nothing));
        }
    }
}
