//! A chat for any number of terminals: `cargo run -p hubcast-client --example chat -- ada`, with a server running.
//!
//! Stop the server and start it again: the chat continues, and prints how many lines it missed.

use anyhow::Context;
use hubcast_client::{Client, Event, Topic};
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
    let (client, room) = (Client::connect(&url).await?, Topic::<ChatLine>::new("chat"));
    let mut events = client.subscribe(&room).await?.events();
    let mut input = BufReader::new(tokio::io::stdin()).lines();
    println!("welcome, {from}; say something, and end with ctrl-d");
    loop {
        tokio::select! {
            event = events.next() => match event {
                Some(Ok(Event::Message(said))) => println!("{}: {}", said.value.from, said.value.text),
                Some(Ok(Event::Resumed(resumed))) => println!("(back again, {} lines to catch up)", resumed.replayed),
                Some(Ok(Event::Gap(_))) => println!("(some lines may be lost)"),
                Some(Ok(_)) => {}
                Some(Err(error)) => println!("({error})"),
                None => break,
            },
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
