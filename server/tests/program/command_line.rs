//! The command line of the program: what it prints, which arguments it refuses, and its exit codes.

use crate::run::{Run, file, folder, hubcast};
use serde_json::Value;
use std::ffi::OsStr;
use std::fs;
use std::io::{Write, pipe};
use std::net::{TcpListener, TcpStream};
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Output, Stdio};

/// Runs a command to its end. Returns its exit code, standard output and standard error.
fn outcome(command: &mut Command) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

/// Runs a command, checks that it ends with this exit code, and returns its standard error.
#[track_caller]
fn failure(command: &mut Command, expected: i32) -> String {
    let (code, stdout, stderr) = outcome(command);
    assert_eq!(code, Some(expected), "{stdout}{stderr}");
    stderr
}

#[test]
fn help_has_headings_defaults_units_and_examples() {
    let (code, help, _) = outcome(&mut hubcast(&["--help"]));
    assert_eq!(code, Some(0));
    let parts =
        ["Server:", "Limits:", "Topics:", "Timeouts:", "Stopping:", "Logging:", "Units:", "Examples:", "check-config"];
    for part in parts.iter().chain(&["--max-frame <SIZE>", "[default: 64KiB]", "HUBCAST_MAX_FRAME=32KiB"]) {
        assert!(help.contains(part), "{part} is not in\n{help}");
    }
    assert!(!help.contains('\x1b'), "no colours where no terminal is");
}

#[test]
fn the_version_is_printed() {
    let (code, version, _) = outcome(&mut hubcast(&["--version"]));
    assert_eq!((code, version), (Some(0), concat!("hubcast ", env!("CARGO_PKG_VERSION"), "\n").to_owned()));
}

#[test]
fn check_config_says_where_each_value_comes_from() {
    let path = file("sources.toml", "ping = \"9s\"\nlinger = \"1s\"\nworkers = 3\n");
    let mut command = hubcast(&["check-config", "--ping", "15s", "--config"]);
    let (code, listing, stderr) = outcome(command.arg(&path).env("HUBCAST_WORKERS", "2"));
    assert_eq!(code, Some(0), "{stderr}");
    let path = path.to_str().unwrap();
    for (setting, source) in [
        ("ping = \"15s\"", "--ping"),
        ("workers = 2", "HUBCAST_WORKERS"),
        ("linger = \"1s\"", path),
        ("max_head = \"16KiB\"", "default"),
    ] {
        let line = listing.lines().find(|line| line.starts_with(setting)).unwrap_or_else(|| panic!("{listing}"));
        assert!(line.ends_with(&format!("# {source}")), "{line}");
    }
}

