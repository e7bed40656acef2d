//! The WebSocket frames of a client, however they are cut.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| hubcast_server::fuzzing::frames(bytes));
