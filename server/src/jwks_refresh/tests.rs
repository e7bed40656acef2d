//! A small login service on this machine, and what becomes of its answers.

use super::*;
use crate::auth::testing::Signer;
use crate::auth::{TokenFault, TokenRules};
use crate::wall_clock::unix_now;
use bytes::Bytes;
use data_encoding::BASE64URL_NOPAD;
use http_body_util::Full;
use hyper::header::LOCATION;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::cell::Cell;
use std::convert::Infallible;
use std::net::SocketAddr;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, LocalOptions};
use tokio::task::spawn_local;
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;

#[test]
fn jwks_verify_tokens_and_a_new_kid_brings_the_new_set() {
    run(async {
        let (login, old, new) = (Login::start().await, Signer::ed25519(), Signer::ed25519());
        login.answers(&[("old", &old)]);
        let hub = Hub::start(&login, KeySet::none_yet(), SOON);
        hub.first_attempt.clone().wait().await;
        assert_eq!(hub.verify(&old, "old"), Ok(()), "the first attempt is over when the keys are there");

        login.answers(&[("new", &new)]);
        assert_eq!(hub.verify(&new, "new"), Err(TokenFault::UnknownKey));
        until(|| hub.verify(&new, "new").is_ok()).await;
        assert_eq!(hub.verify(&old, "old"), Err(TokenFault::UnknownKey), "what is gone from the set is gone");
        assert_eq!(hub.verify(&old, "new"), Err(TokenFault::Signature));
    });
}

#[test]
fn jwks_are_fetched_by_the_time_without_an_unknown_kid() {
    run(async {
        let (login, old, new) = (Login::start().await, Signer::ed25519(), Signer::ed25519());
        login.answers(&[("old", &old)]);
        let hub = Hub::start(&login, KeySet::none_yet(), Intervals { usual: Duration::from_millis(20), ..SOON });
        hub.first_attempt.clone().wait().await;
        login.answers(&[("new", &new)]);
        until(|| hub.verify(&old, "old").is_err()).await;
        assert_eq!(hub.verify(&new, "new"), Ok(()));
    });
}

#[test]
fn jwks_are_not_fetched_more_often_however_many_unknown_kids_come() {
    run(async {
        let (login, known, unknown) = (Login::start().await, Signer::ed25519(), Signer::ed25519());
        login.answers(&[("known", &known)]);
        let least = Duration::from_millis(150);
        let hub = Hub::start(&login, KeySet::none_yet(), Intervals { least, ..SOON });
        hub.first_attempt.clone().wait().await;
        let begun = Instant::now();
        until(|| {
            (0..20).for_each(|number| assert!(hub.verify(&unknown, &format!("kid{number}")).is_err()));
            login.asked.get() == 4
        })
        .await;
        assert!(begun.elapsed() >= least * 3 - Duration::from_millis(50), "{:?}", begun.elapsed());
    });
}

