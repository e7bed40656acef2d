//! All settings of the server. One struct defines flags, environment variables and file keys, so that every setting
//! exists in all three.
//!
//! A field's name is the key in the file. Its flag has the same name in kebab-case, and its variable has the same name
//! in capitals after `HUBCAST_`. The defaults are the library's. The comments of the fields are the text of `--help`.

use super::access::{AnonymousSettings, ApiKeySettings, UserSettings};
use super::endpoints::Endpoint;
use super::file_mode::FileMode;
use super::hooks::HookSettings;
use super::lists::{Endpoints, Hosts, Networks, Origins};
use super::paths::{PemFile, StateDir};
use super::tables::Structured;
use super::tokens::TokenSettings;
use super::topics::TopicSettings;
use super::units::{AutoCount, AutoSwitch, Count, DurationText, Size, from_text};
use crate::logging::{Format, Level};
use clap::Args;
use hubcast_hub::{Limits, TopicRules};
use hubcast_server::{Config, Drain, HttpLimits, MessageLimits, Timeouts};
use serde::{Deserialize, Serialize};

/// All settings; [`Options::default`] has the defaults.
#[derive(Args, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Options {
    /// The addresses to listen on, separated by commas; a name stands for all of its addresses, port 0 takes a free one
    #[arg(long, env = "HUBCAST_LISTEN", value_name = "HOST:PORT,...")]
    #[arg(default_value_t = Self::default().listen, help_heading = SERVER)]
    pub(crate) listen: Endpoints,

    /// Who may connect to the Unix sockets among these addresses, as the mode of a file: 660 is the user and the group
    #[arg(long, env = "HUBCAST_UNIX_MODE", value_name = "MODE")]
    #[arg(default_value_t = Self::default().unix_mode, help_heading = SERVER)]
    pub(crate) unix_mode: FileMode,

    /// Addresses where only /metrics, /healthz and /readyz are, for everybody who reaches them
    #[arg(long, env = "HUBCAST_METRICS_LISTEN", value_name = "HOST:PORT,...|none")]
    #[arg(default_value_t = Self::default().metrics_listen, help_heading = SERVER)]
    pub(crate) metrics_listen: Endpoints,

    /// The certificate of the server with those of its issuers, in PEM; with it the server speaks TLS, and wss:// only
    #[arg(long, env = "HUBCAST_TLS_CERTIFICATE", value_name = "FILE|none")]
    #[arg(default_value_t = Self::default().tls_certificate, help_heading = SERVER)]
    pub(crate) tls_certificate: PemFile,

    /// The private key of the certificate, in PEM
    #[arg(long, env = "HUBCAST_TLS_KEY", value_name = "FILE|none")]
    #[arg(default_value_t = Self::default().tls_key, help_heading = SERVER)]
    pub(crate) tls_key: PemFile,

    /// Threads that serve connections, up to 256; auto is one for each core
    #[arg(long, env = "HUBCAST_WORKERS", value_name = "N|auto")]
    #[arg(default_value_t = Self::default().workers, help_heading = SERVER)]
    pub(crate) workers: AutoCount,

    /// Origins of web pages that may connect, separated by commas; any allows all
    #[arg(long, env = "HUBCAST_ORIGINS", value_name = "ORIGINS|any")]
    #[arg(default_value_t = Self::default().origins, help_heading = SERVER)]
    pub(crate) origins: Origins,

    /// The page at / with which people look at the server and try it; auto is true if only this machine can reach the
    /// server, or if there are API keys
    #[arg(long, env = "HUBCAST_CONSOLE", value_name = "true|false|auto", num_args = 0..=1, default_missing_value = "true")]
    #[arg(default_value_t = Self::default().console, help_heading = SERVER)]
    pub(crate) console: AutoSwitch,

    /// Let everybody do everything, also from other machines; without tokens and API keys a server that others can reach
    /// does not start otherwise
    #[arg(long, env = "HUBCAST_OPEN", value_name = "true|false", num_args = 0..=1, default_missing_value = "true")]
    #[arg(default_value_t = Self::default().open, action = clap::ArgAction::Set, help_heading = ACCESS)]
    pub(crate) open: bool,

    /// The keys of tokens and what tokens must say, as the table of the file: { keys = [{ algorithm = "RS256", file =
    /// "login.pem" }], audience = "hub" }
    #[arg(long, env = "HUBCAST_TOKENS", value_name = "TABLE")]
    #[arg(default_value_t = Self::default().tokens, help_heading = ACCESS)]
    pub(crate) tokens: Structured<TokenSettings>,

    /// The API keys of backends, as the list of the file; hubcast key makes one
    #[arg(long, env = "HUBCAST_API_KEYS", value_name = "LIST")]
    #[arg(default_value_t = Self::default().api_keys, help_heading = ACCESS)]
    pub(crate) api_keys: Structured<ApiKeySettings>,

    /// What clients without a token may do, as the table of the file: { subscribe = ["news.>"] }
    #[arg(long, env = "HUBCAST_ANONYMOUS", value_name = "TABLE")]
    #[arg(default_value_t = Self::default().anonymous, help_heading = ACCESS)]
    pub(crate) anonymous: Structured<AnonymousSettings>,

    /// Limits of each user on all its connections, as the table of the file: { connections = 20 }; there are
    /// connections, subscriptions and `publications_per_second`
    #[arg(long, env = "HUBCAST_USERS", value_name = "TABLE")]
    #[arg(default_value_t = Self::default().users, help_heading = ACCESS)]
    pub(crate) users: Structured<UserSettings>,

    /// Networks of the proxies whose X-Forwarded-For is believed, separated by commas, such as 10.0.0.0/8
    #[arg(long, env = "HUBCAST_TRUSTED_PROXIES", value_name = "NETWORKS|none")]
    #[arg(default_value_t = Self::default().trusted_proxies, help_heading = ACCESS)]
    pub(crate) trusted_proxies: Networks,

    /// Names in the Host header that are answered, separated by commas; others get 421, but for the health checks
    #[arg(long, env = "HUBCAST_HOSTS", value_name = "NAMES|any")]
    #[arg(default_value_t = Self::default().hosts, help_heading = ACCESS)]
    pub(crate) hosts: Hosts,

    /// Whether each connection begins with a header of the PROXY protocol, from one of the trusted proxies
    #[arg(long, env = "HUBCAST_PROXY_PROTOCOL", value_name = "true|false", num_args = 0..=1, default_missing_value = "true")]
    #[arg(default_value_t = Self::default().proxy_protocol, action = clap::ArgAction::Set, help_heading = ACCESS)]
    pub(crate) proxy_protocol: bool,

    /// The most connections of one address, of which an IPv6 /64 is one; 0 is no limit
    #[arg(long, env = "HUBCAST_MAX_CONNECTIONS_PER_ADDRESS", value_name = "N")]
    #[arg(default_value_t = Self::default().max_connections_per_address, help_heading = LIMITS)]
    pub(crate) max_connections_per_address: Count,

    /// The most WebSockets at the same time; one more is answered with 503. auto is what the limit of open files allows
    /// (the soft limit is raised to the hard one), minus 64 and minus 8 for each worker
    #[arg(long, env = "HUBCAST_MAX_CONNECTIONS", value_name = "N|auto")]
    #[arg(default_value_t = Self::default().max_connections, help_heading = LIMITS)]
    pub(crate) max_connections: AutoCount,

    /// The largest HTTP head (request line and headers), at least 8KiB; a larger one is answered with 431
    #[arg(long, env = "HUBCAST_MAX_HEAD", value_name = "SIZE")]
    #[arg(default_value_t = Self::default().max_head, help_heading = LIMITS)]
    pub(crate) max_head: Size,

    /// The most HTTP header lines; more are answered with 431
    #[arg(long, env = "HUBCAST_MAX_HEADERS", value_name = "N")]
    #[arg(default_value_t = Self::default().max_headers, help_heading = LIMITS)]
    pub(crate) max_headers: Count,

    /// The largest message from a client, all fragments together; a larger one closes the connection with 1009
    #[arg(long, env = "HUBCAST_MAX_MESSAGE", value_name = "SIZE")]
    #[arg(default_value_t = Self::default().max_message, help_heading = LIMITS)]
    pub(crate) max_message: Size,

    /// The largest frame of a message, at most --max-message, and the same as --max-message if this is not set; a
    /// larger one closes the connection with 1009
    #[arg(long, env = "HUBCAST_MAX_FRAME", value_name = "SIZE")]
    #[arg(default_value_t = Self::default().max_frame, help_heading = LIMITS)]
    pub(crate) max_frame: Size,

    /// The most frames after the first one of a message; one more closes the connection with 1008
    #[arg(long, env = "HUBCAST_MAX_FRAGMENTS", value_name = "N")]
    #[arg(default_value_t = Self::default().max_fragments, help_heading = LIMITS)]
    pub(crate) max_fragments: Count,

    /// The longest name of a topic; a request with a longer one is refused
    #[arg(long, env = "HUBCAST_MAX_TOPIC", value_name = "SIZE")]
    #[arg(default_value_t = Self::default().max_topic, help_heading = LIMITS)]
    pub(crate) max_topic: Size,

    /// The most subscriptions of one connection; one more is refused
    #[arg(long, env = "HUBCAST_MAX_SUBSCRIPTIONS", value_name = "N")]
    #[arg(default_value_t = Self::default().max_subscriptions, help_heading = LIMITS)]
    pub(crate) max_subscriptions: Count,

    /// The most bytes that wait for one slow reader, at least --max-message; each frame counts 64 bytes more. Above
    /// that the connection is closed with 4002
    #[arg(long, env = "HUBCAST_MAX_OUTBOX", value_name = "SIZE")]
    #[arg(default_value_t = Self::default().max_outbox, help_heading = LIMITS)]
    pub(crate) max_outbox: Size,

    /// The most memory for bytes that wait for all readers together. Above that the connections for which most waits
    /// are closed with 4002
    #[arg(long, env = "HUBCAST_MAX_WAITING", value_name = "SIZE")]
    #[arg(default_value_t = Self::default().max_waiting, help_heading = LIMITS)]
    pub(crate) max_waiting: Size,

    /// Requests of one connection for each second, and in one burst; 0 is no limit
    #[arg(long, env = "HUBCAST_REQUESTS_PER_SECOND", value_name = "N")]
    #[arg(default_value_t = Self::default().requests_per_second, help_heading = LIMITS)]
    pub(crate) requests_per_second: Count,

    /// Rules for what topics keep, as [{match = "chat.>", ...}]; the first rule that matches applies.
    /// hubcast.example.toml lists the keys of a rule
    #[arg(long, env = "HUBCAST_TOPICS", value_name = "RULES")]
    #[arg(default_value_t = Self::default().topics, help_heading = TOPICS)]
    pub(crate) topics: TopicSettings,

    /// The largest size of all histories together; topics that use more than their share drop their oldest publications
    /// first
    #[arg(long, env = "HUBCAST_HISTORY_MAX_BYTES", value_name = "SIZE")]
    #[arg(default_value_t = Self::default().history_max_bytes, help_heading = TOPICS)]
    pub(crate) history_max_bytes: Size,

    /// The folder that keeps histories and idempotency keys over an orderly restart; it is created if it is missing
    #[arg(long, env = "HUBCAST_STATE_DIR", value_name = "FOLDER|none")]
    #[arg(default_value_t = Self::default().state_dir, help_heading = TOPICS)]
    pub(crate) state_dir: StateDir,

    /// Programs that are told by HTTP which clients come and go and which topics are in use, as the list of the file.
    /// hubcast.example.toml lists the keys of a hook
    #[arg(long, env = "HUBCAST_HOOKS", value_name = "LIST")]
    #[arg(default_value_t = Self::default().hooks, help_heading = HOOKS)]
    pub(crate) hooks: Structured<HookSettings>,

    /// Let hooks reach addresses of the public internet alone; link-local addresses are refused in any case
    #[arg(long, env = "HUBCAST_HOOKS_PUBLIC_ONLY", value_name = "true|false", num_args = 0..=1, default_missing_value = "true")]
    #[arg(default_value_t = Self::default().hooks_public_only, action = clap::ArgAction::Set, help_heading = HOOKS)]
    pub(crate) hooks_public_only: bool,

    /// Time from the accepted connection to the end of its HTTP head
    #[arg(long, env = "HUBCAST_HEAD_TIMEOUT", value_name = "DURATION")]
    #[arg(default_value_t = Self::default().head_timeout, help_heading = TIMEOUTS)]
    pub(crate) head_timeout: DurationText,

    /// Time from the end of the HTTP head to the open WebSocket
    #[arg(long, env = "HUBCAST_UPGRADE_TIMEOUT", value_name = "DURATION")]
    #[arg(default_value_t = Self::default().upgrade_timeout, help_heading = TIMEOUTS)]
    pub(crate) upgrade_timeout: DurationText,

    /// Time from the first frame of a fragmented message to its last; later the connection is closed with 1008
    #[arg(long, env = "HUBCAST_MESSAGE_TIMEOUT", value_name = "DURATION")]
    #[arg(default_value_t = Self::default().message_timeout, help_heading = TIMEOUTS)]
    pub(crate) message_timeout: DurationText,

    /// A connection that sends nothing for this time gets a ping
    #[arg(long, env = "HUBCAST_PING", value_name = "DURATION")]
    #[arg(default_value_t = Self::default().ping, help_heading = TIMEOUTS)]
    pub(crate) ping: DurationText,

    /// Time from the ping to any complete frame; later the connection is closed with 4000
    #[arg(long, env = "HUBCAST_PONG_TIMEOUT", value_name = "DURATION")]
    #[arg(default_value_t = Self::default().pong_timeout, help_heading = TIMEOUTS)]
    pub(crate) pong_timeout: DurationText,

    /// Time that one write may wait for the reader; later the connection is cut
    #[arg(long, env = "HUBCAST_WRITE_TIMEOUT", value_name = "DURATION")]
    #[arg(default_value_t = Self::default().write_timeout, help_heading = TIMEOUTS)]
    pub(crate) write_timeout: DurationText,

    /// Time for the close; it starts again whenever the reader takes some of the waiting bytes, but the whole close
    /// takes at most ten times as long. Later the connection is cut
    #[arg(long, env = "HUBCAST_CLOSE_TIMEOUT", value_name = "DURATION")]
    #[arg(default_value_t = Self::default().close_timeout, help_heading = TIMEOUTS)]
    pub(crate) close_timeout: DurationText,

    /// Time that the server still reads after the close, so that the client can receive the last bytes
    #[arg(long, env = "HUBCAST_LINGER", value_name = "DURATION")]
    #[arg(default_value_t = Self::default().linger, help_heading = TIMEOUTS)]
    pub(crate) linger: DurationText,

    /// The most bytes that are read and dropped after the close; above that the connection is cut
    #[arg(long, env = "HUBCAST_LINGER_BYTES", value_name = "SIZE")]
    #[arg(default_value_t = Self::default().linger_bytes, help_heading = TIMEOUTS)]
    pub(crate) linger_bytes: Size,

    /// Pause before each read from a publisher whose receivers have outboxes that are more than three quarters full
    #[arg(long, env = "HUBCAST_PUBLISHER_PAUSE", value_name = "DURATION")]
    #[arg(default_value_t = Self::default().publisher_pause, help_heading = TIMEOUTS)]
    pub(crate) publisher_pause: DurationText,

    /// On SIGTERM or SIGINT, connections are closed one by one over this time; a second signal closes them at once
    #[arg(long, env = "HUBCAST_DRAIN_SPREAD", value_name = "DURATION")]
    #[arg(default_value_t = Self::default().drain_spread, help_heading = STOPPING)]
    pub(crate) drain_spread: DurationText,

    /// After this time the connections that are left are cut; at least --drain-spread
    #[arg(long, env = "HUBCAST_DRAIN_DEADLINE", value_name = "DURATION")]
    #[arg(default_value_t = Self::default().drain_deadline, help_heading = STOPPING)]
    pub(crate) drain_deadline: DurationText,

    /// The least important level that is logged; with off, an error that ends the server is still printed
    #[arg(long, env = "HUBCAST_LOG_LEVEL", value_name = "LEVEL")]
    #[arg(default_value_t = Self::default().log_level, help_heading = LOGGING)]
    #[serde(deserialize_with = "from_text")]
    pub(crate) log_level: Level,

    /// Lines of text for people, or one JSON object for each line; both go to standard error
    #[arg(long, env = "HUBCAST_LOG_FORMAT", value_name = "FORMAT")]
    #[arg(default_value_t = Self::default().log_format, help_heading = LOGGING)]
    #[serde(deserialize_with = "from_text")]
    pub(crate) log_format: Format,

    /// A line for each client that comes and for each that goes, at most a hundred a second from each worker
    #[arg(long, env = "HUBCAST_LOG_CONNECTIONS", value_name = "true|false", num_args = 0..=1, default_missing_value = "true")]
    #[arg(default_value_t = Self::default().log_connections, action = clap::ArgAction::Set, help_heading = LOGGING)]
    pub(crate) log_connections: bool,
}

