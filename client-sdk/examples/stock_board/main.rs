//! A stock board: tills publish what they sell, and a board adds it up. `hour.rs` shows how to test such an application
//! through an hour of cuts, restarts and crashes, in about a second.
//!
//! With a server running: `cargo run -p hubcast-client --example stock_board -- board`, and in another terminal the same
//! with `till`.

use anyhow::{Context, bail};
use hubcast_client::{Client, Event, Position, PublishError, Topic};
use serde::{Deserialize, Serialize};
use std::sync::Mutex;
use std::time::Duration;

#[cfg(test)]
mod hour;

/// A sale. The numbers of a till count up by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Sale {
    number: u64,
    pieces: u64,
}

/// What the board knows. A real board keeps it on its disk, the position together with the rest.
#[derive(Debug, Default)]
struct Book {
    lines: Vec<Line>,
    /// Where to go on after a restart.
    position: Option<Position>,
}

#[derive(Debug, PartialEq, Eq)]
enum Line {
    Sold(Sale),
    /// Sales may be missing here, or come twice: somebody must look into it.
    Doubt(String),
}

/// Publishes one sale, until the server has confirmed it.
async fn sell(till: &Client, sale: Sale) -> Result<(), PublishError> {
    let mut key = None;
    loop {
        let mut publish = till.publish(sales(), &sale);
        if let Some(key) = key.clone() {
            publish = publish.key(key);
        }
        match publish.await {
            Ok(_) => return Ok(()),
            // It may have been published. Published again with the same key, it takes effect once.
            Err(PublishError::Timeout { key: Some(again) } | PublishError::Uncertain { key: again, .. }) => {
                key = Some(again);
            }
            Err(PublishError::QueueFull) => {}
            Err(PublishError::Refused(refused)) if refused.retry => {}
            Err(error) => return Err(error),
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Writes sales into the book, and goes on where the book ends.
async fn keep(book: &Mutex<Book>, board: &Client) -> anyhow::Result<()> {
    let mut subscribe = board.subscribe(sales());
    if let Some(position) = lock(book).position {
        subscribe = subscribe.recover(position);
    }
    let mut events = subscribe.await?.events();
    lock(book).position = events.position();
    while let Some(event) = events.next().await {
        let line = match event? {
            Event::Message(sold) => Some(Line::Sold(sold.value)),
            Event::Gap(gap) => Some(Line::Doubt(gap.to_string())),
            _ => None,
        };
        let mut book = lock(book);
        book.lines.extend(line);
        book.position = events.position();
    }
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let role = args.next().context("say what it is: board or till")?;
    let client = Client::connect(&args.next().unwrap_or_else(|| "ws://127.0.0.1:8080/socket".to_owned())).await?;
    let mut second = tokio::time::interval(Duration::from_secs(1));
    match role.as_str() {
        "till" => {
            for number in 1.. {
                second.tick().await;
                sell(&client, Sale { number, pieces: 1 + number % 3 }).await?;
                println!("sold {number}");
            }
        }
        "board" => {
            let book = Mutex::new(Book::default());
            let showing = async {
                loop {
                    second.tick().await;
                    println!("{} pieces sold, {} doubts", lock(&book).pieces(), lock(&book).doubts());
                }
            };
            tokio::select! {
                kept = keep(&book, &client) => kept?,
                () = showing => {}
            }
        }
        other => bail!("{other} is neither board nor till"),
    }
    Ok(())
}

impl Book {
    fn pieces(&self) -> u64 {
        self.lines.iter().map(|line| if let Line::Sold(sale) = line { sale.pieces } else { 0 }).sum()
    }

    fn doubts(&self) -> usize {
        self.lines.iter().filter(|line| matches!(line, Line::Doubt(_))).count()
    }
}

fn sales() -> Topic<Sale> {
    Topic::new("sales")
}

fn lock(book: &Mutex<Book>) -> std::sync::MutexGuard<'_, Book> {
    book.lock().expect("nobody panics while it writes")
}