#[test]
fn jwks_stay_when_the_next_answer_is_none() {
    run(async {
        let (login, known) = (Login::start().await, Signer::ed25519());
        login.answers(&[("known", &known)]);
        let hub = Hub::start(&login, KeySet::none_yet(), SOON);
        hub.first_attempt.clone().wait().await;
        for (fault, body) in [
            ("no JSON Web Key Set", "<html>".to_owned()),
            ("no JSON Web Key Set", String::new()),
            ("no key for tokens", r#"{"keys":[]}"#.to_owned()),
            ("no key for tokens", r#"{"keys":[{"kty":"oct","k":"AQ","kid":"x"}]}"#.to_owned()),
            ("larger than 256 KiB", " ".repeat(Jwks::MAX_BYTES + 1)),
        ] {
            login.body(&body);
            let told = hub.fault(&login).await;
            assert!(told.contains(fault), "{told}");
            hub.stands(&login, &known).await;
        }
        for (status, fault) in [(500, "status 500"), (204, "status 204"), (404, "status 404"), (304, "redirect (304)")]
        {
            login.says(|answer| *answer.status_mut() = status.try_into().unwrap());
            let told = hub.fault(&login).await;
            assert!(told.contains(fault), "{told}");
            hub.stands(&login, &known).await;
        }
    });
}

#[test]
fn jwks_redirects_are_not_followed_and_not_told() {
    run(async {
        let (login, elsewhere) = (Login::start().await, Login::start().await);
        for status in [301, 302, 303, 307, 308] {
            login.says(|answer| {
                *answer.status_mut() = status.try_into().unwrap();
                let to = format!("http://{}/canary", elsewhere.address);
                answer.headers_mut().insert(LOCATION, to.parse().unwrap());
            });
            let told = fetch(&login.source(), DEADLINE).await.unwrap_err().to_string();
            assert!(told.contains("redirect") && told.contains("final URL") && !told.contains("canary"), "{told}");
        }
        assert_eq!((login.asked.get(), elsewhere.asked.get()), (5, 0));
    });
}

#[test]
fn jwks_of_the_configuration_stay_whatever_is_fetched() {
    run(async {
        let (login, own, theirs) = (Login::start().await, Signer::ed25519(), Signer::ed25519());
        login.answers(&[("own", &theirs), ("theirs", &theirs)]);
        let mut own_key = own.public();
        own_key.id = Some("own".into());
        let hub = Hub::start(&login, KeySet::new(vec![own_key]).unwrap(), SOON);
        hub.first_attempt.clone().wait().await;
        assert_eq!((hub.verify(&own, "own"), hub.verify(&theirs, "theirs")), (Ok(()), Ok(())));
        assert_eq!(hub.verify(&theirs, "own"), Err(TokenFault::Signature));
        login.answers(&[("next", &theirs)]);
        assert!(hub.verify(&theirs, "next").is_err());
        until(|| hub.verify(&theirs, "next").is_ok()).await;
        assert_eq!((hub.verify(&own, "own"), hub.verify(&theirs, "theirs").is_err()), (Ok(()), true));
    });
}

#[test]
fn jwks_have_the_end_that_the_configuration_says() {
    run(async {
        let (login, known) = (Login::start().await, Signer::ed25519());
        login.answers(&[("known", &known)]);
        let source = JwksSource { not_after: Some(unix_now() - 1), ..login.source() };
        let hub = Hub::of(vec![source], KeySet::none_yet(), SOON);
        hub.first_attempt.clone().wait().await;
        assert_eq!(hub.verify(&known, "known"), Err(TokenFault::KeyOver));
    });
}

#[test]
fn jwks_of_one_login_do_not_wait_for_another() {
    run(async {
        let (first, second, silent) = (Login::start().await, Login::start().await, Login::start().await);
        let (one, two) = (Signer::ed25519(), Signer::ed25519());
        first.answers(&[("one", &one)]);
        second.answers(&[("two", &two)]);
        silent.is_silent.set(true);
        let hub = Hub::of(vec![silent.source(), first.source(), second.source()], KeySet::none_yet(), SOON);
        until(|| hub.verify(&one, "one").is_ok() && hub.verify(&two, "two").is_ok()).await;
    });
}

#[test]
fn jwks_that_are_not_there_at_the_start_come_later() {
    run(async {
        let (login, known) = (Login::start().await, Signer::ed25519());
        login.says(|answer| *answer.status_mut() = 503.try_into().unwrap());
        let hub = Hub::start(&login, KeySet::none_yet(), SOON);
        hub.first_attempt.clone().wait().await;
        assert_eq!(hub.verify(&known, "known"), Err(TokenFault::UnknownKey));
        login.answers(&[("known", &known)]);
        until(|| hub.verify(&known, "known").is_ok()).await;
    });
}

#[test]
fn jwks_that_are_not_configured_start_no_task() {
    run(async {
        let tasks = Tasks::default();
        start(&AuthConfig::default(), &tasks).first_attempt().wait().await;
        assert_eq!(tokio::runtime::Handle::current().metrics().num_alive_tasks(), 0);
    });
}

#[test]
fn jwks_must_come_in_time() {
    run(async {
        let login = Login::start().await;
        login.is_silent.set(true);
        let fault = fetch(&login.source(), Duration::from_millis(20)).await.unwrap_err();
        assert!(matches!(fault, FetchError::TooSlow), "{fault}");
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let fault = fetch(&source(&format!("http://{closed}/")), DEADLINE).await.unwrap_err();
        assert!(fault.to_string().starts_with("cannot connect"), "{fault}");
    });
}

#[test]
fn jwks_over_tls_need_a_certificate_that_is_trusted() {
    run(async {
        let login = Login::over_tls().await;
        login.answers(&[("known", &Signer::ed25519())]);
        let trusting = |roots: &str| JwksSource { roots: Some(roots.to_owned()), ..login.source() };
        let fetched = fetch(&trusting(LOCALHOST), DEADLINE).await.unwrap();
        assert_eq!(Jwks::read(&fetched.text).unwrap().keys.len(), 1);
        let told = fetch(&trusting(ANOTHER), DEADLINE).await.unwrap_err().to_string();
        assert!(told.contains("certificate") && told.contains("UnknownIssuer") && told.contains("ca_file"), "{told}");
        let told = fetch(&trusting("nothing"), DEADLINE).await.unwrap_err().to_string();
        assert!(told.contains("ca_file has no root certificate"), "{told}");
        // Whatever roots this machine has, this certificate is not from one of them.
        let told = fetch(&login.source(), DEADLINE).await.unwrap_err().to_string();
        assert!(told.contains("certificate"), "{told}");
        let by_address = source(&format!("https://{}/", login.address));
        let by_address = JwksSource { roots: Some(LOCALHOST.to_owned()), ..by_address };
        let told = fetch(&by_address, DEADLINE).await.unwrap_err().to_string();
        assert!(told.contains("NotValidForName") || told.contains("not valid for name"), "{told}");
        assert_eq!(login.asked.get(), 1, "nothing is asked of a login that is not trusted");
        let plain = Login::start().await;
        let told = fetch(&source(&format!("https://{}/", plain.address)), DEADLINE).await.unwrap_err().to_string();
        assert!(told.contains("TLS") || told.contains("root certificates"), "{told}");
    });
}

/// A login service. It answers each request in the same way until it is told otherwise.
struct Login {
    address: SocketAddr,
    url: String,
    answer: Rc<RefCell<Response<Full<Bytes>>>>,
    asked: Rc<Cell<usize>>,
    is_silent: Rc<Cell<bool>>,
}

impl Login {
    async fn start() -> Self {
        Self::of(None).await
    }

    async fn over_tls() -> Self {
        let certificate = CertificateDer::from_pem_slice(LOCALHOST.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(LOCALHOST.as_bytes()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
        let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        Self::of(Some(TlsAcceptor::from(Arc::new(config.with_single_cert(vec![certificate], key).unwrap())))).await
    }

    async fn of(acceptor: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let url = match acceptor {
            Some(_) => format!("https://localhost:{}/jwks.json?secret=canary", address.port()),
            None => format!("http://{address}/jwks.json?secret=canary"),
        };
        let (answer, asked, is_silent) = (Rc::default(), Rc::<Cell<_>>::default(), Rc::<Cell<_>>::default());
        let login = Self { address, url, answer, asked, is_silent };
        let (answer, asked, is_silent) = (login.answer.clone(), login.asked.clone(), login.is_silent.clone());
        spawn_local(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (answer, asked, is_silent) = (Rc::clone(&answer), Rc::clone(&asked), Rc::clone(&is_silent));
                let acceptor = acceptor.clone();
                spawn_local(async move {
                    match acceptor {
                        None => serve(stream, answer, asked, is_silent).await,
                        Some(acceptor) => {
                            if let Ok(stream) = acceptor.accept(stream).await {
                                serve(stream, answer, asked, is_silent).await;
                            }
                        }
                    }
                });
            }
        });
        login
    }

    fn source(&self) -> JwksSource {
        source(&self.url)
    }

    /// Answers with these keys from now on.
    fn answers(&self, keys: &[(&str, &Signer)]) {
        let keys: Vec<_> = keys.iter().map(|(id, signer)| jwk(id, signer)).collect();
        self.body(&format!(r#"{{"keys":[{}]}}"#, keys.join(",")));
    }

    fn body(&self, text: &str) {
        self.answer.replace(Response::new(Full::from(text.to_owned())));
    }

    fn says(&self, change: impl FnOnce(&mut Response<Full<Bytes>>)) {
        change(&mut self.answer.borrow_mut());
    }
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    answer: Rc<RefCell<Response<Full<Bytes>>>>,
    asked: Rc<Cell<usize>>,
    is_silent: Rc<Cell<bool>>,
) {
    let service = service_fn(async |request: Request<_>| {
        assert_eq!(request.uri().to_string(), "/jwks.json?secret=canary");
        assert!(request.headers().contains_key("host"));
        asked.set(asked.get() + 1);
        if is_silent.get() {
            std::future::pending::<()>().await;
        }
        Ok::<_, Infallible>(answer.borrow().clone())
    });
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

/// What stands for a whole server here: a verifier whose keys are fetched.
struct Hub {
    verifier: Arc<TokenVerifier>,
    first_attempt: FirstAttempt,
    _refreshing: Refreshing,
}

impl Hub {
    fn start(login: &Login, fixed: KeySet, intervals: Intervals) -> Self {
        Self::of(vec![login.source()], fixed, intervals)
    }

    fn of(jwks: Vec<JwksSource>, fixed: KeySet, intervals: Intervals) -> Self {
        let verifier = Arc::new(TokenVerifier::new(fixed, TokenRules::default()));
        let auth = AuthConfig { verifier: Some(Arc::clone(&verifier)), jwks, ..AuthConfig::default() };
        let refreshing = start_with(&auth, &Tasks::default(), intervals, None);
        Self { verifier, first_attempt: refreshing.first_attempt(), _refreshing: refreshing }
    }

    /// Verifies a token that this key has signed.
    fn verify(&self, signer: &Signer, kid: &str) -> Result<(), TokenFault> {
        let header = format!(r#"{{"alg":"EdDSA","kid":"{kid}"}}"#);
        let token = signer.sign(&header, &format!(r#"{{"sub":"anna","exp":{}}}"#, unix_now() + 600));
        self.verifier.verify(&token, Instant::now(), unix_now()).map(drop)
    }

    /// Why an answer of the login would not be taken.
    async fn fault(&self, login: &Login) -> String {
        let refresh = Refresh::new(Arc::clone(&self.verifier), vec![login.source()]);
        let taken = fetch(&login.source(), DEADLINE).await.and_then(|fetched| refresh.take(0, fetched));
        taken.unwrap_err().to_string()
    }

    /// Checks that this key is still there after the next answer.
    async fn stands(&self, login: &Login, known: &Signer) {
        let asked = login.asked.get();
        until(|| {
            assert!(self.verify(known, "unknown").is_err());
            // When the second one is asked for, the first one is dealt with.
            login.asked.get() >= asked + 2
        })
        .await;
        assert_eq!(self.verify(known, "known"), Ok(()));
    }
}

fn source(url: &str) -> JwksSource {
    JwksSource { url: url.parse().unwrap(), roots: None, not_after: None }
}

/// The public key of an Ed25519 key pair (RFC 8037 appendix A.2): the last 32 bytes of what is in its PEM.
fn jwk(id: &str, signer: &Signer) -> String {
    let key =
        CertificateDer::from_pem_slice(signer.public_pem.replace("PUBLIC KEY", "CERTIFICATE").as_bytes()).unwrap();
    let x = BASE64URL_NOPAD.encode(&key[key.len() - 32..]);
    format!(r#"{{"kty":"OKP","crv":"Ed25519","use":"sig","kid":"{id}","x":"{x}"}}"#)
}

fn run(test: impl Future<Output = ()>) {
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default()).unwrap();
    runtime.block_on(test);
}

/// Waits for something.
async fn until(mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(10), "this does not come");
        sleep(Duration::from_millis(1)).await;
    }
}

/// Intervals in which only an unknown key, or a failure before the first success, causes a further fetch.
const SOON: Intervals = Intervals {
    least: Duration::from_millis(1),
    retry: Duration::from_millis(1),
    usual: Duration::from_secs(3600),
    longest: Duration::from_secs(3600),
};

/// A certificate for the name `localhost` that it has signed itself, and its key.
const LOCALHOST: &str = include_str!("../../../client-sdk/tests/sdk/localhost.pem");

/// The root certificate of an authority that has signed nothing.
const ANOTHER: &str = include_str!("another.pem");
