//! What a person sees: steps with their times, one line that moves while something is under way, a table at the end.
//! Colours and movement only on a terminal, and not where `NO_COLOR` asks for none; plain lines everywhere else.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "talking to a person is what this module is for")]

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// How often a line that moves is printed where lines cannot move.
const PLAIN_EVERY: Duration = Duration::from_secs(5);

/// A person's terminal, or a file.
#[derive(Debug)]
pub struct Terminal {
    colours: bool,
    moves: bool,
    moving: bool,
    last: Option<(Instant, String)>,
}

impl Terminal {
    /// Standard output as it is.
    #[must_use]
    pub fn new() -> Self {
        let terminal = std::io::stdout().is_terminal() && std::env::var_os("TERM").is_some_and(|term| term != "dumb");
        let colours = terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self { colours, moves: terminal, moving: false, last: None }
    }

    /// A heading.
    pub fn title(&mut self, text: &str) {
        self.print(&format!("\n{}\n", self.paint("1", text)));
    }

    /// Something done, and what came of it.
    pub fn done(&mut self, what: &str, result: &str) {
        self.print(&format!("  {} {what:<20} {result}", self.paint("32", "✓")));
    }

    /// A fact under the step before it.
    pub fn detail(&mut self, text: &str) {
        self.print(&format!("      {}", self.paint("2", text)));
    }

    /// Something that a person should see.
    pub fn warn(&mut self, text: &str) {
        self.print(&format!("  {} {text}", self.paint("33", "!")));
    }

    /// Something that did not go as it should.
    pub fn fail(&mut self, text: &str) {
        self.print(&format!("  {} {text}", self.paint("31", "✗")));
    }

    /// Why this ends here: the one thing that goes to standard error.
    pub fn error(&mut self, text: &str) {
        self.end_line();
        eprintln!("{} {text}", self.paint("31", "error:"));
    }

    /// A line as it is.
    pub fn line(&mut self, text: &str) {
        self.print(text);
    }

    /// What is under way right now. On a terminal it replaces the line before; elsewhere it is printed now and then.
    pub fn now(&mut self, text: &str) {
        if self.moves {
            let width = 110;
            let cut: String = text.chars().take(width).collect();
            print!("\r\x1b[2K  {} {cut}", self.paint("36", "…"));
            drop(std::io::stdout().flush());
            self.moving = true;
        } else if self.last.as_ref().is_none_or(|(at, last)| at.elapsed() >= PLAIN_EVERY && last != text) {
            println!("    {text}");
            self.last = Some((Instant::now(), text.to_owned()));
        }
    }

    /// Two columns, the second to the right.
    pub fn table(&mut self, rows: &[(&str, String)]) {
        let left = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or_default();
        let right = rows.iter().map(|(_, value)| value.chars().count()).max().unwrap_or_default();
        for (name, value) in rows {
            self.print(&format!("  {name:<left$}  {}", self.paint("1", &format!("{value:>right$}"))));
        }
    }

    fn print(&mut self, text: &str) {
        self.end_line();
        println!("{text}");
        self.last = None;
    }

    fn end_line(&mut self) {
        if std::mem::take(&mut self.moving) {
            print!("\r\x1b[2K");
            drop(std::io::stdout().flush());
        }
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colours { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

impl Default for Terminal {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.end_line();
    }
}

/// A duration for people: `0.8 s`, `1 min 12 s`.
#[must_use]
pub fn seconds(duration: Duration) -> String {
    match duration.as_secs() {
        0..60 => format!("{:.1} s", duration.as_secs_f64()),
        whole => format!("{} min {} s", whole / 60, whole % 60),
    }
}
