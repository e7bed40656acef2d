//! The settings of tokens: where their keys are, and what they must say.

use super::tables::{FromValue, no_more, table, tables, take, take_time};
use super::units::DurationText;
use hubcast_server::auth::{
    InvalidJwksUrl, Jwks, JwksSource, JwksUrl, KeySet, TokenAlgorithm, TokenKey, TokenRules, TokenVerifier,
};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;
use toml::Value;

/// The settings of tokens. Without keys the server takes none.
#[derive(Clone, Debug, Default)]
pub(crate) struct TokenSettings {
    pub(crate) rules: TokenRules,
    /// Whether a WebSocket may show its token in the address; `None`: on this machine alone.
    pub(crate) query: Option<bool>,
    keys: Vec<KeySettings>,
}

/// One key, or a file of several.
#[derive(Clone)]
struct KeySettings {
    id: Option<Box<str>>,
    not_after: Option<u64>,
    source: KeySource,
}

/// A secret of the settings: it signs tokens as well as it verifies them.
pub(crate) struct Secret {
    /// The `kid` of its tokens, if it has one.
    pub(crate) id: Option<Box<str>>,
    /// When it is no longer accepted, in seconds since 1970-01-01 UTC.
    pub(crate) not_after: Option<u64>,
    /// Its bytes.
    pub(crate) bytes: Vec<u8>,
}

#[derive(Clone)]
enum KeySource {
    Secret(String),
    SecretFile(PathBuf),
    Pem(TokenAlgorithm, PathBuf),
    Jwks(PathBuf),
    /// The address of a set, and the file with the root certificates that it is trusted by.
    JwksUrl(JwksUrl, Option<PathBuf>),
}

/// The keys that files have, and the addresses of others.
#[derive(Debug, Default)]
pub(crate) struct LoadedTokens {
    /// `None`: there are neither keys nor addresses.
    pub(crate) verifier: Option<TokenVerifier>,
    pub(crate) jwks: Vec<JwksSource>,
    /// What the operator should know of keys that are not used, as texts that continue the name of the setting. They
    /// are not logged here, because there is no log yet.
    pub(crate) warnings: Vec<String>,
}

impl TokenSettings {
    /// Whether there are keys.
    pub(crate) fn has_keys(&self) -> bool {
        !self.keys.is_empty()
    }

    /// Reads the keys from their files. Those with an address are not fetched here.
    ///
    /// # Errors
    /// What is wrong with each key, and how it would be right. Each text continues the name of the setting.
    pub(crate) fn load(&self) -> Result<LoadedTokens, Vec<String>> {
        if self.keys.is_empty() {
            return Ok(LoadedTokens::default());
        }
        let (mut keys, mut jwks, mut faults) = (Vec::new(), Vec::new(), Vec::new());
        let mut warnings = Vec::new();
        for (index, key) in self.keys.iter().enumerate() {
            match key.load(&mut warnings) {
                Ok(Loaded::Keys(loaded)) => keys.extend(loaded),
                Ok(Loaded::Source(source)) => jwks.push(source),
                Err(fault) => faults.push(format!(", key {}: {fault}", index + 1)),
            }
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        let keys = match keys.is_empty() {
            true => KeySet::none_yet(),
            false => KeySet::new(keys).map_err(|fault| vec![format!(": {fault}")])?,
        };
        Ok(LoadedTokens { verifier: Some(TokenVerifier::new(keys, self.rules.clone())), jwks, warnings })
    }

    /// The settings of tokens that are signed with the secret of one file.
    pub(crate) fn of_secret_file(path: PathBuf, id: Option<&str>) -> Self {
        let key = KeySettings { id: id.map(Box::from), not_after: None, source: KeySource::SecretFile(path) };
        Self { keys: vec![key], ..Self::default() }
    }

    /// The keys that can sign. Of the others the settings have the public half alone.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub(crate) fn secrets(&self) -> Result<Vec<Secret>, String> {
        let secret = |key: &KeySettings| {
            let bytes = match &key.source {
                KeySource::Secret(text) => text.clone().into_bytes(),
                KeySource::SecretFile(path) => read_secret(path)?,
                KeySource::Pem(..) | KeySource::Jwks(_) | KeySource::JwksUrl(..) => return Ok(None),
            };
            Ok(Some(Secret { id: key.id.clone(), not_after: key.not_after, bytes }))
        };
        self.keys.iter().filter_map(|key| secret(key).transpose()).collect()
    }
}

