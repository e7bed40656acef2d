//! Shows the messages to one user. The tokens come from a command of yours that prints one:
//! `cargo run -p hubcast-client --example tokens -- wss://hub.example/socket my-login --print-token`.
//!
//! The command ends with 0 and prints a token, with 2 if the user may not connect, and with anything else if it should be
//! tried again. It is told by the variable `TOKEN_REASON` whether a token that it has kept will do.

use anyhow::Context;
use hubcast_client::{Client, ClientBuilder, Ended, ItemError, TokenError, TokenReason};
use std::process::{Command, ExitStatus};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let url = args.next().context("name the server: wss://…")?;
    let command: Vec<String> = args.collect();
    let builder = Client::builder(&url).token_from(move |reason| {
        let command = command.clone();
        async move { run(command, reason).await }
    });
    follow(builder, |message| println!("{message}")).await
}

/// Shows what is sent to the user and to this connection, until the client is closed for good.
async fn follow(builder: ClientBuilder, mut show: impl FnMut(String)) -> anyhow::Result<()> {
    let client = builder.connect().await?;
    show(format!("connected as {:?}", client.user()));
    let mut inbox = client.direct::<serde_json::Value>();
    while let Some(message) = inbox.next().await {
        match message {
            Ok(message) => show(message.to_string()),
            Err(ItemError::Ended(Ended::Closed(why))) => return Err(why.into()),
            // Such as messages that came while there was no connection.
            Err(other) => show(other.to_string()),
        }
    }
    Ok(())
}

/// Runs the command, and takes what it prints as a token. Its output is not repeated in an error.
async fn run(command: Vec<String>, reason: TokenReason) -> Result<String, TokenError> {
    let (program, args) = command.split_first().ok_or_else(|| TokenError::failed("no command was named"))?;
    let mut command = Command::new(program);
    command.args(args).env("TOKEN_REASON", format!("{reason:?}"));
    let running = tokio::task::spawn_blocking(move || command.output()).await.map_err(TokenError::failed)?;
    let output = running.map_err(TokenError::failed)?;
    match output.status.code() {
        Some(0) => Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned()),
        Some(2) => Err(TokenError::NotAllowed("the login command says so".to_owned())),
        _ => Err(failed(output.status)),
    }
}

fn failed(status: ExitStatus) -> TokenError {
    TokenError::failed(format!("the login command failed: {status}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hubcast_client::testing::TestServer;
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn a_user_is_followed_over_many_tokens_until_its_account_is_closed() {
        let (server, shown) = (TestServer::start(), Arc::new(Mutex::new(Vec::new())));
        server.require_tokens();
        let (login, is_open) = (server.clone(), Arc::new(Mutex::new(true)));
        let account = is_open.clone();
        let builder = server.builder().token_from(move |_| {
            let token = login.make_token("ada", &[], Duration::from_secs(60));
            let answer = if *account.lock().unwrap() { Ok(token) } else { Err(TokenError::NotAllowed("gone".into())) };
            async { answer }
        });
        let lines = shown.clone();
        let following = tokio::spawn(follow(builder, move |line| lines.lock().unwrap().push(line)));
        tokio::time::sleep(Duration::from_secs(3600)).await;
        server.publish("@ada", "one hour later").unwrap();
        *is_open.lock().unwrap() = false;
        let why = following.await.unwrap().unwrap_err();
        assert_eq!(why.to_string(), "not allowed: gone");
        assert_eq!(*shown.lock().unwrap(), ["connected as Some(\"ada\")", "\"one hour later\""]);
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_command_gives_a_token_or_says_why_not() {
        let shell = |script: &str| ["sh", "-c", script].map(str::to_owned).to_vec();
        let token = run(shell("echo $TOKEN_REASON.a.b"), TokenReason::First).await;
        assert_eq!(token.unwrap(), "First.a.b");
        let not_allowed = run(shell("exit 2"), TokenReason::First).await;
        assert!(matches!(not_allowed, Err(TokenError::NotAllowed(_))), "{not_allowed:?}");
        let failed = run(shell("echo secret; exit 1"), TokenReason::First).await.unwrap_err();
        assert_eq!(failed.to_string(), "the login command failed: exit status: 1");
    }
}
