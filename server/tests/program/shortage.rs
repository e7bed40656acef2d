//! What the server is out of: each has a line in the log and a number in `/metrics`, and nobody who is connected suffers.

use crate::client::{Client, connect};
use crate::run::{Run, file, folder};
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::process::{Command, Stdio};

/// The answer to a request on a connection of its own.
fn exchange(server: SocketAddr, request: &str) -> String {
    let (mut socket, mut answer) = (connect(server), String::new());
    socket.write_all(request.as_bytes()).unwrap();
    socket.read_to_string(&mut answer).unwrap();
    answer
}

/// The value of a series without labels.
#[track_caller]
fn value(server: SocketAddr, series: &str) -> f64 {
    let page = exchange(server, "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    let line = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {series}: {page}")).parse().unwrap()
}

#[test]
fn without_descriptors_connections_wait_and_those_that_are_open_go_on() {
    let mut server = Run::start(&["--workers", "1"]);
    let mut client = Client::open(server.address());
    client.subscribe("a");
    let pid = Pid::from_raw(server.id().try_into().unwrap());
    let of_server = |soft| {
        // The hard limit is that of the test, which the server has inherited.
        let limit = Rlimit { current: Some(soft), maximum: getrlimit(Resource::Nofile).maximum };
        prlimit(pid, Resource::Nofile, limit).unwrap().current.unwrap()
    };
    // Files that are open stay open. No further one can be opened.
    let before = of_server(3);
    let waiting: Vec<_> = (0..3).map(|_| connect(server.address())).collect();
    let log = server.logs("cannot accept connections; they wait");
    for number in 0..100 {
        assert_eq!(client.publish("a", number)["event"], "published");
    }
    of_server(before);
    assert!(log.contains("the process has as many files open as it may: raise its limit"), "{log}");
    assert!(value(server.address(), "hubcast_accept_failures_total") >= 1.0);
    for mut stream in waiting {
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        stream.read_exact(&mut [0; 12]).unwrap();
    }
    server.signal("KILL");
}

#[test]
fn a_full_disk_is_told_to_who_sends_a_user_away_and_to_the_operator() {
    const KEY: &str = "hc_backend_0123456789abcdefghijklmnopqrstuvwxyzABCDEFE";
    let state = folder("full_disk");
    let text = format!(
        "state_dir = {state:?}\n[tokens]\nkeys = [{{ secret = \"a secret that is as long as it has to be\" }}]\n\
         [[api_keys]]\nkey = \"{KEY}\"\nmanage = true\n"
    );
    let path = file("full-disk.toml", &text);
    // No file may be longer than a few hundred bytes.
    let mut command = Command::new("sh");
    command.env_clear().args(["-c", "ulimit -f 1 && exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_hubcast")]);
    command.args(["--listen", "127.0.0.1:0", "--config", path.to_str().unwrap()]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut server = Run::of(&mut command);
    let send_away = |user: &str| {
        let body = format!("{{\"user\": \"{user}\", \"until\": 4000000000}}");
        let length = body.len();
        let head = format!("X-API-Key: {KEY}\r\nContent-Type: application/json\r\nContent-Length: {length}");
        exchange(
            server.address(),
            &format!("POST /api/disconnect HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{head}\r\n\r\n{body}"),
        )
    };
    assert!(send_away("ada").starts_with("HTTP/1.1 200 "));
    assert!((value(server.address(), "hubcast_state_write_failures_total")).abs() < 1e-9);
    let refused = send_away(&"x".repeat(100).repeat(11));
    assert!(refused.starts_with("HTTP/1.1 503 ") && refused.contains("this could not be stored"), "{refused}");
    let log = server.logs("this may be forgotten over a restart");
    assert!(log.contains("cannot write"), "{log}");
    assert!((value(server.address(), "hubcast_state_write_failures_total") - 1.0).abs() < 1e-9);
    assert!(value(server.address(), "hubcast_state_free_bytes") > 0.0);
    server.signal("KILL");
}
