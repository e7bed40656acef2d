//! Tokens: their form, header, signature and claims.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| hubcast_server::fuzzing::tokens(bytes));
