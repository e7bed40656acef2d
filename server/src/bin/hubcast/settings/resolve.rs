//! Computes the settings in force from all sources, and from them the library's configuration.

use super::admission::{self, LoadedAccess};
use super::layered::{Settings, Source};
use super::options::Options;
use super::{checks, descriptors, environment, file, file_text, lines};
use crate::logging::Format;
use anyhow::anyhow;
use clap::ArgMatches;
use clap::parser::ValueSource;
use hubcast_server::Config;
use hubcast_server::hooks::Hook;
use std::env;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use toml::Table;

/// The settings from flags and environment.
#[derive(Debug)]
pub(crate) struct CliArgs {
    /// The configuration file, if any.
    pub(crate) config: Option<PathBuf>,
    /// All settings; one without a flag or variable has its default.
    pub(crate) options: Options,
    /// The address of the sockets that the service manager gives, if it gives some. It takes the place of `listen`.
    pub(crate) socket: Option<SocketAddr>,
    /// Gives the source of each setting: flag, variable or default.
    pub(crate) matches: ArgMatches,
}

/// The settings in force.
#[derive(Debug)]
pub(crate) struct Resolved {
    /// All settings; they satisfy all rules.
    pub(crate) settings: Settings,
    /// The keys that the settings name, and what follows from them.
    pub(crate) access: LoadedAccess,
    /// The hooks, with their secrets.
    pub(crate) hooks: Vec<Hook>,
    /// What the configuration file was when it was read.
    pub(crate) stamp: Option<Stamp>,
    /// Variables that begin with `HUBCAST_` and name no setting.
    pub(crate) ignored: Vec<String>,
}

impl Resolved {
    /// What to say about variables that have no effect, and about the settings.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let variables = self.ignored.join(", ");
        let warning = format!("warning: there are no settings of these names, they are ignored: {variables}");
        let of_variables = (!self.ignored.is_empty()).then_some(warning);
        of_variables.into_iter().chain(self.access.warnings.iter().map(|text| format!("warning: {text}"))).collect()
    }
}

/// Combines flags, variables, file and defaults, in this order of precedence, and checks the result.
///
/// # Errors
/// When the file cannot be read or has a wrong key or value, when a variable is almost named like a setting, and when
/// settings break a rule.
pub(crate) fn resolve(given: &CliArgs) -> anyhow::Result<Resolved> {
    let ignored = environment::check(env::vars_os())?;
    let path = given.config.as_deref();
    let (stamp, text) = path.map(|path| stamped(path, || read(path))).unzip();
    let (stamp, text) = (stamp.flatten(), text.transpose()?);
    let resolved = || {
        let settings = checked(given, text.as_deref())?;
        let access = admission::load(&settings)?;
        let hooks = hooks(&settings)?;
        Ok(Resolved { settings, access, hooks, stamp, ignored })
    };
    resolved().map_err(|faults: anyhow::Error| match (path, &text) {
        (Some(path), Some(text)) => anyhow!(lines::add(&faults.to_string(), path, text)),
        _ => faults,
    })
}

fn hooks(settings: &Settings) -> anyhow::Result<Vec<Hook>> {
    let Options { hooks, hooks_public_only, .. } = &settings.options;
    hooks.value.load(*hooks_public_only).map_err(|faults| {
        let faults: Vec<_> = faults.iter().map(|fault| format!("{}{fault}", settings.place_of("hooks"))).collect();
        anyhow!(faults.join("\n       "))
    })
}

/// The settings alone: no key is read that they name, and no rule between them is checked.
///
/// # Errors
/// When the file cannot be read or has a wrong key or value.
pub(crate) fn settings(given: &CliArgs) -> anyhow::Result<Settings> {
    let text = given.config.as_deref().map(read).transpose()?;
    layered(given, text.as_deref())
}

/// The settings with the text of the file, which satisfy all rules.
///
/// # Errors
/// When the file has a wrong key or value, or settings break a rule.
pub(crate) fn checked(given: &CliArgs, text: Option<&str>) -> anyhow::Result<Settings> {
    let settings = layered(given, text)?;
    checks::check(&settings)?;
    Ok(settings)
}

/// Combines flags, variables and defaults with the text of the file.
fn layered(given: &CliArgs, text: Option<&str>) -> anyhow::Result<Settings> {
    let source = |key: &str| match given.matches.value_source(key) {
        Some(ValueSource::CommandLine) => Source::Flag,
        Some(ValueSource::EnvVariable) => Source::Environment,
        _ => Source::Default,
    };
    let path = given.config.as_deref();
    let file = path.zip(text).map(|(path, text)| file::read(path, text)).transpose()?;
    let mut settings = Settings::layered(&given.options, source, file.unwrap_or_default(), path)?;
    if let Some(address) = given.socket {
        settings.listen_on(address)?;
    }
    Ok(settings)
}

/// Reads a file, and says what it was before: a change while it is read is seen later.
fn stamped<T>(path: &Path, read: impl FnOnce() -> T) -> (Option<Stamp>, T) {
    let before = stamp(path);
    (before, read())
}

/// What changes with the contents of a file; `None` if it is not there, or is a pipe, which can be read only once.
pub(crate) fn stamp(path: &Path) -> Option<Stamp> {
    let file = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
    Some((file.modified().ok()?, file.len(), file.ino()))
}

/// When a file was changed last, its length, and its number.
pub(crate) type Stamp = (SystemTime, u64, u64);

fn read(path: &Path) -> anyhow::Result<String> {
    file_text::read(path).map_err(|fault| anyhow!("{}: {fault}", path.display()))
}

/// How the log is written where the settings are wrong: as flag or variable say, or the file, as far as it can be read.
pub(crate) fn log_format(given: &CliArgs) -> Format {
    if given.matches.value_source("log_format") != Some(ValueSource::DefaultValue) {
        return given.options.log_format;
    }
    let regular = given.config.as_deref().filter(|path| path.is_file());
    let table = || file_text::read(regular?).ok()?.parse::<Table>().ok();
    let written = table().and_then(|table| table.get("log_format")?.as_str()?.parse().ok());
    written.unwrap_or(given.options.log_format)
}

/// So many connections may wait to authenticate, however few there may be.
const MIN_WAITING: usize = 16;

/// The library's configuration.
///
/// # Errors
/// When the process may not open enough files.
pub(crate) fn config(resolved: &Resolved) -> anyhow::Result<Config> {
    let Resolved { settings, access, hooks, .. } = resolved;
    let connections = descriptors::connections(settings)?;
    let LoadedAccess { mut admission, auth, console, tls, .. } = access.clone();
    // Those that show no token must not take the places of those that have one.
    admission.max_waiting = (connections / 10).max(MIN_WAITING);
    let hooks = hooks.clone();
    Ok(Config { admission, auth, console, tls, hooks, ..settings.options.config(connections) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_changes_while_it_is_read_is_seen_to_have_changed() {
        let path = env::temp_dir().join(format!("hubcast-stamped-{}", std::process::id()));
        fs::write(&path, "before").unwrap();
        let (seen, text) = stamped(&path, || {
            let text = fs::read_to_string(&path).unwrap();
            fs::write(&path, "after it was read").unwrap();
            text
        });
        assert_eq!(text, "before");
        assert_ne!(seen, stamp(&path));
        fs::remove_file(&path).unwrap();
        assert_eq!((stamp(&path), stamp(Path::new("/dev/null"))), (None, None));
    }
}
