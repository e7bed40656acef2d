//! Numbers that the server counts about itself, for `/metrics`.
//!
//! Each worker counts in cells of its own, so that nothing is shared while it works. A scrape reads the cells of all
//! workers and adds them up. This room knows nobody: those who work increment its cells, and `http/metrics` reads them.

pub(crate) mod cell;
pub(crate) mod kinds;
pub(crate) mod traffic;

use cell::{Counter, Gauge, Histogram, Peak};
use kinds::{CLOSE_CODES, Carrier, PausedReading, RefusedHandshake, SlowPolicy};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime};

/// The cells of all workers, and what there is once for the process.
#[derive(Debug)]
pub(crate) struct Metrics {
    pub(crate) workers: Box<[Arc<WorkerMetrics>]>,
    /// When the server was made, by both clocks.
    pub(crate) started: SystemTime,
    pub(crate) begun: Instant,
    panics: AtomicU64,
    state_write_failures: AtomicU64,
}

/// The cells that one worker writes. Each array has one cell for each kind, in the order of the kind's `ALL`.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct WorkerMetrics {
    /// Open connections by what carries them, and for a WebSocket by its dialect.
    pub(crate) connections: [Gauge; Carrier::ALL.len()],
    pub(crate) opened: [Counter; Carrier::ALL.len()],
    /// By code, in the order of [`CLOSE_CODES`]; the last cell is for all other codes.
    pub(crate) closed: [Counter; CLOSE_CODES.len() + 1],
    pub(crate) handshakes_refused: [Counter; RefusedHandshake::ALL.len()],
    /// How often the system could not give a connection that waits.
    pub(crate) accept_failures: Counter,
    /// Publications that were handed to connections.
    pub(crate) deliveries: [Counter; Carrier::ALL.len()],
    pub(crate) received_bytes: [Counter; Carrier::ALL.len()],
    pub(crate) sent_bytes: [Counter; Carrier::ALL.len()],
    /// The most bytes that waited for one connection lately.
    pub(crate) largest_outbox: Peak,
    /// When the server was made.
    pub(crate) begun: Instant,
    pub(crate) slow_consumers: [Counter; SlowPolicy::ALL.len()],
    pub(crate) left_out: [Counter; SlowPolicy::ALL.len()],
    pub(crate) reading_paused: [Counter; PausedReading::ALL.len()],
    /// From the time when publications were taken from their publisher until they were written or queued.
    pub(crate) fanout: Histogram,
    pub(crate) turn: Histogram,
    pub(crate) lock_wait: Histogram,
    /// Requests by HTTP: for each route, by the hundreds of the status from 1 to 5.
    pub(crate) http_requests: Box<[[Counter; 5]]>,
    pub(crate) http_duration: Histogram,
}

impl Metrics {
    /// Cells for so many workers, and for so many routes of HTTP.
    pub(crate) fn new(workers: usize, routes: usize) -> Arc<Self> {
        let begun = Instant::now();
        let workers = (0..workers).map(|_| Arc::new(WorkerMetrics::new(begun, routes))).collect();
        Arc::new(Self {
            workers,
            started: SystemTime::now(),
            begun,
            panics: AtomicU64::new(0),
            state_write_failures: AtomicU64::new(0),
        })
    }

    /// Counts the panic of a worker.
    pub(crate) fn note_panic(&self) {
        self.panics.fetch_add(1, Relaxed);
    }

    pub(crate) fn panics(&self) -> u64 {
        self.panics.load(Relaxed)
    }

    /// Counts something that could not be written into the state folder.
    pub(crate) fn note_state_write_failure(&self) {
        self.state_write_failures.fetch_add(1, Relaxed);
    }

    pub(crate) fn state_write_failures(&self) -> u64 {
        self.state_write_failures.load(Relaxed)
    }

    /// The sum of one counter of all workers.
    pub(crate) fn sum(&self, counter: impl Fn(&WorkerMetrics) -> &Counter) -> u64 {
        self.workers.iter().map(|worker| counter(worker).get()).sum()
    }

    /// The sum of one gauge of all workers.
    pub(crate) fn gauge(&self, gauge: impl Fn(&WorkerMetrics) -> &Gauge) -> i64 {
        self.workers.iter().map(|worker| gauge(worker).get()).sum()
    }

    /// The most bytes that waited for one connection of any worker lately.
    pub(crate) fn largest_outbox(&self, now: Instant) -> u64 {
        let since = now.saturating_duration_since(self.begun);
        self.workers.iter().map(|worker| worker.largest_outbox.get(since)).max().unwrap_or(0)
    }
}

impl WorkerMetrics {
    fn new(begun: Instant, routes: usize) -> Self {
        Self {
            connections: Default::default(),
            opened: Default::default(),
            closed: Default::default(),
            handshakes_refused: Default::default(),
            accept_failures: Counter::default(),
            deliveries: Default::default(),
            received_bytes: Default::default(),
            sent_bytes: Default::default(),
            largest_outbox: Peak::default(),
            begun,
            slow_consumers: Default::default(),
            left_out: Default::default(),
            reading_paused: Default::default(),
            fanout: Histogram::default(),
            turn: Histogram::default(),
            lock_wait: Histogram::default(),
            http_requests: (0..routes).map(|_| Default::default()).collect(),
            http_duration: Histogram::default(),
        }
    }

    /// Counts a connection that was opened.
    pub(crate) fn note_opened(&self, carrier: Carrier) {
        self.opened[carrier as usize].add(1);
        self.connections[carrier as usize].add(1);
    }

    /// Counts a connection that is gone.
    pub(crate) fn note_gone(&self, carrier: Carrier) {
        self.connections[carrier as usize].add(-1);
    }

    /// Counts a close, by its code.
    pub(crate) fn note_closed(&self, code: u16) {
        let place = CLOSE_CODES.iter().position(|known| *known == code).unwrap_or(CLOSE_CODES.len());
        self.closed[place].add(1);
    }

    pub(crate) fn note_refused(&self, reason: RefusedHandshake) {
        self.handshakes_refused[reason as usize].add(1);
    }

    pub(crate) fn note_paused(&self, why: PausedReading) {
        self.reading_paused[why as usize].add(1);
    }

    /// Counts an answer by HTTP.
    pub(crate) fn note_http(&self, route: usize, status: u16, took: Duration) {
        let class = usize::from(status / 100).clamp(1, 5) - 1;
        if let Some(route) = self.http_requests.get(route) {
            route[class].add(1);
        }
        self.http_duration.note(took);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cells_of_all_workers_are_added_up() {
        let metrics = Metrics::new(2, 1);
        for (worker, count) in metrics.workers.iter().zip([3, 4]) {
            (0..count).for_each(|_| worker.note_opened(Carrier::Typed));
            worker.note_gone(Carrier::Typed);
            worker.note_closed(1000);
            worker.note_closed(4999);
            worker.note_http(0, 404, Duration::from_millis(1));
            worker.note_http(7, 200, Duration::from_millis(1));
        }
        assert_eq!(metrics.sum(|worker| &worker.opened[Carrier::Typed as usize]), 7);
        assert_eq!(metrics.gauge(|worker| &worker.connections[Carrier::Typed as usize]), 5);
        assert_eq!(metrics.sum(|worker| &worker.closed[0]), 2);
        assert_eq!(metrics.sum(|worker| &worker.closed[CLOSE_CODES.len()]), 2, "a code of no name");
        assert_eq!(metrics.sum(|worker| &worker.http_requests[0][3]), 2);
    }
}
