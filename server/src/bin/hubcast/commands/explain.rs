//! `hubcast explain`: says whether somebody may do something, and what that follows from. The server's own function
//! decides.

use super::answer::Answer;
use super::token;
use crate::settings::resolve::Resolved;
use anyhow::{anyhow, bail};
use clap::{Args, ValueEnum};
use hubcast_hub::{Grants, Permission, Permissions, Requester, TopicRules};
use hubcast_protocol::{Owner, Target, Topic};
use hubcast_server::auth::ApiKey;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

/// Who asks for what.
#[derive(Args, Clone, Debug)]
#[expect(clippy::doc_markdown, reason = "a help has no marks around names")]
pub(crate) struct ExplainArgs {
    /// The TOML file of the server; without it, the one that HUBCAST_CONFIG names. Without any, the defaults count
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// Ask for the user of this token; - reads it from standard input, where no other user of the machine sees it.
    /// Without a token or key it is a client without a token that asks
    #[arg(long, value_name = "TOKEN|-", conflicts_with = "key_id")]
    token: Option<String>,

    /// Ask for the API key with this id
    #[arg(long, value_name = "ID")]
    key_id: Option<String>,

    /// What it wants to do
    #[arg(value_name = "ACTION")]
    action: Action,

    /// With what it wants to do this. A pattern, such as room.* or room.>, must be allowed as a whole
    #[arg(value_name = "TOPIC|PATTERN")]
    target: String,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Action {
    Subscribe,
    Publish,
    Presence,
    History,
}

impl Action {
    fn permission(self) -> Permission {
        match self {
            Self::Subscribe => Permission::Subscribe,
            Self::Publish => Permission::Publish,
            Self::Presence => Permission::Presence,
            Self::History => Permission::History,
        }
    }

    /// Whether the server takes a pattern for it: a pattern is subscribed to, also with earlier publications.
    fn takes_patterns(self) -> bool {
        matches!(self, Self::Subscribe | Self::History)
    }
}

/// Decides as the server would.
///
/// # Errors
/// When there is no such API key, no token, or no such pattern.
pub(crate) fn run(args: &ExplainArgs, resolved: &Resolved, unix_now: u64) -> anyhow::Result<Answer> {
    let target = target(args.action, &args.target)?;
    let rules = TopicRules { list: resolved.settings.options.topics.rules.clone() };
    let admission = &resolved.access.admission;
    let asking = match asking(args, resolved, unix_now)? {
        Ok(asking) => asking,
        Err(reason) => return Ok(refused(&reason, Vec::new())),
    };
    let longest = resolved.settings.options.max_topic.0;
    if args.target.len() > longest {
        return Ok(refused(&format!("the name is longer than max_topic = {longest} bytes"), Vec::new()));
    }
    let permissions = Permissions { rules: &rules, default: admission.default };
    let permission = args.action.permission();
    let decision = permissions.decide(&asking.requester(), permission, &target);
    let who = asking.who();
    let because = decision.because.to_string();
    let notes = notes(args, &target, &rules);
    if !decision.is_allowed {
        return Ok(refused(&format!("{who} may not {}: {because}", what(permission, &target)), notes));
    }
    let output = format!("granted: {who} may {}: {because}\n", what(permission, &target));
    Ok(Answer { output, notes, is_refused: false })
}

fn refused(reason: &str, notes: Vec<String>) -> Answer {
    Answer { output: format!("refused: {reason}\n"), notes, is_refused: true }
}

/// Who asks.
enum Asking<'a> {
    User(Box<str>, hubcast_hub::Login),
    ApiKey(&'a Arc<ApiKey>),
    WithoutToken(&'a Grants),
}

/// Who asks; or why the server lets it do nothing at all.
fn asking<'a>(args: &ExplainArgs, resolved: &'a Resolved, unix_now: u64) -> anyhow::Result<Result<Asking<'a>, String>> {
    let (auth, admission) = (&resolved.access.auth, &resolved.access.admission);
    if let Some(word) = &args.token {
        let shown = token::given(word)?;
        let Some(verifier) = &auth.verifier else {
            return Ok(Err("the settings have no keys of tokens, so the server accepts no token".to_owned()));
        };
        let verified = verifier.verify(&shown, Instant::now(), unix_now);
        return Ok(match verified {
            Ok(verified) => Ok(Asking::User(verified.user, verified.login)),
            Err(fault) => Err(fault.to_string()),
        });
    }
    if let Some(id) = &args.key_id {
        let key = auth.api_keys.by_id(id).ok_or_else(|| unknown_key(id, auth.api_keys.keys()))?;
        return Ok(match key.is_over(unix_now) {
            true => Err(format!("not_after of the API key {id:?} is over, so the server does not accept it")),
            false => Ok(Asking::ApiKey(key)),
        });
    }
    if admission.token_required {
        return Ok(Err("the server lets no client do anything without a token; give one by --token".to_owned()));
    }
    Ok(Ok(Asking::WithoutToken(&admission.anonymous)))
}

