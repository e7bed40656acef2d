//! Connections to the server under attack: blocking ones, and the reading of frames where only their number matters.

use anyhow::{Context, Result, bail, ensure};
use hubcast_tests::{Frame, Handshake, Heard};
use serde_json::{Value, json};
use socket2::{Domain, Socket, Type};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// How a server is spoken to; `PROTOCOL.md` describes both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Dialect {
    /// Bare text, which other servers speak as well.
    Plain,
    /// One JSON object a frame.
    Typed,
}

/// An open WebSocket that is written to and read from by a thread of its own.
pub(crate) struct Client {
    stream: TcpStream,
    unread: Vec<u8>,
}

impl Client {
    /// Connects, makes the handshake and reads the welcome.
    pub(crate) fn open(address: SocketAddr, dialect: Dialect) -> Result<Self> {
        Self::over(TcpStream::connect(address)?, dialect)
    }

    /// The same with a receive buffer of so many bytes: what the client does not read soon waits at the server.
    pub(crate) fn open_narrow(address: SocketAddr, dialect: Dialect, bytes: usize) -> Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        socket.set_recv_buffer_size(bytes)?;
        socket.connect(&address.into())?;
        Self::over(socket.into(), dialect)
    }

    fn over(stream: TcpStream, dialect: Dialect) -> Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut client = Self { stream, unread: Vec::new() };
        let handshake = match dialect {
            Dialect::Plain => Handshake::default(),
            Dialect::Typed => Handshake::default().with("Sec-WebSocket-Protocol: hubcast.v1"),
        };
        client.send(&handshake.bytes())?;
        let until = Instant::now() + PATIENCE;
        let end = loop {
            match client.unread.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                Some(end) => break end,
                None => match client.read_more(until)? {
                    Some(1..) => {}
                    _ => bail!("the server did not answer the handshake"),
                },
            }
        };
        ensure!(client.unread.starts_with(b"HTTP/1.1 101"), "the server refused the handshake");
        client.unread.drain(..end + 4);
        client.next(PATIENCE).context("no welcome")?;
        Ok(client)
    }

    /// Writes frames.
    pub(crate) fn send(&mut self, frames: &[u8]) -> Result<()> {
        self.stream.write_all(frames).context("the server does not take what is written to it")
    }

    /// Sends a request of the typed dialect with this id, and gives the event that answers it. What comes before the
    /// answer is left out.
    pub(crate) fn ask(&mut self, id: u64, mut request: Value) -> Result<Value> {
        request["id"] = json!(id);
        self.send(&frame(&request))?;
        self.answer(id)
    }

    /// The event that answers the request with this id.
    pub(crate) fn answer(&mut self, id: u64) -> Result<Value> {
        let until = Instant::now() + PATIENCE;
        loop {
            let event = self.event(until.saturating_duration_since(Instant::now()))?;
            if event["id"] == json!(id) {
                ensure!(event["event"] != "error", "the server refused a request: {event}");
                return Ok(event);
            }
        }
    }

    /// The next event of the typed dialect.
    pub(crate) fn event(&mut self, patience: Duration) -> Result<Value> {
        match self.next(patience)? {
            Heard::Text(text) => serde_json::from_str(&text).context("an event that is not JSON"),
            other => bail!("{other:?} came in the place of an event"),
        }
    }

    /// The next message; pings are answered on the way.
    ///
    /// # Errors
    /// When none comes in time, or the connection is closed.
    pub(crate) fn next(&mut self, patience: Duration) -> Result<Heard> {
        self.next_within(patience)?.context("the server did not answer in time")
    }

    /// The same, but none may come in this time.
    pub(crate) fn next_within(&mut self, patience: Duration) -> Result<Option<Heard>> {
        let until = Instant::now() + patience;
        loop {
            let Some((heard, length)) = Heard::read(&self.unread) else {
                match self.read_more(until)? {
                    Some(0) => bail!("the server cut the connection"),
                    Some(_) => continue,
                    None => return Ok(None),
                }
            };
            self.unread.drain(..length);
            match heard {
                Heard::Ping(payload) => self.send(&Frame::pong(payload).bytes())?,
                Heard::Pong(_) => {}
                Heard::Close(code, reason) => bail!("the server closed the connection: {code} {reason}"),
                heard => return Ok(Some(heard)),
            }
        }
    }

    /// The socket. What was read of it already is lost, so it must be at the end of a frame.
    pub(crate) fn into_stream(self) -> Result<TcpStream> {
        ensure!(self.unread.is_empty(), "part of a frame was read already");
        Ok(self.stream)
    }

    /// Another handle for the same socket.
    pub(crate) fn stream(&self) -> Result<TcpStream> {
        Ok(self.stream.try_clone()?)
    }

    /// Ends both directions, so that nobody waits for this connection any longer.
    pub(crate) fn shut_down(&self) {
        // Fails only where it is gone already.
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    /// Reads what there is and says how much it was, 0 at the end of the stream; `None` when the time is over.
    fn read_more(&mut self, until: Instant) -> Result<Option<usize>> {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(None);
        }
        self.stream.set_read_timeout(Some(left))?;
        let mut chunk = [0; 64 * 1024];
        match self.stream.read(&mut chunk) {
            Ok(length) => {
                self.unread.extend_from_slice(&chunk[..length]);
                Ok(Some(length))
            }
            Err(fault) if matches!(fault.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Ok(None),
            Err(fault) => Err(fault).context("the connection broke"),
        }
    }
}

