//! Reads the TOML of the file. An error names the file, the key and what is allowed.

use super::excerpt::{SHOWN, excerpt};
use super::options::Options;
use super::spelling::nearest;
use anyhow::anyhow;
use std::path::Path;
use toml::{Table, Value};

/// The keys and values that the text of the file sets. Each is a key of [`Options`] with a valid value.
///
/// # Errors
/// All of its unknown keys and wrong values, one line each.
pub(crate) fn read(path: &Path, text: &str) -> anyhow::Result<Table> {
    parse(text).map_err(|faults| {
        let lines: Vec<_> = faults.iter().map(|fault| format!("{}: {fault}", path.display())).collect();
        anyhow!(lines.join("\n       "))
    })
}

fn parse(text: &str) -> Result<Table, Vec<String>> {
    let table: Table = text.parse().map_err(|error| vec![broken(&error, text)])?;
    let known = Table::try_from(Options::default()).map_err(|error| vec![error.to_string()])?;
    let faults: Vec<_> = table.iter().filter_map(|(key, value)| fault(key, value, &known)).collect();
    if faults.is_empty() { Ok(table) } else { Err(faults) }
}

/// The fault of a text that is not TOML, with the wrong line unless it is very long or may hold a secret. A secret can
/// have several lines, of which only the first one has its name.
fn broken(error: &toml::de::Error, text: &str) -> String {
    let whole = error.to_string();
    let mut lines = whole.lines();
    let place = lines.next().unwrap_or_default();
    let may_hold_secrets = ["secret", "key", "hc_", "jwks", "whsec_", "hooks"].iter().any(|word| text.contains(word));
    if !may_hold_secrets && lines.all(|line| line.chars().count() <= SHOWN) {
        return whole.trim_end().to_owned();
    }
    format!("{place}: {}", excerpt(error.message()))
}

/// What is wrong with one key, which is checked alone, so that the error is about this key.
fn fault(key: &str, value: &Value, known: &Table) -> Option<String> {
    if !known.contains_key(key) {
        return Some(format!("{}: there is no such key{}", excerpt(key), hint(key, value, known)));
    }
    let shown = value.to_string();
    let shown = excerpt(&shown);
    if value.is_datetime() {
        // As a text it would be a folder for `state_dir`.
        return Some(format!("{key} = {shown}: no setting is a date; a text stands in quotes"));
    }
    let alone = Table::from_iter([(key.to_owned(), value.clone())]);
    let error = alone.try_into::<Options>().err()?;
    // The whole list would be too long to find the wrong key in it.
    let at = if STRUCTURED.contains(&key) { format!("{key}, ") } else { format!("{key} = {shown}: ") };
    Some(at + error.message())
}

/// The settings that are tables or lists of tables. Their errors name the key within, and no value as a whole, which
/// may be long or hold secrets.
const STRUCTURED: [&str; 6] = ["topics", "tokens", "api_keys", "anonymous", "users", "hooks"];

/// What to write instead of an unknown key: the known key that is probably meant, or, for a table, none.
fn hint(key: &str, value: &Value, known: &Table) -> String {
    match nearest(&snake_case(key), known.keys().map(String::as_str)) {
        Some(meant) => format!("; did you mean {meant}?"),
        None if value.is_table() => {
            "; of the settings only tokens, anonymous and users are sections: all other keys stand at the top level"
                .to_owned()
        }
        None => String::new(),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> String {
        parse(text).unwrap_err().join("\n")
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
        let loud = fault("log_level = \"loud\"");
        for part in ["log_level = \"loud\"", "off", "error", "warn", "info", "debug", "trace"] {
            assert!(loud.contains(part), "{loud}");
        }
        let levels = "\"off\", \"error\", \"warn\", \"info\", \"debug\" or \"trace\"";
        assert_eq!(fault("log_level = 1"), format!("log_level = 1: not a level; write {levels}"));
        assert_eq!(fault("log_format = 1"), "log_format = 1: not a format; write \"text\" or \"json\"");
    }

    #[test]
    fn a_long_value_is_shown_in_part() {
        let long = "x".repeat(1_000_000);
        let (text, name) = (format!("a = \"{long}\""), format!("{long} = 1"));
        for text in [
            &text.replace('a', "ping"),
            &text.replace('a', "topics"),
            &format!("topics = [{{ match = \"@{long}\" }}]"),
            &format!("topics = [{{ match = \"a\", {name} }}]"),
            &format!("topics = [{{ match = \"a\", history = \"{long}\" }}]"),
            &format!("topics = [{{ match = \"a\", key_window = \"{long}\" }}]"),
            &format!("topics = [\"{long}\"]"),
            &name,
            &format!("{name}\n{name}"),
            &format!("ping = {long}"),
            &text[..1000],
        ] {
            let fault = fault(text);
            assert!(fault.len() < 600, "{fault}");
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
        for key in ["x", "rate_limit", "max_payload"] {
            assert_eq!(fault(&format!("{key} = 3")), format!("{key}: there is no such key"));
        }
        assert_eq!(fault("config = \"other.toml\""), "config: there is no such key");
    }

    #[test]
    fn a_section_is_said_to_be_none() {
        let expected = "server: there is no such key; of the settings only tokens, anonymous and users are sections: all other keys stand at the top level";
        assert_eq!(fault("[server]\nping = \"25s\""), expected);
        assert_eq!(fault("server.ping = \"25s\""), expected);
    }

    #[test]
    fn every_fault_is_named_at_once() {
        let faults = fault("zzz = 1\npnig = \"1s\"\nlinger = \"fast\"\nworkers = 2");
        let keys: Vec<_> = faults.lines().map(|line| line.split([':', ' ']).next().unwrap()).collect();
        assert_eq!(keys, ["linger", "pnig", "zzz"]);
    }

    #[test]
    fn a_key_in_another_way_of_writing_is_named_in_ours() {
        for key in ["max-outbox", "maxOutbox", "MaxOutbox", "MAX_OUTBOX", "max-outbx"] {
            let expected = format!("{key}: there is no such key; did you mean max_outbox?");
            assert_eq!(fault(&format!("{key} = \"1MiB\"")), expected);
        }
    }

    #[test]
    fn broken_toml_shows_no_line_that_may_hold_a_secret() {
        for text in [
            "[[tokens.keys]]\nsecret = \"\"\"\ncanary \\q\n\"\"\"",
            "[[tokens.keys]]\njwks = \"https://me:canary@login.example/ x",
            "[[api_keys]]\nkey = 'canary",
            "# key\nx = canary",
            "[[hooks]]\nurl = \"https://a.example/canary",
            "x = whsec_canary",
        ] {
            let fault = fault(text);
            assert!(fault.contains("line ") && !fault.contains("canary"), "{fault}");
        }
    }

    #[test]
    fn broken_toml_is_named_with_its_line() {
        assert!(fault("workers = 2\nping = fast").contains("line 2"));
    }
}
