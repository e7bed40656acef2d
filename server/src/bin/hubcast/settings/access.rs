//! Who is let in: API keys, what those without a token may do, limits of users; and from all that what the library needs.

use super::layered::Settings;
use super::tables::{FromValue, no_more, table, tables, take, take_time};
use super::tokens;
use anyhow::bail;
use hubcast_hub::{Access, Admission, Grant, Grants, Permission, UserLimits};
use hubcast_server::auth::{ApiKey, ApiKeys, AuthConfig, KeyHash, TrustedProxies};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use toml::{Table, Value};

/// The API keys.
#[derive(Clone, Debug, Default)]
pub(crate) struct ApiKeySettings(Vec<ApiKeyEntry>);

#[derive(Clone, Debug)]
struct ApiKeyEntry {
    id: Option<String>,
    name: Option<String>,
    source: ApiKeySource,
    not_after: Option<u64>,
    grants: Grants,
    manage: bool,
}

#[derive(Clone)]
enum ApiKeySource {
    Hash(KeyHash),
    Text(String),
    File(PathBuf),
}

/// The grants of those without a token.
#[derive(Clone, Debug, Default)]
pub(crate) struct AnonymousSettings(Grants);

/// The limits of each user.
#[derive(Clone, Debug, Default)]
pub(crate) struct UserSettings(UserLimits);

/// What the library needs to know of all this.
#[derive(Clone, Debug)]
pub(crate) struct LoadedAccess {
    pub(crate) admission: Admission,
    pub(crate) auth: AuthConfig,
}

/// Reads the keys, and decides what a client without a token may do.
///
/// # Errors
/// What is wrong with each key; or that the server would be open to a network by accident.
pub(crate) fn load(settings: &Settings) -> anyhow::Result<LoadedAccess> {
    let options = &settings.options;
    let tokens = &options.tokens.value;
    let mut faults = Vec::new();
    let verifier = tokens.verifier().unwrap_or_else(|wrong| {
        faults.extend(wrong);
        None
    });
    let api_keys = options.api_keys.value.keys().unwrap_or_else(|wrong| {
        faults.extend(wrong);
        ApiKeys::default()
    });
    if !faults.is_empty() {
        bail!(faults.join("\n       "));
    }
    let anonymous = options.anonymous.value.0.clone();
    let is_local = is_local(options.listen.as_str());
    let (has_tokens, has_keys) = (tokens.has_keys(), !api_keys.is_empty());
    if !is_local && !options.open && !has_tokens && !has_keys {
        bail!(
            "{}: other machines could do everything here; set up tokens or api_keys, or let everybody in on purpose \
             by --open (open = true)",
            settings.origin_of("listen")
        );
    }
    let is_open = options.open || is_local && !has_tokens && anonymous.is_empty();
    let admission = Admission {
        default: if is_open { Access::Anyone } else { Access::Granted },
        token_required: !is_open && has_tokens && anonymous.is_empty(),
        anonymous,
        each_user: options.users.value.0,
        ..Admission::default()
    };
    let auth = AuthConfig {
        verifier: verifier.map(Arc::new),
        api_keys: Arc::new(api_keys),
        trusted_proxies: TrustedProxies::new(options.trusted_proxies.list()),
        query_tokens: tokens.query.unwrap_or(is_local),
        hosts: options.hosts.list(),
        ..AuthConfig::default()
    };
    Ok(LoadedAccess { admission, auth })
}

/// Whether only programs on this machine can reach an address. A name is not looked up.
fn is_local(listen: &str) -> bool {
    let host = listen.rsplit_once(':').map_or(listen, |(host, _)| host);
    let address = listen.parse::<SocketAddr>().map(|address| address.ip()).ok();
    let address = address.or_else(|| host.parse::<IpAddr>().ok());
    address.map_or(host.eq_ignore_ascii_case("localhost"), |address| address.to_canonical().is_loopback())
}