impl FromValue for TokenSettings {
    const NOTHING: &'static str = "table";

    fn read(value: &Value) -> Result<Self, String> {
        let mut given = table(value, TOKENS_EXAMPLE)?;
        let mut rules = TokenRules {
            audience: take(&mut given, "audience")?,
            issuer: take(&mut given, "issuer")?,
            claims: take(&mut given, "claims")?,
            typ: take(&mut given, "type")?,
            ..TokenRules::default()
        };
        if let Some(DurationText(leeway)) = take(&mut given, "leeway")? {
            rules.leeway = whole_seconds("leeway", leeway)?;
        }
        if let Some(DurationText(lifetime)) = take(&mut given, "max_lifetime")? {
            rules.max_lifetime = whole_seconds("max_lifetime", lifetime)?;
        }
        let query = take(&mut given, "query")?;
        let keys = given.remove("keys").map_or(Ok(Vec::new()), |keys| tables(&keys, KEYS_EXAMPLE, "key", key))?;
        no_more(&given, "keys, audience, issuer, claims, type, leeway, max_lifetime and query")?;
        if rules.max_lifetime.is_zero() {
            return Err("max_lifetime = \"0s\": must be longer than nothing".to_owned());
        }
        if keys.is_empty() && value.as_table().is_some_and(|table| !table.is_empty()) {
            return Err(format!("keys is missing, without which no token is right; write {KEYS_EXAMPLE}"));
        }
        Ok(Self { rules, query, keys })
    }
}

/// Reads the settings of one key.
fn key(value: &Value) -> Result<KeySettings, String> {
    let mut given = table(value, KEY_EXAMPLE)?;
    let algorithm: Option<String> = take(&mut given, "algorithm")?;
    let algorithm = algorithm.map(|name| TokenAlgorithm::from_str(&name).map_err(|_| wrong_algorithm(&name)));
    let algorithm = algorithm.transpose()?;
    let id: Option<String> = take(&mut given, "id")?;
    let not_after = take_time(&mut given, "not_after")?;
    let secret: Option<String> = take(&mut given, "secret")?;
    let secret_file: Option<PathBuf> = take(&mut given, "secret_file")?;
    let file: Option<PathBuf> = take(&mut given, "file")?;
    let jwks: Option<String> = take(&mut given, "jwks")?;
    let ca_file: Option<PathBuf> = take(&mut given, "ca_file")?;
    no_more(&given, "algorithm, secret, secret_file, file, jwks, ca_file, id and not_after")?;
    let is_secret = |source| match algorithm {
        None | Some(TokenAlgorithm::Hs256) => Ok(source),
        Some(other) => Err(format!("algorithm = \"{other}\": a secret is for HS256; {other} needs file, a public key")),
    };
    let source = match (secret, secret_file, file, jwks) {
        (Some(secret), None, None, None) => is_secret(KeySource::Secret(secret))?,
        (None, Some(file), None, None) => is_secret(KeySource::SecretFile(file))?,
        (None, None, Some(file), None) => match algorithm {
            None => return Err(format!("algorithm is missing: a key file is for one of {ALGORITHMS}")),
            Some(TokenAlgorithm::Hs256) => {
                return Err("algorithm = \"HS256\": its key is a secret; write secret_file in place of file".to_owned());
            }
            Some(algorithm) => KeySource::Pem(algorithm, file),
        },
        (None, None, None, Some(_)) if id.is_some() || algorithm.is_some() => {
            return Err("jwks has the ids and the algorithms of its keys; leave id and algorithm out".to_owned());
        }
        (None, None, None, Some(url)) if url.contains("://") => {
            // Its text is not shown: a password can be in it.
            KeySource::JwksUrl(url.parse().map_err(|fault: InvalidJwksUrl| format!("jwks: {fault}"))?, ca_file.clone())
        }
        (None, None, None, Some(jwks)) => KeySource::Jwks(jwks.into()),
        (None, None, None, None) => return Err(format!("there is no key in it; write {KEY_EXAMPLE}")),
        _ => return Err("a key has one of secret, secret_file, file and jwks".to_owned()),
    };
    match &source {
        KeySource::JwksUrl(url, _) if ca_file.is_some() && url.to_string().starts_with("http://") => {
            Err("ca_file: there are no certificates over http://; leave it out")?;
        }
        KeySource::JwksUrl(..) => {}
        _ if ca_file.is_some() => Err("ca_file belongs to a jwks that is fetched from https://; leave it out")?,
        _ => {}
    }
    Ok(KeySettings { id: id.map(String::into_boxed_str), not_after, source })
}

