//! WebSocket frames as bytes (RFC 6455 section 5.2): reading a client's header, writing a server's frame.

use bytes::Bytes;
use hubcast_protocol::CloseCode;

/// The kind of a frame (RFC 6455 section 5.2, "opcode").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opcode {
    /// The next part of a message in several frames.
    Continuation,
    /// A message of UTF-8 text.
    Text,
    /// A message of bytes.
    Binary,
    /// The last frame of its direction.
    Close,
    /// Asks the other side whether it is there.
    Ping,
    /// The answer to a ping.
    Pong,
}

impl Opcode {
    /// Whether it is a control frame. A control frame is never part of a message, but may come between its fragments.
    pub(crate) fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }

    fn read(bits: u8) -> Option<Self> {
        Some(match bits {
            0x0 => Self::Continuation,
            0x1 => Self::Text,
            0x2 => Self::Binary,
            0x8 => Self::Close,
            0x9 => Self::Ping,
            0xA => Self::Pong,
            _ => return None,
        })
    }

    fn bits(self) -> u8 {
        match self {
            Self::Continuation => 0x0,
            Self::Text => 0x1,
            Self::Binary => 0x2,
            Self::Close => 0x8,
            Self::Ping => 0x9,
            Self::Pong => 0xA,
        }
    }
}

/// The header of a client's frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameHeader {
    pub(crate) opcode: Opcode,
    /// Whether it is the last frame of its message.
    pub(crate) fin: bool,
    /// Bytes of the payload that follows.
    pub(crate) payload: u64,
    pub(crate) mask: [u8; 4],
}

impl FrameHeader {
    /// Bytes of the longest header: two, eight for the length, four for the mask.
    pub(crate) const MAX: usize = 14;

    /// Reads a header from the start of `bytes`. Returns it with its length in bytes; `None` when more bytes are
    /// needed. A header that cannot become valid is refused as soon as its first two bytes are there.
    pub(crate) fn read(bytes: &[u8]) -> Result<Option<(Self, usize)>, Violation> {
        let [first, second, rest @ ..] = bytes else { return Ok(None) };
        if first & 0x70 != 0 {
            return Err(Violation::protocol("reserved bits are set, but no extension was agreed on"));
        }
        let opcode = Opcode::read(first & 0x0F).ok_or(Violation::protocol("unknown opcode"))?;
        if second & 0x80 == 0 {
            return Err(Violation::protocol("a client's frame must be masked"));
        }
        let (fin, short) = (first & 0x80 != 0, second & 0x7F);
        if opcode.is_control() && !(fin && short <= 125) {
            return Err(Violation::protocol("a control frame is whole and has at most 125 bytes"));
        }
        let (payload, width) = match (short, rest) {
            (126, [a, b, ..]) => (u64::from(u16::from_be_bytes([*a, *b])), 2),
            (127, [a, b, c, d, e, f, g, h, ..]) => (u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]), 8),
            (126 | 127, _) => return Ok(None),
            (short, _) => (u64::from(short), 0),
        };
        let least = [0, 0, 126, 0, 0, 0, 0, 0, 65_536];
        if payload > i64::MAX as u64 {
            return Err(Violation::protocol("a length is below 2^63"));
        }
        if payload < least[width] {
            return Err(Violation::protocol("a length must be written in the shortest form"));
        }
        let Some(&[a, b, c, d]) = rest.get(width..width + 4) else { return Ok(None) };
        Ok(Some((Self { opcode, fin, payload, mask: [a, b, c, d] }, 2 + width + 4)))
    }
}

/// A protocol error of the client, as code and reason of the close frame that answers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) code: CloseCode,
    pub(crate) reason: &'static str,
}

impl Violation {
    pub(crate) const fn protocol(reason: &'static str) -> Self {
        Self { code: CloseCode::PROTOCOL_ERROR, reason }
    }

    pub(crate) const fn not_utf8() -> Self {
        Self { code: CloseCode::NOT_UTF8, reason: "text is not UTF-8" }
    }
}

/// Masks or unmasks a part of a payload. `offset` is how many bytes of the frame's payload came before.
pub(crate) fn apply_mask(payload: &mut [u8], mask: [u8; 4], offset: usize) {
    let mut mask = mask;
    mask.rotate_left(offset % 4);
    let word = u64::from_ne_bytes([mask[0], mask[1], mask[2], mask[3], mask[0], mask[1], mask[2], mask[3]]);
    let (words, tail) = payload.as_chunks_mut::<8>();
    for chunk in words {
        *chunk = (u64::from_ne_bytes(*chunk) ^ word).to_ne_bytes();
    }
    for (byte, mask) in tail.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
}

