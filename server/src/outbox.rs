//! What waits to be written to one connection.

use bytes::Bytes;
use std::collections::VecDeque;
use std::io::{self, IoSlice};

/// A queue of frames that are shared with other outboxes, written as many at once as the socket takes.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    frames: VecDeque<Bytes>,
    /// Bytes in all frames, those of the first that are written already included.
    bytes: usize,
    /// How much of the first frame is written.
    written: usize,
}

/// Where bytes go: the socket, or a test.
pub(crate) trait Sink {
    fn write(&self, bytes: &[u8]) -> io::Result<usize>;
    fn write_vectored(&self, bytes: &[IoSlice<'_>]) -> io::Result<usize>;
}

impl Outbox {
    pub(crate) fn push(&mut self, frame: Bytes) {
        self.bytes += frame.len();
        self.frames.push_back(frame);
    }

    /// Bytes that wait.
    pub(crate) fn len(&self) -> usize {
        self.bytes - self.written
    }

    /// Forgets every frame of which nothing is written yet.
    pub(crate) fn discard_unsent(&mut self) {
        let begun = usize::from(self.written > 0);
        self.bytes = self.frames.iter().take(begun).map(Bytes::len).sum();
        self.frames.truncate(begun);
    }

    /// Writes until nothing waits or the sink takes no more.
    ///
    /// # Errors
    /// What the sink says, `WouldBlock` included; what it took until then is gone from here.
    pub(crate) fn write_to(&mut self, sink: &impl Sink) -> io::Result<()> {
        while let Some(first) = self.frames.front() {
            let taken = if self.frames.len() == 1 {
                sink.write(&first[self.written..])?
            } else {
                let mut slices = [IoSlice::new(&[]); AT_ONCE];
                let count = self.frames.len().min(AT_ONCE);
                for (slice, frame) in slices.iter_mut().zip(&self.frames) {
                    *slice = IoSlice::new(frame);
                }
                slices[0] = IoSlice::new(&first[self.written..]);
                sink.write_vectored(&slices[..count])?
            };
            if taken == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            self.advance(taken);
        }
        self.release_unless_busy();
        Ok(())
    }

    /// Gives the queue's room back.
    pub(crate) fn release(&mut self) {
        if self.frames.is_empty() {
            self.frames = VecDeque::new();
        }
    }

    /// Keeps room only for one that gets several frames a turn, but not many.
    fn release_unless_busy(&mut self) {
        if !(5..=KEPT).contains(&self.frames.capacity()) {
            self.release();
        }
    }

    fn advance(&mut self, taken: usize) {
        self.written += taken;
        while let Some(first) = self.frames.front()
            && first.len() <= self.written
        {
            self.written -= first.len();
            self.bytes -= first.len();
            self.frames.pop_front();
        }
    }
}

/// Frames in one vectored write.
const AT_ONCE: usize = 64;

/// Frames whose room a busy connection keeps.
const KEPT: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    /// Takes so many bytes of each write.
    struct Narrow(usize, RefCell<Vec<u8>>);

    impl Sink for Narrow {
        fn write(&self, bytes: &[u8]) -> io::Result<usize> {
            let taken = bytes.len().min(self.0);
            self.1.borrow_mut().extend(&bytes[..taken]);
            if taken == 0 { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(taken) }
        }

        fn write_vectored(&self, bytes: &[IoSlice<'_>]) -> io::Result<usize> {
            self.write(&bytes.iter().flat_map(|slice| slice.iter().copied()).collect::<Vec<u8>>())
        }
    }

    #[test]
    fn frames_leave_in_order_whatever_the_sink_takes_at_once() {
        let frames: Vec<Bytes> = (0..150_u8).map(|n| Bytes::from(vec![n; 1 + usize::from(n % 5)])).collect();
        for width in [1, 2, 3, 7, 100, 10_000] {
            let (mut outbox, sink) = (Outbox::default(), Narrow(width, RefCell::default()));
            frames.iter().cloned().for_each(|frame| outbox.push(frame));
            assert_eq!(outbox.len(), frames.iter().map(Bytes::len).sum::<usize>());
            outbox.write_to(&sink).unwrap();
            assert_eq!(*sink.1.borrow(), frames.concat(), "{width} at once");
            assert_eq!((outbox.len(), outbox.frames.len()), (0, 0));
        }
    }

    #[test]
    fn a_frame_that_has_begun_is_never_discarded() {
        let mut outbox = Outbox::default();
        outbox.push(Bytes::from_static(b"abc"));
        outbox.push(Bytes::from_static(b"def"));
        outbox.advance(1);
        outbox.discard_unsent();
        assert_eq!(outbox.len(), 2);
        outbox.advance(2);
        assert!(outbox.frames.is_empty());
        outbox.push(Bytes::from_static(b"ghi"));
        outbox.discard_unsent();
        assert_eq!((outbox.len(), outbox.frames.len()), (0, 0));
    }
}
