//! A TCP connection on which a test writes any bytes and reads frames.

use crate::{Frame, Handshake, Heard};
use socket2::{Domain, SockRef, Type};
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// A blocking connection to the server. It keeps a transcript of what was read, for the message of a failure.
#[derive(Debug)]
pub struct Socket {
    stream: TcpStream,
    unread: Vec<u8>,
    transcript: Vec<String>,
}

/// The head of an HTTP answer.
#[derive(Debug)]
pub struct Answer {
    /// The status in its first line.
    pub status: u16,
    head: String,
}

impl Socket {
    /// Connects to the server.
    ///
    /// # Panics
    /// If the server does not listen.
    #[track_caller]
    pub fn connect(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).expect("the server listens"))
    }

    /// Connects with a receive buffer of 4096 bytes: if the test stops reading, the server soon cannot write.
    ///
    /// # Panics
    /// If the server does not listen.
    #[track_caller]
    pub fn connect_narrow(address: SocketAddr) -> Self {
        let socket = socket2::Socket::new(Domain::for_address(address), Type::STREAM, None).expect("a socket");
        socket.set_recv_buffer_size(4096).expect("a small buffer");
        socket.connect(&address.into()).expect("the server listens");
        Self::over(socket.into())
    }

    /// A socket over an open TCP connection.
    fn over(stream: TcpStream) -> Self {
        stream.set_nodelay(true).expect("a TCP socket");
        stream.set_write_timeout(Some(DEADLINE)).expect("a TCP socket");
        Self { stream, unread: Vec::new(), transcript: Vec::new() }
    }

    /// Writes bytes.
    ///
    /// # Panics
    /// If the server does not read them.
    #[track_caller]
    pub fn writes(&mut self, bytes: &[u8]) {
        if let Err(fault) = self.try_writes(bytes) {
            self.fail(&format!("the server does not take {} bytes: {fault}", bytes.len()));
        }
    }

    /// Writes bytes that the server may refuse by closing the connection.
    ///
    /// # Errors
    /// The error of the operating system, if the write fails.
    pub fn try_writes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Sends frames, all in one write.
    ///
    /// # Panics
    /// If the server does not read them.
    #[track_caller]
    pub fn sends<'a>(&mut self, frames: impl IntoIterator<Item = &'a Frame>) {
        let bytes: Vec<u8> = frames.into_iter().flat_map(Frame::bytes).collect();
        self.writes(&bytes);
    }

    /// Shuts down the writing direction; the reading direction stays open.
    ///
    /// # Panics
    /// If the connection is gone.
    pub fn ends_writing(&mut self) {
        self.stream.shutdown(Shutdown::Write).expect("the connection is there");
    }

    /// Closes the connection with a TCP reset, without a close frame.
    ///
    /// # Panics
    /// If the operating system refuses to set the option.
    pub fn resets(self) {
        SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).expect("a TCP socket");
    }

    /// Reads the next frame, or [`Heard::End`] or [`Heard::Reset`].
    ///
    /// # Panics
    /// If nothing comes before the [`DEADLINE`].
    #[track_caller]
    pub fn next_frame(&mut self) -> Heard {
        let heard = loop {
            if let Some((heard, length)) = Heard::read(&self.unread) {
                self.unread.drain(..length);
                break heard;
            }
            match self.read_more("a frame") {
                Ok(0) if self.unread.is_empty() => break Heard::End,
                Ok(0) => self.fail("the stream ended within a frame"),
                Ok(_) => {}
                Err(_) => break Heard::Reset,
            }
        };
        self.transcript.push(format!("{heard:?}"));
        heard
    }

    /// Reads the next frame that is not a ping. Answers the pings before it at once.
    ///
    /// # Panics
    /// If none comes before the [`DEADLINE`].
    #[track_caller]
    pub fn next_frame_but_pings(&mut self) -> Heard {
        loop {
            match self.next_frame() {
                // If the server has closed the connection meanwhile, a later read shows that.
                Heard::Ping(payload) => _ = self.try_writes(&Frame::pong(payload).bytes()),
                heard => return heard,
            }
        }
    }

    /// Expects this frame as the next one.
    ///
    /// # Panics
    /// If another frame comes, or none.
    #[track_caller]
    pub fn hears(&mut self, expected: &Heard) {
        let heard = self.next_frame();
        if heard != *expected {
            self.fail(&format!("{expected:?} was to come"));
        }
    }

    /// Reads the next frame, which must be a text message.
    ///
    /// # Panics
    /// If anything else comes, or nothing.
    #[track_caller]
    pub fn hears_text(&mut self) -> String {
        match self.next_frame() {
            Heard::Text(text) => text,
            _ => self.fail("text was to come"),
        }
    }

    /// Expects a close frame with this code as the next frame, and then the end of the stream.
    ///
    /// # Panics
    /// If anything else comes, or nothing.
    #[track_caller]
    pub fn hears_close(&mut self, code: u16) {
        match self.next_frame() {
            Heard::Close(heard, _) if heard == code => self.hears_end(),
            _ => self.fail(&format!("close {code} was to come")),
        }
    }

    /// Skips frames until a close frame with this code comes; answers it and expects the end of the stream.
    ///
    /// # Panics
    /// If it does not come.
    #[track_caller]
    pub fn hears_close_at_last(&mut self, code: u16) {
        loop {
            match self.next_frame() {
                Heard::Close(heard, _) if heard == code => break,
                Heard::Close(..) | Heard::End | Heard::Reset => self.fail(&format!("close {code} was to come at last")),
                _ => {}
            }
        }
        // The server may already have closed the connection; then no answer is needed.
        let _ = self.try_writes(&Frame::close(code, "").bytes());
        self.hears_end();
    }

    /// Expects the end of the stream now.
    ///
    /// # Panics
    /// If a frame comes, or nothing.
    #[track_caller]
    pub fn hears_end(&mut self) {
        self.hears(&Heard::End);
    }

    /// Waits until the server has cut the connection, and skips all frames before.
    ///
    /// # Panics
    /// If the connection is still open at the [`DEADLINE`].
    #[track_caller]
    pub fn is_cut(&mut self) {
        while !matches!(self.next_frame(), Heard::End | Heard::Reset) {}
    }

    /// Waits until the server has cut the connection, and checks that it does not send `words` before.
    ///
    /// # Panics
    /// If it sends them, or if the connection is still open at the [`DEADLINE`].
    #[track_caller]
    pub fn is_cut_without(&mut self, words: &str) {
        while let Ok(1..) = self.read_more("the end of the connection") {}
        let heard = String::from_utf8_lossy(&self.unread);
        assert!(!heard.contains(words), "{words:?} was not to come: {heard}");
    }

    /// Reads the head of an HTTP answer. The bytes after it stay unread.
    ///
    /// # Panics
    /// If none comes.
    #[track_caller]
    pub fn answer(&mut self) -> Answer {
        let end = loop {
            match self.unread.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                Some(end) => break end,
                None if !matches!(self.read_more("an HTTP answer"), Ok(1..)) => self.fail("an HTTP answer was to come"),
                None => {}
            }
        };
        let head: Vec<u8> = self.unread.drain(..end + 4).collect();
        let head = String::from_utf8(head).expect("an HTTP head is text");
        self.transcript.push(head.clone());
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        Answer { status: status.expect("an HTTP answer has a status"), head }
    }

    /// Sends the head of a request and reads the head of its answer.
    ///
    /// # Panics
    /// If no answer comes.
    #[track_caller]
    pub fn asks(&mut self, handshake: &Handshake) -> Answer {
        self.writes(&handshake.bytes());
        self.answer()
    }

    /// Reads exactly so many bytes, and returns them as text.
    ///
    /// # Panics
    /// If fewer come.
    #[track_caller]
    pub fn reads(&mut self, length: usize) -> String {
        while self.unread.len() < length {
            if !matches!(self.read_more("the body of an answer"), Ok(1..)) {
                self.fail(&format!("{length} bytes were to come"));
            }
        }
        String::from_utf8(self.unread.drain(..length).collect()).expect("an answer is text")
    }

    /// Reads until the end of the stream and returns all of it as text.
    ///
    /// # Panics
    /// If the stream does not end, or ends with an error.
    #[track_caller]
    pub fn rest(&mut self) -> String {
        loop {
            match self.read_more("the end of the answer") {
                Ok(0) => break,
                Ok(_) => {}
                Err(fault) => self.fail(&format!("the stream broke off: {fault}")),
            }
        }
        String::from_utf8(std::mem::take(&mut self.unread)).expect("an answer is text")
    }

    /// Panics with this message and all that was read before.
    #[track_caller]
    pub fn fail(&self, what: &str) -> ! {
        let heard = if self.transcript.is_empty() { "nothing".to_owned() } else { self.transcript.join("\n  ") };
        panic!("{what}; heard so far:\n  {heard}\n  and unread: {:?}", self.unread.escape_ascii().to_string());
    }

    /// Reads the bytes that are available and returns their number; `Ok(0)` at the end of the stream. Panics if nothing
    /// comes before the [`DEADLINE`].
    #[track_caller]
    fn read_more(&mut self, awaited: &str) -> io::Result<usize> {
        let mut chunk = [0; 16 * 1024];
        let since = Instant::now();
        self.stream.set_read_timeout(Some(DEADLINE)).expect("a TCP socket");
        match self.stream.read(&mut chunk) {
            Ok(length) => {
                self.unread.extend_from_slice(&chunk[..length]);
                Ok(length)
            }
            Err(fault) if matches!(fault.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                self.fail(&format!("waited {:?} in vain for {awaited}", since.elapsed()))
            }
            Err(fault) => Err(fault),
        }
    }
}

impl Answer {
    /// The value of a header; `None` if the header is absent or occurs twice.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.head.lines().filter_map(|line| {
            let (its, value) = line.split_once(':')?;
            its.eq_ignore_ascii_case(name).then(|| value.trim())
        });
        values.next().filter(|_| values.next().is_none())
    }
}

/// How long a test waits for anything: much longer than it takes, so that a slow machine fails no test.
pub const DEADLINE: Duration = Duration::from_secs(20);
