//! The query and the `Last-Event-ID` of a stream of server-sent events.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| hubcast_server::fuzzing::event_streams(bytes));
