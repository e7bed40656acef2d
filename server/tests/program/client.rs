//! Clients of the program: one in the typed dialect, and functions for plain TCP connections and HTTP requests.

use hyper_tungstenite::tungstenite::{ClientRequestBuilder, Message, WebSocket, client};
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Value, json};
use socket2::{Domain, Socket, Type};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A client in the typed dialect. Its Origin is `https://a.example`. A read waits at most 10 seconds.
pub(crate) struct Client(WebSocket<TcpStream>);

impl Client {
    /// Connects to a server and reads the welcome. Panics if the server refuses.
    #[track_caller]
    pub(crate) fn open(server: SocketAddr) -> Self {
        Self::over(connect(server), server).expect("there is room for one more")
    }

    /// Connects with a receive buffer of 4096 bytes. If the client does not read, the server can soon write no more.
    #[track_caller]
    pub(crate) fn narrow(server: SocketAddr) -> Self {
        let socket = Socket::new(Domain::for_address(server), Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        socket.connect(&server.into()).unwrap();
        Self::over(patient(socket.into()), server).expect("there is room for one more")
    }

    /// Sends the handshake on a TCP connection and reads the welcome. Returns `None` if the server refuses the
    /// handshake.
    pub(crate) fn over(stream: TcpStream, server: SocketAddr) -> Option<Self> {
        let request = ClientRequestBuilder::new(format!("ws://{server}/socket").parse().unwrap());
        let request = request.with_sub_protocol("hubcast.v1").with_header("Origin", "https://a.example");
        let mut client = Self(client(request, stream).ok()?.0);
        assert_eq!(client.hear()["event"], "welcome");
        Some(client)
    }

    /// Reads the next event.
    #[track_caller]
    pub(crate) fn hear(&mut self) -> Value {
        serde_json::from_str(&self.0.read().unwrap().into_text().unwrap()).unwrap()
    }

    /// Sends a request and reads the next event.
    #[track_caller]
    pub(crate) fn ask(&mut self, request: &Value) -> Value {
        self.0.send(Message::text(request.to_string())).unwrap();
        self.hear()
    }

    /// Subscribes to a topic and reads the next event.
    #[track_caller]
    pub(crate) fn subscribe(&mut self, topic: &str) -> Value {
        self.ask(&json!({"id": 1, "action": "subscribe", "topic": topic}))
    }

    /// Publishes without echo and reads the next event.
    #[track_caller]
    pub(crate) fn publish(&mut self, topic: &str, message: impl Into<Value>) -> Value {
        let message = message.into();
        self.ask(&json!({"id": 1, "action": "publish", "topic": topic, "message": message, "echo": false}))
    }

    /// Subscribes to a topic, asks for what came after this position, and reads the next event.
    #[track_caller]
    pub(crate) fn resume(&mut self, topic: &str, epoch: &Value, offset: u64) -> Value {
        let recover = json!({"epoch": epoch, "offset": offset});
        self.ask(&json!({"id": 1, "action": "subscribe", "topic": topic, "recover": recover}))
    }
}

/// A TCP connection to a server. A read waits at most 10 seconds.
pub(crate) fn connect(server: SocketAddr) -> TcpStream {
    patient(TcpStream::connect(server).unwrap())
}

/// Sends a WebSocket handshake for a path with additional headers. Each header ends with `\r\n`. Returns the status
/// code of the answer.
#[track_caller]
pub(crate) fn request(stream: &mut TcpStream, path: &str, headers: &str) -> u16 {
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut status = [0; 12];
    stream.read_exact(&mut status).unwrap();
    std::str::from_utf8(&status[9..]).unwrap().parse().unwrap()
}

/// A token with these claims and an end in ten minutes, signed with a secret of this id.
pub(crate) fn token(mut claims: Value, (id, secret): (&str, &str)) -> String {
    let end = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() + 600;
    claims["exp"] = end.into();
    encode(
        &Header { kid: Some(id.to_owned()), ..Header::default() },
        &claims,
        &EncodingKey::from_secret(secret.as_bytes()),
    )
    .unwrap()
}

/// Sets the read timeout to 10 seconds, so that a server that sends nothing fails its test and does not block it.
fn patient(stream: TcpStream) -> TcpStream {
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream
}
