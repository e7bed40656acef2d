//! Blocking connections to the server under attack, and a [`Counter`] for readers that need only the number of frames.

use anyhow::{Context, Result, bail, ensure};
use hubcast_tests::{Frame, Handshake, Heard, token};
use serde_json::{Value, json};
use socket2::{Domain, Socket, Type};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The language that a server speaks; `PROTOCOL.md` describes both dialects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Dialect {
    /// Bare text; some other servers speak it too.
    Plain,
    /// One JSON object in each frame.
    Typed,
}

/// An open WebSocket; the calling thread blocks while it writes and reads.
pub(crate) struct Client {
    stream: TcpStream,
    unread: Vec<u8>,
}

/// Makes every client from now on a user of its own, that shows a token.
pub(crate) fn show_tokens() {
    USERS.store(1, Ordering::Relaxed);
}

/// Whether clients show tokens.
pub(crate) fn shows_tokens() -> bool {
    USERS.load(Ordering::Relaxed) > 0
}

/// A token of a user that no other client of this process is.
fn next_token() -> String {
    let user = format!("{}-{}", std::process::id(), USERS.fetch_add(1, Ordering::Relaxed));
    token(&user, json!({"subscribe": [">"], "publish": [">", "@*"], "presence": [">"], "history": [">"]}))
}

/// The number of the next user; 0 if clients show no tokens.
static USERS: AtomicU64 = AtomicU64::new(0);

impl Client {
    /// Connects, makes the handshake and reads the welcome.
    pub(crate) fn open(address: SocketAddr, dialect: Dialect) -> Result<Self> {
        Self::over(TcpStream::connect(address)?, dialect)
    }

    /// Like [`Client::open`], with a receive buffer of `bytes` bytes: what the client does not read
    /// soon waits at the server.
    pub(crate) fn open_narrow(address: SocketAddr, dialect: Dialect, bytes: usize) -> Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        socket.set_recv_buffer_size(bytes)?;
        socket.connect(&address.into())?;
        Self::over(socket.into(), dialect)
    }

    /// Makes the handshake over a TCP connection and reads the welcome.
    fn over(stream: TcpStream, dialect: Dialect) -> Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut client = Self { stream, unread: Vec::new() };
        let handshake = match dialect {
            Dialect::Plain => Handshake::default(),
            Dialect::Typed => Handshake::default().with("Sec-WebSocket-Protocol: hubcast.v1"),
        };
        let handshake = match shows_tokens() {
            false => handshake,
            true => handshake.with(&format!("Authorization: Bearer {}", next_token())),
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

    /// Writes frames that are already encoded.
    pub(crate) fn send(&mut self, frames: &[u8]) -> Result<()> {
        self.stream.write_all(frames).context("the server does not take what is written to it")
    }

    /// Sends a request of the typed dialect with this id, and returns the event that answers it. Skips the events that
    /// come before the answer.
    pub(crate) fn ask(&mut self, id: u64, mut request: Value) -> Result<Value> {
        request["id"] = json!(id);
        self.send(&frame(&request))?;
        self.answer(id)
    }

    /// Reads until the event that answers the request with this id, and returns it. An `error` event becomes an error.
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

    /// Reads the next event of the typed dialect; waits at most `patience`.
    pub(crate) fn event(&mut self, patience: Duration) -> Result<Value> {
        match self.next(patience)? {
            Heard::Text(text) => serde_json::from_str(&text).context("an event that is not JSON"),
            other => bail!("{other:?} came in the place of an event"),
        }
    }

    /// Reads the next text or binary message; waits at most `patience`. Answers pings that come before it.
    ///
    /// # Errors
    /// If no message comes in time, or the connection is closed.
    pub(crate) fn next(&mut self, patience: Duration) -> Result<Heard> {
        self.next_within(patience)?.context("the server did not answer in time")
    }

    /// Like [`Client::next`], but returns `None` if no message comes in time.
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

    /// The TCP connection. Bytes that were already read would be lost, so it is an error if there are any.
    pub(crate) fn into_stream(self) -> Result<TcpStream> {
        ensure!(self.unread.is_empty(), "part of a frame was read already");
        Ok(self.stream)
    }

    /// Another handle for the same TCP connection.
    pub(crate) fn stream(&self) -> Result<TcpStream> {
        Ok(self.stream.try_clone()?)
    }

    /// Shuts down both directions, so that no thread blocks on this connection any longer.
    pub(crate) fn shut_down(&self) {
        // This fails only if the connection is already gone.
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    /// Reads the bytes that are available and returns their number: 0 at the end of the stream, `None` after `until`.
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

/// Counts the frames in a stream of bytes and keeps only the payloads of control frames.
#[derive(Default)]
pub(crate) struct Counter {
    head: Vec<u8>,
    opcode: u8,
    left: usize,
    control: Vec<u8>,
}

/// A frame that ended in the bytes that a [`Counter`] took.
pub(crate) enum Counted {
    /// A text or binary frame.
    Message,
    /// A ping, with the bytes of the pong frame that answers it.
    Ping(Vec<u8>),
    /// A close frame with its code; 1005 if it has none.
    Close(u16),
}

impl Counter {
    /// Takes the next bytes of the stream, and calls `tell` for each frame that ends in them.
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

    /// Calls `tell` for the frame that has just ended.
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

/// The payload length in a frame header; `None` if the header is not complete.
fn length_of(head: &[u8]) -> Option<usize> {
    match head {
        [_, 126, a, b] => Some(usize::from(u16::from_be_bytes([*a, *b]))),
        [_, 127, _, _, _, _, a, b, c, d] => Some(u32::from_be_bytes([*a, *b, *c, *d]) as usize),
        [_, 126 | 127, ..] => None,
        [_, short] => Some(usize::from(*short)),
        _ => None,
    }
}

/// Encodes one request as the frame that a client sends.
pub(crate) fn frame(request: &Value) -> Vec<u8> {
    Frame::text(request.to_string()).bytes()
}

/// As many copies of a request as fit into `bytes` bytes, and their number.
pub(crate) fn block(request: &Value, bytes: usize) -> (Vec<u8>, usize) {
    let one = frame(request);
    let copies = bytes / one.len();
    (one.repeat(copies), copies)
}

/// How long a row waits for an answer or a message before it fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
