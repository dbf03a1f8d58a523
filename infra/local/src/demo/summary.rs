//! What the demo leaves behind.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use flywheel_model::Loop;
use flywheel_report::Numbers;
use serde::Serialize;

use super::experiments::Experiments;
use super::launch::Launch;
use super::ledger::{Replayed, Verified};
use super::releases::Releases;
use super::tests::Tests;
use super::timeouts::Timeouts;

/// `summary.json`.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct Summary {
    /// Uploads, edits and deletions that the demo made.
    pub(crate) documents_changed: usize,
    /// Signals of them in the ledger.
    pub(crate) changes_seen: usize,
    /// Documents whose content in the bucket is neither in the index nor quarantined with a reason, and documents in
    /// the index that are no longer in the bucket. Measured against the bucket and the index, not by Flywheel.
    pub(crate) changes_lost: usize,
    pub(crate) ingestion_jobs_started: usize,
    /// Direct requests to ingest or delete that Bedrock took in.
    pub(crate) direct_ingestions: usize,
    /// Requests that Bedrock refused because something else was at work.
    pub(crate) conflicts: usize,
    /// Requests that Bedrock refused because they came too fast.
    pub(crate) throttles: usize,
    /// Requests that asked for more than a quota allows, of any kind.
    pub(crate) quota_violations: usize,
    /// Documents in the index at the end.
    pub(crate) documents_indexed: usize,
    pub(crate) documents_deleted: usize,
    /// Documents that Bedrock could not index.
    pub(crate) documents_failed: usize,
    /// Of these, the ones that Flywheel gave up with Bedrock's reason.
    pub(crate) documents_quarantined: usize,
    /// How often each reason to wait was given.
    pub(crate) holds: BTreeMap<String, usize>,
    /// Questions whose answer was found, or gone, as it had to be.
    pub(crate) questions_right: usize,
    pub(crate) questions: usize,
    /// The product-launch day.
    pub(crate) launch: Launch,
    /// The workflows whose limit cuts runs.
    pub(crate) timeouts: Timeouts,
    /// The releases that fail.
    pub(crate) releases: Releases,
    /// The assistant that breaks.
    pub(crate) tests: Tests,
    /// The prompts that are compared.
    pub(crate) experiments: Experiments,
    /// Each loop in numbers: findings, actions, holds by reason, outcomes, what was undone.
    pub(crate) loops: BTreeMap<Loop, Numbers>,
    /// What the day's counts come to when they are looked at again.
    pub(crate) replay: Replayed,
    /// What a check of the ledger came to.
    pub(crate) ledger: Verified,
    /// From the first line to the first upload.
    pub(crate) seconds_to_start: f64,
    /// From the last upload of the burst until the index agreed with the bucket.
    pub(crate) seconds_to_consistency: f64,
    pub(crate) seconds: f64,
}

impl Summary {
    /// Whether the loop did what it is for, and can show it.
    pub(crate) fn good(&self) -> bool {
        self.changes_lost == 0
            && self.changes_seen >= self.documents_changed
            && self.questions_right == self.questions
            && self.launch.good()
            && self.timeouts.good()
            && self.releases.good()
            && self.tests.good()
            && self.experiments.good()
            && self.ledger.good()
            && self.replay.good()
    }

    pub(crate) fn write(&self, file: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self)?;
        std::fs::write(file, text + "\n").with_context(|| format!("cannot write {}", file.display()))
    }
}
