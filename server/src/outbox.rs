//! What waits to be written to one connection.

mod backlog;

use crate::encode::batch::{Batch, FRAME_OVERHEAD_BYTES, frame_cost};
use crate::encode::history_reply::HistoryReply;
use backlog::{Backlog, NextBytes};
use bytes::Bytes;
use hubcast_hub::Publication;
use hubcast_protocol::{Dialect, Slow, Topic};
use std::collections::VecDeque;
use std::io::{self, IoSlice};

/// A queue of frames that are shared with other outboxes, written as many at once as the socket takes.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    frames: VecDeque<QueuedFrame>,
    /// What those of `frames` cost that count, with what is written of them already.
    charged: usize,
    /// What the others cost.
    exempt: usize,
    /// Bytes of those that no other outbox has.
    unshared: usize,
    /// How much of the first one is written.
    written: usize,
    /// Whether the last one that is written ended within a frame.
    is_mid_frame: bool,
    /// What waits behind the frames, where some of it may be left out.
    backlog: Option<Box<Backlog>>,
}

#[derive(Debug)]
struct QueuedFrame {
    bytes: Bytes,
    /// Whether it counts against what may wait: nobody is slow because of what he missed.
    charged: bool,
    /// Whether it ends where a frame ends.
    ends_frame: bool,
    /// Whether other outboxes have the same bytes.
    shared: bool,
}

/// How much of what was to be written without queueing the sink took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DirectWrite {
    All,
    /// The rest waits in the outbox.
    Part,
    Nothing,
}

/// Where bytes go: the socket, or a test.
pub(crate) trait Sink {
    fn write(&self, bytes: &[u8]) -> io::Result<usize>;
    fn write_vectored(&self, bytes: &[IoSlice<'_>]) -> io::Result<usize>;
}

impl Outbox {
    /// Queues frames that must go out; says whether there was room for them among `most` bytes.
    pub(crate) fn push(&mut self, frames: Bytes, most: usize) -> bool {
        self.push_one(frames, false, most)
    }

    fn push_one(&mut self, bytes: Bytes, shared: bool, most: usize) -> bool {
        if let Some(backlog) = &mut self.backlog {
            return backlog.push_frame(bytes, most.saturating_sub(self.charged));
        }
        let queued = self.queued();
        // What is larger by itself than all that may wait is still a single event: it need not wait for anything.
        let fits = queued == 0 || queued + frame_cost(&bytes) <= most;
        if fits {
            self.push_frames(QueuedFrame { shared, ..QueuedFrame::charged(bytes) });
        }
        fits
    }

    /// Queues what must go out whatever waits already.
    pub(crate) fn push_exempt(&mut self, frames: Bytes) {
        match &mut self.backlog {
            None => self.push_frames(QueuedFrame { charged: false, ..QueuedFrame::charged(frames) }),
            Some(backlog) => backlog.push_exempt(frames),
        }
    }

    /// Queues publications that must go out whatever waits already, to be encoded when it is their turn.
    pub(crate) fn push_missed(&mut self, missed: Vec<Publication>) {
        self.backlog.get_or_insert_default().push_missed(missed);
    }

    /// Queues the answer to a `history` request, whatever waits already, to be encoded when it is its turn.
    pub(crate) fn push_history(&mut self, answer: HistoryReply) {
        self.backlog.get_or_insert_default().push_history(answer);
    }

    /// Queues publications of which some may be left out when there is no room among `most` bytes, or when the
    /// socket is `blocked`; says whether there was room in the end.
    pub(crate) fn push_publications(
        &mut self,
        frames: &Batch,
        slow: Slow,
        dialect: Dialect,
        blocked: bool,
        most: usize,
    ) -> bool {
        if let (Slow::Disconnect, Some(backlog)) = (slow, &mut self.backlog) {
            let most = most.saturating_sub(self.charged);
            return backlog.push_required(frames.publications(), frames.get(dialect).clone(), most);
        }
        if slow == Slow::Disconnect || (self.backlog.is_none() && !blocked) {
            let fits = self.push_one(frames.get(dialect).clone(), true, most);
            if fits || slow == Slow::Disconnect {
                return fits;
            }
        }
        let backlog = self.backlog.get_or_insert_default();
        backlog.push_publications(frames.publications(), slow, most.saturating_sub(self.charged))
    }

    /// Queues a join or a leave of a topic, which may be left out when the socket is `blocked`; says whether there was room
    /// in the end.
    pub(crate) fn push_event(&mut self, topic: &Topic, frame: &Bytes, blocked: bool, most: usize) -> bool {
        if !blocked {
            // Much in one turn makes nobody slow: where it does not fit the socket is asked first.
            return self.push(frame.clone(), most);
        }
        let backlog = self.backlog.get_or_insert_default();
        backlog.push_event(topic, frame.clone(), most.saturating_sub(self.charged))
    }

    /// Has frames written without queueing them, if nothing waits that must go first; what is not taken waits.
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
            // The next write finds out what it is.
            Err(_) => DirectWrite::Nothing,
        }
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.frames.is_empty() && self.backlog.is_none()
    }

