//! Connects, subscribes, publishes and receives: `cargo run -p hubcast-client --example quickstart`, with a server
//! running.

use hubcast_client::Client;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let url = std::env::args().nth(1).unwrap_or_else(|| "ws://127.0.0.1:8080/socket".to_owned());
    let client = Client::connect(&url).await?;
    if let Some(id) = client.id() {
        println!("connected as {id}");
    }

    let mut world = client.subscribe::<String>("world").await?;
    let published = client.publish("world", "Hello world!").await?;
    println!("published to {} connections", published.receivers);

    if let Some(greeting) = world.next().await {
        println!("received {:?}", greeting?);
    }
    client.close().await?;
    Ok(())
}
