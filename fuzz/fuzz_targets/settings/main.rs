//! The configuration file. What is taken is listed, and read again it means the same.
//!
//! The settings belong to the binary, which no other crate can use: the links beside this file bring their source here.

#![no_main]
#![allow(dead_code, unused_imports, reason = "the binary uses the rest")]

mod logging;
mod settings;

use clap::{ArgMatches, Args, Command};
use libfuzzer_sys::fuzz_target;
use settings::options::Options;
use settings::resolve::{CliArgs, checked};
use std::path::PathBuf;

fuzz_target!(|text: &str| {
    let given = given();
    let Ok(settings) = checked(&given, Some(text)) else { return };
    let config = settings.options.config(1_000);
    let listing = settings.listing(&config);
    // What is secret is not listed.
    if listing.contains("***") {
        return;
    }
    match checked(&given, Some(&listing)) {
        Ok(again) => assert_eq!(again.options, settings.options, "{listing}"),
        Err(wrong) => panic!("{wrong:#} in\n{listing}"),
    }
});

/// A command line without flags.
fn given() -> CliArgs {
    let matches: ArgMatches = Options::augment_args(Command::new("hubcast")).get_matches_from(["hubcast"]);
    CliArgs { config: Some(PathBuf::from("hubcast.toml")), options: Options::default(), socket: None, matches }
}
