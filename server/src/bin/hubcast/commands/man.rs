//! `hubcast man`: the manual pages, written from the same definitions as the help.

use super::answer::Answer;
use anyhow::Context;
use clap::{Args, Command};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Where the pages go.
#[derive(Args, Clone, Debug)]
pub(crate) struct ManArgs {
    /// Write all pages into this folder, which is created if it is missing: hubcast.1, hubcast-sub.1 and so on
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
}

/// The page of the program, or with a folder the names of the files that are written there.
///
/// # Errors
/// When a file cannot be written.
pub(crate) fn run(args: &ManArgs, mut program: Command) -> anyhow::Result<Answer> {
    // Gives the subcommands their whole names.
    program.build();
    let Some(folder) = &args.dir else {
        let output = String::from_utf8(page(&program)?).context("the page is no text")?;
        return Ok(Answer { output, ..Answer::default() });
    };
    fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    let mut output = String::new();
    write_all(&program, folder, &mut output)?;
    Ok(Answer { output, ..Answer::default() })
}

/// Writes the page of a command and those of its subcommands, and lists the files.
fn write_all(command: &Command, folder: &Path, written: &mut String) -> anyhow::Result<()> {
    let file = folder.join(Man::new(command.clone()).get_filename());
    fs::write(&file, page(command)?).with_context(|| format!("cannot write {}", file.display()))?;
    written.push_str(&format!("{}\n", file.display()));
    command.get_subcommands().try_for_each(|command| write_all(command, folder, written))
}

/// The sections of a page. What stands behind the flags in the help is set in lines by hand, so it keeps them here.
fn page(command: &Command) -> io::Result<Vec<u8>> {
    let man = Man::new(command.clone()).manual("hubcast");
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    let end = command.get_after_help().map(|help| help.ansi().to_string()).unwrap_or_default();
    after_options(&end).to_writer(&mut page)?;
    Ok(page)
}

/// The end of a help: a heading is a section, and all other lines stay as they are.
fn after_options(text: &str) -> Roff {
    let mut roff = Roff::new();
    let mut is_set = false;
    for line in text.lines() {
        if let Some((heading, rest)) = heading(line) {
            if is_set {
                roff.control("fi", []);
            }
            roff.control("SH", [heading.trim_end_matches(':').to_uppercase().as_str()]);
            let rest = rest.trim_matches([' ', ':']);
            if !rest.is_empty() {
                roff.text([roman(rest)]);
            }
            roff.control("nf", []);
            is_set = true;
        } else {
            roff.text([roman(line)]);
        }
    }
    if is_set {
        roff.control("fi", []);
    }
    roff
}

/// A heading of the help, and what follows it in its line.
fn heading(line: &str) -> Option<(&str, &str)> {
    line.strip_prefix("\x1b[1;4m")?.split_once("\x1b[0m")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_are_sections_and_lines_stay_lines() {
        let text = "\x1b[1;4mUnits:\x1b[0m\n  a  b\n\n\x1b[1;4mThree ways\x1b[0m (each one):\n  --ping 1s\n.x";
        let page = after_options(text).render();
        let lines: Vec<_> = page.lines().skip_while(|line| !line.starts_with(".SH")).collect();
        let expected = [
            ".SH UNITS",
            ".nf",
            "  a  b",
            "",
            ".fi",
            ".SH \"THREE WAYS\"",
            "(each one)",
            ".nf",
            "  \\-\\-ping 1s",
            "\\&.x",
            ".fi",
        ];
        assert_eq!(lines, expected, "{page}");
    }
}
