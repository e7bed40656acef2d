//! Typed messages on a topic and on a pattern: `cargo run -p hubcast-client --example typed`, with a server running.

use hubcast_client::{Client, Topic};
use serde::{Deserialize, Serialize};

/// The current price of one symbol.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Price {
    symbol: String,
    cents: u64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let url = std::env::args().nth(1).unwrap_or_else(|| "ws://127.0.0.1:8080/socket".to_owned());
    let client = Client::connect(&url).await?;
    let (tea, coffee) = (Topic::<Price>::new("prices.tea"), Topic::<Price>::new("prices.coffee"));

    let mut of_tea = client.subscribe(&tea).await?;
    let mut of_all = client.subscribe_pattern::<Price>("prices.*").await?;
    for (topic, symbol, cents) in [(&coffee, "COFFEE", 320), (&tea, "TEA", 250)] {
        client.publish(topic, &Price { symbol: symbol.to_owned(), cents }).await?;
    }

    for _ in 0..2 {
        if let Some(message) = of_all.next().await {
            let message = message?;
            println!("{} costs {} cents ({})", message.value.symbol, message.value.cents, message.topic);
        }
    }
    if let Some(price) = of_tea.next().await {
        println!("and of tea alone: {:?}", price?);
    }
    client.close().await?;
    Ok(())
}