impl Options {
    /// The library's configuration. The caller computes `max_connections`, because it depends on the limit of open
    /// files.
    pub(crate) fn config(&self, max_connections: usize) -> Config {
        Config {
            workers: match self.workers {
                AutoCount::Auto => None,
                AutoCount::Exactly(workers) => Some(workers as usize),
            },
            origins: self.origins.list(),
            max_connections,
            http: HttpLimits { head: self.max_head.0, headers: self.max_headers.0 as usize },
            messages: MessageLimits {
                message: self.max_message.0,
                frame: self.max_frame.0,
                fragments: self.max_fragments.0,
            },
            timeouts: Timeouts {
                head: self.head_timeout.0,
                upgrade: self.upgrade_timeout.0,
                message: self.message_timeout.0,
                ping: self.ping.0,
                pong: self.pong_timeout.0,
                write: self.write_timeout.0,
                close: self.close_timeout.0,
                linger: self.linger.0,
                publisher_pause: self.publisher_pause.0,
                ..Timeouts::default()
            },
            outbox: self.max_outbox.0,
            max_waiting: self.max_waiting.0,
            proxy_protocol: self.proxy_protocol,
            max_connections_per_address: Some(self.max_connections_per_address.0).filter(|most| *most > 0),
            linger_bytes: self.linger_bytes.0,
            limits: Limits {
                topic: self.max_topic.0,
                subscriptions: self.max_subscriptions.0 as usize,
                requests_per_second: Some(self.requests_per_second.0).filter(|limit| *limit > 0),
            },
            rules: TopicRules { list: self.topics.rules.clone() },
            history_max_bytes: self.history_max_bytes.0,
            state_dir: self.state_dir.path(),
            hooks_public_only: self.hooks_public_only,
            log_connections: self.log_connections,
            drain: Drain { spread: self.drain_spread.0, deadline: self.drain_deadline.0 },
            ..Config::default()
        }
    }
}

