//! The commands that answer a question: `key`, `token make`, `token inspect` and `explain`.

use crate::client::connect;
use crate::run::{Run, file, hubcast};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const SECRET: &str = "a secret of the tests that is long enough";
const OTHER: &str = "another secret of tests that is long enough";

/// Runs a command with this standard input. Returns its exit code, standard output and standard error.
fn outcome(command: &mut Command, input: &str) -> (Option<i32>, String, String) {
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    // A command that reads nothing may have closed it.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    let (stdout, stderr) = (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap());
    for secret in [SECRET, OTHER] {
        assert!(!stdout.contains(secret) && !stderr.contains(secret), "a secret came out: {stdout}{stderr}");
    }
    (status.code(), stdout, stderr)
}

fn ask(words: &[&str]) -> (Option<i32>, String, String) {
    outcome(&mut hubcast(words), "")
}

/// A configuration that demands an audience and an issuer, and has the grants in an object of their own.
fn config(name: &str) -> PathBuf {
    let text = format!(
        "[tokens]\nkeys = [{{ id = \"try\", secret = \"{SECRET}\" }}]\naudience = \"hub\"\nissuer = \"us\"\n\
         claims = \"https://hubcast.example\"\ntype = \"at+jwt\"\n\
         [[topics]]\nmatch = \"news.>\"\nsubscribe = \"anyone\"\npublish = \"nobody\"\n"
    );
    file(name, &text)
}

/// Makes a token with these further words.
#[track_caller]
fn made(config: &Path, words: &[&str]) -> String {
    let words = [&["token", "make", "--config", config.to_str().unwrap()], words].concat();
    let (code, token, stderr) = ask(&words);
    assert_eq!(code, Some(0), "{stderr}");
    token.strip_suffix('\n').unwrap().to_owned()
}

fn inspected(config: &Path, token: &str) -> (Option<i32>, String) {
    let words = ["token", "inspect", "--config", config.to_str().unwrap(), "-"];
    let (code, shown, stderr) = outcome(&mut hubcast(&words), token);
    let signature = token.rsplit('.').next().filter(|signature| signature.len() > 20);
    let hidden = signature.is_none_or(|signature| !shown.contains(signature) && !stderr.contains(signature));
    assert!(hidden, "the signature came out: {shown}{stderr}");
    (code, shown)
}

/// Asks for the user of a token, or for a client without one.
#[track_caller]
fn explained(config: &Path, token: Option<&str>, words: &[&str]) -> (i32, String) {
    let mut all = vec!["explain", "--config", config.to_str().unwrap()];
    all.extend(token.map(|_| ["--token", "-"]).into_iter().flatten());
    let (code, stdout, stderr) = outcome(&mut hubcast(&[&all, words].concat()), token.unwrap_or_default());
    (code.unwrap(), stdout + &stderr)
}

#[test]
fn a_key_that_is_appended_to_the_configuration_is_accepted() {
    let path = file("with_key.toml", "ping = \"9s\"");
    let (code, block, told) = ask(&["key", "--id", "backend", "--name", "the \"shop\""]);
    assert_eq!(code, Some(0), "{told}");
    let key = told.lines().find_map(|line| line.strip_prefix("The key is ")).unwrap();
    assert!(key.starts_with("hc_backend_") && !block.contains(key), "{block}");
    std::fs::write(&path, format!("ping = \"9s\"{block}")).unwrap();
    let path = path.to_str().unwrap();
    let (code, _, stderr) = ask(&["check-config", "--config", path]);
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    let (code, granted, _) = ask(&["explain", "--config", path, "--key-id", "backend", "publish", "orders"]);
    assert_eq!(code, Some(0));
    assert_eq!(granted, "granted: the API key \"backend\" may publish to \"orders\": the grant \">\" covers it\n");
    let (code, refused, _) = ask(&["explain", "--config", path, "--key-id", "backend", "subscribe", "orders"]);
    assert_eq!(code, Some(4));
    assert_eq!(refused, "refused: the API key \"backend\" may not subscribe to \"orders\": no grant covers it\n");
    let (code, _, fault) = ask(&["explain", "--config", path, "--key-id", "batch", "publish", "orders"]);
    assert_eq!((code, fault.contains("there are backend")), (Some(2), true), "{fault}");
    let (code, _, fault) = ask(&["explain", "--config", path, "--key-id", key, "publish", "orders"]);
    assert_eq!((code, fault.contains(key)), (Some(2), false), "{fault}");
    let server = Run::start(&["--config", path]);
    let status = |key: &str| {
        let mut socket = connect(server.address());
        let body = "{\"topic\": \"orders\", \"message\": 1}";
        let length = body.len();
        let head = format!(
            "Host: x\r\nX-API-Key: {key}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n"
        );
        socket.write_all(format!("POST /api/publish HTTP/1.1\r\n{head}\r\n{body}").as_bytes()).unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        answer[9..12].to_owned()
    };
    assert_eq!([status(key).as_str(), status(&format!("{key}x")).as_str()], ["200", "401"]);
}

