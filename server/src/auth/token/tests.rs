//! Which tokens are let in, and which are refused and why.

mod forged;
mod form;
mod let_in;
mod odd_claims;
mod odd_grants;
mod odd_headers;
mod odd_objects;
mod random;

use super::*;
use crate::auth::TokenAlgorithm;
use crate::auth::testing::Signer;
use hubcast_hub::{Grant, Grants, Permission};
use hubcast_protocol::Payload;
use std::sync::LazyLock;

/// A server with a key of each algorithm, and who can sign with them.
struct Desk {
    signers: [Signer; 5],
    verifier: TokenVerifier,
    start: Instant,
}

/// One for all cases of a test, because the keys take a while to make.
static DESK: LazyLock<Desk> = LazyLock::new(Desk::new);

impl Desk {
    fn new() -> Self {
        let secret = Signer::secret(SECRET);
        let signers = [secret, Signer::rsa(), Signer::es256(), Signer::es384(), Signer::ed25519()];
        let verifier = TokenVerifier::new(KeySet::new(signers.iter().map(key).collect()).unwrap(), rules());
        Self { signers, verifier, start: Instant::now() }
    }

    fn verify(&self, token: &str) -> Result<Verified, TokenFault> {
        let verified = self.verifier.verify(token, self.start, NOW);
        // Whoever asks why must be told the same.
        let explained = self.verifier.explain(token, NOW);
        assert_eq!(explained.iter().find_map(|check| check.outcome.err()), verified.as_ref().err().copied(), "{token}");
        verified
    }

    /// A token with a right signature of the secret.
    fn sign(&self, header: &str, claims: &str) -> String {
        self.signers[0].sign(header, claims)
    }

    #[track_caller]
    fn refuses(&self, token: &str, fault: TokenFault, what: &str) {
        assert_eq!(self.verify(token).map(|verified| verified.login), Err(fault), "{what}");
        let shown = format!("{fault} {fault:?} {:?}", fault.to_reply());
        assert!(!shown.to_ascii_lowercase().contains(MARK), "{what}: {shown}");
    }

    #[track_caller]
    fn lets_in(&self, token: &str, what: &str) -> Login {
        self.verify(token).unwrap_or_else(|fault| panic!("{what}: {fault}")).login
    }
}

/// The key of the server that verifies what this signer signs. Its id is the name of its algorithm.
fn key(signer: &Signer) -> TokenKey {
    let mut key = match signer.algorithm {
        TokenAlgorithm::Hs256 => TokenKey::secret(SECRET).unwrap(),
        _ => signer.public(),
    };
    key.id = Some(signer.algorithm.name().into());
    key
}

fn rules() -> TokenRules {
    TokenRules { audience: Some("hub".into()), issuer: Some("https://login.test".into()), ..TokenRules::default() }
}

/// The claims of [`RIGHT`], where a name has another value, which is JSON text; `None`: without this name.
fn claims(name: &str, value: Option<&str>) -> String {
    let others = RIGHT.iter().filter(|(other, _)| *other != name).copied();
    let members = others.chain(value.map(|value| (name, value))).map(|(name, value)| format!("\"{name}\":{value}"));
    format!("{{{}}}", members.collect::<Vec<_>>().join(","))
}

/// What a token with the claims of [`RIGHT`] is let in as.
fn login(start: Instant) -> Login {
    let grants =
        [(Permission::Subscribe, "zebra.>"), (Permission::Subscribe, "@{user}"), (Permission::Publish, "zebra.a")];
    let grants = Grants::new(grants.map(|(permission, text)| (permission, Grant::parse(text).unwrap())));
    let info = serde_json::value::to_raw_value(&serde_json::json!({"name": "Zebra"})).unwrap();
    let identity = Identity { name: MemberName::User("zebra".into()), info: Some(Payload::from_json(&info).unwrap()) };
    let expiry = Expiry { at: start + Duration::from_secs(600), unix: NOW + 600 };
    Login {
        identity: Arc::new(identity),
        credentials: Arc::new(Credentials { grants, expiry: Some(expiry), api_key: None }),
    }
}

/// Refuses a claim with each of these values, which are JSON text.
fn refuses_claims(name: &str, values: &[&str], fault: TokenFault) {
    for value in values {
        DESK.refuses(&DESK.sign(HEADER, &claims(name, Some(value))), fault, &format!("{name} {value}"));
    }
}

const NOW: u64 = 1_800_000_000;

const SECRET: &[u8] = b"a zebra has stripes, 32 bytes of them";

/// A word of nearly every claim and header here, which no refusal may show.
const MARK: &str = "zebra";

/// The header of a token that names no key.
const HEADER: &str = r#"{"alg":"HS256"}"#;

/// Claims that are let in at `NOW`.
const RIGHT: [(&str, &str); 8] = [
    ("sub", r#""zebra""#),
    ("aud", r#""hub""#),
    ("iss", r#""https://login.test""#),
    ("exp", "1800000600"),
    ("iat", "1799999990"),
    ("info", r#"{"name":"Zebra"}"#),
    ("subscribe", r#"["zebra.>","@{user}"]"#),
    ("publish", r#"["zebra.a"]"#),
];

#[test]
fn a_refusal_has_no_room_for_a_claim() {
    assert_eq!(size_of::<TokenFault>(), 1);
}
