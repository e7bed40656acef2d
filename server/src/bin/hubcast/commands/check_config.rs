//! `hubcast check-config`: prints the settings in force, with the source of each.

use crate::settings::resolve::{Resolved, config};
use anyhow::Context;
use std::io::{self, Write};

/// Prints the settings as a TOML file.
///
/// # Errors
/// When the process may not open enough files for these settings, or when standard output is closed.
pub(crate) fn run(resolved: &Resolved) -> anyhow::Result<()> {
    for warning in resolved.warnings() {
        let _ = writeln!(io::stderr(), "{warning}");
    }
    let listing = resolved.settings.listing(&config(resolved)?);
    io::stdout().write_all(listing.as_bytes()).context("cannot print the configuration")
}