impl Default for Options {
    #[expect(clippy::too_many_lines, reason = "one line for each setting")]
    fn default() -> Self {
        let Config {
            http,
            messages,
            timeouts,
            outbox,
            max_waiting,
            linger_bytes,
            limits,
            history_max_bytes,
            drain,
            ..
        } = Config::default();
        Self {
            listen: Endpoints::only(Endpoint::default()),
            unix_mode: FileMode::default(),
            metrics_listen: Endpoints::default(),
            tls_certificate: PemFile::default(),
            tls_key: PemFile::default(),
            workers: AutoCount::Auto,
            origins: Origins::default(),
            console: AutoSwitch::Auto,
            open: false,
            tokens: Structured::default(),
            api_keys: Structured::default(),
            anonymous: Structured::default(),
            users: Structured::default(),
            trusted_proxies: Networks::default(),
            hosts: Hosts::default(),
            proxy_protocol: false,
            max_connections_per_address: Count(0),
            max_connections: AutoCount::Auto,
            max_head: Size(http.head),
            max_headers: Count::of(http.headers),
            max_message: Size(messages.message),
            max_frame: Size(messages.frame),
            max_fragments: Count(messages.fragments),
            max_topic: Size(limits.topic),
            max_subscriptions: Count::of(limits.subscriptions),
            max_outbox: Size(outbox),
            max_waiting: Size(max_waiting),
            requests_per_second: Count(limits.requests_per_second.unwrap_or(0)),
            topics: TopicSettings::default(),
            history_max_bytes: Size(history_max_bytes),
            state_dir: StateDir::default(),
            hooks: Structured::default(),
            hooks_public_only: false,
            head_timeout: DurationText(timeouts.head),
            upgrade_timeout: DurationText(timeouts.upgrade),
            message_timeout: DurationText(timeouts.message),
            ping: DurationText(timeouts.ping),
            pong_timeout: DurationText(timeouts.pong),
            write_timeout: DurationText(timeouts.write),
            close_timeout: DurationText(timeouts.close),
            linger: DurationText(timeouts.linger),
            linger_bytes: Size(linger_bytes),
            publisher_pause: DurationText(timeouts.publisher_pause),
            drain_spread: DurationText(drain.spread),
            drain_deadline: DurationText(drain.deadline),
            log_level: Level::Info,
            log_format: Format::Text,
            log_connections: true,
        }
    }
}

