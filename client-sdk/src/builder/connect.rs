//! From the settings to a client: checks them, and starts its task.

use super::{ClientBuilder, ServerAddress};
use crate::client::Client;
use crate::driver::{Address, Dialer, Driver, Endpoint, Proxy, ProxyChoice, Remote};
use crate::error::ConnectError;
use crate::handle::{Queues, Shared};
use crate::inbox::QueueTotal;
use crate::room::Room;
use hubcast_protocol::MemberSecret;
use hubcast_protocol::request::Identify;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

impl ClientBuilder {
    /// Makes a client that connects by itself, and does not wait for that: requests wait for the connection as in any
    /// outage. [`Client::status`] says what happens. If the first handshake is refused for good, the client is closed.
    ///
    /// # Errors
    /// When an address, a header or another setting is not valid.
    ///
    /// # Panics
    /// Outside of a tokio runtime, and on one whose time driver is not enabled.
    pub fn connect_lazily(self) -> Result<Client, ConnectError> {
        let client = self.spawn()?;
        client.connect_lazily();
        Ok(client)
    }

    /// Connects. Dropping the future closes what was made until then.
    ///
    /// # Errors
    /// As [`Client::connect`], and when a [header](ClientBuilder::header) or another setting is not valid.
    ///
    /// # Panics
    /// Outside of a tokio runtime, and on one whose time driver is not enabled.
    pub async fn connect(self) -> Result<Client, ConnectError> {
        let client = self.spawn()?;
        client.welcome().await?;
        Ok(client)
    }

    /// Starts the task of a client that is not connected.
    fn spawn(mut self) -> Result<Client, ConnectError> {
        // Panics here, where the program sees it, and not later in the task, if the runtime has no timers.
        drop(tokio::time::sleep(Duration::ZERO));
        let (endpoint, seed, secret) = match self.server {
            ServerAddress::Urls(urls) => {
                let addresses = urls.iter().map(|url| Address::new(url)).collect::<Result<Vec<_>, _>>()?;
                self.config.addresses = u32::try_from(addresses.len()).unwrap_or(u32::MAX);
                self.headers.check()?;
                let dialer = Dialer {
                    connector: self.connector,
                    proxy: match self.proxy {
                        None => ProxyChoice::Environment,
                        Some(None) => ProxyChoice::None,
                        Some(Some(url)) => ProxyChoice::Always(Proxy::new(&url)?),
                    },
                    #[cfg(feature = "tls")]
                    tls: match addresses.iter().any(Address::is_secure) {
                        true => Some(self.tls.client()?),
                        false => None,
                    },
                };
                (Endpoint::Remote(Arc::new(Remote::new(addresses, self.headers, dialer))), random(), random())
            }
            #[cfg(feature = "testing")]
            ServerAddress::Local(entrance) => {
                let seed = u128::from(entrance.server.next_seed());
                (Endpoint::Local(entrance), seed, seed)
            }
        };
        let secret = self.secret.unwrap_or_else(|| MemberSecret::from_random(secret));
        let info = self.info.map_err(|reason| ConnectError::InvalidInfo { reason })?;
        self.config.has_tokens = self.tokens.is_there();
        self.config.identity = Some(Identify { secret: secret.clone(), info });
        let room = Room::new(self.config.queue, self.request_bytes);
        let (all, topics) = (Arc::new(QueueTotal::new(self.queues)), self.config.topics_per_pattern);
        let queues = Queues { each: self.queue, all: all.clone(), topics };
        let (commands, status) = Driver::spawn((endpoint, self.tokens), self.config, seed, all, self.request_bytes);
        Ok(Client::new(Shared::new(commands, status, queues, room, secret)))
    }
}

/// Bits that others cannot guess, from the random source of the operating system. If that fails, from the random keys
/// that the standard library has taken from it for its hash maps.
fn random() -> u128 {
    let mut seed = [0; 16];
    if getrandom::fill(&mut seed).is_err() {
        let state = RandomState::new();
        seed[..8].copy_from_slice(&state.hash_one(1).to_le_bytes());
        seed[8..].copy_from_slice(&state.hash_one(2).to_le_bytes());
    }
    u128::from_le_bytes(seed)
}
