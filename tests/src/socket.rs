//! A TCP connection on which a test writes any bytes and reads frames.

use crate::{Frame, Handshake, Heard};
use socket2::{Domain, SockRef, Type};
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// One connection to the server, blocking, with a transcript of what was read for the message of a failure.
#[derive(Debug)]
pub struct Socket {
    stream: TcpStream,
    unread: Vec<u8>,
    transcript: Vec<String>,
}

/// The head of an HTTP answer.
#[derive(Debug)]
pub struct Answer {
    /// Of its first line.
    pub status: u16,
    head: String,
}

impl Socket {
    /// Connects.
    ///
    /// # Panics
    /// When the server does not listen.
    #[track_caller]
    pub fn connect(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).expect("the server listens"))
    }

    /// Connects with so little room for unread bytes that a reader who stops is felt at once.
    ///
    /// # Panics
    /// When the server does not listen.
    #[track_caller]
    pub fn connect_narrow(address: SocketAddr) -> Self {
        let socket = socket2::Socket::new(Domain::for_address(address), Type::STREAM, None).expect("a socket");
        socket.set_recv_buffer_size(4096).expect("a small buffer");
        socket.connect(&address.into()).expect("the server listens");
        Self::over(socket.into())
    }

    fn over(stream: TcpStream) -> Self {
        stream.set_nodelay(true).expect("a TCP socket");
        stream.set_write_timeout(Some(DEADLINE)).expect("a TCP socket");
        Self { stream, unread: Vec::new(), transcript: Vec::new() }
    }

    /// Writes bytes.
    ///
    /// # Panics
    /// When the server does not take them.
    #[track_caller]
    pub fn writes(&mut self, bytes: &[u8]) {
        if let Err(fault) = self.try_writes(bytes) {
            self.fail(&format!("the server does not take {} bytes: {fault}", bytes.len()));
        }
    }

    /// Writes bytes that the server may refuse by closing.
    ///
    /// # Errors
    /// What the system says when it did.
    pub fn try_writes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Sends frames, all in one write.
    ///
    /// # Panics
    /// When the server does not take them.
    #[track_caller]
    pub fn sends<'a>(&mut self, frames: impl IntoIterator<Item = &'a Frame>) {
        let bytes: Vec<u8> = frames.into_iter().flat_map(Frame::bytes).collect();
        self.writes(&bytes);
    }

    /// Ends its own direction and goes on reading.
    ///
    /// # Panics
    /// When the connection is gone.
    pub fn ends_writing(&mut self) {
        self.stream.shutdown(Shutdown::Write).expect("the connection is there");
    }

    /// Goes without a word: the server's next look at the connection finds a reset.
    ///
    /// # Panics
    /// When the system does not let it.
    pub fn resets(self) {
        SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).expect("a TCP socket");
    }

    /// The next frame, or the end.
    ///
    /// # Panics
    /// When there is none before the deadline.
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

    /// The next frame that is no ping; the pings before it are answered at once.
    ///
    /// # Panics
    /// When there is none before the deadline.
    #[track_caller]
    pub fn next_frame_but_pings(&mut self) -> Heard {
        loop {
            match self.next_frame() {
                // Who has been closed meanwhile finds that in a later frame.
                Heard::Ping(payload) => _ = self.try_writes(&Frame::pong(payload).bytes()),
                heard => return heard,
            }
        }
    }

    /// Expects this frame as the next one.
    ///
    /// # Panics
    /// When another one comes, or none.
    #[track_caller]
    pub fn hears(&mut self, expected: &Heard) {
        let heard = self.next_frame();
        if heard != *expected {
            self.fail(&format!("{expected:?} was to come"));
        }
    }

    /// Expects a text message as the next frame.
    ///
    /// # Panics
    /// When anything else comes, or nothing.
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
    /// When anything else comes, or nothing.
    #[track_caller]
    pub fn hears_close(&mut self, code: u16) {
        match self.next_frame() {
            Heard::Close(heard, _) if heard == code => self.hears_end(),
            _ => self.fail(&format!("close {code} was to come")),
        }
    }

    /// Expects a close frame with this code, whatever comes before it; answers it and expects the end.
    ///
    /// # Panics
    /// When it does not come.
    #[track_caller]
    pub fn hears_close_at_last(&mut self, code: u16) {
        loop {
            match self.next_frame() {
                Heard::Close(heard, _) if heard == code => break,
                Heard::Close(..) | Heard::End | Heard::Reset => self.fail(&format!("close {code} was to come at last")),
                _ => {}
            }
        }
        // The server may be done already: then there is nobody to answer to.
        let _ = self.try_writes(&Frame::close(code, "").bytes());
        self.hears_end();
    }

    /// Expects the end of the stream now.
    ///
    /// # Panics
    /// When a frame comes, or nothing.
    #[track_caller]
    pub fn hears_end(&mut self) {
        self.hears(&Heard::End);
    }

    /// Waits until the server has cut the connection, whatever it sends before.
    ///
    /// # Panics
    /// When it is still there at the deadline.
    #[track_caller]
    pub fn is_cut(&mut self) {
        while !matches!(self.next_frame(), Heard::End | Heard::Reset) {}
    }

    /// Waits until the server has cut the connection, and looks for words that it may not say before.
    ///
    /// # Panics
    /// When it says them, or is still there at the deadline.
    #[track_caller]
    pub fn is_cut_without(&mut self, words: &str) {
        while let Ok(1..) = self.read_more("the end of the connection") {}
        let heard = String::from_utf8_lossy(&self.unread);
        assert!(!heard.contains(words), "{words:?} was not to come: {heard}");
    }

    /// Reads the head of an HTTP answer; what comes after it waits.
    ///
    /// # Panics
    /// When none comes.
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

    /// Sends a head, and reads the answer's.
    ///
    /// # Panics
    /// When none comes.
    #[track_caller]
    pub fn asks(&mut self, handshake: &Handshake) -> Answer {
        self.writes(&handshake.bytes());
        self.answer()
    }

    /// All that comes until the end of the stream, as text.
    ///
    /// # Panics
    /// When the stream does not end, or breaks off.
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

    /// Panics with all that was read before.
    #[track_caller]
    pub fn fail(&self, what: &str) -> ! {
        let heard = if self.transcript.is_empty() { "nothing".to_owned() } else { self.transcript.join("\n  ") };
        panic!("{what}; heard so far:\n  {heard}\n  and unread: {:?}", self.unread.escape_ascii().to_string());
    }

    /// Reads what there is; `Ok(0)` at the end.
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
    /// The value of a header, if it stands once.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.head.lines().filter_map(|line| {
            let (its, value) = line.split_once(':')?;
            its.eq_ignore_ascii_case(name).then(|| value.trim())
        });
        values.next().filter(|_| values.next().is_none())
    }
}

/// How long anything is waited for: much longer than it takes, so that a slow machine fails no test.
pub const DEADLINE: Duration = Duration::from_secs(20);
