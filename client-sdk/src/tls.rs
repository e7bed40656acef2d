//! TLS: which certificates the client trusts, and which one it shows.

mod unverified;

use self::unverified::Unverified;
use crate::connector::ByteStream;
use crate::error::ConnectError;
use crate::machine::Disconnection;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{AlertDescription, ClientConfig, RootCertStore};
use std::error::Error as _;
use std::fmt;
use std::io;
use std::sync::Arc;
use tokio_rustls::TlsConnector;

/// The settings of TLS for `wss://`, for [`ClientBuilder::tls`](crate::ClientBuilder::tls). They are checked when the
/// client connects.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use hubcast_client::{Client, Tls};
///
/// let tls = Tls::without_roots().root_certificates(std::fs::read("company-ca.pem")?);
/// let client = Client::builder("wss://hub.example/socket").tls(tls).connect().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Tls {
    roots: Roots,
    /// PEM texts of further root certificates.
    further: Vec<Vec<u8>>,
    /// PEM texts of the client's certificate chain and of its private key.
    client: Option<(Vec<u8>, Vec<u8>)>,
}

#[derive(Clone, Copy, Debug)]
enum Roots {
    Web,
    #[cfg(feature = "native-roots")]
    Native,
    None,
    /// Any certificate is accepted.
    Unverified,
}

/// TLS that is ready to connect.
#[derive(Clone)]
pub(crate) struct TlsClient(TlsConnector);

impl Tls {
    /// Trusts the root certificates of the web, which are built into the program (Mozilla's list, by the crate
    /// `webpki-roots`). This is the default.
    pub fn web_roots() -> Self {
        Self::of(Roots::Web)
    }

    /// Trusts the root certificates of the operating system. They are read whenever a client connects for the first
    /// time.
    #[cfg(feature = "native-roots")]
    pub fn native_roots() -> Self {
        Self::of(Roots::Native)
    }

    /// Trusts only the certificates that [`Tls::root_certificates`] adds.
    pub fn without_roots() -> Self {
        Self::of(Roots::None)
    }

    /// Trusts any certificate, also one for another name: whoever is on the way to the server can read and change
    /// everything, and learns the token. For tries with a certificate that nobody has signed.
    pub fn without_verification() -> Self {
        Self::of(Roots::Unverified)
    }

    fn of(roots: Roots) -> Self {
        Self { roots, further: Vec::new(), client: None }
    }

    /// Also trusts these root certificates: a PEM text (RFC 7468) with one or more of them.
    #[must_use = "it returns the changed settings"]
    pub fn root_certificates(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.further.push(pem.into());
        self
    }

