//! The settings in force, each with its source. A flag takes precedence over the environment, the environment over the
//! file, and the file over the default.

use super::excerpt::excerpt;
use super::options::Options;
use super::tables::without_secrets;
use super::threads::workers;
use clap::{Args, Command};
use hubcast_server::Config;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// All settings, with the source and the text of each.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) options: Options,
    values: Table,
    sources: BTreeMap<String, Source>,
    file: Option<PathBuf>,
}

/// The source of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Flag,
    Environment,
    File,
    Default,
    /// A socket of the service manager.
    Socket,
}

impl Settings {
    /// Combines the sources: `options` has the values of flags, environment and defaults, `file` those of the file.
    pub(super) fn layered(
        options: &Options,
        source: impl Fn(&str) -> Source,
        file: Table,
        path: Option<&Path>,
    ) -> anyhow::Result<Self> {
        let mut values = Table::try_from(options)?;
        let mut sources: BTreeMap<_, _> = values.keys().map(|key| (key.clone(), source(key))).collect();
        for (key, value) in file {
            if sources.get(&key) == Some(&Source::Default) {
                sources.insert(key.clone(), Source::File);
                values.insert(key, value);
            }
        }
        // A request of `max_message` bytes in one frame, as browsers send it, must pass.
        if sources[MAX_FRAME] == Source::Default {
            values.insert(MAX_FRAME.to_owned(), values[MAX_MESSAGE].clone());
        }
        let options = values.clone().try_into()?;
        Ok(Self { options, values, sources, file: path.map(Path::to_owned) })
    }

    /// The settings that are different in `other`: those that can change while the server runs, or else those that need a
    /// restart.
    pub(crate) fn changed(&self, other: &Self, can_change: bool) -> Vec<&str> {
        let keys = self.values.keys().map(String::as_str);
        let of_kind = keys.filter(|key| CHANGEABLE.contains(key) == can_change);
        of_kind.filter(|key| self.values[*key] != other.values[*key]).collect()
    }

    /// Sets `listen` to the address of a socket that the service manager gives.
    ///
    /// # Errors
    /// None: each address is one to listen on.
    pub(super) fn listen_on(&mut self, address: SocketAddr) -> anyhow::Result<()> {
        self.values.insert(LISTEN.to_owned(), address.to_string().into());
        self.sources.insert(LISTEN.to_owned(), Source::Socket);
        self.options = self.values.clone().try_into()?;
        Ok(())
    }

    /// A setting as it was written, so that an operator finds it: `--ping 0s`, `HUBCAST_PING=0s`, `hubcast.toml: ping =
    /// "0s"`.
    pub(crate) fn origin_of(&self, key: &str) -> String {
        let value = &without_secrets(&self.values[key]);
        let plain = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let (plain, value) = (excerpt(&plain), value.to_string());
        let value = excerpt(&value);
        match self.sources[key] {
            Source::Flag => format!("--{} {plain}", key.replace('_', "-")),
            Source::Environment => format!("{}={plain}", variable(key)),
            Source::File => format!("{}: {key} = {value}", self.file_name()),
            Source::Socket => format!("{plain}, {OF_SOCKET}"),
            Source::Default if self.follows_message(key) => format!("{key} = {value} (the same as {MAX_MESSAGE})"),
            Source::Default => format!("{key} = {value} (the default)"),
        }
    }

    /// A setting without its value, which may be long or hold secrets: `--tokens`, `HUBCAST_TOKENS`, `hubcast.toml:
    /// tokens`.
    pub(super) fn place_of(&self, key: &str) -> String {
        match self.sources[key] {
            Source::File => format!("{}: {key}", self.file_name()),
            Source::Default => key.to_owned(),
            Source::Flag | Source::Environment | Source::Socket => self.source(key),
        }
    }

    /// All settings as a TOML file, with the source of each as a comment.
    pub(crate) fn listing(&self, config: &Config) -> String {
        let command = Options::augment_args(Command::new("hubcast"));
        let mut text = String::new();
        let mut heading = None;
        for arg in command.get_arguments() {
            if arg.get_help_heading() != heading {
                heading = arg.get_help_heading();
                let gap = if text.is_empty() { "" } else { "\n" };
                let _ = writeln!(text, "{gap}# {}", heading.unwrap_or_default());
            }
            let key = arg.get_id().as_str();
            let (first, rest) = self.lines(key);
            let reload = if CHANGEABLE.contains(&key) { "; can change while the server runs" } else { "" };
            let _ = writeln!(text, "{first:<36} # {}{}{reload}", self.source(key), self.meaning(key, config));
            text.extend(rest);
        }
        text
    }

    /// The first line of a setting, and its further lines: a list of tables has a line for each table.
    fn lines(&self, key: &str) -> (String, Vec<String>) {
        let value = &without_secrets(&self.values[key]);
        match value.as_array() {
            Some(tables) if tables.iter().any(Value::is_table) => {
                let rows = tables.iter().map(|table| format!("    {table},\n"));
                (format!("{key} = ["), rows.chain(["]\n".to_owned()]).collect())
            }
            _ => (format!("{key} = {value}"), Vec::new()),
        }
    }

