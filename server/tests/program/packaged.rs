//! What a package needs: the health check, the manual pages and the completions.

use crate::client::Client;
use crate::commands::outcome;
use crate::run::{Run, file, folder, hubcast};
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

#[test]
fn the_health_check_finds_the_server_of_its_configuration() {
    let server = Run::start(&["--hosts", "hub.example"]);
    let listen = server.address().to_string();
    let path = file(
        "health.toml",
        &format!("listen = \"{listen}\"\n[tokens]\nkeys = [{{ algorithm = \"RS256\", file = \"missing.pem\" }}]"),
    );
    let config = ["--config", path.to_str().unwrap()];
    for (words, variable, answer) in [
        (&["health"][..], Some(&listen), "alive\n"),
        (&["health", "--ready"], Some(&listen), "ready\n"),
        (&["health", config[0], config[1]], None, "alive\n"),
        (&["health", &format!("http://{listen}")], None, "alive\n"),
        (&["health", &format!("http://{listen}/readyz")], None, "ready\n"),
        // Where a server listens on all addresses, it is asked on this machine.
        (&["health", &format!("http://0.0.0.0:{}/", server.address().port())], None, "alive\n"),
    ] {
        let mut command = hubcast(words);
        command.envs(variable.map(|listen| ("HUBCAST_LISTEN", listen)));
        assert_eq!(outcome(&mut command, ""), (Some(0), answer.to_owned(), String::new()), "{words:?}");
    }
}

#[test]
fn the_health_check_speaks_tls_and_goes_through_unix_sockets() {
    let certificate = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/tests/server/tls/one.pem");
    let secure = ["--listen", "127.0.0.1:0", "--tls-certificate", certificate, "--tls-key", certificate];
    let secure = Run::of(&mut hubcast(&secure));
    let url = format!("https://{}", secure.address());
    assert_eq!(outcome(&mut hubcast(&["health", &url]), ""), (Some(0), "alive\n".to_owned(), String::new()));
    let plainly = outcome(&mut hubcast(&["health", &url.replace("https", "http")]), "");
    assert_eq!((plainly.0, plainly.2.contains("answers 400")), (Some(1), true), "{plainly:?}");

    let socket = std::env::temp_dir().join(format!("hubcast-health-{}.sock", std::process::id()));
    let text = format!("listen = [\"127.0.0.1:0\", \"unix:{}\"]\nunix_mode = \"600\"", socket.display());
    let path = file("health-unix.toml", &text);
    let server = Run::of(&mut hubcast(&["--config", path.to_str().unwrap()]));
    let only = file("health-unix-only.toml", &format!("listen = \"unix:{}\"", socket.display()));
    let ask = || outcome(&mut hubcast(&["health", "--config", only.to_str().unwrap()]), "");
    assert_eq!(ask(), (Some(0), "alive\n".to_owned(), String::new()));
    assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    server.signal("TERM");
    assert_eq!(server.end().0, Some(0));
    assert!(!socket.exists(), "the file goes with the server");
    assert_eq!(ask().0, Some(3));
}

#[test]
fn the_exit_code_of_a_health_check_says_what_is_wrong() {
    let full = Run::start(&["--max-connections", "1"]);
    let _only = Client::open(full.address());
    let (full, silent) = (format!("http://{}", full.address()), TcpListener::bind("127.0.0.1:0").unwrap());
    let silent = format!("http://{}", silent.local_addr().unwrap());
    for (words, code, why) in [
        (&["health", &full][..], 0, ""),
        (&["health", "--ready", &full], 1, "error: the server answers 503: "),
        (&["health", "http://127.0.0.1:1"], 3, "error: 127.0.0.1, port 1: Connection refused"),
        (&["health", "--timeout", "50ms", &silent], 3, "error: 127.0.0.1, port "),
        (&["health", "ws://127.0.0.1:8080/socket"], 2, "error: ws://127.0.0.1:8080/socket: not an address that begins"),
        (&["health", "--config", "nowhere.toml"], 2, "error: nowhere.toml: there is no such file"),
        (&["health", "--timeout", "0s"], 2, "error: invalid value '0s'"),
    ] {
        let (ended, _, told) = outcome(&mut hubcast(words), "");
        assert!(ended == Some(code) && told.starts_with(why), "{words:?}: {ended:?} {told}");
    }
}

#[test]
fn each_command_has_a_manual_page() {
    let pages = folder("man");
    let (code, listed, told) = outcome(&mut hubcast(&["man", "--dir", pages.to_str().unwrap()]), "");
    assert_eq!((code, told.as_str()), (Some(0), ""));
    for name in ["hubcast", "hubcast-sub", "hubcast-token", "hubcast-token-make", "hubcast-health", "hubcast-man"] {
        assert!(listed.contains(&format!("/{name}.1\n")), "{name} is not in\n{listed}");
    }
    for path in listed.lines() {
        let page = fs::read_to_string(path).unwrap();
        assert!(page.contains(".TH hubcast") && page.contains(".SH NAME\n"), "{path}: {page}");
        assert!(!page.contains('\x1b') && !page.contains("EXTRA"), "{path}: {page}");
    }
    let whole = fs::read_to_string(pages.join("hubcast.1")).unwrap();
    for part in [".SH LIMITS\n", "\\-\\-max\\-frame", ".SH \"EXIT CODES\"\n", ".SH SIGNALS\n", "hubcast\\-sub(1)"] {
        assert!(whole.contains(part), "{part} is not in\n{whole}");
    }
    assert_eq!(outcome(&mut hubcast(&["man"]), "").1, whole);
}

/// Where groff is installed, it finds nothing to warn about.
#[test]
fn groff_understands_the_manual_page() {
    let page = hubcast(&["man"]).output().unwrap().stdout;
    let mut groff = Command::new("groff");
    groff.args(["-man", "-ww", "-z", "-Tutf8"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    if groff.output().is_err() {
        return;
    }
    let (code, _, told) = outcome(&mut groff, &String::from_utf8(page).unwrap());
    assert_eq!((code, told.as_str()), (Some(0), ""));
}

#[test]
fn each_shell_gets_completions() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let (code, script, told) = outcome(&mut hubcast(&["completions", shell]), "");
        assert_eq!((code, told.as_str()), (Some(0), ""), "{shell}");
        assert!(script.contains("max-outbox") && script.contains("presence"), "{shell}: {script}");
    }
    let script = outcome(&mut hubcast(&["completions", "bash"]), "").1;
    let parsed = outcome(Command::new("bash").arg("-n").stdout(Stdio::piped()).stderr(Stdio::piped()), &script);
    assert_eq!(parsed, (Some(0), String::new(), String::new()));
    assert_eq!(outcome(&mut hubcast(&["completions", "csh"]), "").0, Some(2));
}
