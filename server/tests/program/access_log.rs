//! The lines of the log about who comes, goes, and changes something.

use crate::client::{Client, connect, request, token};
use crate::run::{Run, file};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

const SECRET: &str = "a-secret-of-tokens-0123456789-abcdefghijk";
const KEY: &str = "hc_backend_0123456789abcdefghijklmnopqrstuvwxyzABCDEFE";
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

/// A server whose log is JSON, with one worker, and this configuration.
fn server(name: &str, config: &str) -> Run {
    let path = file(name, config);
    Run::start(&[
        "--log-format",
        "json",
        "--workers",
        "1",
        "--close-timeout",
        "200ms",
        "--config",
        path.to_str().unwrap(),
    ])
}

/// The header `traceparent` of a request.
fn traced() -> String {
    format!("traceparent: 00-{TRACE}-b7ad6b7169203331-01\r\n")
}

/// The next line about a connection, or about what a key has changed.
#[track_caller]
fn line(server: &mut Run, target: &str) -> Value {
    let log = server.logs(&format!("\"target\":\"hubcast::{target}\""));
    serde_json::from_str(log.lines().last().unwrap()).unwrap()
}

/// The fields of a line that say something else in each run are checked and taken out.
#[track_caller]
fn fields(mut line: Value, address: Option<SocketAddr>) -> Value {
    let fields = line.as_object_mut().unwrap();
    for name in ["timestamp", "level", "target", "message"] {
        assert!(fields.remove(name).is_some(), "{name}");
    }
    if let Some(address) = address {
        assert_eq!(fields.remove("address"), Some(address.to_string().into()));
        assert!(fields.remove("client").is_some_and(|client| client.as_str().is_some_and(|id| id.len() == 36)));
    }
    if let Some(seconds) = fields.remove("seconds") {
        assert!((0.0..10.0).contains(&seconds.as_f64().unwrap()), "{seconds}");
    }
    line
}

#[test]
fn a_client_has_a_line_when_it_comes_and_one_when_it_goes() {
    let mut server = server("access.toml", "");
    let stream = connect(server.address());
    let address = stream.local_addr().unwrap();
    let mut client = Client::over(stream, server.address()).unwrap();
    let opened = line(&mut server, "access");
    assert_eq!(opened["level"], "INFO");
    let id = opened["client"].clone();
    assert_eq!(fields(opened, Some(address)), json!({"operation": "open", "path": "/socket", "dialect": "typed"}));
    client.subscribe("a");
    for number in 0..3 {
        // The publisher is a subscriber, and gets no echo.
        client.publish("a", number);
    }
    let mut other = Client::open(server.address());
    let come = line(&mut server, "access");
    other.publish("a", "x".repeat(100));
    assert_eq!(client.hear()["event"], "message");
    drop(client);
    let closed = line(&mut server, "access");
    assert_eq!(closed["client"], id);
    let (received, sent) = (closed["received_bytes"].as_u64().unwrap(), closed["sent_bytes"].as_u64().unwrap());
    assert!((200..1_000).contains(&received) && (500..2_000).contains(&sent), "{closed}");
    let rest = json!({"operation": "close", "path": "/socket", "dialect": "typed", "code": 1006, "messages": 4,
        "deliveries": 1, "received_bytes": received, "sent_bytes": sent});
    assert_eq!(fields(closed, Some(address)), rest);
    assert_ne!(come["client"], id);
    // The order of the fields is part of the shape.
    let log = server.stop();
    let closed = log.lines().find(|line| line.contains("\"close\"")).unwrap();
    let places = ["address", "operation", "client", "path", "dialect", "code", "reason", "seconds", "messages"];
    let places = places.map(|name| closed.find(&format!("\"{name}\":")).unwrap_or_else(|| panic!("{name}: {closed}")));
    assert!(places.is_sorted(), "{closed}");
    assert!(closed.contains("\"code\":1012,\"reason\":\"restarting\""), "{closed}");
}

