//! Sends messages in order, a bounded number at a time without a confirmation.

use super::args::PubArgs;
use super::input::Line;
use super::window::Window;
use hubcast_client::{Client, PublishError, Publisher};
use std::future::pending;

/// The way to the server.
pub(super) struct Sender {
    way: Way,
    sent: u64,
    /// Whether all that was sent is confirmed, as far as is known.
    is_settled: bool,
}

enum Way {
    /// Without keys of the user: the client numbers the messages.
    Numbered(Box<Publisher<Line>>),
    /// With keys of the user.
    Keyed(Keyed),
}

/// Messages with keys.
struct Keyed {
    client: Client,
    topic: String,
    key: Key,
    echo: bool,
    window: Window<Line>,
}

enum Key {
    Of(String),
    Prefix(String),
}

/// A message that was not published, and why.
type NotPublished = (Line, PublishError);

impl Sender {
    pub(super) fn new(client: &Client, args: &PubArgs) -> Self {
        let key = match (&args.key, &args.key_prefix) {
            (Some(key), _) => Some(Key::Of(key.clone())),
            (None, Some(prefix)) => Some(Key::Prefix(prefix.clone())),
            (None, None) => None,
        };
        let (topic, echo) = (args.topic.clone(), !args.no_echo);
        let way = match key {
            None => Way::Numbered(Box::new(client.publisher(topic).echo(echo))),
            Some(key) => Way::Keyed(Keyed { client: client.clone(), topic, key, echo, window: Window::default() }),
        };
        Self { way, sent: 0, is_settled: true }
    }

    /// How many messages were sent.
    pub(super) fn sent(&self) -> u64 {
        self.sent
    }

    /// Sends a message when there is room for it. A future that is dropped before has sent nothing. Returns a message
    /// that failed, which may be an earlier one.
    pub(super) async fn send(&mut self, line: Line) -> Option<NotPublished> {
        let failure = match &mut self.way {
            Way::Numbered(publisher) => publisher.send(line).await.err().map(|error| (error.value, error.source)),
            Way::Keyed(keyed) => keyed.send(line).await,
        };
        self.sent += 1;
        self.is_settled = false;
        failure
    }

    /// Waits until everything is confirmed. Returns a message that failed; `None` if nothing is left.
    pub(super) async fn settle(&mut self) -> Option<NotPublished> {
        let failure = match &mut self.way {
            Way::Numbered(publisher) => publisher.flush().await.err().map(|error| (error.value, error.source)),
            Way::Keyed(keyed) => keyed.window.settle().await,
        };
        self.is_settled = failure.is_none();
        failure
    }

    /// Waits for a message that fails.
    pub(super) async fn next_failure(&mut self) -> NotPublished {
        if !self.is_settled
            && let Some(failure) = self.settle().await
        {
            return failure;
        }
        pending().await
    }
}

impl Keyed {
    async fn send(&mut self, line: Line) -> Option<NotPublished> {
        let key = match &self.key {
            Key::Of(key) => key.clone(),
            Key::Prefix(prefix) => format!("{prefix}-{}", line.number),
        };
        let publish = self.client.publish(self.topic.as_str(), &line.payload).key(key).echo(self.echo);
        let bytes = line.payload.as_plain().len();
        self.window.send(line, bytes, publish).await
    }
}
