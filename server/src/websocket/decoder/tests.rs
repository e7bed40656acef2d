//! The decoder of frames: it gives the same result however the bytes are divided, and refuses too much before it
//! buffers it.

use super::*;

/// Small limits: 300 bytes a message, 200 bytes a frame, 4 fragments a message.
const LIMITS: MessageLimits = MessageLimits { message: 300, frame: 200, fragments: 4 };

/// A masked frame of a client with this first byte. The payload has at most 65,535 bytes.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match u16::try_from(payload.len()).unwrap() {
        short @ 0..=125 => bytes.push(0x80 | short.to_be_bytes()[1]),
        long => {
            bytes.push(0xFE);
            bytes.extend(long.to_be_bytes());
        }
    }
    let mask = [0xA5, 0x3C, 0x0F, 0x99];
    bytes.extend(mask);
    let start = bytes.len();
    bytes.extend(payload);
    apply_mask(&mut bytes[start..], mask, 0);
    bytes
}

/// What the decoder gives when the bytes arrive in parts of `part` bytes. The last entry is `more to come` if a frame
/// is incomplete at the end.
fn decode(bytes: &[u8], part: usize) -> Result<Vec<String>, Violation> {
    let mut decoder = Decoder::default();
    let mut seen = Vec::new();
    for part in bytes.to_vec().chunks_mut(part) {
        decoder.feed(part, &LIMITS, |incoming| seen.push(format!("{incoming:?}")))?;
    }
    if decoder.is_mid_frame() {
        seen.push("more to come".to_owned());
    }
    Ok(seen)
}

/// What the decoder gives for all bytes at once. Checks that it gives the same for parts of 1, 2, 3 and 7 bytes.
fn decode_any(bytes: &[u8]) -> Result<Vec<String>, Violation> {
    let whole = decode(bytes, bytes.len());
    for part in [1, 2, 3, 7] {
        assert_eq!(decode(bytes, part), whole, "in parts of {part}");
    }
    whole
}

#[test]
fn messages_come_out_the_same_however_they_are_cut() {
    let mut bytes = frame(0x81, "héllo".as_bytes());
    bytes.extend(frame(0x82, &[7; 130]));
    bytes.extend(frame(0x89, b"ping"));
    bytes.extend(frame(0x81, b""));
    bytes.extend(frame(0x8A, b""));
    bytes.extend(frame(0x88, &[0x03, 0xE8, b'x']));
    let seen = decode_any(&bytes).unwrap();
    assert_eq!(seen[0], r#"Text("héllo")"#);
    assert_eq!(seen[2..], ["Ping([112, 105, 110, 103])", r#"Text("")"#, "Pong", "Close(Some(1000))"]);
}

#[test]
fn control_frames_may_stand_between_fragments() {
    let parts = [frame(0x01, b"a\xC3"), frame(0x89, b"!"), frame(0x00, b""), frame(0x80, b"\xA9b")].concat();
    assert_eq!(decode_any(&parts).unwrap(), ["Ping([33])", r#"Text("aéb")"#]);
    assert_eq!(decode_any(&parts[..8]).unwrap(), ["more to come"]);
}

#[test]
fn what_breaks_the_protocol_is_refused_with_its_code() {
    for (bytes, code) in [
        (frame(0x80, b"x"), CloseCode::PROTOCOL_ERROR),
        ([frame(0x01, b"x"), frame(0x01, b"y")].concat(), CloseCode::PROTOCOL_ERROR),
        (frame(0x88, &[3]), CloseCode::PROTOCOL_ERROR),
        (frame(0x88, &[0x03, 0xED]), CloseCode::PROTOCOL_ERROR),
        (frame(0x88, &[0x03, 0xE8, 0xFF]), CloseCode::NOT_UTF8),
        (frame(0x81, b"\xFFabc"), CloseCode::NOT_UTF8),
        (frame(0x81, b"abc\xC3"), CloseCode::NOT_UTF8),
        ([frame(0x01, b"\xC3"), frame(0x80, b"x")].concat(), CloseCode::NOT_UTF8),
        (frame(0x82, &[0; 201]), CloseCode::TOO_BIG),
        ([frame(0x02, &[0; 200]), frame(0x80, &[0; 101])].concat(), CloseCode::TOO_BIG),
        ([frame(0x01, b""), frame(0x00, b"").repeat(5)].concat(), CloseCode::POLICY),
    ] {
        assert_eq!(decode_any(&bytes).unwrap_err().code, code, "{bytes:?}");
    }
}

#[test]
fn a_limit_is_met_exactly_and_refused_before_the_payload_comes() {
    let exact = [frame(0x02, &[1; 200]), frame(0x80, &[2; 100])].concat();
    assert_eq!(decode_any(&exact).unwrap().len(), 1);
    let header_only = &frame(0x82, &[0; 201])[..8];
    assert_eq!(decode_any(header_only).unwrap_err().code, CloseCode::TOO_BIG);
}

#[test]
fn bad_text_is_refused_before_its_frame_is_complete() {
    let begun = &frame(0x81, b"ok \xF8 and more that never comes")[..12];
    assert_eq!(decode_any(begun).unwrap_err().code, CloseCode::NOT_UTF8);
}
