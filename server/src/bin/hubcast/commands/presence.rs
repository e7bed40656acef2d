//! `hubcast presence`: prints who is subscribed to a topic.

use super::client::connect::ask;
use super::client::exit::{Failure, exit_codes};
use super::client::options::ClientOptions;
use super::client::output;
use super::client::running;
use super::client::terminal::Terminal;
use super::printable;
use clap::Args;
use hubcast_client::{Client, ClientId, Members, Present};
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::pin::pin;
use std::process::ExitCode;

/// Whose members, and how to print them.
#[derive(Args, Clone, Debug)]
pub(crate) struct PresenceArgs {
    /// The topic
    topic: String,

    /// Go on, and print who joins and leaves; this client itself is left out
    #[arg(long)]
    watch: bool,

    /// Print one JSON object a line
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    client: ClientOptions,
}

/// Runs the command and returns its exit code.
pub(crate) fn run(args: &PresenceArgs) -> ExitCode {
    let terminal = Terminal::new(&args.client.server);
    running::run(terminal, |stop| ask(&args.client, terminal, stop, |client| print(args, terminal, client)))
}

async fn print(args: &PresenceArgs, terminal: Terminal, client: Client) -> Result<(), Failure> {
    if args.watch {
        let members = client.members(args.topic.as_str()).await?;
        return watch(args, &client, members).await;
    }
    let presence = client.presence(args.topic.as_str()).await?;
    let mut lines = String::new();
    for present in &presence.clients {
        push(args, &mut lines, Change::Present, present);
    }
    write(&lines)?;
    let named = presence.clients.len() as u64;
    if presence.count > named {
        terminal.warn(&format!("{} are there, and the server names {named} of them", presence.count));
    }
    Ok(())
}

/// Prints the members, and then each change.
async fn watch(args: &PresenceArgs, client: &Client, mut members: Members) -> Result<(), Failure> {
    let mut shown: BTreeMap<ClientId, Present> = BTreeMap::new();
    let mut is_first = true;
    let mut closed = pin!(output::closed());
    loop {
        let list = members.current();
        if list.is_current() {
            let mut lines = String::new();
            let is_other = |present: &&Present| {
                Some(present.client) != client.id() && present.anonymous != Some(client.anonymous_id())
            };
            let now: BTreeMap<_, _> =
                list.members().iter().filter(is_other).map(|present| (present.client, present.clone())).collect();
            for present in shown.values().filter(|present| !now.contains_key(&present.client)) {
                push(args, &mut lines, Change::Leave, present);
            }
            let change = if is_first { Change::Present } else { Change::Join };
            for present in now.values().filter(|present| !shown.contains_key(&present.client)) {
                push(args, &mut lines, change, present);
            }
            (shown, is_first) = (now, false);
            write(&lines)?;
        }
        tokio::select! {
            biased;
            closed = &mut closed => return Err(closed),
            changed = members.changed() => {
                changed?;
            }
        }
    }
}

/// What is said of a member.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum Change {
    Present,
    Join,
    Leave,
}

/// A member, in the form of the events that a server sends.
#[derive(Serialize)]
struct Told<'a> {
    event: Change,
    topic: &'a str,
    client: ClientId,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    anonymous: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    info: Option<&'a hubcast_client::Payload>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    unverified: bool,
}

/// Appends the line of a member. The members say their info themselves, so it is never printed as it is.
fn push(args: &PresenceArgs, lines: &mut String, change: Change, present: &Present) {
    let (user, anonymous) = (present.user.as_deref(), present.anonymous.map(|id| id.to_string()));
    let line = if args.json {
        let (event, topic, client) = (change, args.topic.as_str(), present.client);
        let (info, unverified) = (present.info.as_ref(), present.unverified);
        let json = serde_json::to_string(&Told { event, topic, client, user, anonymous, info, unverified });
        // Line ends outside of the strings of an info mean nothing. The escapes are those of JSON.
        printable::line(&json.unwrap_or_default().replace(['\n', '\r', '\t'], " "))
    } else {
        let sign = match (args.watch, change) {
            (false, _) => "",
            (true, Change::Leave) => "-\t",
            (true, _) => "+\t",
        };
        let who = user.or(anonymous.as_deref()).unwrap_or("-");
        let info = present.info.as_ref().map_or("", |info| info.as_plain());
        let (who, info) = (printable::line(who), printable::line(info));
        let unverified = if present.unverified && !info.is_empty() { " (unverified)" } else { "" };
        format!("{sign}{}\t{who}\t{info}{unverified}", present.client).trim_end().to_owned()
    };
    lines.push_str(&line);
    lines.push('\n');
}

fn write(lines: &str) -> Result<(), Failure> {
    let mut output = io::stdout();
    output.write_all(lines.as_bytes()).and_then(|()| output.flush()).map_err(|error| Failure::output(&error))
}

/// The end of the help.
pub(crate) const AFTER_HELP: &str = concat!(
    "\
Each line has the connection, the user or the anonymous id, and the info.

\x1b[1;4mExamples:\x1b[0m
  hubcast presence room.7                  who is there
  hubcast presence room.7 --watch --json   who comes and goes, for programs

",
    exit_codes!()
);