impl ApiKeySettings {
    /// The keys, read from their files.
    ///
    /// # Errors
    /// What is wrong with each key.
    fn keys(&self) -> Result<ApiKeys, Vec<String>> {
        let (mut keys, mut faults) = (Vec::new(), Vec::new());
        for (index, entry) in self.0.iter().enumerate() {
            match entry.key() {
                Ok(key) => keys.push(key),
                Err(fault) => faults.push(format!("api_keys, key {}: {fault}", index + 1)),
            }
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        ApiKeys::new(keys).map_err(|fault| vec![format!("api_keys: {fault}")])
    }
}

impl ApiKeyEntry {
    fn key(&self) -> Result<ApiKey, String> {
        let text = match &self.source {
            ApiKeySource::Hash(_) => None,
            ApiKeySource::Text(text) => Some(text.clone()),
            ApiKeySource::File(path) => Some(tokens::read(path)?.trim().to_owned()),
        };
        let named = text.as_deref().map(|text| ApiKey::id_of(text).ok_or(NOT_A_KEY)).transpose()?;
        let id = match (&self.id, named) {
            (Some(id), Some(named)) if id != named => {
                return Err(format!("id = {id:?}: the key itself is called {named:?}; leave id out"));
            }
            (Some(id), _) => id.as_str(),
            (None, Some(named)) => named,
            (None, None) => return Err("id is missing; `hubcast key` prints it with the hash".to_owned()),
        };
        if !ApiKey::is_id(id) {
            return Err(format!("id = {id:?}: an id has 1 to 32 small letters, digits and hyphens"));
        }
        let hash = match (&self.source, &text) {
            (ApiKeySource::Hash(hash), _) => *hash,
            (_, Some(text)) => KeyHash::of(text),
            (_, None) => return Err(NOT_A_KEY.to_owned()),
        };
        if self.grants.is_empty() && !self.manage {
            return Err(format!("the key {id:?} may do nothing; add what it may, such as publish = [\">\", \"@*\"]"));
        }
        let mut key = ApiKey::new(id, self.name.clone().unwrap_or_default(), hash, self.grants.clone());
        (key.not_after, key.manage) = (self.not_after, self.manage);
        Ok(key)
    }
}

impl FromValue for ApiKeySettings {
    const NOTHING: &'static str = "list";

    fn read(value: &Value) -> Result<Self, String> {
        tables(value, API_KEY_EXAMPLE, "key", api_key).map(Self)
    }
}

fn api_key(value: &Value) -> Result<ApiKeyEntry, String> {
    let mut given = table(value, API_KEY_EXAMPLE)?;
    let hash: Option<String> = take(&mut given, "key_hash")?;
    let text: Option<String> = take(&mut given, "key")?;
    let file: Option<PathBuf> = take(&mut given, "key_file")?;
    let source = match (hash, text, file) {
        (Some(hash), None, None) => ApiKeySource::Hash(hash.parse().map_err(|_| NOT_A_HASH)?),
        (None, Some(text), None) => ApiKeySource::Text(text),
        (None, None, Some(file)) => ApiKeySource::File(file),
        (None, None, None) => return Err("key_hash is missing; `hubcast key` makes a key and prints it".to_owned()),
        _ => return Err("a key has one of key_hash, key_file and key".to_owned()),
    };
    let entry = ApiKeyEntry {
        id: take(&mut given, "id")?,
        name: take(&mut given, "name")?,
        source,
        not_after: take_time(&mut given, "not_after")?,
        grants: take_grants(&mut given)?,
        manage: take(&mut given, "manage")?.unwrap_or(false),
    };
    no_more(&given, "id, name, key_hash, key_file, key, publish, subscribe, presence, history, manage and not_after")?;
    Ok(entry)
}

impl FromValue for AnonymousSettings {
    const NOTHING: &'static str = "table";

    fn read(value: &Value) -> Result<Self, String> {
        let mut given = table(value, "{ subscribe = [\"news.>\"] }")?;
        let grants = take_grants(&mut given)?;
        no_more(&given, "subscribe, publish, presence and history")?;
        Ok(Self(grants))
    }
}

impl FromValue for UserSettings {
    const NOTHING: &'static str = "table";

    fn read(value: &Value) -> Result<Self, String> {
        let mut given = table(value, "{ connections = 20 }")?;
        let limits = UserLimits {
            connections: take(&mut given, "connections")?,
            subscriptions: take(&mut given, "subscriptions")?,
            publications_per_second: take(&mut given, "publications_per_second")?,
        };
        no_more(&given, "connections, subscriptions and publications_per_second")?;
        let nothing = [
            ("connections", limits.connections),
            ("subscriptions", limits.subscriptions),
            ("publications_per_second", limits.publications_per_second),
        ];
        match nothing.into_iter().find(|(_, limit)| *limit == Some(0)) {
            Some((key, _)) => Err(format!("{key} = 0: must be at least 1; leave it out for no limit")),
            None => Ok(Self(limits)),
        }
    }
}

/// Removes and reads the four lists of grants.
fn take_grants(given: &mut Table) -> Result<Grants, String> {
    let lists = [Permission::Subscribe, Permission::Publish, Permission::Presence, Permission::History];
    let lists = lists.map(|permission| Ok((permission, take_list(given, &permission.to_string())?)));
    let lists = lists.into_iter().collect::<Result<Vec<_>, String>>()?;
    let mut entries = Vec::new();
    for (permission, list) in &lists {
        for text in list {
            let grant = Grant::parse(text).map_err(|fault| format!("{permission} has {text:?}: {fault}"))?;
            entries.push((*permission, grant));
        }
    }
    if entries.len() > Grants::MAX {
        return Err(format!("there are {} grants, and {} are allowed; use patterns", entries.len(), Grants::MAX));
    }
    Ok(Grants::new(entries))
}

fn take_list(given: &mut Table, key: &str) -> Result<Vec<String>, String> {
    take(given, key)?.map_or(Ok(Vec::new()), Ok)
}

/// Shows no key.
impl std::fmt::Debug for ApiKeySource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ApiKeySource(***)")
    }
}

