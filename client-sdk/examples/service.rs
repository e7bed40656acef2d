//! A service beside your server: it hears orders, and confirms each of them once:
//! `cargo run -p hubcast-client --example service`, with a server running. Then, in a terminal:
//! `hubcast pub orders '{"id": 17, "total": 129.9}' --json`

use hubcast_client::{Client, ItemError, Topic};
use serde::{Deserialize, Serialize};

#[derive(Deserialize, Serialize)]
struct Order {
    id: u64,
    total: f64,
}

#[derive(Deserialize, Serialize)]
struct Confirmation {
    order: u64,
    text: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let url = std::env::args().nth(1).unwrap_or_else(|| "ws://127.0.0.1:8080/socket".to_owned());
    let client = Client::connect(&url).await?;
    let orders = Topic::<Order>::new("orders");
    let confirmations = Topic::<Confirmation>::new("confirmations");
    let mut incoming = client.subscribe(&orders).await?;
    println!("waiting for orders");
    while let Some(item) = incoming.next().await {
        match item {
            Ok(order) => {
                let text = format!("order {} over {:.2} is confirmed", order.id, order.total);
                // The key says what happened. Whoever confirms the same order again confirms nothing.
                let key = format!("confirmed-{}", order.id);
                client.publish(&confirmations, &Confirmation { order: order.id, text }).key(key).await?;
            }
            // A real service would read the orders that it missed from its database.
            Err(ItemError::Gap(gap)) => eprintln!("{gap}"),
            Err(ItemError::Decode(fault)) => eprintln!("not an order: {fault}"),
            Err(over) => return Err(over.into()),
        }
    }
    Ok(())
}