#[test]
fn only_the_key_is_printed_where_it_is_asked_for() {
    let (code, key, told) = ask(&["key", "--only-key"]);
    assert_eq!(code, Some(0));
    assert!(key.starts_with("hc_key-") && key.lines().count() == 1, "{key}");
    assert!(told.contains("key_hash = \"sha256:") && !told.contains(key.trim()), "{told}");
    for wrong in [&["key", "--id", "A b"][..], &["key", "--id", ""], &["key", "--name", "a\nb"]] {
        assert_eq!(ask(wrong).0, Some(2), "{wrong:?}");
    }
}

#[test]
fn a_token_that_is_made_is_accepted_and_says_what_the_settings_demand() {
    let config = config("make.toml");
    let words = ["--user", "ada", "--subscribe", "room.{user}.>", "--publish", "chat", "--info", "{\"n\": 1e400}"];
    let token = made(&config, &words);
    let (code, shown) = inspected(&config, &token);
    assert_eq!(code, Some(0), "{shown}");
    assert!(shown.ends_with("\naccepted\n") && !shown.contains('✗'), "{shown}");
    for part in [
        "\"typ\": \"at+jwt\"",
        "\"kid\": \"try\"",
        "\"aud\": \"hub\"",
        "\"iss\": \"us\"",
        "\"https://hubcast.example\": {",
        "\"n\": 1e400",
        "✓ grants     subscribe: 1, publish: 1",
        "GMT, in 60m\n",
    ] {
        assert!(shown.contains(part), "{part} is not in\n{shown}");
    }
}

#[test]
fn a_token_that_was_changed_is_refused_with_the_check_that_fails() {
    let config = config("changed.toml");
    let token = made(&config, &["--user", "ada"]);
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let first = if signature.starts_with('A') { 'B' } else { 'A' };
    let changed = format!("{signed}.{first}{}", &signature[1..]);
    let (code, shown) = inspected(&config, &changed);
    assert_eq!(code, Some(4), "{shown}");
    assert!(shown.contains("\n  ✗ signature  the token's signature is wrong"), "{shown}");
    assert!(shown.contains("\n  ✓ exp "), "the checks after it are shown too: {shown}");
    assert!(shown.lines().last().unwrap().starts_with("refused: the token's signature is wrong"), "{shown}");
    let (code, told) = explained(&config, Some(&changed), &["subscribe", "news.a"]);
    assert_eq!(code, 4);
    assert!(told.starts_with("refused: the token's signature is wrong"), "{told}");
    for garbage in ["a", "a.b.c", "..", "é.é.é"] {
        let (code, shown) = inspected(&config, garbage);
        assert_eq!(code, Some(4), "{shown}");
    }
}

