//! `hubcast check-config`: the settings in force, and where each comes from.

use crate::settings::resolve::{Resolved, config};
use std::io::{self, Write};

/// Prints them as a TOML file.
///
/// # Errors
/// The process may not open enough files for them, and standard output that is closed.
pub(crate) fn run(resolved: &Resolved) -> anyhow::Result<()> {
    let Resolved { settings, ignored } = resolved;
    if !ignored.is_empty() {
        let variables = ignored.join(", ");
        let _ = writeln!(io::stderr(), "warning: there are no settings of these names, they are ignored: {variables}");
    }
    let listing = settings.listing(&config(settings)?);
    Ok(io::stdout().write_all(listing.as_bytes())?)
}
