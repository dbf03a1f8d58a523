//! `flywheel audit`: documents for governance, made of the ledger.

use std::path::{Path, PathBuf};

use anyhow::{Error, Result, anyhow, ensure};
use clap::Args;
use flywheel_report::Report;
use jiff::Timestamp;
use jiff::ToSpan;
use jiff::civil::Date;
use jiff::tz::Offset;
use serde::Serialize;

use crate::ledger::ledger;
use crate::output::Output;
use crate::site::Site;

#[derive(Args)]
pub(crate) struct Audit {
    /// The first day, in UTC: 2026-11-01
    #[arg(long)]
    from: Date,
    /// The last day, in UTC, all of it
    #[arg(long)]
    to: Date,
    /// The folder to write audit.md and audit.json into
    #[arg(long, default_value = ".")]
    output: PathBuf,
}

/// The documents that were written, and the one in JSON.
#[derive(Serialize)]
struct Written {
    files: [PathBuf; 2],
    #[serde(flatten)]
    audit: flywheel_report::Audit,
}

impl Audit {
    pub(crate) async fn run(self, site: &Site, output: &Output) -> Result<()> {
        ensure!(self.from <= self.to, "{} is after {}\nnext: give the earlier day with --from", self.from, self.to);
        let (from, to) = (beginning(self.from)?, beginning(self.to.checked_add(1.day())?)?);
        let events = ledger(site)?.between(from, to).await?;
        let audit = flywheel_report::Audit::of(&Report::of(&events, from, to));
        std::fs::create_dir_all(&self.output).map_err(|error| refused(&self.output, &error))?;
        let files = ["audit.md", "audit.json"].map(|name| self.output.join(name));
        std::fs::write(&files[0], audit.markdown()).map_err(|error| refused(&files[0], &error))?;
        std::fs::write(&files[1], serde_json::to_string_pretty(&audit)? + "\n").map_err(|error| refused(&files[1], &error))?;
        let changes: usize = audit.changes.values().flat_map(|kinds| kinds.values()).map(Vec::len).sum();
        let words = format!(
            "{}\n{}\n  {changes} changes, {} taken back, {} words of people, {} inputs refused; {} entries of the ledger",
            files[0].display(),
            files[1].display(),
            audit.undone.len(),
            audit.people.len(),
            audit.refused.values().sum::<u64>(),
            audit.entries
        );
        output.show(&Written { files, audit }, &words)?;
        output.hint("next: `flywheel ledger verify` checks that the ledger behind it is whole");
        Ok(())
    }
}

fn beginning(day: Date) -> Result<Timestamp> {
    Ok(Offset::UTC.to_timestamp(day.at(0, 0, 0, 0))?)
}

fn refused(path: &Path, error: &std::io::Error) -> Error {
    anyhow!("cannot write {}: {error}\nnext: name another folder with --output", path.display())
}
