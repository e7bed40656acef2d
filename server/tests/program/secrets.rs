//! No token, key or secret comes out of the program: not in its log, not in its answers, not in its errors.

use crate::client::{Client, connect};
use crate::run::{Run, file, hubcast};
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::process::Output;
use std::time::{SystemTime, UNIX_EPOCH};

const SECRET: &str = "canary-secret-0123456789-abcdefghijk";
const KEY: &str = "hc_canary_0123456789abcdefghijklmnopqrstuvwxyzABCDEFE";
const WRONG_KEY: &str = "hc_canary_0123456789abcdefghijklmnopqrstuvwxyzABCDEFY";

fn token(claims: &Value, secret: &str) -> String {
    encode(&Header::default(), claims, &EncodingKey::from_secret(secret.as_bytes())).unwrap()
}

/// A right token, one that is over, and one with a wrong signature.
fn tokens() -> Vec<String> {
    let unix_now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let claims = |end| json!({"sub": "canary-user", "exp": end, "subscribe": [">"], "publish": [">"]});
    vec![
        token(&claims(unix_now + 600), SECRET),
        token(&claims(unix_now - 600), SECRET),
        token(&claims(unix_now + 600), "another secret that is long enough too"),
    ]
}

/// Fails if a text holds a secret.
#[track_caller]
fn holds_no_secret(text: &str, tokens: &[String]) {
    let parts = tokens.iter().flat_map(|token| token.split('.').skip(1));
    for secret in parts.chain([SECRET, &KEY[10..], &WRONG_KEY[10..]]) {
        assert!(!text.contains(secret), "{secret} was not to come out: {text}");
    }
}

fn config(extra: &str) -> String {
    format!(
        "log_level = \"trace\"\n{extra}\n[tokens]\nkeys = [{{ secret = \"{SECRET}\" }}]\nquery = true\n\
         [[api_keys]]\nkey = \"{KEY}\"\npublish = [\">\"]\nmanage = true\n"
    )
}

/// Sends a request and returns the answer, up to the end of the connection or of a short answer.
fn exchange(server: SocketAddr, request: &str) -> String {
    let mut socket = connect(server);
    socket.write_all(request.as_bytes()).unwrap();
    let _ = socket.shutdown(std::net::Shutdown::Write);
    let mut answer = Vec::new();
    let _ = socket.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn no_secret_comes_out_of_a_server_that_logs_all_it_can() {
    let tokens = tokens();
    let path = file("secrets.toml", &config(""));
    let server = Run::start(&["--config", path.to_str().unwrap()]);
    let upgrade = "Host: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let mut requests = Vec::new();
    for secret in tokens.iter().map(String::as_str).chain([KEY, WRONG_KEY]) {
        for place in [
            format!("GET /socket HTTP/1.1\r\n{upgrade}Authorization: Bearer {secret}\r\n\r\n"),
            format!(
                "GET /socket HTTP/1.1\r\n{upgrade}Sec-WebSocket-Protocol: hubcast.v1, hubcast.token.{secret}\r\n\r\n"
            ),
            format!("GET /socket?token={secret} HTTP/1.1\r\n{upgrade}\r\n"),
            format!("GET /socket?token={secret}&token={secret}x HTTP/1.1\r\n{upgrade}\r\n"),
            format!("GET /events?topic=a&token={secret} HTTP/1.0\r\nAccept: text/plain\r\n\r\n"),
            format!("GET /events?topic=%&token={secret} HTTP/1.1\r\nHost: x\r\n\r\n"),
            format!("GET /{secret} HTTP/1.1\r\nHost: x\r\nCookie: {secret}\r\n\r\n"),
            format!(
                "GET /api/stats?token={secret} HTTP/1.1\r\nHost: x\r\nX-API-Key: {secret}\r\nConnection: close\r\n\r\n"
            ),
            format!(
                "POST /api/publish HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {secret}\r\nContent-Length: 3\r\n\r\n{{]}}"
            ),
            format!("BROKEN {secret}\r\nAuthorization: Bearer {secret}\r\n\r\n"),
            format!("GET /socket HTTP/1.1\r\n{upgrade}Authorization: Bearer {secret}\r\nOrigin: {secret}\u{1}\r\n\r\n"),
        ] {
            requests.push(place);
        }
    }
    for request in &requests {
        let answer = exchange(server.address(), request);
        // A right handshake echoes no token, and neither does a refusal.
        holds_no_secret(&answer, &tokens);
    }
    for token in &tokens {
        let mut client = Client::open(server.address());
        let answer = client.ask(&json!({"id": 1, "action": "authenticate", "token": token}));
        holds_no_secret(&answer.to_string(), std::slice::from_ref(token));
    }
    holds_no_secret(&server.stop(), &tokens);
}

#[test]
fn no_secret_comes_out_of_a_configuration_right_or_wrong() {
    let run = |name: &str, text: &str, words: &[&str]| -> (Output, String) {
        let path = file(name, text);
        let mut command = hubcast(words);
        let output = command.args(["--config", path.to_str().unwrap()]).output().unwrap();
        let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        (output, text)
    };
    let (right, shown) = run("secrets-shown.toml", &config(""), &["check-config"]);
    assert!(right.status.success(), "{shown}");
    holds_no_secret(&shown, &[]);
    for (number, extra) in
        ["ping = 7", "secret = \"canary-secret-0123456789-abcdefghijk\"", "x = \"", "tokens = 7"].iter().enumerate()
    {
        let (wrong, told) = run(&format!("secrets-wrong-{number}.toml"), &config(extra), &["check-config"]);
        assert_eq!(wrong.status.code(), Some(2), "{told}");
        holds_no_secret(&told, &[]);
    }
    let broken = config("").replace("query = true", "query = maybe");
    for text in
        [broken, config("").replace("secret = \"", "secret = [\""), config("").replace("keys = [{", "keys = [[{")]
    {
        let (wrong, told) = run("secrets-broken.toml", &text, &["check-config"]);
        assert_eq!(wrong.status.code(), Some(2), "{told}");
        holds_no_secret(&told, &[]);
    }
    for wrong in [
        hubcast(&["check-config", "--tokens", &format!("{{ keys = [{{ secret = \"{SECRET}\", x = 1 }}] }}")]),
        hubcast(&["check-config", "--api-keys", &format!("[{{ key = \"{KEY}\", x = 1 }}]")]),
        hubcast(&["check-config", "--tokens", &format!("{{ keys = [{{ secret = \"{SECRET}\" ")]),
        // Nothing in these says what they are.
        hubcast(&["check-config", "--tokens", &format!("[\"{}\"]", &KEY[10..])]),
        hubcast(&["check-config", "--api-keys", &KEY[10..]]),
    ]
    .iter_mut()
    {
        let output = wrong.output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{told}");
        holds_no_secret(&told, &[]);
    }
}
