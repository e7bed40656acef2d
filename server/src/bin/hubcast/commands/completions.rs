//! `hubcast completions`: what a shell needs to complete commands and flags.

use super::answer::Answer;
use anyhow::Context;
use clap::{Args, Command};
use clap_complete::{Shell, generate};

/// For which shell.
#[derive(Args, Clone, Debug)]
pub(crate) struct CompletionsArgs {
    /// The shell that is to complete commands and flags
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

/// The script for the shell.
///
/// # Errors
/// When a name in the command line is no text.
pub(crate) fn run(args: &CompletionsArgs, mut program: Command) -> anyhow::Result<Answer> {
    let (name, mut script) = (program.get_name().to_owned(), Vec::new());
    generate(args.shell, &mut program, name, &mut script);
    Ok(Answer { output: String::from_utf8(script).context("the script is no text")?, ..Answer::default() })
}

/// The end of the help.
pub(crate) const AFTER_HELP: &str = "\
\x1b[1;4mExamples:\x1b[0m
  source <(hubcast completions bash)                          this bash
  hubcast completions bash > /etc/bash_completion.d/hubcast   every bash
  hubcast completions zsh > \"${fpath[1]}/_hubcast\"            zsh
  hubcast completions fish > ~/.config/fish/completions/hubcast.fish";
