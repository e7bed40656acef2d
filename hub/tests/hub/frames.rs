//! Frames about positions, as sessions say and hear them.

use hubcast_protocol::Position;

/// A subscribe that resumes.
pub(crate) fn recover(topic: &str, after: Position) -> String {
    format!(r#"{{"action":"subscribe","topic":"{topic}","recover":{}}}"#, json(after))
}

/// Its answer, with what comes after the position.
pub(crate) fn subscribed(topic: &str, Position { epoch, offset }: Position, rest: &str) -> String {
    format!(r#"{{"event":"subscribed","topic":"{topic}","epoch":"{epoch}","offset":{offset}{rest}}}"#)
}

/// A publication.
pub(crate) fn message(topic: &str, Position { epoch, .. }: Position, offset: u64, text: &str) -> String {
    format!(r#"{{"event":"message","topic":"{topic}","epoch":"{epoch}","offset":{offset},"message":"{text}"}}"#)
}

/// A position.
pub(crate) fn json(Position { epoch, offset }: Position) -> String {
    format!(r#"{{"epoch":"{epoch}","offset":{offset}}}"#)
}
