//! Reads the TOML file. An error names the file, the key and what is allowed.

use super::options::Options;
use anyhow::{Context, anyhow, bail};
use clap::error::{ContextKind, ContextValue};
use clap::{Args, Command};
use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;
use toml::{Table, Value};

/// The keys and values that the file sets. Each is a key of [`Options`] with a valid value.
pub(crate) fn read(path: &Path) -> anyhow::Result<Table> {
    let text = fs::read_to_string(path).map_err(|error| anyhow!("{}: {}", path.display(), reason(&error)))?;
    parse(&text).with_context(|| path.display().to_string())
}

fn parse(text: &str) -> anyhow::Result<Table> {
    let table: Table = text.parse().map_err(|error: toml::de::Error| anyhow!("{}", error.to_string().trim_end()))?;
    let known = Table::try_from(Options::default())?;
    for (key, value) in &table {
        if !known.contains_key(key) {
            bail!("{key}: there is no such key{}", suggestion(key, &known));
        }
        check(key, value)?;
    }
    Ok(table)
}

/// Checks one key alone, so that the error is about this key.
fn check(key: &str, value: &Value) -> anyhow::Result<()> {
    if value.is_datetime() {
        // As a text it would be a folder for `state_dir`.
        bail!("{key} = {value}: no setting is a date; a text stands in quotes");
    }
    let alone = Table::from_iter([(key.to_owned(), value.clone())]);
    match alone.try_into::<Options>() {
        Ok(_) => Ok(()),
        // The whole list would be too long to find the wrong key in it.
        Err(error) if key == "topics" => bail!("{key}, {}", error.message()),
        Err(error) => bail!("{key} = {value}: {}", error.message()),
    }
}

/// The known key that is probably meant: the same words in another notation, or else the nearest one, found by clap's
/// rule for flags.
fn suggestion(key: &str, known: &Table) -> String {
    let key = snake_case(key);
    if known.contains_key(&key) {
        return format!("; did you mean {key}?");
    }
    let command = Options::augment_args(Command::new("hubcast"));
    let flag = format!("--{}", key.replace('_', "-"));
    let Err(error) = command.try_get_matches_from(["hubcast", &flag]) else { return String::new() };
    match error.get(ContextKind::SuggestedArg) {
        Some(ContextValue::String(flag)) => format!("; did you mean {}?", flag.trim_matches('-').replace('-', "_")),
        _ => String::new(),
    }
}

/// Rewrites `max-outbox`, `maxOutbox` and `MAX_OUTBOX` as `max_outbox`.
fn snake_case(key: &str) -> String {
    let mut words = String::new();
    let mut before = '_';
    for c in key.chars() {
        if c.is_ascii_uppercase() && before.is_ascii_lowercase() {
            words.push('_');
        }
        words.push(if c == '-' { '_' } else { c.to_ascii_lowercase() });
        before = c;
    }
    words
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => "there is no such file".to_owned(),
        ErrorKind::PermissionDenied => "this user may not read the file".to_owned(),
        ErrorKind::IsADirectory => "this is a directory, not a file".to_owned(),
        ErrorKind::InvalidData => "the file is not UTF-8 text".to_owned(),
        _ => format!("cannot be read: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> String {
        parse(text).unwrap_err().to_string()
    }

    #[test]
    fn only_the_keys_that_are_set_are_returned() {
        let table = parse("workers = 2\nmax_message = 65536\norigins = [\"https://a.example\"]").unwrap();
        assert_eq!(table.keys().collect::<Vec<_>>(), ["max_message", "origins", "workers"]);
    }

    #[test]
    fn a_wrong_value_is_named_with_its_key_and_what_is_allowed() {
        assert_eq!(
            fault("ping = \"fast\""),
            "ping = \"fast\": not a duration; write a number with ms, s, m or h, such as \"25s\""
        );
        assert_eq!(fault("max_headers = -1"), "max_headers = -1: not a whole number from 0 to 4294967295");
        assert_eq!(fault("workers = true"), "workers = true: neither a whole number up to 4,294,967,295 nor auto");
        assert!(fault("ping = 25").starts_with("ping = 25: not a duration"));
        assert!(fault("max_frame = [1]").starts_with("max_frame = [1]: not a size"));
        assert!(fault("origins = [1]").starts_with("origins = [1]: not a list of origins"));
    }

    #[test]
    fn a_date_is_no_text() {
        assert_eq!(
            fault("state_dir = 2026-01-01"),
            "state_dir = 2026-01-01: no setting is a date; a text stands in quotes"
        );
    }

    #[test]
    fn an_empty_list_of_origins_is_refused_rather_than_read_as_any() {
        assert_eq!(
            fault("origins = []"),
            "origins = []: an empty list; write the origins that may connect, such as [\"https://example.org\"], or \
             \"any\" for all"
        );
    }

    #[test]
    fn a_wrong_word_is_named_with_the_words_allowed() {
        let fault = fault("log_level = \"loud\"");
        for part in ["log_level = \"loud\"", "off", "error", "warn", "info", "debug", "trace"] {
            assert!(fault.contains(part), "{fault}");
        }
    }

    #[test]
    fn a_wrong_rule_is_named_by_its_number_and_key() {
        let rules = "[[topics]]\nmatch = \"a\"\n[[topics]]\nmatch = \"b\"\nhistory = { keep = \"maybe\" }";
        assert_eq!(fault(rules), "topics, rule 2: history.keep = \"maybe\": must be \"always\" or \"in-use\"");
        assert!(fault("topics = 7").starts_with("topics, not a list of rules; write [{ match"));
    }

    #[test]
    fn an_unknown_key_is_named_with_the_nearest_one() {
        assert_eq!(fault("pnig = \"25s\""), "pnig: there is no such key; did you mean ping?");
        assert_eq!(fault("max_mesage = 1"), "max_mesage: there is no such key; did you mean max_message?");
        assert_eq!(fault("zzz = 1"), "zzz: there is no such key");
        assert_eq!(fault("[limits]\nping = 1"), "limits: there is no such key");
        assert_eq!(fault("config = \"other.toml\""), "config: there is no such key");
    }

    #[test]
    fn a_key_in_another_way_of_writing_is_named_in_ours() {
        for key in ["max-outbox", "maxOutbox", "MaxOutbox", "MAX_OUTBOX", "max-outbx"] {
            let expected = format!("{key}: there is no such key; did you mean max_outbox?");
            assert_eq!(fault(&format!("{key} = \"1MiB\"")), expected);
        }
    }

    #[test]
    fn broken_toml_is_named_with_its_line() {
        assert!(fault("workers = 2\nping = fast").contains("line 2"));
    }
}
