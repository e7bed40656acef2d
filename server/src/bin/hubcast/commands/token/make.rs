//! `hubcast token make`: signs a token, for tries and for scripts. In production the login makes them.

use crate::commands::answer::Answer;
use crate::settings::tokens::{Secret, TokenSettings};
use crate::settings::units::DurationText;
use anyhow::{anyhow, bail};
use aws_lc_rs::hmac;
use clap::Args;
use data_encoding::BASE64URL_NOPAD;
use hubcast_hub::Grant;
use hubcast_server::auth::{TokenFault, TokenRules};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// The token to make.
#[derive(Args, Clone, Debug)]
#[expect(clippy::doc_markdown, reason = "a help has no marks around names")]
pub(crate) struct MakeArgs {
    /// The TOML file of the server: its secret signs the token, which says what the server demands; without it,
    /// the one that HUBCAST_CONFIG names
    #[arg(long, value_name = "FILE", conflicts_with = "secret_file")]
    pub(crate) config: Option<PathBuf>,

    /// A file with the secret, without a configuration
    #[arg(long, value_name = "FILE")]
    pub(crate) secret_file: Option<PathBuf>,

    /// The id of the key that signs, if there are several
    #[arg(long, value_name = "ID")]
    pub(crate) key: Option<String>,

    /// The name of the user
    #[arg(long, value_name = "SUB")]
    user: String,

    /// What it may subscribe to: a topic or pattern; can be given several times
    #[arg(long, value_name = "PATTERN", value_parser = grant)]
    subscribe: Vec<String>,

    /// What it may publish to
    #[arg(long, value_name = "PATTERN", value_parser = grant)]
    publish: Vec<String>,

    /// Whose members it may see
    #[arg(long, value_name = "PATTERN", value_parser = grant)]
    presence: Vec<String>,

    /// Whose earlier publications it may read
    #[arg(long, value_name = "PATTERN", value_parser = grant)]
    history: Vec<String>,

    /// What others are shown of the user, as JSON of at most 1024 bytes
    #[arg(long, value_name = "JSON", value_parser = json)]
    info: Option<Box<RawValue>>,

    /// How long the token is accepted
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = lifetime)]
    lifetime: DurationText,
}

/// Makes a token and checks it as the server will.
///
/// # Errors
/// When no secret can sign, and when the server would refuse the token.
pub(crate) fn run(args: &MakeArgs, tokens: &TokenSettings, unix_now: u64) -> anyhow::Result<Answer> {
    let faults = |faults: Vec<String>| anyhow!(faults.join("\n       "));
    let Some(verifier) = tokens.load().map_err(faults)?.verifier else {
        bail!("the settings have no keys of tokens; write [tokens] into the configuration, or name a --secret-file");
    };
    let secret = choose(args, tokens.secrets().map_err(|fault| anyhow!(fault))?, unix_now)?;
    let end = unix_now.saturating_add(args.lifetime.0.as_secs());
    let header = header(&secret, verifier.rules())?;
    let token = sign(&header, &claims(args, verifier.rules(), unix_now, end)?, &secret.bytes);
    verifier.verify(&token, Instant::now(), unix_now).map_err(|fault| refused(fault, args, verifier.rules()))?;
    Ok(Answer { output: format!("{token}\n"), notes: warnings(args, &secret, end), is_refused: false })
}

/// The secret that signs.
fn choose(args: &MakeArgs, secrets: Vec<Secret>, unix_now: u64) -> anyhow::Result<Secret> {
    if secrets.is_empty() {
        bail!(
            "the settings have public keys alone, and those cannot sign: tokens are made by the login that has the \
             private key. For tries add a key of your own: {{ id = \"try\", secret_file = \"token.secret\" }}"
        );
    }
    let ids = secrets.iter().map(|secret| secret.id.as_deref().unwrap_or("(without an id)"));
    let ids = ids.collect::<Vec<_>>().join(", ");
    let is_over = |secret: &Secret| secret.not_after.is_some_and(|end| unix_now >= end);
    if let Some(id) = &args.key {
        // A word that is not among the ids may be the secret itself, so it is not shown.
        let chosen = secrets.into_iter().find(|secret| secret.id.as_deref() == Some(id));
        return match chosen {
            None => bail!("--key: there is no secret with this id; there are {ids}"),
            Some(secret) if is_over(&secret) => {
                bail!("--key: its not_after is over, so no token of it is accepted")
            }
            Some(secret) => Ok(secret),
        };
    }
    let mut live = secrets.into_iter().filter(|secret| !is_over(secret));
    match (live.next(), live.next()) {
        (Some(secret), None) => Ok(secret),
        (Some(_), Some(_)) => bail!("there are several secrets; choose one by --key: {ids}"),
        (None, _) => bail!("not_after of each secret is over: {ids}; add a new one to the settings"),
    }
}

