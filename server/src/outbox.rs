//! The queue of bytes that wait to be written to one connection.

mod backlog;

use crate::encode::batch::{Batch, FRAME_OVERHEAD_BYTES, frame_cost};
use crate::encode::history_reply::HistoryReply;
pub(crate) use backlog::LeftOut;
use backlog::{Backlog, NextBytes};
use bytes::Bytes;
use hubcast_hub::Publication;
use hubcast_protocol::{Dialect, Slow, Topic};
use std::collections::VecDeque;
use std::io::{self, IoSlice};

/// A queue of frames for one socket. Outboxes share the bytes of a frame. One write takes as many frames as the socket
/// accepts.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    frames: VecDeque<QueuedFrame>,
    /// Cost of the charged entries of `frames`, in bytes. Includes the bytes of the first entry that are written
    /// already.
    charged: usize,
    /// Cost of the exempt entries of `frames`, in bytes; counted in the same way.
    exempt: usize,
    /// Bytes of the entries that no other outbox shares.
    unshared: usize,
    /// Bytes of the first entry that are written already.
    written: usize,
    /// Whether the last entry that was written completely ended within a frame.
    is_mid_frame: bool,
    /// The queue behind `frames`, for what may be left out, and for what is encoded only when the socket is ready.
    backlog: Option<Box<Backlog>>,
}

#[derive(Debug)]
struct QueuedFrame {
    bytes: Bytes,
    /// Whether it counts against the limit of the outbox. A replay does not count: a client is not slow because of what
    /// it missed while it was away.
    charged: bool,
    /// Whether its last byte is the last byte of a frame.
    ends_frame: bool,
    /// Whether other outboxes share the same bytes.
    shared: bool,
}

/// How much of the bytes a direct write has written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DirectWrite {
    All,
    /// The rest waits in the outbox.
    Part,
    Nothing,
}

