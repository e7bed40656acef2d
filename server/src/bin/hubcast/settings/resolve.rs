//! From what was given to the settings in force, and from these to what the library takes.

use super::layered::{Settings, Source};
use super::options::Options;
use super::{checks, descriptors, environment, file};
use crate::logging::Format;
use clap::ArgMatches;
use clap::parser::ValueSource;
use hubcast_server::Config;
use std::path::PathBuf;
use std::{env, fs};
use toml::Table;

/// What flags and environment say about the configuration.
#[derive(Debug)]
pub(crate) struct CliArgs {
    /// The file to read, if any.
    pub(crate) config: Option<PathBuf>,
    /// Every setting, the default where neither flag nor variable sets it.
    pub(crate) options: Options,
    /// Knows for each setting whether flag, variable or default gave its value.
    pub(crate) matches: ArgMatches,
}

/// The settings in force.
#[derive(Debug)]
pub(crate) struct Resolved {
    /// Each holds by itself and with the others.
    pub(crate) settings: Settings,
    /// Variables that begin like ours and name no setting.
    pub(crate) ignored: Vec<String>,
}

/// Lays flags over variables over the file over the defaults, and checks what comes of it.
///
/// # Errors
/// A file that cannot be read or does not fit, and values that do not go together.
pub(crate) fn resolve(given: &CliArgs) -> anyhow::Result<Resolved> {
    let source = |key: &str| match given.matches.value_source(key) {
        Some(ValueSource::CommandLine) => Source::Flag,
        Some(ValueSource::EnvVariable) => Source::Environment,
        _ => Source::Default,
    };
    let ignored = environment::check(env::vars_os())?;
    let file = given.config.as_deref().map(file::read).transpose()?;
    let settings = Settings::layered(&given.options, source, file.unwrap_or_default(), given.config.as_deref())?;
    checks::check(&settings)?;
    Ok(Resolved { settings, ignored })
}

/// How the log is written where the settings are wrong: as flag or variable say, or the file, as far as it can be read.
pub(crate) fn log_format(given: &CliArgs) -> Format {
    if given.matches.value_source("log_format") != Some(ValueSource::DefaultValue) {
        return given.options.log_format;
    }
    let regular = given.config.as_deref().filter(|path| path.is_file());
    let table = || fs::read_to_string(regular?).ok()?.parse::<Table>().ok();
    let written = table().and_then(|table| table.get("log_format")?.clone().try_into().ok());
    written.unwrap_or(given.options.log_format)
}

/// What the library takes.
///
/// # Errors
/// The process may not open enough files.
pub(crate) fn config(settings: &Settings) -> anyhow::Result<Config> {
    let connections = descriptors::connections(settings)?;
    Ok(settings.options.config(connections))
}
