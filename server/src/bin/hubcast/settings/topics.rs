//! The rules for topics: a list of tables in the file, and the same as an inline list in flag and variable.
//!
//! A rule uses the hub's defaults for keys that it does not set. Every error names the rule by its number, and the key.

use super::excerpt::excerpt;
use super::units::{Count, DurationText, from_text};
use hubcast_hub::{Access, HistoryPolicy, PresencePolicy, Retention, TopicPolicy, TopicRule};
use hubcast_protocol::{Pattern, Topic};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;
use toml::{Table, Value};

/// The rules for topics, by pattern; the first rule that matches applies.
#[derive(Clone, Debug, Default)]
pub(crate) struct TopicSettings {
    /// The rules for the library's configuration.
    pub(crate) rules: Vec<TopicRule>,
    /// The rules as they were written.
    origin_of: Vec<Value>,
}

impl TopicSettings {
    fn of(origin_of: Value) -> Result<Self, String> {
        let Value::Array(origin_of) = origin_of else { return Err(NOT_RULES.to_owned()) };
        let numbered = origin_of.iter().enumerate();
        let rules = numbered.map(|(index, value)| rule(value).map_err(|fault| format!("rule {}: {fault}", index + 1)));
        Ok(Self { rules: rules.collect::<Result<_, _>>()?, origin_of })
    }
}

/// Reads one rule.
fn rule(value: &Value) -> Result<TopicRule, String> {
    let mut given = table(value)?;
    let matches: Pattern = take(&mut given, "match")?.ok_or(NO_MATCH)?;
    if Topic::from(matches.as_str()).owner().is_some() {
        return Err(format!("match = \"{}\": no rule is for a private topic", excerpt(matches.as_str())));
    }
    let mut policy = TopicPolicy::default();
    if let Some(history) = given.remove("history") {
        policy.history = switched(&history, policy.history, history_of).map_err(|fault| format!("history{fault}"))?;
    }
    if let Some(presence) = given.remove("presence") {
        policy.presence =
            switched(&presence, Some(PRESENCE), presence_of).map_err(|fault| format!("presence{fault}"))?;
    }
    if let Some(DurationText(window)) = take(&mut given, "key_window")? {
        policy.key_window = window;
    }
    policy.access.subscribe = take_access(&mut given, "subscribe")?;
    policy.access.publish = take_access(&mut given, "publish")?;
    if let Some(author) = take(&mut given, "author")? {
        policy.author = author;
    }
    no_more(
        &given,
        "match, history, presence, key_window, subscribe, publish and author; settings of the server come before the \
         first rule",
    )?;
    Ok(TopicRule { pattern: matches, policy })
}

/// Who may read or publish.
fn take_access(given: &mut Table, key: &str) -> Result<Option<Access>, String> {
    Ok(take(given, key)?.map(|AccessText(access)| access))
}

/// An [`Access`] as it is written.
struct AccessText(Access);

impl FromStr for AccessText {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "nobody" => Ok(Self(Access::Nobody)),
            "granted" => Ok(Self(Access::Granted)),
            "anyone" => Ok(Self(Access::Anyone)),
            _ => Err("must be \"nobody\", \"granted\" or \"anyone\""),
        }
    }
}

impl<'de> Deserialize<'de> for AccessText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_text(deserializer)
    }
}

/// The policy for a value: `false` gives none, `true` the default, and a table changes keys of the default.
fn switched<T>(
    value: &Value,
    default: Option<T>,
    changed: impl Fn(T, Table) -> Result<T, String>,
) -> Result<Option<T>, String> {
    match value {
        Value::Boolean(on) => Ok(default.filter(|_| *on)),
        Value::Table(given) => {
            let changed = default.map(|default| changed(default, given.clone())).transpose();
            changed.map_err(|fault| format!(".{fault}"))
        }
        other => Err(format!(" = {}: must be true, false or a table", excerpt(&other.to_string()))),
    }
}

