//! `hubcast health`: asks a server on this machine whether it is alive. A container without a shell has nothing else that
//! could ask.

mod stream;

use super::client::exit::{FAILED, Failure, UNREACHED};
use super::client::options::some_time;
use super::printable;
use crate::settings::endpoints::reachable;
use crate::settings::layered::Settings;
use crate::settings::resolve::{CliArgs, settings};
use crate::settings::units::DurationText;
use clap::Args;
use hyper::Uri;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use stream::Stream;

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
    match place(args, given).and_then(|place| ask(&place, args.timeout.0)) {
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

/// Sends the request to the first address that takes it, and returns what the server says.
fn ask(place: &Place, patience: Duration) -> Result<String, Failure> {
    let Place { host, port, socket, .. } = place;
    let until = Instant::now() + patience;
    let unreached = |why: String| Failure { code: UNREACHED, why: format!("{host}, port {port}: {why}") };
    if let Some(path) = socket {
        let asked = UnixStream::connect(path).and_then(|stream| {
            let stream = introduced(stream, place)?;
            exchange(Stream::Unix(stream), place, until)
        });
        let unreached = |why: io::Error| Failure { code: UNREACHED, why: format!("{}: {why}", path.display()) };
        return judge(&asked.map_err(unreached)?);
    }
    let found = (host.as_str(), *port).to_socket_addrs().map_err(|error| unreached(error.to_string()))?;
    let mut why = "the name has no address".to_owned();
    for address in found.map(reachable) {
        match TcpStream::connect_timeout(&address, left(until)) {
            Ok(stream) => {
                let asked = introduced(stream, place).and_then(|stream| match place.is_secure {
                    true => exchange(Stream::secure(stream, host)?, place, until),
                    false => exchange(Stream::Tcp(stream), place, until),
                });
                return judge(&asked.map_err(|error| unreached(error.to_string()))?);
            }
            Err(error) => why = error.to_string(),
        }
    }
    Err(unreached(why))
}

/// Says, to a server that expects the header of a proxy, that the program asks for itself.
fn introduced<S: Write>(mut stream: S, place: &Place) -> io::Result<S> {
    if place.is_proxied {
        stream.write_all(b"PROXY UNKNOWN\r\n")?;
    }
    Ok(stream)
}

fn exchange(mut stream: Stream, place: &Place, until: Instant) -> io::Result<Vec<u8>> {
    let path = &place.path;
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: {AGENT}\r\nConnection: close\r\n\r\n");
    stream.set_patience(left(until))?;
    stream.write_all(request.as_bytes())?;
    let (mut text, mut part) = (Vec::new(), [0; 512]);
    loop {
        // A server that sends a byte now and then must not make this wait longer.
        stream.set_patience(left(until))?;
        match stream.read(&mut part)? {
            0 => return Ok(text),
            read => text.extend_from_slice(&part[..read]),
        }
        if text.len() > MAX_ANSWER {
            return Ok(text);
        }
    }
}

/// What is left of the time; never nothing, which would mean to wait without end.
fn left(until: Instant) -> Duration {
    until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1))
}

/// The body of an answer with status 200.
fn judge(answer: &[u8]) -> Result<String, Failure> {
    let answer = String::from_utf8_lossy(answer);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.strip_prefix("HTTP/1.1 ").or_else(|| head.strip_prefix("HTTP/1.0 "));
    let status = status.and_then(|rest| rest.get(..3)).and_then(|status| status.parse::<u16>().ok());
    let said: String = body.trim().chars().take(200).collect();
    match status {
        Some(200) => Ok(printable::line(&said)),
        Some(status) => Err(Failure { code: FAILED, why: format!("the server answers {status}: {said}") }),
        None => Err(Failure { code: FAILED, why: "this is not the answer of an HTTP server".to_owned() }),
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

/// Bytes of an answer that are read.
const MAX_ANSWER: usize = 16 * 1024;
