//! TLS: whom the client trusts, what it shows, and addresses whose scheme is the wrong one.

use crate::handshake::answering;
use crate::reach::{head, pass};
use crate::server::{Server, program};
use hubcast_client::{Client, Closed, ConnectError, Tls};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{RootCertStore, ServerConfig, crypto::ring};
use serde_json::json;
use std::future::ready;
use std::io;
use std::sync::{Arc, Mutex};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// A server with a self-signed certificate: the server, its TLS acceptor, and the settings of a client that trusts the
/// certificate.
async fn tls_server() -> (Server, TlsAcceptor, Tls) {
    let trusting = Tls::without_roots().root_certificates(LOCALHOST);
    (Server::start().await, acceptor(None), trusting)
}

/// The server's side of TLS. With a `verifier` it wants a certificate from clients.
fn acceptor(verifier: Option<Arc<dyn ClientCertVerifier>>) -> TlsAcceptor {
    let certificate = CertificateDer::from_pem_slice(LOCALHOST).unwrap();
    let key = PrivateKeyDer::from_pem_slice(LOCALHOST).unwrap();
    let provider = Arc::new(ring::default_provider());
    let theirs = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let theirs = match verifier {
        Some(verifier) => theirs.with_client_cert_verifier(verifier),
        None => theirs.with_no_client_auth(),
    };
    TlsAcceptor::from(Arc::new(theirs.with_single_cert(vec![certificate], key).unwrap()))
}

#[test]
fn a_server_with_a_certificate_that_the_program_trusts_is_spoken_to() {
    program(async {
        let (server, acceptor, trusting) = tls_server().await;
        let client = Client::builder(&server.tls_url()).tls(trusting);
        let (client, peer) = tokio::join!(client.connect(), server.accept_tls(&acceptor));
        let (client, mut peer) = (client.unwrap(), peer.unwrap());
        let (ping, _) = tokio::join!(client.ping(), peer.answers(json!({"event": "pong"})));
        assert!(ping.is_ok());
    });
}

#[test]
fn a_program_speaks_another_protocol_over_tls_to_whom_it_trusts_alone() {
    program(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        for (tls, is_trusted) in [(Tls::without_roots().root_certificates(LOCALHOST), true), (Tls::web_roots(), false)]
        {
            let server = async { acceptor(None).accept(listener.accept().await.unwrap().0).await };
            let client = async { tls.handshake("localhost", TcpStream::connect(address).await.unwrap()).await };
            let (client, server) = tokio::join!(client, server);
            assert_eq!((client.is_ok(), server.is_ok()), (is_trusted, is_trusted));
            if let Err(error) = client {
                assert!(error.to_string().contains("certificate"), "{error}");
            }
        }
    });
}

#[test]
fn a_server_with_a_certificate_that_nobody_vouches_for_is_refused_at_once() {
    program(async {
        let (server, acceptor, _) = tls_server().await;
        let url = server.tls_url();
        let (refused, peer) = tokio::join!(Client::connect(&url), server.accept_tls(&acceptor));
        let Err(ConnectError::Closed(Closed::Rejected { reason, .. })) = refused else { panic!("{refused:?}") };
        assert!(reason.contains("certificate") && peer.is_none(), "{reason}");
    });
}

#[test]
fn a_client_that_checks_nothing_speaks_to_a_server_that_nobody_vouches_for() {
    program(async {
        let (server, acceptor, _) = tls_server().await;
        let client = Client::builder(&server.tls_url()).tls(Tls::without_verification());
        let (client, peer) = tokio::join!(client.connect(), server.accept_tls(&acceptor));
        assert!(client.is_ok() && peer.is_some());
    });
}

#[test]
fn a_port_without_tls_and_one_with_it_say_which_address_to_write() {
    program(async {
        let address = answering("this is not TLS").await;
        let refused = Client::connect(&format!("wss://{address}/socket")).await;
        let Err(ConnectError::Closed(Closed::Rejected { reason, .. })) = refused else { panic!("{refused:?}") };
        assert!(reason.contains("does not speak TLS"), "{reason}");
        // The alert of a TLS server that gets plain text: RFC 8446 section 6.
        let address = answering("\u{15}\u{3}\u{1}\u{0}\u{2}\u{2}\u{16}").await;
        let refused = Client::connect(&format!("ws://{address}/socket")).await;
        let Err(ConnectError::Closed(Closed::Rejected { reason, .. })) = refused else { panic!("{refused:?}") };
        assert!(reason.contains("wss://"), "{reason}");
        // What nginx answers.
        let told = "HTTP/1.1 400 Bad Request\r\nContent-Length: 58\r\n\r\n\
                    400 The plain HTTP request was sent to HTTPS port         ";
        let address = answering(told).await;
        let refused = Client::connect(&format!("ws://{address}/socket")).await;
        let Err(ConnectError::Closed(Closed::Rejected { reason, .. })) = refused else { panic!("{refused:?}") };
        assert!(reason.contains("speaks TLS"), "{reason}");
    });
}

