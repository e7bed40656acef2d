//! An echo server: it sends every message back with the same opcode.
//!
//! It uses the accept loop, handshake, framing, pings and close of the server library. A conformance suite that runs
//! against this example tests the code that hubcast ships.
//!
//! `cargo run --release -p hubcast-server --example echo -- 127.0.0.1:9001`

use anyhow::Context;
use hubcast_server::frame::{self, Opcode};
use hubcast_server::{Arrival, Closed, Config, Disconnect, Message, MessageLimits, Outbound, Peer, Server, Service};
use std::net::TcpListener;
use std::time::Instant;

/// A service that sends each message back to its connection.
struct Echo;

impl Service for Echo {
    fn accepts(&self, _path: &str) -> bool {
        true
    }

    fn opened(&mut self, _peer: Peer, _arrival: Arrival, _out: &mut Outbound<'_>) {}

    fn message(&mut self, peer: Peer, message: Message<'_>, out: &mut Outbound<'_>) {
        let echo = match message {
            Message::Text(text) => frame::write(Opcode::Text, text.as_bytes()),
            Message::Binary(bytes) => frame::write(Opcode::Binary, bytes),
        };
        out.push(peer.slot, &echo);
        out.want_turn();
    }

    fn closed(&mut self, _peer: Peer, _closed: Closed) {}

    fn disconnect(&mut self, peer: Peer, why: Disconnect, out: &mut Outbound<'_>) {
        out.close(peer.slot, why.code, &why.reason);
    }

    fn turn(&mut self, _now: Instant, _out: &mut Outbound<'_>) {}
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let address = std::env::args().nth(1).context("say where to listen, such as 127.0.0.1:9001")?;
    let listener = TcpListener::bind(&address).with_context(|| format!("cannot listen on {address}"))?;
    let mebibytes = 1024 * 1024;
    let config = Config {
        messages: MessageLimits { message: 16 * mebibytes, frame: 16 * mebibytes, fragments: 65_536 },
        outbox: 64 * mebibytes,
        ..Config::default()
    };
    let server = Server::bind(config, [listener])?;
    println!("echoing on ws://{}/", server.local_addr()?);
    server.run_service(|| Echo, std::future::pending()).await?;
    Ok(())
}
