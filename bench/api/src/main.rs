//! Measures publishing over HTTP: hubcast, and a bare hyper server that only reads the same JSON. See README.md beside
//! this package.

mod bare;
mod load;
mod ours;

use clap::{Parser, Subcommand};

/// The allocator of hubcast's own program, for both servers.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    role: Role,
}

#[derive(Subcommand)]
enum Role {
    /// A server that reads the request's JSON and answers as hubcast does, and does nothing else
    Bare { port: u16 },
    /// hubcast with one worker and one API key
    Hubcast { port: u16 },
    /// Puts load on one of them, and prints one line of JSON
    Load(load::Load),
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().role {
        Role::Bare { port } => bare::serve(port),
        Role::Hubcast { port } => ours::serve(port),
        Role::Load(load) => load.run(),
    }
}
