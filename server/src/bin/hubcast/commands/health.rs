//! `hubcast health`: asks a server on this machine whether it is alive. A container without a shell has nothing else that
//! could ask.

use super::client::exit::{Failure, UNREACHED};
use super::client::options::some_time;
use super::printable;
use crate::settings::endpoints::reachable;
use crate::settings::layered::Settings;
use crate::settings::resolve::{CliArgs, settings};
use crate::settings::units::DurationText;
use bytes::Bytes;
use clap::Args;
use http_body_util::{BodyExt as _, Empty};
use hubcast_client::{ByteStream, Tls};
use hyper::client::conn::http1;
use hyper::header::{HOST, USER_AGENT};
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use std::error::Error;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream, lookup_host};
use tokio::runtime::Builder;
use tokio::time::timeout;

/// Which server to ask, and what.
#[derive(Args, Clone, Debug)]
pub(crate) struct HealthArgs {
    /// The address to ask, which begins with http:// and may have a path; without it, the address that the configuration
    /// listens on
    url: Option<String>,

    /// The configuration of the server, from which its address is taken
    #[arg(long, env = "HUBCAST_CONFIG", value_name = "FILE", conflicts_with = "url")]
    pub(crate) config: Option<PathBuf>,

    /// Ask whether it takes connections: /readyz in place of /healthz
    #[arg(long)]
    ready: bool,

    /// How long to wait for the answer
    #[arg(long, value_name = "TIME", default_value = "3s", value_parser = some_time)]
    timeout: DurationText,
}

impl HealthArgs {
    /// Whether the address is to be taken from the settings.
    pub(crate) fn needs_settings(&self) -> bool {
        self.url.is_none()
    }
}

/// Where a server is asked.
#[derive(Debug, PartialEq)]
struct Place {
    host: String,
    port: u16,
    path: String,
    is_secure: bool,
    /// The path of a Unix socket, in place of host and port.
    socket: Option<PathBuf>,
    /// Whether the server expects a PROXY header.
    is_proxied: bool,
}

/// Runs the command and returns its exit code. `given` has the settings, if no address is given.
pub(crate) fn run(args: &HealthArgs, given: Option<&CliArgs>) -> ExitCode {
    match place(args, given).and_then(|place| wait(&place, args.timeout)) {
        Ok(answer) => {
            // Whether somebody reads it says nothing about the server.
            let _ = writeln!(io::stdout(), "{answer}");
            ExitCode::SUCCESS
        }
        Err(Failure { code, why }) => {
            let _ = writeln!(io::stderr(), "error: {}", printable::line(&why));
            ExitCode::from(code)
        }
    }
}

fn place(args: &HealthArgs, given: Option<&CliArgs>) -> Result<Place, Failure> {
    let path = if args.ready { "/readyz" } else { "/healthz" };
    let Some(url) = &args.url else {
        let given = given.ok_or_else(|| Failure::misused("there is neither an address nor a configuration"))?;
        let settings = settings(given).map_err(|wrong| Failure::misused(format!("{wrong:#}")))?;
        return of_settings(&settings, path);
    };
    let wrong = |why: &str| Failure::misused(format!("{url}: {why}; write an address such as http://127.0.0.1:8080"));
    let uri: Uri = url.parse().map_err(|_| wrong("not an address"))?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err(wrong("not an address that begins with http:// or https://"));
    }
    let is_secure = uri.scheme_str() == Some("https");
    let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(|| wrong("it names no host"))?;
    let path = if uri.path() == "/" { path } else { uri.path() };
    let port = uri.port_u16().unwrap_or(if is_secure { 443 } else { 80 });
    Ok(Place { host: bare(host), port, path: path.to_owned(), is_secure, socket: None, is_proxied: false })
}

/// Where the server with these settings is asked: where only metrics and health checks are, or else where its clients are.
fn of_settings(settings: &Settings, path: &str) -> Result<Place, Failure> {
    let options = &settings.options;
    let (for_metrics, for_clients) = (options.metrics_listen.list(), options.listen.list());
    let (endpoint, is_for_clients) = match (for_metrics.first(), for_clients.first()) {
        (Some(endpoint), _) => (endpoint, false),
        (None, Some(endpoint)) => (endpoint, true),
        (None, None) => return Err(Failure::misused("the server listens on nothing")),
    };
    let socket = endpoint.path().map(Path::to_owned);
    let listen = endpoint.as_str();
    let (host, port) = listen.rsplit_once(':').unwrap_or((listen, "80"));
    let port = match socket {
        Some(_) => 0,
        None => port.parse().map_err(|_| Failure::misused(format!("{listen} has no port")))?,
    };
    let is_secure = is_for_clients && socket.is_none() && options.tls_certificate.path().is_some();
    let is_proxied = is_for_clients && options.proxy_protocol;
    Ok(Place { host: bare(host), port, path: path.to_owned(), is_secure, socket, is_proxied })
}

