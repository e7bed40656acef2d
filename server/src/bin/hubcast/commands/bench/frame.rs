//! The part of RFC 6455 that a load generator needs: it writes and reads whole frames, without copying what it reads.

use anyhow::{bail, ensure};

/// One frame from the server, in the buffer that it was read into.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Frame<'a> {
    pub(super) opcode: u8,
    pub(super) payload: &'a [u8],
}

/// Removes the first frame from `bytes`; `None` if it is not complete.
///
/// # Errors
/// When the bytes cannot be a server's frame, or when the frame is a fragment: no server has a reason to fragment a
/// message that fits into the loader's buffer.
pub(super) fn take<'a>(bytes: &mut &'a [u8]) -> anyhow::Result<Option<Frame<'a>>> {
    let [first, second, after @ ..] = *bytes else { return Ok(None) };
    ensure!(first & 0x70 == 0, "the server set reserved bits of a frame");
    ensure!(first & FIN != 0 && first & 0x0f != 0, "the server sent a fragmented message, which bench does not read");
    let (length, after) = match second {
        0..=125 => (usize::from(*second), after),
        126 => match after.split_first_chunk::<2>() {
            Some((length, after)) => (usize::from(u16::from_be_bytes(*length)), after),
            None => return Ok(None),
        },
        127 => match after.split_first_chunk::<8>() {
            Some((length, after)) => (usize::try_from(u64::from_be_bytes(*length))?, after),
            None => return Ok(None),
        },
        _ => bail!("the server masked a frame"),
    };
    ensure!(length <= MAX_PAYLOAD, "the server sent a frame of {length} bytes, more than anyone published");
    let Some((payload, rest)) = after.split_at_checked(length) else { return Ok(None) };
    *bytes = rest;
    Ok(Some(Frame { opcode: first & 0x0f, payload }))
}

/// Appends a client's frame.
///
/// The masking key is zero, so the payload is sent unchanged. A key is mandatory, and the server unmasks with it as
/// with any other. The key must be unpredictable only if somebody else chooses the bytes (RFC 6455, section 10.3).
pub(super) fn append(out: &mut Vec<u8>, opcode: u8, payload: &[u8]) {
    out.push(FIN | opcode);
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(length @ 0..=125), _) => out.push(MASKED | length),
        (_, Ok(length)) => {
            out.push(MASKED | 126);
            out.extend_from_slice(&length.to_be_bytes());
        }
        _ => {
            out.push(MASKED | 127);
            out.extend_from_slice(&(payload.len() as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(payload);
}

pub(super) const TEXT: u8 = 1;
pub(super) const CLOSE: u8 = 8;
pub(super) const PING: u8 = 9;
pub(super) const PONG: u8 = 10;

/// The longest payload that is accepted, in bytes.
pub(super) const MAX_PAYLOAD: usize = 192 * 1024;

const FIN: u8 = 0x80;
const MASKED: u8 = 0x80;

#[cfg(test)]
mod tests {
    use super::*;

    /// A server's frame: a client's frame without mask bit and key.
    fn from_server(payload: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        append(&mut bytes, TEXT, payload);
        bytes[1] &= 0x7f;
        let key = bytes.len() - payload.len() - 4;
        bytes.drain(key..key + 4);
        bytes
    }

    #[test]
    fn frames_of_every_length_are_taken_one_after_the_other() {
        let payloads = [vec![], vec![b'a'; 125], vec![b'b'; 126], vec![b'c'; 65_535], vec![b'd'; 65_536]];
        let bytes: Vec<u8> = payloads.iter().flat_map(|payload| from_server(payload)).collect();
        let mut left = bytes.as_slice();
        for payload in &payloads {
            assert_eq!(take(&mut left).unwrap(), Some(Frame { opcode: TEXT, payload }));
        }
        assert_eq!(take(&mut left).unwrap(), None);
        assert!(left.is_empty());
    }

    #[test]
    fn a_cut_frame_is_left_where_it_is() {
        for payload in [&b"hello"[..], &[b'x'; 300], &[b'y'; 70_000]] {
            let bytes = from_server(payload);
            for end in (0..bytes.len().min(20)).chain([bytes.len() - 1]) {
                let mut left = &bytes[..end];
                assert_eq!(take(&mut left).unwrap(), None);
                assert_eq!(left.len(), end);
            }
        }
    }

    #[test]
    fn what_no_server_may_send_is_an_error() {
        for bytes in [&[0xc1, 0][..], &[0x01, 0], &[0x80, 0], &[0x81, 0x80], &[0x81, 127, 0, 0, 0, 0, 1, 0, 0, 0]] {
            assert!(take(&mut &*bytes).is_err(), "{bytes:x?}");
        }
    }

    #[test]
    fn a_client_frame_is_masked_with_zeros() {
        let mut bytes = Vec::new();
        append(&mut bytes, TEXT, b"hi");
        assert_eq!(bytes, [0x81, 0x82, 0, 0, 0, 0, b'h', b'i']);
    }
}
