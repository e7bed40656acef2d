//! The settings of API keys, of clients without a token, and of limits of users.

use super::tables::{FromValue, no_more, table, tables, take, take_time};
use super::tokens;
use hubcast_hub::{Grant, Grants, Permission, UserLimits};
use hubcast_server::auth::{ApiKey, ApiKeys, KeyHash};
use std::path::PathBuf;
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
    metrics: bool,
}

#[derive(Clone)]
enum ApiKeySource {
    Hash(KeyHash),
    Text(String),
    File(PathBuf),
}

/// The grants of those without a token.
#[derive(Clone, Debug, Default)]
pub(crate) struct AnonymousSettings(pub(super) Grants);

/// The limits of each user.
#[derive(Clone, Debug, Default)]
pub(crate) struct UserSettings(pub(super) UserLimits);

impl ApiKeySettings {
    /// The keys, read from their files.
    ///
    /// # Errors
    /// What is wrong with each key. Each text continues the name of the setting.
    pub(super) fn keys(&self) -> Result<ApiKeys, Vec<String>> {
        let (mut keys, mut faults) = (Vec::new(), Vec::new());
        for (index, entry) in self.0.iter().enumerate() {
            match entry.key() {
                Ok(key) => keys.push(key),
                Err(fault) => faults.push(format!(", key {}: {fault}", index + 1)),
            }
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        ApiKeys::new(keys).map_err(|fault| vec![format!(": {fault}")])
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
        if id.starts_with("hc_") {
            return Err("id: this is a key itself; the id is the part of it after hc_".to_owned());
        }
        if !ApiKey::is_id(id) {
            return Err(format!("id = {id:?}: an id has 1 to 32 small letters, digits and hyphens"));
        }
        let hash = match (&self.source, &text) {
            (ApiKeySource::Hash(hash), _) => *hash,
            (_, Some(text)) => KeyHash::of(text),
            (_, None) => return Err(NOT_A_KEY.to_owned()),
        };
        if self.grants.is_empty() && !self.manage && !self.metrics {
            return Err(format!("the key {id:?} may do nothing; add what it may, such as publish = [\">\", \"@*\"]"));
        }
        let mut key = ApiKey::new(id, self.name.clone().unwrap_or_default(), hash, self.grants.clone());
        (key.not_after, key.manage, key.metrics) = (self.not_after, self.manage, self.metrics);
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
        metrics: take(&mut given, "metrics")?.unwrap_or(false),
    };
    no_more(
        &given,
        "id, name, key_hash, key_file, key, publish, subscribe, presence, history, manage, metrics and not_after",
    )?;
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
