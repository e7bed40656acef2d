//! A receiver of hooks: a small HTTP server that does what a test says, and checks every signature with code of its own.

use data_encoding::BASE64;
use hubcast_server::hooks::Hook;
use hubcast_tests::DEADLINE;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The secret of a test, in bytes and as it is written.
pub(crate) const SECRET: &str = "whsec_Y2FuYXJ5LWNhbmFyeS1jYW5hcnktY2FuYXJ5";

/// What a receiver does with a request.
#[derive(Clone, Debug)]
pub(crate) enum Does {
    /// Answers with this status, and with further lines of the head.
    Answers(u16, String),
    /// Closes the connection without an answer.
    Cuts,
    /// Neither answers nor closes.
    Hangs,
}

/// One request, whatever the receiver did with it.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) id: String,
    pub(crate) body: Vec<u8>,
    pub(crate) is_confirmed: bool,
}

/// A running receiver.
pub(crate) struct HookReceiver {
    pub(crate) address: SocketAddr,
    requests: mpsc::Receiver<Request>,
    /// The events of requests that were read.
    events: Vec<Value>,
}

impl Does {
    /// Confirms the request.
    pub(crate) fn takes() -> Self {
        Self::Answers(204, String::new())
    }
}

impl Request {
    /// The number of events that it says are missing, and its events.
    pub(crate) fn read(&self) -> (u64, Vec<Value>) {
        let body: Value = serde_json::from_slice(&self.body).unwrap();
        assert_eq!(body["type"], "hubcast.events");
        (body["data"]["dropped"].as_u64().unwrap(), body["data"]["events"].as_array().unwrap().clone())
    }
}

impl HookReceiver {
    /// A receiver that confirms everything.
    pub(crate) fn start() -> Self {
        Self::that(|_| Does::takes())
    }

    /// A receiver that does this with each request; the argument is the number of requests before it.
    pub(crate) fn that(mut does: impl FnMut(u64) -> Does + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, requests) = mpsc::channel();
        thread::spawn(move || {
            let mut hanging = Vec::new();
            for (stream, number) in listener.incoming().zip(0..) {
                let Ok(stream) = stream else { return };
                let does = does(number);
                let Some((id, body)) = request(&stream) else { continue };
                let is_confirmed = matches!(does, Does::Answers(200..300, _));
                if sender.send(Request { id, body, is_confirmed }).is_err() {
                    return;
                }
                match does {
                    Does::Answers(status, head) => {
                        let answer = format!("HTTP/1.1 {status} X\r\n{head}Content-Length: 0\r\n\r\n");
                        let _ = (&stream).write_all(answer.as_bytes());
                    }
                    Does::Cuts => {}
                    Does::Hangs => hanging.push(stream),
                }
            }
        });
        Self { address, requests, events: Vec::new() }
    }

    /// A hook of this name that leads here.
    pub(crate) fn hook(&self, name: &str) -> Hook {
        let url = format!("http://{}/hook?canary", self.address).parse().unwrap();
        Hook::new(name, url, SECRET.parse().unwrap())
    }

    /// Waits for the next request.
    #[track_caller]
    pub(crate) fn hears(&self) -> Request {
        self.requests.recv_timeout(DEADLINE).expect("a request comes")
    }

    /// The next request, if one comes within this time.
    pub(crate) fn hears_within(&self, time: Duration) -> Option<Request> {
        self.requests.recv_timeout(time).ok()
    }

    /// The next event, if one has come.
    pub(crate) fn next(&mut self) -> Option<Value> {
        if self.events.is_empty() {
            self.events = self.requests.try_recv().ok()?.read().1;
        }
        (!self.events.is_empty()).then(|| self.events.remove(0))
    }

    /// Waits for the next event, however they are batched.
    #[track_caller]
    pub(crate) fn next_event(&mut self) -> Value {
        while self.events.is_empty() {
            self.events = self.hears().read().1;
        }
        self.events.remove(0)
    }

    /// Waits for the next event and checks its type. Returns it.
    #[track_caller]
    pub(crate) fn hears_event(&mut self, kind: &str) -> Value {
        let event = self.next_event();
        assert_eq!(event["type"], kind, "{event}");
        event
    }

    /// All requests that have come.
    pub(crate) fn all(&self) -> Vec<Request> {
        self.requests.try_iter().collect()
    }
}

/// Reads a request, and checks its head and its signature. `None`: nothing came.
fn request(stream: &TcpStream) -> Option<(String, Vec<u8>)> {
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let mut reader = BufReader::new(stream);
    let lines: Vec<_> = (&mut reader).lines().map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
    let (first, head) = lines.split_first()?;
    assert_eq!(first, "POST /hook?canary HTTP/1.1");
    let header = |name: &str| {
        let mut found = head.iter().filter_map(|line| line.split_once(": ")).filter(|(key, _)| *key == name);
        found.next().unwrap_or_else(|| panic!("{name} is in {head:?}")).1
    };
    let mut body = vec![0; header("content-length").parse().unwrap()];
    reader.read_exact(&mut body).unwrap();
    let (id, timestamp) = (header("webhook-id"), header("webhook-timestamp"));
    let secret = BASE64.decode(SECRET.trim_start_matches("whsec_").as_bytes()).unwrap();
    let signed = [id.as_bytes(), b".", timestamp.as_bytes(), b".", &body].concat();
    let expected = format!("v1,{}", BASE64.encode(&hmac_sha256(&secret, &signed)));
    assert!(header("webhook-signature").split(' ').any(|signature| signature == expected), "{head:?}");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    assert!(now.abs_diff(timestamp.parse().unwrap()) <= 60, "{timestamp}");
    assert_eq!(header("content-type"), "application/json");
    assert!(header("user-agent").starts_with("hubcast/"));
    Some((id.to_owned(), body))
}

/// RFC 2104 with SHA-256.
fn hmac_sha256(key: &[u8], text: &[u8]) -> Vec<u8> {
    assert!(key.len() <= 64);
    let padded = |with: u8| -> Vec<u8> { (0..64).map(|at| key.get(at).copied().unwrap_or(0) ^ with).collect() };
    let inner = Sha256::digest([&padded(0x36), text].concat());
    Sha256::digest([padded(0x5c), inner.to_vec()].concat()).to_vec()
}
