//! TLS: the same server behind a certificate.

use hubcast_server::Tls;
use hubcast_tests::{Handshake, Server};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::fs;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A certificate for localhost with its key, valid for a hundred years.
const ONE: &str = include_str!("tls/one.pem");
const OTHER: &str = include_str!("tls/other.pem");

/// A server whose certificate is in a file.
struct Secure {
    server: Server,
    tls: Arc<Tls>,
    file: PathBuf,
}

type Stream = StreamOwned<ClientConnection, TcpStream>;

impl Secure {
    fn start(name: &str) -> Self {
        let file = std::env::temp_dir().join(format!("hubcast-tls-{name}-{}.pem", std::process::id()));
        fs::write(&file, ONE).expect("a file");
        let tls = Arc::new(Tls::load(&file, &file).expect("a certificate with its key"));
        let server = Server::with(|config| config.tls = Some(Arc::clone(&tls)));
        Self { server, tls, file }
    }

    /// A client that trusts only this certificate.
    fn connect(&self, trusted: &str) -> io::Result<Stream> {
        self.connect_with(trusted, &[b"http/1.1"])
    }

    fn connect_with(&self, trusted: &str, protocols: &[&[u8]]) -> io::Result<Stream> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(trusted.as_bytes()).expect("a certificate")).expect("a certificate");
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()));
        let config = config.with_safe_default_protocol_versions().expect("versions");
        let mut config = config.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        let name = ServerName::try_from("localhost").expect("a name");
        let mut connection = ClientConnection::new(Arc::new(config), name).expect("a client");
        let mut socket = TcpStream::connect(self.server.address())?;
        socket.set_read_timeout(Some(hubcast_tests::DEADLINE))?;
        while connection.is_handshaking() {
            connection.complete_io(&mut socket)?;
        }
        Ok(StreamOwned::new(connection, socket))
    }
}

impl Drop for Secure {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.file);
    }
}

/// Opens a WebSocket in the plain dialect; returns after the welcome.
fn opened(mut stream: Stream) -> Stream {
    stream.write_all(&Handshake::default().bytes()).expect("a handshake");
    let heard = read_until(&mut stream, |heard| heard.windows(8).any(|part| part == b"Welcome!"));
    assert!(heard.starts_with(b"HTTP/1.1 101"), "{}", heard.escape_ascii());
    stream
}

fn read_until(stream: &mut Stream, is_enough: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let (mut heard, mut chunk) = (Vec::new(), [0; 4096]);
    while !is_enough(&heard) {
        let count = stream.read(&mut chunk).expect("more bytes");
        assert!(count > 0, "the end came after {}", heard.escape_ascii());
        heard.extend_from_slice(&chunk[..count]);
    }
    heard
}

