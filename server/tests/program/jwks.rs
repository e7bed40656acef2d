//! Keys of tokens that the program fetches from a login service.

use crate::client::connect;
use crate::run::{Run, file, hubcast};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use data_encoding::BASE64URL_NOPAD;
use serde_json::json;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

/// What a login service signs with.
struct Login(Ed25519KeyPair);

impl Login {
    fn token(&self) -> String {
        let unix_now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let encode = |text: String| BASE64URL_NOPAD.encode(text.as_bytes());
        let header = encode(json!({"alg": "EdDSA", "kid": "2026"}).to_string());
        let claims = encode(json!({"sub": "anna", "exp": unix_now + 600}).to_string());
        let signature = BASE64URL_NOPAD.encode(self.0.sign(format!("{header}.{claims}").as_bytes()).as_ref());
        format!("{header}.{claims}.{signature}")
    }

    fn set(&self) -> String {
        let x = BASE64URL_NOPAD.encode(self.0.public_key().as_ref());
        json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "2026", "x": x}]}).to_string()
    }
}

/// Answers every request with this status and text, until the test ends.
fn serve(listener: TcpListener, status: &'static str, text: String) {
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let lines = BufReader::new(stream.try_clone().unwrap()).lines();
            lines.map_while(Result::ok).take_while(|line| !line.is_empty()).for_each(drop);
            let length = text.len();
            let _ = write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{text}");
        }
    });
}

/// A configuration with the keys of the login at this address.
fn config(name: &str, login: SocketAddr) -> PathBuf {
    let url = format!("http://{login}/keys?secret=canary");
    file(name, &format!("log_level = \"trace\"\n[tokens]\nkeys = [{{ jwks = \"{url}\" }}]\n"))
}

/// The status of the answer to a handshake with this token.
fn handshake(server: SocketAddr, token: &str) -> String {
    let mut socket = connect(server);
    write!(
        socket,
        "GET /socket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nAuthorization: Bearer {token}\r\n\r\n"
    )
    .unwrap();
    let mut status = [0; 12];
    socket.read_exact(&mut status).unwrap();
    String::from_utf8_lossy(&status[9..]).into_owned()
}

#[test]
fn jwks_are_there_before_the_first_client() {
    let (login, listener) = (Login(Ed25519KeyPair::generate().unwrap()), TcpListener::bind("127.0.0.1:0").unwrap());
    let path = config("jwks.toml", listener.local_addr().unwrap());
    serve(listener, "200 OK", login.set());
    let server = Run::start(&["--config", path.to_str().unwrap()]);
    assert_eq!(handshake(server.address(), &login.token()), "101");
    let another = Login(Ed25519KeyPair::generate().unwrap());
    assert_eq!(handshake(server.address(), &another.token()), "401");
    let log = server.stop();
    assert!(log.contains("fetched other keys") && !log.contains("canary"), "{log}");
}

#[test]
fn jwks_that_cannot_be_fetched_do_not_keep_the_server_from_starting() {
    let (login, listener) = (Login(Ed25519KeyPair::generate().unwrap()), TcpListener::bind("127.0.0.1:0").unwrap());
    let path = config("jwks-down.toml", listener.local_addr().unwrap());
    serve(listener, "503 Service Unavailable", String::new());
    let mut server = Run::start(&["--config", path.to_str().unwrap()]);
    assert_eq!(handshake(server.address(), &login.token()), "401");
    let told = server.logs("cannot fetch keys of tokens");
    assert!(told.contains("WARN") && told.contains("status 503") && !told.contains("canary"), "{told}");
}

#[test]
fn jwks_are_not_fetched_by_check_config() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let path = config("jwks-check.toml", listener.local_addr().unwrap());
    let output = hubcast(&["check-config", "--config", path.to_str().unwrap()]).output().unwrap();
    let shown = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && !shown.contains("canary"), "{shown}");
    listener.set_nonblocking(true).unwrap();
    assert!(listener.accept().is_err(), "nobody has connected to the login");
}
