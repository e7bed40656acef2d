//! Connects a client command to its server, and tells about the connection.

use super::exit::Failure;
use super::options::{ClientOptions, ServerOptions};
use super::running::Stop;
use super::terminal::Terminal;
use hubcast_client::{Client, ClientBuilder, Closed, State, Status, Tls, TokenError};
use std::fs;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

/// Connects, or ends with what prevents it.
///
/// # Errors
/// When the flags are wrong, and when there is no connection.
pub(crate) async fn connect(
    options: &ClientOptions,
    terminal: Terminal,
    stop: &mut Stop,
    tune: impl FnOnce(ClientBuilder) -> ClientBuilder,
) -> Result<Client, Failure> {
    if options.server.verbose {
        log_to_standard_error();
    }
    let builder = builder(options, terminal)?;
    let client = tokio::select! {
        biased;
        () = stop.requested() => return Err(Failure::failed("stopped before there was a connection")),
        client = tune(builder).connect() => client?,
    };
    match client.user() {
        Some(user) => terminal.detail(&format!("connected to {} as {user}", shown_address(&options.server))),
        None => terminal.detail(&format!("connected to {}", shown_address(&options.server))),
    }
    tokio::spawn(follow(client.clone(), terminal));
    Ok(client)
}

/// Connects, does what is asked until it is done or a signal comes, and closes the connection.
///
/// # Errors
/// When there is no connection, and what is asked fails.
pub(crate) async fn ask<F>(
    options: &ClientOptions,
    terminal: Terminal,
    mut stop: Stop,
    question: impl FnOnce(Client) -> F,
) -> Result<(), Failure>
where
    F: Future<Output = Result<(), Failure>>,
{
    let client = connect(options, terminal, &mut stop, |builder| builder).await?;
    let outcome = tokio::select! {
        biased;
        () = stop.requested() => Ok(()),
        outcome = question(client.clone()) => outcome,
    };
    // Nothing waits for an answer.
    let _ = client.close().await;
    outcome
}

fn builder(options: &ClientOptions, terminal: Terminal) -> Result<ClientBuilder, Failure> {
    let mut builder = Client::builder(&options.server.url)
        .connect_timeout(options.server.connect_timeout.0)
        .attempt_timeout(options.server.connect_timeout.0.max(SHORTEST_ATTEMPT))
        .close_timeout(CLOSE_TIMEOUT);
    if let Some(tls) = tls(&options.server, terminal)? {
        builder = builder.tls(tls);
    }
    let from_environment = std::env::var("HUBCAST_TOKEN").ok().filter(|token| !token.trim().is_empty());
    Ok(match (&options.token, &options.token_file, from_environment) {
        (Some(token), ..) => {
            terminal.warn("--token: other users of this machine can see it; HUBCAST_TOKEN or --token-file hide it");
            builder.token(token.trim())
        }
        (None, Some(path), _) => {
            // What is wrong with the file is said before anything else happens.
            read_token(path).map_err(|why| Failure::misused(format!("--token-file {}: {why}", path.display())))?;
            let path = path.clone();
            builder.token_from(move |_| {
                let token = read_token(&path).map_err(TokenError::failed);
                async { token }
            })
        }
        (None, None, Some(token)) => builder.token(token.trim()),
        (None, None, None) => builder,
    })
}

/// The settings of TLS, if they are not the usual ones.
///
/// # Errors
/// When the file of `--ca` cannot be read.
pub(crate) fn tls(options: &ServerOptions, terminal: Terminal) -> Result<Option<Tls>, Failure> {
    if let Some(path) = &options.ca {
        let pem = fs::read(path).map_err(|error| Failure::misused(format!("--ca {}: {error}", path.display())))?;
        return Ok(Some(Tls::without_roots().root_certificates(pem)));
    }
    if options.insecure {
        terminal.warn("--insecure: no certificate is checked; whoever is in between can read and change everything");
        return Ok(Some(Tls::without_verification()));
    }
    Ok(None)
}

/// The token in a file. No error shows what is in the file.
fn read_token(path: &Path) -> Result<String, String> {
    let mut text = String::new();
    let read = fs::File::open(path).and_then(|file| file.take(MAX_TOKEN).read_to_string(&mut text));
    match (read, text.trim()) {
        (Err(error), _) => Err(error.to_string()),
        (Ok(_), "") => Err("there is no token in it".to_owned()),
        (Ok(_), token) => Ok(token.to_owned()),
    }
}

/// Tells when the connection is lost, and when there is one again.
async fn follow(client: Client, terminal: Terminal) {
    let mut statuses = client.statuses();
    // The task must not keep the client open.
    drop(client);
    let mut is_connected = true;
    while let Some(Status { state, last_loss, .. }) = statuses.changed().await {
        match state {
            State::Connected if !is_connected => {
                is_connected = true;
                terminal.note("connected again");
            }
            State::Connecting | State::Waiting if is_connected => {
                is_connected = false;
                let why = last_loss.map_or_else(String::new, |loss| format!(": {loss}"));
                terminal.warn(&format!("the connection is lost{why}; trying again"));
            }
            State::Closed(Closed::ByUser) => return,
            _ => {}
        }
    }
}

/// The address of the server without what may be secret in it.
pub(crate) fn shown_address(options: &ServerOptions) -> String {
    address(&options.url)
}

/// The address without the user, the password and the query.
fn address(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    match url.split_once("://") {
        Some((scheme, rest)) => format!("{scheme}://{}", rest.rsplit_once('@').map_or(rest, |(_, rest)| rest)),
        None => url.to_owned(),
    }
}

/// What the client logs contains no tokens and no messages. Other crates log nothing here.
fn log_to_standard_error() {
    let filter = tracing_subscriber::EnvFilter::new("hubcast_client=debug");
    // Fails only if there is a log already.
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false).try_init();
}

/// How long a command that ends waits for unanswered requests.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// The least time for one attempt of a later connection.
const SHORTEST_ATTEMPT: Duration = Duration::from_secs(5);

/// More than any token has, in bytes.
const MAX_TOKEN: u64 = 1 << 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_shown_without_what_is_secret_in_it() {
        assert_eq!(address("wss://ada:secret@a.example/socket?token=secret"), "wss://a.example/socket");
        assert_eq!(address("127.0.0.1:8080"), "127.0.0.1:8080");
    }
}