#[test]
fn lines_have_the_user_and_the_trace_and_never_the_query() {
    let config = format!("[tokens]\nkeys = [{{ id = \"id\", secret = \"{SECRET}\" }}]\nquery = true\n");
    let mut server = server("access-user.toml", &config);
    let token = token(json!({"sub": "ada", "subscribe": [">"]}), ("id", SECRET));
    let mut stream = connect(server.address());
    let headers = format!("Authorization: Bearer {token}\r\n{}", traced());
    assert_eq!(request(&mut stream, "/socket", &headers), 101);
    let address = stream.local_addr().unwrap();
    let about = |operation| json!({"operation": operation, "user": "ada", "path": "/socket", "dialect": "plain", "trace": TRACE});
    assert_eq!(fields(line(&mut server, "access"), Some(address)), about("open"));
    drop(stream);
    let closed = line(&mut server, "access");
    assert_eq!((&closed["user"], &closed["trace"], &closed["code"]), (&"ada".into(), &TRACE.into(), &1006.into()));
    // A user that says who it is only later.
    let mut client = Client::open(server.address());
    assert!(line(&mut server, "access").get("user").is_none());
    client.ask(&json!({"id": 1, "action": "authenticate", "token": token}));
    drop(client);
    let closed = line(&mut server, "access");
    assert_eq!((&closed["user"], closed.get("trace")), (&"ada".into(), None));
    let mut stream = connect(server.address());
    let request = format!("GET /events?topic=secret.topic&token={token} HTTP/1.1\r\nHost: x\r\n{}\r\n", traced());
    stream.write_all(request.as_bytes()).unwrap();
    stream.read_exact(&mut [0; 12]).unwrap();
    let address = stream.local_addr().unwrap();
    let about = json!({"operation": "open", "user": "ada", "path": "/events", "dialect": "events", "trace": TRACE});
    assert_eq!(fields(line(&mut server, "access"), Some(address)), about);
    drop(stream);
    assert_eq!(line(&mut server, "access")["code"], 1005);
    let log = server.stop();
    assert!(!log.contains("secret.topic") && !log.contains(&token), "{log}");
}

#[test]
fn what_a_key_changes_has_a_line_of_the_same_shape() {
    let config = format!("log_level = \"debug\"\n[[api_keys]]\nkey = \"{KEY}\"\npublish = [\">\"]\nmanage = true\n");
    let mut server = server("access-audit.toml", &config);
    let ask = |server: &Run, line: &str, body: &str| {
        let length = body.len();
        let request = format!(
            "{line} HTTP/1.1\r\nHost: x\r\nX-API-Key: {KEY}\r\n{}Content-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}",
            traced()
        );
        let mut stream = TcpStream::connect(server.address()).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    };
    let about = |operation: &str, of: &str, count: u64| json!({"address": "127.0.0.1", "operation": operation, "key": "backend", "of": of, "count": count, "trace": TRACE});
    ask(&server, "POST /api/publish", r#"{"topic": "a", "message": 1}"#);
    assert_eq!(fields(line(&mut server, "audit"), None), about("publish", "a", 1));
    ask(&server, "POST /api/publish", r#"{"messages": [{"topic": "a", "message": 1}, {"topic": "b", "message": 1}]}"#);
    assert_eq!(fields(line(&mut server, "audit"), None), about("publish", "a batch", 2));
    ask(&server, "DELETE /api/topics/a/history", "");
    let line = line(&mut server, "audit");
    assert_eq!(line["level"], "INFO");
    assert_eq!(fields(line, None), about("delete_history", "a", 0));
}

#[test]
fn a_flood_of_connections_is_none_of_lines() {
    let mut server = server("access-flood.toml", "");
    let begun = Instant::now();
    let clients: Vec<_> = (0..300).map(|_| Client::open(server.address())).collect();
    drop(clients);
    // The last line of a test that always comes.
    server.signal("HUP");
    let log = server.logs("the settings are in force");
    let most = 100 * (begun.elapsed().as_secs() + 2);
    let lines = log.matches("hubcast::access").count() as u64;
    assert!((100..=most).contains(&lines), "{lines} lines of {most}");
    assert_eq!(log.matches("lines are left out").count(), 1, "{log}");
}

#[test]
fn lines_about_connections_can_be_switched_off_while_the_server_runs() {
    let mut server = server("access-off.toml", "log_connections = true\n");
    let first = Client::open(server.address());
    line(&mut server, "access");
    file("access-off.toml", "log_connections = false\n");
    server.signal("HUP");
    server.logs("the settings are in force");
    drop(first);
    drop(Client::open(server.address()));
    assert!(!server.stop().contains("hubcast::access"));
}
