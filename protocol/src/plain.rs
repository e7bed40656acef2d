//! The plain dialect: bare text, exactly as the original server wrote it.
//!
//! Only `action`, `topic` and `message` of a request must have the right types. The other fields are newer than the
//! original server: a value of the wrong type is ignored, like any field that the original server did not know.

use crate::event::Event;
use crate::request::{RejectedRequest, Request};
use crate::{Dialect, ErrorCode, reading};

/// Reads one frame of a plain client.
///
/// # Errors
/// When the frame is not a request. The refusal carries no id, because the plain dialect has none.
pub fn decode(text: &str) -> Result<Request, RejectedRequest> {
    reading::read(Dialect::Plain, text)
}

/// Writes an event for a plain client; `None` for an event that a plain client does not get.
pub fn encode(event: &Event) -> Option<String> {
    match event {
        Event::Welcome(welcome) => Some(format!("Server: Welcome! Your ID is {}", welcome.client)),
        Event::Message(message) => Some(message.payload.as_plain().to_owned()),
        Event::Error(refusal) => Some(match refusal.code {
            ErrorCode::InvalidJson | ErrorCode::InvalidRequest => "Server: Invalid msg".to_owned(),
            ErrorCode::UnknownAction => "Server: Action unrecognized".to_owned(),
            _ => format!("Server: {}", refusal.reason),
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::{Action, Subscribe};

    fn refusal(text: &str) -> String {
        let refused = decode(text).expect_err(text);
        encode(&Event::Error(crate::event::Refusal::new(refused.id, refused.fault))).unwrap()
    }

    #[test]
    fn an_action_is_trimmed_and_compared_without_case() {
        for text in [
            r#"{"action":"subscribe","topic":"t"}"#,
            r#"{"ACTION":"\u2003 SubScribe\n","Topic":"t","message":null}"#,
            r#"{"action":"subscribe","topic":"t","id":{"any":1},"last":"x","slow":7,"recover":[],"pattern":1}"#,
        ] {
            let expected = Action::Subscribe(Subscribe::live(crate::Topic::from("t").into()));
            assert_eq!(decode(text), Ok(expected.into()), "{text}");
        }
    }

    #[test]
    fn missing_topic_and_message_are_empty() {
        let Action::Publish(publish) = decode(r#"{"action":"publish"}"#).unwrap().action else { panic!() };
        assert_eq!((publish.topic.as_str(), publish.payload.as_plain()), ("", ""));
    }

    #[test]
    fn what_is_no_request_gets_the_words_of_the_original() {
        for text in [
            "",
            "hello",
            "[]",
            "{",
            r#"{"action":1}"#,
            r#"{"action":"publish","message":{}}"#,
            r#"{"action":"subscribe","topic":[]}"#,
            r#"{"action":"subscribe","message":5}"#,
        ] {
            assert_eq!(refusal(text), "Server: Invalid msg", "{text}");
        }
        for text in ["{}", "null", r#"{"action":"shout"}"#, r#"{"action":null}"#] {
            assert_eq!(refusal(text), "Server: Action unrecognized", "{text}");
        }
        assert!(refusal(r#"{"action":"history","topic":"t"}"#).starts_with("Server: only the typed"));
    }
}
