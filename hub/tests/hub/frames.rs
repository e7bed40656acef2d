//! Frames with positions, as sessions send and receive them.

use hubcast_protocol::Position;

/// A `subscribe` request that resumes a topic after a position.
pub(crate) fn recover(topic: &str, after: Position) -> String {
    format!(r#"{{"action":"subscribe","topic":"{topic}","recover":{}}}"#, json(after))
}

/// The reply to `subscribe`. `rest` is the text after the position.
pub(crate) fn subscribed(topic: &str, Position { epoch, offset }: Position, rest: &str) -> String {
    format!(r#"{{"event":"subscribed","topic":"{topic}","epoch":"{epoch}","offset":{offset}{rest}}}"#)
}

/// The frame of a publication.
pub(crate) fn message(topic: &str, Position { epoch, .. }: Position, offset: u64, text: &str) -> String {
    format!(r#"{{"event":"message","topic":"{topic}","epoch":"{epoch}","offset":{offset},"message":"{text}"}}"#)
}

/// A position as JSON.
pub(crate) fn json(Position { epoch, offset }: Position) -> String {
    format!(r#"{{"epoch":"{epoch}","offset":{offset}}}"#)
}
