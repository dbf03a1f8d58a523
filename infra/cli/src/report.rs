//! `flywheel report`: what happened, on one page.

use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};
use clap::Args;
use flywheel_report::{Numbers, Summary, page};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::ledger::ledger;
use crate::output::Output;
use crate::site::Site;

#[derive(Args)]
pub(crate) struct Report {
    /// Of so many last hours
    #[arg(long, default_value_t = 24)]
    hours: u32,
    /// The file to write the page into
    #[arg(long, default_value = "report.html")]
    output: PathBuf,
}

/// The page that was written, and what stands in it in numbers.
#[derive(Serialize)]
struct Written<'a> {
    page: &'a PathBuf,
    #[serde(flatten)]
    summary: Summary,
}

impl Report {
    pub(crate) async fn run(self, site: &Site, output: &Output) -> Result<()> {
        let to = Timestamp::now();
        let from = to - SignedDuration::from_hours(i64::from(self.hours));
        let events = ledger(site)?.between(from, to).await?;
        let report = flywheel_report::Report::of(&events, from, to);
        std::fs::write(&self.output, page(&report))
            .map_err(|error| anyhow!("cannot write {}: {error}\nnext: name another file with --output", self.output.display()))?;
        let summary = report.summary();
        let words = told(&summary, &self.output);
        output.show(&Written { page: &self.output, summary }, &words)
    }
}

fn told(summary: &Summary, page: &Path) -> String {
    let mut lines = vec![format!("{}  {} entries of the ledger", page.display(), summary.entries)];
    for (of, numbers) in &summary.loops {
        let Numbers { findings, closed, actions, outcomes, undone, .. } = numbers;
        let held = numbers.held();
        lines.push(format!(
            "  {:<12} findings {findings} ({closed} over), actions {actions}, holds {held}, outcomes {outcomes}, undone {undone}",
            of.as_str()
        ));
    }
    lines.push(format!("  needs a person: {}", if summary.needs.is_empty() { "nothing" } else { "" }).trim_end().to_owned());
    lines.extend(summary.needs.iter().map(|need| format!("    {}\n      next: {}", need.what, need.next)));
    lines.join("\n")
}
