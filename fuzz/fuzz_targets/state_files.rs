//! The file that keeps histories and keys over a restart.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| hubcast_server::fuzzing::state_files(bytes));
