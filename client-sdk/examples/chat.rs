//! A chat for any number of terminals: `cargo run -p hubcast-client --example chat -- ada`, with a server running.
//!
//! Stop the server and start it again: the chat continues, and says if lines are missing. Who is there is shown if the
//! server has a rule with `match = "chat"` and `presence = true`: see `hubcast.example.toml`.

use anyhow::Context;
use hubcast_client::{Client, Event, MemberList, Members, Topic};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
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
    let client = Client::builder(&url).info(&from).connect().await?;
    let room = Topic::<ChatLine>::new("chat");
    let mut events = client.subscribe(&room).last(10).await?.events();
    let mut members = client.members(room.name().clone()).await.ok();
    let mut input = BufReader::new(tokio::io::stdin()).lines();
    println!("welcome, {from}; say something, and end with ctrl-d");
    if let Some(members) = &members {
        show(&members.current());
    }
    loop {
        tokio::select! {
            event = events.next() => match event {
                Some(Ok(Event::Message(said))) => println!("{}: {}", said.value.from, said.value.text),
                Some(Ok(Event::Gap(gap))) => println!("({gap})"),
                Some(Ok(_)) => {}
                Some(Err(error)) => println!("({error})"),
                None => break,
            },
            list = changed(&mut members) => show(&list),
            line = input.next_line() => match line? {
                Some(text) => {
                    let line = ChatLine { from: from.clone(), text };
                    // If the server is away for longer than a request may take, this line is lost, but the chat
                    // continues.
                    if let Err(error) = client.publish(&room, &line).echo(false).await {
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

/// Waits until somebody comes or goes; for ever on a server that does not say who is there.
async fn changed(members: &mut Option<Members>) -> Arc<MemberList> {
    if let Some(list) = members {
        match list.changed().await {
            Ok(list) => return list,
            Err(_) => *members = None,
        }
    }
    std::future::pending().await
}

fn show(list: &MemberList) {
    let names: Vec<&str> = list.people().map(|there| there.info.as_ref().map_or("?", |info| info.as_plain())).collect();
    let when = if list.is_current() { "" } else { ", when there was a connection" };
    println!("({} here: {}{when})", list.count(), names.join(", "));
}