/// The headings of the help and of the listing, in the order of the fields.
const SERVER: &str = "Server";
const ACCESS: &str = "Access";
const LIMITS: &str = "Limits";
const TOPICS: &str = "Topics";
const HOOKS: &str = "Hooks";
const TIMEOUTS: &str = "Timeouts";
const STOPPING: &str = "Stopping";
const LOGGING: &str = "Logging";

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Command;
    use toml::Table;

    #[test]
    fn every_flag_has_the_variable_and_the_key_of_its_name() {
        let keys = Table::try_from(Options::default()).unwrap();
        let command = Options::augment_args(Command::new("hubcast"));
        for arg in command.get_arguments() {
            let key = arg.get_id().as_str();
            assert_eq!(arg.get_long(), Some(key.replace('_', "-").as_str()));
            assert_eq!(arg.get_env().unwrap().to_str().unwrap(), format!("HUBCAST_{}", key.to_uppercase()));
            assert!(keys.contains_key(key), "{key} is not a key of the file");
            assert!(arg.get_help_heading().is_some(), "{key} has no heading");
        }
        assert_eq!(command.get_arguments().count(), keys.len());
    }

    #[test]
    fn the_example_file_lists_every_key_with_its_default() {
        let example = include_str!("../../../../../hubcast.example.toml");
        let is_setting = |line: &&str| line.split_once(" = ").is_some_and(|(key, _)| !key.contains(' '));
        let settings: Vec<_> = example.lines().filter_map(|line| line.strip_prefix("# ")).filter(is_setting).collect();
        let listed: Table = settings.join("\n").parse().unwrap();
        assert_eq!(listed, Table::try_from(Options::default()).unwrap());
        assert_eq!(listed.try_into::<Options>().unwrap(), Options::default());
        assert_eq!(example.parse::<Table>().unwrap(), Table::new(), "as it stands, the example sets nothing");
    }

    #[test]
    fn the_defaults_give_the_configuration_of_the_library() {
        let library = Config::default();
        let ours = Options::default().config(library.max_connections);
        assert_eq!(format!("{ours:?}"), format!("{library:?}"));
    }
}