/// An IPv6 address without its brackets.
fn bare(host: &str) -> String {
    host.trim_start_matches('[').trim_end_matches(']').to_owned()
}

/// Asks, and waits for the answer no longer than that.
fn wait(place: &Place, patience: DurationText) -> Result<String, Failure> {
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::failed(format!("cannot start: {error}")))?;
    let asked = runtime.block_on(async { timeout(patience.0, ask(place)).await });
    // The search for an address may still be waiting.
    runtime.shutdown_background();
    let unreached = |why: String| Failure { code: UNREACHED, why: format!("{}: {why}", place.name()) };
    match asked {
        Ok(Ok((StatusCode::OK, said))) => Ok(printable::line(&said)),
        Ok(Ok((status, said))) => Err(Failure::failed(format!("the server answers {}: {said}", status.as_u16()))),
        Ok(Err(error)) if error.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse) => {
            Err(Failure::failed("this is not the answer of an HTTP server"))
        }
        Ok(Err(error)) => Err(unreached(error.to_string())),
        Err(_) => Err(unreached(format!("no answer within {patience}"))),
    }
}

/// Sends the request. Returns the status and the begin of what the server says.
async fn ask(place: &Place) -> Result<(StatusCode, String), Box<dyn Error + Send + Sync>> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(connect(place).await?)).await?;
    // An error of the connection is also one of the answer.
    tokio::spawn(connection);
    let request = Request::get(&place.path).header(HOST, "localhost").header(USER_AGENT, AGENT);
    let response = sender.send_request(request.body(Empty::<Bytes>::new())?).await?;
    let (status, mut body, mut said) = (response.status(), response.into_body(), Vec::new());
    while said.len() < SAID_BYTES
        && let Some(frame) = body.frame().await
    {
        said.extend(frame?.into_data().unwrap_or_default());
    }
    Ok((status, String::from_utf8_lossy(&said).trim().chars().take(SAID_CHARACTERS).collect()))
}

/// Connects to the first address that takes it.
async fn connect(place: &Place) -> io::Result<Box<dyn ByteStream>> {
    if let Some(path) = &place.socket {
        return Ok(Box::new(introduced(UnixStream::connect(path).await?, place).await?));
    }
    let addresses = lookup_host((place.host.as_str(), place.port)).await?;
    let addresses: Vec<SocketAddr> = addresses.map(reachable).collect();
    let stream = introduced(TcpStream::connect(&addresses[..]).await?, place).await?;
    match place.is_secure {
        // Whatever the certificate is for: nothing secret is said, and who answers on this machine is not doubted.
        true => Tls::without_verification().handshake(&place.host, stream).await,
        false => Ok(Box::new(stream)),
    }
}

/// Says, to a server that expects the header of a proxy, that the program asks for itself.
async fn introduced<S: AsyncWrite + Unpin>(mut stream: S, place: &Place) -> io::Result<S> {
    if place.is_proxied {
        stream.write_all(b"PROXY UNKNOWN\r\n").await?;
    }
    Ok(stream)
}

impl Place {
    /// How people are told where it is.
    fn name(&self) -> String {
        match &self.socket {
            Some(path) => path.display().to_string(),
            None => format!("{}, port {}", self.host, self.port),
        }
    }
}

/// The end of the help.
pub(crate) const AFTER_HELP: &str = "\
\x1b[1;4mExamples:\x1b[0m
  hubcast health                         the server of the variables here
  hubcast health --config hubcast.toml   the server of this configuration
  hubcast health --ready                 whether it takes connections
  hubcast health http://10.0.0.7:8080    another machine

\x1b[1;4mExit codes:\x1b[0m
  0  well: the answer was 200
  1  not well: there was another answer
  2  wrong usage or configuration
  3  no answer in time";

const AGENT: &str = concat!("hubcast/", env!("CARGO_PKG_VERSION"));

/// Bytes of an answer after which no more are read, and how many characters of them are shown.
const SAID_BYTES: usize = 1024;
const SAID_CHARACTERS: usize = 200;