fn unknown_key(id: &str, keys: &[Arc<ApiKey>]) -> anyhow::Error {
    if ApiKey::id_of(id).is_some() {
        return anyhow!("--key-id takes the id of an API key, and not the key itself");
    }
    let ids: Vec<_> = keys.iter().map(|key| &*key.id).collect();
    match ids[..] {
        [] => anyhow!("--key-id: the settings have no API keys; hubcast key makes one"),
        _ => anyhow!("--key-id: there is no API key with this id; there are {}", ids.join(", ")),
    }
}

impl Asking<'_> {
    fn requester(&self) -> Requester<'_> {
        match self {
            Self::User(user, login) => {
                Requester { user: Some(user), client: None, grants: &login.credentials.grants, is_api_key: false }
            }
            Self::ApiKey(key) => Requester { user: None, client: None, grants: key.grants(), is_api_key: true },
            Self::WithoutToken(grants) => Requester { user: None, client: None, grants, is_api_key: false },
        }
    }

    fn who(&self) -> String {
        match self {
            Self::User(user, _) => format!("the user {user:?}"),
            Self::ApiKey(key) => format!("the API key {:?}", &*key.id),
            Self::WithoutToken(_) => "a client without a token".to_owned(),
        }
    }
}

fn what(permission: Permission, target: &Target) -> String {
    let named = match target {
        Target::Topic(topic) => format!("{:?}", topic.as_str()),
        Target::Pattern(pattern) => format!("all of {:?}", pattern.as_str()),
    };
    match permission {
        Permission::Subscribe => format!("subscribe to {named}"),
        Permission::Publish => format!("publish to {named}"),
        Permission::Presence => format!("see the members of {named}"),
        Permission::History => format!("read the history of {named}"),
    }
}

/// The topic or pattern. On the wire these are two fields; here a wildcard makes the difference.
fn target(action: Action, text: &str) -> anyhow::Result<Target> {
    if !is_pattern(text) || !action.takes_patterns() {
        return Ok(Target::Topic(Topic::new(text)));
    }
    match text.parse() {
        Ok(pattern) => Ok(Target::Pattern(pattern)),
        Err(fault) => bail!("{text:?} is no pattern: {fault}"),
    }
}

fn is_pattern(text: &str) -> bool {
    !text.starts_with('@') && text.split('.').any(|token| token == "*" || token == ">")
}

/// What may not be meant so, and what the server demands besides the permission.
fn notes(args: &ExplainArgs, target: &Target, rules: &TopicRules) -> Vec<String> {
    let Target::Topic(topic) = target else { return Vec::new() };
    let mut notes = Vec::new();
    if is_pattern(&args.target) {
        notes.push("note: this action takes no pattern, so this is the one topic of this name".to_owned());
    } else if args.target.contains(['*', '>']) {
        notes.push("note: a wildcard stands alone between dots, so this is the one topic of this name".to_owned());
    }
    if matches!(topic.owner(), Some(Owner::Client(_))) {
        notes.push("note: this is the private topic of a connection, which itself may read it".to_owned());
    }
    let policy = rules.of(topic);
    match args.action {
        Action::Presence if policy.presence.is_none() => {
            notes.push("note: the rules keep no presence for this topic, so the server answers no_presence".to_owned());
        }
        Action::History if policy.history.is_none() => {
            notes.push("note: the rules keep no history for this topic".to_owned());
        }
        _ => {}
    }
    notes
}

/// The end of the help.
pub(crate) const AFTER_HELP: &str = "\
\x1b[1;4mExamples:\x1b[0m
  hubcast explain --config hubcast.toml --token - subscribe 'room.>'
  hubcast explain --config hubcast.toml --key-id backend publish orders.eu
  hubcast explain --config hubcast.toml history news

Whether the operator has sent the user away is not checked: a running server
alone knows it.

\x1b[1;4mExit codes:\x1b[0m
  0  granted
  1  failed
  2  wrong usage or configuration
  4  refused, also because the server does not accept the token";
