//! The files that are part of the server: the client of browsers, and the console.

use hubcast_tests::Server;

#[test]
fn the_console_is_there_with_all_its_files_if_it_is_on() {
    let server = Server::with(|config| config.console = true);
    let mut socket = server.socket();
    socket.writes(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    let answer = socket.answer();
    assert_eq!((answer.status, answer.header("Content-Type")), (200, Some("text/html; charset=utf-8")));
    let policy = answer.header("Content-Security-Policy").unwrap();
    assert!(policy.starts_with("default-src 'none'; ") && policy.contains("require-trusted-types-for 'script'"));
    assert_eq!(answer.header("X-Content-Type-Options"), Some("nosniff"));
    assert_eq!(answer.header("Referrer-Policy"), Some("no-referrer"));
    assert_eq!(answer.header("Cross-Origin-Opener-Policy"), Some("same-origin"));
    assert_eq!(answer.header("Access-Control-Allow-Origin"), None);
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../server/src/http/console");
    for file in std::fs::read_dir(folder).unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        let expected = if name == "index.html" { 404 } else { 200 };
        assert_eq!(server.status_of(&format!("GET /console/{name} HTTP/1.1")), expected, "{name}");
    }
    assert_eq!(server.status_of("POST / HTTP/1.1"), 405);
    assert_eq!(server.status_of("GET /console/ HTTP/1.1"), 404);
}

#[test]
fn the_browser_client_is_there_and_is_sent_again_only_when_it_has_changed() {
    let server = Server::start();
    let mut socket = server.socket();
    socket.writes(b"GET /hubcast.js HTTP/1.1\r\nHost: x\r\n\r\n");
    let answer = socket.answer();
    assert_eq!((answer.status, answer.header("Content-Type")), (200, Some("text/javascript; charset=utf-8")));
    assert_eq!(answer.header("Access-Control-Allow-Origin"), Some("*"));
    let length = answer.header("Content-Length").and_then(|length| length.parse().ok()).unwrap();
    assert!(socket.reads(length).contains("export function connect"));
    let tag = answer.header("ETag").unwrap().to_owned();
    for (known, status) in [(tag.clone(), 304), (format!("\"x\", W/{tag}"), 304), ("\"x\"".to_owned(), 200)] {
        let mut socket = server.socket();
        socket.writes(format!("GET /hubcast.js HTTP/1.1\r\nHost: x\r\nIf-None-Match: {known}\r\n\r\n").as_bytes());
        assert_eq!(socket.answer().status, status, "{known}");
    }
    assert_eq!(server.status_of("POST /hubcast.js HTTP/1.1"), 405);
}
