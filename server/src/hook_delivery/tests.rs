//! A receiver on this machine, and what comes of requests to it. Whole servers with hooks are in `tests/tests/server/`.

use super::*;
use crate::hooks::HookLimits;
use crate::http_client::RequestError;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{HandshakeKind, ServerConfig};
use std::net::SocketAddr;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::spawn_local;
use tokio_rustls::TlsAcceptor;

fn run(test: impl Future<Output = ()>) {
    Builder::new_current_thread().enable_all().build_local(LocalOptions::default()).unwrap().block_on(test);
}

/// A receiver that answers each request with this text. Over TLS it says of each connection how it began.
async fn receiver(tls: bool, answer: &'static str) -> (SocketAddr, UnboundedReceiver<Option<HandshakeKind>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, (sender, heard)) = (listener.local_addr().unwrap(), unbounded_channel());
    let certificate = CertificateDer::from_pem_slice(LOCALHOST.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(LOCALHOST.as_bytes()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let acceptor = TlsAcceptor::from(Arc::new(config.with_single_cert(vec![certificate], key).unwrap()));
    spawn_local(async move {
        let mut held = Vec::new();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            if !tls {
                let _ = sender.send(None);
                held.push(converse(stream, answer).await);
            } else if let Ok(stream) = acceptor.accept(stream).await {
                let _ = sender.send(stream.get_ref().1.handshake_kind());
                let _ = converse(stream, answer).await;
            }
        }
    });
    (address, heard)
}

/// Reads a request up to the end of its body, and answers. Returns the connection, which stays open until then.
async fn converse<T: AsyncRead + AsyncWrite + Unpin>(mut stream: T, answer: &str) -> T {
    let mut request = Vec::new();
    while !request.ends_with(b"]}}") {
        if stream.read_buf(&mut request).await.unwrap() == 0 {
            break;
        }
    }
    stream.write_all(answer.as_bytes()).await.unwrap();
    stream.flush().await.unwrap();
    stream
}

fn hook(url: &str) -> Hook {
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".parse().unwrap();
    Hook::new("me", url.parse().unwrap(), secret)
}

const NO_CONTENT: &str = "HTTP/1.1 204 X\r\n\r\n";

#[test]
fn a_hook_over_tls_needs_a_certificate_that_is_trusted_and_its_session_goes_on() {
    run(async {
        let (address, mut heard) = receiver(true, NO_CONTENT).await;
        let url = format!("https://localhost:{}/", address.port());
        let trusting = Hook { roots: Some(LOCALHOST.to_owned()), ..hook(&url) };
        let mut sender = HookSender::new(Arc::new(trusting.clone()), false);
        for kind in [HandshakeKind::Full, HandshakeKind::Resumed] {
            let message = HookMessage::test(&trusting, "run", Instant::now(), unix_ms());
            assert_eq!(sender.send(message).await.unwrap().status, 204);
            assert_eq!(heard.recv().await, Some(Some(kind)));
        }
        let fault = send_test(&hook(&url), false).await.unwrap_err();
        assert!(matches!(fault, HookSendError::Request(RequestError::Issuer(_) | RequestError::Roots(_))), "{fault}");
        assert!(heard.try_recv().is_err(), "nothing is sent to a receiver that is not trusted");
    });
}

#[test]
fn an_answer_is_taken_by_its_status_and_must_come_in_time() {
    run(async {
        let endless = "HTTP/1.1 503 X\r\nRetry-After: 7\r\nContent-Length: 1000000\r\n\r\nand so on";
        let (address, _heard) = receiver(false, endless).await;
        let answer = send_test(&hook(&format!("http://{address}/")), false).await.unwrap();
        assert_eq!((answer.status.as_u16(), answer.retry_after), (503, Some(Duration::from_secs(7))));
        let (address, _heard) = receiver(false, "").await;
        let limits = HookLimits { timeout: Duration::from_millis(50), ..HookLimits::default() };
        let fault = send_test(&Hook { limits, ..hook(&format!("http://{address}/")) }, false).await.unwrap_err();
        assert!(matches!(fault, HookSendError::TooSlow(_)), "{fault}");
    });
}

#[test]
fn an_address_that_is_not_allowed_is_not_connected_to_however_it_is_named() {
    run(async {
        let (address, mut heard) = receiver(false, NO_CONTENT).await;
        for host in ["localhost", "127.0.0.1", "[::ffff:127.0.0.1]"] {
            let url = format!("http://{host}:{}/", address.port());
            let fault = send_test(&hook(&url), true).await.unwrap_err();
            assert!(matches!(fault, HookSendError::Request(RequestError::NotAllowed(_))), "{host}: {fault}");
        }
        for host in ["169.254.169.254", "[::ffff:169.254.169.254]", "[fe80::1]"] {
            let fault = send_test(&hook(&format!("http://{host}/")), false).await.unwrap_err();
            assert!(matches!(fault, HookSendError::Request(RequestError::NotAllowed(_))), "{host}: {fault}");
        }
        assert!(heard.try_recv().is_err());
    });
}

/// A certificate for the name `localhost` that it has signed itself, and its key.
const LOCALHOST: &str = include_str!("../../../client-sdk/tests/sdk/localhost.pem");
