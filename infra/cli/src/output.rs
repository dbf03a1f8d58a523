//! What the tool prints: tables for people, JSON for scripts.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "printing is what this module is for")]

use std::io::{BufRead, IsTerminal, Write};

use anyhow::Result;
use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};
use serde::Serialize;

/// Standard output, in the form that was asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    json: bool,
}

impl Output {
    pub(crate) const fn new(json: bool) -> Self {
        Self { json }
    }

    /// Things of a kind: a table with these columns for people, the things themselves for scripts.
    pub(crate) fn list(&self, columns: &[&str], things: &impl Serialize, rows: impl IntoIterator<Item = Vec<String>>) -> Result<()> {
        if self.json {
            return print_json(things);
        }
        let mut table = Table::new();
        // Without borders, and on one line each where it is no terminal: so that it can be cut and grepped.
        table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Dynamic).set_header(columns);
        for row in rows {
            table.add_row(row.iter().map(|cell| printable(cell)));
        }
        println!("{}", table.trim_fmt());
        Ok(())
    }

    /// One thing: in words for people.
    pub(crate) fn show(&self, thing: &impl Serialize, words: &str) -> Result<()> {
        if self.json {
            return print_json(thing);
        }
        println!("{}", words.lines().map(printable).collect::<Vec<_>>().join("\n"));
        Ok(())
    }

    /// A document: as it is where it goes into a file or another program.
    pub(crate) fn document(&self, thing: &impl Serialize, text: &str) -> Result<()> {
        if self.json {
            return print_json(thing);
        }
        let mut stdout = std::io::stdout();
        if stdout.is_terminal() {
            return self.show(thing, text);
        }
        Ok(stdout.write_all(text.as_bytes())?)
    }

    /// What goes into a file or another program, whatever form was asked for.
    #[allow(clippy::unused_self, reason = "all that is printed goes through here")]
    pub(crate) fn bytes(&self, bytes: &[u8]) -> Result<()> {
        Ok(std::io::stdout().write_all(bytes)?)
    }

    /// What to do next, for people.
    pub(crate) fn hint(&self, text: &str) {
        if !self.json {
            eprintln!("{text}");
        }
    }

    /// How far something is that takes a while, for people who watch.
    pub(crate) fn progress(&self, text: &str) {
        if std::io::stderr().is_terminal() {
            eprint!("\r{text}");
        }
    }

    /// Why it failed, and after `next:` what to do.
    pub(crate) fn error(&self, error: &anyhow::Error) {
        eprintln!("error: {error:#}");
    }
}

fn print_json(things: &impl Serialize) -> Result<()> {
    println!("{}", serde_json::to_string_pretty(things)?);
    Ok(())
}

/// What users and models wrote must not move a terminal's cursor or change its colours.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// Whether anybody can be asked.
pub(crate) fn is_asked() -> bool {
    std::io::stdin().is_terminal()
}

/// Whether a person says yes. Without a terminal nobody can.
pub(crate) fn asked(question: &str) -> Result<bool> {
    Ok(is_asked() && ["y", "yes"].contains(&line(&format!("{question} [y/N] "))?.to_lowercase().as_str()))
}

/// What a person answers, or the default if that is nothing.
pub(crate) fn answered(question: &str, default: &str) -> Result<String> {
    let answer = line(&format!("{question} [{}]: ", if default.is_empty() { "none" } else { default }))?;
    Ok(if answer.is_empty() { default.to_owned() } else { answer })
}

/// A line that a person types.
fn line(prompt: &str) -> Result<String> {
    let mut stderr = std::io::stderr();
    write!(stderr, "{}", printable(prompt))?;
    stderr.flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(answer.trim().to_owned())
}