#[test]
fn a_port_that_only_hangs_up_says_which_address_might_be_meant() {
    program(async {
        for (scheme, hint) in [("wss", "write ws://"), ("ws", "write wss://")] {
            let address = answering("").await;
            let client = Client::builder(&format!("{scheme}://{address}/socket")).max_attempts(1);
            let failed = client.connect().await;
            let Err(ConnectError::Closed(Closed::GivenUp { reason, .. })) = failed else { panic!("{failed:?}") };
            assert!(reason.contains(hint), "{reason}");
        }
    });
}

#[test]
fn plain_text_to_a_real_tls_port_says_which_address_to_write() {
    program(async {
        let (server, acceptor, _) = tls_server().await;
        let (refused, peer) = tokio::join!(Client::builder(&server.url()).connect(), server.accept_tls(&acceptor));
        let Err(ConnectError::Closed(Closed::Rejected { reason, .. })) = refused else { panic!("{refused:?}") };
        assert!(reason.contains("write wss://") && peer.is_none(), "{reason}");
    });
}

#[test]
fn a_client_shows_its_certificate_to_a_server_that_wants_one() {
    program(async {
        let (server, _, trusting) = tls_server().await;
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(LOCALHOST).unwrap()).unwrap();
        let provider = Arc::new(ring::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
        let acceptor = acceptor(Some(verifier));

        let showing = trusting.clone().client_certificate(LOCALHOST, LOCALHOST);
        let connecting = Client::builder(&server.tls_url()).tls(showing).connect();
        let (client, peer) = tokio::join!(connecting, server.accept_tls(&acceptor));
        assert!(client.is_ok() && peer.is_some(), "{client:?}");

        // The server keeps the connection open for a while: a reset could overtake its alert.
        let refusing = async {
            let (stream, _) = server.listener().accept().await.unwrap();
            acceptor.accept(stream).into_fallible().await.err().unwrap()
        };
        let connecting = Client::builder(&server.tls_url()).tls(trusting).connect();
        let (refused, _kept_open) = tokio::join!(connecting, refusing);
        let Err(ConnectError::Closed(Closed::Rejected { reason, .. })) = refused else { panic!("{refused:?}") };
        assert!(reason.contains("certificate of the client") && reason.contains("CertificateRequired"), "{reason}");
    });
}

#[test]
fn tls_goes_through_a_proxy_and_through_a_stream_of_the_program() {
    program(async {
        let (server, acceptor, trusting) = tls_server().await;
        let proxy = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let through = format!("http://{}", proxy.local_addr().unwrap());
        let passing = async {
            let (stream, head) = head(&proxy).await;
            assert!(head.starts_with("CONNECT localhost:"), "{head}");
            pass(stream, server.listener().local_addr().unwrap()).await;
        };
        let connecting = Client::builder(&server.tls_url()).tls(trusting.clone()).proxy(&through).connect();
        let (client, (), peer) = tokio::join!(connecting, passing, server.accept_tls(&acceptor));
        assert!(client.is_ok() && peer.is_some(), "{client:?}");

        // A stream in memory, and a name that no resolver knows but the certificate does.
        let (ours, theirs) = tokio::io::duplex(1024);
        let ours = Arc::new(Mutex::new(Some(ours)));
        let connector = move |_, _| ready(ours.lock().unwrap().take().ok_or_else(|| io::Error::other("used up")));
        let connecting = Client::builder("wss://localhost/socket").tls(trusting).connector(connector).connect();
        let serving = async { Server::greet(Box::new(acceptor.accept(theirs).await.unwrap()), 25_000).await };
        let (client, _peer) = tokio::join!(connecting, serving);
        assert!(client.is_ok(), "{client:?}");
    });
}

#[test]
fn tls_settings_that_cannot_work_are_refused_at_once() {
    program(async {
        let no_roots = Tls::without_roots();
        let no_certificate = Tls::web_roots().root_certificates("no PEM");
        let no_key = Tls::web_roots().client_certificate(LOCALHOST, "no PEM");
        for (tls, hint) in [(no_roots, "no root"), (no_certificate, "no certificate in PEM"), (no_key, "client key")] {
            let refused = Client::builder("wss://127.0.0.1:1/socket").tls(tls).connect().await.unwrap_err();
            assert!(refused.to_string().contains(hint), "{refused}");
        }
    });
}

/// PEM text: a certificate of `localhost`, valid until 2120, and its key. Made by `openssl req -x509` with an elliptic
/// curve; no authority has signed it.
const LOCALHOST: &[u8] = include_bytes!("localhost.pem");
