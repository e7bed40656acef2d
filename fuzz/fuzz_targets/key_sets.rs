//! Key sets of login services.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| hubcast_server::fuzzing::key_sets(bytes));
