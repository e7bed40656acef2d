//! A server on a real socket: the test writes its events and reads its requests.

use crate::script::FIRST_ID;
use futures_util::{SinkExt, StreamExt};
use hubcast_client::{Client, ClientBuilder};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::server::{Callback, ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::header::SEC_WEBSOCKET_PROTOCOL;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message};

/// A listening socket on a free port.
pub(crate) struct Server {
    listener: TcpListener,
}

/// The server's end of one connection.
pub(crate) struct Peer {
    socket: WebSocketStream<Box<dyn Stream>>,
}

/// The transport of a connection: TCP, or TLS over TCP.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// The server's part of the handshake: it checks that the client offers `hubcast.v1`, and accepts it.
pub(crate) struct Typed;

/// Runs a test's future on a new runtime with one thread. Panics if the future does not end within `DEADLINE`: a lost
/// wake-up fails its test and does not block the others.
pub(crate) fn program(program: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let ended = runtime.block_on(async { tokio::time::timeout(DEADLINE, program).await });
    ended.expect("the program comes to its end in time");
}

impl Callback for Typed {
    fn on_request(self, request: &Request, mut response: Response) -> Result<Response, ErrorResponse> {
        let offered = request.headers()[SEC_WEBSOCKET_PROTOCOL].clone();
        assert_eq!(offered, "hubcast.v1");
        response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, offered);
        Ok(response)
    }
}

impl Server {
    /// Listens on a free port of 127.0.0.1.
    pub(crate) async fn start() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").await.unwrap() }
    }

    /// A builder of clients that connect to this server within 5 seconds.
    pub(crate) fn client(&self) -> ClientBuilder {
        Client::builder(&self.url()).connect_timeout(Duration::from_secs(5))
    }

    /// Accepts the next connection and sends a welcome that announces a ping every 25 seconds.
    pub(crate) async fn accept(&self) -> Peer {
        let (stream, _) = self.listener.accept().await.unwrap();
        Self::greet(Box::new(stream), 25_000).await
    }

    /// Accepts the next connection and sends a welcome that announces a ping after each `milliseconds`. The test must
    /// send the pings.
    pub(crate) async fn accept_and_ping_every(&self, milliseconds: u64) -> Peer {
        let (stream, _) = self.listener.accept().await.unwrap();
        Self::greet(Box::new(stream), milliseconds).await
    }

    /// Accepts the next connection through TLS and sends a welcome. Returns `None` if the TLS handshake fails.
    pub(crate) async fn accept_tls(&self, acceptor: &TlsAcceptor) -> Option<Peer> {
        let (stream, _) = self.listener.accept().await.unwrap();
        let stream = acceptor.accept(stream).await.ok()?;
        Some(Self::greet(Box::new(stream), 25_000).await)
    }

    /// The listening socket.
    pub(crate) fn listener(&self) -> &TcpListener {
        &self.listener
    }

    /// The address of this server.
    pub(crate) fn url(&self) -> String {
        format!("ws://{}/socket", self.listener.local_addr().unwrap())
    }

    /// The address of this server for a client that uses TLS.
    pub(crate) fn tls_url(&self) -> String {
        format!("wss://localhost:{}/socket", self.listener.local_addr().unwrap().port())
    }

    /// Takes part in the WebSocket handshake, sends a welcome, and reads who the client is, as an older server that does
    /// not answer that. `ping` is the announced ping interval in
    /// milliseconds.
    pub(crate) async fn greet(stream: Box<dyn Stream>, ping: u64) -> Peer {
        let socket = tokio_tungstenite::accept_hdr_async(stream, Typed).await.unwrap();
        let mut peer = Peer { socket };
        let limits = json!({"message": 65536, "topic": 1024, "subscriptions": 1000});
        let welcome = json!({"event": "welcome", "client": FIRST_ID, "server": "s", "ping": ping, "limits": limits});
        peer.says(welcome).await;
        let identify = peer.hears().await;
        assert_eq!(identify["action"], "identify");
        peer
    }

    /// Connects a client. Returns it and the server's end of its connection.
    pub(crate) async fn connected(&self) -> (Client, Peer) {
        let (client, peer) = tokio::join!(self.client().connect(), self.accept());
        (client.unwrap(), peer)
    }
}