    /// Shows a certificate to servers that ask for one: the PEM texts of its chain, the own certificate first, and of
    /// its private key.
    #[must_use = "it returns the changed settings"]
    pub fn client_certificate(mut self, chain: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Self {
        self.client = Some((chain.into(), key.into()));
        self
    }

    /// Performs the TLS handshake with the server of this name, for a program that speaks something else with it than
    /// this client does, such as the HTTP API.
    ///
    /// # Errors
    /// When the settings are wrong, and when the handshake fails. The texts are those of the errors of a client.
    pub async fn handshake(&self, host: &str, stream: impl ByteStream + 'static) -> io::Result<Box<dyn ByteStream>> {
        let client = self.client().map_err(io::Error::other)?;
        client.connect(host, Box::new(stream)).await.map_err(|why| match why {
            Disconnection::Lost { reason, .. } | Disconnection::Rejected { reason, .. } => io::Error::other(reason),
            other => io::Error::other(format!("{other:?}")),
        })
    }

    /// Checks the settings.
    pub(crate) fn client(&self) -> Result<TlsClient, ConnectError> {
        let invalid = |reason: String| ConnectError::InvalidTls { reason };
        let mut roots = self.roots()?;
        for pem in &self.further {
            let certificates = certificates(pem).map_err(|reason| invalid(format!("root certificates: {reason}")))?;
            for certificate in certificates {
                roots.add(certificate).map_err(|error| invalid(format!("root certificates: {error}")))?;
            }
        }
        let is_verified = !matches!(self.roots, Roots::Unverified);
        if roots.is_empty() && is_verified {
            return Err(invalid("there is no root certificate that could be trusted".to_owned()));
        }
        // The provider is named, because a program may contain several, and then there is no default one.
        let provider = Arc::new(ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .expect("ring supports the default protocol versions");
        let config = match is_verified {
            true => config.with_root_certificates(roots),
            false => config.dangerous().with_custom_certificate_verifier(Arc::new(Unverified(provider))),
        };
        let config = match &self.client {
            None => config.with_no_client_auth(),
            Some((chain, key)) => {
                let chain = certificates(chain).map_err(|reason| invalid(format!("client certificate: {reason}")))?;
                let key =
                    PrivateKeyDer::from_pem_slice(key).map_err(|error| invalid(format!("client key: {error}")))?;
                config
                    .with_client_auth_cert(chain, key)
                    .map_err(|error| invalid(format!("client certificate: {error}")))?
            }
        };
        Ok(TlsClient(TlsConnector::from(Arc::new(config))))
    }

    fn roots(&self) -> Result<RootCertStore, ConnectError> {
        match self.roots {
            Roots::None | Roots::Unverified => Ok(RootCertStore::empty()),
            Roots::Web => Ok(webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect()),
            #[cfg(feature = "native-roots")]
            Roots::Native => {
                let found = rustls_native_certs::load_native_certs();
                let mut roots = RootCertStore::empty();
                roots.add_parsable_certificates(found.certs);
                match found.errors.first() {
                    Some(error) if roots.is_empty() => Err(ConnectError::InvalidTls { reason: error.to_string() }),
                    _ => Ok(roots),
                }
            }
        }
    }
}

impl Default for Tls {
    fn default() -> Self {
        Self::web_roots()
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("roots", &self.roots).finish_non_exhaustive()
    }
}

impl TlsClient {
    /// Performs the TLS handshake with the server of this name.
    pub(crate) async fn connect(
        &self,
        host: &str,
        stream: Box<dyn ByteStream>,
    ) -> Result<Box<dyn ByteStream>, Disconnection> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|error| Disconnection::rejected(format!("{host:?} for TLS: {error}")))?;
        match self.0.connect(name, stream).await {
            Ok(stream) => Ok(Box::new(stream)),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(Disconnection::Lost {
                reason: "TLS: the server closed the connection in the handshake; if its port does not speak TLS, \
                         write ws://"
                    .to_owned(),
                retry_after: None,
            }),
            Err(error) => Err(failed(&error)),
        }
    }
}

impl fmt::Debug for TlsClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsClient")
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let certificates = certificates.map_err(|error| error.to_string())?;
    match certificates.is_empty() {
        true => Err("the text contains no certificate in PEM form".to_owned()),
        false => Ok(certificates),
    }
}

/// Classifies a failed handshake: another attempt does not change what the other side is, or what it wants.
pub(crate) fn failed(error: &io::Error) -> Disconnection {
    let rejected = |reason: String| Disconnection::rejected(reason);
    let cause = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match cause.or(error.source().and_then(|source| source.downcast_ref())) {
        Some(rustls::Error::InvalidMessage(_)) => {
            rejected("the server's port does not speak TLS; for such a port write ws://".to_owned())
        }
        Some(rustls::Error::InvalidCertificate(_) | rustls::Error::PeerIncompatible(_)) => {
            rejected(format!("TLS: {error}"))
        }
        Some(rustls::Error::AlertReceived(alert)) if is_about_the_client(*alert) => {
            rejected(format!("TLS: the server does not accept the certificate of the client, or wants one: {alert:?}"))
        }
        _ => Disconnection::Lost { reason: format!("TLS: {error}"), retry_after: None },
    }
}

/// Whether an alert says that the certificate of the client is missing or not accepted (RFC 8446 section 6.2).
fn is_about_the_client(alert: AlertDescription) -> bool {
    [
        AlertDescription::AccessDenied,
        AlertDescription::BadCertificate,
        AlertDescription::CertificateExpired,
        AlertDescription::CertificateRequired,
        AlertDescription::CertificateRevoked,
        AlertDescription::CertificateUnknown,
        AlertDescription::UnknownCA,
        AlertDescription::UnsupportedCertificate,
    ]
    .contains(&alert)
}
