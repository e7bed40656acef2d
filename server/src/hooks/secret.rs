//! The secrets of hooks, and the signatures of Standard Webhooks that are made with them.

use aws_lc_rs::hmac;
use data_encoding::{BASE64, BASE64_NOPAD};
use std::fmt;
use std::str::FromStr;

/// A secret that the receiver of a hook has too. Written as `whsec_` and the base64 of 24 to 64 bytes. It never shows
/// itself.
#[derive(Clone)]
pub struct HookSecret(hmac::Key);

/// Why a text is no [`HookSecret`]. It does not show the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidHookSecret {
    /// It begins otherwise.
    #[error("a secret begins with whsec_; make one by: echo \"whsec_$(openssl rand -base64 32)\"")]
    Prefix,
    /// What follows is not base64.
    #[error("what follows whsec_ is not base64; make one by: echo \"whsec_$(openssl rand -base64 32)\"")]
    NotBase64,
    /// It has too few or too many bytes.
    #[error(
        "a secret has 24 to 64 bytes, and this one has {0}; make one by: echo \"whsec_$(openssl rand -base64 32)\""
    )]
    Length(usize),
}

impl HookSecret {
    /// The signature of a message: the text of one entry of the header `webhook-signature`.
    fn signature(&self, id: &str, unix_seconds: u64, body: &[u8]) -> String {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(format!("{id}.{unix_seconds}.").as_bytes());
        context.update(body);
        format!("v1,{}", BASE64.encode(context.sign().as_ref()))
    }
}

/// The header `webhook-signature` of a message: a signature by each secret, so that a receiver that has only one of them
/// accepts it.
pub(crate) fn signatures(secrets: &[HookSecret], id: &str, unix_seconds: u64, body: &[u8]) -> String {
    let each = secrets.iter().map(|secret| secret.signature(id, unix_seconds, body));
    each.collect::<Vec<_>>().join(" ")
}

impl FromStr for HookSecret {
    type Err = InvalidHookSecret;

    fn from_str(text: &str) -> Result<Self, InvalidHookSecret> {
        let encoded = text.strip_prefix("whsec_").ok_or(InvalidHookSecret::Prefix)?.as_bytes();
        let bytes = BASE64.decode(encoded).or_else(|_| BASE64_NOPAD.decode(encoded));
        let bytes = bytes.map_err(|_| InvalidHookSecret::NotBase64)?;
        match bytes.len() {
            24..=64 => Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, &bytes))),
            length => Err(InvalidHookSecret::Length(length)),
        }
    }
}

/// Shows no secret.
impl fmt::Debug for HookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HookSecret(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the Standard Webhooks libraries.
    const EXAMPLE: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    #[test]
    fn a_signature_is_that_of_the_standard() {
        let secret: HookSecret = EXAMPLE.parse().unwrap();
        let signature = secret.signature("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn while_secrets_are_replaced_there_is_a_signature_by_each() {
        let secrets = [EXAMPLE, "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"].map(|text| text.parse().unwrap());
        let both = signatures(&secrets, "id", 7, b"body");
        let each: Vec<_> = secrets.iter().map(|secret| secret.signature("id", 7, b"body")).collect();
        assert_eq!(both.split(' ').collect::<Vec<_>>(), each);
    }

    #[test]
    fn a_text_that_is_no_secret_is_refused_and_no_secret_is_shown() {
        let of = |bytes: usize| format!("whsec_{}", BASE64.encode(&vec![7; bytes]));
        for (text, fault) in [
            ("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned(), InvalidHookSecret::Prefix),
            (String::new(), InvalidHookSecret::Prefix),
            ("whsec_%%%".to_owned(), InvalidHookSecret::NotBase64),
            ("whsec_".to_owned(), InvalidHookSecret::Length(0)),
            (of(23), InvalidHookSecret::Length(23)),
            (of(65), InvalidHookSecret::Length(65)),
        ] {
            assert_eq!(text.parse::<HookSecret>().unwrap_err(), fault, "{text}");
        }
        for bytes in [24, 25, 64] {
            let secret: HookSecret = of(bytes).trim_end_matches('=').parse().unwrap();
            assert_eq!(format!("{secret:?}"), "HookSecret(***)");
        }
    }
}