/// Tokens count in seconds, so a part of one would have no effect.
fn whole_seconds(key: &str, duration: Duration) -> Result<Duration, String> {
    let written = DurationText(duration);
    match duration.subsec_nanos() {
        0 => Ok(duration),
        _ => Err(format!("{key} = \"{written}\": must be a whole number of seconds")),
    }
}

fn wrong_algorithm(name: &str) -> String {
    format!("algorithm = {name:?}: not an algorithm of tokens here; there are HS256 and {ALGORITHMS}")
}

impl KeySettings {
    fn load(&self, warnings: &mut Vec<String>) -> Result<Loaded, String> {
        let mut keys = match &self.source {
            KeySource::Secret(secret) => {
                vec![TokenKey::secret(secret.as_bytes()).map_err(|fault| format!("secret: {fault}"))?]
            }
            KeySource::SecretFile(path) => {
                let key = TokenKey::secret(&read_secret(path)?);
                vec![key.map_err(|fault| format!("{}: {fault}", path.display()))?]
            }
            KeySource::Pem(algorithm, path) => {
                let key = TokenKey::pem(*algorithm, &read(path)?);
                vec![key.map_err(|fault| format!("{}: {fault}", path.display()))?]
            }
            KeySource::Jwks(path) => {
                let jwks = Jwks::read(&read(path)?).map_err(|fault| format!("{}: {fault}", path.display()))?;
                for skipped in &jwks.skipped {
                    let (number, reason) = (skipped.number, skipped.reason);
                    warnings.push(format!(": {}: key {number} is not used: {reason}", path.display()));
                }
                jwks.keys
            }
            KeySource::JwksUrl(url, ca_file) => {
                let roots = ca_file.as_deref().map(read_roots).transpose()?;
                return Ok(Loaded::Source(JwksSource { url: url.clone(), roots, not_after: self.not_after }));
            }
        };
        for key in &mut keys {
            if self.id.is_some() {
                key.id.clone_from(&self.id);
            }
            key.not_after = self.not_after.or(key.not_after);
        }
        Ok(Loaded::Keys(keys))
    }
}

/// What the settings of one key lead to.
enum Loaded {
    Keys(Vec<TokenKey>),
    Source(JwksSource),
}

pub(super) fn read_roots(path: &Path) -> Result<String, String> {
    let text = read(path)?;
    match text.contains("-----BEGIN CERTIFICATE-----") {
        true => Ok(text),
        false => Err(format!("ca_file = {}: there is no certificate in PEM", path.display())),
    }
}

/// Reads a secret. If it is text, the end of its last line does not belong to it.
fn read_secret(path: &Path) -> Result<Vec<u8>, String> {
    let bytes = read_bytes(path)?;
    Ok(match std::str::from_utf8(&bytes) {
        Ok(text) => text.trim_end_matches(['\n', '\r']).as_bytes().to_vec(),
        Err(_) => bytes,
    })
}

fn read_bytes(path: &Path) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(MAX_BYTES).read_to_end(&mut bytes));
    read.map(|_| bytes).map_err(|error| cannot_read(path, &error))
}

/// Reads a file of at most 1 MiB.
pub(super) fn read(path: &Path) -> Result<String, String> {
    String::from_utf8(read_bytes(path)?).map_err(|_| format!("{}: is not text in UTF-8", path.display()))
}

fn cannot_read(path: &Path, error: &io::Error) -> String {
    format!("{}: cannot be read: {error}", path.display())
}

/// Shows no secret.
impl std::fmt::Debug for KeySettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeySettings").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Shows no secret.
impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secret").field("id", &self.id).finish_non_exhaustive()
    }
}

const MAX_BYTES: u64 = 1 << 20;
const ALGORITHMS: &str = "RS256, ES256, ES384 and EdDSA";
const TOKENS_EXAMPLE: &str = "{ keys = [{ algorithm = \"RS256\", file = \"login.pem\" }] }";
const KEYS_EXAMPLE: &str = "keys = [{ algorithm = \"RS256\", file = \"login.pem\" }]";
const KEY_EXAMPLE: &str = "{ algorithm = \"RS256\", file = \"login.pem\" } or { secret_file = \"token.secret\" }";

#[cfg(test)]
mod tests {
    use super::*;
    use toml::Table;

    fn read(text: &str) -> Result<TokenSettings, String> {
        TokenSettings::read(&Value::Table(text.parse::<Table>().unwrap()))
    }

