//! Rewrites those errors of clap that name something else than what the operator wrote.

use crate::settings::excerpt::excerpt;
use clap::Command;
use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use std::env;
use std::ffi::OsString;

/// The same error, in words that fit what was written.
pub(super) fn explain(error: clap::Error, command: &Command, words: &[OsString]) -> clap::Error {
    let error = without_structured(shortened(error));
    match error.kind() {
        ErrorKind::ArgumentConflict => name_the_word(error, command),
        ErrorKind::InvalidUtf8 => name_the_variable_in_bytes(error, command, words),
        ErrorKind::ValueValidation | ErrorKind::InvalidValue => name_the_variable(error, command, words),
        _ => error,
    }
}

/// The same error with long words cut, and without words that may hold a secret.
fn shortened(mut error: clap::Error) -> clap::Error {
    for kind in [ContextKind::InvalidArg, ContextKind::InvalidValue, ContextKind::InvalidSubcommand] {
        if let Some(ContextValue::String(word)) = error.get(kind) {
            let is_flag = word.starts_with("--") && !word.contains('=');
            let shown = if is_flag { excerpt(word).into_owned() } else { without_secrets(word) };
            error.insert(kind, ContextValue::String(shown));
        }
    }
    error
}

/// The same error without a value that is a table of keys: any part of it may be a secret.
fn without_structured(mut error: clap::Error) -> clap::Error {
    let Some(ContextValue::String(shown)) = error.get(ContextKind::InvalidArg) else { return error };
    let flag = shown.split_whitespace().next().unwrap_or_default();
    if ["--tokens", "--api-keys"].contains(&flag) && error.get(ContextKind::InvalidValue).is_some() {
        error.insert(ContextKind::InvalidValue, ContextValue::String("***".to_owned()));
    }
    error
}

/// A word that may hold a secret is not shown, because errors end up in logs.
fn without_secrets(word: &str) -> String {
    match ["secret", "key", "hc_"].iter().any(|sign| word.contains(sign)) || is_like_token(word) {
        true => "***".to_owned(),
        false => excerpt(word).into_owned(),
    }
}

/// Whether a word is, or holds, three parts with dots between them that are too long for a topic or a version.
fn is_like_token(word: &str) -> bool {
    word.contains("eyJ") || word.matches('.').count() == 2 && word.split('.').all(|part| part.len() > 15)
}

/// clap takes every word after the flags for a subcommand.
fn name_the_word(error: clap::Error, command: &Command) -> clap::Error {
    let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidSubcommand) else { return error };
    let mut renamed = clap::Error::new(ErrorKind::UnknownArgument).with_cmd(command);
    renamed.insert(ContextKind::InvalidArg, ContextValue::String(word.clone()));
    if command.find_subcommand(word).is_some() {
        let first = format!("{word} has to be the first word: {} {word} [OPTIONS]", command.get_name());
        renamed.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![StyledStr::from(first)]));
    }
    if let Some(usage) = error.get(ContextKind::Usage) {
        renamed.insert(ContextKind::Usage, usage.clone());
    }
    renamed
}

/// clap does not say where the bytes are that are not UTF-8.
fn name_the_variable_in_bytes(error: clap::Error, command: &Command, words: &[OsString]) -> clap::Error {
    // A path may have any bytes.
    let texts = command.get_arguments().filter(|arg| arg.get_id() != "config");
    let variables = texts.filter(|arg| arg.get_long().is_some_and(|flag| !is_given(&format!("--{flag}"), words)));
    let wrong = variables.filter_map(|arg| {
        let (name, value) = (arg.get_env()?, env::var_os(arg.get_env()?)?);
        value.to_str().is_none().then(|| format!("{}={}", name.display(), without_secrets(&value.to_string_lossy())))
    });
    match wrong.collect::<Vec<_>>().first() {
        Some(wrong) => command.clone().error(ErrorKind::InvalidUtf8, format!("{wrong}: not UTF-8 text")),
        None => error,
    }
}

/// Names the variable if the value came from the environment: clap names the flag, but the operator wrote the variable.
fn name_the_variable(mut error: clap::Error, command: &Command, words: &[OsString]) -> clap::Error {
    let Some(ContextValue::String(shown)) = error.get(ContextKind::InvalidArg) else { return error };
    let flag = shown.split_whitespace().next().unwrap_or_default();
    if is_given(flag, words) {
        return error;
    }
    let arg = command.get_arguments().find(|arg| arg.get_long() == flag.strip_prefix("--"));
    if let Some(variable) = arg.and_then(|arg| arg.get_env()) {
        let variable = variable.to_string_lossy().into_owned();
        error.insert(ContextKind::InvalidArg, ContextValue::String(variable));
    }
    error
}

/// Whether this flag is among the words.
fn is_given(flag: &str, words: &[OsString]) -> bool {
    words.iter().any(|word| word.to_string_lossy().split('=').next() == Some(flag))
}