impl Peer {
    /// Sends an event.
    pub(crate) async fn says(&mut self, event: Value) {
        self.socket.send(Message::text(event.to_string())).await.unwrap();
    }

    /// Reads the next request and sends `event` with the id of the request. Returns the request.
    pub(crate) async fn answers(&mut self, mut event: Value) -> Value {
        let request = self.hears().await;
        event["id"] = request["id"].clone();
        self.says(event).await;
        request
    }

    /// Reads the next request. Panics if another kind of message comes.
    pub(crate) async fn hears(&mut self) -> Value {
        match self.socket.next().await {
            Some(Ok(Message::Text(text))) => serde_json::from_str(&text).unwrap(),
            other => panic!("a request was expected: {other:?}"),
        }
    }

    /// Sends the head of a text frame of so many bytes, without its payload.
    pub(crate) async fn announces(&mut self, bytes: u64) {
        let head = [&[0x81, 127][..], &bytes.to_be_bytes()].concat();
        self.socket.get_mut().write_all(&head).await.unwrap();
    }

    /// Sends a ping and reads its pong.
    pub(crate) async fn pings(&mut self) {
        self.socket.send(Message::Ping("?".into())).await.unwrap();
        let pong = self.socket.next().await;
        assert!(matches!(&pong, Some(Ok(Message::Pong(pong))) if &pong[..] == b"?"), "{pong:?}");
    }

    /// Sends a ping and reads nothing. `false` if the connection has ended.
    pub(crate) async fn pings_blindly(&mut self) -> bool {
        self.socket.send(Message::Ping("?".into())).await.is_ok()
    }

    /// Reads until the connection ends. Returns the code of the client's close frame, if it sent one with a code.
    pub(crate) async fn hears_close(mut self) -> Option<u16> {
        let mut code = None;
        while let Some(Ok(message)) = self.socket.next().await {
            if let Message::Close(frame) = message {
                code = frame.map(|frame| frame.code.into());
            }
        }
        code
    }

    /// Reads the client's close frame from the bytes of the connection, and answers nothing.
    pub(crate) async fn hears_close_without_answer(&mut self) {
        // A masked frame of two bytes: its head, the mask and the code.
        let mut frame = [0; 8];
        self.socket.get_mut().read_exact(&mut frame).await.unwrap();
        assert_eq!(frame[0], 0x88, "a close frame");
    }

    /// Closes the connection with this code and waits until it has ended.
    pub(crate) async fn closes(self, code: u16) {
        self.closes_as(code, "because").await;
    }

    /// The same with this reason.
    pub(crate) async fn closes_as(mut self, code: u16, reason: &'static str) {
        let frame = CloseFrame { code: code.into(), reason: reason.into() };
        self.socket.close(Some(frame)).await.unwrap();
        self.hears_close().await;
    }

    /// Sends the publications 1 to `last` of a topic with epoch `e`, as fast as the client takes them. Each is its
    /// offset.
    pub(crate) async fn floods(&mut self, topic: &str, last: u64) {
        for offset in 1..=last {
            let event = json!({"event": "message", "topic": topic, "epoch": "e", "offset": offset, "message": offset});
            self.socket.feed(Message::text(event.to_string())).await.unwrap();
        }
        self.socket.flush().await.unwrap();
    }

    /// Sends a publication of a topic with epoch `e`.
    pub(crate) async fn publishes(&mut self, topic: &str, offset: u64, message: impl Into<Value>) {
        let message = message.into();
        let event = json!({"event": "message", "topic": topic, "epoch": "e", "offset": offset, "message": message});
        self.says(event).await;
    }
}

/// The longest time that one test may take.
const DEADLINE: Duration = Duration::from_secs(60);
