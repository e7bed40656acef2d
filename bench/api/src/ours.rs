//! hubcast with one worker, one API key, and no histories.

use hubcast_hub::{Grant, Grants, Permission, TopicPolicy, TopicRule};
use hubcast_server::{ApiKey, ApiKeys, Config, KeyHash, Server};
use std::net::TcpListener;
use std::sync::Arc;
use tokio::runtime::Builder;

/// The text of the key.
pub(crate) const KEY: &str = "hc_bench_kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk";

pub(crate) fn serve(port: u16) -> anyhow::Result<()> {
    let grants = Grants::new([(Permission::Publish, Grant::parse(">")?)]);
    let mut config = Config { workers: Some(1), ..Config::default() };
    config.auth.api_keys = Arc::new(ApiKeys::new(vec![ApiKey::new("bench", "bench", KeyHash::of(KEY), grants)])?);
    let policy = TopicPolicy { history: None, ..TopicPolicy::default() };
    config.rules.list.push(TopicRule { pattern: ">".parse()?, policy });
    let server = Server::bind(config, [TcpListener::bind(("127.0.0.1", port))?])?;
    Builder::new_current_thread().build()?.block_on(server.run(std::future::pending()))?;
    Ok(())
}
