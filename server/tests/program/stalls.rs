//! Stalls: SIGSTOP stops the program for some seconds, as an overloaded machine does. The server must not close a
//! connection, or shorten its time, because of a stall of the server itself.

use crate::client::{connect, request};
use crate::run::{Run, hubcast};
use hyper_tungstenite::tungstenite::{ClientRequestBuilder, Error, Message, WebSocket, client};
use serde_json::{Value, json};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

/// Duration of a stall. It is longer than the ping interval and the pong timeout of `pinging_server` together, which
/// are 2 seconds.
const STALL: Duration = Duration::from_secs(4);

/// Time after a stall in which a wrong close would happen: the ping interval, the pong timeout and half a second more.
const AFTER: Duration = Duration::from_millis(2500);

/// A server with these arguments on a free port. It writes no log.
fn server(words: &[&str]) -> Run {
    Run::of(hubcast(&["--listen", "127.0.0.1:0", "--log-level", "off"]).args(words))
}

/// A server that pings after 1 second and waits 1 second for the pong.
fn pinging_server() -> Run {
    server(&["--ping", "1s", "--pong-timeout", "1s"])
}

/// `count` connections. Each has received its welcome.
fn peers(server: &Run, count: usize) -> Vec<Peer> {
    (0..count).map(|_| Peer::open(server.address())).collect()
}

/// A client in the typed dialect. It queues the answer to a ping, and sends it with its next read or write.
struct Peer(WebSocket<TcpStream>);

impl Peer {
    /// Connects to a server and reads the welcome.
    fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        let url = format!("ws://{address}/socket").parse().unwrap();
        let (socket, _) = client(ClientRequestBuilder::new(url).with_sub_protocol("hubcast.v1"), stream).unwrap();
        let mut client = Self(socket);
        assert!(client.hear(STALL).is_some_and(|message| message.is_text()), "a welcome");
        client
    }

    /// Reads the next message. Returns `None` if nothing comes within this time. Panics if the connection ends.
    fn hear(&mut self, within: Duration) -> Option<Message> {
        self.0.get_ref().set_read_timeout(Some(within)).unwrap();
        match self.0.read() {
            Ok(Message::Close(why)) => panic!("the server has closed: {why:?}"),
            Ok(message) => Some(message),
            Err(Error::Io(fault)) if matches!(fault.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => None,
            Err(fault) => panic!("the connection is broken: {fault}"),
        }
    }

    /// Reads until the server closes the connection. Returns the code of its close frame, or 1005 if the frame has none
    /// (RFC 6455, section 7.1.5).
    fn is_closed_with(&mut self) -> u16 {
        self.0.get_ref().set_read_timeout(Some(STALL * 2)).unwrap();
        loop {
            match self.0.read() {
                Ok(Message::Close(why)) => {
                    // The answer to the close frame is queued. This read sends it.
                    let _ = self.0.read();
                    return why.map_or(1005, |why| why.code.into());
                }
                Ok(_) => {}
                Err(fault) => panic!("the connection ended without a close frame: {fault}"),
            }
        }
    }

    /// Reads a ping. The answer stays queued until `answers` is called.
    fn is_pinged(&mut self) {
        assert!(self.hear(STALL).is_some_and(|message| message.is_ping()), "a ping");
    }

    /// Sends the queued answers to pings.
    fn answers(&mut self) {
        self.0.flush().unwrap();
    }

    /// Reads for this time, and answers each ping at once. Panics if anything but pings comes.
    fn stays(&mut self, time: Duration) {
        let until = Instant::now() + time;
        while let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            assert!(self.hear(left).is_none_or(|message| message.is_ping()), "nothing but pings");
            self.answers();
        }
    }

    /// Sends a ping request, and checks that the server answers it with a pong event.
    fn is_served(&mut self) {
        self.0.send(Message::text(json!({"id": 1, "action": "ping"}).to_string())).unwrap();
        let answer = loop {
            match self.hear(STALL) {
                Some(Message::Ping(_)) => self.answers(),
                other => break other.unwrap().into_text().unwrap(),
            }
        };
        assert_eq!(serde_json::from_str::<Value>(&answer).unwrap(), json!({"event": "pong", "id": 1}));
    }
}

/// Calls `Peer::stays` on all clients at the same time, each on a thread of its own, because each must answer its own
/// pings.
fn all_stay(clients: &mut [Peer], time: Duration) {
    thread::scope(|scope| clients.iter_mut().for_each(|client| _ = scope.spawn(move || client.stays(time))));
}

#[test]
fn who_answers_pings_at_once_outlives_a_stall_of_the_server() {
    let server = pinging_server();
    let mut clients = peers(&server, 20);
    for client in &mut clients {
        client.is_pinged();
        client.answers();
    }
    server.signal("STOP");
    all_stay(&mut clients, STALL);
    server.signal("CONT");
    all_stay(&mut clients, AFTER);
    clients.iter_mut().for_each(Peer::is_served);
}

#[test]
fn a_request_head_that_came_while_the_server_stood_still_is_answered() {
    let server = server(&["--head-timeout", "1500ms", "--upgrade-timeout", "100ms", "--workers", "1"]);
    let head = "GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let mut clients = [0, 10].map(|sent| {
        let mut client = TcpStream::connect(server.address()).unwrap();
        client.write_all(&head.as_bytes()[..sent]).unwrap();
        (client, &head[sent..])
    });
    // Connections are accepted in order, so those above are served when this one is.
    assert_eq!(request(&mut connect(server.address()), "/healthz", ""), 200);
    server.signal("STOP");
    for (client, rest) in &mut clients {
        client.write_all(rest.as_bytes()).unwrap();
    }
    thread::sleep(STALL);
    server.signal("CONT");
    for (mut client, rest) in clients {
        let mut answer = String::new();
        client.set_read_timeout(Some(STALL)).unwrap();
        client.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{rest:?} came during the stall: {answer:?}");
    }
}

#[test]
fn a_stall_during_the_drain_takes_nothing_from_its_time() {
    let server = server(&["--drain-spread", "2s", "--drain-deadline", "3s"]);
    let mut clients = peers(&server, 10);
    server.signal("TERM");
    // The drain has begun, and most of the connections still wait for their close.
    assert_eq!(clients[0].is_closed_with(), 1012);
    server.signal("STOP");
    thread::sleep(STALL);
    server.signal("CONT");
    thread::scope(|scope| {
        for client in &mut clients[1..] {
            scope.spawn(|| assert_eq!(client.is_closed_with(), 1012));
        }
    });
}

#[test]
fn an_answer_that_came_while_the_server_stood_still_counts() {
    let server = pinging_server();
    let mut clients = peers(&server, 20);
    clients.iter_mut().for_each(Peer::is_pinged);
    server.signal("STOP");
    clients.iter_mut().for_each(Peer::answers);
    all_stay(&mut clients, STALL);
    server.signal("CONT");
    all_stay(&mut clients, AFTER);
    clients.iter_mut().for_each(Peer::is_served);
}
