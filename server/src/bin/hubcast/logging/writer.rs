//! The thread that writes the log.
//!
//! The reader of standard error can stand still: a terminal after Ctrl-S, a pipe that nothing empties. Then only this
//! thread waits. Workers and signals leave their lines in memory, up to a bound, and go on.

use std::io::{self, ErrorKind, Write};
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// The lines that wait for the thread. A clone is a second handle to the same lines.
#[derive(Clone, Debug)]
pub(super) struct LogWriter(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    /// Notified when lines wait, and when all of them are written.
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    /// Whole lines, at most `MAX_WAITING_BYTES`.
    waiting: Vec<u8>,
    /// Lines that found no room since the last one that did.
    lost: u64,
    /// Whether the thread is writing what it took last.
    is_writing: bool,
}

impl LogWriter {
    /// Starts the thread, which writes to `out` until the process ends.
    ///
    /// # Errors
    /// The system gives no further thread.
    pub(super) fn start(out: impl Write + Send + 'static) -> io::Result<Self> {
        let shared = Arc::<Shared>::default();
        let of_thread = Arc::clone(&shared);
        thread::Builder::new().name("log".to_owned()).spawn(move || of_thread.write_to(out))?;
        Ok(Self(shared))
    }

    /// Waits until everything is written, for a second at most: the reader may stand still.
    pub(super) fn flush(&self) {
        let is_busy = |queue: &mut Queue| queue.is_writing || !queue.waiting.is_empty();
        drop(self.0.changed.wait_timeout_while(self.0.lock(), FLUSH_MAX, is_busy));
    }
}

impl Write for LogWriter {
    /// Takes one event, which is whole lines: all of it, or nothing and counts it.
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let mut queue = self.0.lock();
        if queue.waiting.len() + event.len() > MAX_WAITING_BYTES {
            queue.lost += 1;
        } else {
            queue.waiting.extend_from_slice(event);
            self.0.changed.notify_all();
        }
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_to(&self, mut out: impl Write) {
        let mut queue = self.lock();
        loop {
            queue.is_writing = false;
            self.changed.notify_all();
            let idle = |queue: &mut Queue| queue.waiting.is_empty();
            queue = self.changed.wait_while(queue, idle).unwrap_or_else(PoisonError::into_inner);
            queue.is_writing = true;
            let lines = mem::take(&mut queue.waiting);
            drop(queue);
            // A reader that has gone gets nothing. A server does its work also when nothing reads its log.
            let _ = write_all(&mut out, &lines);
            let lost = mem::take(&mut self.lock().lost);
            if lost > 0 {
                tracing::warn!(lost, "events of the log were lost: its reader stood still, and 1 MiB waited for it");
            }
            queue = self.lock();
        }
    }
}

/// Writes everything, also to a pipe that another program has made non-blocking.
fn write_all(out: &mut impl Write, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match out.write(bytes) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(RETRY),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Bytes of lines that wait for a reader.
const MAX_WAITING_BYTES: usize = 1024 * 1024;

/// How long the end of the process waits for the last lines to be written.
const FLUSH_MAX: Duration = Duration::from_secs(1);

/// The pause before another try where a write would block.
const RETRY: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
    use std::time::Instant;

    /// Stands still until it is let go on, then takes what is written.
    struct Reader {
        go_on: Receiver<()>,
        read: SyncSender<Vec<u8>>,
    }

    impl Write for Reader {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.go_on.recv().map_err(io::Error::other)?;
            self.read.send(bytes.to_vec()).map_err(io::Error::other)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_stands_still_blocks_no_writer_and_costs_a_bounded_memory() {
        let ((go_on, wait), (read, lines)) = (sync_channel(9), sync_channel(9));
        let mut log = LogWriter::start(Reader { go_on: wait, read }).unwrap();
        log.write_all(b"first\n").unwrap();
        while !log.0.lock().is_writing {
            thread::yield_now();
        }
        let line = [b'x'; 1024];
        for _ in 0..1030 {
            log.write_all(&line).unwrap();
        }
        assert_eq!(log.0.lock().waiting.len(), MAX_WAITING_BYTES);
        assert_eq!(log.0.lock().lost, 6);
        let begun = Instant::now();
        log.flush();
        assert!((FLUSH_MAX..FLUSH_MAX * 5).contains(&begun.elapsed()), "{:?}", begun.elapsed());
        go_on.send(()).unwrap();
        go_on.send(()).unwrap();
        assert_eq!(lines.recv().unwrap(), b"first\n");
        assert_eq!(lines.recv().unwrap().len(), MAX_WAITING_BYTES);
        log.flush();
        assert_eq!(log.0.lock().lost, 0, "they are counted once");
    }
}
