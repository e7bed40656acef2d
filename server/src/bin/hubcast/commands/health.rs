//! `hubcast health`: asks a server on this machine whether it is alive. A container without a shell has nothing else that
//! could ask.

use super::client::exit::{FAILED, Failure, UNREACHED};
use super::client::options::some_time;
use super::printable;
use crate::settings::endpoints::reachable;
use crate::settings::resolve::{CliArgs, settings};
use crate::settings::units::DurationText;
use clap::Args;
use hyper::Uri;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

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
}

/// Runs the command and returns its exit code. `given` has the settings, if no address is given.
pub(crate) fn run(args: &HealthArgs, given: Option<&CliArgs>) -> ExitCode {
    match place(args, given).and_then(|place| ask(&place, args.timeout.0)) {
        Ok(answer) => {
            // Whether somebody reads it says nothing about the server.
            let _ = writeln!(std::io::stdout(), "{answer}");
            ExitCode::SUCCESS
        }
        Err(Failure { code, why }) => {
            let _ = writeln!(std::io::stderr(), "error: {}", printable::line(&why));
            ExitCode::from(code)
        }
    }
}

fn place(args: &HealthArgs, given: Option<&CliArgs>) -> Result<Place, Failure> {
    let path = if args.ready { "/readyz" } else { "/healthz" };
    let Some(url) = &args.url else {
        let given = given.ok_or_else(|| Failure::misused("there is neither an address nor a configuration"))?;
        let settings = settings(given).map_err(|wrong| Failure::misused(format!("{wrong:#}")))?;
        let listen = settings.options.listen.as_str();
        let (host, port) = listen.rsplit_once(':').unwrap_or((listen, "80"));
        let port = port.parse().map_err(|_| Failure::misused(format!("{listen} has no port")))?;
        return Ok(Place { host: bare(host), port, path: path.to_owned() });
    };
    let wrong = |why: &str| Failure::misused(format!("{url}: {why}; write an address such as http://127.0.0.1:8080"));
    let uri: Uri = url.parse().map_err(|_| wrong("not an address"))?;
    if uri.scheme_str() != Some("http") {
        return Err(wrong("not an address that begins with http://"));
    }
    let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(|| wrong("it names no host"))?;
    let path = if uri.path() == "/" { path } else { uri.path() };
    Ok(Place { host: bare(host), port: uri.port_u16().unwrap_or(80), path: path.to_owned() })
}

/// An IPv6 address without its brackets.
fn bare(host: &str) -> String {
    host.trim_start_matches('[').trim_end_matches(']').to_owned()
}

/// Sends the request to the first address that takes it, and returns what the server says.
fn ask(place: &Place, patience: Duration) -> Result<String, Failure> {
    let Place { host, port, path } = place;
    let until = Instant::now() + patience;
    let unreached = |why: String| Failure { code: UNREACHED, why: format!("{host}, port {port}: {why}") };
    let found = (host.as_str(), *port).to_socket_addrs().map_err(|error| unreached(error.to_string()))?;
    let mut why = "the name has no address".to_owned();
    for address in found.map(reachable) {
        match TcpStream::connect_timeout(&address, left(until)) {
            Ok(stream) => {
                let text = exchange(stream, address, path, until).map_err(|error| unreached(error.to_string()))?;
                return judge(&text);
            }
            Err(error) => why = error.to_string(),
        }
    }
    Err(unreached(why))
}

fn exchange(mut stream: TcpStream, address: SocketAddr, path: &str, until: Instant) -> std::io::Result<Vec<u8>> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nUser-Agent: {AGENT}\r\nConnection: close\r\n\r\n");
    stream.set_write_timeout(Some(left(until)))?;
    stream.write_all(request.as_bytes())?;
    let (mut text, mut part) = (Vec::new(), [0; 512]);
    loop {
        // A server that sends a byte now and then must not make this wait longer.
        stream.set_read_timeout(Some(left(until)))?;
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
