//! Where and when figures were made, and how they are shown and kept.

use std::io::{IsTerminal, Write};
use std::path::Path;

use anyhow::Context;
use serde::Serialize;

/// The machine and the moment that figures belong to.
#[derive(Debug, Serialize)]
pub(crate) struct Facts {
    date: String,
    cores: usize,
    processor: String,
    kernel: String,
    system: String,
}

impl Facts {
    /// Of this machine, now.
    pub(crate) fn now() -> Self {
        let text = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let processors = text("/proc/cpuinfo");
        let model = processors.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        Self {
            date: jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            processor: model.map_or("unknown", |(_, name)| name).to_owned(),
            kernel: text("/proc/sys/kernel/osrelease").trim().to_owned(),
            system: std::env::consts::OS.to_owned() + " " + std::env::consts::ARCH,
        }
    }
}

/// Writes a report, its folder too.
pub(crate) fn write(path: &Path, report: &impl Serialize) -> anyhow::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    let text = serde_json::to_string_pretty(report)? + "\n";
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    println!("\nWritten to {}", path.display());
    Ok(())
}

/// A table whose rows are printed as they come, so that its columns have fixed widths. On a terminal, a line below it
/// says what is under way.
pub(crate) struct Table {
    widths: Vec<usize>,
    terminal: bool,
}

impl Table {
    /// Prints the heads. A column is as wide as asked, or as its head.
    pub(crate) fn new(columns: &[(&str, usize)]) -> Self {
        let table = Self {
            widths: columns.iter().map(|(head, width)| head.chars().count().max(*width)).collect(),
            terminal: std::io::stdout().is_terminal(),
        };
        let heads: Vec<String> = columns.iter().map(|(head, _)| (*head).to_owned()).collect();
        let line = table.line(&heads);
        println!("{line}\n{}", "-".repeat(line.chars().count()));
        table
    }

    /// Says what is under way.
    pub(crate) fn working_on(&self, what: &str) {
        if self.terminal {
            print!("\r\x1b[2K{what} …");
            // A terminal that is gone is no reason to stop measuring.
            let _ = std::io::stdout().flush();
        }
    }

    /// Prints a row.
    pub(crate) fn row(&self, cells: &[String]) {
        let clear = if self.terminal { "\r\x1b[2K" } else { "" };
        println!("{clear}{}", self.line(cells));
    }

    /// The first column to the left, the others to the right.
    fn line(&self, cells: &[String]) -> String {
        let padded = self
            .widths
            .iter()
            .zip(cells)
            .enumerate()
            .map(|(place, (width, cell))| if place == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") });
        padded.collect::<Vec<_>>().join("  ")
    }
}

/// Seconds or a ratio, as precisely as helps.
pub(crate) fn short(value: f64) -> String {
    if value >= 1_000.0 {
        format!("{value:.0}")
    } else if value >= 10.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}