/// A request as the frame of a client.
fn request(action: &str, message: &str) -> Vec<u8> {
    let text = format!(r#"{{"action":"{action}","topic":"world","message":"{message}"}}"#);
    hubcast_tests::Frame::text(text).bytes()
}

#[test]
fn what_is_published_goes_through_the_layer_in_both_directions() {
    let secure = Secure::start("both-ways");
    let mut subscriber = opened(secure.connect(ONE).expect("a connection"));
    subscriber.write_all(&request("subscribe", "")).expect("a request");
    let mut publisher = opened(secure.connect(ONE).expect("a connection"));
    // Larger than a record, and larger than what one read takes.
    for size in [1, 100, 16_384, 16_385, 60_000] {
        let message = "m".repeat(size);
        // The subscription is made before the first of them is published: it was answered with the second request.
        subscriber.write_all(&request("settled?", "")).expect("a request");
        read_until(&mut subscriber, |heard| heard.ends_with(b"Action unrecognized"));
        publisher.write_all(&request("publish", &message)).expect("a request");
        let heard = read_until(&mut subscriber, |heard| heard.len() >= size + 2);
        assert!(heard.ends_with(message.as_bytes()), "{size}: {} bytes", heard.len());
    }
    for _ in 0..1_000 {
        publisher.write_all(&request("publish", "one of many")).expect("a request");
    }
    let one = 2 + "one of many".len();
    let heard = read_until(&mut subscriber, |heard| heard.len() >= 1_000 * one);
    assert_eq!(heard.len(), 1_000 * one);
}

#[test]
fn plain_http_gets_a_sentence() {
    let secure = Secure::start("plain");
    let mut socket = secure.server.socket();
    socket.writes(b"GET /socket HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(socket.answer().status, 400);
    assert!(socket.rest().contains("this port speaks TLS"));
}

#[test]
fn only_http_1_1_is_spoken_in_it() {
    let secure = Secure::start("alpn");
    assert!(secure.connect_with(ONE, &[b"h2"]).is_err());
    let stream = secure.connect_with(ONE, &[b"h2", b"http/1.1"]).expect("a connection");
    assert_eq!(stream.conn.alpn_protocol(), Some(&b"http/1.1"[..]));
    assert!(secure.connect_with(ONE, &[]).is_ok(), "a client that names nothing");
}

#[test]
fn an_end_is_said_before_it_comes() {
    let secure = Secure::start("goodbye");
    let mut stream = secure.connect(ONE).expect("a connection");
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an end that is no truncation");
    assert!(answer.trim_end().ends_with("alive"), "{answer}");
    let mut stream = opened(secure.connect(ONE).expect("a connection"));
    stream.write_all(&hubcast_tests::Frame::close(1000, "").bytes()).expect("a close");
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).expect("an end that is no truncation");
    assert_eq!(rest, [0x88, 2, 3, 0xe8]);
}

#[test]
fn a_reader_that_takes_nothing_for_a_while_loses_nothing() {
    let secure = Secure::start("slow");
    let mut subscriber = opened(secure.connect(ONE).expect("a connection"));
    subscriber.write_all(&request("subscribe", "")).expect("a request");
    subscriber.write_all(&request("settled?", "")).expect("a request");
    read_until(&mut subscriber, |heard| heard.ends_with(b"Action unrecognized"));
    let mut publisher = opened(secure.connect(ONE).expect("a connection"));
    let message = "x".repeat(20_000);
    for _ in 0..40 {
        publisher.write_all(&request("publish", &message)).expect("a request");
    }
    publisher.write_all(&request("settled?", "")).expect("a request");
    read_until(&mut publisher, |heard| heard.ends_with(b"Action unrecognized"));
    let heard = read_until(&mut subscriber, |heard| heard.len() >= 40 * (4 + message.len()));
    assert_eq!(heard.len(), 40 * (4 + message.len()));
}

#[test]
fn a_new_certificate_is_for_those_who_come_after_it() {
    let secure = Secure::start("renewed");
    let mut early = opened(secure.connect(ONE).expect("a connection"));
    assert!(secure.connect(OTHER).is_err(), "it is another certificate");
    assert_eq!(secure.tls.expires(), Some(4_949_383_133), "2126-11-03 12:38:53 UTC, as OpenSSL reads it");
    let next = secure.file.with_extension("next");
    fs::write(&next, OTHER).expect("a file");
    fs::rename(&next, &secure.file).expect("a file");
    let end = Instant::now() + Duration::from_secs(15);
    while secure.connect(OTHER).is_err() {
        assert!(Instant::now() < end, "the new certificate is not in force after 15 s");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(secure.connect(ONE).is_err(), "the old one is not in force any more");
    assert_eq!(secure.tls.reloads().0, 1);
    early.write_all(&request("settled?", "")).expect("the connection is still there");
    read_until(&mut early, |heard| heard.ends_with(b"Action unrecognized"));
}

#[test]
fn a_pair_that_does_not_match_changes_nothing() {
    let secure = Secure::start("broken");
    let certificate_of_one = ONE.split_once("-----BEGIN PRIVATE").expect("a certificate and a key").0;
    let key_of_other = OTHER.split_once("-----END CERTIFICATE-----").expect("a certificate and a key").1;
    for (text, words) in [
        (format!("{certificate_of_one}{key_of_other}"), "the key is not that of the certificate"),
        (certificate_of_one.to_owned(), "there is no private key"),
        (key_of_other.to_owned(), "there is no certificate"),
        (String::new(), "there is no certificate"),
        ("-----BEGIN CERTIFICATE-----\nnot base64\n-----END CERTIFICATE-----\n".to_owned(), "there is no certificate"),
    ] {
        fs::write(&secure.file, text).expect("a file");
        let fault = secure.tls.reload().expect_err("a broken file").to_string();
        assert!(fault.contains(words), "{fault}");
        assert!(secure.connect(ONE).is_ok(), "the old one stays in force");
    }
    fs::remove_file(&secure.file).expect("a file");
    assert!(secure.tls.reload().is_err());
    fs::write(&secure.file, ONE).expect("a file");
    assert_eq!(secure.tls.reload().ok(), Some(false), "nothing is new");
}
