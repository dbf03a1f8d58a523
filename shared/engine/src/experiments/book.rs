//! What is remembered of all experiments.

use std::collections::BTreeMap;

use flywheel_model::{Experiment, ExperimentState, ExperimentVerdict, Key};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// All experiments that are not over, the account's budget of false discoveries, and what was learned of each intent. It is
/// written as a whole on the revision that was read: so two experiments that disturb each other cannot start at once, and
/// a person's stop is not lost.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Book {
    /// Counts the writes.
    #[serde(skip)]
    pub revision: u64,
    /// In the order of their queueing.
    pub experiments: Vec<Experiment>,
    /// Comparisons that were begun: each took its level from the budget.
    pub tested: u64,
    /// Those of them that found a variant to be better.
    pub discoveries: u64,
    /// By flag, a value that a person put there during an experiment, by its SHA-256: it stays.
    #[serde(default)]
    pub left_alone: BTreeMap<String, String>,
    /// What was tried for each intent, latest last.
    #[serde(default)]
    pub tried: BTreeMap<Key, Vec<Tried>>,
}

impl Book {
    /// The most that is remembered of an intent.
    const TRIED: usize = 100;

    /// An experiment of this name.
    #[must_use]
    pub fn experiment(&self, experiment: &Key) -> Option<&Experiment> {
        self.experiments.iter().find(|known| known.experiment == *experiment)
    }

    pub(super) fn experiment_mut(&mut self, experiment: &Key) -> Option<&mut Experiment> {
        self.experiments.iter_mut().find(|known| known.experiment == *experiment)
    }

    /// The experiments whose split is, or is being, put in force.
    pub fn running(&self) -> impl Iterator<Item = &Experiment> {
        self.experiments.iter().filter(|experiment| matches!(experiment.state, ExperimentState::Running(_)))
    }

    /// Whether this very text was tried for an intent.
    pub(super) fn was_tried(&self, intent: &Key, sha256: &str) -> bool {
        self.tried.get(intent).is_some_and(|tried| tried.iter().any(|one| one.sha256 == sha256))
    }

    /// Remembers what came of an experiment.
    pub(super) fn learn(&mut self, intent: &Key, mut learned: Vec<Tried>) {
        let tried = self.tried.entry(intent.clone()).or_default();
        tried.append(&mut learned);
        tried.drain(..tried.len().saturating_sub(Self::TRIED));
    }
}

/// What came of a variant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tried {
    /// The experiment.
    pub experiment: Key,
    /// The variant.
    pub variant: String,
    /// Its text, by its SHA-256.
    pub sha256: String,
    /// What came out of the experiment.
    pub verdict: ExperimentVerdict,
    /// Its rate of resolution less the control's: lower bound, estimate, upper bound.
    pub difference: [f64; 3],
    /// When.
    pub at: Timestamp,
}
