//! `hubcast key`: makes an API key, and prints what to write into the configuration for it.

use super::answer::Answer;
use clap::Args;
use hubcast_server::auth::{ApiKey, NewApiKey};
use toml::Value;
use uuid::Uuid;

/// The key to make.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct KeyArgs {
    /// What the key is called in logs and answers: 1 to 32 small letters, digits and hyphens; without it, key- and six
    /// random digits
    #[arg(long, value_name = "NAME", value_parser = id)]
    pub(crate) id: Option<String>,

    /// What the key is for, for people who read the configuration
    #[arg(long, value_name = "TEXT", value_parser = name)]
    pub(crate) name: Option<String>,

    /// Print the key alone; its hash goes to standard error
    #[arg(long)]
    pub(crate) only_key: bool,
}

/// Makes a key. What goes to standard output can be appended to the configuration as it is.
///
/// # Errors
/// When the operating system has no random numbers.
pub(crate) fn run(args: &KeyArgs) -> anyhow::Result<Answer> {
    let id = args.id.clone().unwrap_or_else(random_id);
    let NewApiKey { text, hash } = NewApiKey::make(&id)?;
    if args.only_key {
        let note = format!("The configuration has its hash: id = \"{id}\", key_hash = \"{hash}\"");
        return Ok(Answer { output: format!("{text}\n"), notes: vec![note], is_refused: false });
    }
    let name = args.name.as_ref().map(|name| format!("name = {}\n", Value::from(name.as_str()))).unwrap_or_default();
    let output = format!("\n[[api_keys]]\nid = \"{id}\"\n{name}key_hash = \"{hash}\"\n{GRANTS}");
    let notes = vec![
        format!("The key is {text}"),
        "Give it to the program that needs it: nothing stores it, and it is not shown again.".to_owned(),
        "Append this to the server's configuration, and leave out what the key need not do:".to_owned(),
    ];
    Ok(Answer { output, notes, is_refused: false })
}

fn random_id() -> String {
    let random = Uuid::new_v4().simple().to_string();
    format!("key-{}", &random[..6])
}

fn id(text: &str) -> Result<String, &'static str> {
    if ApiKey::is_id(text) { Ok(text.to_owned()) } else { Err("an id has 1 to 32 small letters, digits and hyphens") }
}

fn name(text: &str) -> Result<String, &'static str> {
    if text.contains(char::is_control) {
        Err("a name is one line, without control characters")
    } else {
        Ok(text.into())
    }
}

/// What a key may do, as an example. Without any grant the settings refuse it.
const GRANTS: &str = "\
publish = [\">\", \"@*\"]     # all topics, and all private ones
# subscribe = [\"news.>\"]
# presence = [\"room.*\"]
# history = [\"room.*\"]
# manage = true            # see clients, disconnect and subscribe them
# metrics = true           # read /metrics
# not_after = 2027-01-01T00:00:00Z
";

/// The end of the help.
pub(crate) const AFTER_HELP: &str = "\
The block for the configuration goes to standard output, and the key to
standard error, so that this appends the one and shows the other:

  hubcast key --id backend >> hubcast.toml

\x1b[1;4mExit codes:\x1b[0m
  0  made
  1  failed
  2  wrong usage";

#[cfg(test)]
mod tests {
    use super::*;
    use toml::Table;

    #[test]
    fn the_block_is_toml_and_does_not_hold_the_key() {
        let args = KeyArgs { name: Some("the \"shop\"".to_owned()), ..KeyArgs::default() };
        let made = run(&args).unwrap();
        let key = made.notes[0].strip_prefix("The key is ").unwrap();
        let block: Table = made.output.parse().unwrap();
        let entry = &block["api_keys"][0];
        assert_eq!(ApiKey::id_of(key), entry["id"].as_str());
        assert_eq!(entry["name"].as_str(), Some("the \"shop\""));
        assert!(!made.output.contains(key));
        let commented = made.output.replace("# subscribe", "subscribe").replace("# presence", "presence");
        let commented = commented.replace("# history", "history").replace("# manage", "manage");
        commented.replace("# not_after", "not_after").parse::<Table>().unwrap();
    }

    #[test]
    fn only_the_key_is_printed_where_it_is_asked_for() {
        let made = run(&KeyArgs { id: Some("a".to_owned()), only_key: true, ..KeyArgs::default() }).unwrap();
        assert_eq!(ApiKey::id_of(made.output.trim_end()), Some("a"));
        assert!(!made.notes[0].contains(made.output.trim_end()) && made.notes[0].contains("sha256:"));
    }

    #[test]
    fn an_id_without_a_choice_is_one_that_the_settings_take() {
        assert!(ApiKey::is_id(&random_id()));
        assert_ne!(random_id(), random_id());
    }
}
