//! TLS with own root certificates, and a token that is fetched when it is needed:
//! `cargo run -p hubcast-client --example secure -- wss://hub.example/socket roots.pem`.

use anyhow::Context;
use hubcast_client::{Client, Tls, TokenError};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let url = args.next().context("name the server: wss://…")?;
    let mut client = Client::builder(&url).token_from(|_| async { fresh_token().await.map_err(TokenError::failed) });
    // Without this, the client trusts the roots of the web.
    if let Some(file) = args.next() {
        client = client.tls(Tls::without_roots().root_certificates(std::fs::read(file)?));
    }
    let client = client.connect().await?;
    println!("connected as {:?}", client.user());
    client.close().await?;
    Ok(())
}

/// Asks the program's own service for a token, which may take a while and may fail: then the client waits, and asks again
/// with its next attempt.
async fn fresh_token() -> Result<String, std::env::VarError> {
    std::env::var("HUB_TOKEN")
}
