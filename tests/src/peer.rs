//! An open WebSocket in one of the two dialects, with methods that send requests and check what comes back.

use crate::{Frame, Handshake, Heard, Socket};
use serde_json::{Value, json};
use std::fmt::Display;

/// A client of the plain dialect, which receives bare text.
#[derive(Debug)]
pub struct Plain {
    /// The connection.
    pub socket: Socket,
    /// Id of the client, from its welcome.
    pub id: String,
}

/// A client of the typed dialect, which receives one JSON object in each frame.
#[derive(Debug)]
pub struct Typed {
    /// The connection.
    pub socket: Socket,
    /// Id of the client, from its welcome.
    pub id: String,
    /// The whole welcome event.
    pub welcome: Value,
}

impl Plain {
    /// Makes the handshake and reads the welcome.
    ///
    /// # Panics
    /// If the answer or the welcome is wrong.
    #[track_caller]
    pub fn open(mut socket: Socket) -> Self {
        assert_eq!(socket.asks(&Handshake::default()).status, 101);
        let welcome = socket.hears_text();
        let Some(id) = welcome.strip_prefix("Server: Welcome! Your ID is ") else {
            socket.fail("a welcome was to come")
        };
        Self { id: id.to_owned(), socket }
    }

    /// Sends one text message.
    #[track_caller]
    pub fn says(&mut self, message: impl Display) {
        self.socket.sends([&Frame::text(message.to_string())]);
    }

    /// Subscribes to a topic.
    #[track_caller]
    pub fn subscribes(&mut self, topic: &str) {
        self.says(json!({"action": "subscribe", "topic": topic}));
    }

    /// Unsubscribes from a topic.
    #[track_caller]
    pub fn unsubscribes(&mut self, topic: &str) {
        self.says(json!({"action": "unsubscribe", "topic": topic}));
    }

    /// Publishes a message to a topic.
    #[track_caller]
    pub fn publishes(&mut self, topic: &str, message: &str) {
        self.says(json!({"action": "publish", "topic": topic, "message": message}));
    }

    /// Expects this text as the next frame.
    #[track_caller]
    pub fn hears(&mut self, text: &str) {
        self.socket.hears(&Heard::Text(text.to_owned()));
    }

    /// Checks that all frames that earlier requests of any client cause have already been read. Sends a request that
    /// only the hub can answer, and expects its answer as the next frame.
    #[track_caller]
    pub fn hears_nothing(&mut self) {
        self.says(json!({"action": "is anything left"}));
        self.hears("Server: Action unrecognized");
    }
}

impl Typed {
    /// Makes the handshake and reads the welcome.
    ///
    /// # Panics
    /// If the answer or the welcome is wrong.
    #[track_caller]
    pub fn open(mut socket: Socket) -> Self {
        let answer = socket.asks(&Handshake::default().with("Sec-WebSocket-Protocol: hubcast.v1"));
        assert_eq!((answer.status, answer.header("Sec-WebSocket-Protocol")), (101, Some("hubcast.v1")));
        let text = socket.hears_text();
        let welcome: Value = serde_json::from_str(&text).expect("an event is JSON");
        let Some(id) = welcome["client"].as_str() else { socket.fail("a welcome was to come") };
        Self { id: id.to_owned(), socket, welcome }
    }

    /// Sends one request.
    #[track_caller]
    pub fn says(&mut self, request: impl Display) {
        self.socket.sends([&Frame::text(request.to_string())]);
    }

    /// Reads the next event.
    ///
    /// # Panics
    /// If none comes, or if it is not JSON.
    #[track_caller]
    pub fn next_event(&mut self) -> Value {
        serde_json::from_str(&self.socket.hears_text()).expect("an event is JSON")
    }

    /// Expects this event as the next one.
    #[track_caller]
    #[expect(clippy::needless_pass_by_value, reason = "events are written where they are expected")]
    pub fn hears(&mut self, event: Value) {
        if self.next_event() != event {
            self.socket.fail(&format!("{event} was to come"));
        }
    }

    /// Expects an `error` event with this code and a reason as the next event. Its `id` must be that of the request, or
    /// absent if `id` is null.
    #[track_caller]
    pub fn hears_error(&mut self, id: impl Into<Value>, code: &str) {
        let (heard, id) = (self.next_event(), id.into());
        let has_reason = heard["reason"].as_str().is_some_and(|reason| !reason.is_empty());
        if heard["event"] != "error" || heard["id"] != id || heard["code"] != code || !has_reason {
            self.socket.fail(&format!("the error {code} for {id} was to come"));
        }
    }

    /// Sends a request and returns the next event.
    #[track_caller]
    pub fn asks(&mut self, request: impl Display) -> Value {
        self.says(request);
        self.next_event()
    }

    /// Subscribes to a topic and expects the reply.
    #[track_caller]
    pub fn subscribes(&mut self, topic: &str) {
        self.says(json!({"id": 0, "action": "subscribe", "topic": topic}));
        self.hears(json!({"event": "subscribed", "id": 0, "topic": topic}));
    }

    /// Subscribes to a pattern and expects the reply.
    #[track_caller]
    pub fn subscribes_to_pattern(&mut self, pattern: &str) {
        self.says(json!({"id": 0, "action": "subscribe", "pattern": pattern}));
        self.hears(json!({"event": "subscribed", "id": 0, "pattern": pattern}));
    }

    /// Publishes a message without an id, so no reply comes; also expects no echo.
    #[track_caller]
    pub fn publishes(&mut self, topic: &str, message: impl Into<Value>) {
        self.says(json!({"action": "publish", "topic": topic, "message": message.into()}));
    }

    /// Expects a publication as the next event.
    #[track_caller]
    pub fn hears_message(&mut self, topic: &str, message: impl Into<Value>) {
        self.hears(json!({"event": "message", "topic": topic, "message": message.into()}));
    }

    /// Checks that all events that earlier requests of any client cause have already been read. Sends a ping, which
    /// only the hub can answer, and expects its `pong` as the next event.
    #[track_caller]
    pub fn hears_nothing(&mut self) {
        self.says(json!({"id": "is anything left", "action": "ping"}));
        self.hears(json!({"event": "pong", "id": "is anything left"}));
    }
}
