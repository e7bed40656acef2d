//! The positions of a `Last-Event-ID`: what is read is written as the same text.

#![no_main]

use hubcast_protocol::event_stream::{decode_position, decode_positions, encode_positions};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let topics = text.split(',').count();
    let positions = decode_positions(text, topics);
    assert_eq!(positions.len(), topics);
    assert!(decode_positions(text, topics + 1).iter().all(Result::is_err));
    if let Ok(positions) = positions.into_iter().collect::<Result<Vec<_>, _>>() {
        let written = encode_positions(&positions);
        let id = written.strip_prefix("id: ").and_then(|rest| rest.strip_suffix("\n\n")).expect("one line");
        assert!(!id.contains(['\n', '\r', '\0']), "a line of its own");
        let again: Result<Vec<_>, _> = decode_positions(id, topics).into_iter().collect();
        assert_eq!(again, Ok(positions), "{text}");
    }
    let _ = decode_position(text);
});