#[test]
fn a_token_of_another_server_is_refused_with_what_was_found() {
    let (ours, secret) = (config("ours.toml"), file("ours.secret", &format!("{SECRET}\n")));
    let (code, token, _) =
        ask(&["token", "make", "--secret-file", secret.to_str().unwrap(), "--user", "ada", "--key", "try"]);
    assert_eq!(code, Some(0));
    let (code, shown) = inspected(&ours, &token);
    assert_eq!(code, Some(4));
    assert!(shown.contains("✗ aud ") && shown.contains("(no aud; the settings: \"hub\")"), "{shown}");
    assert!(shown.contains("✗ header ") && shown.contains("(typ \"JWT\")"), "{shown}");
    assert!(shown.contains("✓ signature"), "{shown}");
}

#[test]
fn without_a_configuration_a_token_is_decoded_and_nothing_verified() {
    let token = made(&config("decoded.toml"), &["--user", "ada"]);
    let (code, shown, _) = ask(&["token", "inspect", &token]);
    assert_eq!(code, Some(0));
    assert!(shown.contains("\"sub\": \"ada\"") && shown.contains("\nnothing was verified: "), "{shown}");
    assert!(!shown.contains(token.rsplit('.').next().unwrap()) && !shown.contains('✓'), "{shown}");
    assert_eq!(ask(&["token", "inspect", "a.b"]).0, Some(4));
    let without_keys = file("without_keys.toml", "ping = \"9s\"");
    let (code, _, fault) = ask(&["token", "inspect", "--config", without_keys.to_str().unwrap(), &token]);
    assert_eq!(code, Some(2));
    assert!(fault.contains("have no keys of tokens; write [tokens]"), "{fault}");
}

#[test]
fn the_environment_can_name_the_configuration_of_a_question() {
    let config = config("by_variable.toml");
    let (code, token, _) = outcome(hubcast(&["token", "make", "--user", "ada"]).env("HUBCAST_CONFIG", &config), "");
    assert_eq!(code, Some(0));
    let (code, shown, _) = outcome(hubcast(&["token", "inspect", "-"]).env("HUBCAST_CONFIG", &config), &token);
    assert_eq!((code, shown.ends_with("\naccepted\n")), (Some(0), true), "{shown}");
    let keys = format!("{{ keys = [{{ secret = \"{OTHER}\" }}] }}");
    let (code, shown, _) = outcome(hubcast(&["token", "inspect", "-"]).env("HUBCAST_TOKENS", keys), &token);
    assert_eq!((code, shown.contains("refused: ")), (Some(4), true), "{shown}");
    let (code, _, fault) = outcome(hubcast(&["explain", "publish", "a"]).env("HUBCAST_PNIG", "1s"), "");
    assert_eq!((code, fault.contains("did you mean HUBCAST_PING")), (Some(2), true), "{fault}");
}

#[test]
fn a_token_that_the_server_would_refuse_is_not_made() {
    let config = config("not_made.toml");
    for (words, expected) in [
        (&["--user", ""][..], "the name of the user: 1 to 256 bytes"),
        (&["--user", "*"], "other than \"*\""),
        (&["--user", "ada", "--lifetime", "25h"], "--lifetime 25h: tokens live at most 24h"),
        (&["--user", "ada", "--lifetime", "0s"], "must be at least 1s"),
        (&["--user", "ada", "--subscribe", "a..b"], "for '--subscribe <PATTERN>'"),
        (&["--user", "ada", "--info", "{"], "for '--info <JSON>': not JSON"),
        (&["--user", "ada", "--key", "other"], "--key: there is no secret with this id; there are try"),
        (&["--subscribe", "a"], "--user <SUB>"),
    ] {
        let (code, token, fault) = ask(&[&["token", "make", "--config", config.to_str().unwrap()], words].concat());
        assert_eq!((code, token.as_str()), (Some(2), ""), "{words:?}");
        assert!(fault.contains(expected), "{words:?}: {fault}");
    }
    let (short, config) = (file("short.secret", "short"), config.to_str().unwrap());
    let (code, _, fault) = ask(&["token", "make", "--user", "ada", "--secret-file", short.to_str().unwrap()]);
    assert_eq!((code, fault.contains("short.secret: a secret has at least 32 bytes")), (Some(2), true), "{fault}");
    // That no secret comes out is checked for each command.
    for words in [["--secret-file", SECRET, "--user"], ["--key", SECRET, "--user"]] {
        let words = [&["token", "make"], &words[..], &["ada"]].concat();
        assert_eq!(outcome(hubcast(&words).env("HUBCAST_CONFIG", config), "").0, Some(2));
    }
    assert!(ask(&["token", "make", "--user", "ada"]).2.contains("name the configuration by --config"));
}

