//! Opening the byte stream to a server: directly, through a proxy, or by a connector of the program; and TLS on it.

use super::address::Address;
use super::proxy::ProxyChoice;
use crate::connector::{ByteStream, Connector};
use crate::machine::Disconnection;
#[cfg(feature = "tls")]
use crate::tls::TlsClient;
use tokio::net::TcpStream;

/// How a client reaches its servers.
#[derive(Clone, Debug)]
pub(crate) struct Dialer {
    pub(crate) connector: Option<Connector>,
    pub(crate) proxy: ProxyChoice,
    /// TLS, if an address has `wss://`.
    #[cfg(feature = "tls")]
    pub(crate) tls: Option<TlsClient>,
}

impl Dialer {
    /// Opens a stream to a server, encrypted if its address says so.
    pub(super) async fn dial(&self, server: &Address) -> Result<Box<dyn ByteStream>, Disconnection> {
        let stream = self.open(server).await?;
        #[cfg(feature = "tls")]
        if server.is_secure()
            && let Some(tls) = &self.tls
        {
            return tls.connect(server.host(), stream).await;
        }
        Ok(stream)
    }

    async fn open(&self, server: &Address) -> Result<Box<dyn ByteStream>, Disconnection> {
        if let Some(connector) = &self.connector {
            return connector.connect(server.host(), server.port()).await.map_err(|error| lost(&error));
        }
        let proxy = self.proxy.find(server, |name| std::env::var(name).ok());
        let stream = match proxy.map_err(Disconnection::rejected)? {
            Some(proxy) => proxy.connect(server).await?,
            None => TcpStream::connect((server.host(), server.port())).await.map_err(|error| lost(&error))?,
        };
        // Without this, a short frame may wait for the acknowledgement of the one before (RFC 896).
        stream.set_nodelay(true).map_err(|error| lost(&error))?;
        Ok(Box::new(stream))
    }
}

fn lost(error: &std::io::Error) -> Disconnection {
    Disconnection::Lost { reason: error.to_string(), retry_after: None }
}
