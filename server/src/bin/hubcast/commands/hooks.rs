//! `hubcast hooks test`: sends one event to each hook of a configuration, and says what came back.

use crate::settings::resolve::{CliArgs, Resolved, resolve};
use anyhow::{Context, bail};
use clap::Args;
use hubcast_server::hooks::Hook;
use hubcast_server::{HookAnswer, HookSendError, send_test};
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use tokio::runtime::Builder;

/// Which hooks to try.
#[derive(Args, Clone, Debug)]
#[expect(clippy::doc_markdown, reason = "a help has no marks around names")]
pub(crate) struct HookTestArgs {
    /// The TOML file of the server; without it, the one that HUBCAST_CONFIG names
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// The hook to try; without it, all of them
    #[arg(value_name = "NAME")]
    name: Option<String>,
}

/// Sends the events, one after another, and prints a line for each. Returns whether all have arrived, as exit code.
///
/// # Errors
/// When the settings are wrong, or have no such hook.
pub(crate) fn run(args: &HookTestArgs, given: &CliArgs) -> anyhow::Result<ExitCode> {
    let resolved = resolve(given)?;
    let hooks = chosen(args, &resolved)?;
    for warning in resolved.warnings() {
        let _ = writeln!(io::stderr(), "{warning}");
    }
    let runtime = Builder::new_current_thread().enable_all().build().context("cannot start a runtime")?;
    let mut code = ExitCode::SUCCESS;
    for hook in hooks {
        let outcome = runtime.block_on(send_test(hook, resolved.settings.options.hooks_public_only));
        let has_arrived = outcome.as_ref().is_ok_and(|answer| answer.status.is_success());
        if !has_arrived {
            code = ExitCode::FAILURE;
        }
        let _ = writeln!(io::stdout(), "{}", line(hook, &outcome));
    }
    Ok(code)
}

fn chosen<'a>(args: &HookTestArgs, resolved: &'a Resolved) -> anyhow::Result<Vec<&'a Hook>> {
    let hooks = &resolved.hooks;
    if hooks.is_empty() {
        bail!("the settings have no hooks; name the configuration by --config, and write [[hooks]] into it");
    }
    let Some(name) = &args.name else { return Ok(hooks.iter().collect()) };
    match hooks.iter().find(|hook| hook.name == *name) {
        Some(hook) => Ok(vec![hook]),
        None => {
            let names: Vec<_> = hooks.iter().map(|hook| &*hook.name).collect();
            bail!("there is no hook of this name; there are {}", names.join(", "))
        }
    }
}

/// What came back, in plain English.
fn line(hook: &Hook, outcome: &Result<HookAnswer, HookSendError>) -> String {
    let name = &hook.name;
    match outcome {
        Ok(HookAnswer { status, .. }) => {
            let number = status.as_u16();
            let means = match number {
                200..300 => "the event has arrived",
                300..400 => "this is a redirect, which is not followed; write the final URL",
                400 | 401 | 403 => "the receiver refuses it; does it have the same secret?",
                404 | 405 => "the receiver takes nothing there; is the path of the URL right?",
                410 => "the receiver wants no more events; the server would send it nothing until its next start",
                429 | 502 | 504 => "the receiver has too much to do; the server would wait and send it again",
                _ => "the receiver has failed; the server would send it again",
            };
            format!("{name}: {number}: {means}")
        }
        Err(fault) => format!("{name}: no answer: {fault}"),
    }
}

/// The end of the help.
pub(crate) const AFTER_HELP: &str = "\
\x1b[1;4mExamples:\x1b[0m
  hubcast hooks test --config hubcast.toml
  hubcast hooks test --config hubcast.toml shop

The event has the type hook.test and is signed as all others. Which events a
hook asks for does not matter here.

\x1b[1;4mExit codes:\x1b[0m
  0  every event has arrived
  1  some have not
  2  wrong usage or configuration";