    #[test]
    fn a_key_that_is_none_says_what_would_be_right() {
        for (key, fault) in [
            ("{}", "key 1: there is no key in it"),
            ("{ file = \"a.pem\" }", "key 1: algorithm is missing"),
            ("{ algorithm = \"HS256\", file = \"a.pem\" }", "write secret_file in place of file"),
            ("{ algorithm = \"RS256\", secret = \"x\" }", "a secret is for HS256"),
            ("{ algorithm = \"none\", secret = \"x\" }", "not an algorithm of tokens here"),
            ("{ secret = \"x\", jwks = \"a.json\" }", "a key has one of"),
            ("{ jwks = \"a.json\", id = \"x\" }", "leave id and algorithm out"),
            ("{ jwks = \"http://login.example/\" }", "write https://"),
            ("{ jwks = \"https://login.example/\", algorithm = \"RS256\" }", "leave id and algorithm out"),
            ("{ jwks = \"a.json\", ca_file = \"ca.pem\" }", "ca_file belongs to a jwks"),
            ("{ jwks = \"http://127.0.0.1/\", ca_file = \"ca.pem\" }", "there are no certificates"),
            ("{ secrte = \"x\" }", "secrte: there is no such key"),
            ("7", "must be a table"),
        ] {
            let found = read(&format!("keys = [{key}]")).unwrap_err();
            assert!(found.contains(fault), "{key}: {found}");
        }
        assert!(read("audience = \"hub\"").unwrap_err().contains("keys is missing"));
        assert!(read("audiense = \"hub\"").unwrap_err().contains("there is no such key"));
    }

    #[test]
    fn each_wrong_key_is_named_when_it_is_loaded() {
        let settings =
            read("keys = [{ secret = \"short\" }, { algorithm = \"RS256\", file = \"/nowhere.pem\" }]").unwrap();
        let faults = settings.load().unwrap_err();
        assert_eq!(faults.len(), 2, "{faults:?}");
        assert!(faults[0].starts_with(", key 1: secret: ") && !faults[0].contains("short\""), "{faults:?}");
        assert!(faults[1].starts_with(", key 2: /nowhere.pem: cannot be read"), "{faults:?}");
        let twice =
            read(&format!("keys = [{0}, {0}]", "{ id = \"a\", secret = \"0123456789abcdef0123456789abcdeX\" }"));
        assert!(twice.unwrap().load().unwrap_err()[0].contains("two keys have the id"));
    }

    #[test]
    fn jwks_of_an_address_are_fetched_later() {
        let settings = read(
            "keys = [{ secret = \"0123456789abcdef0123456789abcdeX\" }, \
             { jwks = \"https://login.example/keys\", not_after = 2027-01-01T00:00:00Z }]",
        );
        let loaded = settings.unwrap().load().unwrap();
        assert_eq!(loaded.verifier.unwrap().keys().keys().len(), 1);
        assert_eq!(loaded.jwks[0].url.to_string(), "https://login.example/keys");
        assert_eq!(loaded.jwks[0].not_after, Some(1_798_761_600));
        let alone = read("keys = [{ jwks = \"https://login.example/keys\" }]").unwrap();
        assert!(alone.has_keys() && alone.load().unwrap().verifier.unwrap().keys().keys().is_empty());
        let without = read("keys = [{ jwks = \"https://login.example/keys\", ca_file = \"/nowhere.pem\" }]").unwrap();
        assert!(without.load().unwrap_err()[0].contains("key 1: /nowhere.pem: cannot be read"));
        let fault = read("keys = [{ jwks = \"https://me:canary@login.example/keys\" }]").unwrap_err();
        assert!(fault.contains("before the @") && !fault.contains("canary"), "{fault}");
    }

    #[test]
    fn a_part_of_a_second_is_no_time_of_tokens() {
        let keys = "keys = [{ secret = \"0123456789abcdef0123456789abcdeX\" }]";
        for (key, shown) in [("leeway", "500ms"), ("max_lifetime", "1500ms")] {
            let fault = read(&format!("{keys}\n{key} = \"{shown}\"")).unwrap_err();
            assert_eq!(fault, format!("{key} = \"{shown}\": must be a whole number of seconds"));
        }
        assert_eq!(read(&format!("{keys}\nleeway = \"2000ms\"")).unwrap().rules.leeway, Duration::from_secs(2));
    }

    #[test]
    fn nothing_is_no_verifier() {
        assert!(read("").unwrap().load().unwrap().verifier.is_none());
    }
}