/// The header, as JSON.
fn header(secret: &Secret, rules: &TokenRules) -> anyhow::Result<String> {
    #[derive(Serialize)]
    struct Header<'a> {
        alg: &'a str,
        typ: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        kid: Option<&'a str>,
    }
    let typ = rules.typ.as_deref().unwrap_or("JWT");
    Ok(serde_json::to_string(&Header { alg: "HS256", typ, kid: secret.id.as_deref() })?)
}

/// The claims, as JSON.
fn claims(args: &MakeArgs, rules: &TokenRules, unix_now: u64, end: u64) -> anyhow::Result<String> {
    type Members<'a> = BTreeMap<&'a str, Box<RawValue>>;
    let mut ours = Members::new();
    let lists = [
        ("subscribe", &args.subscribe),
        ("publish", &args.publish),
        ("presence", &args.presence),
        ("history", &args.history),
    ];
    for (name, list) in lists.into_iter().filter(|(_, list)| !list.is_empty()) {
        ours.insert(name, to_raw_value(list)?);
    }
    ours.extend(args.info.clone().map(|info| ("info", info)));
    let mut all = match &rules.claims {
        None => ours,
        Some(name) => Members::from([(name.as_str(), to_raw_value(&ours)?)]),
    };
    all.extend([("sub", to_raw_value(&args.user)?), ("iat", to_raw_value(&unix_now)?), ("exp", to_raw_value(&end)?)]);
    for (name, text) in [("aud", &rules.audience), ("iss", &rules.issuer)] {
        if let Some(text) = text {
            all.insert(name, to_raw_value(text)?);
        }
    }
    Ok(serde_json::to_string(&all)?)
}

/// The three parts of a token (RFC 7515 section 7.1), signed with HS256.
fn sign(header: &str, claims: &str, secret: &[u8]) -> String {
    let signed = format!("{}.{}", BASE64URL_NOPAD.encode(header.as_bytes()), BASE64URL_NOPAD.encode(claims.as_bytes()));
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    let signature = BASE64URL_NOPAD.encode(hmac::sign(&key, signed.as_bytes()).as_ref());
    format!("{signed}.{signature}")
}

/// Why the server would refuse the token, in words of the command line where it knows better ones.
fn refused(fault: TokenFault, args: &MakeArgs, rules: &TokenRules) -> anyhow::Error {
    let most = DurationText(rules.max_lifetime);
    match fault {
        TokenFault::TooLongLived => {
            anyhow!("--lifetime {}: tokens live at most {most}, as max_lifetime of the settings says", args.lifetime)
        }
        TokenFault::AmbiguousKey => {
            anyhow!("the secret has no id, and there are others; give each an id, and choose one by --key")
        }
        TokenFault::TooLong => {
            anyhow!("the token would be too long, at more than 7600 bytes; use patterns in its grants")
        }
        fault => anyhow!("the server would refuse this token: {fault}"),
    }
}

/// What may not be meant so.
fn warnings(args: &MakeArgs, secret: &Secret, end: u64) -> Vec<String> {
    let grants = || [&args.subscribe, &args.publish, &args.presence, &args.history].into_iter().flatten();
    let mut warnings = Vec::new();
    if grants().next().is_none() {
        warnings.push("warning: the token grants nothing; see --subscribe and --publish".to_owned());
    }
    if args.user.contains('.') && grants().any(|grant| grant.split('.').any(|token| token == "{user}")) {
        let user = &args.user;
        warnings.push(format!(
            "warning: {{user}} stands for one token, and the name {user:?} has a dot: such a grant covers nothing"
        ));
    }
    if secret.not_after.is_some_and(|over| over < end) {
        warnings.push("warning: not_after of the key comes before the end of the token".to_owned());
    }
    warnings
}

fn grant(text: &str) -> Result<String, String> {
    Grant::parse(text).map(|_| text.to_owned()).map_err(|fault| fault.to_string())
}

fn json(text: &str) -> Result<Box<RawValue>, &'static str> {
    serde_json::from_str(text).map_err(|_| "not JSON; write such as '{\"name\": \"Ada\"}'")
}

fn lifetime(text: &str) -> Result<DurationText, &'static str> {
    match text.parse()? {
        DurationText(short) if short < Duration::from_secs(1) => Err("must be at least 1s"),
        lifetime => Ok(lifetime),
    }
}

/// The end of the help.
pub(crate) const AFTER_HELP: &str = "\
Only a secret (HS256) can sign. Where the settings have public keys alone, the
login that has the private key makes the tokens.

\x1b[1;4mExamples:\x1b[0m
  hubcast token make --config hubcast.toml --user ada --subscribe 'room.>'
  hubcast token make --secret-file token.secret --user ada --publish chat

\x1b[1;4mExit codes:\x1b[0m
  0  made
  1  failed
  2  wrong usage or configuration, or the server would refuse the token";
