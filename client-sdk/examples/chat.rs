//! A chat for any number of terminals: `cargo run -p hubcast-client --example chat -- ada`, with a server running. To see
//! who is there, start the server with presence: `cargo run --release -- --topics '[{match = "chat", presence = true}]'`.
//!
//! Stop the server and start it again: the chat continues, and says what it missed.

use anyhow::Context;
use hubcast_client::{Client, Ended, ItemError, Members, SubscribeError, Topic};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, BufReader};

/// One line of the chat and its author.
#[derive(Serialize, Deserialize)]
struct ChatLine {
    from: String,
    text: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let from = args.next().context("say who you are: cargo run -p hubcast-client --example chat -- ada")?;
    let url = args.next().unwrap_or_else(|| "ws://127.0.0.1:8080/socket".to_owned());
    let (client, room) = (Client::builder(&url).info(&from).connect().await?, Topic::<ChatLine>::new("chat"));
    let mut lines = client.subscribe(&room).last(5).await?;
    let mut members = match client.members("chat").await {
        Err(SubscribeError::NoPresence { .. }) => None,
        members => Some(members?),
    };
    let mut input = BufReader::new(tokio::io::stdin()).lines();
    println!("welcome, {from}; say something, and end with ctrl-d {}", members.as_ref().map(who).unwrap_or_default());
    loop {
        tokio::select! {
            line = lines.next() => match line {
                Some(Ok(ChatLine { from, text })) => println!("{from}: {text}"),
                Some(Err(ItemError::Ended(why))) => anyhow::bail!(why),
                Some(Err(missing)) => println!("({missing})"),
                None => break,
            },
            who = who_is_there(&mut members) => println!("{}", who?),
            line = input.next_line() => match line? {
                Some(text) => {
                    // If the server is away for longer than a request may take, this line is lost, but the chat goes on.
                    if let Err(error) = client.publish(&room, &ChatLine { from: from.clone(), text }).echo(false).await {
                        println!("(not sent: {error})");
                    }
                }
                None => break,
            },
        }
    }
    client.close().await?;
    Ok(())
}

/// Waits until somebody has come or gone.
async fn who_is_there(members: &mut Option<Members>) -> Result<String, Ended> {
    let Some(members) = members else { std::future::pending().await };
    members.changed().await?;
    Ok(who(members))
}

/// Who is there, by the names that they give themselves.
fn who(members: &Members) -> String {
    let list = members.current();
    let names: Vec<_> = list.people().filter_map(|member| member.info.as_ref()).map(|info| info.as_plain()).collect();
    format!("({}: {})", if list.is_current() { "here" } else { "no connection; last seen" }, names.join(", "))
}