/// Counts the frames in a stream of bytes without keeping what they carry.
#[derive(Default)]
pub(crate) struct Counter {
    head: Vec<u8>,
    opcode: u8,
    left: usize,
    control: Vec<u8>,
}

/// A frame that ended in the bytes that a [`Counter`] was given.
pub(crate) enum Counted {
    /// A text or binary frame.
    Message,
    /// A ping, and the pong that answers it.
    Ping(Vec<u8>),
    /// A close frame with its code; 1005 for none.
    Close(u16),
}

impl Counter {
    /// Takes the next bytes of the stream, and tells of each frame that ends in them.
    pub(crate) fn take(&mut self, mut bytes: &[u8], mut tell: impl FnMut(Counted)) {
        while !bytes.is_empty() {
            if self.left == 0 {
                self.head.push(bytes[0]);
                bytes = &bytes[1..];
                let Some(length) = length_of(&self.head) else { continue };
                self.opcode = self.head[0] & 0x0F;
                self.head.clear();
                self.left = length;
            }
            let now = self.left.min(bytes.len());
            if self.opcode >= 0x8 {
                self.control.extend_from_slice(&bytes[..now]);
            }
            self.left -= now;
            bytes = &bytes[now..];
            if self.left == 0 {
                self.end_frame(&mut tell);
            }
        }
    }

    fn end_frame(&mut self, tell: &mut impl FnMut(Counted)) {
        let control = std::mem::take(&mut self.control);
        match (self.opcode, control.as_slice()) {
            (0x8, [a, b, ..]) => tell(Counted::Close(u16::from_be_bytes([*a, *b]))),
            (0x8, _) => tell(Counted::Close(1005)),
            (0x9, payload) => tell(Counted::Ping(Frame::pong(payload).bytes())),
            (0xA, _) => {}
            _ => tell(Counted::Message),
        }
    }
}

/// The length of the payload that a head announces; `None` where the head is not whole.
fn length_of(head: &[u8]) -> Option<usize> {
    match head {
        [_, 126, a, b] => Some(usize::from(u16::from_be_bytes([*a, *b]))),
        [_, 127, _, _, _, _, a, b, c, d] => Some(u32::from_be_bytes([*a, *b, *c, *d]) as usize),
        [_, 126 | 127, ..] => None,
        [_, short] => Some(usize::from(*short)),
        _ => None,
    }
}

/// One request as the frame that a client sends.
pub(crate) fn frame(request: &Value) -> Vec<u8> {
    Frame::text(request.to_string()).bytes()
}

/// As many copies of a request as fit into so many bytes, and how many they are.
pub(crate) fn block(request: &Value, bytes: usize) -> (Vec<u8>, usize) {
    let one = frame(request);
    let copies = bytes / one.len();
    (one.repeat(copies), copies)
}

/// How long a row waits for anything before it gives up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
