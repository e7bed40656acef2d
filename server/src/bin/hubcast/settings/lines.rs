//! Where a setting stands in the file, so that a fault can name its line.

use std::path::Path;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Adds the line to each fault of a file, of which each has a line of its own: `hub.toml: ping = …` becomes `hub.toml,
/// line 3: ping = …`. Other texts stay as they are.
pub(super) fn add(faults: &str, path: &Path, text: &str) -> String {
    let Ok(file) = DeTable::parse(text) else { return faults.to_owned() };
    let before = format!("{}: ", path.display());
    let added = |line: &str| {
        let Some((indent, fault)) = line.split_once(&before).filter(|(indent, _)| indent.trim().is_empty()) else {
            return line.to_owned();
        };
        let place = place_of(fault, file.get_ref()).and_then(|at| text.get(..at));
        let line = place.map(|above| format!(", line {}", above.matches('\n').count() + 1));
        format!("{indent}{}{}: {fault}", path.display(), line.unwrap_or_default())
    };
    faults.split('\n').map(added).collect::<Vec<_>>().join("\n")
}

/// The byte at which the setting begins that a fault is about. The fault begins with its key, and names one of several
/// tables by its number: `topics, rule 2: …`, `tokens, key 1: …`, `hooks, hook 1: …`.
fn place_of(fault: &str, file: &DeTable<'_>) -> Option<usize> {
    let (key, rest) = fault.split_at(fault.find([' ', ':', ','])?);
    let (name, value) = file.get_key_value(key)?;
    let number = [", rule ", ", key ", ", hook "].iter().find_map(|word| rest.strip_prefix(word));
    let number = number.and_then(|rest| rest.split(':').next()?.parse::<usize>().ok());
    let item = number.and_then(|number| list_of(value)?.get(number.checked_sub(1)?));
    Some(item.map_or(name.span().start, |item| item.span().start))
}

/// The tables that faults count: the setting is a list, or has the list of keys.
fn list_of<'a, 'f>(value: &'a Spanned<DeValue<'f>>) -> Option<&'a [Spanned<DeValue<'f>>]> {
    match value.get_ref() {
        DeValue::Array(list) => Some(list),
        DeValue::Table(table) => list_of(table.get("keys")?),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_gets_the_line_of_what_it_is_about() {
        let text = "ping = \"fast\"\n\n[tokens]\naudience = \"hub\"\nkeys = [\n  { secret = \"a\" },\n  { secret = \"b\" },\n]\n\
                    [[topics]]\nmatch = \"a\"\n[[topics]]\nmatch = \"b\"\n[[api_keys]]\nid = \"a\"\n\
                    [[hooks]]\nname = \"a\"\n[[hooks]]\nname = \"b\"\n";
        let named = |fault: &str| add(&format!("hub.toml: {fault}"), Path::new("hub.toml"), text);
        for (fault, line) in [
            ("ping = \"fast\": not a duration", 1),
            ("tokens: key is missing", 3),
            ("tokens, key 1: secret: too short", 6),
            ("tokens, key 2: secret: too short", 7),
            ("tokens, key 3: there is none", 3),
            ("topics, rule 1: history", 9),
            ("topics, rule 2: history", 11),
            ("api_keys, key 1: key_hash is missing", 13),
            ("hooks, hook 2: url is missing", 17),
        ] {
            assert_eq!(named(fault), format!("hub.toml, line {line}: {fault}"));
        }
        assert_eq!(named("there is no such file"), "hub.toml: there is no such file");
    }

    #[test]
    fn only_faults_of_the_file_get_a_line_and_each_of_several_gets_one() {
        let faults =
            "hub.toml: workers = 0: must be 1 to 256\n       hub.toml: ping = 1: not a duration\n       --ping 0s";
        assert_eq!(
            add(faults, Path::new("hub.toml"), "ping = 1\nworkers = 0"),
            "hub.toml, line 2: workers = 0: must be 1 to 256\n       hub.toml, line 1: ping = 1: not a duration\n       \
             --ping 0s"
        );
        assert_eq!(add(faults, Path::new("hub.toml"), "no toml"), faults);
    }
}
