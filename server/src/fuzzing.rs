//! Doors for the fuzz targets of `fuzz/`: each takes bytes from outside to a reader of the server, and checks what must hold
//! whatever the bytes are. A door panics where something does not hold.

use crate::auth::{Jwks, KeySet, TokenKey, TokenRules, TokenVerifier};
use crate::config::{Config, MessageLimits};
use crate::http::events;
use crate::listener::proxy_header;
use crate::server::settings;
use crate::snapshot::format;
use crate::websocket::decoder::{Decoder, Incoming};
use aws_lc_rs::hmac;
use data_encoding::BASE64URL_NOPAD;
use hubcast_hub::Hub;
use hyper::Request;
use std::pin::pin;
use std::sync::LazyLock;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant, SystemTime};

/// The frames of a client. The first byte says into which parts the others are cut: what comes out must not depend on it.
pub fn frames(bytes: &[u8]) {
    let Some((part, bytes)) = bytes.split_first() else { return };
    let whole = decode(bytes, bytes.len().max(1));
    assert_eq!(decode(bytes, usize::from(*part).max(1)), whole, "in parts of {part}");
}

fn decode(bytes: &[u8], part: usize) -> (Vec<String>, Option<String>) {
    let (mut decoder, mut seen) = (Decoder::default(), Vec::new());
    for part in bytes.to_vec().chunks_mut(part) {
        let fed = decoder.feed(part, &LIMITS, |incoming| {
            if let Incoming::Text(text) = incoming {
                assert!(text.len() <= LIMITS.message);
            }
            seen.push(format!("{incoming:?}"));
        });
        if let Err(violation) = fed {
            return (seen, Some(format!("{violation:?}")));
        }
        // A buffer grows by doubling, and has room for a frame's head and a control frame.
        assert!(decoder.bytes() <= 2 * LIMITS.message + 1024, "{} bytes for one message", decoder.bytes());
    }
    (seen, decoder.is_mid_frame().then(|| "more to come".to_owned()))
}

const LIMITS: MessageLimits = MessageLimits { message: 300, frame: 200, fragments: 4 };

/// A token: a header and claims in two lines, which are signed with the right secret; or else a text as it is. Whatever is
/// let in passes each check alone too.
pub fn tokens(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let token = match text.split_once('\n') {
        Some((header, claims)) => signed(header, claims),
        None => text.to_owned(),
    };
    let verifier = &*VERIFIER;
    let outcome = verifier.verify(&token, *STARTED, UNIX_NOW);
    let faults: Vec<_> = verifier.explain(&token, UNIX_NOW).iter().filter_map(|check| check.outcome.err()).collect();
    match outcome {
        Ok(verified) => {
            assert!(faults.is_empty(), "{token} is let in, although {faults:?}");
            assert!(!verified.user.is_empty() && verified.login.credentials.expiry.is_some());
        }
        Err(fault) => assert!(faults.contains(&fault), "{fault:?} is not among {faults:?}"),
    }
}

fn signed(header: &str, claims: &str) -> String {
    let text = format!("{}.{}", BASE64URL_NOPAD.encode(header.as_bytes()), BASE64URL_NOPAD.encode(claims.as_bytes()));
    let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET), text.as_bytes());
    format!("{text}.{}", BASE64URL_NOPAD.encode(signature.as_ref()))
}

static STARTED: LazyLock<Instant> = LazyLock::new(Instant::now);

static VERIFIER: LazyLock<TokenVerifier> = LazyLock::new(|| {
    let key = TokenKey::secret(SECRET).expect("long enough");
    let rules = TokenRules { audience: Some("hub".into()), issuer: Some("login".into()), ..TokenRules::default() };
    TokenVerifier::new(KeySet::new(vec![key]).expect("one key"), rules)
});

const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";
const UNIX_NOW: u64 = 1_800_000_000;

/// The key set of a login service. Each key that is taken has a use: none has the name of another.
pub fn key_sets(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    if let Ok(jwks) = Jwks::read(text) {
        let keys = KeySet::none_yet().with(jwks.keys);
        let _ = keys.0.keys();
    }
}

/// A request for server-sent events: its query in the first line, its `Last-Event-ID` in the second.
pub fn event_streams(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let (query, id) = text.split_once('\n').unwrap_or((text, ""));
    let request = Request::builder().uri(format!("/events?{query}")).header("last-event-id", id);
    // What hyper refuses does not come this far.
    let Ok(request) = request.body(()) else { return };
    if let events::Outcome::Answer(answer) = events::check(&request, &CONFIG, *STARTED) {
        assert!(answer.status().is_client_error(), "{text:?}: {}", answer.status());
    }
}

static CONFIG: LazyLock<Config> = LazyLock::new(Config::default);

/// The lines of a state file, without the last one, which has the checksum: an attacker could compute it. What is read is
/// taken by a hub, and written and read again it is the same.
pub fn state_files(bytes: &[u8]) {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(UNIX_NOW);
    let file = format::with_checksum(bytes);
    let Ok(saved) = format::read(&file, now) else { return };
    let mut written = Vec::new();
    format::write(&mut written, now, &saved).expect("a vector takes all");
    let again = format::read(&written, now).expect("what was read can be written");
    let mut rewritten = Vec::new();
    format::write(&mut rewritten, now, &again).expect("a vector takes all");
    assert!(written == rewritten, "{}", String::from_utf8_lossy(&written));
    let mut hub = Hub::new(settings(&CONFIG, 1));
    hub.restore(*STARTED, saved);
    let _ = hub.save(*STARTED);
}

/// The begin of a connection from a proxy. A header leaves alone what follows it, and is never longer than its bound.
pub fn proxy_headers(bytes: &[u8]) {
    let read = |bytes: &mut &[u8]| {
        // Bytes in memory are never waited for.
        match pin!(proxy_header::read(bytes)).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(read) => read,
            Poll::Pending => panic!("it waits"),
        }
    };
    let mut left = bytes;
    let client = read(&mut left);
    let taken = bytes.len() - left.len();
    assert!(taken <= MAX_HEADER, "{taken} bytes for one header");
    if let Ok(client) = client {
        let again = read(&mut &bytes[..taken]).expect("the header alone is the same one");
        assert_eq!(again, client);
    }
}

/// The longest header of a proxy that is read.
const MAX_HEADER: usize = 536;
