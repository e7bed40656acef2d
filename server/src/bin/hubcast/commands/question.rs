//! The commands that answer a question from the settings, and neither serve nor connect to a server.

use super::answer::Answer;
use super::explain::{self, ExplainArgs};
use super::key::{self, KeyArgs};
use super::token::{InspectArgs, MakeArgs, inspect, make};
use crate::settings::resolve::{CliArgs, Resolved, resolve};
use crate::settings::tokens::TokenSettings;
use anyhow::{Context, bail};
use std::fs;
use std::path::Path;

/// A question, with the settings that it is about.
#[derive(Debug)]
pub(crate) enum Question {
    /// A new API key.
    Key(KeyArgs),
    /// A new token. Without settings it is signed with the secret of a file.
    MakeToken(MakeArgs, Option<CliArgs>),
    /// Whether a token would be accepted. Without settings it is only decoded.
    InspectToken(InspectArgs, Option<CliArgs>),
    /// Whether somebody may do something.
    Explain(ExplainArgs, CliArgs),
}

impl Question {
    /// The answer at this moment, in seconds since 1970-01-01 UTC.
    ///
    /// # Errors
    /// What is wrong with the question or with the settings.
    pub(crate) fn answer(self, unix_now: u64) -> anyhow::Result<Answer> {
        match self {
            Self::Key(args) => key::run(&args),
            Self::MakeToken(args, None) => match &args.secret_file {
                Some(file) => make::run(&args, &of_secret_file(file, args.key.as_deref())?, unix_now),
                None => bail!("there is no secret; name the configuration by --config, or a secret by --secret-file"),
            },
            Self::MakeToken(args, Some(given)) => {
                about(&given, |resolved| make::run(&args, &resolved.settings.options.tokens.value, unix_now))
            }
            Self::InspectToken(args, None) => inspect::run(&args, None, unix_now),
            Self::InspectToken(args, Some(given)) => about(&given, |resolved| match &resolved.access.auth.verifier {
                Some(verifier) => inspect::run(&args, Some(verifier), unix_now),
                None => bail!("the settings have no keys of tokens; write [tokens] into the configuration, with keys"),
            }),
            Self::Explain(args, given) => about(&given, |resolved| explain::run(&args, resolved, unix_now)),
        }
    }
}

/// The settings of tokens that are signed with the secret in a file.
fn of_secret_file(file: &Path, id: Option<&str>) -> anyhow::Result<TokenSettings> {
    // The name of a file that is not there may be the secret itself, so it is not shown.
    fs::metadata(file).context("--secret-file: there is no such file to read; it takes the name of a file")?;
    let tokens = TokenSettings::of_secret_file(file.to_owned(), id);
    match tokens.load() {
        Ok(_) => Ok(tokens),
        Err(faults) => bail!("--secret-file: {}", faults.join(", ").trim_start_matches(", key 1: ")),
    }
}

/// Answers from these settings, with a warning about variables that have no effect.
fn about(given: &CliArgs, answer: impl FnOnce(&Resolved) -> anyhow::Result<Answer>) -> anyhow::Result<Answer> {
    let resolved = resolve(given)?;
    let mut answer = answer(&resolved)?;
    answer.notes.splice(0..0, resolved.warnings());
    if !resolved.access.auth.jwks.is_empty() {
        answer.notes.push("note: keys that the server fetches from an address are not known here".to_owned());
    }
    Ok(answer)
}