fn history_of(mut history: HistoryPolicy, mut given: Table) -> Result<HistoryPolicy, String> {
    if let Some(Count(size)) = take(&mut given, "size")? {
        history.size = size as usize;
    }
    if let Some(DurationText(ttl)) = take(&mut given, "ttl")? {
        history.ttl = ttl;
    }
    if let Some(Kept(keep)) = take(&mut given, "keep")? {
        history.keep = keep;
    }
    no_more(&given, "size, ttl and keep")?;
    match history {
        HistoryPolicy { size: 0, .. } => Err("size = 0: must be at least 1; history = false keeps nothing".to_owned()),
        HistoryPolicy { ttl: Duration::ZERO, .. } => Err("ttl = \"0s\": must be longer than nothing".to_owned()),
        history => Ok(history),
    }
}

fn presence_of(mut presence: PresencePolicy, mut given: Table) -> Result<PresencePolicy, String> {
    if let Some(events) = take(&mut given, "events")? {
        presence.events = events;
    }
    if let Some(DurationText(grace)) = take(&mut given, "grace")? {
        presence.grace = grace;
    }
    no_more(&given, "events and grace")?;
    Ok(presence)
}

fn table(value: &Value) -> Result<Table, String> {
    let fault = || format!("{}: must be a table, such as {{ match = \"chat.>\" }}", excerpt(&value.to_string()));
    value.as_table().cloned().ok_or_else(fault)
}

/// Removes and reads one key alone, so that the error is about this key.
fn take<T: DeserializeOwned>(given: &mut Table, key: &str) -> Result<Option<T>, String> {
    let Some(value) = given.remove(key) else { return Ok(None) };
    let shown = value.to_string();
    value.try_into().map(Some).map_err(|error| format!("{key} = {}: {}", excerpt(&shown), error.message()))
}

fn no_more(given: &Table, known: &str) -> Result<(), String> {
    match given.keys().next() {
        Some(unknown) => Err(format!("{}: there is no such key; there are {known}", excerpt(unknown))),
        None => Ok(()),
    }
}

/// A [`Retention`] as it is written.
struct Kept(Retention);

impl FromStr for Kept {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "always" => Ok(Self(Retention::Always)),
            "in-use" => Ok(Self(Retention::InUse)),
            _ => Err("must be \"always\" or \"in-use\""),
        }
    }
}

impl<'de> Deserialize<'de> for Kept {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_text(deserializer)
    }
}

impl FromStr for TopicSettings {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::of(text.parse().map_err(|_| NOT_RULES)?)
    }
}

impl fmt::Display for TopicSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Value::Array(self.origin_of.clone()))
    }
}

impl PartialEq for TopicSettings {
    fn eq(&self, other: &Self) -> bool {
        self.origin_of == other.origin_of
    }
}

impl<'de> Deserialize<'de> for TopicSettings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::of(Value::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

impl Serialize for TopicSettings {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.origin_of.serialize(serializer)
    }
}

/// The policy for `presence = true`.
const PRESENCE: PresencePolicy = PresencePolicy { events: true, grace: Duration::from_secs(10) };

