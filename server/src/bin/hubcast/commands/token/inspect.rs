//! `hubcast token inspect`: shows what is in a token, and each check of the server with its outcome.

use super::shown::{indented, time};
use crate::commands::answer::Answer;
use crate::commands::printable;
use crate::settings::excerpt::excerpt;
use clap::Args;
use data_encoding::BASE64URL_NOPAD;
use hubcast_server::auth::{TokenFault, TokenRules, TokenVerifier};
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Instant;

/// The token to look at.
#[derive(Args, Clone, Debug)]
#[expect(clippy::doc_markdown, reason = "a help has no marks around names")]
pub(crate) struct InspectArgs {
    /// The TOML file of the server that checks the token; without it, the one that HUBCAST_CONFIG names. Without any, the
    /// token is only decoded
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// The token; - reads it from standard input, where no other user of the machine sees it
    #[arg(value_name = "TOKEN|-")]
    token: String,
}

/// Shows a token, and what the verifier says of it. The signature is not shown: without it nobody can use what is
/// printed.
///
/// # Errors
/// When there is no token.
pub(crate) fn run(args: &InspectArgs, verifier: Option<&TokenVerifier>, unix_now: u64) -> anyhow::Result<Answer> {
    Ok(answer(&super::given(&args.token)?, verifier, unix_now))
}

fn answer(token: &str, verifier: Option<&TokenVerifier>, unix_now: u64) -> Answer {
    let parts = Parts::of(token);
    let mut output = String::new();
    if let Some(parts) = &parts {
        let _ = writeln!(output, "header\n  {}\nclaims\n  {}", shown(&parts.header), shown(&parts.claims));
    }
    let verdict = match (verifier, &parts) {
        (Some(verifier), _) => {
            output += &checks(token, parts.as_ref(), verifier, unix_now);
            verifier.verify(token, Instant::now(), unix_now).map(drop)
        }
        (None, Some(_)) => Ok(()),
        (None, None) => Err(TokenFault::Malformed),
    };
    let _ = match (verifier, verdict) {
        (_, Err(fault)) => writeln!(output, "refused: {fault}"),
        (Some(_), Ok(())) => writeln!(output, "accepted"),
        (None, Ok(())) => writeln!(output, "nothing was verified: --config names the server's configuration"),
    };
    Answer { output, notes: Vec::new(), is_refused: verdict.is_err() }
}

/// The two parts of a token that can be read.
struct Parts {
    header: String,
    claims: String,
}

impl Parts {
    fn of(token: &str) -> Option<Self> {
        let (signed, _signature) = token.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        Some(Self { header: decode(header)?, claims: decode(claims)? })
    }
}

fn decode(part: &str) -> Option<String> {
    String::from_utf8(BASE64URL_NOPAD.decode(part.as_bytes()).ok()?).ok()
}

fn shown(json: &str) -> String {
    indented(json).unwrap_or_else(|| format!("(this is no JSON) {}", excerpt(&json.escape_debug().to_string())))
}

/// A line for each check.
fn checks(token: &str, parts: Option<&Parts>, verifier: &TokenVerifier, unix_now: u64) -> String {
    let read = |text: fn(&Parts) -> &String| parts.map(|parts| members(text(parts))).unwrap_or_default();
    let (header, claims) = (read(|parts| &parts.header), read(|parts| &parts.claims));
    let ours = match &verifier.rules().claims {
        Some(name) => claims.get(name).map(|ours| members(ours.get())).unwrap_or_default(),
        None => claims.clone(),
    };
    let found = Found { header, claims, ours, rules: verifier.rules(), unix_now };
    let mut text = "checks\n".to_owned();
    let checked = verifier.explain(token, unix_now);
    for check in &checked {
        let what = check.what;
        let found = printable::lines(&found.about(what)).replace('\n', " ");
        let _ = match check.outcome {
            Ok(()) if found.is_empty() => writeln!(text, "  ✓ {what}"),
            Ok(()) => writeln!(text, "  ✓ {what:<9}  {found}"),
            Err(fault) if found.is_empty() => writeln!(text, "  ✗ {what:<9}  {fault}"),
            Err(fault) => writeln!(text, "  ✗ {what:<9}  {fault} ({found})"),
        };
    }
    if !checked.iter().any(|check| check.what == "signature") {
        text += "  - signature  not checked, because there is no key for it\n";
    }
    text
}

/// The members of an object, as they were written: a value may be a number that no type of ours holds.
type Members = BTreeMap<String, Box<RawValue>>;

/// The members of an object; none if it is no object.
fn members(json: &str) -> Members {
    serde_json::from_str(json).unwrap_or_default()
}

