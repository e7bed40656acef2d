//! The certificate and the key, from their files.

use super::expiry::not_after;
use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::SystemTime;
use std::{fmt, fs, io};

/// How the server speaks TLS: two PEM files, and what was read from them last. New files are taken up while the server
/// runs; connections that are open keep what they began with.
pub struct Tls {
    certificate: PathBuf,
    key: PathBuf,
    current: ArcSwap<Loaded>,
    reloads: AtomicU64,
    refused: AtomicU64,
}

struct Loaded {
    server: Arc<ServerConfig>,
    /// The text of both files.
    read: (Vec<u8>, Vec<u8>),
    expires: Option<u64>,
    at: SystemTime,
}

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsFault {
    /// A file cannot be read.
    #[error("{}: {fault}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        fault: io::Error,
    },
    /// There is no certificate in the file.
    #[error("{}: there is no certificate; it holds PEM text such as -----BEGIN CERTIFICATE-----", .0.display())]
    NoCertificate(PathBuf),
    /// There is no key in the file.
    #[error("{}: there is no private key; it holds PEM text such as -----BEGIN PRIVATE KEY-----", .0.display())]
    NoKey(PathBuf),
    /// The key is not that of the certificate.
    #[error("{}: the key is not that of the certificate in {}", .key.display(), .certificate.display())]
    NoPair {
        /// The file of the certificate.
        certificate: PathBuf,
        /// The file of the key.
        key: PathBuf,
    },
    /// The library cannot use it.
    #[error("{}: {fault}", .path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// Why.
        fault: rustls::Error,
    },
}

impl Tls {
    /// Reads a certificate, which its issuers follow, and its key.
    ///
    /// # Errors
    /// When a file cannot be read or holds something else, or the two do not belong together.
    pub fn load(certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Result<Self, TlsFault> {
        let (certificate, key) = (certificate.into(), key.into());
        let loaded = load(&certificate, &key)?;
        let current = ArcSwap::from_pointee(loaded);
        Ok(Self { certificate, key, current, reloads: AtomicU64::new(0), refused: AtomicU64::new(0) })
    }

    /// Reads both files again. If they are right, connections that come from now on get what they hold. Returns whether
    /// something has changed.
    ///
    /// # Errors
    /// As [`Tls::load`]. Then nothing changes.
    pub fn reload(&self) -> Result<bool, TlsFault> {
        let loaded = load(&self.certificate, &self.key).inspect_err(|_| _ = self.refused.fetch_add(1, Relaxed))?;
        let is_new = loaded.read != self.current.load().read;
        if is_new {
            self.current.store(Arc::new(loaded));
            self.reloads.fetch_add(1, Relaxed);
        }
        Ok(is_new)
    }

    /// When the certificate is no longer valid, in seconds since 1970-01-01 UTC, if that can be read.
    pub fn expires(&self) -> Option<u64> {
        self.current.load().expires
    }

    /// When the certificate that is in force was read.
    pub fn loaded_at(&self) -> SystemTime {
        self.current.load().at
    }

    /// How often new files were taken up, and how often they were not, because they were wrong.
    pub fn reloads(&self) -> (u64, u64) {
        (self.reloads.load(Relaxed), self.refused.load(Relaxed))
    }

    /// The files of the certificate and of the key.
    pub fn files(&self) -> (&Path, &Path) {
        (&self.certificate, &self.key)
    }

    /// What the next connection gets.
    pub(crate) fn server(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.load().server)
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("certificate", &self.certificate).field("key", &self.key).finish_non_exhaustive()
    }
}

fn load(certificate: &Path, key: &Path) -> Result<Loaded, TlsFault> {
    let read = |path: &Path| fs::read(path).map_err(|fault| TlsFault::Unreadable { path: path.to_owned(), fault });
    let texts = (read(certificate)?, read(key)?);
    let chain: Result<Vec<_>, pem::Error> = CertificateDer::pem_slice_iter(&texts.0).collect();
    let chain = chain.ok().filter(|chain| !chain.is_empty());
    let chain = chain.ok_or_else(|| TlsFault::NoCertificate(certificate.to_owned()))?;
    let private = PrivateKeyDer::from_pem_slice(&texts.1).map_err(|_| TlsFault::NoKey(key.to_owned()))?;
    let expires = not_after(&chain[0]);
    let provider = Arc::new(default_provider());
    let pair = CertifiedKey::from_der(chain, private, &provider).map_err(|fault| match fault {
        rustls::Error::InconsistentKeys(_) => {
            TlsFault::NoPair { certificate: certificate.to_owned(), key: key.to_owned() }
        }
        rustls::Error::InvalidCertificate(_) => TlsFault::Unusable { path: certificate.to_owned(), fault },
        fault => TlsFault::Unusable { path: key.to_owned(), fault },
    })?;
    let versions = [&rustls::version::TLS13, &rustls::version::TLS12];
    let builder = ServerConfig::builder_with_provider(provider).with_protocol_versions(&versions);
    let builder = builder.map_err(|fault| TlsFault::Unusable { path: certificate.to_owned(), fault })?;
    let mut server = builder.with_no_client_auth().with_cert_resolver(Arc::new(Only(Arc::new(pair))));
    // A WebSocket is opened by HTTP/1.1. Sessions are not kept: a connection lives long, and its handshake is cheap.
    server.alpn_protocols = vec![b"http/1.1".to_vec()];
    server.session_storage = Arc::new(NoServerSessionStorage {});
    server.send_tls13_tickets = 0;
    Ok(Loaded { server: Arc::new(server), read: texts, expires, at: SystemTime::now() })
}

/// One certificate for all names.
#[derive(Debug)]
struct Only(Arc<CertifiedKey>);

impl ResolvesServerCert for Only {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}
