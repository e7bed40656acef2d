//! `hubcast token`: makes tokens for tries, and shows what is in a token and whether the server accepts it.

pub(crate) mod inspect;
pub(crate) mod make;
mod shown;

pub(crate) use inspect::InspectArgs;
pub(crate) use make::MakeArgs;

use anyhow::{Context, bail};
use hubcast_server::auth::ApiKey;
use std::io::{self, Read};

/// The token of a word of the command line, which standard input has if the word is `-`.
///
/// # Errors
/// When standard input cannot be read, and when the word is something else that is no token, which is not shown.
pub(crate) fn given(word: &str) -> anyhow::Result<String> {
    let mut text = word.to_owned();
    if word == STANDARD_INPUT {
        text.clear();
        io::stdin().take(MAX_BYTES).read_to_string(&mut text).context("cannot read the token from standard input")?;
    }
    let token = text.trim();
    match token {
        "" => bail!("there is no token; give it as an argument, or as - and on standard input"),
        key if ApiKey::id_of(key).is_some() => bail!("this is an API key, and no token"),
        token => Ok(token.to_owned()),
    }
}

const STANDARD_INPUT: &str = "-";

/// More than any token has.
const MAX_BYTES: u64 = 1 << 16;