#[test]
fn what_check_config_prints_is_a_file_that_means_the_same() {
    let words = ["--ping", "15s", "--origins", "https://a.example,https://b.example", "--log-format", "json"];
    let rules = "[{match = \"chat.>\", presence = {grace = \"1m\"}}, {match = \"a\", history = false}]";
    let (_, listing, _) = outcome(hubcast(&["check-config"]).args(words).args(["--topics", rules]));
    let path = file("listing.toml", &listing);
    let (code, again, stderr) = outcome(hubcast(&["check-config", "--config"]).arg(path));
    assert_eq!(code, Some(0), "{stderr}");
    let settings = |text: &str| {
        text.lines().map(|line| line.split(" # ").next().unwrap().trim_end().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(settings(&again), settings(&listing));
}

#[test]
fn the_environment_can_name_the_file() {
    let path = file("by_environment.toml", "ping = \"9s\"\n");
    let (code, listing, _) = outcome(hubcast(&["check-config"]).env("HUBCAST_CONFIG", path));
    assert_eq!(code, Some(0));
    assert!(listing.contains("ping = \"9s\""), "{listing}");
}

#[test]
fn the_file_can_be_standard_input_and_one_without_an_end_is_refused() {
    let mut command = hubcast(&["check-config", "--config", "/dev/stdin"]);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"ping = \"9s\"\n").unwrap();
    let listing = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
    assert!(listing.contains("ping = \"9s\""), "{listing}");
    let fault = failure(&mut hubcast(&["--config", "/dev/zero"]), 2);
    assert_eq!(fault, "error: /dev/zero: the file is larger than 16 MiB\n");
}

#[test]
fn a_wrong_value_is_named_by_its_flag() {
    let fault = failure(&mut hubcast(&["--ping", "fast"]), 2);
    assert!(
        fault.contains("'fast' for '--ping <DURATION>': not a duration; write a number with ms, s, m or h"),
        "{fault}"
    );
}

#[test]
fn a_wrong_value_is_named_by_its_variable() {
    let fault = failure(hubcast(&[]).env("HUBCAST_PING", "fast"), 2);
    assert!(fault.contains("'fast' for 'HUBCAST_PING': not a duration; write a number with ms, s, m or h"), "{fault}");
    let fault = failure(hubcast(&["check-config"]).env("HUBCAST_LOG_LEVEL", "loud"), 2);
    assert!(fault.contains("'HUBCAST_LOG_LEVEL'") && fault.contains("off, error, warn, info"), "{fault}");
}

#[test]
fn a_wrong_value_of_the_file_is_named_with_its_line() {
    for (name, text, line, fault) in [
        ("duration.toml", "workers = 2\nping = \"fast\"", 2, "ping = \"fast\": not a duration"),
        ("range.toml", "# none\n\nworkers = 0", 3, "workers = 0: must be 1 to 256"),
        (
            "secret.toml",
            "[tokens]\nkeys = [\n{ secret = \"short\" }]",
            3,
            "tokens, key 1: secret: a secret has at least",
        ),
        ("grant.toml", "[anonymous]\nsubscribe = [\"a..b\"]", 1, "anonymous, subscribe has \"a..b\": a pattern has no"),
    ] {
        let path = file(name, text);
        let told = failure(hubcast(&["check-config", "--config"]).arg(&path), 2);
        assert!(told.starts_with(&format!("error: {}, line {line}: {fault}", path.display())), "{told}");
    }
}

#[test]
fn a_variable_that_is_no_text_is_named() {
    let bytes = OsStr::from_bytes(b"\xff3s");
    let fault = failure(hubcast(&["--log-level", "off"]).env("HUBCAST_PING", bytes), 2);
    assert!(fault.starts_with("error: HUBCAST_PING=\u{fffd}3s: not UTF-8 text\n"), "{fault}");
}

#[test]
fn a_long_value_is_shown_in_part() {
    let long = "x".repeat(100_000);
    for words in
        [&["--ping", &long][..], &["--log-level", &long], &[&long], &["--ping", "1s", &long], &["bench", &long]]
    {
        let output = hubcast(words).output().unwrap();
        assert!(!output.status.success());
        assert!(output.stderr.len() < 700, "{}", String::from_utf8_lossy(&output.stderr));
    }
    let fault = failure(hubcast(&[]).env("HUBCAST_TOPICS", &long), 2);
    assert!(fault.contains(&format!("'{}…' for 'HUBCAST_TOPICS'", &long[..200])), "{fault}");
}

#[test]
fn a_word_that_does_not_belong_there_is_named() {
    for words in [&["--listen", "0.0.0.0", "8080"][..], &["check-config", "8080"]] {
        let fault = failure(&mut hubcast(words), 2);
        assert!(fault.starts_with("error: unexpected argument '8080' found\n\nUsage: hubcast"), "{fault}");
    }
    let fault = failure(&mut hubcast(&["--config", "some.toml", "check-config"]), 2);
    assert!(fault.contains("tip: check-config has to be the first word: hubcast check-config [OPTIONS]\n"), "{fault}");
}

#[test]
fn a_variable_that_has_no_effect_on_a_subcommand_is_no_fault() {
    let path = file("beside_an_empty_variable.toml", "ping = \"9s\"\n");
    for (words, variable) in [
        (&["check-config", "--ping", "5s"][..], ("HUBCAST_PING", "zzz")),
        (&["check-config", "--config", path.to_str().unwrap()], ("HUBCAST_CONFIG", "")),
    ] {
        let (code, _, stderr) = outcome(hubcast(words).envs([variable]));
        assert_eq!((code, stderr.as_str()), (Some(0), ""), "{words:?} {variable:?}");
    }
    let fault = failure(hubcast(&["bench", "wrong"]).env("HUBCAST_PING", "zzz"), 1);
    assert!(fault.contains("\"wrong\" must be of the form ws://host:port/path"), "{fault}");
}

#[test]
fn the_usage_of_a_subcommand_names_the_program_too() {
    for (words, usage) in [
        (["check-config", "--help"], "Usage: hubcast check-config [OPTIONS]\n"),
        (["bench", "--help"], "Usage: hubcast bench [OPTIONS] [URL]\n"),
    ] {
        let (_, help, _) = outcome(&mut hubcast(&words));
        assert!(help.contains(usage), "{help}");
    }
    let fault = failure(&mut hubcast(&["check-config", "--pign", "5s"]), 2);
    assert!(fault.contains("Usage: hubcast check-config") && fault.contains("'--ping'"), "{fault}");
}

#[test]
fn a_wrong_value_is_named_by_its_file_and_key() {
    let path = file("wrong_value.toml", "ping = \"fast\"\n");
    let fault = failure(hubcast(&["--config"]).arg(&path), 2);
    let expected = "ping = \"fast\": not a duration; write a number with ms, s, m or h, such as \"25s\"";
    assert_eq!(fault, format!("error: {}, line 1: {expected}\n", path.display()));
}

#[test]
fn a_wrong_rule_is_named_by_file_number_and_key_and_by_flag() {
    let path = file("wrong_rule.toml", "[[topics]]\nmatch = \"a\"\n\n[[topics]]\nmatch = \"b\"\nhistory.size = 0\n");
    let fault = failure(hubcast(&["--config"]).arg(&path), 2);
    let expected = "topics, rule 2: history.size = 0: must be at least 1; history = false keeps nothing";
    assert_eq!(fault, format!("error: {}, line 4: {expected}\n", path.display()));
    let fault = failure(&mut hubcast(&["--topics", "[{match = \"a*\"}]"]), 2);
    assert!(fault.contains("for '--topics <RULES>': rule 1: match = \"a*\": \"*\" and \">\" stand alone"), "{fault}");
}

#[test]
fn an_unknown_key_is_named_with_the_one_that_is_meant() {
    for (wrong, meant) in [("max_mesage", "max_message"), ("max-outbox", "max_outbox")] {
        let path = file("unknown_key.toml", &format!("{wrong} = 1\n"));
        let fault = failure(hubcast(&["--config"]).arg(&path), 2);
        let expected = format!("{wrong}: there is no such key; did you mean {meant}?");
        assert_eq!(fault, format!("error: {}, line 1: {expected}\n", path.display()));
    }
}

#[test]
fn a_misspelt_variable_is_named_with_the_nearest_one() {
    for words in [&["check-config"][..], &["--listen", "127.0.0.1:0", "--config", "nowhere.toml"]] {
        let fault = failure(hubcast(words).env("HUBCAST_MAX_OUTBX", "1MiB"), 2);
        assert_eq!(fault, "error: HUBCAST_MAX_OUTBX: there is no such variable; did you mean HUBCAST_MAX_OUTBOX?\n");
    }
}

#[test]
fn variables_of_others_are_ignored_with_a_warning_and_those_of_kubernetes_without_one() {
    let kubernetes = [
        ("HUBCAST_SERVICE_HOST", "10.0.0.1"),
        ("HUBCAST_SERVICE_PORT", "8080"),
        ("HUBCAST_PORT", "tcp://10.0.0.1:8080"),
        ("HUBCAST_PORT_8080_TCP", "tcp://10.0.0.1:8080"),
    ];
    let (code, _, stderr) = outcome(hubcast(&["check-config"]).envs(kubernetes));
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    let (code, _, stderr) = outcome(hubcast(&["check-config"]).envs(kubernetes).env("HUBCAST_IMAGE", "hubcast:1"));
    let expected = "warning: there are no settings of these names, they are ignored: HUBCAST_IMAGE\n";
    assert_eq!((code, stderr.as_str()), (Some(0), expected));
}

#[test]
fn values_that_do_not_go_together_are_named_both() {
    let fault = failure(hubcast(&["--max-message", "32KiB"]).env("HUBCAST_MAX_FRAME", "48KiB"), 2);
    assert!(fault.contains("HUBCAST_MAX_FRAME=48KiB: must be at most --max-message 32KiB"), "{fault}");
}

#[test]
fn a_missing_file_is_said() {
    let fault = failure(&mut hubcast(&["--config", "nowhere.toml"]), 2);
    assert_eq!(fault, "error: nowhere.toml: there is no such file\n");
}

#[test]
fn a_bench_that_cannot_measure_is_refused_before_it_connects() {
    let server = Run::start(&[]);
    let url = format!("ws://{}/socket", server.address());
    let fault = failure(&mut hubcast(&["bench", &url, "--duration", "0s"]), 2);
    assert!(fault.contains("'0s' for '--duration <TIME>': must be longer than nothing"), "{fault}");
    let fault = failure(&mut hubcast(&["bench", "ws://127.0.0.1:99999/socket"]), 1);
    assert!(fault.contains("it must be a number from 1 to 65535"), "{fault}");
}

#[test]
fn a_bench_writes_a_page_and_a_table() {
    let server = Run::start(&[]);
    let folder = folder("bench");
    fs::create_dir_all(&folder).unwrap();
    let (page, table) = (folder.join("bench.html"), folder.join("bench.csv"));
    let url = format!("ws://{}/socket", server.address());
    let mut bench =
        hubcast(&["bench", &url, "--clients", "5", "--rate", "100", "--warmup", "50ms", "--duration", "1s"]);
    let output = bench.arg("--html").arg(&page).arg("--csv").arg(&table).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let page = fs::read_to_string(page).unwrap();
    assert_eq!((page.matches("<svg ").count(), page.matches("Nothing was measured").count()), (3, 0));
    assert!(page.contains(&url) && !page.contains("src=") && !page.contains("<script"), "nothing from elsewhere");
    let table = fs::read_to_string(table).unwrap();
    let lines: Vec<_> = table.lines().collect();
    assert_eq!((lines.len(), lines[0]), (11, "seconds,deliveries_per_second,p50_us,p90_us,p99_us,p999_us,max_us"));
    let rates = lines[1..].iter().map(|line| line.split(',').nth(1).unwrap().parse::<f64>().unwrap());
    let mean = rates.sum::<f64>() / 10.0;
    assert!((400.0..=600.0).contains(&mean), "{table}");
}

#[test]
fn a_bench_that_cannot_write_its_files_says_so_before_it_connects() {
    let nowhere = "ws://127.0.0.1:1/socket";
    let fault = failure(&mut hubcast(&["bench", nowhere, "--html", "/nowhere/bench.html"]), 1);
    assert!(fault.starts_with("error: cannot write /nowhere/bench.html: No such file or directory"), "{fault}");
}

#[test]
fn a_configuration_that_cannot_be_printed_is_said() {
    let (reader, writer) = pipe().unwrap();
    drop(reader);
    let fault = failure(hubcast(&["check-config"]).stdout(writer), 1);
    assert!(fault.starts_with("error: cannot print the configuration: Broken pipe"), "{fault}");
}

#[test]
fn a_bench_whose_output_is_closed_fails_without_a_panic() {
    let server = Run::start(&[]);
    let url = format!("ws://{}/socket", server.address());
    let mut bench = hubcast(&["bench", &url, "--subscribers", "1", "--warmup", "1ms", "--duration", "100ms"]);
    let mut child = bench.spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("error: cannot print the report"), "{stderr}");
}

