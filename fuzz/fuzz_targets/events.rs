//! Events, as a client reads them: what is written is read again as the same.

#![no_main]

use hubcast_protocol::typed;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(event) = typed::decode_event(text) {
        let written = typed::encode(&event);
        match typed::decode_event(&written) {
            Ok(again) => assert_eq!(typed::encode(&again), written, "{text}"),
            Err(wrong) => panic!("{text} is written as {written}, which cannot be read: {wrong:?}"),
        }
    }
});