const NOT_RULES: &str = "not a list of rules; write [{ match = \"chat.>\", presence = true }] with a table for each";
const NO_MATCH: &str = "match is missing; it says which topics, such as match = \"chat.>\"";

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> TopicPolicy {
        let rules: TopicSettings = format!("[{{ match = \"chat.>\", {text} }}]").parse().unwrap();
        rules.rules[0].policy.clone()
    }

    fn fault(rule: &str) -> String {
        format!("[{{ match = \"a\" }}, {rule}]").parse::<TopicSettings>().unwrap_err()
    }

    #[test]
    fn what_a_rule_does_not_say_is_as_in_the_default() {
        let default = TopicPolicy::default();
        assert_eq!(read(""), default);
        assert_eq!(read("history = true, presence = false"), default);
        let history = HistoryPolicy { size: 7, ..default.history.clone().unwrap() };
        assert_eq!(read("history = { size = 7 }"), TopicPolicy { history: Some(history), ..default.clone() });
        assert_eq!(read("history = false"), TopicPolicy { history: None, ..default.clone() });
        assert_eq!(read("presence = true"), TopicPolicy { presence: Some(PRESENCE), ..default });
    }

    #[test]
    fn every_key_of_a_rule_is_read() {
        let policy = read(
            "history = { size = 500, ttl = \"10m\", keep = \"always\" }, \
             presence = { events = false, grace = \"30s\" }, key_window = \"1h\"",
        );
        let history = HistoryPolicy { size: 500, ttl: Duration::from_secs(600), keep: Retention::Always };
        let presence = PresencePolicy { events: false, grace: Duration::from_secs(30) };
        let key_window = Duration::from_secs(3600);
        assert_eq!(
            policy,
            TopicPolicy { history: Some(history), presence: Some(presence), key_window, ..TopicPolicy::default() }
        );
    }

    #[test]
    fn a_fault_names_the_rule_the_key_and_what_is_allowed() {
        for (rule, named) in [
            ("7", "rule 2: 7: must be a table, such as { match = \"chat.>\" }"),
            ("{ presence = true }", "rule 2: match is missing; it says which topics, such as match = \"chat.>\""),
            ("{ match = \"a*\" }", "rule 2: match = \"a*\": \"*\" and \">\" stand alone between dots"),
            ("{ match = \"@ada\" }", "rule 2: match = \"@ada\": no rule is for a private topic"),
            (
                "{ match = \"b\", history = { keep = \"maybe\" } }",
                "rule 2: history.keep = \"maybe\": must be \"always\" or \"in-use\"",
            ),
            (
                "{ match = \"b\", history = { size = 0 } }",
                "rule 2: history.size = 0: must be at least 1; history = false keeps nothing",
            ),
            (
                "{ match = \"b\", history = { ttl = \"0s\" } }",
                "rule 2: history.ttl = \"0s\": must be longer than nothing",
            ),
            (
                "{ match = \"b\", history = { tll = \"1s\" } }",
                "rule 2: history.tll: there is no such key; there are size, ttl and keep",
            ),
            ("{ match = \"b\", presence = 1 }", "rule 2: presence = 1: must be true, false or a table"),
            (
                "{ match = \"b\", ping = \"9s\" }",
                "rule 2: ping: there is no such key; there are match, history, presence, key_window, subscribe, publish and author; \
                 settings of the server come before the first rule",
            ),
        ] {
            assert_eq!(fault(rule), named);
        }
        assert!(fault("{ match = \"b\", key_window = 1 }").starts_with("rule 2: key_window = 1: not a duration"));
        for text in ["", "chat.>", "{ match = \"a\" }", "[{", "7"] {
            assert_eq!(text.parse::<TopicSettings>(), Err(NOT_RULES.to_owned()), "{text}");
        }
    }

    #[test]
    fn the_example_file_explains_a_rule_and_tells_the_default() {
        let example = include_str!("../../../../../hubcast.example.toml");
        let rules_alone = example.lines().take_while(|line| *line != "## Tokens and API keys");
        let lines: Vec<_> = rules_alone.filter_map(|line| line.strip_prefix("#   ")).collect();
        let table: Table = lines.join("\n").parse().unwrap();
        let rules = TopicSettings::of(table["topics"].clone()).unwrap().rules;
        assert_eq!(rules.len(), 2);
        assert_eq!(rules[1].policy, TopicPolicy::default());
        assert_ne!(rules[0].policy, TopicPolicy::default());
    }

    #[test]
    fn what_is_shown_can_be_read_again() {
        let rules: TopicSettings = "[{match=\"a.>\",history={size=7}},{match=\"b\",presence=true}]".parse().unwrap();
        assert_eq!(rules.to_string().parse(), Ok(rules));
        assert_eq!("[]".parse(), Ok(TopicSettings::default()));
    }
}
