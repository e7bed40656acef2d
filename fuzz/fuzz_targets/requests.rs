//! Requests of both dialects: what is read from either is written, and read again as the same.

#![no_main]

use hubcast_protocol::{plain, typed};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let in_plain = plain::decode(text);
    if let Ok(request) = &in_plain {
        assert!(request.id.is_none(), "the plain dialect has no ids: {text}");
    }
    for request in [typed::decode(text), in_plain].into_iter().flatten() {
        let written = typed::encode_request(&request);
        match typed::decode(&written) {
            Ok(again) => assert_eq!(typed::encode_request(&again), written, "{text}"),
            Err(refused) => panic!("{text} is written as {written}, which is refused: {refused:?}"),
        }
    }
});
