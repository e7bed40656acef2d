//! API keys: how programs of the operator are known. Only their hashes are kept.

use aws_lc_rs::{constant_time, digest, rand};
use data_encoding::{BASE64URL_NOPAD, HEXLOWER, HEXLOWER_PERMISSIVE};
use hubcast_hub::{Credentials, Grants, Identity, Login, MemberName};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The API keys of a server.
#[derive(Clone, Debug, Default)]
pub struct ApiKeys(Vec<Arc<ApiKey>>);

/// An API key, as far as the server has to know it.
#[derive(Clone, Debug)]
pub struct ApiKey {
    /// What it is called in logs and in answers. It is no secret.
    pub id: Box<str>,
    /// What it is for, for people.
    pub name: Box<str>,
    /// The hash of its text.
    pub hash: KeyHash,
    /// When it is no longer accepted, in seconds since 1970-01-01 UTC; `None`: never.
    pub not_after: Option<u64>,
    /// Whether it may see clients and numbers of the server, and disconnect, subscribe and unsubscribe clients.
    pub manage: bool,
    /// Whether it may read `/metrics`; one that may manage may, too.
    pub metrics: bool,
    /// Who its sessions belong to, and what they may do.
    login: Login,
}

/// The SHA-256 of the text of a key. It is enough, because the text has 256 random bits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyHash([u8; 32]);

/// A new API key. Its text is known only now.
pub struct NewApiKey {
    /// The text, which the program presents.
    pub text: String,
    /// Its hash, which the server's settings name.
    pub hash: KeyHash,
}

/// Two keys of the settings cannot be told apart.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SameApiKey {
    /// They have one id.
    #[error("two API keys have the id {0:?}")]
    Id(Box<str>),
    /// They have one hash.
    #[error("the API keys {0:?} and {1:?} are the same key")]
    Hash(Box<str>, Box<str>),
}

impl ApiKeys {
    /// The longest text that is looked up, in bytes. A longer one is no key.
    pub const MAX_BYTES: usize = 256;

    /// Takes the keys.
    ///
    /// # Errors
    /// When two have the same id or the same hash.
    pub fn new(keys: Vec<ApiKey>) -> Result<Self, SameApiKey> {
        for (index, key) in keys.iter().enumerate() {
            for earlier in &keys[..index] {
                if earlier.id == key.id {
                    return Err(SameApiKey::Id(key.id.clone()));
                }
                if earlier.hash == key.hash {
                    return Err(SameApiKey::Hash(earlier.id.clone(), key.id.clone()));
                }
            }
        }
        Ok(Self(keys.into_iter().map(Arc::new).collect()))
    }

    /// The key with this text, if it is accepted at the moment. It takes as long for any text of the same length.
    pub fn find(&self, presented: &str, unix_now: u64) -> Option<Arc<ApiKey>> {
        if presented.len() > Self::MAX_BYTES {
            return None;
        }
        let hash = KeyHash::of(presented);
        let mut found = None;
        // All of them are compared, so that the time does not tell which one was near.
        for key in &self.0 {
            if constant_time::verify_slices_are_equal(&key.hash.0, &hash.0).is_ok() {
                found = Some(key);
            }
        }
        found.filter(|key| !key.is_over(unix_now)).cloned()
    }

    /// The key with this id, such as for `hubcast explain`.
    pub fn by_id(&self, id: &str) -> Option<&Arc<ApiKey>> {
        self.0.iter().find(|key| &*key.id == id)
    }

    /// All keys.
    pub fn keys(&self) -> &[Arc<ApiKey>] {
        &self.0
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl ApiKey {
    /// A key that is accepted for ever and may not manage.
    pub fn new(id: impl Into<Box<str>>, name: impl Into<Box<str>>, hash: KeyHash, grants: Grants) -> Self {
        let id = id.into();
        let identity = Arc::new(Identity { name: MemberName::ApiKey(id.clone()), info: None });
        let credentials = Arc::new(Credentials { grants, expiry: None, api_key: Some(id.clone()) });
        let login = Login { identity, credentials };
        Self { id, name: name.into(), hash, not_after: None, manage: false, metrics: false, login }
    }

    /// Who its sessions belong to, and what they may do, for the hub.
    pub fn login(&self) -> Login {
        self.login.clone()
    }

    /// What it grants.
    pub fn grants(&self) -> &Grants {
        &self.login.credentials.grants
    }

    /// Whether it is no longer accepted.
    pub fn is_over(&self, unix_now: u64) -> bool {
        self.not_after.is_some_and(|end| unix_now >= end)
    }

    /// Whether a text can be the id of a key: 1 to 32 small letters, digits and hyphens.
    pub fn is_id(text: &str) -> bool {
        let is_usual = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        (1..=32).contains(&text.len()) && text.bytes().all(is_usual)
    }

    /// The id in the text of a key, `hc_<id>_<43 characters of base64url>`; `None` if the text is no key.
    pub fn id_of(text: &str) -> Option<&str> {
        let (id, random) = text.strip_prefix(PREFIX)?.split_once('_')?;
        let is_random = random.len() == 43 && BASE64URL_NOPAD.decode(random.as_bytes()).is_ok();
        (Self::is_id(id) && is_random).then_some(id)
    }
}

impl NewApiKey {
    /// Makes a key with this id from random numbers of the operating system.
    ///
    /// # Errors
    /// When the system has none.
    pub fn make(id: &str) -> Result<Self, NoRandomness> {
        let mut random = [0; 32];
        rand::fill(&mut random).map_err(|_| NoRandomness)?;
        let text = format!("{PREFIX}{id}_{}", BASE64URL_NOPAD.encode(&random));
        let hash = KeyHash::of(&text);
        Ok(Self { text, hash })
    }
}

/// The operating system has no random numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the operating system gives no random numbers")]
pub struct NoRandomness;

impl KeyHash {
    /// The hash of a key's text.
    pub fn of(text: &str) -> Self {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest::digest(&digest::SHA256, text.as_bytes()).as_ref());
        Self(hash)
    }
}

impl FromStr for KeyHash {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let hex = text.strip_prefix(HASH_PREFIX).map(|hex| HEXLOWER_PERMISSIVE.decode(hex.as_bytes()));
        let bytes = hex.and_then(Result::ok).and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).ok_or("not the hash of a key; `hubcast key` prints one: sha256: and 64 hexadecimal digits")
    }
}