    fn source(&self, key: &str) -> String {
        match self.sources[key] {
            Source::Flag => format!("--{}", key.replace('_', "-")),
            Source::Environment => variable(key),
            Source::File => self.file_name(),
            Source::Default => "default".to_owned(),
            Source::Socket => OF_SOCKET.to_owned(),
        }
    }

    /// Whether this is `max_frame` and has its value from a `max_message` that was set.
    fn follows_message(&self, key: &str) -> bool {
        key == MAX_FRAME && self.sources[MAX_FRAME] == Source::Default && self.sources[MAX_MESSAGE] != Source::Default
    }

    /// The part of the comment that explains the value: the number for `auto` on this machine, or the setting that this
    /// one follows. Empty for other values.
    fn meaning(&self, key: &str, config: &Config) -> String {
        let number = match key {
            _ if self.follows_message(key) => return format!("; the same as {MAX_MESSAGE}"),
            _ if self.values[key] != Value::from("auto") => return String::new(),
            "workers" => workers(&self.options),
            _ => config.max_connections,
        };
        format!("; here {number}")
    }

    fn file_name(&self) -> String {
        self.file.as_deref().unwrap_or(Path::new("")).display().to_string()
    }
}

/// The settings that are taken up while the server runs.
const CHANGEABLE: [&str; 17] = [
    "origins",
    "console",
    "open",
    "tokens",
    "api_keys",
    "anonymous",
    "users",
    "trusted_proxies",
    "hosts",
    "max_topic",
    "max_subscriptions",
    "requests_per_second",
    "topics",
    "max_connections_per_address",
    "hooks",
    "hooks_public_only",
    "log_connections",
];

const LISTEN: &str = "listen";
const OF_SOCKET: &str = "a socket of the service manager (LISTEN_FDS)";
const MAX_FRAME: &str = "max_frame";
const MAX_MESSAGE: &str = "max_message";

fn variable(key: &str) -> String {
    format!("HUBCAST_{}", key.to_uppercase())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The settings from the text of a file, with no other source.
    pub(crate) fn of_file(text: &str) -> anyhow::Result<Settings> {
        let file = text.parse().unwrap();
        Settings::layered(&Options::default(), |_| Source::Default, file, Some(Path::new("some.toml")))
    }

    fn layered() -> Settings {
        let given = Options { ping: "15s".parse().unwrap(), workers: "2".parse().unwrap(), ..Options::default() };
        let source = |key: &str| match key {
            "ping" => Source::Flag,
            "workers" => Source::Environment,
            _ => Source::Default,
        };
        let rules = "[[topics]]\nmatch = \"a\"\nhistory = { size = 7 }\n[[topics]]\nmatch = \"b\"\npresence = true";
        let file = format!("ping = \"99s\"\nworkers = 9\nlinger = \"1s\"\n{rules}").parse().unwrap();
        Settings::layered(&given, source, file, Some(Path::new("some.toml"))).unwrap()
    }

    #[test]
    fn a_flag_goes_before_a_variable_before_the_file_before_the_default() {
        let options = layered().options;
        assert_eq!(options.ping, "15s".parse().unwrap());
        assert_eq!(options.workers, "2".parse().unwrap());
        assert_eq!(options.linger, "1s".parse().unwrap());
        assert_eq!(options.max_frame, Options::default().max_frame);
    }

    #[test]
    fn a_frame_that_is_not_set_is_as_large_as_a_message() {
        for (file, frame) in [
            ("", "64KiB"),
            ("max_message = \"777KiB\"", "777KiB"),
            ("max_message = 32768", "32KiB"),
            ("max_message = \"777KiB\"\nmax_frame = \"64KiB\"", "64KiB"),
        ] {
            assert_eq!(of_file(file).unwrap().options.max_frame, frame.parse().unwrap(), "{file}");
        }
        let settings = of_file("max_message = \"777KiB\"").unwrap();
        assert_eq!(settings.origin_of("max_frame"), "max_frame = \"777KiB\" (the same as max_message)");
        let line = format!("{:<36} # default; the same as max_message\n", "max_frame = \"777KiB\"");
        assert!(settings.listing(&Config::default()).contains(&line));
    }

    #[test]
    fn a_value_is_called_as_it_was_written() {
        let settings = layered();
        assert_eq!(settings.origin_of("ping"), "--ping 15s");
        assert_eq!(settings.origin_of("workers"), "HUBCAST_WORKERS=2");
        assert_eq!(settings.origin_of("linger"), "some.toml: linger = \"1s\"");
        assert_eq!(settings.origin_of("max_frame"), "max_frame = \"64KiB\" (the default)");
    }

    #[test]
    fn the_listing_is_a_file_that_means_the_same() {
        let settings = layered();
        let listing = settings.listing(&Config::default());
        let table: Table = listing.parse().unwrap();
        assert_eq!(table.try_into::<Options>().unwrap(), settings.options, "{listing}");
        assert!(listing.contains("\n    { match = \"b\", presence = true },\n]\n"), "{listing}");
        for part in ["# --ping\n", "# HUBCAST_WORKERS\n", "# some.toml\n", "# default; here 10000\n", "# Timeouts\n"] {
            assert!(listing.contains(part), "{part} is not in\n{listing}");
        }
    }
}
