//! A chat for any number of terminals: `cargo run -p hubcast-client --example chat -- ada`, with a server running whose
//! rules give the topic presence: `cargo run --release -- --topics 'chat presence'`.
//!
//! Stop the server and start it again: the chat continues, and says what it missed.

use anyhow::Context;
use hubcast_client::{Client, ItemError, MemberList, Topic};
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
    let (mut lines, mut members) = (client.subscribe(&room).last(5).await?, client.members("chat").await?);
    let mut input = BufReader::new(tokio::io::stdin()).lines();
    println!("welcome, {from}; say something, and end with ctrl-d {}", who(&members.current()));
    loop {
        tokio::select! {
            line = lines.next() => match line {
                Some(Ok(ChatLine { from, text })) => println!("{from}: {text}"),
                Some(Err(ItemError::Ended(why))) => anyhow::bail!(why),
                Some(Err(missing)) => println!("({missing})"),
                None => break,
            },
            list = members.changed() => println!("{}", who(&*list?)),
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

/// Who is there, by the names that they give themselves.
fn who(list: &MemberList) -> String {
    let names: Vec<_> = list.people().filter_map(|member| member.info.as_ref()).map(|info| info.as_plain()).collect();
    format!("({}: {})", if list.is_current() { "here" } else { "no connection; last seen" }, names.join(", "))
}