    /// What that costs which waits and counts.
    pub(crate) fn len(&self) -> usize {
        self.queued() + self.backlog.as_ref().map_or(0, |backlog| backlog.len())
    }

    /// What that costs which waits and does not count.
    pub(crate) fn exempt(&self) -> usize {
        let begun = self.frames.front().is_some_and(|first| !first.charged);
        self.exempt - if begun { self.written } else { 0 } + self.backlog.as_ref().map_or(0, |backlog| backlog.exempt())
    }

    /// Bytes of memory that it takes, without frames that other outboxes have too and without publications.
    pub(crate) fn own_bytes(&self) -> usize {
        self.unshared
            + self.frames.len() * FRAME_OVERHEAD_BYTES
            + self.backlog.as_ref().map_or(0, |backlog| backlog.own_bytes())
    }

    /// Leaves out all that may be left out; says whether there was anything.
    pub(crate) fn leave_out_all(&mut self) -> bool {
        self.backlog.as_mut().is_some_and(|backlog| backlog.leave_out_all())
    }

    /// Forgets every frame of which nothing is written yet. Says whether another one may follow what is left: not after a
    /// part of a long one.
    pub(crate) fn discard_unsent(&mut self) -> bool {
        let begun = usize::from(self.written > 0);
        let begun: Vec<_> = self.frames.drain(..).take(begun).collect();
        (self.charged, self.exempt, self.unshared, self.backlog) = (0, 0, 0, None);
        let is_whole = begun.first().map_or(!self.is_mid_frame, |begun| begun.ends_frame);
        begun.into_iter().for_each(|begun| self.push_frames(begun));
        is_whole
    }

    /// Writes until nothing waits or the sink takes no more, or it is time for others.
    ///
    /// # Errors
    /// What the sink says, `WouldBlock` included; what it took until then is gone from here. `WouldBlock` too when much
    /// was written and there is more.
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

    /// What the frames cost that count and are not written.
    fn queued(&self) -> usize {
        let begun = self.frames.front().is_some_and(|first| first.charged);
        self.charged - if begun { self.written } else { 0 }
    }

    /// Takes some of what waits behind the frames.
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

    /// What all frames cost of one kind.
    fn sum(&mut self, charged: bool) -> &mut usize {
        if charged { &mut self.charged } else { &mut self.exempt }
    }

    /// Gives the queue's room back.
    pub(crate) fn release(&mut self) {
        if self.frames.is_empty() {
            self.frames = VecDeque::new();
        }
    }

    /// Keeps room only for one that gets several frames a turn, but not many.
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
    /// A whole frame, or several, that counts.
    fn charged(bytes: Bytes) -> Self {
        Self { bytes, charged: true, ends_frame: true, shared: false }
    }

    /// Bytes that no other outbox has.
    fn unshared(&self) -> usize {
        if self.shared { 0 } else { self.bytes.len() }
    }
}

/// Bytes that one connection is given before it is the turn of others, if it takes them all and has more to catch up.
pub(crate) const MAX_WRITE_BYTES: usize = 128 * 1024;

/// Bytes that are taken at once from what waits behind the frames: enough for a large write, and the rest may still be
/// left out.
const CATCH_UP_BYTES: usize = 32 * 1024;

/// Batch in one vectored write.
const MAX_IOVECS: usize = 64;

/// Batch whose room a busy connection keeps.
const KEPT_FRAMES: usize = 64;

#[cfg(test)]
mod tests;