const API_KEY_EXAMPLE: &str =
    "[{ id = \"backend\", key_hash = \"sha256:…\", publish = [\">\"] }], as `hubcast key` prints it";
const NOT_A_KEY: &str = "this is no API key, which is hc_<id>_<43 characters>; `hubcast key` makes one";
const NOT_A_HASH: &str =
    "key_hash: not a hash, which is \"sha256:\" and 64 hexadecimal digits; `hubcast key` prints it";

#[cfg(test)]
mod tests {
    use super::super::layered::tests::of_file;
    use super::*;

    fn fault(text: &str) -> String {
        match of_file(text) {
            Ok(settings) => load(&settings).unwrap_err().to_string(),
            Err(fault) => fault.to_string(),
        }
    }

    fn loaded(text: &str) -> LoadedAccess {
        load(&of_file(text).unwrap()).unwrap()
    }

    /// The example with its lines taken in, and with keys that are there in place of files.
    #[test]
    fn the_example_of_a_server_for_the_internet_is_right() {
        let example = include_str!("../../../../../hubcast.example.toml");
        let own = example.lines().skip_while(|line| *line != "## Tokens and API keys");
        let mut text: Vec<_> = own.filter_map(|line| line.strip_prefix("#   ")).collect();
        text.retain(|line| !line.contains("login.pem") && !line.contains("login.jwks.json"));
        let text =
            text.join("\n").replace("secret_file = \"token.secret\"", "secret = \"0123456789abcdef0123456789abcdeX\"");
        let loaded = loaded(&text.replace("sha256:…", &format!("sha256:{}", "7".repeat(64))));
        assert_eq!(loaded.auth.api_keys.keys().len(), 1);
        assert!(loaded.admission.token_required && !loaded.auth.query_tokens);
    }

    const KEYS: &str = "[tokens]\nkeys = [{ secret = \"0123456789abcdef0123456789abcdeX\" }]";

    #[test]
    fn nobody_is_let_in_from_the_network_by_accident() {
        for listen in ["0.0.0.0:8080", "[::]:8080", "192.0.2.1:80", "hub.example:80"] {
            let told = fault(&format!("listen = \"{listen}\""));
            assert!(told.contains("api_keys") && told.contains("--open"), "{told}");
            assert_eq!(loaded(&format!("listen = \"{listen}\"\nopen = true")).admission.default, Access::Anyone);
            let guarded = loaded(&format!("listen = \"{listen}\"\n{KEYS}")).admission;
            assert_eq!((guarded.default, guarded.token_required), (Access::Granted, true));
        }
        for listen in ["127.0.0.1:0", "[::1]:8080", "localhost:8080", "127.8.9.1:80", "[::ffff:127.0.0.1]:80"] {
            assert_eq!(loaded(&format!("listen = \"{listen}\"")).admission.default, Access::Anyone, "{listen}");
        }
    }

    #[test]
    fn what_the_anonymous_are_granted_lets_them_in() {
        let with = loaded(&format!("{KEYS}\n[anonymous]\nsubscribe = [\"news.>\"]")).admission;
        assert_eq!((with.default, with.token_required), (Access::Granted, false));
        let without_keys = loaded("[anonymous]\nsubscribe = [\"news.>\"]").admission;
        assert_eq!((without_keys.default, without_keys.token_required), (Access::Granted, false));
        assert!(fault("[anonymous]\nsubscribe = [\"a..b\"]").contains("subscribe has \"a..b\""));
        assert!(fault("[anonymous]\nread = []").contains("read: there is no such key"));
    }

    #[test]
    fn an_api_key_that_is_none_or_may_nothing_is_refused() {
        let hash = KeyHash::of("x");
        for (entry, expected) in [
            ("id = \"a\"".to_owned(), "key_hash is missing"),
            ("id = \"a\"\nkey_hash = \"x\"".to_owned(), "not a hash"),
            (format!("id = \"a\"\nkey_hash = \"{hash}\""), "may do nothing"),
            (format!("key_hash = \"{hash}\"\nmanage = true"), "id is missing"),
            ("key = \"hc_x\"\nmanage = true".to_owned(), "this is no API key"),
            (format!("id = \"A b\"\nkey_hash = \"{hash}\"\nmanage = true"), "small letters"),
        ] {
            let told = fault(&format!("[[api_keys]]\n{entry}"));
            assert!(told.contains("key 1: ") && told.contains(expected), "{entry}: {told}");
        }
        let right = loaded(&format!("[[api_keys]]\nid = \"a\"\nkey_hash = \"{hash}\"\npublish = [\">\"]"));
        assert!(right.auth.api_keys.by_id("a").is_some());
    }

    #[test]
    fn a_limit_of_nothing_is_refused() {
        assert!(fault("[users]\nconnections = 0").contains("at least 1"));
        assert_eq!(loaded("[users]\nconnections = 3").admission.each_user.connections, Some(3));
    }
}