/// What a token has, for the line of a check.
struct Found<'a> {
    header: Members,
    claims: Members,
    /// The object that has `info` and the grants.
    ours: Members,
    rules: &'a TokenRules,
    unix_now: u64,
}

impl Found<'_> {
    fn about(&self, what: &str) -> String {
        let Self { header, claims, ours, rules, .. } = self;
        match what {
            "header" => value("typ", header),
            "key" => format!("{}, {}", value("alg", header), value("kid", header)),
            "aud" => beside(value("aud", claims), rules.audience.as_deref()),
            "iss" => beside(value("iss", claims), rules.issuer.as_deref()),
            "sub" => value("sub", claims),
            "nbf" | "iat" | "exp" => {
                let unix = claims.get(what).and_then(|unix| serde_json::from_str(unix.get()).ok());
                unix.map_or_else(|| value(what, claims), |unix| time(unix, self.unix_now))
            }
            "info" => ours.get("info").map_or("no info".to_owned(), |info| format!("{} bytes", info.get().len())),
            "grants" => self.grants(),
            _ => String::new(),
        }
    }

    fn grants(&self) -> String {
        let count = |name: &&str| {
            let list: Vec<IgnoredAny> = serde_json::from_str(self.ours.get(*name)?.get()).ok()?;
            (!list.is_empty()).then(|| format!("{name}: {}", list.len()))
        };
        let counts: Vec<_> = ["subscribe", "publish", "presence", "history"].iter().filter_map(count).collect();
        if counts.is_empty() { "grants nothing".to_owned() } else { counts.join(", ") }
    }
}

/// A member of an object, in short.
fn value(name: &str, object: &Members) -> String {
    object.get(name).map_or_else(|| format!("no {name}"), |value| format!("{name} {}", excerpt(value.get())))
}

fn beside(mut found: String, setting: Option<&str>) -> String {
    if let Some(setting) = setting {
        found += &format!("; the settings: {setting:?}");
    }
    found
}

/// The end of the help.
pub(crate) const AFTER_HELP: &str = "\
The signature is not shown. Whether the operator has sent the user away is not
checked: a running server alone knows it.

\x1b[1;4mExit codes:\x1b[0m
  0  accepted; without a configuration: decoded, and nothing was verified
  1  failed
  2  wrong usage or configuration
  4  refused";

#[cfg(test)]
mod tests {
    use super::*;
    use hubcast_server::auth::{KeySet, TokenKey};

    fn verifier() -> TokenVerifier {
        let key = TokenKey::secret(b"a secret of the tests that is long enough").unwrap();
        TokenVerifier::new(KeySet::new(vec![key]).unwrap(), TokenRules::default())
    }

    fn token(header: &str, claims: &str) -> String {
        let encode = |text: &str| BASE64URL_NOPAD.encode(text.as_bytes());
        format!("{}.{}.{}", encode(header), encode(claims), "c2lnbmF0dXJl".repeat(3))
    }

    #[test]
    fn nothing_in_a_token_reaches_the_terminal_as_a_control_character() {
        let bad = "\u{9b}2J\u{202e}";
        for (header, claims) in [
            (format!("{{\"alg\":\"HS256\",\"typ\":\"{bad}\",\"kid\":\"{bad}\"}}"), format!("{{\"sub\":\"{bad}\"}}")),
            (bad.to_owned(), format!("{bad}\u{1b}[2J")),
            ("{}".to_owned(), format!("{{\"aud\":\"{bad}\",\n\t\"iss\":[\"{bad}\"],\"exp\":\"{bad}\"}}")),
        ] {
            let shown = answer(&token(&header, &claims), Some(&verifier()), 0).output;
            assert!(!shown.contains(|c: char| c.is_control() && c != '\n' || c == '\u{202e}'), "{shown:?}");
        }
    }

    #[test]
    fn a_claim_that_comes_twice_is_shown_twice_and_refused() {
        let token = token("{\"alg\":\"HS256\"}", "{\"sub\":\"ada\",\"sub\":\"root\"}");
        let answer = answer(&token, Some(&verifier()), 0);
        assert!(answer.is_refused);
        assert!(answer.output.contains("\"ada\"") && answer.output.contains("\"root\""), "{}", answer.output);
        assert!(answer.output.contains("  ✗ claims  "), "{}", answer.output);
        assert!(!answer.output.contains("c2lnbmF0"), "{}", answer.output);
    }

    #[test]
    fn a_signature_that_no_key_can_check_is_said_not_to_be_checked() {
        let shown = answer(&token("{\"alg\":\"none\"}", "{}"), Some(&verifier()), 0).output;
        assert!(shown.contains("✗ key ") && shown.contains("- signature  not checked"), "{shown}");
    }
}
