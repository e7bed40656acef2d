//! Frames as bytes, written by hand so that a test can make wrong ones.

use std::fmt;

/// A frame as a client sends it. The constructors make a correct frame; the other methods change it into a wrong one.
#[derive(Clone, Debug)]
pub struct Frame {
    first: u8,
    masked: bool,
    announced: Option<u64>,
    width: Option<usize>,
    payload: Vec<u8>,
}

/// A frame that the server sent, or the end of the connection.
#[derive(Clone, PartialEq, Eq)]
pub enum Heard {
    /// A text message.
    Text(String),
    /// A binary message.
    Binary(Vec<u8>),
    /// A ping with its payload.
    Ping(Vec<u8>),
    /// A pong with its payload.
    Pong(Vec<u8>),
    /// A close frame with its code and reason; the code is 1005 if it has none.
    Close(u16, String),
    /// The regular end of the stream.
    End,
    /// A reset: the connection ended without the regular end of the stream.
    Reset,
}

impl Frame {
    /// A complete frame with any opcode.
    pub fn new(opcode: u8, payload: impl AsRef<[u8]>) -> Self {
        let payload = payload.as_ref().to_vec();
        Self { first: FIN | opcode, masked: true, announced: None, width: None, payload }
    }

    /// A text message.
    pub fn text(payload: impl AsRef<[u8]>) -> Self {
        Self::new(0x1, payload)
    }

    /// A binary message.
    pub fn binary(payload: impl AsRef<[u8]>) -> Self {
        Self::new(0x2, payload)
    }

    /// The last fragment of a message.
    pub fn continuation(payload: impl AsRef<[u8]>) -> Self {
        Self::new(0x0, payload)
    }

    /// A ping.
    pub fn ping(payload: impl AsRef<[u8]>) -> Self {
        Self::new(0x9, payload)
    }

    /// A pong.
    pub fn pong(payload: impl AsRef<[u8]>) -> Self {
        Self::new(0xA, payload)
    }

    /// A close frame with a code and a reason.
    pub fn close(code: u16, reason: impl AsRef<[u8]>) -> Self {
        Self::new(0x8, [&code.to_be_bytes(), reason.as_ref()].concat())
    }

    /// The same frame without the FIN bit, so that the message does not end with it.
    #[must_use]
    pub fn unfinished(mut self) -> Self {
        self.first &= !FIN;
        self
    }

    /// The same frame with reserved bits set; `bits` is a sum of 1, 2 and 4.
    #[must_use]
    pub fn reserved(mut self, bits: u8) -> Self {
        self.first |= bits << 4;
        self
    }

    /// The same without a mask.
    #[must_use]
    pub fn unmasked(mut self) -> Self {
        self.masked = false;
        self
    }

    /// The same frame with another length in its header than its payload has.
    #[must_use]
    pub fn announcing(mut self, length: u64) -> Self {
        self.announced = Some(length);
        self
    }

    /// The same frame with its length written in 2 or 8 bytes, even if a shorter form would do.
    #[must_use]
    pub fn with_length_in(mut self, bytes: usize) -> Self {
        self.width = Some(bytes);
        self
    }

    /// The bytes of the frame as they are sent.
    pub fn bytes(&self) -> Vec<u8> {
        let length = self.announced.unwrap_or(self.payload.len() as u64);
        let width = self.width.unwrap_or(match length {
            0..126 => 0,
            126..65_536 => 2,
            _ => 8,
        });
        let wide = length.to_be_bytes();
        let (short, wide) = match width {
            0 => (wide[7], &[][..]),
            2 => (126, &wide[6..]),
            _ => (127, &wide[..]),
        };
        let mask: &[u8] = if self.masked { &MASK } else { &[] };
        let second = short | if self.masked { 0x80 } else { 0 };
        let mut bytes = [&[self.first, second], wide, mask].concat();
        let masks = if self.masked { MASK } else { [0; 4] };
        bytes.extend(self.payload.iter().zip(masks.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        bytes
    }
}

impl Heard {
    /// Reads the frame at the start of `bytes`. Returns it and its length in bytes, or `None` if it is not complete.
    ///
    /// # Panics
    /// If a server must not send such a frame.
    pub fn read(bytes: &[u8]) -> Option<(Self, usize)> {
        let [first, second, rest @ ..] = bytes else { return None };
        assert!(first & 0x70 == 0, "the server set reserved bits: {first:#x}");
        assert!(second & 0x80 == 0, "the server masked a frame");
        assert!(first & FIN != 0, "the server sent a fragment");
        let (length, width) = match (second, rest) {
            (126, [a, b, ..]) => (usize::from(u16::from_be_bytes([*a, *b])), 2),
            (127, [0, 0, 0, 0, a, b, c, d, ..]) => (u32::from_be_bytes([*a, *b, *c, *d]) as usize, 8),
            (126 | 127, _) => return None,
            (short, _) => (usize::from(*short), 0),
        };
        let shortest = [0, 0, 126, 0, 0, 0, 0, 0, 65_536];
        assert!(length >= shortest[width], "the server wrote the length {length} in {width} bytes");
        let payload = rest.get(width..width + length)?.to_vec();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("the server sends UTF-8");
        let heard = match (first & 0x0F, payload.as_slice()) {
            (0x1, payload) => Self::Text(text(payload)),
            (0x2, _) => Self::Binary(payload),
            (0x8, []) => Self::Close(1005, String::new()),
            (0x8, [a, b, reason @ ..]) => Self::Close(u16::from_be_bytes([*a, *b]), text(reason)),
            (0x9, _) => Self::Ping(payload),
            (0xA, _) => Self::Pong(payload),
            (opcode, payload) => panic!("the server sent opcode {opcode:#x} with {payload:?}"),
        };
        Some((heard, 2 + width + length))
    }
}

impl fmt::Debug for Heard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) if text.len() > LONG => write!(f, "{} bytes of text", text.len()),
            Self::Text(text) => write!(f, "text {text}"),
            Self::Binary(bytes) => write!(f, "binary {bytes:?}"),
            Self::Ping(payload) => write!(f, "ping {}", payload.escape_ascii()),
            Self::Pong(payload) => write!(f, "pong {}", payload.escape_ascii()),
            Self::Close(code, reason) => write!(f, "close {code} {reason:?}"),
            Self::End => f.write_str("the end"),
            Self::Reset => f.write_str("a reset"),
        }
    }
}

/// The FIN bit, which marks the last frame of a message.
const FIN: u8 = 0x80;

/// The mask of every frame. Its bytes differ, so that a mask applied at a wrong offset shows.
const MASK: [u8; 4] = [0x1D, 0x62, 0xF3, 0x84];

/// Text of more bytes is not printed in the message of a failure.
const LONG: usize = 1000;