/// Writes a whole, unmasked frame. It is the same for every receiver, so that all receivers can share its bytes.
pub fn write(opcode: Opcode, payload: &[u8]) -> Bytes {
    let mut frame = Vec::with_capacity(10 + payload.len());
    append(&mut frame, opcode, payload);
    Bytes::from(frame)
}

/// Appends a whole, unmasked frame.
pub(crate) fn append(frame: &mut Vec<u8>, opcode: Opcode, payload: &[u8]) {
    append_header(frame, opcode, payload.len());
    frame.extend_from_slice(payload);
}

/// Appends the header of an unmasked frame whose payload is `length` bytes long.
pub(crate) fn append_header(frame: &mut Vec<u8>, opcode: Opcode, length: usize) {
    frame.push(0x80 | opcode.bits());
    match length {
        short @ 0..=125 => frame.push(short.to_le_bytes()[0]),
        middle @ 126..=0xFFFF => {
            frame.push(126);
            frame.extend_from_slice(&middle.to_be_bytes()[size_of::<usize>() - 2..]);
        }
        long => {
            frame.push(127);
            frame.extend_from_slice(&(long as u64).to_be_bytes());
        }
    }
}

/// Writes a close frame. A reason longer than 123 bytes is cut at the end of a character.
pub(crate) fn write_close(code: CloseCode, reason: &str) -> Bytes {
    let mut payload = Vec::with_capacity(2 + reason.len());
    payload.extend_from_slice(&code.0.to_be_bytes());
    payload.extend_from_slice(&reason.as_bytes()[..reason.floor_char_boundary(123)]);
    write(Opcode::Close, &payload)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_read_when_it_is_whole_and_not_before() {
        for (bytes, payload) in [
            (&[0x81, 0x85, 1, 2, 3, 4][..], 5),
            (&[0x81, 0xFE, 0x01, 0x00, 1, 2, 3, 4], 256),
            (&[0x82, 0xFF, 0, 0, 0, 0, 0, 1, 0, 0, 1, 2, 3, 4], 65_536),
        ] {
            for cut in 0..bytes.len() {
                assert_eq!(FrameHeader::read(&bytes[..cut]), Ok(None), "{cut} bytes of {bytes:?}");
            }
            let (header, len) = FrameHeader::read(bytes).unwrap().unwrap();
            assert_eq!((header.payload, header.mask, len), (payload, [1, 2, 3, 4], bytes.len()));
        }
    }

    #[test]
    fn a_header_that_cannot_become_valid_is_refused_at_once() {
        for bytes in [
            &[0xC1, 0x80][..],
            &[0x83, 0x80],
            &[0x8B, 0x80],
            &[0x81, 0x05],
            &[0x09, 0x80],
            &[0x89, 0xFE],
            &[0x81, 0xFE, 0, 125],
            &[0x81, 0xFF, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF],
            &[0x81, 0xFF, 0x80, 0, 0, 0, 0, 0, 0, 0],
        ] {
            assert!(FrameHeader::read(bytes).is_err(), "{bytes:?}");
        }
        let reason = |bytes: &[u8]| FrameHeader::read(bytes).unwrap_err().reason;
        assert_eq!(reason(&[0x81, 0xFE, 0, 125]), "a length must be written in the shortest form");
        assert_eq!(reason(&[0x81, 0xFF, 0x80, 0, 0, 0, 0, 0, 0, 0]), "a length is below 2^63");
    }

    #[test]
    fn a_mask_goes_on_where_the_last_part_ended() {
        let (mask, text) = ([1, 2, 3, 4], *b"a payload of some length");
        let mut whole = text;
        apply_mask(&mut whole, mask, 0);
        for cut in 0..text.len() {
            let mut parts = text;
            let (head, tail) = parts.split_at_mut(cut);
            apply_mask(head, mask, 0);
            apply_mask(tail, mask, cut);
            assert_eq!(parts, whole, "cut at {cut}");
        }
    }

    #[test]
    fn lengths_are_written_in_the_shortest_form() {
        assert_eq!(write(Opcode::Text, b"hi")[..], [0x81, 2, b'h', b'i']);
        assert_eq!(write(Opcode::Binary, &[0; 126])[..4], [0x82, 126, 0, 126]);
        assert_eq!(write(Opcode::Text, &[0; 65_536])[..10], [0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
    }

    #[test]
    fn a_long_reason_is_cut_at_a_character() {
        let frame = write_close(CloseCode::POLICY, &"é".repeat(100));
        assert_eq!(frame.len(), 2 + 2 + 122);
    }
}
