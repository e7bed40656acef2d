//! Where connections come from: proxies that say it, Unix sockets, and how many one address may have.

use hubcast_server::Config;
use hubcast_server::auth::TrustedProxies;
use hubcast_tests::{ApiClient, Handshake, Plain, Server, Socket, with_api_key};
use std::net::TcpListener;
use std::time::Duration;

const HEALTH: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

/// A server behind proxies on these networks, each of whose connections begins with a PROXY header.
fn behind_proxies(networks: &str) -> Server {
    Server::with(|config| expect_headers(config, networks))
}

fn expect_headers(config: &mut Config, networks: &str) {
    config.proxy_protocol = true;
    config.auth.trusted_proxies = TrustedProxies::new(vec![networks.parse().expect("a network")]);
    with_api_key(config, "manage", &[(hubcast_hub::Permission::Publish, ">")]);
}

/// A header of version 2 for a client at 192.0.2.7:8080.
fn binary(command: u8) -> Vec<u8> {
    let head = [b"\r\n\r\n\0\r\nQUIT\n".as_slice(), &[command, 0x11, 0, 12]].concat();
    [&head[..], &[192, 0, 2, 7, 127, 0, 0, 1, 0x1f, 0x90, 0, 80]].concat()
}

#[test]
fn a_proxy_says_whose_connection_it_is() {
    let server = behind_proxies("127.0.0.0/8");
    let lines: [&[u8]; 2] = [b"PROXY TCP4 192.0.2.7 127.0.0.1 8080 80\r\n", &binary(0x21)];
    for header in lines {
        let mut socket = server.socket();
        socket.writes(header);
        let _plain = Plain::open(socket);
        let mut operator = server.socket();
        operator.writes(b"PROXY UNKNOWN\r\n");
        let mut operator = ApiClient::over(operator, "manage");
        let clients = operator.gets("/api/clients").body;
        assert_eq!(clients["clients"][0]["address"], "192.0.2.7:0", "{clients}");
    }
}

#[test]
fn a_header_may_come_in_pieces_and_the_request_with_it() {
    let server = behind_proxies("127.0.0.0/8");
    let header = binary(0x21);
    for cut in [1, 12, 13, 16, 20, header.len()] {
        let mut socket = server.socket();
        socket.writes(&header[..cut]);
        std::thread::sleep(Duration::from_millis(5));
        socket.writes(&[&header[cut..], HEALTH].concat());
        assert_eq!(socket.answer().status, 200, "cut at {cut}");
    }
}

#[test]
fn a_proxy_may_ask_for_itself() {
    let server = behind_proxies("127.0.0.0/8");
    for header in [b"PROXY UNKNOWN\r\n".to_vec(), binary(0x20)] {
        let mut socket = server.socket();
        socket.writes(&[&header[..], HEALTH].concat());
        assert_eq!(socket.answer().status, 200);
    }
}

#[test]
fn without_a_right_header_there_is_no_answer() {
    let server = behind_proxies("127.0.0.0/8");
    for bytes in
        [HEALTH.to_vec(), [&b"PROXY TCP4 a b 1 2\r\n"[..], HEALTH].concat(), [&binary(0x21)[..15], HEALTH].concat()]
    {
        let mut socket = server.socket();
        socket.writes(&bytes);
        socket.is_cut_without("HTTP");
    }
    let mut twice = server.socket();
    twice.writes(&[&b"PROXY UNKNOWN\r\nPROXY UNKNOWN\r\n"[..], HEALTH].concat());
    assert_eq!(twice.answer().status, 400, "the second header is no request");
}

#[test]
fn a_header_of_anybody_else_counts_nothing() {
    let server = behind_proxies("192.0.2.0/24");
    let mut socket = server.socket();
    // The connection may be cut before all of it is written.
    let _ = socket.try_writes(&[&b"PROXY TCP4 192.0.2.7 127.0.0.1 8080 80\r\n"[..], HEALTH].concat());
    socket.is_cut_without("HTTP");
}

#[test]
fn an_address_has_no_more_than_its_share() {
    let server = Server::with(|config| {
        config.max_connections_per_address = Some(2);
        config.auth.trusted_proxies = TrustedProxies::new(vec!["127.0.0.0/8".parse().expect("a network")]);
    });
    let status = |client: &str| {
        let mut socket = server.socket();
        let answer = socket.asks(&Handshake::default().with(&format!("X-Forwarded-For: {client}")));
        (answer.status, socket)
    };
    let (first, second) = (status("192.0.2.1"), status("10.9.9.9, 192.0.2.1"));
    assert_eq!((first.0, second.0, status("192.0.2.1").0), (101, 101, 429));
    assert_eq!(status("192.0.2.2").0, 101, "another address");
    let mut stream = server.socket();
    stream.writes(b"GET /events?topic=a HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n");
    assert_eq!(stream.answer().status, 200);
    assert!(stream.rest().contains("\"code\":1013"), "a stream ends at once, and says when to come back");
    drop(first);
    let end = std::time::Instant::now() + hubcast_tests::DEADLINE;
    while status("192.0.2.1").0 != 101 {
        assert!(std::time::Instant::now() < end, "no place became free");
    }
}

#[test]
fn what_comes_by_a_unix_socket_is_served_too() {
    let folder = std::env::temp_dir().join(format!("hubcast-unix-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let path = folder.join("a.sock");
    let listener = std::os::unix::net::UnixListener::bind(&path).expect("a socket");
    let network = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let server = Server::made(
        |config| {
            hubcast_server::Server::bind(config, [network]).expect("a server").with_unix(listener).expect("a server")
        },
        |config| config.max_connections_per_address = Some(1),
    );
    let connect = || {
        use std::io::{Read as _, Write as _};
        let mut stream = std::os::unix::net::UnixStream::connect(&path).expect("a connection");
        stream.set_read_timeout(Some(hubcast_tests::DEADLINE)).expect("a socket");
        stream.write_all(&Handshake::default().bytes()).expect("a handshake");
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).expect("an answer");
        assert_eq!(&answer, b"HTTP/1.1 101");
        stream
    };
    // They have no address that could have too many.
    let both = (connect(), connect());
    assert_eq!(Socket::connect(server.address()).asks(&Handshake::default()).status, 101);
    drop(both);
    drop(server);
    std::fs::remove_dir_all(&folder).expect("a folder");
}
