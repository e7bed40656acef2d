//! The query of a request: `application/x-www-form-urlencoded`, as browsers write it (WHATWG URL, section 5.1).

use super::response::Refusal;
use crate::config::Config;
use hubcast_protocol::{ErrorCode, Topic};
use hyper::{StatusCode, Uri};
use std::borrow::Cow;

/// The parameters of a request, decoded. Only known names occur: a misspelt one would be ignored in silence otherwise.
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads the query of a request.
    ///
    /// # Errors
    /// 400 when a name is not one of `known`, or when it is not percent-encoded UTF-8: browsers read anything, but then
    /// two texts could be one topic. The text never holds a value.
    pub(crate) fn read(uri: &Uri, known: &[&str]) -> Result<Self, Refusal> {
        let text = uri.query().unwrap_or_default();
        if !is_encoded(text) {
            return Err(invalid("the query must be percent-encoded UTF-8".into()));
        }
        let pairs = form_urlencoded::parse(text.as_bytes()).into_owned();
        let pairs: Vec<_> = pairs.collect();
        match pairs.iter().find(|(name, _)| !known.contains(&name.as_str())) {
            None => Ok(Self(pairs)),
            Some(_) if known.is_empty() => Err(invalid("this takes no query parameters".into())),
            Some((name, _)) => {
                let name: String = name.chars().take(MAX_SHOWN_CHARS).collect();
                Err(invalid(format!("no query parameter is called {name:?}; there are {}", known.join(", "))))
            }
        }
    }

    /// All values of a parameter, in order.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(of, _)| of == name).map(|(_, value)| value.as_str())
    }

    /// The value of a parameter that occurs at most once.
    ///
    /// # Errors
    /// 400 when it occurs more than once.
    pub(crate) fn one(&self, name: &str) -> Result<Option<&str>, Refusal> {
        let mut values = self.0.iter().filter(|(of, _)| of == name).map(|(_, value)| value.as_str());
        match (values.next(), values.next()) {
            (value, None) => Ok(value),
            _ => Err(invalid(format!("{name} occurs more than once"))),
        }
    }

    /// The value of a parameter, read as what it is expected to be.
    ///
    /// # Errors
    /// 400 when it cannot be read.
    pub(crate) fn parsed<T: std::str::FromStr>(&self, name: &str, expected: &str) -> Result<Option<T>, Refusal> {
        let read = |text: &str| text.parse().map_err(|_| invalid(format!("{name} must be {expected}")));
        self.one(name)?.map(read).transpose()
    }

    /// Whether a parameter is `true` or `1`; `false` if it is absent.
    ///
    /// # Errors
    /// 400 for any other value than these, `false` and `0`.
    pub(crate) fn flag(&self, name: &str) -> Result<bool, Refusal> {
        match self.one(name)? {
            None | Some("false" | "0") => Ok(false),
            Some("true" | "1") => Ok(true),
            Some(_) => Err(invalid(format!("{name} must be true or false"))),
        }
    }
}

/// The token in the query of a request whose other parameters do not matter.
///
/// # Errors
/// 400 when there is more than one.
pub(crate) fn token(uri: &Uri) -> Result<Option<Cow<'_, str>>, Refusal> {
    let pairs = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
    let mut tokens = pairs.filter(|(name, _)| name == "token").map(|(_, value)| value);
    match (tokens.next(), tokens.next()) {
        (_, Some(_)) => Err(invalid("token occurs more than once".into())),
        (token, None) => Ok(token),
    }
}

/// Checks the length of a topic.
///
/// # Errors
/// 400 when it is too long.
pub(super) fn check_topic(topic: &Topic, config: &Config) -> Result<(), Refusal> {
    let most = config.limits.topic;
    match topic.as_str().len() {
        length if length > most => {
            let reason = format!("a topic has at most {most} bytes, and this one has {length}");
            Err(Refusal::of(StatusCode::BAD_REQUEST, ErrorCode::InvalidTopic, reason))
        }
        _ => Ok(()),
    }
}

/// Whether each `%` is followed by two hexadecimal digits, and all of it is UTF-8 when it is decoded.
fn is_encoded(query: &str) -> bool {
    let mut bytes = query.bytes();
    let mut decoded = Vec::with_capacity(query.len());
    let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => match (digit(bytes.next()), digit(bytes.next())) {
                (Some(high), Some(low)) => u8::try_from(high * 16 + low).unwrap_or_default(),
                _ => return false,
            },
            byte => byte,
        });
    }
    std::str::from_utf8(&decoded).is_ok()
}

fn invalid(reason: String) -> Refusal {
    Refusal::of(StatusCode::BAD_REQUEST, ErrorCode::InvalidRequest, reason)
}

/// Characters of a name that a refusal shows.
const MAX_SHOWN_CHARS: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_encoded_is_refused() {
        for (query, is_right) in [
            ("", true),
            ("topic=a%20b+c%2Fd%C3%A9&x", true),
            ("topic=%FF", false),
            ("topic=%4", false),
            ("topic=%", false),
            ("topic=%zz", false),
            ("topic=%C3", false),
            ("topic=%C3&x=%A9", false),
        ] {
            assert_eq!(is_encoded(query), is_right, "{query}");
        }
    }

    fn read(query: &str) -> Result<Query, Refusal> {
        Query::read(&format!("/events?{query}").parse().unwrap(), &["topic", "last"])
    }

    #[test]
    fn values_are_decoded_as_a_browser_encodes_them() {
        let query = read("topic=a%2Fb%20c&topic=d+e&topic=").unwrap();
        assert_eq!(query.all("topic").collect::<Vec<_>>(), ["a/b c", "d e", ""]);
    }

    #[test]
    fn what_is_misspelt_or_repeated_is_refused() {
        assert!(read("topics=a").is_err());
        assert!(read("last=1&last=2").unwrap().one("last").is_err());
        assert!(read("last=x").unwrap().parsed::<u32>("last", "a whole number").is_err());
    }
}
