//! `hubcast sub`: prints what is published.

pub(crate) mod args;
pub(crate) mod printer;

use self::args::SubArgs;
use self::printer::Printer;
use super::client::exit::Failure;
use super::client::output;
use super::client::running::{self, Stop};
use super::client::terminal::Terminal;
use super::listen;
use super::listen::resume::ResumeFile;
use super::listen::streams::{Item, Streams};
use std::pin::pin;
use std::process::ExitCode;
use std::time::Instant;

/// Runs the command and returns its exit code.
pub(crate) fn run(args: &SubArgs) -> ExitCode {
    let terminal = Terminal::new(&args.listen.client.server);
    running::run(terminal, |stop| subscribe(args, terminal, stop))
}

async fn subscribe(args: &SubArgs, terminal: Terminal, mut stop: Stop) -> Result<(), Failure> {
    args.check()?;
    let mut resume = args.resume.as_deref().map(ResumeFile::open).transpose()?;
    let options = &args.listen.client;
    let opened = listen::open(options, args.wanted(), resume.as_ref(), terminal, &mut stop).await?;
    let Some((client, mut streams)) = opened else { return Ok(()) };
    let outcome = follow(args, terminal, &mut stop, &mut streams, resume.as_mut()).await;
    drop(streams);
    // Nothing waits for an answer.
    let _ = client.close().await;
    outcome
}

/// Prints what comes until it is enough, and stores the positions of what is printed.
async fn follow(
    args: &SubArgs,
    terminal: Terminal,
    stop: &mut Stop,
    streams: &mut Streams,
    mut resume: Option<&mut ResumeFile>,
) -> Result<(), Failure> {
    let mut printer = Printer::new(args, terminal);
    let mut limits = args.listen.limits(Instant::now());
    if let Some(resume) = &mut resume {
        resume.save(streams.positions())?;
    }
    let mut closed = pin!(output::closed());
    let outcome = loop {
        let save_at = resume.as_ref().and_then(|resume| resume.due());
        let item = tokio::select! {
            biased;
            () = stop.requested() => break Ok(()),
            closed = &mut closed => return Err(closed),
            () = sleep_until(save_at) => Item::Idle,
            () = limits.over() => break limits.verdict(),
            item = streams.next(printer.is_empty()) => item,
        };
        match item {
            Item::Event(at, event) => {
                let is_message = printer.print(&streams.target(at), &event);
                limits.count(is_message);
                if let Some(resume) = &mut resume {
                    resume.changed();
                }
                if !printer.is_full() && !limits.are_reached() {
                    continue;
                }
            }
            Item::Idle => {}
            Item::Ended(why) => break Err(why),
        }
        // What cannot be written has not been seen by anybody, so its position is not stored.
        printer.flush()?;
        if let Some(resume) = resume.as_mut().filter(|resume| resume.due().is_some_and(|at| at <= Instant::now())) {
            resume.save(streams.positions())?;
        }
        if limits.are_reached() {
            break Ok(());
        }
    };
    printer.flush()?;
    if let Some(resume) = resume {
        resume.save(streams.positions())?;
    }
    outcome
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}
