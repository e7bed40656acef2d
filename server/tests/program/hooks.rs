//! Hooks as operators use them: the command that tries them, and what the server says of one that fails.

use crate::run::{Run, file, hubcast};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::Output;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

/// A secret of which nothing may come out: not in base64, and not as bytes.
const SECRET: &str = "whsec_Y2FuYXJ5LWNhbmFyeS1jYW5hcnktY2FuYXJ5";

/// A receiver that answers each request with this head, and passes the requests on.
fn receiver(answer: &'static str) -> (SocketAddr, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, requests) = mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            let mut reader = BufReader::new(&stream);
            let (mut head, mut line) = (String::new(), String::new());
            while reader.read_line(&mut line).unwrap_or(0) > 2 {
                head.push_str(&line);
                line.clear();
            }
            let length = head.split("content-length: ").nth(1).and_then(|rest| rest.split('\r').next());
            let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
            let _ = reader.read_exact(&mut body);
            let _ = (&stream).write_all(answer.as_bytes());
            if sender.send(format!("{head}\n{}", String::from_utf8_lossy(&body))).is_err() {
                return;
            }
        }
    });
    (address, requests)
}

fn config(hooks: &[(&str, SocketAddr)]) -> String {
    let hook = |(name, address): &(&str, SocketAddr)| {
        format!(
            "[[hooks]]\nname = \"{name}\"\nurl = \"http://{address}/hook?token=canary-query\"\nsecret = \"{SECRET}\"\n"
        )
    };
    hooks.iter().map(hook).collect()
}

/// Fails if a text holds a secret.
#[track_caller]
fn holds_no_secret(text: &str) {
    for secret in [SECRET, &SECRET[6..], "canary"] {
        assert!(!text.contains(secret), "{secret} was not to come out: {text}");
    }
}

fn test_hooks(name: &str, config: &str, words: &[&str]) -> (Output, String) {
    let path = file(name, config);
    let words = [&["hooks", "test", "--config", path.to_str().unwrap()], words].concat();
    // No proxy is asked, whatever the environment says.
    let (proxy, asked) = receiver("HTTP/1.1 204 X\r\n\r\n");
    let mut command = hubcast(&words);
    let command = command.env("HTTP_PROXY", format!("http://{proxy}")).env("ALL_PROXY", format!("http://{proxy}"));
    let output = command.output().unwrap();
    assert!(asked.try_recv().is_err(), "the proxy was asked");
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    holds_no_secret(&text);
    (output, text)
}

const DEADLINE: Duration = Duration::from_secs(20);

#[test]
fn a_try_says_what_came_back_and_ends_with_the_code_for_it() {
    let (good, heard) = receiver("HTTP/1.1 204 X\r\n\r\n");
    let (bad, _) = receiver("HTTP/1.1 500 X\r\nContent-Length: 6\r\n\r\ncanary");
    let (away, _) = receiver("HTTP/1.1 302 X\r\nLocation: http://127.0.0.1/canary\r\n\r\n");
    let all = config(&[("good", good), ("bad", bad), ("away", away)]);
    let (output, text) = test_hooks("hooks-good.toml", &all, &["good"]);
    assert_eq!((output.status.code(), &*text), (Some(0), "good: 204: the event has arrived\n"));
    let request = heard.recv_timeout(DEADLINE).unwrap();
    for part in ["POST /hook?token=canary-query", "webhook-signature: v1,", r#""type":"hook.test""#, "webhook-id: "] {
        assert!(request.contains(part), "{part} is in {request}");
    }
    let (output, text) = test_hooks("hooks-all.toml", &all, &[]);
    assert_eq!(output.status.code(), Some(1));
    for part in ["good: 204: the event", "bad: 500: the receiver has failed", "away: 302: this is a redirect"] {
        assert!(text.contains(part), "{part} is in {text}");
    }
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (output, text) = test_hooks("hooks-nobody.toml", &config(&[("nobody", nobody)]), &[]);
    assert!(output.status.code() == Some(1) && text.starts_with("nobody: no answer: cannot connect"), "{text}");
}

#[test]
fn a_hook_of_the_public_internet_alone_reaches_no_other_address() {
    let (local, heard) = receiver("HTTP/1.1 204 X\r\n\r\n");
    let text = config(&[("me", local)]).replace("127.0.0.1", "localhost");
    let (output, told) = test_hooks("hooks-public.toml", &format!("hooks_public_only = true\n{text}"), &[]);
    assert!(output.status.code() == Some(1) && told.contains("which is not allowed here"), "{told}");
    assert!(heard.try_recv().is_err());
    let (output, told) = test_hooks("hooks-local.toml", &text, &[]);
    assert_eq!(output.status.code(), Some(0), "{told}");
}

#[test]
fn a_wrong_setting_of_a_hook_is_named_with_its_line() {
    let (local, _) = receiver("HTTP/1.1 204 X\r\n\r\n");
    let right = config(&[("me", local)]);
    for (wrong, expected) in [
        (right.replace("secret =", "secrte ="), "line 1: hooks, hook 1: secret is missing"),
        (right.replace("whsec_", "x"), "line 1: hooks, hook 1: secret: a secret begins with whsec_"),
        (right.replace("127.0.0.1", "169.254.169.254"), "line 1: hooks, hook 1: url: a link-local address"),
        (format!("{right}{right}"), "line 5: hooks, hook 2: name = \"me\": another hook has this name"),
        (right.replace("[[hooks]]", "[hooks]"), "hooks, must be a list of tables"),
        (String::new(), "the settings have no hooks"),
    ] {
        let (output, told) = test_hooks("hooks-wrong.toml", &wrong, &[]);
        assert!(output.status.code() == Some(2) && told.contains(expected), "{expected}: {told}");
    }
    let (output, told) = test_hooks("hooks-unknown.toml", &right, &["you"]);
    assert!(output.status.code() == Some(2) && told.contains("there are me"), "{told}");
}

#[test]
fn no_secret_of_a_hook_comes_out() {
    let (failing, heard) = receiver("HTTP/1.1 500 X\r\nContent-Length: 6\r\n\r\ncanary");
    let text = format!("log_level = \"trace\"\n{}", config(&[("me", failing)]));
    let path = file("hooks-secret.toml", &text);
    let mut server = Run::start(&["--config", path.to_str().unwrap()]);
    heard.recv_timeout(DEADLINE).unwrap();
    let log = server.logs("cannot deliver events of a hook");
    assert!(log.contains("status=500") && log.contains("hook=\"me\""), "{log}");
    holds_no_secret(&format!("{log}{}", server.stop()));
    let shown = hubcast(&["check-config", "--config", path.to_str().unwrap()]).output().unwrap();
    assert_eq!(shown.status.code(), Some(0));
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.contains("name = \"me\"") && shown.contains("***"), "{shown}");
    holds_no_secret(&shown);
    let broken = file("hooks-broken.toml", &text.replace("secret = \"", "secret = [\""));
    let told = hubcast(&["check-config", "--config", broken.to_str().unwrap()]).output().unwrap();
    assert_eq!(told.status.code(), Some(2));
    holds_no_secret(&String::from_utf8_lossy(&told.stderr));
}
