//! A server on a real socket that says and hears what a test wants.

use crate::script::FIRST_ID;
use futures_util::{SinkExt, StreamExt};
use hubcast_client::{Client, ClientBuilder};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::server::{Callback, ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::header::SEC_WEBSOCKET_PROTOCOL;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message};

pub(crate) struct Server {
    subscription: TcpListener,
}

/// The server's end of one connection.
pub(crate) struct Peer {
    socket: WebSocketStream<Box<dyn Stream>>,
}

/// Whatever carries a connection.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

struct Typed;

/// Runs a program, which has to come to its end: a wake that is lost must not hold the tests up.
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
    pub(crate) async fn start() -> Self {
        Self { subscription: TcpListener::bind("127.0.0.1:0").await.unwrap() }
    }

    pub(crate) fn client(&self) -> ClientBuilder {
        Client::builder(&format!("ws://{}/socket", self.subscription.local_addr().unwrap()))
            .connect_timeout(Duration::from_secs(5))
    }

    /// The next connection, welcomed.
    pub(crate) async fn accept(&self) -> Peer {
        let (stream, _) = self.subscription.accept().await.unwrap();
        Self::greet(Box::new(stream), 25_000).await
    }

    /// The next connection, welcomed by a server that pings every so many milliseconds.
    pub(crate) async fn accept_and_ping_every(&self, milliseconds: u64) -> Peer {
        let (stream, _) = self.subscription.accept().await.unwrap();
        Self::greet(Box::new(stream), milliseconds).await
    }

    /// The next connection through TLS, welcomed; `None` when the client did not want it.
    pub(crate) async fn accept_tls(&self, acceptor: &TlsAcceptor) -> Option<Peer> {
        let (stream, _) = self.subscription.accept().await.unwrap();
        let stream = acceptor.accept(stream).await.ok()?;
        Some(Self::greet(Box::new(stream), 25_000).await)
    }

    pub(crate) fn subscription(&self) -> &TcpListener {
        &self.subscription
    }

    pub(crate) fn tls_url(&self) -> String {
        format!("wss://localhost:{}/socket", self.subscription.local_addr().unwrap().port())
    }

    async fn greet(stream: Box<dyn Stream>, ping: u64) -> Peer {
        let socket = tokio_tungstenite::accept_hdr_async(stream, Typed).await.unwrap();
        let mut peer = Peer { socket };
        let limits = json!({"message": 65536, "topic": 1024, "subscriptions": 1000});
        let welcome = json!({"event": "welcome", "client": FIRST_ID, "server": "s", "ping": ping, "limits": limits});
        peer.says(welcome).await;
        peer
    }

    /// A client and the server's end of its connection.
    pub(crate) async fn connected(&self) -> (Client, Peer) {
        let (client, peer) = tokio::join!(self.client().connect(), self.accept());
        (client.unwrap(), peer)
    }
}

impl Peer {
    pub(crate) async fn says(&mut self, event: Value) {
        self.socket.send(Message::text(event.to_string())).await.unwrap();
    }

    /// The next request, answered with these fields and its id.
    pub(crate) async fn answers(&mut self, mut event: Value) -> Value {
        let request = self.hears().await;
        event["id"] = request["id"].clone();
        self.says(event).await;
        request
    }

    pub(crate) async fn hears(&mut self) -> Value {
        match self.socket.next().await {
            Some(Ok(Message::Text(text))) => serde_json::from_str(&text).unwrap(),
            other => panic!("a request was expected: {other:?}"),
        }
    }

    /// Begins a frame of so many bytes and says nothing more.
    pub(crate) async fn announces(&mut self, bytes: u64) {
        let head = [&[0x81, 127][..], &bytes.to_be_bytes()].concat();
        self.socket.get_mut().write_all(&head).await.unwrap();
    }

    /// Pings, and waits for the pong.
    pub(crate) async fn pings(&mut self) {
        self.socket.send(Message::Ping("?".into())).await.unwrap();
        let pong = self.socket.next().await;
        assert!(matches!(&pong, Some(Ok(Message::Pong(pong))) if &pong[..] == b"?"), "{pong:?}");
    }

    /// Waits for the end of the connection; gives the close code.
    pub(crate) async fn hears_close(mut self) -> Option<u16> {
        let mut code = None;
        while let Some(Ok(message)) = self.socket.next().await {
            if let Message::Close(frame) = message {
                code = frame.map(|frame| frame.code.into());
            }
        }
        code
    }

    pub(crate) async fn closes(mut self, code: u16) {
        let frame = CloseFrame { code: code.into(), reason: "because".into() };
        self.socket.close(Some(frame)).await.unwrap();
        self.hears_close().await;
    }

    pub(crate) async fn publishes(&mut self, topic: &str, offset: u64, message: impl Into<Value>) {
        let message = message.into();
        let event = json!({"event": "message", "topic": topic, "epoch": "e", "offset": offset, "message": message});
        self.says(event).await;
    }
}

const DEADLINE: Duration = Duration::from_secs(60);