/// The destination of bytes: the socket, or a test.
pub(crate) trait Sink {
    fn write(&self, bytes: &[u8]) -> io::Result<usize>;
    fn write_vectored(&self, bytes: &[IoSlice<'_>]) -> io::Result<usize>;
}

impl Outbox {
    /// Queues frames that must go out. Returns whether they fit: at most `most` bytes may wait.
    pub(crate) fn push(&mut self, frames: Bytes, most: usize) -> bool {
        self.push_one(frames, false, most)
    }

    fn push_one(&mut self, bytes: Bytes, shared: bool, most: usize) -> bool {
        if let Some(backlog) = &mut self.backlog {
            return backlog.push_frame(bytes, most.saturating_sub(self.charged));
        }
        let queued = self.queued();
        // A frame may be larger than `most` by itself. It is still accepted if nothing else waits.
        let fits = queued == 0 || queued + frame_cost(&bytes) <= most;
        if fits {
            self.push_frames(QueuedFrame { shared, ..QueuedFrame::charged(bytes) });
        }
        fits
    }

    /// Queues frames that must go out, without a limit. They do not count.
    pub(crate) fn push_exempt(&mut self, frames: Bytes) {
        match &mut self.backlog {
            None => self.push_frames(QueuedFrame { charged: false, ..QueuedFrame::charged(frames) }),
            Some(backlog) => backlog.push_exempt(frames),
        }
    }

    /// Queues missed publications that must go out, without a limit. They are encoded when the socket is ready for
    /// them.
    pub(crate) fn push_missed(&mut self, missed: Vec<Publication>) {
        self.backlog.get_or_insert_default().push_missed(missed);
    }

    /// Queues the answer to a `history` request, without a limit. It is encoded when the socket is ready for it.
    pub(crate) fn push_history(&mut self, answer: HistoryReply) {
        self.backlog.get_or_insert_default().push_history(answer);
    }

    /// Queues publications. With `drop` and `latest` the oldest may be left out when the socket is `write_blocked`, or
    /// when the publications alone are more than `most` bytes. Returns whether there was room in the end; if not, the
    /// caller writes to the socket and tries once more.
    pub(crate) fn push_publications(
        &mut self,
        frames: &Batch,
        slow: Slow,
        dialect: Dialect,
        write_blocked: bool,
        most: usize,
    ) -> bool {
        if let (Slow::Disconnect, Some(backlog)) = (slow, &mut self.backlog) {
            let most = most.saturating_sub(self.charged);
            return backlog.push_required(frames.publications(), frames.get(dialect).clone(), most);
        }
        if slow == Slow::Disconnect || (self.backlog.is_none() && !write_blocked) {
            let fits = self.push_one(frames.get(dialect).clone(), true, most);
            // Many publications in one turn do not make a client slow: nothing is left out before the socket was tried.
            if fits || slow == Slow::Disconnect || !self.is_empty() {
                return fits;
            }
        }
        let backlog = self.backlog.get_or_insert_default();
        backlog.push_publications(frames.publications(), slow, most.saturating_sub(self.charged))
    }

    /// Queues a join or a leave of a topic. It may be left out when the socket is `write_blocked`. Returns whether there was
    /// room in the end.
    pub(crate) fn push_presence(&mut self, topic: &Topic, frame: &Bytes, write_blocked: bool, most: usize) -> bool {
        if !write_blocked {
            // Many events in one turn do not make a client slow. If they do not fit, the caller first tries to write to
            // the socket.
            return self.push(frame.clone(), most);
        }
        let backlog = self.backlog.get_or_insert_default();
        backlog.push_presence(topic, frame.clone(), most.saturating_sub(self.charged))
    }

    /// Writes frames without queueing them, if nothing waits that must go first. If the sink takes only a part, the
    /// rest is queued.
    pub(crate) fn try_write_direct(
        &mut self,
        frames: &Bytes,
        write: impl FnOnce(&[u8]) -> io::Result<usize>,
    ) -> DirectWrite {
        if !self.is_empty() {
            return DirectWrite::Nothing;
        }
        match write(frames) {
            Ok(written) if written == frames.len() => DirectWrite::All,
            Ok(written) => {
                self.push_frames(QueuedFrame { shared: true, ..QueuedFrame::charged(frames.clone()) });
                self.written = written;
                DirectWrite::Part
            }
            // The next write finds out what the error is.
            Err(_) => DirectWrite::Nothing,
        }
    }

    /// Bytes of the first frames that are written already.
    pub(crate) fn begun(&self) -> usize {
        self.written
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.frames.is_empty() && self.backlog.is_none()
    }

    /// Cost of all that waits and counts, in bytes.
    pub(crate) fn charged(&self) -> usize {
        self.queued() + self.backlog.as_ref().map_or(0, |backlog| backlog.charged())
    }

    /// Cost of all that waits and does not count, in bytes.
    pub(crate) fn exempt(&self) -> usize {
        let begun = self.frames.front().is_some_and(|first| !first.charged);
        self.exempt - if begun { self.written } else { 0 } + self.backlog.as_ref().map_or(0, |backlog| backlog.exempt())
    }

    /// Bytes of memory that it uses, without publications and without frames that other outboxes share.
    pub(crate) fn own_bytes(&self) -> usize {
        self.unshared
            + self.frames.len() * FRAME_OVERHEAD_BYTES
            + self.backlog.as_ref().map_or(0, |backlog| backlog.own_bytes())
    }

    /// What was left out since the last call; `None` if it was nothing.
    pub(crate) fn take_left_out(&mut self) -> Option<LeftOut> {
        self.backlog.as_mut().map(|backlog| backlog.take_left_out()).filter(|left_out| *left_out != LeftOut::default())
    }

    /// Leaves out all publications and events that may be left out. Returns whether there were any.
    pub(crate) fn leave_out_all(&mut self) -> bool {
        self.backlog.as_mut().is_some_and(|backlog| backlog.leave_out_all())
    }

    /// Drops every entry of which nothing is written yet. Returns whether another frame may follow the rest: `false`
    /// when the rest ends within a long frame.
    pub(crate) fn discard_unsent(&mut self) -> bool {
        let begun = usize::from(self.written > 0);
        let begun: Vec<_> = self.frames.drain(..).take(begun).collect();
        (self.charged, self.exempt, self.unshared, self.backlog) = (0, 0, 0, None);
        let is_whole = begun.first().map_or(!self.is_mid_frame, |begun| begun.ends_frame);
        begun.into_iter().for_each(|begun| self.push_frames(begun));
        is_whole
    }

    /// Writes until nothing waits, the sink takes no more, or this connection has had its share of the worker's time.
    ///
    /// # Errors
    /// The error of the sink, including `WouldBlock`; the bytes that the sink took before are removed from the outbox.
    /// Also `WouldBlock` when [`MAX_WRITE_BYTES`] or more were written and the backlog is not empty.
    pub(crate) fn write_to(&mut self, sink: &impl Sink, dialect: Dialect) -> io::Result<()> {
        if self.frames.is_empty() {
            self.catch_up(dialect);
        }
        let mut written = 0;
        while let Some(first) = self.frames.front() {
            let taken = if self.frames.len() == 1 {
                sink.write(&first.bytes[self.written..])?
            } else {
                let mut slices = [IoSlice::new(&[]); MAX_IOVECS];
                let count = self.frames.len().min(MAX_IOVECS);
                for (slice, frame) in slices.iter_mut().zip(&self.frames) {
                    *slice = IoSlice::new(&frame.bytes);
                }
                slices[0] = IoSlice::new(&first.bytes[self.written..]);
                sink.write_vectored(&slices[..count])?
            };
            if taken == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            self.advance(taken);
            written += taken;
            if self.frames.is_empty() {
                if self.backlog.is_some() && written >= MAX_WRITE_BYTES {
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                self.catch_up(dialect);
            }
        }
        self.release_unless_busy();
        Ok(())
    }

    /// Cost of the charged frames, without the bytes that are written already.
    fn queued(&self) -> usize {
        let begun = self.frames.front().is_some_and(|first| first.charged);
        self.charged - if begun { self.written } else { 0 }
    }

    /// Moves at least [`CATCH_UP_BYTES`] from the backlog to `frames`, or all if less waits.
    fn catch_up(&mut self, dialect: Dialect) {
        let Some(mut backlog) = self.backlog.take() else { return };
        let mut taken = 0;
        while taken < CATCH_UP_BYTES {
            let Some(NextBytes { bytes, charged, ends_frame }) = backlog.pop(dialect) else { return };
            taken += bytes.len();
            self.push_frames(QueuedFrame { bytes, charged, ends_frame, shared: false });
        }
        self.backlog = Some(backlog);
    }

    fn push_frames(&mut self, waiting: QueuedFrame) {
        *self.sum(waiting.charged) += frame_cost(&waiting.bytes);
        self.unshared += waiting.unshared();
        self.frames.push_back(waiting);
    }

    /// The total cost of one kind of frames.
    fn sum(&mut self, charged: bool) -> &mut usize {
        if charged { &mut self.charged } else { &mut self.exempt }
    }

    /// Frees the memory of the queue if the queue is empty.
    pub(crate) fn release(&mut self) {
        if self.frames.is_empty() {
            self.frames = VecDeque::new();
        }
    }

    /// Frees the memory of the empty queue, unless its capacity shows that the connection gets several frames in a
    /// turn, but not many.
    fn release_unless_busy(&mut self) {
        if !(5..=KEPT_FRAMES).contains(&self.frames.capacity()) {
            self.release();
        }
    }

    fn advance(&mut self, taken: usize) {
        self.written += taken;
        while let Some(first) = self.frames.front()
            && first.bytes.len() <= self.written
        {
            let (gone, charged) = (first.bytes.len(), first.charged);
            self.is_mid_frame = !first.ends_frame;
            self.unshared -= first.unshared();
            self.written -= gone;
            *self.sum(charged) -= gone + FRAME_OVERHEAD_BYTES;
            self.frames.pop_front();
        }
    }
}

impl QueuedFrame {
    /// One whole frame or several, which count.
    fn charged(bytes: Bytes) -> Self {
        Self { bytes, charged: true, ends_frame: true, shared: false }
    }

    /// Bytes that no other outbox shares.
    fn unshared(&self) -> usize {
        if self.shared { 0 } else { self.bytes.len() }
    }
}

/// Bytes that are written to one connection before other connections get their turn. Applies to a connection that takes
/// all of them and still has a backlog.
pub(crate) const MAX_WRITE_BYTES: usize = 128 * 1024;

/// Bytes that are moved from the backlog to the frames at once: enough for a large write. What stays in the backlog may
/// still be left out.
const CATCH_UP_BYTES: usize = 32 * 1024;

/// Frames in one vectored write.
const MAX_IOVECS: usize = 64;

/// Largest queue, in frames, whose memory a busy connection keeps.
const KEPT_FRAMES: usize = 64;

#[cfg(test)]
mod tests;