impl fmt::Display for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{HASH_PREFIX}{}", HEXLOWER.encode(&self.0))
    }
}

/// Does not show the hash, which nobody needs to read.
impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyHash(***)")
    }
}

/// Does not show the key.
impl fmt::Debug for NewApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NewApiKey(***)")
    }
}

/// What scanners for secrets look for.
const PREFIX: &str = "hc_";
const HASH_PREFIX: &str = "sha256:";

#[cfg(test)]
mod tests {
    use super::*;

    fn key(id: &str) -> (ApiKey, String) {
        let made = NewApiKey::make(id).unwrap();
        (ApiKey::new(id, "a test", made.hash, Grants::default()), made.text)
    }

    #[test]
    fn only_the_text_of_a_key_finds_it() {
        let ((first, text), (second, other)) = (key("backend"), key("batch-2"));
        let keys = ApiKeys::new(vec![first, second]).unwrap();
        assert_eq!(&*keys.find(&text, 0).unwrap().id, "backend");
        assert_eq!(&*keys.find(&other, 0).unwrap().id, "batch-2");
        let wrong = [String::new(), "backend".to_owned(), text[..text.len() - 1].to_owned(), format!("{text} ")];
        for wrong in wrong.into_iter().chain([keys.keys()[0].hash.to_string(), "x".repeat(ApiKeys::MAX_BYTES + 1)]) {
            assert!(keys.find(&wrong, 0).is_none(), "{wrong}");
        }
    }

    #[test]
    fn a_key_is_accepted_until_its_end() {
        let (mut key, text) = key("backend");
        key.not_after = Some(1_790_000_000);
        let keys = ApiKeys::new(vec![key]).unwrap();
        assert!(keys.find(&text, 1_789_999_999).is_some());
        assert!(keys.find(&text, 1_790_000_000).is_none());
    }

    #[test]
    fn keys_that_cannot_be_told_apart_are_refused() {
        let (first, text) = key("backend");
        let same_id = ApiKeys::new(vec![first.clone(), key("backend").0]).unwrap_err();
        assert_eq!(same_id, SameApiKey::Id("backend".into()));
        let again = ApiKey::new("copy", "", KeyHash::of(&text), Grants::default());
        let same_hash = ApiKeys::new(vec![first, again]).unwrap_err();
        assert_eq!(same_hash, SameApiKey::Hash("backend".into(), "copy".into()));
    }

    #[test]
    fn the_text_of_a_key_names_its_id_and_a_hash_is_written_as_it_is_read() {
        let made = NewApiKey::make("batch-2").unwrap();
        assert_eq!(ApiKey::id_of(&made.text), Some("batch-2"));
        assert_eq!(made.hash.to_string().parse(), Ok(made.hash));
        for text in ["", "hc_", "hc_a_", "hc__b", "ab_a_b", &made.text[1..], &format!("{}x", made.text)] {
            assert_eq!(ApiKey::id_of(text), None, "{text}");
        }
        for text in ["", "sha256:", "sha256:00", &made.hash.to_string()[1..], &made.hash.to_string()[7..]] {
            assert!(text.parse::<KeyHash>().is_err(), "{text}");
        }
    }

    #[test]
    fn nothing_prints_a_key() {
        let made = NewApiKey::make("a").unwrap();
        let key = ApiKey::new("a", "", made.hash, Grants::default());
        let shown = format!("{made:?} {key:?}");
        assert!(!shown.contains(&made.text[5..]) && !shown.contains(&made.hash.to_string()[7..]), "{shown}");
    }
}
