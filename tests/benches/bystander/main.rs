//! Measures how long an uninvolved client waits while a few other clients make the server work.
//!
//! Each row starts a new server with default settings in a process of its own. A bystander in another process pings it
//! every 5 ms, and this process attacks it. `bench/README.md` says how to run the bench and how to read its output.

mod bystander;
mod crowd;
mod flood;
mod options;
mod rows;
mod server;
mod stage;
mod table;
mod wire;

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use options::Options;
use rows::Row;
use stage::Stage;
use std::env;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("bystander: {fault:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the rows that the options name and prints the table.
fn run(options: &Options) -> Result<()> {
    if options.tokens {
        wire::show_tokens();
    }
    if let Some(address) = options.as_bystander {
        return bystander::run(address, options.as_dialect);
    }
    if options.list {
        for row in rows::all() {
            println!("{:<15}{}", row.name, row.about);
        }
        return Ok(());
    }
    leave_package()?;
    let rows = chosen(options)?;
    rlimit::increase_nofile_limit(u64::MAX).context("the limit of open files cannot be raised")?;
    if !options.json {
        table::print_head();
    }
    let mut failed = Vec::new();
    for (number, row) in (1..).zip(&rows) {
        eprintln!("{number} of {}: {} …", rows.len(), row.name);
        if let Err(fault) = run_row(row, options) {
            table::print_failed(row, &fault, options.json);
            failed.push(row.name);
        }
    }
    ensure!(failed.is_empty(), "failed: {}", failed.join(", "));
    Ok(())
}

/// Changes to the repository's folder if cargo started the bench in its package, so that paths on the command line are
/// relative to the repository.
fn leave_package() -> Result<()> {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    if env::current_dir()? == package {
        env::set_current_dir(package.parent().context("a package is in a workspace")?)?;
    }
    Ok(())
}

/// Runs one row and prints its result.
fn run_row(row: &Row, options: &Options) -> Result<()> {
    let mut stage = Stage::for_row(row, options)?;
    let seen = (row.play)(&mut stage).with_context(|| format!("the server's log ends: {}", stage.server.last_words()));
    let (seen, figures) = (seen?, stage.figures()?);
    if options.json {
        table::print_json(row, &figures, &seen);
    } else {
        table::print_row(row, &figures, &seen);
    }
    Ok(())
}

/// The rows that the options name; if they name none, all rows that the server can run.
fn chosen(options: &Options) -> Result<Vec<Row>> {
    let mut rows = rows::all();
    for name in &options.rows {
        let Some(row) = rows.iter().find(|row| row.name == name) else {
            bail!("there is no row {name}; see --list");
        };
        ensure!(row.plain || options.command.is_none(), "the row {name} needs the typed dialect");
    }
    rows.retain(|row| match options.rows.as_slice() {
        [] => row.plain || options.command.is_none(),
        names => names.iter().any(|name| name == row.name),
    });
    Ok(rows)
}
