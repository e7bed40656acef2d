//! An open WebSocket in one of the two dialects.

use crate::{Frame, Handshake, Heard, Socket};
use serde_json::{Value, json};
use std::fmt::Display;

/// A client of the plain dialect, which hears bare text.
#[derive(Debug)]
pub struct Plain {
    /// What it is connected by.
    pub socket: Socket,
    /// From its welcome.
    pub id: String,
}

/// A client of the typed dialect, which hears one JSON object a frame.
#[derive(Debug)]
pub struct Typed {
    /// What it is connected by.
    pub socket: Socket,
    /// From its welcome.
    pub id: String,
    /// The whole welcome.
    pub welcome: Value,
}

impl Plain {
    /// Makes the handshake and reads the welcome.
    ///
    /// # Panics
    /// When either is not as it has to be.
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

    /// Subscribes.
    #[track_caller]
    pub fn subscribes(&mut self, topic: &str) {
        self.says(json!({"action": "subscribe", "topic": topic}));
    }

    /// Unsubscribes.
    #[track_caller]
    pub fn unsubscribes(&mut self, topic: &str) {
        self.says(json!({"action": "unsubscribe", "topic": topic}));
    }

    /// Publishes.
    #[track_caller]
    pub fn publishes(&mut self, topic: &str, message: &str) {
        self.says(json!({"action": "publish", "topic": topic, "message": message}));
    }

    /// Expects this text as the next frame.
    #[track_caller]
    pub fn hears(&mut self, text: &str) {
        self.socket.hears(&Heard::Text(text.to_owned()));
    }

    /// Expects that nothing more comes of all that was said before, here or elsewhere: a question that only the
    /// hub can answer is answered next.
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
    /// When either is not as it has to be.
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

    /// The next event.
    ///
    /// # Panics
    /// When there is none.
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

    /// Expects an error with this code as the next event, with the id of its request, or without one for null.
    #[track_caller]
    pub fn hears_error(&mut self, id: impl Into<Value>, code: &str) {
        let (heard, id) = (self.next_event(), id.into());
        let has_reason = heard["reason"].as_str().is_some_and(|reason| !reason.is_empty());
        if heard["event"] != "error" || heard["id"] != id || heard["code"] != code || !has_reason {
            self.socket.fail(&format!("the error {code} for {id} was to come"));
        }
    }

    /// Sends a request and gives the next event.
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

    /// Publishes, and expects neither reply nor echo.
    #[track_caller]
    pub fn publishes(&mut self, topic: &str, message: impl Into<Value>) {
        self.says(json!({"action": "publish", "topic": topic, "message": message.into()}));
    }

    /// Expects a publication as the next event.
    #[track_caller]
    pub fn hears_message(&mut self, topic: &str, message: impl Into<Value>) {
        self.hears(json!({"event": "message", "topic": topic, "message": message.into()}));
    }

    /// Expects that nothing more comes of all that was said before, here or elsewhere: a question that only the
    /// hub can answer is answered next.
    #[track_caller]
    pub fn hears_nothing(&mut self) {
        self.says(json!({"id": "is anything left", "action": "ping"}));
        self.hears(json!({"event": "pong", "id": "is anything left"}));
    }
}