#[test]
fn an_occupied_port_is_said() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let fault = failure(&mut hubcast(&["--listen", &address, "--log-level", "off"]), 1);
    let expected =
        format!("cannot listen on {address}: the port is taken by another program; stop it, or choose another port\n");
    assert!(fault.ends_with(&format!(" ERROR hubcast: {expected}")), "{fault}");
}

#[test]
fn too_few_file_descriptors_are_said() {
    let words = ["-c", "ulimit -n 200 && exec \"$0\" --workers 1 --max-connections 500", env!("CARGO_BIN_EXE_hubcast")];
    let fault = failure(Command::new("sh").env_clear().args(words), 1);
    assert!(fault.contains("--max-connections 500: this process may have 200 files open"), "{fault}");
    assert!(fault.contains("raise the limit to 572"), "{fault}");
}

#[test]
fn the_start_up_line_names_the_real_port_and_what_to_try() {
    let mut server = Run::start(&[]);
    let address = server.address();
    assert_eq!(
        server.first_line(),
        format!("hubcast {} is listening on ws://{address}/socket\n", env!("CARGO_PKG_VERSION"))
    );
    assert!(TcpStream::connect(address).is_ok(), "nobody listens on {address}");
    server.signal("TERM");
    let rest = server.rest_of_output();
    assert!(rest.contains(&format!("npx wscat -c ws://{address}/socket\n")), "{rest}");
    assert!(rest.contains(r#"{"action": "subscribe", "topic": "world"}"#), "{rest}");
}

#[test]
fn both_signals_end_the_server_in_order() {
    for signal in ["TERM", "INT"] {
        let server = Run::start(&[]);
        server.signal(signal);
        assert_eq!(server.exit_code(), Some(0), "{signal}");
    }
}

#[test]
fn the_log_is_json_by_flag() {
    let mut server = Run::start(&["--log-format", "json"]);
    let line: Value = serde_json::from_str(server.first_line()).unwrap();
    let expected = format!("is listening on ws://{}/socket", server.address());
    assert!(line["level"] == "INFO" && line["message"].as_str().unwrap().ends_with(&expected), "{line}");
    server.signal("TERM");
    assert_eq!(server.rest_of_output(), "", "no line for people");
    let log = server.end().1;
    let events: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(events.iter().any(|event| event["message"] == "listening" && event["level"] == "INFO"), "{log}");
}

#[test]
fn the_log_can_be_switched_off() {
    assert_eq!(Run::start(&["--log-level", "off"]).stop(), "");
}