#[test]
fn one_of_several_secrets_is_chosen_by_its_id() {
    let keys = format!("{{ id = \"a\", secret = \"{SECRET}\" }}, {{ id = \"b\", secret = \"{OTHER}\" }}");
    let config = file("two_secrets.toml", &format!("[tokens]\nkeys = [{keys}]"));
    let (code, _, fault) = ask(&["token", "make", "--config", config.to_str().unwrap(), "--user", "ada"]);
    assert_eq!(code, Some(2));
    assert!(fault.contains("there are several secrets; choose one by --key: a, b"), "{fault}");
    for key in ["a", "b"] {
        let (code, shown) = inspected(&config, &made(&config, &["--user", "ada", "--key", key]));
        assert_eq!((code, shown.contains(&format!("kid \"{key}\""))), (Some(0), true), "{shown}");
    }
}

#[test]
fn public_keys_alone_do_not_sign() {
    let pem = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";
    let pem = file("login.pem", pem);
    let key = format!("{{ algorithm = \"EdDSA\", file = \"{}\" }}", pem.display());
    let config = file("public_keys.toml", &format!("[tokens]\nkeys = [{key}]"));
    let (code, _, fault) = ask(&["token", "make", "--config", config.to_str().unwrap(), "--user", "ada"]);
    assert_eq!(code, Some(2));
    assert!(fault.contains("tokens are made by the login that has the private key"), "{fault}");
}

#[test]
fn what_is_granted_and_refused_is_said_with_the_rule_or_grant() {
    let config = config("explain.toml");
    let token = made(&config, &["--user", "ada", "--subscribe", "room.{user}.>", "--history", "room.ada.*"]);
    for (words, expected, because) in [
        (
            &["subscribe", "room.ada.x"][..],
            0,
            "granted: the user \"ada\" may subscribe to \"room.ada.x\": the grant \"room.{user}.>\"",
        ),
        (&["subscribe", "room.ada.>"], 0, "subscribe to all of \"room.ada.>\": the grant \"room.{user}.>\" covers it"),
        (
            &["subscribe", "room.bob.x"],
            4,
            "refused: the user \"ada\" may not subscribe to \"room.bob.x\": no grant covers it",
        ),
        (&["subscribe", "room.>"], 4, "no grant covers it"),
        (&["history", "room.ada.*"], 0, "the grant \"room.ada.*\" covers it"),
        (&["history", "room.ada.x.y"], 4, "no grant covers it"),
        (&["subscribe", "news.a"], 0, "the rule for \"news.>\" lets anyone"),
        (&["publish", "news.a"], 4, "the rule for \"news.>\" lets nobody"),
        (&["subscribe", "@ada"], 0, "it is the private topic of this user"),
        (&["subscribe", "@bob"], 4, "the topic is private to another user"),
        (&["publish", "room.*"], 4, "note: this action takes no pattern"),
        (&["presence", "news.a"], 0, "answers no_presence"),
        (&["subscribe", "a.>.b"], 2, "is no pattern"),
        (&["fly", "a"], 2, "subscribe, publish, presence, history"),
    ] {
        let (code, told) = explained(&config, Some(&token), words);
        assert_eq!(code, expected, "{words:?}: {told}");
        assert!(told.contains(because), "{words:?}: {told}");
    }
    let (code, told) = explained(&config, None, &["subscribe", "news.a"]);
    assert_eq!(code, 4);
    assert!(told.contains("no client do anything without a token"), "{told}");
    let (code, told) = explained(&config, Some(&"x".repeat(100)), &["subscribe", &"t".repeat(2_000)]);
    assert_eq!(code, 4, "{told}");
}

