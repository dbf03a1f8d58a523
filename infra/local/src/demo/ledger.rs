//! The day's ledger by the operator's tool: whether it is whole, and what it tells.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use flywheel_model::Loop;
use flywheel_report::{Numbers, Summary};
use serde::{Deserialize, Serialize};

use super::cases::Tool;
use crate::terminal::Terminal;

/// What a check of the ledger came to.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Verified {
    pub(crate) entries: usize,
    pub(crate) subjects: usize,
    /// Entries that were compared with what is kept for good.
    pub(crate) compared: usize,
    pub(crate) problems: Vec<String>,
}

impl Verified {
    pub(crate) fn good(&self) -> bool {
        self.entries > 0 && self.compared > 0 && self.problems.is_empty()
    }
}

pub(crate) async fn verify(tool: &Tool, terminal: &mut Terminal) -> Result<Verified> {
    terminal.now("checking the chains of the ledger");
    let verified: Verified = serde_json::from_value(tool.run_whatever(&["ledger", "verify", "--days", "1"]).await?)?;
    if verified.problems.is_empty() {
        terminal.done("Ledger", &format!("{} entries about {} subjects, every chain of them whole", verified.entries, verified.subjects));
    }
    for problem in verified.problems.iter().take(5) {
        terminal.fail(problem);
    }
    Ok(verified)
}

/// Hours that are told of: findings are about some before the demo began.
const HOURS: &str = "48";

/// Has the page of the day written. What the loops did, in numbers.
pub(crate) async fn report(tool: &Tool, page: &Path, terminal: &mut Terminal) -> Result<BTreeMap<Loop, Numbers>> {
    terminal.now("writing the report");
    let page = page.to_string_lossy().into_owned();
    let summary: Summary = tool.run(&["report", "--hours", HOURS, "--output", &page]).await?;
    terminal.done("Report", &format!("{} entries on one page → {page}", summary.entries));
    Ok(summary.loops)
}

/// What the day's counts come to when they are looked at again.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct Replayed {
    /// Findings by the policy in force.
    pub(crate) findings: usize,
    /// Findings by one that a tenfold rate of failed responses would have to alarm.
    pub(crate) findings_by_another_policy: usize,
}

impl Replayed {
    pub(crate) fn good(&self) -> bool {
        self.findings_by_another_policy < self.findings
    }
}

/// Has the hours looked at again, by the policy in force and by one that is less easily alarmed.
pub(crate) async fn replay(tool: &Tool, policy: &Path, terminal: &mut Terminal) -> Result<Replayed> {
    terminal.now("looking at the day again");
    let text = std::fs::read_to_string(policy).with_context(|| format!("cannot read {}", policy.display()))?;
    let other = policy.with_file_name("calmer-policy.toml");
    let calmer = format!("{text}\n[findings.failed_responses]\nchange = 9.0\n");
    std::fs::write(&other, calmer).with_context(|| format!("cannot write {}", other.display()))?;
    let replayed: serde_json::Value = tool.run(&["replay", "--hours", HOURS, "--policy", &other.to_string_lossy()]).await?;
    let findings = |by: &str| {
        let events = replayed[by]["events"].as_array().into_iter().flatten();
        events.filter(|event| event["kind"] == "finding.opened").count()
    };
    let replayed = Replayed { findings: findings("in_force"), findings_by_another_policy: findings("other") };
    let Replayed { findings, findings_by_another_policy } = replayed;
    terminal
        .done("Replayed", &format!("{findings} findings; {findings_by_another_policy} if only a tenfold rate of failed responses counted"));
    Ok(replayed)
}
