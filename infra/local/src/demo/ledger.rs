//! Whether the day's ledger is whole, by the operator's tool.

use anyhow::Result;
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
