//! A connection without a socket: two queues of bytes in memory. The queue to the client has limited room.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// The server's end.
#[derive(Debug)]
pub(crate) struct Pipe(Rc<RefCell<PipeState>>);

/// The client's end of a connection to a [`Simulated`](crate::server::simulated::Simulated) server.
#[derive(Clone, Debug)]
pub struct ClientEnd(Rc<RefCell<PipeState>>);

#[derive(Debug, Default)]
struct PipeState {
    to_server: VecDeque<u8>,
    to_client: Vec<u8>,
    /// Bytes that the server may still write.
    room: usize,
    /// Bytes of the answer to the handshake that are not removed from the server's output yet.
    unseen: usize,
    /// Whether the client sends no more.
    has_ended: bool,
    /// The connection's number on its worker.
    slot: u32,
    /// The connection's number in the whole server. It is pushed to `news` when the server writes or shuts the pipe;
    /// `is_notified` says that it was pushed since the client last took its bytes.
    number: u64,
    news: News,
    is_notified: bool,
    /// Whether the server writes no more (`is_shut`), and reads no more (`is_gone`).
    is_shut: bool,
    is_gone: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// The numbers of connections that the server wrote to or shut since the list was last taken.
pub(crate) type News = Rc<RefCell<Vec<u64>>>;

/// Makes both ends of the connection with this number. At first the server has room for `answer` only, and the client
/// does not see these bytes.
pub(crate) fn pipe(answer: &[u8], number: u64, news: News) -> (Pipe, ClientEnd) {
    let state = PipeState { room: answer.len(), unseen: answer.len(), number, news, ..PipeState::default() };
    let state = Rc::new(RefCell::new(state));
    (Pipe(Rc::clone(&state)), ClientEnd(state))
}

impl Pipe {
    pub(crate) fn poll_readable(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.0.borrow_mut();
        if state.to_server.is_empty() && !state.has_ended && !state.is_gone {
            state.reader = Some(context.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(())
    }

    pub(crate) fn poll_read(&self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<usize> {
        self.poll_readable(context).map(|()| {
            let mut state = self.0.borrow_mut();
            let count = state.to_server.len().min(buffer.len());
            buffer.iter_mut().zip(state.to_server.drain(..count)).for_each(|(to, from)| *to = from);
            count
        })
    }

    pub(crate) async fn writable(&self) -> io::Result<()> {
        poll_fn(|context| {
            let mut state = self.0.borrow_mut();
            if state.room == 0 && !state.is_shut {
                state.writer = Some(context.waker().clone());
                return Poll::Pending;
            }
            Poll::Ready(Ok(()))
        })
        .await
    }

    pub(crate) fn write(&self, bytes: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut state = self.0.borrow_mut();
        if state.is_shut {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let (room, before) = (state.room, state.to_client.len());
        if room == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        for slice in bytes {
            let room = room - (state.to_client.len() - before);
            state.to_client.extend_from_slice(&slice[..slice.len().min(room)]);
        }
        let written = state.to_client.len() - before;
        state.room -= written;
        state.tell();
        Ok(written)
    }

    pub(crate) fn shutdown(&self, how: Shutdown) {
        let mut state = self.0.borrow_mut();
        state.is_shut = true;
        state.is_gone |= how == Shutdown::Both;
        state.tell();
        state.wake();
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        self.shutdown(Shutdown::Both);
    }
}

impl ClientEnd {
    pub(crate) fn in_slot(self, slot: u32) -> Self {
        self.0.borrow_mut().slot = slot;
        self
    }

    /// The connection's number in the whole server.
    pub fn number(&self) -> u64 {
        self.0.borrow().number
    }

    /// The connection's number on its worker. Used again for another connection after this one is gone.
    pub fn slot(&self) -> u32 {
        self.0.borrow().slot
    }

    /// Sends bytes. The server reads them when its reading task is polled.
    pub fn send(&self, bytes: &[u8]) {
        let mut state = self.0.borrow_mut();
        state.to_server.extend(bytes);
        state.wake();
    }

    /// Ends the client's direction: the client sends no more.
    pub fn end(&self) {
        let mut state = self.0.borrow_mut();
        state.has_ended = true;
        state.wake();
    }

    /// Breaks the connection: the bytes that are not read are dropped, and the server can write no more.
    pub fn reset(&self) {
        let mut state = self.0.borrow_mut();
        state.to_server.clear();
        (state.has_ended, state.is_shut) = (true, true);
        state.wake();
    }

    /// Lets the server write so many more bytes.
    pub fn give_room(&self, bytes: usize) {
        let mut state = self.0.borrow_mut();
        state.room = state.room.saturating_add(bytes);
        if state.room > 0 {
            state.wake();
        }
    }

    /// Removes all room: the server can write nothing until it gets room again.
    pub fn fill(&self) {
        self.0.borrow_mut().room = 0;
    }

    /// Takes the bytes that the server has written.
    pub fn take_written(&self) -> Vec<u8> {
        let mut state = self.0.borrow_mut();
        state.is_notified = false;
        let mut written = std::mem::take(&mut state.to_client);
        let unseen = state.unseen.min(written.len());
        state.unseen -= unseen;
        written.drain(..unseen);
        written
    }

    /// Bytes that were sent and the server has not read.
    pub fn unread(&self) -> usize {
        self.0.borrow().to_server.len()
    }

    /// Whether the server writes no more.
    pub fn is_shut(&self) -> bool {
        self.0.borrow().is_shut
    }
}

impl PipeState {
    fn tell(&mut self) {
        if !std::mem::replace(&mut self.is_notified, true) {
            self.news.borrow_mut().push(self.number);
        }
    }

    fn wake(&mut self) {
        self.reader.take().into_iter().chain(self.writer.take()).for_each(Waker::wake);
    }
}
