//! `hubcast top`: shows what a server does at the moment.

mod answers;
mod api;
pub(crate) mod args;
mod figure;
mod model;
mod terminal;
mod text;
mod view;

use self::api::{Api, Fault};
use self::args::TopArgs;
use self::model::Model;
use self::terminal::{Action, Screen};
use super::client::connect::shown_address;
use super::client::exit::Failure;
use super::client::output::closed;
use super::client::running::{self, Stop};
use super::client::terminal::Terminal;
use std::env;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use tokio::time::{sleep, sleep_until};

/// Runs the command and returns its exit code.
pub(crate) fn run(args: &TopArgs) -> ExitCode {
    let terminal = Terminal::new(&args.server);
    running::run(terminal, |stop| top(args, terminal, stop))
}

async fn top(args: &TopArgs, terminal: Terminal, mut stop: Stop) -> Result<(), Failure> {
    if args.interval.0 < SHORTEST {
        return Err(Failure::misused("--interval is at least 100ms"));
    }
    let key = env::var("HUBCAST_API_KEY").ok().filter(|key| !key.trim().is_empty());
    if args.api_key.is_some() {
        terminal.warn("--api-key: other users of this machine can see it; HUBCAST_API_KEY hides it");
    }
    let api = Api::new(&args.server, args.api_key.as_deref().or(key.as_deref()), terminal)?;
    let model = Model::new(&shown_address(&args.server), args.interval.0, args.sort, args.rows);
    if args.once {
        return once(api, model, &mut stop).await;
    }
    if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        return Err(Failure::misused("this is no terminal; --once prints text"));
    }
    running::before_exit(terminal::restore);
    let mut screen = Screen::take().map_err(|error| Failure::failed(format!("the terminal: {error}")))?;
    watch(api, model, view::Theme::new(terminal.colors_output), &mut screen, &mut stop).await
}

/// Looks twice, because a rate needs two counters, and prints what is seen.
async fn once(mut api: Api, mut model: Model, stop: &mut Stop) -> Result<(), Failure> {
    let looking = async {
        let first = api.look().await?;
        model.looked(Instant::now(), Ok(first));
        sleep(model.interval).await;
        let second = api.look().await?;
        model.looked(Instant::now(), Ok(second));
        Ok(())
    };
    tokio::select! {
        biased;
        () = stop.requested() => return Ok(()),
        closed = closed() => return Err(closed),
        looked = looking => looked.map_err(|Fault { code, why }| Failure { code, why })?,
    }
    let mut output = io::stdout();
    let written = output.write_all(text::text(&model).as_bytes()).and_then(|()| output.flush());
    written.map_err(|error| Failure::output(&error))
}

/// Looks again and again, and draws, until the user has seen enough.
async fn watch(
    mut api: Api,
    mut model: Model,
    theme: view::Theme,
    screen: &mut Screen,
    stop: &mut Stop,
) -> Result<(), Failure> {
    let mut actions = terminal::actions();
    let gone = |error: io::Error| Failure::failed(format!("the terminal: {error}"));
    let mut next = Instant::now();
    loop {
        screen.0.draw(|frame| view::draw(frame, &model, theme)).map_err(gone)?;
        // A look that a key interrupts is asked again; it changes nothing on the server.
        let looking = async {
            sleep_until(next.into()).await;
            api.look().await
        };
        tokio::select! {
            biased;
            () = stop.requested() => return Ok(()),
            action = actions.recv() => match action {
                Some(Action::Key(key)) if model.pressed(key) => {}
                Some(Action::Resized) => {}
                Some(Action::Interrupt) => return Err(Failure { code: INTERRUPTED, why: String::new() }),
                // `q`, or a terminal that is gone.
                Some(Action::Key(_)) | None => return Ok(()),
            },
            answer = looking, if !model.is_paused => {
                let now = Instant::now();
                model.looked(now, answer.map_err(|fault| fault.why));
                next = now + model.interval;
            }
        }
    }
}

/// The shortest interval: a look has several requests.
const SHORTEST: Duration = Duration::from_millis(100);
/// The exit code for SIGINT, which Ctrl-C is without this program.
const INTERRUPTED: u8 = 130;