#[test]
fn a_name_with_a_dot_is_one_user_and_matches_no_token_of_a_grant() {
    let config = config("dot.toml");
    let words = ["--user", "a.b", "--subscribe", "room.{user}", "--publish", "@{user}"];
    let (code, token, warning) = ask(&[&["token", "make", "--config", config.to_str().unwrap()], &words[..]].concat());
    assert_eq!(code, Some(0));
    assert!(warning.contains("the name \"a.b\" has a dot"), "{warning}");
    for (words, expected) in
        [(["subscribe", "room.a.b"], 4), (["subscribe", "@a.b"], 0), (["publish", "@a.b"], 0), (["publish", "@a"], 4)]
    {
        assert_eq!(explained(&config, Some(&token), &words).0, expected, "{words:?}");
    }
}

#[test]
fn an_open_server_grants_what_no_rule_refuses() {
    let (code, told, _) = ask(&["explain", "publish", "orders"]);
    assert_eq!(code, Some(0));
    assert!(told.contains("the server is open, and no rule says otherwise"), "{told}");
    let config = file("open.toml", "[[topics]]\nmatch = \"news.>\"\npublish = \"nobody\"\n");
    assert_eq!(explained(&config, None, &["publish", "news.a"]).0, 4);
    assert_eq!(explained(&config, None, &["publish", "orders"]).0, 0);
    assert_eq!(explained(&config, None, &["subscribe", "@ada"]).0, 4);
    let (code, told) = explained(&config, Some("a.b.c"), &["publish", "orders"]);
    assert_eq!((code, told.contains("the server accepts no token")), (4, true), "{told}");
}

#[test]
fn a_token_in_the_wrong_place_is_not_shown() {
    let token = made(&config("wrong_place.toml"), &["--user", "ada"]);
    let key = ask(&["key", "--only-key"]).1;
    for secret in [token.as_str(), key.trim()] {
        for words in [
            &["token", secret][..],
            &["token", "inspect", "a.b.c", secret],
            &["explain", secret, "a"],
            &["explain", "publish", "a", secret],
            &[secret],
            &["token", "make", secret, "--user", "ada"],
            &["explain", "--token", "a", "--key-id", secret, "publish", "b"],
        ] {
            let (code, stdout, stderr) = ask(words);
            assert_eq!(code, Some(2), "{words:?}: {stdout}{stderr}");
            assert!(!stdout.contains(&secret[20..]) && !stderr.contains(&secret[20..]), "{stdout}{stderr}");
        }
    }
    let (code, _, fault) = ask(&["token", "inspect", key.trim()]);
    assert_eq!((code, fault.as_str()), (Some(2), "error: this is an API key, and no token\n"));
}

#[test]
fn the_help_names_the_questions_and_their_exit_codes() {
    let (_, help, _) = ask(&["--help"]);
    for name in ["  key ", "  token ", "  explain "] {
        assert!(help.contains(name), "{help}");
    }
    for (words, usage) in [
        (&["key", "--help"][..], "Usage: hubcast key [OPTIONS]\n"),
        (&["token", "make", "--help"], "Usage: hubcast token make [OPTIONS] --user <SUB>\n"),
        (&["token", "inspect", "--help"], "Usage: hubcast token inspect [OPTIONS] <TOKEN|->\n"),
        (&["explain", "--help"], "Usage: hubcast explain [OPTIONS] <ACTION> <TOPIC|PATTERN>\n"),
    ] {
        let (code, help, _) = ask(words);
        assert_eq!(code, Some(0));
        assert!(help.contains(usage) && help.contains("Exit codes:") && !help.contains('`'), "{help}");
    }
}
