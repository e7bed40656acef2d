//! The body of a message as it was sent.

use hubcast_client::Payload;
use serde::{Deserialize, Deserializer, de::Error};
use serde_json::value::RawValue;

/// Any JSON value, with the text that it was sent with.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Body(pub(crate) Payload);

impl<'de> Deserialize<'de> for Body {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Not `Payload` itself: that one borrows from a text, and here is none.
        let json = Box::<RawValue>::deserialize(deserializer)?;
        Payload::from_json(&json).map(Self).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_keeps_the_text_that_it_was_sent_with() {
        let body: Body = serde_json::from_str("{ \"a\": 1.000000000000000000001 }").unwrap();
        assert_eq!(body.0.as_plain(), "{ \"a\": 1.000000000000000000001 }");
        let body: Body = serde_json::from_value("a\u{1b}\"b".into()).unwrap();
        assert_eq!(body.0.as_plain(), "a\u{1b}\"b");
    }
}
