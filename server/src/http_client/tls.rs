//! TLS to a service that the server asks.

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::io;
use std::sync::Arc;
use tokio::task::spawn_blocking;
use tokio_rustls::TlsConnector;

/// Why TLS cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum RootsError {
    /// The text of `ca_file` has no certificate.
    #[error("ca_file has no root certificate in PEM")]
    NotPem,
    /// The operating system has no roots.
    #[error("this machine has no root certificates; install them (ca-certificates), or name one by ca_file")]
    None,
    /// The host's name can be in no certificate.
    #[error("no certificate can be for this host name")]
    Name,
    /// The certificates could not be read.
    #[error("cannot read root certificates: {0}")]
    Read(io::Error),
}

/// What connects over TLS. It reads the certificates of the operating system each time, so that new ones count
/// without a restart; that takes some milliseconds, in which the worker would stand still, so another thread does it.
pub(crate) async fn connector(roots: Option<String>) -> Result<TlsConnector, RootsError> {
    let connector = spawn_blocking(move || {
        let roots = match roots {
            Some(pem) => of_pem(&pem)?,
            None => of_system(),
        };
        if roots.is_empty() {
            return Err(RootsError::None);
        }
        // The provider is named, because a program may contain several, and then there is no default one.
        let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("aws-lc-rs supports the default protocol versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(TlsConnector::from(Arc::new(config)))
    });
    connector.await.unwrap_or_else(|error| Err(RootsError::Read(error.into())))
}

/// The name that the certificate must be for.
pub(super) fn name(host: &str) -> Result<ServerName<'static>, RootsError> {
    ServerName::try_from(host.to_owned()).map_err(|_| RootsError::Name)
}

fn of_pem(pem: &str) -> Result<RootCertStore, RootsError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        roots.add(certificate.map_err(|_| RootsError::NotPem)?).map_err(|_| RootsError::NotPem)?;
    }
    if roots.is_empty() { Err(RootsError::NotPem) } else { Ok(roots) }
}

fn of_system() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}
