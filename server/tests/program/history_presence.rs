//! `hubcast history` and `hubcast presence`: what they print, and their exit codes.

use crate::commands::{Sub, client, outcome, signal};
use crate::run::{Run, file};
use serde_json::Value;
use std::io::{BufRead, BufReader};

#[test]
fn the_history_of_a_topic_is_read_from_a_position_on() {
    let server = Run::start(&[]);
    let _sub = Sub::start(&mut client(&server, &["sub", "world", "-n", "3"]));
    assert_eq!(outcome(&mut client(&server, &["pub", "world"]), "1\n2\n3\n").0, Some(0));
    let (code, output, _) = outcome(&mut client(&server, &["history", "world", "--json"]), "");
    assert_eq!(code, Some(0));
    let first: Value = serde_json::from_str(output.lines().next().unwrap()).unwrap();
    let position = format!("{}:{}", first["epoch"].as_str().unwrap(), first["offset"]);
    for (words, expected) in [
        (&["--since", &position][..], "2\n3\n"),
        (&["--since", &position, "--limit", "1"], "2\n"),
        (&["--limit", "2"], "2\n3\n"),
    ] {
        let (code, output, stderr) = outcome(&mut client(&server, &[&["history", "world"], words].concat()), "");
        assert_eq!((code, output.as_str(), stderr.as_str()), (Some(0), expected, ""), "{words:?}");
    }
}

#[test]
fn the_members_of_a_topic_are_printed_where_it_has_presence() {
    let config = file("presence-command.toml", "open = true\n[[topics]]\nmatch = \"room.>\"\npresence = true\n");
    let server = Run::start(&["--config", config.to_str().unwrap()]);
    let _sub = Sub::start(&mut client(&server, &["sub", "room.7"]));
    let (code, output, stderr) = outcome(&mut client(&server, &["presence", "room.7", "--json"]), "");
    assert_eq!((code, output.lines().count()), (Some(0), 1), "{output}{stderr}");
    let member: Value = serde_json::from_str(&output).unwrap();
    assert!(member["event"] == "present" && member["topic"] == "room.7", "{output}");
    assert_eq!(outcome(&mut client(&server, &["presence", "other"]), "").0, Some(1));
}

#[test]
fn a_watch_tells_who_comes_and_goes_but_not_of_itself() {
    let config = file("presence-watch.toml", "open = true\n[[topics]]\nmatch = \"room.>\"\npresence = true\n");
    let server = Run::start(&["--config", config.to_str().unwrap()]);
    let first = Sub::start(&mut client(&server, &["sub", "room.7"]));
    let mut watch = client(&server, &["presence", "room.7", "--watch"]).spawn().unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines().map(Result::unwrap);
    let here = lines.next().unwrap();
    assert!(here.starts_with("+\t"), "{here}");
    first.signal("TERM");
    assert_eq!(lines.next().unwrap(), here.replace('+', "-"));
    signal(&watch, "INT");
    assert_eq!(lines.next(), None);
    assert_eq!(watch.wait().unwrap().code(), Some(130));
}
